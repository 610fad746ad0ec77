package recognise_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sekretariat"
	"sekretariat/extract/ocr"
	"sekretariat/extract/page"
	"sekretariat/extract/recognise"
	"sekretariat/extract/sniff"
)

type truth struct {
	File  string
	Kind  string
	Pages []struct {
		N        int
		Type     string
		Style    string
		Rotation int
		Text     string
	}
}

func truths(t testing.TB) (string, map[string]truth) {
	t.Helper()
	root := os.Getenv("SEKRETARIAT_TESTDATA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "testdata")
	}
	raw, err := os.ReadFile(filepath.Join(root, "scans", "truth.jsonl"))
	if err != nil {
		t.Skipf("no test scans: %v; set SEKRETARIAT_TESTDATA", err)
	}
	list := map[string]truth{}
	for line := range bytes.Lines(raw) {
		var one truth
		if err := json.Unmarshal(line, &one); err != nil {
			t.Fatal(err)
		}
		list[one.File] = one
	}
	return filepath.Join(root, "scans"), list
}

func document(t testing.TB, name string, copy *bytes.Buffer) ([]sekretariat.RecognisedPage, bool) {
	t.Helper()
	if err := ocr.Available(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	user, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(user, "sekretariat-test", "pdfium")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	o := recognise.Options{Page: page.Options{Temp: t.TempDir(), Cache: dir}, Parallel: 2}
	if copy != nil {
		o.Copy = copy
	}
	var pages []sekretariat.RecognisedPage
	copied, err := recognise.Document(t.Context(), bytes.NewReader(raw), sniff.Type(raw[:min(len(raw), sniff.HeadSize)], name), o,
		func(p sekretariat.RecognisedPage) error { pages = append(pages, p); return nil })
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return pages, copied
}

// Letters lying on their side or head, from 150 to 300 dpi, in every format,
// are read; typed ones nearly without a fault.
func TestConstructed(t *testing.T) {
	dir, list := truths(t)
	most := map[string]float64{"typed": 0.03, "form": 0.15, "hand": 0.25}
	for _, name := range []string{"l04-asysta-rodzinna.tif", "l16-zasilki-stale.pdf", "l22-swiadczenia-rodzinne.pdf", "l25-orzecznictwo.pdf", "l13-uslugi-opiekuncze.jpg"} {
		t.Run(name, func(t *testing.T) {
			pages, _ := document(t, filepath.Join(dir, "constructed", name), nil)
			if len(pages) != len(list[name].Pages) {
				t.Fatalf("%d pages, want %d", len(pages), len(list[name].Pages))
			}
			for i, w := range list[name].Pages {
				p := pages[i]
				rate := recognise.ErrorRate(w.Text, p.Text)
				t.Logf("page %d %s: %.2f %%, confidence %d, turn %d, skew %.2f", w.N, w.Style, 100*rate, p.Confidence, p.Turn, p.Skew)
				if rate > most[w.Style] {
					t.Errorf("page %d (%s): %.1f %% of the letters are wrong\n%s", w.N, w.Style, 100*rate, p.Text)
				}
				if p.Turn != w.Rotation {
					t.Errorf("page %d: turned by %d, want %d", w.N, p.Turn, w.Rotation)
				}
			}
		})
	}
}

// The searchable copy is a sound PDF whose words stand where they are on the
// picture, and making it again gives the same octets.
func TestCopy(t *testing.T) {
	dir, _ := truths(t)
	var one, two bytes.Buffer
	pages, copied := document(t, filepath.Join(dir, "constructed", "l22-swiadczenia-rodzinne.pdf"), &one)
	if !copied {
		t.Fatal("no copy")
	}
	document(t, filepath.Join(dir, "constructed", "l22-swiadczenia-rodzinne.pdf"), &two)
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("made again, the copy is another file")
	}
	file := filepath.Join(t.TempDir(), "copy.pdf")
	if err := os.WriteFile(file, one.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("qpdf", "--check", file).CombinedOutput(); err != nil {
		t.Fatalf("qpdf: %v\n%s", err, out)
	}
	out, err := exec.Command("pdftotext", "-enc", "UTF-8", file, "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range strings.Fields(pages[0].Text)[:20] {
		if !strings.Contains(string(out), w) {
			t.Errorf("%q is not in the copy", w)
		}
	}
	fonts, err := exec.Command("pdffonts", file).Output()
	if err != nil || !strings.Contains(string(fonts), "Niewidoczny") || !strings.Contains(string(fonts), "yes") {
		t.Errorf("the font is not embedded: %v\n%s", err, fonts)
	}
}
