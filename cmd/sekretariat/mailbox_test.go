package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"sekretariat/configs"
	"sekretariat/desk/api"
	"sekretariat/ingest/email/dovecottest"
	"sekretariat/ingest/email/oauth/oauthtest"
)

func startDovecot(t *testing.T, o dovecottest.Options) *dovecottest.Server {
	t.Helper()
	s, err := dovecottest.Start(t.Context(), o)
	if errors.Is(err, dovecottest.ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// lines is a log that grows.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// running is a service in this process, with one centre and the API.
type running struct {
	t      *testing.T
	config string
	desk   string
	log    *lines
	token  string
	stop   func()
}

// startService runs a centre whose mailboxes are the given YAML. extra stands
// in the installation file.
func startService(t *testing.T, mailboxes, extra string) *running {
	t.Helper()
	dir := t.TempDir()
	r := &running{t: t, desk: freePort(t), log: &lines{}}
	write(t, dir, "centre.yaml", "id: ops\nname: OPS\ndepartments:\n  - { id: sekretariat, name: Sekretariat }\nmailboxes:\n"+mailboxes)
	r.config = write(t, dir, "installation.yaml", fmt.Sprintf("data: data\nlisten: { desk: %s, scanners: \"off\" }\ncentres: [centre.yaml]\n%s", r.desk, extra))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"serve", "--config", r.config}, strings.NewReader(""), io.Discard, r.log)
	}()
	var once sync.Once
	r.stop = func() {
		once.Do(func() {
			cancel()
			if code := <-ended; code != 0 {
				t.Errorf("serve ended with %d: %s", code, r.log)
			}
		})
	}
	t.Cleanup(r.stop)
	r.until("ready", func() bool {
		resp, err := http.Get("http://" + r.desk + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	out, errs, code := call(t, "token", "create", "--register", "--config", r.config)
	if r.token = strings.TrimSpace(out); code != 0 || r.token == "" {
		t.Fatalf("token: %s%s", out, errs)
	}
	return r
}

func (r *running) until(what string, ok func() bool) {
	r.t.Helper()
	deadline := time.After(60 * time.Second)
	for !ok() {
		select {
		case <-time.After(50 * time.Millisecond):
		case <-deadline:
			r.t.Fatalf("never: %s; log:\n%s", what, r.log)
		}
	}
}

// get asks the API.
func (r *running) get(path string, v any) int {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, "http://"+r.desk+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
			r.t.Fatal(err)
		}
	}
	return resp.StatusCode
}

func (r *running) health(account string) api.ChannelState {
	r.t.Helper()
	var h api.Health
	if code := r.get("/api/v1/health", &h); code != http.StatusOK {
		r.t.Fatalf("health answers %d", code)
	}
	for _, c := range h.Channels {
		if c.Account == account {
			return c
		}
	}
	return api.ChannelState{}
}

// register is the register as exported.
func (r *running) register() []map[string]any {
	r.t.Helper()
	out, errs, code := call(r.t, "register", "export", "--format", "jsonl", "--config", r.config)
	if code != 0 {
		r.t.Fatalf("export: %s", errs)
	}
	var rows []map[string]any
	for line := range strings.Lines(out) {
		var row map[string]any
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			r.t.Fatal(err)
		}
		rows = append(rows, row)
	}
	return rows
}

