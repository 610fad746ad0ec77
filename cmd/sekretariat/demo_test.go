package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sekretariat/configs"
	"sekretariat/ledger"
)

// TestDemoAndWhatComesAfter runs the demo and then the commands on the folder
// that it leaves, as a newcomer does.
func TestDemoAndWhatComesAfter(t *testing.T) {
	if _, err := exec.LookPath("dovecot"); err != nil {
		t.Skip("no dovecot: apt-get install dovecot-imapd")
	}
	data := filepath.Join(t.TempDir(), "demo")
	out, errs, code := call(t, "demo", "--data", data)
	if code != 0 || !regexp.MustCompile(`(?m)^all +31$`).MatchString(out) || !strings.Contains(out, "(parked)") {
		t.Fatalf("demo: status %d\n%s%s", code, out, errs)
	}
	for _, line := range strings.Split(out, "\n") {
		if strings.HasPrefix(line, "RPW/") && strings.HasSuffix(line, "…") {
			t.Errorf("a reason is cut: %s", line)
		}
	}
	t.Run("private", func(t *testing.T) { privateDemo(t, data) })
	good := func(args ...string) string {
		t.Helper()
		out, errs, code := call(t, append(args, "--data", data)...)
		if code != 0 {
			t.Errorf("%v: status %d\n%s", args, code, errs)
		}
		return out
	}
	if out := good("verify", "--deep"); !strings.Contains(out, "registered 30 + parked 1") || !strings.Contains(out, "every promise is kept") {
		t.Errorf("verify:\n%s", out)
	}
	lines, err := csv.NewReader(strings.NewReader(good("register", "export", "--format", "csv"))).ReadAll()
	if err != nil || len(lines) != 31 || lines[1][0][:4] != "RPW-" {
		t.Errorf("export: %d lines, %v", len(lines), err)
	}
	if n := strings.Count(good("register", "export", "--format", "jsonl"), "\n"); n != 30 {
		t.Errorf("export: %d JSON lines", n)
	}
	t.Run("queue", func(t *testing.T) { consumeDemo(t, data, good) })
	t.Run("token", func(t *testing.T) { tokenDemo(t, data, good) })
	t.Run("removal", func(t *testing.T) { removeDemo(t, data) })
	lock, err := lockFolder(data)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	for _, args := range [][]string{{"demo"}, {"serve"}, {"rebuild"}} {
		if _, errs, code := call(t, append(args, "--data", data)...); code != 1 || !strings.Contains(errs, "stop that one first") {
			t.Errorf("%v on a folder in use: status %d\n%s", args, code, errs)
		}
	}
}

func consumeDemo(t *testing.T, data string, good func(...string) string) {
	first := good("queue", "next", "--department", "przemoc")
	if !strings.Contains(first, `"urgency":"urgent"`) {
		t.Errorf("the urgent letter does not come first: %s", first)
	}
	_, errs, code := call(t, "queue", "next", "--data", data, "--department", "przemoc", "--ack", "--exec", "exit 3")
	if code != 1 || !strings.Contains(errs, "the event comes again") {
		t.Errorf("a command that fails: status %d\n%s", code, errs)
	}
	if got := good("queue", "next", "--department", "zasilki-stale", "--ack", "--exec", "echo $SEKRETARIAT_TYPE; cat"); !strings.HasPrefix(got, "queued.v1\n{") {
		t.Errorf("the command got %q", got)
	}
	if list := good("queue", "list", "--department", "przemoc"); !strings.HasSuffix(list, "3 letters\n") || strings.Contains(list, "@") {
		t.Errorf("list:\n%s", list)
	}
	if _, errs, code := call(t, "queue", "list", "--data", data, "--department", "nope"); code != 2 || !strings.Contains(errs, "przemoc") {
		t.Errorf("unknown department: status %d\n%s", code, errs)
	}
}

