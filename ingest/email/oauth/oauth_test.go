package oauth

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sekretariat/configs"
	"sekretariat/ingest/email/oauth/oauthtest"
)

func provider(t *testing.T) *oauthtest.Provider {
	p := oauthtest.New("poczta@mops.example")
	t.Cleanup(func() {
		p.Close()
		if len(p.Broken) > 0 {
			t.Errorf("the provider was asked wrongly: %q", p.Broken)
		}
	})
	return p
}

// source uses p by a refresh token in a temporary folder.
func source(t *testing.T, p *oauthtest.Provider, change func(*Options)) *Source {
	t.Helper()
	o := Options{
		Config: configs.OAuth{Provider: "other", Flow: "refresh", ClientID: oauthtest.ClientID, TokenURL: p.URL + "/token"},
		User:   p.User, File: filepath.Join(t.TempDir(), "token.json"), Logger: zerolog.Nop(),
	}
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func seed(t *testing.T, s *Source, token string) {
	t.Helper()
	if err := (&kept{Version: keptVersion, Refresh: token, Authorised: s.o.Clock(), Used: s.o.Clock()}).save(s.o.File); err != nil {
		t.Fatal(err)
	}
}

func secretFile(t *testing.T, content string) configs.Secret {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(content+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return configs.Secret{File: path}
}

func TestReplacedRefreshTokenIsKept(t *testing.T) {
	p := provider(t)
	p.Life = time.Minute // less than early: asked for again each time
	s := source(t, p, nil)
	seed(t, s, p.Authorise())
	mark := s.Mark()
	for range 5 {
		if _, err := s.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		s = source(t, p, func(o *Options) { o.File = s.o.File }) // a new process each time
	}
	st, err := os.Stat(s.o.File)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	if s.Mark() != mark {
		t.Error("a replaced token looks like a new authorisation")
	}
	if p.Given != 5 {
		t.Errorf("%d tokens given", p.Given)
	}
}

func TestTokenIsAskedForOnceWhileItIsGood(t *testing.T) {
	p := provider(t)
	now := time.Now()
	var mu sync.Mutex
	s := source(t, p, func(o *Options) {
		o.Clock = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	})
	seed(t, s, p.Authorise())
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := s.Token(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if p.Given != 1 {
		t.Errorf("%d tokens given, want 1", p.Given)
	}
	mu.Lock()
	now = now.Add(59 * time.Minute)
	mu.Unlock()
	if _, err := s.Token(t.Context()); err != nil || p.Given != 2 {
		t.Errorf("%v, %d given: want a new one just before the end", err, p.Given)
	}
}

// TestAnswerThatWasCutOff: the provider replaced the token, and the answer or
// the process died: the one before is tried as long as the new one has not
// proved itself.
func TestPreviousTokenIsTriedBeforeGivingUp(t *testing.T) {
	p := provider(t)
	s := source(t, p, nil)
	good := p.Authorise()
	k := &kept{Version: keptVersion, Refresh: "never given", Previous: good, Authorised: time.Now(), Used: time.Now()}
	if err := k.save(s.o.File); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Token(t.Context()); err != nil {
		t.Fatal(err)
	}
	again, err := load(s.o.File)
	if err != nil || again.Refresh == good || again.Refresh == "never given" {
		t.Errorf("%+v, %v", again, err)
	}
}

func TestRefusalIsToldFromTrouble(t *testing.T) {
	p := provider(t)
	s := source(t, p, nil)
	if _, err := s.Token(t.Context()); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "mailbox authorize") {
		t.Errorf("never authorised: %v", err)
	}
	seed(t, s, p.Authorise())
	p.Status = 503
	if _, err := s.Token(t.Context()); err == nil || errors.Is(err, ErrRefused) {
		t.Errorf("provider away: %v", err)
	}
	p.Status = 0
	p.Revoke()
	_, err := s.Token(t.Context())
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "invalid_grant AADSTS700082") || strings.Contains(err.Error(), "jan@") {
		t.Errorf("revoked: %v", err)
	}
	p.Close()
	if _, err := s.Token(t.Context()); err == nil || errors.Is(err, ErrRefused) {
		t.Errorf("provider gone: %v", err)
	}
}

func TestFullDiskDoesNotLoseTheToken(t *testing.T) {
	p := provider(t)
	p.Life = time.Minute
	s := source(t, p, nil)
	seed(t, s, p.Authorise())
	p.BeforeAnswer = func() { // the file cannot be written from now on
		p.BeforeAnswer = nil
		if err := errors.Join(os.Remove(s.o.File), os.Mkdir(s.o.File, 0o700)); err != nil {
			t.Error(err)
		}
	}
	for range 3 {
		if _, err := s.Token(t.Context()); err != nil || s.unsaved == nil {
			t.Fatalf("%v, unsaved %v", err, s.unsaved)
		}
	}
	if err := os.Remove(s.o.File); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Token(t.Context()); err != nil || s.unsaved != nil {
		t.Fatalf("%v, unsaved %v", err, s.unsaved)
	}
	s = source(t, p, func(o *Options) { o.File = s.o.File })
	if _, err := s.Token(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestClientCredentials(t *testing.T) {
	p := provider(t)
	file := secretFile(t, "wrong")
	s := source(t, p, func(o *Options) { o.Config.Flow, o.Config.ClientSecret, o.File = "client", file, "" })
	if _, err := s.Token(t.Context()); !errors.Is(err, ErrRefused) {
		t.Fatalf("wrong secret: %v", err)
	}
	mark := s.Mark()
	if err := configs.ReplaceFile(file.File, []byte(oauthtest.ClientSecret+"\n")); err != nil {
		t.Fatal(err)
	}
	if s.Mark() == mark {
		t.Error("a new secret is not seen")
	}
	if _, err := s.Token(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestServiceAccount(t *testing.T) {
	p := provider(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "robot@project.example", "private_key_id": "1",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	if err != nil {
		t.Fatal(err)
	}
	s := source(t, p, func(o *Options) {
		o.Config.Provider, o.Config.Flow, o.Config.ServiceAccount = "google", "client", secretFile(t, string(file))
	})
	if _, err := s.Token(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.Status = 400
	s.token = nil
	if _, err := s.Token(t.Context()); err == nil {
		t.Error("refused without a word and accepted")
	}
}

// person answers as somebody at a browser would.
type person struct {
	p             *oauthtest.Provider
	address, code string
	spoil         func(string) string
}

func (m *person) ShowCode(address, code string) { m.address, m.code = address, code }

func (m *person) AskForAddress(_ context.Context, open string) (string, error) {
	end, err := m.p.Browse(open)
	if m.spoil != nil {
		end = m.spoil(end)
	}
	return end, err
}

func TestAuthorizeByCode(t *testing.T) {
	p := provider(t)
	p.Undecided, p.RefreshLife = 1, 20*24*time.Hour
	s := source(t, p, func(o *Options) { o.Config.DeviceURL = p.URL + "/device" })
	m := &person{p: p}
	if err := s.Authorize(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if m.code != oauthtest.UserCode || m.address != p.URL+"/kod" {
		t.Errorf("%+v", m)
	}
	if e := s.Expires(); len(e) != 1 || e[0].What != "token" || e[0].Stage != 30 {
		t.Errorf("expires %+v", e)
	}
	s = source(t, p, func(o *Options) { o.File = s.o.File })
	if _, err := s.Token(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestAuthorizeByBrowser(t *testing.T) {
	p := provider(t)
	s := source(t, p, func(o *Options) { o.Config.AuthURL = p.URL + "/auth" })
	for name, spoil := range map[string]func(string) string{
		"another attempt": func(string) string { return redirect + "?code=abc&state=old" },
		"refused":         func(string) string { return redirect + "?error=access_denied" },
		"no address":      func(string) string { return "\x7f" },
		"without code":    func(a string) string { return strings.Replace(a, "code=", "kod=", 1) },
	} {
		if err := s.Authorize(t.Context(), &person{p: p, spoil: spoil}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := s.Authorize(t.Context(), &person{p: p}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Token(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestKnownProviders(t *testing.T) {
	for _, c := range []struct {
		config     configs.OAuth
		url, scope string
		device     bool
	}{
		{configs.OAuth{Provider: "microsoft", Tenant: "mops.example", Flow: "client"}, "https://login.microsoftonline.com/mops.example/oauth2/v2.0/token", "https://outlook.office365.com/.default", true},
		{configs.OAuth{Provider: "microsoft", Tenant: "mops.example", Flow: "refresh"}, "https://login.microsoftonline.com/mops.example/oauth2/v2.0/token", "https://outlook.office.com/IMAP.AccessAsUser.All offline_access", true},
		{configs.OAuth{Provider: "google", Flow: "refresh"}, "https://oauth2.googleapis.com/token", "https://mail.google.com/", false},
	} {
		s := &Source{o: Options{Config: c.config}}
		e := s.endpoint()
		if e.TokenURL != c.url || strings.Join(s.scopes(), " ") != c.scope || (e.DeviceAuthURL != "") != c.device {
			t.Errorf("%+v: %+v, %v", c.config, e, s.scopes())
		}
	}
}

func TestCountdowns(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	s := source(t, provider(t), func(o *Options) {
		o.Clock = func() time.Time { return now }
		o.Config.Provider, o.Config.SecretExpires = "microsoft", "2026-12-05"
	})
	seed(t, s, "x")
	now = now.Add(85 * 24 * time.Hour)
	e := s.Expires()
	if len(e) != 2 || e[0].What != "token" || e[0].Stage != 7 || e[0].Days(now) != 5 || e[1].What != "client-secret" || e[1].Stage != -1 {
		t.Errorf("%+v", e)
	}
}

// TestKilledWhileTheTokenIsReplaced kills the process when the provider has
// replaced the token, at any later moment: afterwards there is always a token
// that the provider takes, as long as it takes the one before once more, as
// Microsoft does. The file is never half a file.
func TestKilledWhileTheTokenIsReplaced(t *testing.T) {
	if file := os.Getenv("OAUTH_CHILD_FILE"); file != "" {
		child(file)
	}
	p := provider(t)
	p.Life = time.Minute
	s := source(t, p, nil)
	seed(t, s, p.Authorise())
	for round := range 30 {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestKilledWhileTheTokenIsReplaced$")
		cmd.Env = append(os.Environ(), "OAUTH_CHILD_FILE="+s.o.File, "OAUTH_CHILD_URL="+p.URL)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var answered sync.Once
		replaced := make(chan struct{})
		p.Lock()
		p.BeforeAnswer = func() { answered.Do(func() { close(replaced) }) }
		p.Unlock()
		<-replaced
		time.Sleep(time.Duration(round) * 100 * time.Microsecond) // somewhere between answer and the next request
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // says that it was killed
		p.Lock()
		p.BeforeAnswer = nil
		p.Unlock()
		if _, err := load(s.o.File); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if left, err := filepath.Glob(filepath.Join(filepath.Dir(s.o.File), ".new-*")); err == nil && len(left) > round+1 {
			t.Fatalf("round %d: %d left-overs", round, len(left))
		}
		// What the file holds was given by the provider, and at most the last
		// answer is missing.
		if k, err := load(s.o.File); err != nil || !p.Gave(k.Refresh) {
			t.Fatalf("round %d: a token that was never given: %v", round, err)
		}
		p.Allow(s.latest(t))
	}
}

// latest is the token that a new process would use.
func (s *Source) latest(t *testing.T) string {
	t.Helper()
	k, err := load(s.o.File)
	if err != nil {
		t.Fatal(err)
	}
	return k.Refresh
}

func child(file string) {
	s, err := New(Options{
		Config: configs.OAuth{Provider: "other", Flow: "refresh", ClientID: oauthtest.ClientID, TokenURL: os.Getenv("OAUTH_CHILD_URL") + "/token"},
		File:   file, Logger: zerolog.Nop(),
	})
	for err == nil {
		_, err = s.Token(context.Background())
	}
	os.Exit(3)
}
