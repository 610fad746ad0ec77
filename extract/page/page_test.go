package page_test

import (
	"bytes"
	"errors"
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sekretariat/extract/page"
	"sekretariat/extract/sniff"
)

// scans is the folder of test scans.
func scans(t testing.TB) string {
	t.Helper()
	root := os.Getenv("SEKRETARIAT_TESTDATA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "testdata")
	}
	dir := filepath.Join(root, "scans")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no test scans in %s: set SEKRETARIAT_TESTDATA", dir)
	}
	return dir
}

func cache(t testing.TB) string {
	t.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		return t.TempDir()
	}
	dir = filepath.Join(dir, "sekretariat-test", "pdfium")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func open(t testing.TB, name string) (page.Source, error) {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	typ := sniff.Type(raw[:min(len(raw), sniff.HeadSize)], name)
	return page.Open(t.Context(), bytes.NewReader(raw), typ, page.Options{Temp: t.TempDir(), Cache: cache(t)})
}

// Every constructed file has all its pages, upright in format, in the
// resolution that was written into it.
func TestConstructed(t *testing.T) {
	want := map[string]struct{ pages, dpi int }{
		"b01-qr-departments.pdf": {9, 0}, "b02-patch-t-duplex.tif": {0, 0}, "bench10.pdf": {10, 300},
		"l01-pomoc-srodowiskowa.pdf": {1, 300}, "l04-asysta-rodzinna.tif": {1, 300}, "l10-swietlica-klub-seniora.pdf": {1, 200},
		"l19-bezdomnosc.tif": {1, 0}, "l07-przemoc.heic": {1, 0}, "l13-uslugi-opiekuncze.jpg": {1, 0},
	}
	for name, w := range want {
		t.Run(name, func(t *testing.T) {
			s, err := open(t, filepath.Join(scans(t), "constructed", name))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if w.pages > 0 && s.Pages() != w.pages {
				t.Errorf("%d pages, want %d", s.Pages(), w.pages)
			}
			for n := 1; n <= s.Pages(); n++ {
				p, err := s.Page(t.Context(), n)
				if err != nil {
					t.Fatalf("page %d: %v", n, err)
				}
				if w.dpi > 0 && p.DPI != w.dpi {
					t.Errorf("page %d: %d dpi, want %d", n, p.DPI, w.dpi)
				}
				g, dpi := p.Gray(200)
				if b := g.Bounds(); dpi > 210 || b.Dx() < 500 {
					t.Errorf("page %d: %v at %d dpi", n, b, dpi)
				}
				if mean(g) < 100 {
					t.Errorf("page %d is dark: %d", n, mean(g))
				}
			}
		})
	}
}

func mean(g *image.Gray) int {
	sum := 0
	for _, p := range g.Pix {
		sum += int(p)
	}
	return sum / len(g.Pix)
}

// Whatever a file of the test suites holds: pages or a plain error, in time.
func TestForeignFiles(t *testing.T) {
	var files []string
	_ = filepath.WalkDir(filepath.Join(scans(t), "public"), func(path string, d os.DirEntry, _ error) error {
		if !d.IsDir() && !strings.HasSuffix(path, ".txt") {
			files = append(files, path)
		}
		return nil
	})
	ok := 0
	for i, name := range files {
		if os.Getenv("SEKRETARIAT_ALL_SCANS") == "" && i%12 != 0 {
			continue
		}
		start := time.Now()
		s, err := open(t, name)
		if err != nil {
			t.Logf("%s: %v", filepath.Base(name), err)
			if !errors.Is(err, page.ErrDamaged) && !errors.Is(err, page.ErrPassword) && !errors.Is(err, page.ErrKind) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		for n := 1; n <= min(s.Pages(), 5); n++ {
			p, err := s.Page(t.Context(), n)
			if err != nil {
				t.Logf("%s: %v", filepath.Base(name), err)
				if !errors.Is(err, page.ErrDamaged) && !errors.Is(err, page.ErrLimit) {
					t.Errorf("%s: %v", name, err)
				}
				continue
			}
			ok++
			p.Gray(200)
		}
		s.Close()
		if took := time.Since(start); os.Getenv("SEKRETARIAT_ALL_SCANS") != "" && took > 30*time.Second {
			t.Errorf("%s took %v", name, took)
		}
	}
	if t.Logf("%d pages", ok); ok < 5 {
		t.Errorf("only %d pages of all these files can be shown", ok)
	}
}
