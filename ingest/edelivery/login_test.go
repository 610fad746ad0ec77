package edelivery

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sekretariat/ingest"
	"sekretariat/ingest/edelivery/edeliverytest"
)

// One token serves many rounds; when it ends, also in the middle of a message,
// a new one is got and nothing is lost.
func TestTokenIsUsedAgainAndRenewed(t *testing.T) {
	f := newOffice(t, edeliverytest.Options{})
	c := f.channel(t)
	for range 5 {
		f.put(t, edeliverytest.Message{Subject: "Pismo"})
		round(t, c)
	}
	if n := f.Count("token"); n != 1 {
		t.Errorf("%d tokens for five rounds, want one", n)
	}
	var downloads atomic.Int32
	f.SetChaos(func(op string) edeliverytest.Fault {
		return edeliverytest.Fault{Expire: strings.Contains(op, "download") && downloads.Add(1) == 1}
	})
	f.put(t, edeliverytest.Message{Attachments: []edeliverytest.Attachment{
		{Name: "a.txt", Content: []byte("a")}, {Name: "b.txt", Content: []byte("b")},
	}})
	round(t, c)
	if n := f.Count("token"); n != 2 {
		t.Errorf("%d tokens after one ended, want two", n)
	}
	if got := f.memory.all(); len(got) != 6 || len(attachments(t, got[5].body)) != 2 {
		t.Errorf("%d messages taken", len(got))
	}
}

// A token is renewed before it ends.
func TestTokenIsRenewedEarly(t *testing.T) {
	now := time.Now()
	f := newOffice(t, edeliverytest.Options{Clock: func() time.Time { return now }})
	c := f.channel(t)
	round(t, c)
	now = now.Add(269 * time.Second)
	round(t, c)
	if n := f.Count("token"); n != 1 {
		t.Errorf("%d tokens, want one: 31 s are left", n)
	}
	now = now.Add(2 * time.Second)
	round(t, c)
	if n := f.Count("token"); n != 2 {
		t.Errorf("%d tokens, want two: less than 30 s were left", n)
	}
	if end := c.Health().Figures[FigureToken]; end != float64(now.Add(300*time.Second).Unix()) {
		t.Errorf("the figure says that the token ends %v", end)
	}
}

// An EC key signs with ES256; x5c and client_id may be asked for, and the
// certificate in TLS.
func TestWaysToLogIn(t *testing.T) {
	pair, err := edeliverytest.NewPair("ec", time.Now())
	must(t, err)
	for name, set := range map[string]func(*Options){
		"plain": func(*Options) {}, "x5c": func(o *Options) { o.Account.X5C = true },
		"client_id": func(o *Options) { o.Account.SendClientID = true }, "escape": func(o *Options) { o.Account.Escape = true },
	} {
		t.Run(name, func(t *testing.T) {
			f := newOffice(t, edeliverytest.Options{})
			f.Register(ade, "SEKRETARIAT", pair.Parsed)
			f.options.Certificate, f.options.Key = pair.Cert, pair.Key
			set(&f.options)
			f.put(t, edeliverytest.Message{})
			round(t, f.channel(t))
			if len(f.memory.all()) != 1 {
				t.Error("nothing taken")
			}
		})
	}
}

// With mtls the certificate is presented in TLS, and the server's certificate
// is checked against ca.
func TestMutualTLS(t *testing.T) {
	keys, err := system()
	must(t, err)
	f := newOffice(t, edeliverytest.Options{})
	s, err := f.StartTLS(keys.Parsed)
	must(t, err)
	defer s.Close()
	f.options.Account = account(s)
	f.options.Account.CA = filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(f.options.Account.CA, s.CA, 0o600))
	f.put(t, edeliverytest.Message{})
	if _, err := f.channel(t).round(t.Context()); codeOf(err) != codeConnect {
		t.Fatalf("without a certificate: %v", err)
	}
	f.options.Account.MTLS = true
	round(t, f.channel(t))
	f.options.Account.CA = ""
	_, err = f.channel(t).round(t.Context())
	var unknown *tls.CertificateVerificationError
	if !asError(err, &unknown) {
		t.Errorf("an unknown server was trusted: %v", err)
	}
}

