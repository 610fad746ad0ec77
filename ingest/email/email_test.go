package email

import (
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/rs/zerolog"
	"pgregory.net/rapid"

	"sekretariat"
	"sekretariat/configs"
)

func TestNewRefusesWhatNoRepetitionMends(t *testing.T) {
	good := func() Options {
		return Options{Centre: "wschowa", Receiver: newShelf(), Cursors: &drawer{}, Logger: zerolog.Nop(),
			Password: func() (string, error) { return "", nil },
			Mailbox:  configs.Mailbox{Account: configs.Account{ID: "poczta"}, Server: "mail.example.pl:993", User: "u"}}
	}
	c, err := New(good())
	if err != nil || c.Name() != "wschowa/poczta" {
		t.Fatalf("%v, %v", c, err)
	}
	if h := c.Health(); !h.OK || h.Waiting != -1 || h.Code != "starting" {
		t.Errorf("health before the start: %+v", h)
	}
	for want, change := range map[string]func(*Options){
		"id must":             func(o *Options) { o.Mailbox.ID = "Poczta Główna" },
		"centre":              func(o *Options) { o.Centre = "" },
		"all needed":          func(o *Options) { o.Receiver = nil },
		"user is missing":     func(o *Options) { o.Mailbox.User = "" },
		"host:port":           func(o *Options) { o.Mailbox.Server = "mail.example.pl" },
		"only on this":        func(o *Options) { o.Mailbox.TLS = "none" },
		"tls is":              func(o *Options) { o.Mailbox.TLS = "ssl" },
		"auth is":             func(o *Options) { o.Mailbox.Auth = "cram-md5" },
		"after is":            func(o *Options) { o.Mailbox.After = "delete" },
		"named twice":         func(o *Options) { o.Mailbox.Folders = []string{"INBOX", "inbox"} },
		"itself read":         func(o *Options) { o.Mailbox.Folders = []string{"A", "B"}; o.Mailbox.Done = "B" },
		"write a day":         func(o *Options) { o.Mailbox.Since = "1.2.2026" },
		"host:port, for":      func(o *Options) { o.Mailbox.Server = ":993" },
		"mailbox poczta: tls": func(o *Options) { o.Mailbox.TLS = "x" },
	} {
		o := good()
		change(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestCursorComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := newOffice(nil, "127.0.0.1:1")
		c := &Channel{opt: Options{Centre: "c", Mailbox: o.mailbox, Cursors: o.drawer}, log: zerolog.Nop()}
		f := newFolder(c, "INBOX")
		f.known, f.validity = true, rapid.Uint32().Draw(t, "validity")
		f.high = imap.UID(rapid.Uint32Range(0, 100_000).Draw(t, "high"))
		for _, u := range rapid.SliceOfN(rapid.Uint32Range(1, 100_000), 0, 50).Draw(t, "open") {
			if imap.UID(u) <= f.high {
				f.open[imap.UID(u)] = &doubt{}
			}
		}
		f.parked[5] = parked{Reason: sekretariat.ParkOversize, At: noon}
		f.remember([]facts{{uid: 7, size: 3, arrived: noon}})
		if err := f.save(context.Background()); err != nil {
			t.Fatal(err)
		}
		g := newFolder(c, "INBOX")
		if err := g.load(context.Background()); err != nil {
			t.Fatal(err)
		}
		all := func(*doubt) bool { return true }
		if g.validity != f.validity || g.high != f.high || !slices.Equal(g.openNow(all), f.openNow(all)) || g.parked[5] != f.parked[5] || !slices.Equal(g.recent, f.recent) {
			t.Fatalf("%+v became %+v", f, g)
		}
	})
}

// TestCursorWithTooManyRanges skips nothing: what it cannot list is read again.
func TestCursorWithTooManyRanges(t *testing.T) {
	o := newOffice(t, "127.0.0.1:1")
	c := o.channel()
	f := newFolder(c, "INBOX")
	f.high = 100_000
	for u := imap.UID(10); u < 90_000; u += 2 {
		f.open[u] = &doubt{}
	}
	if err := f.save(t.Context()); err != nil {
		t.Fatal(err)
	}
	g := newFolder(c, "INBOX")
	if err := g.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if g.high != 9 || len(g.open) != 0 {
		t.Errorf("high %d with %d open, want everything from 10 on read again", g.high, len(g.open))
	}
}