func tokenDemo(t *testing.T, data string, good func(...string) string) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"--box", "skrzynka-wejscie", "--creds", "x"}, "only departments have queues"},
		{[]string{"--register", "--ttl", "-1h"}, "must be valid for some time"},
	} {
		out, errs, code := call(t, append([]string{"token", "create", "--data", data}, c.args...)...)
		if code != 2 || !strings.Contains(errs, c.says) || out != "" {
			t.Errorf("token create %v: status %d, want %q\n%s", c.args, code, c.says, errs)
		}
	}
	creds := filepath.Join(t.TempDir(), "przemoc.creds")
	good("token", "create", "--department", "przemoc", "--creds", creds)
	nobody := write(t, t.TempDir(), "nobody.creds", "nothing of the kind")
	answerTime = time.Second
	t.Cleanup(func() { answerTime = 15 * time.Second })
	for file, says := range map[string]string{creds: "nats://127.0.0.1:1 does not answer", nobody: "no credentials file of ours"} {
		_, errs, code := call(t, "queue", "next", "--creds", file, "--server", "nats://127.0.0.1:1", "--centre", "demo", "--department", "przemoc")
		if code != 1 || !strings.Contains(errs, says) {
			t.Errorf("queue next: status %d, want %q\n%s", code, says, errs)
		}
	}
	if token := strings.TrimSpace(good("token", "create", "--register")); !strings.HasPrefix(token, "sek1.demo.") {
		t.Errorf("token %q", token)
	}
	id := regexp.MustCompile(`(?m)^([0-9a-f]{12}) +register`).FindStringSubmatch(good("token", "list"))
	if id == nil {
		t.Fatal("the token is not listed")
	}
	good("token", "revoke", id[1])
	for _, want := range []string{
		`{"grant":"token-created","by":"command-line","token":"` + id[1] + `","scopes":["register"],`,
		`{"grant":"token-revoked","by":"command-line","token":"` + id[1] + `","scopes":["register"]}`,
		`{"grant":"queue-opened","by":"command-line","scopes":["department:przemoc:read"]}`,
	} {
		if trail := auditTrail(t, data); !strings.Contains(trail, want) {
			t.Errorf("the audit trail lacks %s:\n%s", want, trail)
		}
	}
	if _, errs, code := call(t, "token", "revoke", id[1], "--data", data); code != 2 || !strings.Contains(errs, "token list") {
		t.Errorf("revoke again: status %d\n%s", code, errs)
	}
}

// A token opens one thing, and one that the centre has.
func TestTokenScopes(t *testing.T) {
	cfg, err := configs.Load("../../configs/demo.yaml")
	if err != nil {
		t.Fatal(err)
	}
	centre := &centreHouse{cfg: cfg.Profiles[0]}
	for _, c := range []struct {
		flags      tokenFlags
		scope, err string
	}{
		{tokenFlags{department: "przemoc"}, "department:przemoc:read", ""},
		{tokenFlags{box: "skrzynka-wejscie"}, "box:skrzynka-wejscie:upload", ""},
		{tokenFlags{register: true}, "register", ""},
		{tokenFlags{}, "", "exactly one of"},
		{tokenFlags{department: "przemoc", register: true}, "", "exactly one of"},
		{tokenFlags{department: "przemoc", box: "skrzynka-wejscie"}, "", "exactly one of"},
		{tokenFlags{department: "nope"}, "", "it has: sekretariat"},
		{tokenFlags{box: "nope"}, "", "has no box"},
	} {
		scopes, err := c.flags.scopes(centre)
		if c.err == "" && (err != nil || len(scopes) != 1 || scopes[0] != c.scope) || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%+v: %v, %v", c.flags, scopes, err)
		}
	}
}

// auditTrail returns the data of all events of AUDIT.
func auditTrail(t *testing.T, data string) string {
	t.Helper()
	in := installationFlags{data: data}
	h, err := in.openFor(t.Context(), &cli{stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	var out strings.Builder
	err = h.centres[0].log.Replay(t.Context(), ledger.Audit, 1, func(s ledger.Stored) error {
		fmt.Fprintf(&out, "%s\n", s.Event.Data)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}
