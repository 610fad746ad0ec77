package email

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"sekretariat"
	"sekretariat/extract/mail"
	"sekretariat/ingest/email/dovecottest"
)

// poor is a server without MOVE, UIDPLUS, IDLE, ESEARCH and NAMESPACE.
const poor = "IMAP4rev1 LITERAL+"

func TestTakesMailAndMovesIt(t *testing.T) {
	s := startDovecot(t, dovecottest.Options{})
	o := newOffice(t, s.TLSAddr)
	o.mailbox.TLS, o.mailbox.CA, o.mailbox.Poll = "implicit", s.CA, time.Hour
	want := deliver(t, s, "INBOX", 1, 600)
	c, stop := o.run()
	o.until("600 moved", func() bool { return inFolder(t, s, DefaultDone) == 600 && c.Health().Waiting == 0 })
	want = append(want, deliver(t, s, "INBOX", 601, 601)...) // the poll is far: IDLE must tell
	o.until("601 moved", func() bool { return inFolder(t, s, DefaultDone) == 601 })
	stop()
	o.shelf.holds(t, want)
	if n := inFolder(t, s, "INBOX"); n != 0 {
		t.Errorf("%d left in the mailbox", n)
	}
	if o.shelf.repeats != 0 {
		t.Errorf("%d taken twice", o.shelf.repeats)
	}
	for id, at := range o.shelf.arrived {
		if at.Before(noon) || at.After(noon.Add(601*time.Second)) {
			t.Errorf("%s arrived %v, not as INTERNALDATE says", id, at)
		}
	}
	if h := c.Health(); !h.OK || h.Code != "ok" || h.Message != "" {
		t.Errorf("health %+v", h)
	}
}

func TestStartTLSAndLogin(t *testing.T) {
	s := startDovecot(t, dovecottest.Options{})
	for _, auth := range []string{"plain", "login"} {
		o := newOffice(t, s.Addr)
		o.mailbox.TLS, o.mailbox.CA, o.mailbox.Auth = "starttls", s.CA, auth
		want := deliver(t, s, "INBOX", 1, 3)
		_, stop := o.run()
		o.until("taken", func() bool { return o.shelf.count() == 3 && inFolder(t, s, "INBOX") == 0 })
		stop()
		o.shelf.holds(t, want)
	}
}

func TestUnknownCertificateIsRefused(t *testing.T) {
	s := startDovecot(t, dovecottest.Options{})
	deliver(t, s, "INBOX", 1, 1)
	for _, tls := range []string{"implicit", "starttls"} {
		o := newOffice(t, map[string]string{"implicit": s.TLSAddr, "starttls": s.Addr}[tls])
		o.mailbox.TLS = tls
		c, stop := o.run()
		o.until("certificate refused", func() bool { return c.Health().Code == "certificate" })
		stop()
		if h := c.Health(); h.OK || !strings.Contains(h.Message, "certyfikat") || o.shelf.count() != 0 {
			t.Errorf("%s: %+v, %d taken", tls, h, o.shelf.count())
		}
	}
}

// TestWholeCorpus takes every mail of the test data, broken ones and bombs
// included, and compares the bytes. Dovecot sends CRLF for LF.
func TestWholeCorpus(t *testing.T) {
	mails := corpus(t)
	s := startDovecot(t, dovecottest.Options{})
	seen := map[sekretariat.Digest]bool{}
	var want [][]byte
	for _, m := range mails {
		if err := s.Deliver("intake", "INBOX", m, noon); err != nil {
			t.Fatal(err)
		}
		id := &mail.IdentityHasher{}
		_, _ = id.Write(m)
		if !seen[id.Digest()] {
			seen[id.Digest()] = true
			want = append(want, withCRLF(m))
		}
	}
	o := newOffice(t, s.Addr)
	_, stop := o.run()
	o.until("all moved", func() bool { return inFolder(t, s, DefaultDone) == len(mails) })
	stop()
	o.shelf.holds(t, want)
	if len(o.shelf.notes) != 0 {
		t.Errorf("%d parked", len(o.shelf.notes))
	}
}

