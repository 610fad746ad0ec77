package codes

import (
	"context"
	"image"
	"math"

	"github.com/makiuchi-d/gozxing"
	multi "github.com/makiuchi-d/gozxing/multi/qrcode"
)

// maxLooks bounds the ways in which a page is looked at for QR codes.
const maxLooks = 4

// matrix finds QR codes. The search costs most of all, so a page in which no
// three corners of a code can be seen is left alone; where some can, it is
// looked at by one way of telling dark from light after another until a code
// is read.
func (s *sheet) matrix(ctx context.Context) []Found {
	dark := s.darkness(7)
	if s.corners(dark) < 3 {
		// Noise and faint print hide corners: the page made coarser shows them.
		if dark = s.darkness(20); s.corners(dark) < 3 {
			return nil
		}
	}
	var out []Found
	for look := range maxLooks {
		if len(out) > 0 || ctx.Err() != nil {
			break
		}
		out = merge(out, s.look(look, dark))
	}
	return out
}

func (s *sheet) look(n int, dark *gozxing.BitMatrix) []Found {
	by := 1
	img := s.img
	if n == 3 {
		by = 2
		img = shrink(s.img, by)
	}
	src, err := gozxing.NewPlanarYUVLuminanceSource(img.Pix, img.Rect.Dx(), img.Rect.Dy(), 0, 0, img.Rect.Dx(), img.Rect.Dy(), false)
	if err != nil {
		return nil
	}
	var b gozxing.Binarizer
	switch n {
	case 0:
		b = ready{gozxing.NewHybridBinarizer(src), dark}
	case 2:
		b = gozxing.NewGlobalHistgramBinarizer(src)
	default:
		b = gozxing.NewHybridBinarizer(src)
	}
	bitmap, err := gozxing.NewBinaryBitmap(b)
	if err != nil {
		return nil
	}
	results, err := multi.NewQRCodeMultiReader().DecodeMultiple(bitmap, map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_TRY_HARDER: true})
	if err != nil {
		return nil
	}
	var out []Found
	for _, r := range results {
		out = append(out, Found{Symbol: QR, Value: r.GetText(), Box: s.box(around(r.GetResultPoints(), by)), Seen: 1})
	}
	return out
}

func around(points []gozxing.ResultPoint, by int) image.Rectangle {
	var r image.Rectangle
	for _, p := range points {
		x, y := int(p.GetX())*by, int(p.GetY())*by
		r = r.Union(image.Rect(x, y, x+1, y+1))
	}
	return r
}

// ready is a binarizer whose work is done.
type ready struct {
	gozxing.Binarizer
	m *gozxing.BitMatrix
}

// GetBlackMatrix implements gozxing.Binarizer.
func (r ready) GetBlackMatrix() (*gozxing.BitMatrix, error) { return r.m, nil }

// black is the grey level below which a pixel is ink whatever lies around it:
// the squares of a large code are wider than the surroundings that are looked at.
func (s *sheet) black() int {
	var count [256]int
	for _, v := range s.img.Pix {
		count[v]++
	}
	share := func(percent int) int {
		n := 0
		for v, c := range count {
			if n += c; n*100 > percent*len(s.img.Pix) {
				return v
			}
		}
		return 255
	}
	ink, paper := share(1), share(70)
	if paper-ink < 60 {
		return 0
	}
	return ink + (paper-ink)*2/5
}

// darkness marks what is darker than its surroundings of 8 mm, by percent.
func (s *sheet) darkness(percent int) *gozxing.BitMatrix {
	m, err := gozxing.NewBitMatrix(s.w, s.h)
	if err != nil {
		return nil
	}
	half, black := max(4, int(4*s.mm)), s.black()
	row := gozxing.NewBitArray(s.w)
	for y := range s.h {
		row.Clear()
		for x := range s.w {
			if v := int(s.img.Pix[y*s.w+x]); v < black || v*100 < s.mean(x-half, y-half, x+half, y+half)*(100-percent) {
				row.Set(x)
			}
		}
		m.SetRow(y, row)
	}
	return m
}

// corners counts places that look like the corner of a QR code: dark, light and
// dark as 1:1:3:1:1 along a row and along the column through its middle (ISO/IEC
// 18004, 6.3.3).
func (s *sheet) corners(m *gozxing.BitMatrix) int {
	n := 0
	var last [2]int
	var run [5]int
	for y := 0; y < s.h; y += 2 {
		run = [5]int{}
		state := false
		length := 0
		for x := 0; x <= s.w; x++ {
			d := x < s.w && m.Get(x, y)
			if d == state && x < s.w {
				length++
				continue
			}
			copy(run[:], run[1:])
			run[4] = length
			length = 1
			was := state
			state = d
			if !was || !cornered(run) {
				continue
			}
			total := run[0] + run[1] + run[2] + run[3] + run[4]
			cx := x - total/2
			if s.column(m, cx, y, total) && (abs(cx-last[0]) > total/2 || abs(y-last[1]) > total/2) {
				last = [2]int{cx, y}
				n++
			}
		}
	}
	return n
}

func abs(n int) int { return max(n, -n) }

func cornered(run [5]int) bool {
	total := 0
	for _, r := range run {
		if r == 0 {
			return false
		}
		total += r
	}
	if total < 7 {
		return false
	}
	unit := float64(total) / 7
	for i, r := range run {
		want := unit
		if i == 2 {
			want = 3 * unit
		}
		if math.Abs(float64(r)-want) > 0.6*unit*math.Sqrt(want/unit)+0.5 {
			return false
		}
	}
	return true
}

// column tells whether the column through x looks like a corner around y too.
func (s *sheet) column(m *gozxing.BitMatrix, x, y, total int) bool {
	if x < 0 || x >= s.w || !m.Get(x, y) {
		return false
	}
	var run [5]int
	at := func(y int) bool { return y >= 0 && y < s.h && m.Get(x, y) }
	up, down := y, y+1
	for _, side := range []struct {
		pos  *int
		step int
		to   [3]int
	}{{&up, -1, [3]int{2, 1, 0}}, {&down, 1, [3]int{2, 3, 4}}} {
		want := true
		for _, i := range side.to {
			for n := 0; n <= total && *side.pos >= 0 && *side.pos < s.h && at(*side.pos) == want; n++ {
				run[i]++
				*side.pos += side.step
			}
			want = !want
		}
	}
	size := run[0] + run[1] + run[2] + run[3] + run[4]
	return cornered(run) && 5*abs(size-total) < 2*total
}
