package extract_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"sekretariat"
	"sekretariat/extract"
)

// testdata returns the folder of the mails, or skips.
func testdata(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("SEKRETARIAT_TESTDATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "testdata")
	}
	dir = filepath.Join(dir, "mail")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("test data not found at %s; set SEKRETARIAT_TESTDATA", dir)
	}
	return dir
}

type wanted struct {
	File        string
	Attachments []struct {
		Name   string
		SHA256 string
		Norm   string `json:"sha256_norm"`
	}
}

// Every listed part of every mail comes out with the octets that were listed,
// and what is said to be attached is among them, with its name.
func TestCorpusPartsComeOut(t *testing.T) {
	dir := testdata(t)
	f, err := os.Open(filepath.Join(dir, "expected.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var mu sync.Mutex
	var attachments, found, named int
	work := make(chan wanted)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for w := range work {
				raw, err := os.ReadFile(filepath.Join(dir, w.File))
				if err != nil {
					t.Error(err)
					continue
				}
				r := readMail(t, raw)
				deliverAll(t, raw, r)
				mu.Lock()
				for _, a := range w.Attachments {
					if a.SHA256 == "" {
						continue
					}
					attachments++
					i := slices.IndexFunc(r.Parts, func(p sekretariat.Part) bool {
						return string(p.SHA256) == a.SHA256 && (a.Name == "" || p.Name == a.Name)
					})
					j := slices.IndexFunc(r.Parts, func(p sekretariat.Part) bool { return string(p.SHA256) == a.SHA256 })
					if j >= 0 {
						found++
						if i >= 0 {
							named++
						} else {
							t.Logf("%s: name %q, want %q", w.File, r.Parts[j].Name, a.Name)
						}
					} else if !t.Failed() {
						t.Logf("%s: no part has the digest of %q", w.File, a.Name)
					}
				}
				mu.Unlock()
			}
		})
	}
	s := bufio.NewScanner(f)
	s.Buffer(nil, 4<<20)
	for s.Scan() {
		var w wanted
		if err := json.Unmarshal(s.Bytes(), &w); err != nil {
			t.Fatal(err)
		}
		work <- w
	}
	close(work)
	wg.Wait()
	t.Logf("%d attachments, %d with right octets, %d of them with the right name", attachments, found, named)
	if found*100 < attachments*95 || named*100 < found*98 {
		t.Errorf("%d attachments, %d with right octets, %d of them with the right name", attachments, found, named)
	}
}

// What the sample letters with attachments of our own kinds must show.
func TestSampleAttachments(t *testing.T) {
	dir := filepath.Join(testdata(t), "pl")
	for _, c := range []struct {
		file, finding, part, text string
	}{
		{"pl-attach-password-zip-legacy.eml", extract.FindingEncrypted, "2.1", ""},
		{"pl-attach-zip-bomb-flat.eml", extract.FindingArchive, "2.1", ""},
		{"pl-attach-zip-cp852-names.eml", "", "2.1", "Wniosek"},
		{"pl-attach-wrong-type.eml", "", "2", "Wniosek"},
	} {
		raw, err := os.ReadFile(filepath.Join(dir, c.file))
		if err != nil {
			t.Fatal(err)
		}
		r := readMail(t, raw)
		p := partAt(t, r, c.part)
		if c.finding != "" && !slices.ContainsFunc(r.Findings, func(f sekretariat.Finding) bool { return f.Code == c.finding }) {
			t.Errorf("%s: findings %v", c.file, r.Findings)
		}
		if !strings.Contains(p.Text, c.text) || r.Text == "" {
			t.Errorf("%s: %+v", c.file, p)
		}
		deliverAll(t, raw, r)
	}
}

// What is wrapped (winmail.dat) is taken apart only in a child process, and
// comes out of it as it was listed.
func TestWrappedPartsComeFromAChild(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(testdata(t), "pl", "pl-attach-winmail-short.eml"))
	if err != nil {
		t.Fatal(err)
	}
	r := readMail(t, raw)
	ask := extract.Parts{Reading: r}
	for _, p := range r.Parts {
		if !extract.Stream(&r, p) && p.SHA256 != "" {
			ask.Want = append(ask.Want, p.Path)
		}
	}
	if len(ask.Want) == 0 {
		t.Fatalf("nothing is unwrapped: %+v", r.Parts)
	}
	got := 0
	err = pool(t, "serve", extract.PoolOptions{}).Parts(t.Context(), bytes.NewReader(raw), ask, func(p sekretariat.Part, body io.Reader) error {
		got++
		b, err := io.ReadAll(body)
		if err != nil || sekretariat.DigestOf(b) != p.SHA256 {
			t.Errorf("part %s: %d octets, %v", p.Path, len(b), err)
		}
		return nil
	})
	if err != nil || got != len(ask.Want) {
		t.Errorf("%d of %d parts, %v", got, len(ask.Want), err)
	}
}
