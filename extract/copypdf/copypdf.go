// Package copypdf writes the searchable copy of a scan: each page its picture
// and, over it, invisible text where the words stand, so that viewers can
// search and copy. The picture of a page is the stored JPEG stream where there
// is one, without what a camera wrote beside it (place, owner, thumbnail). The
// files are made as PDF/A-2b asks (ISO 19005-2: embedded font, output intent,
// XMP, no transparency), but no validator has seen them: they do not claim
// more than that. The same pages give the same octets.
package copypdf

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"math"
	"strings"
	"unicode/utf16"
)

// Word is invisible text: from where to where its line runs, in pixels of the
// picture, and how tall it is.
type Word struct {
	Text           string
	X0, Y0, X1, Y1 float64 // left and right end of the foot of the word
	Height         float64
}

// Page is one page of a copy.
type Page struct {
	Picture *Picture
	DPI     int
	Turn    int // degrees clockwise for viewers: 0, 90, 180, 270
	Words   []Word
}

// Picture is a compressed picture.
type Picture struct {
	Width, Height int
	dict          string
	data          []byte
}

// Writer writes a copy page by page; only one page is in memory.
type Writer struct {
	w       io.Writer
	at      int64
	offsets []int64 // of objects, from 1
	pages   []int
	sum     []byte
	err     error
}

// The first objects, in every file the same.
const (
	objCatalog = 1 + iota
	objPages
	objMetadata
	objICC
	objFont
	objCID
	objDescriptor
	objFontFile
	objToUnicode
	objMap
	firstPage
)

// NewWriter begins a file.
func NewWriter(w io.Writer) *Writer {
	c := &Writer{w: w, offsets: make([]int64, firstPage)}
	// Four octets over 127 tell transfer programs that it is binary (ISO 32000-1 §7.5.2).
	c.printf("%%PDF-1.7\n%%\xe2\xe3\xcf\xd3\n")
	return c
}

func (c *Writer) printf(format string, args ...any) { c.write([]byte(fmt.Sprintf(format, args...))) }

func (c *Writer) write(b []byte) {
	if c.err != nil {
		return
	}
	n, err := c.w.Write(b)
	c.at += int64(n)
	if err != nil {
		c.err = fmt.Errorf("write a searchable copy: %w", err)
	}
}

// object writes an object under a number; 0 = the next one.
func (c *Writer) object(n int, body string) int {
	if n == 0 {
		n = len(c.offsets)
		c.offsets = append(c.offsets, 0)
	}
	c.offsets[n] = c.at
	c.printf("%d 0 obj\n%s\nendobj\n", n, body)
	return n
}

// stream writes a stream object.
func (c *Writer) stream(n int, dict string, data []byte) int {
	if n == 0 {
		n = len(c.offsets)
		c.offsets = append(c.offsets, 0)
	}
	c.offsets[n] = c.at
	c.printf("%d 0 obj\n<< %s /Length %d >>\nstream\n", n, dict, len(data))
	c.write(data)
	c.printf("\nendstream\nendobj\n")
	return n
}

// Add appends a page.
func (c *Writer) Add(p Page) error {
	dpi := float64(max(p.DPI, 1))
	w, h := float64(p.Picture.Width)*72/dpi, float64(p.Picture.Height)*72/dpi
	sum := sha256.Sum256(append(c.sum, p.Picture.data...))
	c.sum = sum[:]
	img := c.stream(0, p.Picture.dict, p.Picture.data)
	content := c.stream(0, "/Filter /FlateDecode", deflate(content(p, w, h, 72/dpi)))
	page := c.object(0, fmt.Sprintf("<< /Type /Page /Parent %d 0 R /MediaBox [0 0 %s %s] /Rotate %d /Resources << /XObject << /P %d 0 R >> /Font << /F %d 0 R >> >> /Contents %d 0 R >>",
		objPages, num(w), num(h), p.Turn, img, objFont, content))
	c.pages = append(c.pages, page)
	return c.err
}

