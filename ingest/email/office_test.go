package email

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"sekretariat/ingest/email/dovecottest"
)

func TestPasswordRefusedAndReplaced(t *testing.T) {
	s := startDovecot(t, dovecottest.Options{})
	o := newOffice(t, s.Addr)
	o.tune.refused = [2]time.Duration{time.Hour, time.Hour} // only another password helps
	at := time.Date(2026, 11, 20, 7, 5, 0, 0, time.UTC)
	o.clock = func() time.Time { return at }
	o.password = "stare"
	want := deliver(t, s, "INBOX", 1, 2)
	c, stop := o.run()
	o.until("refused", func() bool { return c.Health().Code == "login" })
	if h := c.Health(); h.OK || !strings.HasPrefix(h.Message, "Od 8:05 poczta nie jest pobierana, sprawdzaj webmail") {
		t.Errorf("health %+v", h)
	}
	o.mu.Lock()
	o.password = dovecottest.Password
	o.mu.Unlock()
	o.until("taken", func() bool { return o.shelf.count() == 2 && c.Health().OK })
	stop()
	o.shelf.holds(t, want)
}

// TestOthersUseTheMailbox lets a second client read, flag, move away and
// expunge messages while they are taken in.
func TestOthersUseTheMailbox(t *testing.T) {
	s := startDovecot(t, dovecottest.Options{})
	o := newOffice(t, s.Addr)
	o.tune.step, o.tune.confirm = 7, 11
	all := deliver(t, s, "INBOX", 1, 400)
	other := client(t, s.Addr)
	if _, err := other.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	if err := other.Create("Inne", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	meddle := func(n int) {
		uid := imap.UID(n*3%400 + 1)
		set := imap.UIDSetNum(uid)
		flags := []imap.Flag{imap.FlagSeen, imap.Flag("$Moja" + fmt.Sprint(n%5))}
		if n%3 == 0 {
			flags = append(flags, imap.FlagDeleted)
		}
		err := other.Store(set, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: flags}, nil).Close()
		if err == nil && n%3 == 0 {
			err = other.UIDExpunge(set).Close()
		}
		if err == nil && n%3 == 1 {
			_, err = other.Move(set, "Inne").Wait()
		}
		if err != nil && !refused(err) { // the message was moved meanwhile
			t.Errorf("other client: %v", err)
		}
	}
	step := make(chan int, 1000)
	o.shelf.after = func(n int) { step <- n }
	c, stop := o.run()
	meddled := 0
	o.until("empty", func() bool {
		for len(step) > 0 {
			if <-step; meddled < 120 {
				meddle(meddled)
				meddled++
			}
		}
		return c.Health().Waiting == 0 && inFolder(t, s, "INBOX") == 0
	})
	stop()
	if meddled == 0 {
		t.Fatal("the other client did nothing")
	}
	// Whatever was taken was taken once and whole; what was not was taken away.
	taken := map[string]bool{}
	for _, b := range o.shelf.bodies {
		taken[string(b)] = true
	}
	missing := 0
	for _, m := range all {
		if !taken[string(m)] {
			missing++
		}
		delete(taken, string(m))
	}
	if len(taken) > 0 || missing > meddled || len(o.shelf.notes) > 0 {
		t.Errorf("%d unknown bodies, %d missing with %d meddled with, %d parked", len(taken), missing, meddled, len(o.shelf.notes))
	}
}

