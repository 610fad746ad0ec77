package edelivery

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/extract/edoreczenia"
	"sekretariat/ingest/edelivery/edeliverytest"
)

// source is a Kept of what is in memory.
func (m *memory) source(_ context.Context, id sekretariat.SubmissionID) (map[string]string, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.kept[id]
	return k.Source, ok, nil
}

// Evidence that is made after its message was taken comes in with the next
// nightly look, once, as proof about that letter, wherever the message lies.
func TestEvidenceThatComesLater(t *testing.T) {
	for _, after := range []string{configs.AfterKeep, configs.AfterMove} {
		t.Run(after, func(t *testing.T) {
			var ahead time.Duration
			f := newOffice(t, edeliverytest.Options{Clock: func() time.Time { return time.Now().Add(ahead) }})
			f.options.Account.After, f.options.Kept = after, f.memory.source
			at := time.Now().Add(-time.Hour).UTC().Truncate(time.Millisecond)
			id := f.put(t, edeliverytest.Message{Subject: "Wniosek", Timestamp: at, Receipt: at, Sent: at, Event: at})
			old := f.put(t, edeliverytest.Message{Subject: "Dawne", Timestamp: at.AddDate(0, -3, 0), Receipt: at.AddDate(0, -3, 0), Sent: at.AddDate(0, -3, 0)})
			c := f.channel(t)
			rounds(t, c, "both are taken", func() bool { return len(f.memory.all()) == 2 })
			for _, m := range []string{id, old} {
				f.Change(ade, m, func(m *edeliverytest.Message) {
					m.Evidences = append(m.Evidences, edeliverytest.Evidence{Type: "D2", Created: at.Add(time.Minute), Content: edeliverytest.Proof("D2", m.ID)})
				})
			}
			for range 3 {
				round(t, c)
			}
			if n := len(f.memory.all()); n != 2 {
				t.Fatalf("%d before the night, want 2", n)
			}
			for range 2 { // nights
				ahead += 24 * time.Hour
				for range 3 {
					round(t, c)
				}
			}
			got := f.memory.all()
			if len(got) != 3 {
				t.Fatalf("%d after the night, want 3", len(got))
			}
			r := reading(t, got[2])
			if !got[2].Proof || r.Auto != edoreczenia.AutoReceipt || len(r.Parts) != 1 || !slices.Contains(r.References, id) || r.MessageID == id || !strings.Contains(r.Subject, "Wniosek") {
				t.Errorf("proof %v, %q about %v, %q, %d parts", got[2].Proof, r.Auto, r.References, r.Subject, len(r.Parts))
			}
			// A new process knows it, too.
			c = f.channel(t)
			for range 3 {
				round(t, c)
			}
			if n := len(f.memory.all()); n != 3 {
				t.Errorf("%d after a restart, want 3", n)
			}
		})
	}
}
