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
	o.until("601 moved", func() bool { return inFolder(t, s, DefaultDone) == 601 && inFolder(t, s, "INBOX") == 0 })
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
