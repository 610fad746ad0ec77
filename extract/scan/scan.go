// Package scan judges the picture of a scanned page: is it blank, how askew
// does it lie, is it too dark, too pale, too coarse or cut off. It decodes
// nothing and reads no text; its input is a grey page of package page. All
// sizes are in millimetres of paper, so that the resolution does not matter.
package scan

import (
	"image"
	"math"

	"sekretariat/extract/page"
)

// WorkDPI is the resolution at which pages are read and searched for codes.
const WorkDPI = 200

// The faults of a page for which a clerk may want it scanned again.
const (
	FaultDark   = "page-dark"   // the paper is dark: the lid was open, or the paper is coloured
	FaultPale   = "page-pale"   // the ink hardly differs from the paper
	FaultCoarse = "page-coarse" // fewer dots per inch than letters need
	FaultCut    = "page-cut"    // text runs over an edge
	FaultSkewed = "page-skewed" // lies further askew than is put right without loss
)

// The limits between fine and faulty.
const (
	darkPaper  = 140 // grey level
	paleInk    = 45  // levels between paper and ink
	coarseDPI  = 140
	skewedFrom = 5.0 // degrees
)

// Look is what can be seen on a page.
type Look struct {
	Blank bool
	// Skew is by how many degrees the lines rise to the right: turn the page
	// clockwise by it. 0 where there are no lines to tell by.
	Skew float64
	// Sideways: the lines run up and down, so that the page lies on its side,
	// one way or the other.
	Sideways bool
	Faults   []string
}

// Judge looks at a grey page of a resolution of dpi; native is that of the
// stored picture, 0 = not known.
func Judge(g *image.Gray, dpi, native int) Look {
	half, hdpi := half(g, dpi)
	p := newPaper(half, hdpi)
	marks := p.marks()
	l := Look{Blank: marks.blank()}
	if p.level < darkPaper {
		l.Faults = append(l.Faults, FaultDark)
	}
	if l.Blank {
		return l
	}
	l.Skew, l.Sideways = p.skew()
	if marks.contrast() < paleInk {
		l.Faults = append(l.Faults, FaultPale)
	}
	if native > 0 && native < coarseDPI {
		l.Faults = append(l.Faults, FaultCoarse)
	}
	if marks.cut() {
		l.Faults = append(l.Faults, FaultCut)
	}
	if math.Abs(l.Skew) > skewedFrom {
		l.Faults = append(l.Faults, FaultSkewed)
	}
	return l
}

// half is the picture at about 100 dpi: enough for marks and lines.
func half(g *image.Gray, dpi int) (*image.Gray, int) {
	const want = 100
	if dpi <= want*6/5 {
		return g, max(dpi, 1)
	}
	b := g.Bounds()
	return page.Shrink(g, max(1, b.Dx()*want/dpi), max(1, b.Dy()*want/dpi)), want
}