func withCRLF(b []byte) []byte {
	return bytes.ReplaceAll(bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
}

// TestAfter runs each way of confirming on a rich and on a poor server, with
// restarts with and without the cursor.
func TestAfter(t *testing.T) {
	for name, capability := range map[string]string{"rich": "", "poor": poor} {
		s := startDovecot(t, dovecottest.Options{CapabilityOverride: capability, Users: []string{"intake"}})
		for i, after := range []string{"move", "keyword", "keep"} {
			t.Run(name+" "+after, func(t *testing.T) {
				folder := fmt.Sprintf("Wejscie%d", i)
				o := newOffice(t, s.Addr)
				o.mailbox.After, o.mailbox.Folders, o.mailbox.Done = after, []string{folder}, "Przyjete/"+after
				want := deliver(t, s, folder, 1, 250)
				c, stop := o.run()
				o.until("taken", func() bool { return o.shelf.count() == 250 && c.Health().Waiting == 0 })
				want = append(want, deliver(t, s, folder, 251, 260)...)
				o.until("more taken", func() bool { return o.shelf.count() == 260 && c.Health().Waiting == 0 })
				stop()
				c, stop = o.run() // a new process
				o.until("looked again", func() bool { return c.Health().Waiting == 0 })
				stop()
				if o.shelf.repeats != 0 {
					t.Errorf("%d taken twice after a restart", o.shelf.repeats)
				}
				o.drawer.m = nil // the cursor is lost
				c, stop = o.run()
				o.until("looked by content", func() bool { return c.Health().Waiting == 0 })
				stop()
				o.shelf.holds(t, want)
				left, done := inFolder(t, s, folder), inFolder(t, s, "Przyjete/"+after)
				switch {
				case after == "move" && name == "rich" && (left != 0 || done != 260),
					after == "move" && name == "poor" && (left != 260 || done != 260), // flagged, copied once
					after != "move" && (left != 260 || done != 0):
					t.Errorf("%d in the folder, %d in the other", left, done)
				}
			})
		}
	}
}

func TestRenumberedFolderIsReadByContent(t *testing.T) {
	for _, after := range []string{"move", "keyword", "keep"} {
		t.Run(after, func(t *testing.T) {
			s := startDovecot(t, dovecottest.Options{})
			o := newOffice(t, s.Addr)
			o.mailbox.After = after
			want := deliver(t, s, "INBOX", 1, 40)
			c, stop := o.run()
			o.until("taken", func() bool { return o.shelf.count() == 40 && c.Health().Waiting == 0 })
			stop()
			// The folder comes back from a backup: other UIDVALIDITY, UIDs from
			// 1 again, so that new mail gets UIDs that old mail had.
			if err := s.Renumber(t.Context(), "intake", "INBOX", 4711); err != nil {
				t.Fatal(err)
			}
			want = append(want, deliver(t, s, "INBOX", 41, 60)...)
			c, stop = o.run()
			o.until("taken", func() bool { return o.shelf.count() == 60 && c.Health().Waiting == 0 })
			if h := c.Health(); h.Code != "uidvalidity" || !strings.Contains(h.Message, "ponumerował") {
				t.Errorf("no alarm: %+v", h)
			}
			stop()
			o.shelf.holds(t, want)
		})
	}
}

// TestRewoundFolder is a server that gives UIDs out a second time under the
// same UIDVALIDITY.
func TestRewoundFolder(t *testing.T) {
	for _, after := range []string{"move", "keyword", "keep"} {
		t.Run(after, func(t *testing.T) {
			s := startDovecot(t, dovecottest.Options{})
			o := newOffice(t, s.Addr)
			o.mailbox.After = after
			want := deliver(t, s, "INBOX", 1, 20)
			c, stop := o.run()
			o.until("taken", func() bool { return o.shelf.count() == 20 && c.Health().Waiting == 0 })
			stop()
			var k cursor
			if _, err := decodeCursor(slices.Collect(maps.Values(o.drawer.m))[0], &k); err != nil {
				t.Fatal(err)
			}
			old, err := s.Files("intake", "INBOX")
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range old[min(5, len(old)):] { // the backup knew five of them
				if err := os.Remove(p); err != nil {
					t.Fatal(err)
				}
			}
			want = append(want, deliver(t, s, "INBOX", 21, 60)...)
			files, err := s.Files("intake", "INBOX")
			if err != nil {
				t.Fatal(err)
			}
			slices.SortFunc(files, func(a, b string) int { return strings.Compare(filepath.Base(a), filepath.Base(b)) })
			if err := s.Rewind(t.Context(), "intake", "INBOX", k.Validity, files); err != nil {
				t.Fatal(err)
			}
			c, stop = o.run()
			o.until("new mail under old UIDs taken", func() bool { return o.shelf.count() == 60 && c.Health().Waiting == 0 })
			stop()
			o.shelf.holds(t, want)
		})
	}
}

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
	list, err := o.channel().Survey(t.Context())
	if err != nil || len(list) != 1 || list[0].Messages != 700 || list[0].Young != 700 || list[0].Problem != "" {
		t.Fatalf("survey: %+v, %v", list, err)
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