// What is wrong with the login is said, and nothing else happens.
func TestLoginRefused(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(*office)
		code code
	}{
		"other key": {func(f *office) {
			pair, err := edeliverytest.NewPair("ec", time.Now())
			must(t, err)
			f.options.Certificate, f.options.Key = pair.Cert, pair.Key
		}, codeLogin},
		"other system": {func(f *office) { f.options.Account.ClientID = ade + ".SYSTEM.INNY" }, codeLogin},
		"no key":       {func(f *office) { f.options.Key = []byte("x") }, codeCertificate},
		"redirect":     {func(f *office) { f.SetChaos(always(edeliverytest.Fault{Status: 302})) }, codeMoved},
		"maintenance":  {func(f *office) { f.SetChaos(always(edeliverytest.Fault{Status: 503})) }, codePlatform},
		"page":         {func(f *office) { f.SetChaos(always(edeliverytest.Fault{Page: true})) }, codePlatform},
		"cut":          {func(f *office) { f.SetChaos(always(edeliverytest.Fault{Cut: -1})) }, codeConnect},
		"too often":    {func(f *office) { f.SetChaos(always(edeliverytest.Fault{Status: 429, RetryAfter: 7})) }, codeLimit},
	} {
		t.Run(name, func(t *testing.T) {
			f := lenient(t, edeliverytest.Options{})
			c.set(f)
			f.put(t, edeliverytest.Message{})
			ch := f.channel(t)
			_, err := ch.round(t.Context())
			if codeOf(err) != c.code {
				t.Fatalf("code %q, want %q: %v", codeOf(err), c.code, err)
			}
			ch.status.set(codeOf(err))
			h := ch.Health()
			if h.OK || h.Code != string(c.code) || !strings.Contains(h.Message, "e-Doręcze") {
				t.Errorf("health %+v", h)
			}
			if c.code == codeLimit && ch.delay(1, afterOf(err), false) < 7*time.Second {
				t.Error("the provider asked to wait 7 s, and we do not")
			}
			if strings.Contains(err.Error(), ade) {
				t.Errorf("the error names the mailbox: %v", err)
			}
			if len(f.memory.all()) != 0 {
				t.Error("something was taken")
			}
		})
	}
}

// Clocks that differ are found out about and corrected.
func TestClocksDiffer(t *testing.T) {
	for _, skew := range []time.Duration{-20 * time.Minute, 20 * time.Minute} {
		f := lenient(t, edeliverytest.Options{})
		f.options.Clock = func() time.Time { return time.Now().Add(skew) }
		f.put(t, edeliverytest.Message{})
		c := f.channel(t)
		rounds(t, c, "the message is taken", func() bool { return len(f.memory.all()) == 1 })
		if h := c.Health(); h.Code != "clock" || !strings.Contains(h.Message, "20 min") {
			t.Errorf("health %+v", h)
		}
	}
}

// What the token says of our rights is told before anything is refused, and an
// API that refuses its own token is a refused login.
func TestRights(t *testing.T) {
	f := newOffice(t, edeliverytest.Options{Scopes: []string{"read_settings"}})
	c := f.channel(t)
	_, err := c.round(t.Context())
	if codeOf(err) != codeRefused {
		t.Errorf("code %q: %v", codeOf(err), err)
	}
	f = newOffice(t, edeliverytest.Options{})
	f.SetChaos(func(op string) edeliverytest.Fault {
		if op == "token" {
			return edeliverytest.Fault{}
		}
		return edeliverytest.Fault{Status: 401}
	})
	c = f.channel(t)
	if _, err := c.round(t.Context()); codeOf(err) != codeLogin {
		t.Errorf("code %q: %v", codeOf(err), err)
	}
	if n := f.Count("token"); n != 2 {
		t.Errorf("%d tokens, want two: a refused one is renewed once", n)
	}
}

// A certificate that ends soon is told of in time.
func TestCertificateEnds(t *testing.T) {
	f := newOffice(t, edeliverytest.Options{})
	pair, err := edeliverytest.NewPair("ec", time.Now().AddDate(0, -5, 0))
	must(t, err)
	f.Register(ade, "SEKRETARIAT", pair.Parsed)
	f.options.Certificate, f.options.Key = pair.Cert, pair.Key
	c := f.channel(t)
	round(t, c)
	c.status.set(codeOK)
	h := c.Health()
	if !h.OK || h.Code != string(codeCertificate) || !strings.Contains(h.Message, "straci ważność") {
		t.Errorf("health %+v", h)
	}
	if h.Figures[ingest.FigureCertificate] != float64(pair.Parsed.NotAfter.Unix()) {
		t.Errorf("figures %v", h.Figures)
	}
}

func always(f edeliverytest.Fault) func(string) edeliverytest.Fault {
	return func(string) edeliverytest.Fault { return f }
}

// lenient is an office whose platform may be asked for what it refuses.
func lenient(t testing.TB, o edeliverytest.Options) *office {
	t.Helper()
	f := newOffice(t, o)
	f.forgive = true
	return f
}

// Claims of other mailboxes are not ours.
func TestClaims(t *testing.T) {
	c := claims{}
	c.Authorization.Permissions = append(c.Authorization.Permissions,
		struct {
			Name   string   `json:"rsname"`
			Scopes []string `json:"scopes"`
		}{"ADE." + ade, []string{"read_messages"}},
		struct {
			Name   string   `json:"rsname"`
			Scopes []string `json:"scopes"`
		}{"ADE.AE:PL-00000-00014-AAAAA-05", []string{"write_messages"}},
		struct {
			Name   string   `json:"rsname"`
			Scopes []string `json:"scopes"`
		}{"ADE.77.INBOX", []string{"read_settings"}})
	if got := c.rights(ade); !slices.Equal(got, []string{"read_messages", "read_settings"}) {
		t.Errorf("rights %v", got)
	}
	for _, bad := range []string{"", "a.b", "a.!.c", "a.e30.c", "x.W10.y"} {
		if got := claimsOf(bad).rights(ade); got != nil {
			t.Errorf("claims of %q: %v", bad, got)
		}
	}
}
