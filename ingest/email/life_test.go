package email

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/rs/zerolog"

	"sekretariat/configs"
	"sekretariat/ingest/email/dovecottest"
	"sekretariat/ingest/email/oauth"
	"sekretariat/ingest/email/oauth/oauthtest"
)

// newTokens is access to p's mailbox by a refresh token that a person gave.
func newTokens(t *testing.T, p *oauthtest.Provider) *oauth.Source {
	t.Helper()
	s, err := oauth.New(oauth.Options{
		Config: configs.OAuth{Provider: "other", Flow: "refresh", ClientID: oauthtest.ClientID, TokenURL: p.URL + "/token", AuthURL: p.URL + "/auth"},
		User:   p.User, File: filepath.Join(t.TempDir(), "token.json"), Logger: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// person logs in at the provider and agrees.
type person struct{ p *oauthtest.Provider }

func (person) ShowCode(string, string) {}

func (m person) AskForAddress(_ context.Context, open string) (string, error) {
	return m.p.Browse(open)
}

// TestOAuth runs both mechanisms against a real server that asks the provider
// about each token: a refusal of the provider is told and waits for a person, a
// token that was taken back before its time is replaced at once.
func TestOAuth(t *testing.T) {
	for _, auth := range []string{"xoauth2", "oauthbearer"} {
		t.Run(auth, func(t *testing.T) {
			p := oauthtest.New("intake")
			defer p.Close()
			s := startDovecot(t, dovecottest.Options{Introspection: p.URL + "/introspect"})
			o := newOffice(t, s.Addr)
			o.mailbox.Auth = auth
			tokens := newTokens(t, p)
			o.tokens = tokens
			want := deliver(t, s, "INBOX", 1, 5)
			c, stop := o.run()
			o.until("told that nobody authorised", func() bool { return c.Health().Code == "token" })
			if m := c.Health().Message; !strings.Contains(m, "poczta nie jest pobierana, sprawdzaj webmail") || !strings.Contains(m, "mailbox authorize") {
				t.Errorf("message: %s", m)
			}
			if err := tokens.Authorize(t.Context(), person{p}); err != nil {
				t.Fatal(err)
			}
			o.until("taken after the authorisation", func() bool { return o.shelf.count() == 5 && c.Health().OK })
			stop()

			// The provider takes access tokens back, as after a changed password.
			p.Lock()
			given := p.Given
			p.ForgetAccess()
			p.Unlock()
			want = append(want, deliver(t, s, "INBOX", 6, 9)...)
			c, stop = o.run()
			o.until("taken again", func() bool { return o.shelf.count() == 9 && c.Health().OK })
			stop()
			o.shelf.holds(t, want)
			if p.Given != given+1 {
				t.Errorf("%d tokens given, want one more than %d", p.Given, given)
			}

			p.Revoke()
			asked := func() int { p.Lock(); defer p.Unlock(); return p.Asked }
			o.tune.refused = [2]time.Duration{time.Hour, time.Hour}
			c, stop = o.run()
			o.until("revocation told", func() bool { return c.Health().Code == "token" })
			n := asked()
			time.Sleep(200 * time.Millisecond) // several of the quick back-offs
			if asked() != n {
				t.Errorf("a provider that refused is asked again and again")
			}
			if err := tokens.Authorize(t.Context(), person{p}); err != nil {
				t.Fatal(err)
			}
			o.until("well again", func() bool { return c.Health().OK })
			stop()
		})
	}
}

// TestProviderAwayIsNoRefusal: the mailbox goes on when the provider is back.
func TestProviderAwayIsNoRefusal(t *testing.T) {
	p := oauthtest.New("intake")
	defer p.Close()
	s := startDovecot(t, dovecottest.Options{Introspection: p.URL + "/introspect"})
	o := newOffice(t, s.Addr)
	o.mailbox.Auth = "xoauth2"
	tokens := newTokens(t, p)
	if err := tokens.Authorize(t.Context(), person{p}); err != nil {
		t.Fatal(err)
	}
	access, err := tokens.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tokens.Forget(access) // a new one has to be asked for
	o.tokens = tokens
	p.Lock()
	p.Status = 503
	p.Unlock()
	want := deliver(t, s, "INBOX", 1, 3)
	c, stop := o.run()
	o.until("tried", func() bool { p.Lock(); defer p.Unlock(); return p.Asked > 3 })
	if h := c.Health(); h.Code == "token" {
		t.Errorf("health %+v", h)
	}
	p.Lock()
	p.Status = 0
	p.Unlock()
	o.until("taken", func() bool { return o.shelf.count() == 3 })
	stop()
	o.shelf.holds(t, want)
}

// fingerprint is the digest of the certificate in a file.
func fingerprint(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(raw)
	if _, err := x509.ParseCertificate(block.Bytes); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(block.Bytes)
	return hex.EncodeToString(sum[:])
}

func TestPins(t *testing.T) {
	s := startDovecot(t, dovecottest.Options{})
	right := fingerprint(t, filepath.Join(filepath.Dir(s.CA), "cert.pem"))
	wrong := strings.Repeat("ab", 32)
	want := deliver(t, s, "INBOX", 1, 2)
	for _, c := range []struct {
		name string
		pins []string
		ca   string
		ok   bool
	}{
		{"neither", nil, "", false}, {"pin alone", []string{wrong, right}, "", true}, {"pin of another", []string{wrong}, "", false},
		{"pin and CA", []string{right}, s.CA, true}, {"CA right, pin wrong", []string{wrong}, s.CA, false},
	} {
		o := newOffice(t, s.TLSAddr)
		o.mailbox.TLS, o.mailbox.CA, o.mailbox.Pins, o.mailbox.After = "implicit", c.ca, c.pins, "keep"
		ch, stop := o.run()
		if c.ok {
			o.until(c.name, func() bool { return o.shelf.count() == 2 })
			if e := ch.Health().Expires; len(e) == 0 || e[0].What != "certificate" && e[0].What != "ca" || e[0].Stage != 0 {
				t.Errorf("%s: expires %+v", c.name, e)
			}
			if f := ch.Health().Figures["server_certificate_expires_seconds"]; time.Unix(int64(f), 0).Before(time.Now()) {
				t.Errorf("%s: figure %v", c.name, f)
			}
		} else {
			o.until(c.name, func() bool { return ch.Health().Code == "certificate" })
		}
		stop()
		if c.ok {
			o.shelf.holds(t, want)
		} else if o.shelf.count() != 0 {
			t.Errorf("%s: mail was taken", c.name)
		}
	}
}

// TestCertificateWarnings: 60, 30 and 7 days ahead, and not for certificates
// that are renewed every few weeks as a matter of course.
func TestCertificateWarnings(t *testing.T) {
	now := noon
	h := newHealth(func() time.Time { return now }, []string{"INBOX"})
	h.fine("INBOX", 0, 0)
	day := 24 * time.Hour
	for _, c := range []struct {
		life, left time.Duration
		stage      int
		says       string
	}{
		{365 * day, 61 * day, 0, ""}, {365 * day, 59 * day, 60, "zostało dni: 59"}, {365 * day, 29 * day, 30, "zostało dni: 29"},
		{365 * day, 6 * day, 7, "zostało dni: 6"}, {365 * day, -time.Hour, -1, "stracił ważność"},
		{90 * day, 29 * day, 0, ""}, {90 * day, 14 * day, 30, "zostało dni: 14"},
	} {
		h.chain = []life{{"certificate", now.Add(c.left - c.life), now.Add(c.left)}}
		r := h.report(nil)
		if !r.OK || r.Expires[0].Stage != c.stage || !strings.Contains(r.Message, c.says) || (c.says == "") != (r.Message == "") {
			t.Errorf("%s of %s left: %+v", c.left, c.life, r)
		}
	}
}

func TestJunkFolderIsRead(t *testing.T) {
	for name, opt := range map[string]dovecottest.Options{
		"special use":  {Junk: "Niepotrzebne"},
		"by name":      {},
		"poor server":  {CapabilityOverride: "IMAP4rev1"},
		"with prefix":  {Junk: "INBOX.Niepotrzebne", Prefix: "INBOX.", Separator: "."},
		"one login":    {Junk: "Niepotrzebne", MaxConnections: 1},
		"two folders":  {Junk: "Niepotrzebne"},
		"by its name":  {},
		"after keep":   {Junk: "Niepotrzebne"},
		"switched off": {Junk: "Niepotrzebne"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if opt.Prefix != "" {
				opt.Junk = "Niepotrzebne"
			}
			s := startDovecot(t, opt)
			o := newOffice(t, s.Addr)
			o.mailbox.Junk = "auto"
			o.tune.junk = 30 * time.Millisecond
			folder := "Niepotrzebne"
			if opt.Junk == "" {
				folder = "Spam"
			}
			switch name {
			case "by its name":
				folder, o.mailbox.Junk = "Kosz na reklamy", "Kosz na reklamy"
			case "after keep":
				o.mailbox.After = "keep"
			case "switched off":
				o.mailbox.Junk = "off"
			case "two folders":
				o.mailbox.Folders = []string{"INBOX", "Skargi"}
				deliver(t, s, "Skargi", 900, 900)
			}
			good := deliver(t, s, "INBOX", 1, 10)
			bad := deliver(t, s, folder, 11, 20)
			if name == "two folders" {
				good = append(good, letter(900))
			}
			c, stop := o.run()
			want := append(good, bad...)
			if name == "switched off" {
				want = good
			}
			o.until("taken", func() bool { return o.shelf.count() == len(want) && c.Health().Waiting == 0 })
			more := deliver(t, s, folder, 21, 22)
			more = append(more, deliver(t, s, "INBOX", 23, 24)...)
			if name == "switched off" {
				more = more[2:]
			}
			want = append(want, more...)
			o.until("later ones taken", func() bool { return o.shelf.count() == len(want) })
			stop()
			c, stop = o.run() // a new process finds nothing new
			o.until("looked again", func() bool { return c.Health().Waiting == 0 })
			stop()
			o.shelf.holds(t, want)
			if n := inFolder(t, s, folder); n != 12 {
				t.Errorf("%d left in the folder for spam, want all 12", n)
			}
			junk := 0
			for id, b := range o.shelf.bodies {
				if o.shelf.junk[id] {
					junk++
					if !strings.Contains(string(b), "sprawa 1") && !strings.Contains(string(b), "sprawa 2") {
						t.Errorf("marked as junk: %.80s", b)
					}
				}
			}
			if name == "switched off" && junk != 0 || name != "switched off" && junk != 12 {
				t.Errorf("%d marked as junk", junk)
			}
		})
	}
}

func TestMissingJunkFolderHoldsNothingUp(t *testing.T) {
	s := startDovecot(t, dovecottest.Options{})
	o := newOffice(t, s.Addr)
	o.mailbox.Junk = "auto"
	want := deliver(t, s, "INBOX", 1, 3)
	c, stop := o.run()
	o.until("taken", func() bool { return o.shelf.count() == 3 && c.Health().Waiting == 0 })
	if h := c.Health(); !h.OK || h.Message != "" {
		t.Errorf("health %+v", h)
	}
	stop()
	o.mailbox.Junk = "Nie ma"
	want = append(want, deliver(t, s, "INBOX", 4, 5)...)
	c, stop = o.run()
	o.until("taken and told", func() bool { return o.shelf.count() == 5 && c.Health().Code == "folder" })
	if m := c.Health().Message; !strings.Contains(m, "spam") || !strings.Contains(m, "pozostała poczta jest pobierana") {
		t.Errorf("message: %s", m)
	}
	stop()
	o.shelf.holds(t, want)
}

// TestUnreadableListOfFolders: go-imap falls over a folder's name; mail is taken
// all the same, and the list is not asked for again and again.
func TestUnreadableListOfFolders(t *testing.T) {
	s := newScripted(t, "MOVE UIDPLUS SPECIAL-USE LIST-EXTENDED", 5)
	lists := 0
	s.bendWith(func(tag, command string) (string, bool) {
		if !strings.HasPrefix(command, `LIST`) || !strings.Contains(command, "*") {
			return "", false
		}
		lists++
		return "* LIST (\\HasNoChildren) \"/\" \"&AbC\x01(\"\r\n* LIST oops\r\n" + tag + " OK done\r\n", true
	})
	o := newOffice(t, s.addr)
	o.mailbox.Junk = "auto"
	c, stop := o.run()
	o.until("taken", func() bool { return o.shelf.count() == 5 && c.Health().Waiting == 0 })
	stop()
	o.shelf.holds(t, letters(1, 5))
	s.stop() // the server asks no more
	if lists != 1 {
		t.Errorf("the list was asked for %d times", lists)
	}
}

// TestRenamedFolderIsNamed: somebody renames a folder in the webmail; the clerk
// reads what it is called now, and mail goes on when it is named back.
func TestRenamedFolderIsNamed(t *testing.T) {
	s := startDovecot(t, dovecottest.Options{})
	o := newOffice(t, s.Addr)
	o.mailbox.Folders = []string{"Urząd"}
	other := client(t, s.Addr)
	if err := other.Create("Urząd", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	put := func(n int) {
		t.Helper()
		cmd := other.Append("Urząd", int64(len(letter(n))), &imap.AppendOptions{Time: noon})
		if _, err := cmd.Write(letter(n)); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	put(1)
	c, stop := o.run()
	o.until("taken", func() bool { return o.shelf.count() == 1 && c.Health().OK && c.Health().Waiting == 0 })
	if err := other.Rename("Urząd", "Urząd 2026", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	stop() // the session had the folder open; a new one has to open it by name
	c, stop = o.run()
	o.until("told", func() bool { return strings.Contains(c.Health().Message, "„Urząd 2026”") })
	if h := c.Health(); h.OK || h.Code != "folder" || h.Since.IsZero() {
		t.Errorf("health %+v", h)
	}
	if err := other.Rename("Urząd 2026", "Urząd", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	put(2)
	o.until("taken again", func() bool { return o.shelf.count() == 2 && c.Health().OK })
	stop()
	o.shelf.holds(t, [][]byte{letter(1), letter(2)})
}

// TestTwoMailboxesOfACentre: each has its own cursor, health and submissions;
// the same mail in both is two deliveries with the same content digest.
func TestTwoMailboxesOfACentre(t *testing.T) {
	s := startDovecot(t, dovecottest.Options{Users: []string{"intake", "druga"}})
	a, b := newOffice(t, s.Addr), newOffice(t, s.Addr)
	b.shelf, b.drawer = a.shelf, a.drawer
	b.mailbox.ID, b.mailbox.User, b.mailbox.Address = "druga", "druga", "druga@mops.example"
	for n := range 10 {
		for _, user := range []string{"intake", "druga"} {
			if err := s.Deliver(user, "INBOX", letter(n), noon); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, stopA := a.run()
	cb, stopB := b.run()
	a.until("both taken", func() bool { return a.shelf.count() == 20 && cb.Health().Waiting == 0 })
	b.mu.Lock()
	b.password = "inne"
	b.mu.Unlock()
	stopA()
	stopB()
	contents := map[string]int{}
	for _, d := range a.shelf.contents {
		contents[string(d)]++
	}
	if len(contents) != 10 {
		t.Errorf("%d contents", len(contents))
	}
	for d, n := range contents {
		if n != 2 {
			t.Errorf("content %.12s came %d times", d, n)
		}
	}
	ca, stopA := a.run()
	cb, stopB = b.run()
	a.until("one refused, the other fine", func() bool { return ca.Health().Waiting == 0 && cb.Health().Code == "login" })
	if h := ca.Health(); !h.OK {
		t.Errorf("health of the good one: %+v", h)
	}
	if !strings.HasPrefix(fmt.Sprint(cb.Health().Message), "Od ") {
		t.Errorf("health of the other: %+v", cb.Health())
	}
	stopA()
	stopB()
}
