// Package codes finds on the picture of a page what machines are meant to read:
// QR codes, Code 128, Code 39 and the bars of patch sheets; and it knows which
// of them are ours. Only sheets and stickers of our own and the separator codes
// that scanners know split a batch (see Meaning); every other code is content.
// It takes decoded pictures only: what decodes foreign bytes is extract/page.
package codes

import (
	"context"
	"image"
	"slices"
)

// The symbologies of Found.Symbol.
const (
	QR      = "qr"
	Code128 = "code128"
	Code39  = "code39"
	PatchT  = "patch-t" // bars of a patch sheet, type T (Kodak A-61599); type 3 is T from the other side
)

// MaxFound bounds the codes of one page.
const MaxFound = 50

// Found is one code on a page.
type Found struct {
	Symbol string
	Value  string
	// Box is where it lies, pixels of the picture; of a linear code only
	// roughly.
	Box image.Rectangle
	// Seen is how often it was read: lines of a linear code, edges of the page
	// that show a patch.
	Seen int
}

// a4 is the long edge of the sheet that a page without resolution is taken
// for, millimetres.
const a4 = 297

// Read finds the codes of a page. dpi is the resolution of the picture, 0 = not
// known; it is a hint, for files say what they like. It looks on until all ways
// of looking are through or ctx ends: then it returns what it has and the
// context's error.
func Read(ctx context.Context, img *image.Gray, dpi int) ([]Found, error) {
	if img.Rect.Dx() < 32 || img.Rect.Dy() < 32 {
		return nil, nil
	}
	p := newSheet(img, dpi)
	var all []Found
	all = merge(all, p.patch())
	if err := ctx.Err(); err != nil {
		return all, err
	}
	all = merge(all, p.linear())
	if err := ctx.Err(); err != nil {
		return all, err
	}
	all = merge(all, p.matrix(ctx))
	slices.SortStableFunc(all, func(a, b Found) int {
		if a.Box.Min.Y != b.Box.Min.Y {
			return a.Box.Min.Y - b.Box.Min.Y
		}
		return a.Box.Min.X - b.Box.Min.X
	})
	return all[:min(len(all), MaxFound)], ctx.Err()
}

// merge adds what is not there yet; the same value twice on a page counts once.
func merge(all, more []Found) []Found {
	for _, f := range more {
		i := slices.IndexFunc(all, func(o Found) bool { return o.Symbol == f.Symbol && o.Value == f.Value })
		if i < 0 {
			all = append(all, f)
			continue
		}
		all[i].Seen += f.Seen
	}
	return all
}

// sheet is a page prepared for reading.
type sheet struct {
	img  *image.Gray // origin at 0,0, tightly packed
	mm   float64     // pixels per millimetre
	w, h int
	sum  []uint64 // summed area, (w+1)*(h+1)
	// back leads from the sheet to the picture it was made from.
	back int
}

// finest is the resolution above which a page is made smaller: modules of
// printed codes are 0.25 mm and more, and noise goes with the pixels.
const finest = 250

func newSheet(img *image.Gray, dpi int) *sheet {
	long := max(img.Rect.Dx(), img.Rect.Dy())
	mm := float64(dpi) / 25.4
	if least := float64(long) / 600; mm < least || dpi <= 0 || dpi > 1200 {
		mm = float64(long) / a4
	}
	by := 1
	for mm/float64(by) > finest/25.4 && long/by > 1200 {
		by++
	}
	s := &sheet{img: shrink(img, by), mm: mm / float64(by), back: by}
	s.w, s.h = s.img.Rect.Dx(), s.img.Rect.Dy()
	s.integrate()
	return s
}

// shrink makes a picture smaller by a whole factor, by means of squares.
func shrink(img *image.Gray, by int) *image.Gray {
	r := img.Rect
	w, h := r.Dx()/by, r.Dy()/by
	out := image.NewGray(image.Rect(0, 0, w, h))
	if by == 1 {
		for y := range h {
			copy(out.Pix[y*w:(y+1)*w], img.Pix[y*img.Stride:y*img.Stride+w])
		}
		return out
	}
	sums := make([]int, w)
	for y := range h {
		clear(sums)
		for dy := range by {
			row := img.Pix[(y*by+dy)*img.Stride:]
			for x := range w {
				for dx := range by {
					sums[x] += int(row[x*by+dx])
				}
			}
		}
		for x, v := range sums {
			out.Pix[y*w+x] = uint8(v / (by * by))
		}
	}
	return out
}

func (s *sheet) integrate() {
	w := s.w + 1
	s.sum = make([]uint64, w*(s.h+1))
	for y := range s.h {
		var row uint64
		for x := range s.w {
			row += uint64(s.img.Pix[y*s.w+x])
			s.sum[(y+1)*w+x+1] = s.sum[y*w+x+1] + row
		}
	}
}

// mean is the mean grey of a rectangle, which is cut to the page.
func (s *sheet) mean(x0, y0, x1, y1 int) int {
	x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, s.w), min(y1, s.h)
	n := (x1 - x0) * (y1 - y0)
	if n <= 0 {
		return 255
	}
	w := s.w + 1
	return int(s.sum[y1*w+x1]+s.sum[y0*w+x0]-s.sum[y0*w+x1]-s.sum[y1*w+x0]) / n
}

// box leads back to the picture that was given.
func (s *sheet) box(r image.Rectangle) image.Rectangle {
	return image.Rect(r.Min.X*s.back, r.Min.Y*s.back, r.Max.X*s.back, r.Max.Y*s.back)
}