// Close ends the file.
func (c *Writer) Close() error {
	var kids strings.Builder
	for _, p := range c.pages {
		fmt.Fprintf(&kids, "%d 0 R ", p)
	}
	c.object(objPages, fmt.Sprintf("<< /Type /Pages /Count %d /Kids [%s] >>", len(c.pages), strings.TrimSpace(kids.String())))
	c.font()
	c.stream(objMetadata, "/Type /Metadata /Subtype /XML", []byte(xmp))
	c.stream(objICC, "/N 3 /Filter /FlateDecode", deflate(sRGB()))
	c.object(objCatalog, fmt.Sprintf("<< /Type /Catalog /Pages %d 0 R /Metadata %d 0 R /Lang (pl-PL) /OutputIntents [<< /Type /OutputIntent /S /GTS_PDFA1 /OutputConditionIdentifier (sRGB) /Info (sRGB IEC61966-2.1) /DestOutputProfile %d 0 R >>] >>",
		objPages, objMetadata, objICC))
	start := c.at
	c.printf("xref\n0 %d\n0000000000 65535 f \n", len(c.offsets))
	for _, o := range c.offsets[1:] {
		c.printf("%010d 00000 n \n", o)
	}
	id := sha256.Sum256(append([]byte("copy"), c.sum...))
	c.printf("trailer\n<< /Size %d /Root %d 0 R /ID [<%x> <%x>] >>\nstartxref\n%d\n%%%%EOF\n", len(c.offsets), objCatalog, id[:16], id[:16], start)
	return c.err
}

// content draws the picture over the page and writes the words invisibly
// (text rendering mode 3, ISO 32000-1 §9.3.6).
func content(p Page, w, h, scale float64) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "q %s 0 0 %s 0 0 cm /P Do Q\nBT 3 Tr\n", num(w), num(h))
	for _, word := range p.Words {
		codes := utf16.Encode([]rune(word.Text))
		x, y := word.X0*scale, h-word.Y0*scale
		dx, dy := (word.X1-word.X0)*scale, -(word.Y1-word.Y0)*scale
		length, size := math.Hypot(dx, dy), word.Height*scale
		if len(codes) == 0 || length <= 0 || size <= 0 {
			continue
		}
		// Each glyph is half as wide as the font is high; the horizontal
		// scaling makes the word as long as it is on the page.
		stretch := 100 * length / (size * glyphWidth / 1000 * float64(len(codes)))
		cos, sin := dx/length, dy/length
		fmt.Fprintf(&b, "/F %s Tf %s Tz %s %s %s %s %s %s Tm <", num(size), num(stretch), num(cos), num(sin), num(-sin), num(cos), num(x), num(y))
		for _, u := range codes {
			fmt.Fprintf(&b, "%04X", u)
		}
		b.WriteString("> Tj\n")
	}
	b.WriteString("ET\n")
	return b.Bytes()
}

func num(f float64) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.4f", f), "0"), ".")
}

func deflate(b []byte) []byte {
	var out bytes.Buffer
	z := zlib.NewWriter(&out)
	_, _ = z.Write(b) // into memory
	_ = z.Close()
	return out.Bytes()
}

// quality of pictures that are compressed here.
const quality = 80

// Compress makes the picture of a page; stored is the JPEG stream that it was
// decoded from, nil = it is compressed here.
func Compress(img image.Image, stored []byte) (*Picture, error) {
	b := img.Bounds()
	p := &Picture{Width: b.Dx(), Height: b.Dy(), dict: fmt.Sprintf("/Type /XObject /Subtype /Image /Width %d /Height %d", b.Dx(), b.Dy())}
	g, gray := img.(*image.Gray)
	if gray && stored == nil && bilevel(g) {
		p.dict, p.data = p.dict+" /ColorSpace /DeviceGray /BitsPerComponent 1 /Filter /FlateDecode", deflate(bits(g))
		return p, nil
	}
	_, colour := img.(*image.YCbCr)
	if gray || colour {
		p.data = Bare(stored) // other colour spaces the file may mean otherwise
	}
	if p.data == nil {
		var out bytes.Buffer
		if err := jpeg.Encode(&out, img, &jpeg.Options{Quality: quality}); err != nil {
			return nil, fmt.Errorf("compress a page: %w", err)
		}
		p.data = out.Bytes()
	}
	space := "/DeviceRGB"
	if gray {
		space = "/DeviceGray"
	}
	p.dict += " /ColorSpace " + space + " /BitsPerComponent 8 /Filter /DCTDecode"
	return p, nil
}

func bilevel(g *image.Gray) bool {
	for _, p := range g.Pix {
		if p != 0 && p != 255 {
			return false
		}
	}
	return true
}

// bits packs a picture of black and white into bits, 1 = white.
func bits(g *image.Gray) []byte {
	b := g.Bounds()
	stride := (b.Dx() + 7) / 8
	out := make([]byte, stride*b.Dy())
	for y := range b.Dy() {
		row := g.Pix[g.PixOffset(b.Min.X, b.Min.Y+y):]
		for x := range b.Dx() {
			if row[x] != 0 {
				out[y*stride+x/8] |= 0x80 >> (x % 8)
			}
		}
	}
	return out
}
