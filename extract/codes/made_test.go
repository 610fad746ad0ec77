package codes_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/oned"
	"github.com/makiuchi-d/gozxing/qrcode"

	"sekretariat/extract/codes"
)

// canvas is a sheet of A4 that is drawn on in millimetres.
type canvas struct {
	*image.Gray
	mm float64
}

func sheet(dpi int) canvas {
	mm := float64(dpi) / 25.4
	g := image.NewGray(image.Rect(0, 0, int(210*mm), int(297*mm)))
	for i := range g.Pix {
		g.Pix[i] = 240
	}
	return canvas{g, mm}
}

func (c canvas) bar(x, y, w, h float64, v uint8) {
	for py := int(math.Round(y * c.mm)); py < int(math.Round((y+h)*c.mm)); py++ {
		for px := int(math.Round(x * c.mm)); px < int(math.Round((x+w)*c.mm)); px++ {
			if (image.Point{X: px, Y: py}).In(c.Rect) {
				c.SetGray(px, py, color.Gray{Y: v})
			}
		}
	}
}

// stripes draws bars below each other, widths in millimetres with 2 mm between.
func (c canvas) stripes(x, y, long float64, widths ...float64) {
	for _, w := range widths {
		c.bar(x, y, long, w, 25)
		y += w + 2
	}
}

// columns draws bars beside each other.
func (c canvas) columns(x, y, long float64, widths ...float64) {
	for _, w := range widths {
		c.bar(x, y, w, long, 25)
		x += w + 2
	}
}

