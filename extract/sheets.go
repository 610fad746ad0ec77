package extract

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/png"
	"io"
	"strconv"
	"strings"
	"time"

	"codeberg.org/go-pdf/fpdf"

	"sekretariat"
	seen "sekretariat/extract/codes"
	"sekretariat/extract/page"
	"sekretariat/extract/scan"
	"sekretariat/extract/sniff"
)

// Sheet is what can be seen on one page of a scan without reading it.
type Sheet struct {
	Number int                `json:"number"` // from 1
	Blank  bool               `json:"blank,omitempty"`
	Codes  []sekretariat.Code `json:"codes,omitempty"`
	Failed bool               `json:"failed,omitempty"` // the page cannot be decoded
}

// sheetsTime bounds the look at a file: a pile that takes longer is registered as
// one letter.
const sheetsTime = 10 * time.Minute

// sheetTime bounds the look at one page: a page that takes longer has no codes.
const sheetTime = 5 * time.Second

// Sheets looks at the pages of a file. A file without pages, and one of a
// single page, has no sheets. cache is the folder of the compiled PDF engine, "" =
// it is compiled for this file.
func (d Direct) Sheets(ctx context.Context, body sekretariat.Body, cache string) ([]Sheet, error) {
	typ, err := typeOfBody(body)
	if err != nil || !page.Known(typ) {
		return nil, err
	}
	src, err := page.Open(ctx, body, typ, page.Options{Temp: d.Temp, Cache: cache})
	if errors.Is(err, page.ErrPassword) || errors.Is(err, page.ErrDamaged) {
		return nil, nil // one letter, whose reading says so
	}
	if err != nil {
		return nil, err
	}
	defer src.Close()
	if n := src.Pages(); n < 2 || n >= page.MaxPages { // there may be more than are looked at: nobody may get a part of it
		return nil, nil
	}
	var out []Sheet
	for n := 1; n <= src.Pages(); n++ {
		s, err := sheet(ctx, src, n)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func sheet(ctx context.Context, src page.Source, n int) (Sheet, error) {
	s := Sheet{Number: n}
	p, err := src.Page(ctx, n)
	if err != nil {
		s.Failed = true
		return s, ctx.Err()
	}
	g, dpi := p.Gray(scan.WorkDPI)
	s.Blank = !p.Text && scan.Judge(g, dpi, p.DPI).Blank
	bounded, cancel := context.WithTimeout(ctx, sheetTime)
	defer cancel()
	found, err := seen.Read(bounded, g, dpi)
	if err != nil && ctx.Err() != nil {
		return s, ctx.Err()
	}
	for _, f := range found {
		s.Codes = append(s.Codes, sekretariat.Code{Page: n, Symbol: f.Symbol, Value: f.Value})
	}
	return s, nil
}

func typeOfBody(body sekretariat.Body) (string, error) {
	head := make([]byte, sniff.HeadSize)
	n, err := body.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the head of a file: %w", err)
	}
	return sniff.Type(head[:n], ""), nil
}

// Sheets does the same in a child process. A child that dies over the file, or
// ctx that ends first, is an error: the file is then one letter.
func (p *Pool) Sheets(ctx context.Context, body sekretariat.Body, cache string) ([]Sheet, error) {
	select {
	case p.room <- struct{}{}:
		defer func() { <-p.room }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, sheetsTime) // not while it waits for its turn
	defer cancel()
	c, err := p.startWithFile(ctx, body)
	if err != nil {
		return nil, err
	}
	defer c.kill()
	defer context.AfterFunc(ctx, c.kill)()
	w := bufio.NewWriter(c.in)
	if err := errors.Join(writeFrame(w, request{Op: opSheets, Inline: -1, Cache: cache}), w.Flush()); err != nil {
		return nil, gone(ctx, err)
	}
	var a answer
	if err := readFrame(c.out, &a); err != nil {
		return nil, gone(ctx, err)
	}
	return a.Sheets, errorOf(a.Code, a.Error)
}

// pages copies pages from..to of a file of count pages (0 = not known) into a PDF
// of their own. Streams of a PDF are taken over as they are; of a file in which
// qpdf has to repair anything or counts other pages than those that were looked
// at, and of pictures, the pages as they are decoded.
func (d Direct) pages(ctx context.Context, body *spooled, from, to, count int) (io.ReadCloser, string, error) {
	const pdfType = "application/pdf"
	typ, err := typeOfBody(body)
	if err != nil {
		return nil, "", err
	}
	if typ == pdfType && d.counts(ctx, body, count) {
		made, t, err := d.keep(func(w io.Writer) error {
			return d.tool(ctx, body, nil, w, "qpdf", "--deterministic-id", "--remove-unreferenced-resources=yes", "--empty", "--pages", "/dev/fd/3", span(from, to), "--", "-")
		}, pdfType)
		if err == nil || ctx.Err() != nil {
			return made, t, err
		}
	}
	return d.keep(func(w io.Writer) error { return d.drawPages(ctx, typ, body, from, to, w) }, pdfType)
}

// counts tells whether qpdf finds as many pages as were looked at.
func (d Direct) counts(ctx context.Context, body *spooled, count int) bool {
	var out bytes.Buffer
	if err := d.tool(ctx, body, nil, &out, "qpdf", "--show-npages", "/dev/fd/3"); err != nil {
		return false
	}
	n, err := strconv.Atoi(strings.TrimSpace(out.String()))
	return err == nil && (count == 0 || n == count)
}

func span(from, to int) string { return strconv.Itoa(from) + "-" + strconv.Itoa(to) }

func (d Direct) drawPages(ctx context.Context, typ string, body *spooled, from, to int, w io.Writer) error {
	src, err := page.Open(ctx, body, typ, page.Options{Temp: d.Temp})
	if err != nil {
		return err
	}
	defer src.Close()
	out := fpdf.New("P", "pt", "A4", "")
	out.SetCreationDate(time.Unix(0, 0).UTC())
	out.SetModificationDate(time.Unix(0, 0).UTC())
	out.SetCatalogSort(true)
	for n := from; n <= to; n++ {
		p, err := src.Page(ctx, n)
		if err != nil {
			return err
		}
		if err := addPage(out, p); err != nil {
			return err
		}
	}
	return out.Output(w)
}

func addPage(out *fpdf.Fpdf, p *page.Page) error {
	b, dpi := p.Picture.Bounds(), float64(p.Resolution())
	if dpi <= 0 {
		dpi = scan.WorkDPI
	}
	size := fpdf.SizeType{Wd: float64(b.Dx()) * 72 / dpi, Ht: float64(b.Dy()) * 72 / dpi}
	raw, kind := p.JPEG, "JPEG"
	if raw == nil {
		var buf bytes.Buffer
		if err := png.Encode(&buf, p.Picture); err != nil {
			return fmt.Errorf("copy page %d: %w", p.Number, err)
		}
		raw, kind = buf.Bytes(), "PNG"
	}
	out.AddPageFormat("P", size)
	name, o := strconv.Itoa(p.Number), fpdf.ImageOptions{ImageType: kind}
	out.RegisterImageOptionsReader(name, o, bytes.NewReader(raw))
	out.ImageOptions(name, 0, 0, size.Wd, size.Ht, false, o, 0, "")
	return out.Error()
}
