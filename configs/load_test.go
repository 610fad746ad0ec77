package configs

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sekretariat"
)

var update = flag.Bool("update", false, "write the golden files anew")

// profiles are the configurations that we ship.
var profiles = []string{"czestochowa", "demo", "lublin", "wschowa", "zdunska-wola", "zielona-gora"}

func TestEveryProfileLoads(t *testing.T) {
	for _, name := range profiles {
		in, err := Load(name + ".yaml")
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		c := in.Profiles[0]
		if string(c.ID) != name {
			t.Errorf("%s: the id is %q", name, c.ID)
		}
		if want := filepath.Join("data", name); in.Data != want {
			t.Errorf("%s: data folder %q, want %q", name, in.Data, want)
		}
		for _, l := range Labels() {
			if _, mapped := c.Labels[l]; !mapped {
				t.Errorf("%s: label %s goes nowhere", name, l)
			}
		}
		for _, a := range c.accounts() {
			if !a.Off && len(a.Missing) > 0 {
				t.Errorf("%s: %s lacks %v and is on", name, a.ID, a.Missing)
			}
		}
	}
}

func TestEveryYAMLFileIsAProfileOrTheExample(t *testing.T) {
	files, err := filepath.Glob("*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(profiles)+1 {
		t.Errorf("%d YAML files, want the profiles %v and installation.yaml", len(files), profiles)
	}
}

func TestInstallationLoads(t *testing.T) {
	in, err := Load("installation.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(in.Profiles) != 1 || in.Profiles[0].ID != "zielona-gora" {
		t.Fatalf("profiles %v", in.Profiles)
	}
	if !filepath.IsAbs(in.Data) {
		t.Errorf("data folder %q is relative to the working directory", in.Data)
	}
	other, err := Load("installation.yaml", LoadOptions{Data: "/elsewhere"})
	if err != nil || other.Data != "/elsewhere" {
		t.Errorf("data folder %q, error %v; the option must win", other.Data, err)
	}
}

// TestBadConfigurations compares the whole error output: it is what a
// non-programmer has to work with.
func TestBadConfigurations(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no bad configurations: %v", err)
	}
	for _, f := range files {
		_, err := Load(f)
		if err == nil {
			t.Errorf("%s was accepted", f)
			continue
		}
		var ps Problems
		if !errors.As(err, &ps) {
			t.Errorf("%s: error %T, want Problems", f, err)
		}
		golden := strings.TrimSuffix(f, ".yaml") + ".golden"
		here, _ := os.Getwd()
		got := strings.ReplaceAll(err.Error(), here+"/", "") + "\n"
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", f, diff)
		}
	}
}

func TestMissingFileSaysWhatToDo(t *testing.T) {
	_, err := Load("no-such-file.yaml")
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "--config") {
		t.Errorf("error %v", err)
	}
}

// What is not known turns its channel off with a Polish sentence, and the rest
// runs.
func TestUnknownTurnsTheChannelOff(t *testing.T) {
	c := parseGood(t, `
mailboxes:
  - { id: jest, address: a@b.example, server: "127.0.0.1:993", user: u, password: { env: P } }
  - { id: brak, address: unknown, server: unknown, user: unknown, password: unknown }
  - { id: wylaczona, off: true }
boxes:
  - { id: skrzynka }
`)
	for id, want := range map[string]bool{"jest": false, "brak": true, "wylaczona": true, "skrzynka": true} {
		for _, a := range c.accounts() {
			if a.ID == id && a.Off != want {
				t.Errorf("account %s: off = %v, want %v", id, a.Off, want)
			}
		}
	}
	if m := c.Mailboxes[1]; m.Address != "" || m.Server != "" {
		t.Errorf("the word unknown went through: %+v", m)
	}
	want := []string{
		"Nie działa: skrzynka pocztowa „brak”. Brakuje: adres e-mail (address), serwer (server), użytkownik (user), hasło (password).",
		"Nie działa: pojemnik na korespondencję „skrzynka”. Brakuje: katalog (folder), zgoda na przesyłanie (upload: true) albo urządzenie (devices).",
	}
	if diff := cmp.Diff(want, c.Warnings); diff != "" {
		t.Errorf("warnings (-want +got)\n%s", diff)
	}
}