// FuzzCursor: a damaged cursor is an error or a sane one, never a flood.
func FuzzCursor(f *testing.F) {
	f.Add([]byte(`{"version":1,"validity":7,"high":9,"open":"1:3,5","parked":{"5":{"reason":"oversize","at":"2026-11-20T08:00:00Z"}}}`))
	f.Add([]byte(`{"version":1,"high":4294967295,"open":"1:4294967295"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var k cursor
		open, err := decodeCursor(raw, &k)
		if err == nil && (len(open) > maxCursorOpen || len(open) > 0 && open[len(open)-1] > k.High) {
			t.Fatalf("%d open up to %d", len(open), k.High)
		}
	})
}

func TestHealthNamesTheWorstAndSinceWhen(t *testing.T) {
	now := time.Date(2026, 11, 19, 7, 5, 0, 0, time.UTC)
	h := newHealth(func() time.Time { return now }, []string{"INBOX", "Skargi"})
	h.fine("INBOX", 0, 0)
	h.fine("Skargi", 2, 0)
	if r := h.report(nil); !r.OK || r.Waiting != 2 || r.Message != "" {
		t.Errorf("%+v", r)
	}
	h.failed("Skargi", codeConnect)
	now = now.Add(24 * time.Hour)
	h.failed("Skargi", codeLogin)
	if r := h.report(nil); r.OK || r.Code != "login" || !strings.HasPrefix(r.Message, "Od 19.11.2026, 8:05 poczta nie jest pobierana, sprawdzaj webmail: serwer pocztowy odrzucił hasło.") {
		t.Errorf("%+v", r)
	}
	h.fine("Skargi", 0, 0)
	h.failed("INBOX", codeConnect)
	if r := h.report(nil); !r.OK || r.Message != "" {
		t.Errorf("a moment without connection alarms: %+v", r)
	}
	now = now.Add(blipTime)
	for _, c := range []code{codeConnect, codeCertificate, codePassword, codeLimit, codeFolder, codeProtocol, codeStore} {
		h.failed("INBOX", c)
		if r := h.report(nil); r.OK || r.Code != string(c) || !strings.HasPrefix(r.Message, "Od 8:05 ") {
			t.Errorf("%+v", r)
		}
	}
	h.fine("INBOX", 0, 1)
	h.fine("Skargi", 0, 0)
	if r := h.report(nil); !r.OK || r.Code != "parked" || r.Waiting != 0 {
		t.Errorf("%+v", r)
	}
	h.fine("INBOX", 0, 0)
	h.chain = []life{{"certificate", now.AddDate(-1, 0, 0), now.Add(48 * time.Hour)}}
	if r := h.report(nil); !r.OK || r.Code != "certificate" || !strings.Contains(r.Message, "22.11.2026") {
		t.Errorf("%+v", r)
	}
}

// TestSTARTTLSTakesNothingSentBefore: words of an attacker before encryption
// must not count as the server's after it.
func TestSTARTTLSTakesNothingSentBefore(t *testing.T) {
	for name, says := range map[string][2]string{
		"injected": {"* OK hi\r\n", "a OK go\r\n* PREAUTH done\r\n"},
		"preauth":  {"* PREAUTH welcome\r\n", "a OK go\r\n"},
		"refused":  {"* OK hi\r\n", "a NO not here\r\n"},
		"endless":  {"* OK " + strings.Repeat("x", 100_000), ""},
	} {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			_, _ = io.WriteString(server, says[0]) // ends when the client has heard enough
			b := make([]byte, 100)
			if n, err := server.Read(b); err == nil && string(b[:n]) == "a STARTTLS\r\n" {
				_, _ = io.WriteString(server, says[1])
			}
		}()
		if err := startTLS(&wire{Conn: client, silence: time.Second}); err == nil {
			t.Errorf("%s: accepted", name)
		}
		client.Close()
	}
}
