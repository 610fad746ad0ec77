package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"sekretariat/test/world"
)

// The ledger and the read model are lost; objects and keys alone bring back
// every number, decision and queue, and the service goes on after them.
func TestLedgerLostAndRebuilt(t *testing.T) {
	w := world.New(t, nil)
	s := w.Start(t)
	w.WaitReady(t, s)
	send := func(from, to int) {
		for i := from; i < to; i++ {
			mail := fmt.Sprintf("From: a@poczta.example\r\nSubject: Sprawa %d\r\n\r\nszukam noclegowni\r\n", i)
			if err := w.Dovecot.Deliver(world.Mailbox, "INBOX", []byte(mail), time.Now()); err != nil {
				t.Fatal(err)
			}
		}
	}
	queued := func(n int) {
		world.WaitUntil(t, 2*time.Minute, fmt.Sprintf("%d letters in queues", n), func() bool {
			got := 0
			for _, l := range w.Export(t) {
				if l.Queued != "" {
					got++
				}
			}
			return got == n
		})
	}
	send(0, 40)
	queued(40)
	before := w.Export(t)
	if code := s.Stop(t); code != 0 {
		t.Fatalf("exit status %d\n%s", code, s.Log())
	}
	for _, lost := range []string{"nats", "index"} {
		if err := os.RemoveAll(filepath.Join(w.Data, lost)); err != nil {
			t.Fatal(err)
		}
	}
	out, errs, code := w.Run("rebuild", "--config", w.Config)
	if code != 0 {
		t.Fatalf("rebuild: %s\n%s", errs, out)
	}
	w.Verify(t)
	if after := w.Export(t); !slices.Equal(before, after) {
		t.Errorf("the register after the rebuild is another one:\n%v\n%v", before, after)
	}
	s = w.Start(t)
	w.WaitReady(t, s)
	send(40, 50)
	queued(50)
	if code := s.Stop(t); code != 0 {
		t.Errorf("exit status %d", code)
	}
	w.Verify(t)
}

// A second service on the same data folder is refused in one clear sentence.
func TestSecondServiceIsRefused(t *testing.T) {
	w := world.New(t, nil)
	s := w.Start(t)
	w.WaitReady(t, s)
	_, errs, code := w.Run("serve", "--config", w.Config)
	if code == 0 || errs == "" {
		t.Errorf("exit %d, %q", code, errs)
	}
}
