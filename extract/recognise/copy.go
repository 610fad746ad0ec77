package recognise

import (
	"math"

	"sekretariat/extract/copypdf"
)

// hand gives one page to the caller and to the copy.
func (d *document) hand(w *work) error {
	if w.picture == nil {
		d.copy = nil
	}
	if d.copy != nil {
		if err := d.copy.Add(copypdf.Page{Picture: w.picture, DPI: w.native, Turn: w.page.Turn, Words: w.words()}); err != nil {
			return err
		}
	}
	w.gray, w.upright, w.picture = nil, nil, nil
	return d.fn(w.page)
}

// words puts the words where they stand on the stored picture, which was
// neither turned nor straightened.
func (w *work) words() []copypdf.Word {
	if w.upright == nil {
		return nil
	}
	b := w.upright.Bounds()
	width, height := float64(b.Dx()), float64(b.Dy())
	sin, cos := math.Sincos(w.page.Skew * math.Pi / 180)
	scale := float64(w.native) / float64(w.dpi)
	place := func(x, y float64) (float64, float64) {
		// Back by the angle about the middle, then back by quarter turns.
		dx, dy := x-width/2, y-height/2
		x, y = width/2+dx*cos+dy*sin, height/2-dx*sin+dy*cos
		switch w.page.Turn {
		case 90:
			x, y = y, width-x
		case 180:
			x, y = width-x, height-y
		case 270:
			x, y = height-y, x
		}
		return x * scale, y * scale
	}
	var out []copypdf.Word
	for _, t := range w.page.Words {
		foot := float64(t.Y + t.H)
		x0, y0 := place(float64(t.X), foot)
		x1, y1 := place(float64(t.X+t.W), foot)
		out = append(out, copypdf.Word{Text: t.Text + " ", X0: x0, Y0: y0, X1: x1, Y1: y1, Height: float64(t.H) * scale})
	}
	return out
}
