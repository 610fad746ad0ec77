package scan_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sekretariat/extract/page"
	"sekretariat/extract/scan"
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
	}
	Degradation struct{ Skew float64 }
	Note        string
}

func truths(t testing.TB) (string, []truth) {
	t.Helper()
	root := os.Getenv("SEKRETARIAT_TESTDATA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "testdata")
	}
	f, err := os.Open(filepath.Join(root, "scans", "truth.jsonl"))
	if err != nil {
		t.Skipf("no test scans: %v; set SEKRETARIAT_TESTDATA", err)
	}
	defer f.Close()
	var list []truth
	for s := bufio.NewReader(f); ; {
		line, err := s.ReadBytes('\n')
		var one truth
		if json.Unmarshal(line, &one) == nil {
			list = append(list, one)
		}
		if err != nil {
			return filepath.Join(root, "scans"), list
		}
	}
}

func open(t testing.TB, name string) page.Source {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(dir, "sekretariat-test", "pdfium")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := page.Open(t.Context(), bytes.NewReader(raw), sniff.Type(raw[:min(len(raw), sniff.HeadSize)], name), page.Options{Temp: t.TempDir(), Cache: dir})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Blank pages are found, and only they; the lines are found at the angle at
// which they were laid.
func TestConstructedPages(t *testing.T) {
	dir, list := truths(t)
	var took time.Duration
	n := 0
	for _, d := range list {
		s := open(t, filepath.Join(dir, "constructed", d.File))
		for _, w := range d.Pages {
			p, err := s.Page(t.Context(), w.N)
			if err != nil {
				t.Fatalf("%s page %d: %v", d.File, w.N, err)
			}
			g, dpi := p.Gray(scan.WorkDPI)
			start := time.Now()
			l := scan.Judge(g, dpi, p.DPI)
			took += time.Since(start)
			n++
			if l.Blank != (w.Type == "blank") {
				t.Errorf("%s page %d (%s): blank %v", d.File, w.N, w.Type, l.Blank)
			}
			t.Logf("%s %d %s/%s rot %d: skew %.2f want %.2f sideways %v %v", d.File, w.N, w.Type, w.Style, w.Rotation, l.Skew, d.Degradation.Skew, l.Sideways, l.Faults)
			if d.Kind == "letter" && w.Rotation%180 == 0 && d.Note == "" && math.Abs(l.Skew-d.Degradation.Skew) > 0.4 {
				t.Errorf("%s page %d: skew %.2f, want %.2f", d.File, w.N, l.Skew, d.Degradation.Skew)
			}
			if w.Type != "blank" && w.Style == "typed" && l.Sideways != (w.Rotation%180 != 0) {
				t.Errorf("%s page %d: sideways %v, turned by %d", d.File, w.N, l.Sideways, w.Rotation)
			}
		}
		s.Close()
	}
	t.Logf("%v per page", took/time.Duration(max(n, 1)))
}
