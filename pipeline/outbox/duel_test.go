package outbox

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"sekretariat"
)

// memory is a ledger's claims in memory, and a read model that knows no bad
// contacts.
type memory struct {
	mu     sync.Mutex
	claims map[string][]byte
}

func (m *memory) Claim(_ context.Context, name string, value []byte) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if w, there := m.claims[name]; there {
		return w, nil
	}
	m.claims[name] = value
	return value, nil
}

func (m *memory) AckDue(context.Context, time.Time) ([]sekretariat.LetterID, error) { return nil, nil }

func (m *memory) BadContact(context.Context, sekretariat.Digest, time.Time) (string, bool, error) {
	return "", false, nil
}

// A thousand rounds with each kind of answerer that keeps none of the rules: it
// changes subjects, ids and words, keeps references or not. One acknowledgement.
func TestDuelOfAThousandRounds(t *testing.T) {
	const rounds = 1000
	for name, answer := range map[string]func(b *Outbox, n int, r *sekretariat.Reading){
		"the same words, new ids": func(_ *Outbox, n int, r *sekretariat.Reading) { r.MessageID = fmt.Sprintf("%d@x", n) },
		"other words each time": func(_ *Outbox, n int, r *sekretariat.Reading) {
			r.MessageID, r.Text = fmt.Sprintf("%d@x", n), fmt.Sprintf("Numer %d.", n)
		},
		"other words and subjects": func(_ *Outbox, n int, r *sekretariat.Reading) {
			r.MessageID, r.Text, r.Subject = "", fmt.Sprint("Numer ", n), fmt.Sprint("Temat ", n)
		},
		"our subject back": func(_ *Outbox, n int, r *sekretariat.Reading) {
			r.Subject = fmt.Sprintf("Re: Potwierdzenie wpływu RPW/%d/2026", n)
		},
		"a reference to our message": func(b *Outbox, n int, r *sekretariat.Reading) {
			r.References = []string{b.o.Keys.NoticeID(numbered(n), "ops.example")}
		},
		"a reference to its own message": func(_ *Outbox, n int, r *sekretariat.Reading) {
			r.References, r.Text = []string{"a@poczta.example"}, fmt.Sprint("Numer ", n)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, profile())
			m := &memory{claims: map[string][]byte{}}
			b.o.Claims, b.o.Due, b.cfg.PerSender, b.cfg.PerDay = m, m, 1, 300
			sent := 0
			for n := range rounds {
				l, r := answerable()
				l.ID = numbered(n)
				if n > 0 {
					answer(b, n, r)
				}
				code := b.forbidden(l, r)
				if code == "" {
					var err error
					if code, err = b.claims(t.Context(), l, r); err != nil {
						t.Fatal(err)
					}
				}
				if code == "" {
					sent++
				}
			}
			if sent != 1 {
				t.Errorf("%d acknowledgements in %d rounds, want 1", sent, rounds)
			}
		})
	}
}

func numbered(n int) sekretariat.LetterID {
	return sekretariat.NewLetterID(sekretariat.NewSubmissionID("test", "mail", "a", fmt.Sprint(n)), 1)
}

// An answerer that takes a day for each answer and changes everything is
// bounded by the month.
func TestSlowDuelIsBounded(t *testing.T) {
	b := newBox(t, profile())
	m := &memory{claims: map[string][]byte{}}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	b.o.Claims, b.o.Due, b.cfg.PerSender, b.cfg.PerDay = m, m, 1, 300
	b.o.Clock = func() time.Time { return now }
	sent := 0
	for n := range 30 {
		_, r := answerable()
		r.MessageID, r.Text, r.Subject = "", fmt.Sprint("Numer ", n), fmt.Sprint("Temat ", n)
		l := &sekretariat.Letter{ID: numbered(n)}
		if code, err := b.claims(t.Context(), l, r); err != nil {
			t.Fatal(err)
		} else if code == "" {
			sent++
		}
		now = now.Add(24 * time.Hour)
	}
	if sent != monthly {
		t.Errorf("%d acknowledgements to one sender in a month, want %d", sent, monthly)
	}
}
