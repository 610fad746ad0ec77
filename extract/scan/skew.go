package scan

import (
	"image"
	"math"
)

// The search for the angle of the lines.
const (
	skewRange  = 8.0 // degrees to either side
	skewCoarse = 0.25
	skewFine   = 0.02
	maxPoints  = 40_000
	clearLines = 1.25 // how much sharper lines must be than without turning, to be believed
)

// skew finds the angle at which the rows of ink are most uneven: between lines
// there is none. sideways tells that columns are more uneven than rows ever
// are.
func (p *paper) skew() (angle float64, sideways bool) {
	points := p.points()
	if len(points) < 200 {
		return 0, false
	}
	rows := func(a float64) float64 { return profile(points, math.Tan(a*math.Pi/180), p.w, p.h) }
	angle, best := peak(rows)
	turned := make([]image.Point, len(points))
	for i, q := range points {
		turned[i] = image.Pt(q.Y, q.X)
	}
	_, across := peak(func(a float64) float64 { return profile(turned, math.Tan(a*math.Pi/180), p.h, p.w) })
	const clearly = 1.3
	if across > clearly*best {
		return 0, true
	}
	// Pages without lines have a flat curve; its peak means nothing.
	if best < clearLines*(rows(angle+3)+rows(angle-3))/2 {
		return 0, false
	}
	return angle, false
}

// peak searches coarsely, then finely.
func peak(score func(float64) float64) (at, best float64) {
	for a := -skewRange; a <= skewRange; a += skewCoarse {
		if s := score(a); s > best {
			at, best = a, s
		}
	}
	middle := at
	for step := skewCoarse / 2; step >= skewFine/2; step /= 2 {
		for _, a := range []float64{middle - step, middle + step} {
			if s := score(a); s > best {
				at, best = a, s
			}
		}
		middle = at
	}
	return at, best
}

// points are dark pixels that have a light one below: the feet of letters,
// which stand on the lines. Frames and shadows at the edges are left out.
func (p *paper) points() []image.Point {
	var out []image.Point
	mx, my := p.w/25, p.h/25
	least := max(p.least, 24)
	for y := my; y < p.h-my-1; y++ {
		for x := mx; x < p.w-mx; x++ {
			if i := y*p.w + x; p.depth[i] >= least && p.depth[i+p.w] < least {
				out = append(out, image.Pt(x, y))
			}
		}
	}
	if step := len(out)/maxPoints + 1; step > 1 {
		kept := out[:0]
		for i := 0; i < len(out); i += step {
			kept = append(kept, out[i])
		}
		out = kept
	}
	return out
}

// profile is the unevenness of the rows after a shear: the sum of squares.
func profile(points []image.Point, tan float64, w, h int) float64 {
	shift := int(math.Abs(tan)*float64(w)) + 2
	bins := make([]int32, h+2*shift)
	slope := int(tan * 65536)
	for _, q := range points {
		// Lines that rise to the right have smaller y there.
		bins[q.Y+shift+(q.X*slope)>>16]++
	}
	sum := 0.0
	for _, b := range bins {
		sum += float64(b) * float64(b)
	}
	return sum
}

// Straighten turns a grey page clockwise by so many degrees about its middle,
// with white where nothing was. Tiny angles leave it as it is.
func Straighten(g *image.Gray, degrees float64) *image.Gray {
	const worthIt = 0.1
	if math.Abs(degrees) < worthIt {
		return g
	}
	b := g.Bounds()
	w, h := b.Dx(), b.Dy()
	out := image.NewGray(image.Rect(0, 0, w, h))
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	const one = 1 << 16
	s, c := int64(sin*one), int64(cos*one)
	cx, cy := int64(w)*one/2, int64(h)*one/2
	for y := range h {
		dy := int64(y)*one - cy
		// Where (x, y) of the result comes from: turned back.
		sx := cx + (-cx*c+dy*s)>>16
		sy := cy + (cx*s+dy*c)>>16
		row := out.Pix[y*out.Stride:][:w]
		for x := range row {
			px, py := int(sx>>16), int(sy>>16)
			if px >= 0 && py >= 0 && px < w-1 && py < h-1 {
				i := g.PixOffset(b.Min.X+px, b.Min.Y+py)
				fx, fy := uint32(sx>>8)&255, uint32(sy>>8)&255
				top := uint32(g.Pix[i])*(256-fx) + uint32(g.Pix[i+1])*fx
				bottom := uint32(g.Pix[i+g.Stride])*(256-fx) + uint32(g.Pix[i+g.Stride+1])*fx
				row[x] = uint8((top*(256-fy) + bottom*fy) >> 16)
			} else {
				row[x] = 255
			}
			sx += c
			sy -= s
		}
	}
	return out
}
