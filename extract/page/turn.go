package page

import (
	"image"
	"image/color"
	"image/draw"

	xdraw "golang.org/x/image/draw"
)

// square makes the pixels of a picture square: fax machines send 204 × 98 dpi.
func square(img image.Image, dpiX, dpiY int) (image.Image, int) {
	const worthIt = 1.1
	if dpiX <= 0 || dpiY <= 0 {
		return img, max(dpiX, dpiY, 0)
	}
	if r := float64(dpiX) / float64(dpiY); r < worthIt && r > 1/worthIt {
		return img, dpiX
	}
	b, dpi := img.Bounds(), max(dpiX, dpiY)
	w, h := b.Dx()*dpi/dpiX, b.Dy()*dpi/dpiY
	if w < 1 || h < 1 || int64(w)*int64(h) > MaxPixels {
		return img, dpiX
	}
	out := image.NewGray(image.Rect(0, 0, w, h))
	xdraw.ApproxBiLinear.Scale(out, out.Bounds(), img, b, xdraw.Src, nil)
	return out, dpi
}

// Gray returns the page in grey at a resolution of at most dpi: a page with a
// higher one is made smaller by averaging, one with a lower one stays as it
// is. The second value is the resolution of the result; where the file says
// nothing, the size of a sheet of A4 is assumed.
func (p *Page) Gray(dpi int) (*image.Gray, int) {
	g, have := p.gray(), p.Resolution()
	if have <= dpi+dpi/20 {
		return g, have
	}
	b := g.Bounds()
	return Shrink(g, max(1, b.Dx()*dpi/have), max(1, b.Dy()*dpi/have)), dpi
}

// Resolution is that of the picture, dots per inch. What files say is believed
// only when the page is then between a stamp and a newspaper; else its longer
// side is taken for that of A4.
func (p *Page) Resolution() int {
	const a4, least, most = 11.69, 2.0, 40.0 // inches
	b := p.Picture.Bounds()
	longer := float64(max(b.Dx(), b.Dy()))
	if p.DPI > 0 {
		if inches := longer / float64(p.DPI); inches >= least && inches <= most {
			return p.DPI
		}
	}
	return max(1, int(longer/a4+0.5))
}

// gray returns the picture in grey; what is transparent is paper.
func (p *Page) gray() *image.Gray {
	switch img := p.Picture.(type) {
	case *image.Gray:
		return img
	case *image.YCbCr: // Y is grey already
		b := img.Bounds()
		out := image.NewGray(image.Rect(0, 0, b.Dx(), b.Dy()))
		for y := range b.Dy() {
			i := img.YOffset(b.Min.X, b.Min.Y+y)
			copy(out.Pix[y*out.Stride:], img.Y[i:i+b.Dx()])
		}
		return out
	case *image.RGBA:
		return grayRGBA(img)
	}
	b := p.Picture.Bounds()
	flat := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	draw.Draw(flat, flat.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src)
	draw.Draw(flat, flat.Bounds(), p.Picture, b.Min, draw.Over)
	return grayRGBA(flat)
}

// grayRGBA weighs the colours as ITU-R BT.601 does; paper lies below what is
// transparent.
func grayRGBA(img *image.RGBA) *image.Gray {
	b := img.Bounds()
	out := image.NewGray(image.Rect(0, 0, b.Dx(), b.Dy()))
	for y := range b.Dy() {
		src := img.Pix[img.PixOffset(b.Min.X, b.Min.Y+y):][:4*b.Dx()]
		row := out.Pix[y*out.Stride:][:b.Dx()]
		for x := range row {
			s := src[4*x : 4*x+4 : 4*x+4]
			row[x] = uint8((19595*uint32(s[0])+38470*uint32(s[1])+7471*uint32(s[2])+1<<15)>>16) + (255 - s[3])
		}
	}
	return out
}

// Shrink makes a grey picture smaller by averaging the pixels that fall onto
// each new one.
func Shrink(g *image.Gray, w, h int) *image.Gray {
	b := g.Bounds()
	if w >= b.Dx() || h >= b.Dy() {
		return g
	}
	out := image.NewGray(image.Rect(0, 0, w, h))
	// Two passes with weights of 8 bits: across, then down.
	cols, rows := weights(b.Dx(), w), weights(b.Dy(), h)
	line := make([]uint32, w)
	sum := make([]uint32, w)
	across := func(y int) {
		src := g.Pix[g.PixOffset(b.Min.X, b.Min.Y+y):][:b.Dx()]
		for x := range line {
			c := cols[x]
			v := uint32(src[c.first]) * c.head
			for _, s := range src[c.first+1 : c.last] {
				v += uint32(s) << 8
			}
			if c.last > c.first {
				v += uint32(src[c.last]) * c.tail
			}
			line[x] = v / c.total
		}
	}
	have := -1
	for y := range h {
		r := rows[y]
		clear(sum)
		for sy := r.first; sy <= r.last; sy++ {
			weight := uint32(256)
			switch sy {
			case r.first:
				weight = r.head
			case r.last:
				weight = r.tail
			}
			if weight == 0 {
				continue
			}
			if sy != have {
				across(sy)
				have = sy
			}
			for x, v := range line {
				sum[x] += v * weight
			}
		}
		row := out.Pix[y*out.Stride:][:w]
		for x := range row {
			row[x] = uint8((sum[x] + r.total/2) / r.total)
		}
	}
	return out
}

// share is which source pixels fall onto a new one: all between first and
// last, and head and tail 256ths of those two.
type share struct {
	first, last       int
	head, tail, total uint32
}

func weights(from, to int) []share {
	out := make([]share, to)
	for i := range out {
		lo, hi := int64(i)*int64(from)*256/int64(to), int64(i+1)*int64(from)*256/int64(to)
		first, last := int(lo>>8), int(hi>>8)
		s := share{first: first, last: min(last, from-1), head: uint32(256 - lo&255), tail: uint32(hi & 255)}
		if last >= from {
			s.tail = 256
		}
		if s.last == s.first {
			s.head, s.tail = uint32(max(hi-lo, 1)), 0
		}
		s.total = uint32(max(hi-lo, 1))
		out[i] = s
	}
	return out
}
