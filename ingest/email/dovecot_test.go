package email

import (
	"testing"

	"sekretariat/ingest/email/dovecottest"
)

func TestTakesMailAndMovesIt(t *testing.T) {
	s := startDovecot(t, dovecottest.Options{})
	o := newOffice(t, s.TLSAddr)
	o.mailbox.TLS, o.mailbox.CA = "implicit", s.CA
	want := deliver(t, s, "INBOX", 1, 600)
	c, stop := o.run()
	o.until("600 moved", func() bool { return inFolder(t, s, DefaultDone) == 600 && c.Health().Waiting == 0 })
	// IDLE: one more while it rests.
	want = append(want, deliver(t, s, "INBOX", 601, 601)...)
	o.until("601 moved", func() bool { return inFolder(t, s, DefaultDone) == 601 })
	stop()
	o.shelf.holds(t, want)
	if n := inFolder(t, s, "INBOX"); n != 0 {
		t.Errorf("%d left", n)
	}
	if o.shelf.repeats != 0 {
		t.Errorf("%d taken twice", o.shelf.repeats)
	}
	for id, at := range o.shelf.arrived {
		if at.Before(noon) || at.After(noon.Add(601e9)) {
			t.Errorf("%s arrived %v", id, at)
		}
	}
}
