package pipeline_test

import (
	"strings"
	"testing"
	"time"

	"sekretariat"
	"sekretariat/ledger"
	"sekretariat/pipeline"
)

// found takes in a mail from the folder for spam, or from another.
func (o *office) found(raw string, junk bool) sekretariat.LetterID {
	o.t.Helper()
	t, err := o.intake.Take(o.t.Context(), sekretariat.Delivery{
		Centre: o.cfg.ID, Kind: sekretariat.KindMail, Door: sekretariat.DoorIMAP, Account: "a", Series: "rpw", Junk: junk,
		Identity: func(b sekretariat.BodyFacts) []string { return []string{string(b.SHA256)} },
		Content:  func(b sekretariat.BodyFacts) sekretariat.Digest { return b.SHA256 },
		Arrived:  sekretariat.Arrival{At: o.clock().UTC().Add(-time.Hour), Basis: sekretariat.BasisServerArrival}, MediaType: "message/rfc822",
	}, strings.NewReader(raw))
	if err != nil {
		o.t.Fatal(err)
	}
	r, err := t.Wait(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	return sekretariat.NewLetterID(r.Submission, 1)
}

// A mail that a person drags out of the spam is a letter, once, with its first
// arrival, and also when that happens before it was sorted.
func TestMovedOutOfTheSpam(t *testing.T) {
	o := open(t, nil)
	const raw, early = "From: a@poczta.example\r\nSubject: Sprawa\r\n\r\nszukam noclegu", "From: b@poczta.example\r\nSubject: Sprawa\r\n\r\nszukam noclegu"
	const reply = "From: c@poczta.example\r\n" + autoReply + "\r\nnie ma mnie"
	second := o.found(early, true)
	o.found(early, false)
	o.run()
	id := o.found(raw, true)
	l := o.settled(id)
	if l.Status != sekretariat.StatusParked || l.Reason != sekretariat.ParkSpam {
		t.Fatalf("%s %q", l.Status, l.Reason)
	}
	o.found(raw, true) // seen again where it was
	answer := o.settled(o.found(reply, true)).ID
	o.later.Store(int64(30 * time.Hour))
	for range 3 {
		o.found(raw, false)
		o.found(reply, false)
	}
	for _, id := range []sekretariat.LetterID{id, second} {
		if got := o.await(id, "a decision", routed); got.Number.IsZero() || time.Since(got.Arrived.Arrived.At) > 2*time.Hour || !got.Arrived.Junk {
			t.Errorf("recovered: %+v", got)
		}
	}
	err := o.log.Replay(t.Context(), ledger.Audit, 1, func(s ledger.Stored) error { return pipeline.HandleRecover(o.pipe, t.Context(), s) })
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []sekretariat.LetterID{id, second} {
		o.awaitQueueHas("bezdomnosc", id, 1)
	}
	if l := o.await(answer, "itself", func(*sekretariat.Letter) bool { return true }); l.Status != sekretariat.StatusParked || l.Reason != sekretariat.ParkAutoReply {
		t.Errorf("an automatic answer that was moved: %s %q", l.Status, l.Reason)
	}
	if r := o.verified(); r.Registered+r.Parked+r.Waiting.Number+r.Waiting.Sorting != 3 {
		t.Errorf("%s", r.Text())
	}
}

// awaitQueueHas waits until a letter was queued, and counts how often.
func (o *office) awaitQueueHas(d sekretariat.DepartmentID, id sekretariat.LetterID, times int) {
	o.t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		n := 0
		for _, e := range o.queueOf(d) {
			if strings.HasPrefix(e, "queued.v1 "+string(id)) {
				n++
			}
		}
		if n == times {
			return
		}
		if n > times || time.Now().After(end) {
			o.t.Fatalf("%s was queued %d times, want %d", id, n, times)
		}
	}
}
