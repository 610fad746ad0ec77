package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sekretariat"
)

// TestMain lets the test binary be the reading process, as the program is its
// own.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "read-child" {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// call runs a command in this process.
func call(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return callWith(t, "", args...)
}

// callWith is call with something on standard input.
func callWith(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(stdin), &out, &errs)
	return out.String(), errs.String(), code
}

func write(t *testing.T, folder, name, content string) string {
	t.Helper()
	path := filepath.Join(folder, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A mistake of the operator ends at once, with status 2 and the way out, and
// touches nothing.
func TestMistakes(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	config := "../../configs/zielona-gora.yaml"
	wrong := write(t, dir, "wrong.yaml", "id: x\nname: X\nfoo: 1\n")
	full := filepath.Join(dir, "full")
	if err := os.Mkdir(full, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, full, demoProfile, "id: mine\n") // as in configs/
	write(t, full, "letter.txt", "precious")
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"frob"}, 2, "sekretariat help"},
		{[]string{"serve"}, 2, "--config FILE"},
		{[]string{"serve", config, "--data", data}, 2, "serve --config ../../configs"},
		{[]string{"serve", "--config", config, "--data", data, "now"}, 2, `"now" is not understood`},
		{[]string{"serve", "--config", filepath.Join(dir, "none.yaml")}, 1, "name an existing file"},
		{[]string{"serve", "--config", wrong}, 1, "wrong.yaml:3:1: unknown key"},
		{[]string{"serve", "--no-such-flag"}, 2, "no-such-flag"},
		{[]string{"ingest", "--config", config, "--data", data}, 2, "on one machine use: sekretariat serve"},
		{[]string{"queue"}, 2, "queue list|next|watch"},
		{[]string{"queue", "--department", "mzon"}, 2, "queue list|next|watch"},
		{[]string{"queue", "list", "--config", config, "--data", data}, 2, "--department"},
		{[]string{"queue", "list", "--config", config, "--data", data, "--department", "mzon", "all"}, 2, `"all" is not understood`},
		{[]string{"queue", "next", "--department", "mzon", "--creds", "x"}, 2, "--server and --centre"},
		{[]string{"queue", "next", "--department", "mzon", "--creds", filepath.Join(dir, "none"), "--server", "nats://127.0.0.1:1", "--centre", "x"}, 1, "read credentials"},
		{[]string{"token"}, 2, "token create|revoke|list"},
		{[]string{"token", "create", "mzon", "--config", config, "--data", data}, 2, `"mzon" is not understood`},
		{[]string{"config", "store"}, 2, "config apply"},
		{[]string{"register"}, 2, "register export"},
		{[]string{"verify", "deep", "--config", config, "--data", data}, 2, `"deep" is not understood`},
		{[]string{"check-config"}, 2, "name a file"},
		{[]string{"check-config", wrong}, 1, "wrong.yaml:3:1: unknown key"},
		{[]string{"inspect"}, 2, "name a file"},
		{[]string{"inspect", dir}, 1, "is not a file"},
		{[]string{"verify", "--data", dir}, 2, "is not the data folder of a demo"},
		{[]string{"demo", "--data", full}, 2, "give --data another folder"},
		{[]string{"ready", "--url", "http://127.0.0.1:1"}, 1, "does not answer"},
	} {
		out, errs, code := call(t, c.args...)
		if code != c.code || !strings.Contains(errs, c.says) || out != "" {
			t.Errorf("%v: status %d, want %d, and %q\n%s%s", c.args, code, c.code, c.says, out, errs)
		}
	}
	if _, err := os.Stat(data); !os.IsNotExist(err) {
		t.Error("a mistake made a data folder")
	}
	if raw, err := os.ReadFile(filepath.Join(full, "letter.txt")); string(raw) != "precious" {
		t.Errorf("the demo emptied a folder that was not its own: %v", err)
	}
}

// One file that cannot be looked at does not hide the others.
func TestInspect(t *testing.T) {
	dir := t.TempDir()
	mail := write(t, dir, "a.eml", "From: =?utf-8?q?Zofia_=C5=BB=C3=B3=C5=82w?= <zofia@poczta.example>\r\nTo: mops@centrum.example\r\n"+
		"Subject: Prosba o pomoc\r\nDate: Mon, 9 Mar 2026 10:00:00 +0100\r\nMIME-Version: 1.0\r\n"+
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nSzukam noclegu.\r\n"+
		"--b\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename=umowa.txt\r\n\r\nabc\r\n--b--\r\n")
	broken := write(t, dir, "broken.bin", "\x00\x01\x02")
	out, errs, code := call(t, "inspect", filepath.Join(dir, "none.eml"), mail, broken)
	if code != 1 || !strings.Contains(errs, "none.eml") || !strings.Contains(errs, "1 of 3 files") {
		t.Errorf("status %d\n%s", code, errs)
	}
	for _, want := range []string{"Prosba o pomoc", "Zofia Żółw zofia@poczta.example", "mops@centrum.example", "2026-03-09", "Szukam noclegu.",
		"umowa.txt, text/plain, 3 octets", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", broken} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	out, errs, code = call(t, "inspect", "--json", mail)
	var r sekretariat.Reading
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 || r.Subject != "Prosba o pomoc" || len(r.Parts) < 2 {
		t.Errorf("status %d, %v\n%s%s", code, err, out, errs)
	}
}