func TestAdjustFillsInWhatTheDemoKnows(t *testing.T) {
	in, err := Load("demo.yaml", LoadOptions{Data: t.TempDir(), Adjust: func(c *Centre) {
		c.Mailboxes[0].Server = "127.0.0.1:10993"
		c.EPUAP[0].URL, c.EPUAP[0].Cert = "http://127.0.0.1:1080/pull", "cert.pem"
		c.EDelivery[0].URL, c.EDelivery[0].TokenURL, c.EDelivery[0].Cert = "http://127.0.0.1:1081/api/v3", "http://127.0.0.1:1081/auth/realms/EDOR/protocol/openid-connect/token", "cert.pem"
		c.Boxes[0].Folder = "/tmp/box"
	}})
	if err != nil {
		t.Fatal(err)
	}
	if len(in.Warnings) != 1 || !strings.Contains(in.Warnings[0], "virus_scan: off") {
		t.Errorf("warnings %q, want one: nothing looks for viruses in the demo", in.Warnings)
	}
	for _, a := range in.Profiles[0].accounts() {
		if a.Off {
			t.Errorf("account %s is off: %v", a.ID, a.Missing)
		}
	}
}

func TestAdjustIsChecked(t *testing.T) {
	_, err := Load("demo.yaml", LoadOptions{Adjust: func(c *Centre) {
		c.Mailboxes[0].Server, c.Mailboxes[0].TLS = "mail.example:143", "none"
	}})
	if err == nil {
		t.Error("a mailbox without TLS to another machine was accepted")
	}
}

func TestPathsAreRelativeToTheFile(t *testing.T) {
	c, err := ParseCentre([]byte(good+`
mailboxes:
  - { id: a, address: a@b.example, server: "m.example:993", user: u, ca: ca.pem, password: { file: secrets/p } }
boxes:
  - { id: b, folder: skany }
  - { id: c, folder: /abs/skany }
`), "/etc/sekretariat/x.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got := []string{c.Mailboxes[0].CA, c.Mailboxes[0].Password.File, c.Boxes[0].Folder, c.Boxes[1].Folder}
	want := []string{"/etc/sekretariat/ca.pem", "/etc/sekretariat/secrets/p", "/etc/sekretariat/skany", "/abs/skany"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestListenOff(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "installation.yaml")
	write(t, filepath.Join(dir, "x.yaml"), good)
	write(t, file, "centres: [x.yaml]\nlisten: { scanners: off }\n")
	in, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if in.Listen.Scanners != "" || in.Listen.Desk != "127.0.0.1:8300" {
		t.Errorf("listen = %+v", in.Listen)
	}
}

// Canonical and ParseCentre are inverse, whatever is known or not: a stored
// version means what the file meant.
func TestCanonicalRoundTrip(t *testing.T) {
	for _, name := range profiles {
		in, err := Load(name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		c := in.Profiles[0]
		c.Version = 7
		first, err := Canonical(c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseCentre(first, "config/7.yaml")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c, again, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: (-file +stored)\n%s", name, diff)
		}
		second, err := Canonical(again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(first), string(second)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

const good = `id: x
name: X
departments:
  - { id: sekretariat, name: Sekretariat }
  - { id: pomoc, name: Pomoc }
`

func parseGood(t testing.TB, more string) *Centre {
	t.Helper()
	c, err := ParseCentre([]byte(good+more), "x.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func write(t testing.TB, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func FuzzLoad(f *testing.F) {
	files, _ := filepath.Glob("testdata/bad/*.yaml")
	for _, name := range append(files, "demo.yaml", "zielona-gora.yaml") {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseCentre(data, "fuzz.yaml")
		if err != nil {
			if err.Error() == "" {
				t.Fatal("an error without words")
			}
			return
		}
		if _, ok := c.DepartmentByID(sekretariat.Sekretariat); !ok {
			t.Fatal("a profile without the sekretariat was accepted")
		}
		stored, err := Canonical(c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseCentre(stored, "fuzz.yaml")
		if err != nil {
			t.Fatalf("its own canonical form is refused: %v\n%s", err, stored)
		}
		if diff := cmp.Diff(c, again, cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
	})
}
