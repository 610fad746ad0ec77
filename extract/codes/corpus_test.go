package codes_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"image"
	"image/draw"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"sekretariat/extract/codes"
	"sekretariat/extract/page"
	"sekretariat/extract/sniff"
)

func gray(img image.Image) *image.Gray {
	if g, ok := img.(*image.Gray); ok {
		return g
	}
	g := image.NewGray(img.Bounds())
	draw.Draw(g, g.Rect, img, img.Bounds().Min, draw.Src)
	return g
}

// TestCorpus reads the scans of the test data: what codes.tsv lists is found,
// and no page without a separator is taken for one.
func TestCorpus(t *testing.T) {
	root := os.Getenv("SEKRETARIAT_TESTDATA")
	if root == "" {
		root = "../../../shared/testdata"
	}
	dir := filepath.Join(root, "scans")
	raw, err := os.ReadFile(filepath.Join(dir, "codes.tsv"))
	if err != nil {
		t.Skipf("no test scans in %s: set SEKRETARIAT_TESTDATA", dir)
	}
	r := csv.NewReader(bytes.NewReader(raw))
	r.Comma, r.LazyQuotes = '\t', true
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	symbols := map[string]string{"QRCode": codes.QR, "Code128": codes.Code128, "Code39": codes.Code39, "Patch": codes.PatchT}
	want := map[string][][2]string{}
	for _, row := range rows[1:] {
		if s := symbols[row[2]]; s != "" {
			key := row[0] + " " + row[1]
			want[key] = append(want[key], [2]string{s, row[3]})
		}
	}
	files, _ := filepath.Glob(filepath.Join(dir, "constructed", "[bl]*"))
	more, _ := filepath.Glob(filepath.Join(dir, "public", "*codes", "*"))
	total, found := 0, 0
	var took time.Duration
	pages := 0
	for i, f := range append(files, more...) {
		name, _ := filepath.Rel(dir, f)
		if os.Getenv("SEKRETARIAT_ALL_SCANS") == "" && i%8 != 0 {
			continue // minutes under the race detector
		}
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		src, err := page.Open(context.Background(), bytes.NewReader(raw), sniff.Type(raw[:min(len(raw), sniff.HeadSize)], f), page.Options{})
		if err != nil {
			t.Logf("%s: %v", name, err)
			continue
		}
		for n := 1; n <= src.Pages(); n++ {
			p, err := src.Page(context.Background(), n)
			if err != nil {
				t.Logf("%s: %v", name, err)
				continue
			}
			start := time.Now()
			got, err := codes.Read(context.Background(), gray(p.Picture), p.DPI)
			took += time.Since(start)
			pages++
			if err != nil {
				t.Fatal(err)
			}
			listed := want[name+" "+strconv.Itoa(n)]
			for _, w := range listed {
				total++
				if has(got, w) {
					found++
				} else {
					t.Logf("%s page %d (%v, %d dpi): not found %v, have %v", name, n, p.Picture.Bounds(), p.DPI, w, got)
				}
			}
			for _, g := range got {
				if kind, _ := codes.Meaning(g.Symbol, g.Value); kind != codes.Content && len(listed) == 0 && strings.HasPrefix(name, "constructed") {
					t.Errorf("%s page %d: false %v", name, n, g)
				}
				if !has2(listed, g) {
					t.Logf("%s page %d: more: %v", name, n, g)
				}
			}
		}
		_ = src.Close()
	}
	t.Logf("%d of %d codes, %d pages, %v a page", found, total, pages, took/time.Duration(max(pages, 1)))
	if 100*found < 96*total && total-found > 1 {
		t.Errorf("%d of %d codes found", found, total)
	}
}

func has(got []codes.Found, w [2]string) bool {
	for _, g := range got {
		if g.Symbol == w[0] && g.Value == w[1] {
			return true
		}
	}
	return false
}

func has2(list [][2]string, g codes.Found) bool {
	for _, w := range list {
		if has([]codes.Found{g}, w) {
			return true
		}
	}
	return false
}