// TestPasswordExpires is rule P10 from end to end: the password is changed at
// the hoster, the clerk reads what to do, the administrator sets the new one by
// the command, and everything is taken with its true arrival, without a restart.
func TestPasswordExpires(t *testing.T) {
	s := startDovecot(t, dovecottest.Options{})
	secret := write(t, t.TempDir(), "password", "stare\n")
	r := startService(t, fmt.Sprintf("  - { id: poczta, address: poczta@ops.example, server: \"%s\", ca: %s, user: intake, password: { file: %s } }\n", s.TLSAddr, s.CA, secret), "")
	arrived := time.Now().Add(-50 * time.Hour)
	if err := s.Deliver("intake", "INBOX", []byte("From: a@example.org\r\nSubject: x\r\n\r\ny\r\n"), arrived); err != nil {
		t.Fatal(err)
	}
	r.until("told to the clerk", func() bool { return r.health("poczta").Code == "login" })
	h := r.health("poczta")
	if h.OK || !regexp.MustCompile(`^Od \d{1,2}:\d\d poczta nie jest pobierana, sprawdzaj webmail: .*hasło.*„sekretariat secret set”`).MatchString(h.Message) || h.Since.IsZero() {
		t.Errorf("health %+v", h)
	}
	if len(h.Expires) == 0 || h.Figures["server_certificate_expires_seconds"] == 0 {
		t.Errorf("no countdown: %+v", h)
	}
	if !strings.Contains(r.log.String(), "a channel takes nothing in: the server refuses the password") {
		t.Error("the administrator's log says nothing")
	}
	if resp, err := http.Get("http://" + r.desk + "/readyz"); err != nil {
		t.Error(err)
	} else {
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || !strings.Contains(string(body), "warning: channel ops/poczta: login since") {
			t.Errorf("readyz: %s", body)
		}
	}

	for _, c := range []struct {
		stdin, says string
		args        []string
		code        int
	}{
		{"złe\n", "nothing was changed", []string{"secret", "set", "poczta"}, 1},
		{"", "no secret was given", []string{"secret", "set", "poczta"}, 2},
		{"a\nb\n", "several lines", []string{"secret", "set", "poczta"}, 2},
		{"x", "there is no mailbox", []string{"secret", "set", "skrzynka"}, 2},
		{"x", "never on the command line", []string{"secret", "set", "poczta", "haslo"}, 2},
		{"x", "secret set MAILBOX", []string{"secret", "get", "poczta"}, 2},
	} {
		out, errs, code := callWith(t, c.stdin, append(c.args, "--config", r.config)...)
		if code != c.code || !strings.Contains(errs, c.says) {
			t.Errorf("%q: %d %s%s", c.args, code, out, errs)
		}
	}
	if raw, err := os.ReadFile(secret); err != nil || string(raw) != "stare\n" {
		t.Fatalf("the password was changed to one that does not work: %q, %v", raw, err)
	}
	out, errs, code := callWith(t, dovecottest.Password+"\n", "secret", "set", "ops/poczta", "--config", r.config)
	if code != 0 || strings.Contains(out+errs, dovecottest.Password) {
		t.Fatalf("secret set: %d %s%s", code, out, errs)
	}
	r.until("taken without a restart", func() bool { return r.health("poczta").OK && len(r.register()) == 1 })
	at, err := time.Parse(time.RFC3339, fmt.Sprint(r.register()[0]["arrived"]))
	if err != nil || at.Sub(arrived).Abs() > 2*time.Second {
		t.Errorf("arrived %s, %v; want %s", at, err, arrived.UTC())
	}
	if !strings.Contains(r.log.String(), "the channel takes deliveries in again") {
		t.Error("the end of the trouble is not in the log")
	}
}

func TestMailboxCommands(t *testing.T) {
	s := startDovecot(t, dovecottest.Options{Junk: "Spam"})
	dir := t.TempDir()
	secret := write(t, dir, "password", dovecottest.Password+"\n")
	for n := range 3 {
		if err := s.Deliver("intake", "INBOX", fmt.Appendf(nil, "Subject: %d\r\n\r\n", n), time.Date(2024, time.Month(1+n), 15, 12, 0, 0, 0, time.UTC)); err != nil {
			t.Fatal(err)
		}
	}
	config := write(t, dir, "ops.yaml", fmt.Sprintf("id: ops\nname: OPS\ndepartments:\n  - { id: sekretariat, name: Sekretariat }\nmailboxes:\n"+
		"  - { id: poczta, address: poczta@ops.example, server: \"%s\", ca: %s, user: intake, password: { file: %s } }\n"+
		"  - { id: z-env, address: a@ops.example, server: \"%[1]s\", user: intake, password: { env: HASLO } }\n"+
		"  - { id: drzwi, address: b@ops.example, door: true }\n", s.TLSAddr, s.CA, secret))
	out, errs, code := call(t, "mailbox", "dry-run", "poczta", "--since", "2024-02-01", "--config", config)
	if code != 0 || !strings.Contains(out, "INBOX: 3 messages, 2 would be taken in") || !strings.Contains(out, "2024-03") || !strings.Contains(out, "Together 2 messages") || !strings.Contains(out, "Spam (spam: taken in with a mark") {
		t.Errorf("dry run: %d %s%s", code, out, errs)
	}
	out, _, code = call(t, "mailbox", "dry-run", "poczta", "--json", "--config", config)
	var survey struct{ Folders []struct{ Young int } }
	if err := json.Unmarshal([]byte(out), &survey); err != nil || code != 0 || survey.Folders[0].Young != 3 {
		t.Errorf("dry run as JSON: %v %s", err, out)
	}
	out, errs, code = call(t, "check-channel", "poczta", "--config", config)
	if code != 0 || !strings.Contains(out, "[dobrze]    logowanie") || !strings.Contains(out, "„INBOX”, wiadomości: 3") {
		t.Errorf("check-channel: %d %s%s", code, out, errs)
	}
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"mailbox", "dry-run", "drzwi"}, "mail door alone"}, {[]string{"mailbox", "authorize", "poczta"}, "secret set poczta"},
		{[]string{"secret", "set", "z-env"}, "environment variable HASLO"}, {[]string{"secret", "set", "drzwi"}, "not configured"},
		{[]string{"mailbox", "dry-run"}, "name one mailbox"}, {[]string{"mailbox", "look", "poczta"}, "dry-run|authorize"},
		{[]string{"mailbox", "dry-run", "poczta", "--since", "wczoraj"}, "write a day"},
	} {
		if out, errs, code := callWith(t, "x\n", append(c.args, "--config", config)...); code == 0 || !strings.Contains(errs, c.says) {
			t.Errorf("%q: %d %s%s", c.args, code, out, errs)
		}
	}
}

