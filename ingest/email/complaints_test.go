package email

import (
	"bytes"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"sekretariat/ingest/email/dovecottest"
)

// The tests of this file are complaints about other programs that take mail in,
// as far as no other test has them.

// TestReadByAColleague: what somebody has opened is taken all the same
// (FreeScout 3406, 4064), and taking leaves "unread" as it is: nobody misses a
// mail because a program looked at it first.
func TestReadByAColleague(t *testing.T) {
	for _, after := range []string{"move", "keyword", "keep"} {
		s := startDovecot(t, dovecottest.Options{})
		o := newOffice(t, s.Addr)
		o.mailbox.After = after
		want := deliver(t, s, "INBOX", 1, 6)
		c := client(t, s.Addr)
		if _, err := c.Select("INBOX", nil).Wait(); err != nil {
			t.Fatal(err)
		}
		var read imap.UIDSet
		read.AddNum(2, 4)
		if err := c.Store(read, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagSeen}}, nil).Close(); err != nil {
			t.Fatal(err)
		}
		ch, stop := o.run()
		o.until("taken", func() bool { return o.shelf.count() == 6 && ch.Health().Waiting == 0 })
		stop()
		o.shelf.holds(t, want)
		seen := 0
		for _, p := range everything(t, s) {
			if _, flags, ok := strings.Cut(filepath.Base(p), ":2,"); ok && strings.Contains(flags, "S") {
				seen++
			}
		}
		if seen != 2 {
			t.Errorf("%s: %d are marked as read, want the 2 that a person read", after, seen)
		}
	}
}

// TestBacklogOutlastsThePoll: while a thousand mails wait for a slow store, the
// mailbox is looked at again and again; nothing is taken twice (paperless
// 13336, 9436).
func TestBacklogOutlastsThePoll(t *testing.T) {
	s := startDovecot(t, dovecottest.Options{})
	o := newOffice(t, s.Addr)
	o.mailbox.Poll = time.Millisecond
	o.tune.step, o.tune.window = 20, 50
	want := deliver(t, s, "INBOX", 1, 300)
	o.shelf.before = func(n int) error { time.Sleep(time.Millisecond); return nil } // slower than the poll
	late := make(chan int, 1)
	o.shelf.after = func(n int) {
		if n == 100 {
			late <- n
		}
	}
	c, stop := o.run()
	<-late
	want = append(want, deliver(t, s, "INBOX", 301, 320)...)
	o.until("taken", func() bool { return o.shelf.count() == 320 && c.Health().Waiting == 0 && inFolder(t, s, "INBOX") == 0 })
	stop()
	o.shelf.holds(t, want)
	if o.shelf.repeats != 0 {
		t.Errorf("%d taken twice", o.shelf.repeats)
	}
}

// TestMovedBack: a colleague puts a taken mail back; it is recognised, keeps its
// first day of receipt, and is moved away again (Znuny 189).
func TestMovedBack(t *testing.T) {
	s := startDovecot(t, dovecottest.Options{})
	o := newOffice(t, s.Addr)
	want := deliver(t, s, "INBOX", 1, 3)
	ch, stop := o.run()
	o.until("taken", func() bool { return inFolder(t, s, DefaultDone) == 3 })
	first := map[string]time.Time{}
	for id, at := range o.shelf.arrived {
		first[string(id)] = at
	}
	c := client(t, s.Addr)
	if _, err := c.Select(DefaultDone, nil).Wait(); err != nil {
		t.Fatal(err)
	}
	var all imap.UIDSet
	all.AddRange(1, 3)
	if _, err := c.Move(all, "INBOX").Wait(); err != nil {
		t.Fatal(err)
	}
	o.until("recognised and moved again", func() bool {
		return inFolder(t, s, DefaultDone) == 3 && inFolder(t, s, "INBOX") == 0 && ch.Health().Waiting == 0
	})
	stop()
	o.shelf.holds(t, want)
	for id, at := range o.shelf.arrived {
		if !first[string(id)].Equal(at) {
			t.Errorf("%s arrived %s first and %s now", id, first[string(id)], at)
		}
	}
}

// TestIdleTellsEachTime: IDLE after IDLE on one connection, each ended by news
// (go-imap 668: stuck after Idle.Close).
func TestIdleTellsEachTime(t *testing.T) {
	s := startDovecot(t, dovecottest.Options{})
	o := newOffice(t, s.Addr)
	o.mailbox.Poll = time.Hour // IDLE alone can tell
	c, stop := o.run()
	o.until("at rest", func() bool { return c.Health().Waiting == 0 })
	var want [][]byte
	for n := 1; n <= 6; n++ {
		want = append(want, deliver(t, s, "INBOX", n, n)...)
		o.until(fmt.Sprint("told of ", n), func() bool { return o.shelf.count() == n && inFolder(t, s, "INBOX") == 0 })
	}
	stop()
	o.shelf.holds(t, want)
}

// TestTricklingServer: octet by octet, never silent, for ever: given up, while
// a slow line on which something arrives is not (zammad 2554, 2321).
func TestTricklingServer(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	go func() {
		for {
			if _, err := server.Write(bytes.Repeat([]byte("x"), 64)); err != nil {
				return
			}
		}
	}()
	w := &wire{Conn: client, silence: time.Minute}
	w.expect()
	b := make([]byte, 64)
	if _, err := w.Read(b); err != nil {
		t.Fatalf("at the beginning: %v", err)
	}
	w.waited = trickleGrace + time.Minute // so long for 128 octets
	if _, err := w.Read(b); err == nil {
		t.Error("a trickling server is waited for")
	}
	w.expect()
	w.waited, w.received = trickleGrace+time.Minute, 2*60*trickleRate
	if _, err := w.Read(b); err != nil {
		t.Errorf("a slow line on which a mail arrives was given up: %v", err)
	}
	w.rest()
	w.waited = 100 * trickleGrace
	if _, err := w.Read(b); err != nil {
		t.Errorf("at rest nothing is due: %v", err)
	}
}
