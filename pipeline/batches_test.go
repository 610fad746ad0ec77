package pipeline_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"codeberg.org/go-pdf/fpdf"
	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/extract"
	"sekretariat/extract/page"
	"sekretariat/pipeline"
)

// drawn is a scanned page of a pile: "b" blank, "w…" written, else a QR code.
func drawn(t *testing.T, n int, what string) []byte {
	t.Helper()
	g := image.NewGray(image.Rect(0, 0, 1240, 1754))
	for i := range g.Pix {
		g.Pix[i] = 245
	}
	switch {
	case what == "b":
	case strings.HasPrefix(what, "w"):
		for y := 200; y < 1200; y += 40 {
			for x := 150; x < 1000; x += 9 {
				for dy := range 10 + (x*7+y*n)%11 {
					g.SetGray(x, y+dy, color.Gray{Y: 40})
					g.SetGray(x+1, y+dy, color.Gray{Y: 40})
				}
			}
		}
	default:
		m, err := qrcode.NewQRCodeWriter().Encode(what, gozxing.BarcodeFormat_QR_CODE, 500, 500, nil)
		if err != nil {
			t.Fatal(err)
		}
		for y := range 500 {
			for x := range 500 {
				if m.Get(x, y) {
					g.SetGray(370+x, 500+y, color.Gray{Y: 20})
				}
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, g); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func pileOf(t *testing.T, pages string) []byte {
	t.Helper()
	f := fpdf.New("P", "pt", "A5", "")
	for i, what := range strings.Fields(pages) {
		f.AddPage()
		name, o := strconv.Itoa(i), fpdf.ImageOptions{ImageType: "PNG"}
		f.RegisterImageOptionsReader(name, o, bytes.NewReader(drawn(t, i+1, what)))
		f.ImageOptions(name, 0, 0, 420.94, 595.28, false, o, 0, "")
	}
	var b bytes.Buffer
	if err := f.Output(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// pagesOf are the digests of the pages of a PDF as they look.
func pagesOf(t *testing.T, raw []byte) []string {
	t.Helper()
	src, err := page.Open(t.Context(), bytes.NewReader(raw), "application/pdf", page.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	var out []string
	for n := 1; n <= src.Pages(); n++ {
		p, err := src.Page(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		g, _ := p.Gray(100)
		out = append(out, fmt.Sprintf("%x", sha256.Sum256(g.Pix)))
	}
	return out
}

// taker takes letters in, and fails or dies at some.
type taker struct {
	o     *office
	fails map[int]bool // calls that fail, from 1
	calls int
	got   []sekretariat.Receipt
	pages [][]string
}

func (k *taker) Take(ctx context.Context, d sekretariat.Delivery, body io.Reader) error {
	if k.calls++; k.fails[k.calls] {
		return errors.New("store is away")
	}
	raw, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	t, err := k.o.intake.Take(ctx, d, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	r, err := t.Wait(ctx)
	if err == nil && !r.Repeat {
		k.got, k.pages = append(k.got, r), append(k.pages, pagesOf(k.o.t, raw))
	}
	return err
}

func (o *office) parts(t *testing.T) (*taker, *extract.Pool) {
	t.Helper()
	t.Setenv(childMode, "1")
	pool := extract.NewPool(extract.PoolOptions{Command: []string{os.Args[0]}, Temp: t.TempDir(), Logger: zerolog.Nop(), Time: time.Minute})
	t.Cleanup(pool.Close)
	k := &taker{o: o, fails: map[int]bool{}}
	var sheets pipeline.Sheets = pool
	if raced { // the PDF engine under the race detector does not fit the memory of a reading process
		sheets = extract.Direct{}
		if err := page.Warm(""); err != nil {
			t.Fatal(err)
		}
	}
	o.pipe = pipeline.New(pipeline.Options{
		Centre: o.cfg, Log: o.log, Vault: o.house.Vault, Claims: o.house.Ledger, Reader: o.reader, Router: o.router,
		Parts: pool, Sheets: sheets, Batches: k, Temp: t.TempDir(), Logger: zerolog.New(zerolog.NewTestWriter(t)), Clock: o.clock,
	})
	return k, pool
}

// piles makes the files of the box piles of letters.
func piles(c *configs.Centre) {
	c.Boxes = []configs.Box{{Account: configs.Account{ID: "pojemnik"}, Batches: true}}
}

// TestBatch: a pile becomes its letters, each with its own pages and its sheet's
// department, once, whatever fails on the way; the pile has no number and keeps
// its octets. No page is lost, none is in two letters.
func TestBatch(t *testing.T) {
	o := open(t, nil, piles)
	k, _ := o.parts(t)
	k.fails[2] = true // the store is away after the first letter: everything is done again
	o.run()
	pile := pileOf(t, "SEKR/D/PRZEMOC b w1 SEKR/D/BEZDOMNOSC w2 b SEKR/D/NIEMA w3")
	id := o.box(pile)
	l := o.await(id, "the pile", func(l *sekretariat.Letter) bool { return l.Status == sekretariat.StatusParked })
	if l.Reason != sekretariat.ParkBatch || !l.Number.IsZero() {
		t.Fatalf("%+v", l)
	}
	if len(k.got) != 3 {
		t.Fatalf("%d letters taken", len(k.got))
	}
	want := pagesOf(t, pile)
	for i, w := range []struct {
		pages []string
		to    sekretariat.DepartmentID
		rule  string
	}{{want[2:3], "przemoc", "karta"}, {want[4:6], "bezdomnosc", "karta"}, {want[7:8], sekretariat.Sekretariat, "fallback"}} {
		if fmt.Sprint(k.pages[i]) != fmt.Sprint(w.pages) {
			t.Errorf("letter %d: other pages than in the pile", i+1)
		}
		l := o.await(sekretariat.NewLetterID(k.got[i].Submission, 1), "a letter of it", routed)
		if l.Number.IsZero() || l.Department != w.to || w.rule == "karta" && l.Decision.Rule != w.rule {
			t.Errorf("letter %d: %v %v %+v", i+1, l.Number, l.Department, l.Decision)
		}
	}
	m, err := pipeline.Manifest(t.Context(), o.house.Vault, o.cfg.ID, id.Submission())
	if err != nil || m.Original.SHA256 != sekretariat.DigestOf(pile) {
		t.Errorf("the pile: %v %v", m.Original, err)
	}
}

// TestNoBatch: what no sheet parts is one letter.
func TestNoBatch(t *testing.T) {
	o := open(t, nil, piles)
	k, _ := o.parts(t)
	o.run()
	for name, content := range map[string][]byte{
		"other codes": pileOf(t, "w1 https://x.example"), "sheets alone": pileOf(t, "SEKR/S b"), "no pages": []byte("notatka"),
	} {
		if l := o.await(o.box(content), name, routed); l.Number.IsZero() || len(k.got) > 0 {
			t.Errorf("%s: %+v, %d letters", name, l, len(k.got))
		}
	}
}
