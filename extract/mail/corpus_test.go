package mail

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sekretariat"
)

// octets is a Body in memory.
type octets []byte

func (o octets) ReadAt(p []byte, off int64) (int, error) { return bytes.NewReader(o).ReadAt(p, off) }
func (o octets) Size() int64                             { return int64(len(o)) }

// testdata returns the folder of the test data, or skips.
func testdata(t testing.TB) string {
	dir := os.Getenv("SEKRETARIAT_TESTDATA")
	if dir == "" {
		wd, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for ; ; wd = filepath.Dir(wd) {
			if _, err := os.Stat(filepath.Join(wd, "go.mod")); err == nil {
				break
			}
			if wd == filepath.Dir(wd) {
				t.Skip("no go.mod above the test: cannot find the test data")
			}
		}
		dir = filepath.Join(wd, "..", "shared", "testdata")
	}
	dir = filepath.Join(dir, "mail")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("test data not found at %s; set SEKRETARIAT_TESTDATA", dir)
	}
	return dir
}

type wantFile struct {
	Name, SHA256 string
	Norm         string `json:"sha256_norm"`
	Size         *int64
	NameLossy    string `json:"name_lossy"`
	Inline       bool
}

// want is one line of expected.jsonl; its README explains the fields.
type want struct {
	File, Basis  string
	Subject      *string
	From         *string
	Date         string
	Attachments  []wantFile
	Text         []string   `json:"text_contains"`
	TextIdeal    []string   `json:"text_contains_ideal"`
	TextNot      []string   `json:"text_not_contains_ideal"`
	SubjectIdeal string     `json:"subject_ideal"`
	NameIdeal    string     `json:"from_name_ideal"`
	UU           []wantFile `json:"uuencoded"`
	Kind         string
}

func corpus(t testing.TB) map[string]want {
	f, err := os.Open(filepath.Join(testdata(t), "expected.jsonl"))
	if err != nil {
		t.Skip("expectations not found: ", err)
	}
	defer f.Close()
	all := map[string]want{}
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var w want
		if err := json.Unmarshal(sc.Bytes(), &w); err != nil {
			t.Fatal(err)
		}
		all[w.File] = w
	}
	if sc.Err() != nil {
		t.Fatal(sc.Err())
	}
	return all
}

func load(t testing.TB, file string) octets {
	b, err := os.ReadFile(filepath.Join(testdata(t), file))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tally counts right answers per field.
type tally struct {
	right, all map[string]int
	wrong      map[string][]string
}

func (c *tally) add(field, file string, ok bool, format string, args ...any) {
	c.all[field]++
	if ok {
		c.right[field]++
		return
	}
	c.wrong[field] = append(c.wrong[field], file+": "+fmt.Sprintf(format, args...))
}

func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }

// normalised is the digest modulo line ends, as expected.jsonl has it.
func normalised(b []byte) string {
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	return fmt.Sprintf("%x", sha256.Sum256(bytes.TrimRight(b, "\r\n")))
}

func check(t *testing.T, c *tally, group string, w want, r sekretariat.Reading, body octets) {
	field := func(name string) string { return group + " " + name }
	if w.Subject != nil {
		c.add(field("subject"), w.File, squeeze(*w.Subject) == squeeze(r.Subject), "%q, want %q", r.Subject, *w.Subject)
	}
	if w.SubjectIdeal != "" {
		c.add(field("ideal subject"), w.File, w.SubjectIdeal == r.Subject, "%q, want %q", r.Subject, w.SubjectIdeal)
	}
	if w.NameIdeal != "" {
		c.add(field("ideal name"), w.File, w.NameIdeal == r.Sender.Name, "%q, want %q", r.Sender.Name, w.NameIdeal)
	}
	if w.From != nil {
		c.add(field("from"), w.File, strings.EqualFold(*w.From, r.Sender.Email), "%q, want %q", r.Sender.Email, *w.From)
	}
	if w.Date != "" {
		got := ""
		if r.Sent != nil {
			got = r.Sent.Format(time.RFC3339)
		}
		c.add(field("date"), w.File, got == w.Date, "%q, want %q", got, w.Date)
	}
	names, sums := map[string]int{}, map[string]int{}
	for _, p := range r.Parts {
		names[p.Name]++
		sums[string(p.SHA256)]++
		b, err := io.ReadAll(OpenPart(body, p))
		if err != nil {
			t.Fatal(err)
		}
		sums[normalised(b)]++
	}
	for _, a := range append(w.Attachments, w.UU...) {
		if a.Name != "" {
			c.add(field("names"), w.File, names[a.Name] > 0, "no %q in %v", a.Name, names)
			names[a.Name]--
		}
		if a.SHA256 != "" {
			ok := sums[a.SHA256] > 0 || a.Norm != "" && sums[a.Norm] > 0
			c.add(field("hashes"), w.File, ok, "no %q (%s)", a.Name, a.SHA256)
		}
	}
	text := squeeze(r.Text)
	for _, want := range w.Text {
		c.add(field("text"), w.File, strings.Contains(text, squeeze(want)), "no %q in %.300q", want, text)
	}
	for _, want := range w.TextIdeal {
		c.add(field("ideal text"), w.File, strings.Contains(text, squeeze(want)), "no %q in %.300q", want, text)
	}
	for _, not := range w.TextNot {
		c.add(field("ideal text"), w.File, !strings.Contains(text, not), "%q in %.300q", not, text)
	}
	if kind, ok := map[string]string{"bounce": AutoBounce, "mdn": AutoReceipt, "auto-reply": AutoReply, "list": AutoList}[w.Kind]; ok {
		c.add(field("kind"), w.File, kind == r.Auto, "%q, want %q", r.Auto, kind)
	}
	if w.Attachments != nil && group != "reference" {
		listed := 0
		for _, p := range r.Parts {
			if p.Attachment {
				listed++
			}
		}
		if listed > len(w.Attachments)+len(w.UU) {
			c.wrong["surplus attachments"] = append(c.wrong["surplus attachments"], fmt.Sprintf("%s: %d listed, %d expected", w.File, listed, len(w.Attachments)))
		}
	}
}

// TestCorpus scores the reader against every declared and constructed
// expectation of the open set.
func TestCorpus(t *testing.T) {
	c := &tally{map[string]int{}, map[string]int{}, map[string][]string{}}
	for file, w := range corpus(t) {
		body := load(t, file)
		r, err := Read(context.Background(), body, Options{})
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		group, _, _ := strings.Cut(w.Basis, ":")
		check(t, c, group, w, r, body)
	}
	for _, field := range slices.Sorted(maps.Keys(c.all)) {
		t.Logf("%-24s %4d of %4d", field, c.right[field], c.all[field])
		// Expectations are other programs' answers, a few of which we know
		// better; a whole class of mail gone wrong shows all the same.
		if float64(c.right[field]) < 0.98*float64(c.all[field]) {
			t.Errorf("%s: only %d of %d", field, c.right[field], c.all[field])
		}
	}
	for _, field := range slices.Sorted(maps.Keys(c.wrong)) {
		for _, w := range c.wrong[field] {
			t.Logf("%s: %s", field, w)
		}
	}
}
