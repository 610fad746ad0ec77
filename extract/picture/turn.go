package picture

import (
	"image"
	"image/draw"
)

// Turned turns and mirrors a picture as an EXIF orientation asks (2.32 §4.6.4,
// tag 274); 0 and 1 leave it as it is. Grey pictures stay grey.
func Turned(img image.Image, orientation int) image.Image {
	if orientation < 2 || orientation > 8 {
		return img
	}
	b := img.Bounds()
	w, h := b.Dx(), b.Dy()
	if g, ok := img.(*image.Gray); ok {
		return turnedGray(g, orientation)
	}
	src := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.Draw(src, src.Bounds(), img, b.Min, draw.Src)
	if orientation >= 5 {
		w, h = h, w
	}
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			sx, sy := from(orientation, x, y, b.Dx(), b.Dy())
			copy(out.Pix[y*out.Stride+4*x:][:4], src.Pix[sy*src.Stride+4*sx:][:4])
		}
	}
	return out
}

func turnedGray(g *image.Gray, orientation int) *image.Gray {
	b := g.Bounds()
	w, h := b.Dx(), b.Dy()
	if orientation >= 5 {
		w, h = h, w
	}
	out := image.NewGray(image.Rect(0, 0, w, h))
	// (sx, sy) is linear in (x, y): one step right or down is a fixed step in
	// the source.
	at := func(x, y int) int {
		sx, sy := from(orientation, x, y, b.Dx(), b.Dy())
		return g.PixOffset(b.Min.X+sx, b.Min.Y+sy)
	}
	origin := at(0, 0)
	right, down := at(1, 0)-origin, at(0, 1)-origin
	for y := range h {
		row, i := out.Pix[y*out.Stride:][:w], origin+y*down
		for x := range row {
			row[x] = g.Pix[i]
			i += right
		}
	}
	return out
}

// from tells which pixel of a stored picture of w × h stands at (x, y) of the
// upright one.
func from(orientation, x, y, w, h int) (int, int) {
	switch orientation {
	case 2:
		return w - 1 - x, y
	case 3:
		return w - 1 - x, h - 1 - y
	case 4:
		return x, h - 1 - y
	case 5:
		return y, x
	case 6:
		return y, h - 1 - x
	case 7:
		return w - 1 - y, h - 1 - x
	case 8:
		return w - 1 - y, x
	}
	return x, y
}