func client(t *testing.T, addr string) *imapclient.Client {
	t.Helper()
	c, err := imapclient.DialInsecure(addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.Login("intake", dovecottest.Password).Wait(); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSinceLeavesOldMailAlone(t *testing.T) {
	s := startDovecot(t, dovecottest.Options{})
	o := newOffice(t, s.Addr)
	o.mailbox.Since = "2026-11-02"
	cut := time.Date(2026, 11, 1, 23, 0, 0, 0, time.UTC) // midnight in Warsaw
	var want [][]byte
	for n := range 700 {
		at := cut.Add(-time.Duration(n+1) * time.Second)
		if n%100 == 0 {
			at = cut.Add(time.Duration(n) * time.Second)
			want = append(want, letter(n))
		}
		if err := s.Deliver("intake", "INBOX", letter(n), at); err != nil {
			t.Fatal(err)
		}
	}
	all, err := o.channel().Survey(t.Context(), time.Minute)
	if err != nil || len(all.Folders) != 1 || all.Folders[0].Messages != 700 || all.Folders[0].Young != 7 || all.Folders[0].Problem != "" {
		t.Fatalf("survey: %+v, %v", all, err)
	}
	if files, _ := filepath.Glob(filepath.Join(filepath.Dir(s.CA), "mail/intake/cur/*:2,*S*")); len(files) != 0 {
		t.Error("the survey marked mail as read")
	}
	c, stop := o.run()
	o.until("taken", func() bool { return o.shelf.count() == len(want) && c.Health().Waiting == 0 })
	want = append(want, deliver(t, s, "INBOX", 1000, 1010)...)
	o.until("taken", func() bool { return o.shelf.count() == len(want) && c.Health().Waiting == 0 })
	stop()
	c, stop = o.run()
	o.until("looked again", func() bool { return c.Health().Waiting == 0 })
	stop()
	o.shelf.holds(t, want)
	if n := inFolder(t, s, "INBOX"); n != 693 {
		t.Errorf("%d old ones left, want 693", n)
	}
	o.mailbox.Since = "2026-10-01" // the office wants more after all
	_, stop = o.run()
	o.until("old ones taken, too", func() bool { return inFolder(t, s, "INBOX") == 0 })
	stop()
	if n := o.shelf.count(); n != 711 {
		t.Errorf("%d taken, want 711", n)
	}
}

func TestSeveralFolders(t *testing.T) {
	for _, connections := range []int{50, 1} {
		t.Run(fmt.Sprint(connections, " connections"), func(t *testing.T) {
			s := startDovecot(t, dovecottest.Options{MaxConnections: connections, Separator: ".", Prefix: "INBOX."})
			o := newOffice(t, s.Addr)
			o.mailbox.Folders = []string{"INBOX", "Skargi/Nowe", "Nie ma"}
			var want [][]byte
			want = append(want, deliver(t, s, "INBOX", 1, 30)...)
			want = append(want, deliver(t, s, "Skargi/Nowe", 31, 60)...)
			c, stop := o.run()
			o.until("taken", func() bool { return o.shelf.count() == 60 && inFolder(t, s, DefaultDone) == 60 })
			o.until("missing folder named", func() bool { return c.Health().Code == "folder" })
			if h := c.Health(); h.OK || !strings.Contains(h.Message, "„Nie ma”") || h.Waiting != -1 {
				t.Errorf("health %+v", h)
			}
			deliver(t, s, "Nie ma", 61, 61) // somebody makes it
			o.until("taken from the new folder", func() bool { return o.shelf.count() == 61 && c.Health().OK })
			stop()
			o.shelf.holds(t, append(want, letter(61)))
		})
	}
}

func TestTooLargeStaysAndIsParkedOnce(t *testing.T) {
	s := startDovecot(t, dovecottest.Options{})
	o := newOffice(t, s.Addr)
	o.maxSize = 100 << 10
	o.shelf.limit = 50 << 10
	big := func(n, size int) []byte { return append(letter(n), bytes.Repeat([]byte("a"), size)...) }
	want := deliver(t, s, "INBOX", 1, 10)
	for n, size := range []int{200 << 10, 70 << 10} { // over the channel's limit; over the receiver's
		if err := s.Deliver("intake", "INBOX", big(1000+n, size), noon); err != nil {
			t.Fatal(err)
		}
	}
	want = append(want, deliver(t, s, "INBOX", 11, 20)...)
	for range 2 {
		c, stop := o.run()
		o.until("taken and parked", func() bool {
			h := c.Health()
			return o.shelf.count() == 20 && h.Waiting == 0 && h.Code == "parked" && strings.Contains(h.Message, "(2)")
		})
		stop()
		o.drawer.m = nil
		if err := s.Renumber(t.Context(), "intake", "INBOX", 99); err != nil { // the note is recognised all the same
			t.Fatal(err)
		}
	}
	o.shelf.holds(t, want)
	if len(o.shelf.notes) != 2 || o.shelf.reasons["oversize"] != 2 || inFolder(t, s, "INBOX") != 2 {
		t.Errorf("%d notes, reasons %v, %d left", len(o.shelf.notes), o.shelf.reasons, inFolder(t, s, "INBOX"))
	}
	for _, note := range o.shelf.notes {
		if !strings.Contains(note, "za duża") || !strings.Contains(note, "02.11.2026") {
			t.Errorf("note: %s", note)
		}
	}
}

// TestLargeMailHoldsNothingUp: while a very large message is under way, small
// ones that come later are taken and moved.
func TestLargeMailHoldsNothingUp(t *testing.T) {
	for _, connections := range []int{50, 1} {
		s := startDovecot(t, dovecottest.Options{MaxConnections: connections})
		o := newOffice(t, s.Addr)
		o.tune.large, o.tune.apart = 10<<10, 100<<10
		var large [][]byte
		for n := range 3 {
			large = append(large, append(letter(5000+n), bytes.Repeat([]byte("Zdjecie pisma\r\n"), 20_000)...))
			if err := s.Deliver("intake", "INBOX", large[n], noon); err != nil {
				t.Fatal(err)
			}
		}
		small := deliver(t, s, "INBOX", 1, 20)
		under, release := make(chan struct{}, 10), make(chan struct{})
		if connections > 1 {
			o.shelf.taking = func(size int) {
				if size > 100<<10 {
					under <- struct{}{}
					<-release
				}
			}
		}
		_, stop := o.run()
		if connections > 1 {
			<-under
			small = append(small, deliver(t, s, "INBOX", 21, 30)...)
			o.until("small ones moved", func() bool { return inFolder(t, s, DefaultDone) == 30 })
			close(release)
		}
		o.until("all moved", func() bool { return inFolder(t, s, "INBOX") == 0 })
		stop()
		o.shelf.holds(t, append(small, large...))
		if o.shelf.repeats != 0 {
			t.Errorf("%d taken twice", o.shelf.repeats)
		}
	}
}
