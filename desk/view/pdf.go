package view

import (
	"fmt"
	"io"
	"strings"
	"unicode"

	"codeberg.org/go-pdf/fpdf"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
)

// Measures of the page, millimetres and points.
const (
	margin    = 20.0
	labelWide = 45.0
	textSize  = 10.0
	lineHigh  = 5.0
	family    = "go"
)

// PDF writes the letter as A4 pages with embedded fonts.
func PDF(w io.Writer, l Letter) error {
	p := fpdf.New("P", "mm", "A4", "")
	p.SetMargins(margin, margin, margin)
	p.SetAutoPageBreak(true, margin)
	p.AddUTF8FontFromBytes(family, "", goregular.TTF)
	p.AddUTF8FontFromBytes(family, "B", gobold.TTF)
	p.SetTitle(l.title(), true)
	p.SetLang("pl")
	p.SetCreator("sekretariat", true)
	p.SetCatalogSort(true) // the same letter gives the same file
	p.SetCreationDate(l.Arrived)
	p.SetModificationDate(l.Arrived)
	p.SetFooterFunc(func() {
		p.SetY(-margin + 6)
		p.SetFont(family, "", 7)
		p.SetTextColor(70, 70, 70)
		p.MultiCell(0, 3, fmt.Sprintf("%s – strona %d", l.foot(), p.PageNo()), "", "L", false)
		p.SetTextColor(0, 0, 0)
	})
	p.AddPage()
	d := pdfPage{p}
	d.line("", 9, l.Centre)
	d.line("B", 15, l.title())
	d.rows(l.head())
	people := l.people()
	d.heading(people.Title)
	d.rows(people.Rows)
	d.heading("Treść")
	text := strings.TrimSpace(l.Reading.Text)
	if text == "" {
		text = "Brak tekstu do pokazania."
	}
	d.line("", textSize, text)
	for _, s := range l.sections() {
		d.heading(s.Title)
		d.rows(s.Rows)
		for _, t := range s.Lines {
			d.line("", textSize, "• "+t)
		}
	}
	if err := p.Output(w); err != nil {
		return fmt.Errorf("PDF of a letter: %w", err)
	}
	return nil
}

type pdfPage struct{ p *fpdf.Fpdf }

func (d pdfPage) line(weight string, points float64, text string) {
	d.p.SetFont(family, weight, points)
	d.p.MultiCell(0, points/2, printable(text), "", "L", false)
}

func (d pdfPage) heading(text string) {
	d.p.Ln(3)
	if _, high := d.p.GetPageSize(); d.p.GetY() > high-2*margin {
		d.p.AddPage() // a heading does not stand alone at the end
	}
	d.line("B", 11, text)
	d.p.Ln(1)
}

func (d pdfPage) rows(rows []row) {
	for _, r := range rows {
		y := d.p.GetY()
		if _, high := d.p.GetPageSize(); y > high-2*margin {
			d.p.AddPage()
			y = d.p.GetY()
		}
		d.p.SetFont(family, "B", textSize-1)
		d.p.MultiCell(labelWide, lineHigh, printable(r.Label), "", "L", false)
		below, page := d.p.GetY(), d.p.PageNo()
		d.p.SetXY(margin+labelWide, y)
		d.p.SetFont(family, "", textSize)
		d.p.MultiCell(0, lineHigh, printable(r.Value), "", "L", false)
		if d.p.PageNo() == page && d.p.GetY() < below {
			d.p.SetY(below)
		}
	}
}

// printable leaves out what no font shows, and breaks up words that fit no
// line: the library would loop over them for long.
func printable(s string) string {
	run := 0
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n' || r == '\t':
		case r > 0xFFFF || !unicode.IsPrint(r) && r != ' ':
			r = '·'
		}
		if run++; unicode.IsSpace(r) {
			run = 0
		} else if run > 80 {
			b.WriteByte(' ')
			run = 1
		}
		b.WriteRune(r)
	}
	return b.String()
}