// code draws what a writer encodes.
func (c canvas) code(t testing.TB, w gozxing.Writer, f gozxing.BarcodeFormat, text string, x, y, module, high float64) {
	t.Helper()
	m, err := w.Encode(text, f, 0, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	for j := range m.GetHeight() {
		for i := range m.GetWidth() {
			if !m.Get(i, j) {
				continue
			}
			h := module
			if high > 0 {
				h = high
			}
			c.bar(x+float64(i)*module, y+float64(j)*module, module, h, 25)
		}
	}
}

// words draws lines that look like text.
func (c canvas) words(r *rand.Rand, y0, y1 float64) {
	for y := y0; y < y1; y += 6 {
		for x := 20.0; x < 185; {
			w := 3 + 12*r.Float64()
			for g := x; g < x+w; g += 1.7 {
				c.bar(g, y, 0.4, 2.6, 50)
				c.bar(g, y+2.6*r.Float64(), 1.2, 0.4, 50)
				if r.IntN(3) == 0 {
					c.bar(g+0.9, y, 0.4, 2.6, 50)
				}
			}
			x += w + 2
		}
	}
}

// wear is what happens to a sheet between printer and file.
type wear struct {
	angle    float64 // degrees
	turn     int     // quarters
	noise    int
	contrast float64
	jpeg     int
	bilevel  bool
	dirt     int
}

func (c canvas) worn(t testing.TB, r *rand.Rand, w wear) *image.Gray {
	t.Helper()
	b := c.Rect
	for range w.dirt {
		x, y := r.Float64()*210, r.Float64()*297
		c.bar(x, y, 0.2+r.Float64(), 0.2+r.Float64(), uint8(r.IntN(256)))
	}
	out := image.NewGray(b)
	if w.turn%2 == 1 {
		out = image.NewGray(image.Rect(0, 0, b.Dy(), b.Dx()))
	}
	sin, cos := math.Sincos(w.angle*math.Pi/180 + float64(w.turn)*math.Pi/2)
	ox, oy := float64(out.Rect.Dx())/2, float64(out.Rect.Dy())/2
	cx, cy := float64(b.Dx())/2, float64(b.Dy())/2
	for y := range out.Rect.Dy() {
		for x := range out.Rect.Dx() {
			dx, dy := float64(x)+0.5-ox, float64(y)+0.5-oy
			v := c.smooth(cx+dx*cos+dy*sin-0.5, cy-dx*sin+dy*cos-0.5)
			v = 255 - (255-v)*w.contrast + r.NormFloat64()*float64(w.noise)
			if w.bilevel {
				v = 255 * math.Round(math.Max(0, math.Min(1, (v-40)/170)))
			}
			out.Pix[y*out.Stride+x] = uint8(math.Max(0, math.Min(255, v)))
		}
	}
	if w.jpeg == 0 {
		return out
	}
	var buf bytes.Buffer
	if err := jpeg.Encode(&buf, out, &jpeg.Options{Quality: w.jpeg}); err != nil {
		t.Fatal(err)
	}
	img, err := jpeg.Decode(&buf)
	if err != nil {
		t.Fatal(err)
	}
	return gray(img)
}

func (c canvas) smooth(x, y float64) float64 {
	x0, y0 := int(math.Floor(x)), int(math.Floor(y))
	at := func(x, y int) float64 {
		if !(image.Point{X: x, Y: y}).In(c.Rect) {
			return 240
		}
		return float64(c.Pix[y*c.Stride+x])
	}
	fx, fy := x-float64(x0), y-float64(y0)
	return (at(x0, y0)*(1-fx)+at(x0+1, y0)*fx)*(1-fy) + (at(x0, y0+1)*(1-fx)+at(x0+1, y0+1)*fx)*fy
}

func wears() map[string]wear {
	return map[string]wear{
		"clean": {contrast: 1}, "skew": {angle: 3, contrast: 1, noise: 6}, "skew other way": {angle: -4.5, contrast: 1, noise: 6},
		"upside down": {turn: 2, angle: 1, contrast: 1, noise: 10}, "lying": {turn: 1, contrast: 1, noise: 8},
		"faded": {contrast: 0.35, noise: 8}, "jpeg": {contrast: 0.8, jpeg: 25, noise: 8},
		"fax": {contrast: 1, bilevel: true, noise: 25, angle: -1}, "dirt": {contrast: 0.9, dirt: 500, noise: 8, jpeg: 50},
	}
}

// TestWornSheets: separators are found however a sheet comes out of the scanner.
func TestWornSheets(t *testing.T) {
	sheets := map[string]func(canvas){
		"qr D": func(c canvas) {
			c.code(t, qrcode.NewQRCodeWriter(), gozxing.BarcodeFormat_QR_CODE, "SEKR/D/POMOC-SRODOWISKOWA", 60, 60, 1.5, 0)
		},
		"large qr": func(c canvas) {
			c.code(t, qrcode.NewQRCodeWriter(), gozxing.BarcodeFormat_QR_CODE, "SEKR/S", 60, 50, 4, 0)
		},
		"128 D": func(c canvas) {
			c.code(t, oned.NewCode128Writer(), gozxing.BarcodeFormat_CODE_128, "SEKR/D/POMOC", 30, 90, 0.5, 20)
		},
		"patch": func(c canvas) {
			c.stripes(40, 8, 130, 2, 5, 2, 5)
			c.stripes(40, 268, 130, 5, 2, 5, 2)
		},
		"patch side": func(c canvas) { c.columns(8, 60, 150, 2, 5, 2, 5) },
	}
	total, found := 0, 0
	for name, draw := range sheets {
		for as, w := range wears() {
			for _, dpi := range []int{150, 200, 300} {
				if os.Getenv("SEKRETARIAT_ALL_SCANS") == "" && (dpi > 150 || as != "skew" && as != "jpeg" && as != "dirt") {
					continue // minutes under the race detector
				}
				if dpi == 300 && as != "jpeg" || dpi == 200 && name != "qr D" && name != "patch" {
					continue
				}
				r := rand.New(rand.NewPCG(uint64(dpi), uint64(len(name)+len(as))))
				c := sheet(dpi)
				draw(c)
				c.words(r, 160, 200)
				got, err := codes.Read(context.Background(), c.worn(t, r, w), dpi)
				if err != nil {
					t.Fatal(err)
				}
				total++
				if means(got) != codes.Content {
					found++
				} else {
					t.Logf("%s, %s, %d dpi: %v", name, as, dpi, got)
				}
			}
		}
	}
	t.Logf("%d of %d", found, total)
	if 100*found < 98*total {
		t.Errorf("%d of %d separators found", found, total)
	}
}

func means(got []codes.Found) string {
	for _, g := range got {
		if kind, _ := codes.Meaning(g.Symbol, g.Value); kind != codes.Content {
			return kind
		}
	}
	return codes.Content
}

// TestDecoys: nothing that a letter may show is taken for a separator.
func TestDecoys(t *testing.T) {
	decoys := map[string]func(canvas){
		"text": func(canvas) {},
		"table with thick lines": func(c canvas) {
			for y := 20.0; y < 150; y += 7 {
				c.bar(20, y, 170, 0.5+1.5*float64(int(y)%3), 25)
			}
			for x := 20.0; x < 190; x += 25 {
				c.bar(x, 20, 1, 130, 25)
			}
		},
		"patch 1":       func(c canvas) { c.stripes(40, 10, 130, 5, 5, 2, 2) },
		"patch 2":       func(c canvas) { c.stripes(40, 10, 130, 5, 2, 2, 5) },
		"patch 4":       func(c canvas) { c.stripes(40, 10, 130, 2, 5, 5, 2) },
		"patch 6":       func(c canvas) { c.stripes(40, 10, 130, 2, 2, 5, 5) },
		"five bars":     func(c canvas) { c.stripes(40, 10, 130, 2, 5, 2, 5, 2) },
		"short bars":    func(c canvas) { c.stripes(40, 10, 25, 2, 5, 2, 5) },
		"equal stripes": func(c canvas) { c.stripes(40, 10, 150, 3, 3, 3, 3) },
		"id stripe": func(c canvas) {
			c.bar(0, 0, 210, 12, 30)
			c.bar(0, 14, 210, 3, 30)
		},
		"transfer": func(c canvas) {
			c.code(t, qrcode.NewQRCodeWriter(), gozxing.BarcodeFormat_QR_CODE, "|PL|61109010140000071219812874|001234|MOPS|||", 150, 200, 0.6, 0)
		},
		"parcel": func(c canvas) {
			c.code(t, oned.NewCode128Writer(), gozxing.BarcodeFormat_CODE_128, "00759007734567898762", 30, 60, 0.4, 30)
		},
		"quoted": func(c canvas) {
			c.code(t, oned.NewCode128Writer(), gozxing.BarcodeFormat_CODE_128, "USE PATCHT SHEETS", 30, 60, 0.4, 30)
		},
		"other prefix": func(c canvas) {
			c.code(t, qrcode.NewQRCodeWriter(), gozxing.BarcodeFormat_QR_CODE, "https://sekr.example/SEKR/D/POMOC", 90, 60, 0.8, 0)
		},
	}
	for name, draw := range decoys {
		for _, as := range []string{"skew", "fax"} {
			if os.Getenv("SEKRETARIAT_ALL_SCANS") == "" && as != "skew" {
				continue
			}
			w := wears()[as]
			t.Run(name+", "+as, func(t *testing.T) {
				r := rand.New(rand.NewPCG(7, uint64(len(name))))
				c := sheet(150)
				draw(c)
				c.words(r, 160, 280)
				got, err := codes.Read(context.Background(), c.worn(t, r, w), 150)
				if err != nil {
					t.Fatal(err)
				}
				if kind := means(got); kind != codes.Content {
					t.Errorf("taken for %s: %v", kind, got)
				}
			})
		}
	}
}

func TestMeaning(t *testing.T) {
	for _, c := range [][4]string{
		{codes.QR, "SEKR/D/PRZEMOC", codes.Department, "przemoc"}, {codes.Code128, "SEKR/A/000123", codes.Sticker, "000123"},
		{codes.QR, "SEKR/S", codes.Plain, ""}, {codes.Code39, "PATCHT", codes.Plain, ""}, {codes.PatchT, "T", codes.Plain, ""},
		{codes.QR, "SEKR/D/", codes.Content, ""}, {codes.QR, "SEKR/D/A B", codes.Content, ""}, {codes.QR, "XSEKR/S", codes.Content, ""},
		{codes.QR, "SEKR/X/1", codes.Content, ""}, {codes.QR, "PATCH T", codes.Content, ""}, {codes.QR, "ASN 000123", codes.Content, ""},
	} {
		if kind, arg := codes.Meaning(c[0], c[1]); kind != c[2] || arg != c[3] {
			t.Errorf("%s %q means %q %q", c[0], c[1], kind, arg)
		}
	}
}

// TestRegistered: a digit that is changed makes the number wrong, but for the
// few that the remainders 0 and 1 of S10 cannot tell.
func TestRegistered(t *testing.T) {
	for _, good := range []string{"RR123456785PL", "(00) 7 59007734 56789876 2"} {
		v, ok := codes.Registered(good)
		if !ok {
			t.Errorf("%s is not taken", good)
			continue
		}
		unseen := 0
		for i := range v {
			if v[i] < '0' || v[i] > '9' {
				continue
			}
			wrong := v[:i] + fmt.Sprint((v[i]-'0'+1)%10) + v[i+1:]
			if _, ok := codes.Registered(wrong); ok {
				unseen++
			}
		}
		if unseen > 1 {
			t.Errorf("%d changes of %s go unnoticed", unseen, v)
		}
	}
}