// TestAuthorizeCommand: a person authorises by a code, and a service that runs
// takes mail in; the countdown is in the health.
func TestAuthorizeCommand(t *testing.T) {
	p := oauthtest.New("intake")
	defer p.Close()
	p.RefreshLife = 25 * 24 * time.Hour
	s := startDovecot(t, dovecottest.Options{Introspection: p.URL + "/introspect"})
	r := startService(t, fmt.Sprintf("  - id: poczta\n    address: poczta@ops.example\n    server: \"%s\"\n    ca: %s\n    user: intake\n"+
		"    oauth: { provider: other, client_id: %s, token_url: %[4]s/token, device_url: %[4]s/device }\n", s.TLSAddr, s.CA, oauthtest.ClientID, p.URL), "")
	if err := s.Deliver("intake", "INBOX", []byte("Subject: x\r\n\r\n"), time.Now()); err != nil {
		t.Fatal(err)
	}
	r.until("told", func() bool { return r.health("poczta").Code == "token" })
	out, errs, code := call(t, "mailbox", "authorize", "poczta", "--config", r.config)
	if code != 0 || !strings.Contains(out, oauthtest.UserCode) || !strings.Contains(out, "The mailbox can be opened") {
		t.Fatalf("authorize: %d %s%s", code, out, errs)
	}
	r.until("taken", func() bool { return len(r.register()) == 1 })
	r.until("countdown", func() bool {
		for _, e := range r.health("poczta").Expires {
			if e.What == "token" && e.Stage == 30 {
				return true
			}
		}
		return false
	})
	if len(p.Broken) > 0 {
		t.Errorf("the provider was asked wrongly: %q", p.Broken)
	}
}

// TestMailDoor: a mail server hands over by LMTP what also lies in the IMAP
// mailbox of the same account: one letter, by whichever door it came first.
func TestMailDoor(t *testing.T) {
	s := startDovecot(t, dovecottest.Options{})
	secret := write(t, t.TempDir(), "password", dovecottest.Password+"\n")
	lmtp := freePort(t)
	r := startService(t, fmt.Sprintf("  - { id: poczta, address: poczta@ops.example, door: true, server: \"%s\", ca: %s, user: intake, password: { file: %s } }\n"+
		"  - { id: mzon, address: mzon@ops.example, door: true }\n", s.TLSAddr, s.CA, secret), "mail_door: { lmtp: "+lmtp+" }\n")
	body := "From: a@example.org\r\nSubject: wniosek\r\n\r\nTresc\r\n"
	hand := func(to string) {
		t.Helper()
		conn, err := net.Dial("tcp", lmtp)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		c := smtp.NewClientLMTP(conn)
		if err := c.SendMail("a@example.org", []string{to}, strings.NewReader("Received: by mx; Mon, 30 Nov 2026 08:00:00 +0100\r\n"+body)); err != nil {
			t.Fatalf("hand over: %v", err)
		}
	}
	hand("poczta@ops.example")
	hand("poczta@ops.example") // its answer was lost: once more
	r.until("registered", func() bool { return len(r.register()) == 1 })
	if err := s.Deliver("intake", "INBOX", []byte("Return-Path: <a@example.org>\r\n"+body), time.Now()); err != nil {
		t.Fatal(err)
	}
	r.until("moved as known", func() bool {
		files, err := s.Files("intake", "Sekretariat/Przyjete")
		return err == nil && len(files) == 1
	})
	if rows := r.register(); len(rows) != 1 || rows[0]["door"] != "lmtp" {
		t.Errorf("register: %v", rows)
	}
	hand("mzon@ops.example") // another mailbox of the series: a parked twin (invariant I2)
	out, errs, code := call(t, "verify", "--config", r.config)
	if code != 0 {
		t.Errorf("verify: %s%s", out, errs)
	}
	if rows := r.register(); len(rows) != 1 {
		t.Errorf("register: %v", rows)
	}
}

func TestCertificateFiles(t *testing.T) {
	dir := t.TempDir()
	if err := writeS3Certificate(dir); err != nil {
		t.Fatal(err)
	}
	cert := filepath.Join(dir, "s3-cert.pem")
	cfg := &configs.Installation{MailDoor: configs.MailDoor{Cert: cert}}
	c := &configs.Centre{Mailboxes: []configs.Mailbox{{Account: configs.Account{ID: "poczta"}, CA: filepath.Join(dir, "none.pem")}},
		EPUAP: []configs.EPUAP{{Account: configs.Account{ID: "epuap"}, Cert: filepath.Join(dir, "s3-key.pem")}}}
	now := time.Now()
	if l := certificateFiles(cfg, c, now); len(l) != 1 || l[0].What != "mail_door.cert" || l[0].Stage != 0 {
		t.Errorf("%+v", l)
	}
	if l := certificateFiles(cfg, c, now.AddDate(certificateYears, 0, -6)); l[0].Stage != 7 {
		t.Errorf("%+v", l)
	}
}
