package page

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"math"
	"sync"
	"time"
	"unicode"

	"github.com/klippa-app/go-pdfium"
	"github.com/klippa-app/go-pdfium/enums"
	pdferrors "github.com/klippa-app/go-pdfium/errors"
	"github.com/klippa-app/go-pdfium/references"
	"github.com/klippa-app/go-pdfium/requests"
	"github.com/klippa-app/go-pdfium/webassembly"
	"github.com/tetratelabs/wazero"

	"sekretariat"
	"sekretariat/extract/picture"
)

// engineMemory bounds the memory of the PDF engine, in pages of 64 KiB: 512 MiB.
const engineMemory = 8192

// engine is PDFium, compiled once per process. It runs in WebAssembly without
// any file system: a hole in it opens nothing but its own memory. The context
// of wazero is not used to stop it, for checking it makes drawing ten times
// slower; the process is killed instead.
type engine struct {
	once sync.Once
	pool pdfium.Pool
	err  error
}

var shared engine

func (e *engine) instance(cache string) (pdfium.Pdfium, error) {
	e.once.Do(func() {
		config := wazero.NewRuntimeConfig().WithMemoryLimitPages(engineMemory)
		if cache != "" {
			c, err := wazero.NewCompilationCacheWithDir(cache)
			if err != nil {
				e.err = fmt.Errorf("cache of the PDF engine: %w", err)
				return
			}
			config = config.WithCompilationCache(c)
		}
		e.pool, e.err = webassembly.Init(webassembly.Config{
			MaxIdle: 1, MaxTotal: 2, RuntimeConfig: config, FSConfig: wazero.NewFSConfig(), Stdout: io.Discard, Stderr: io.Discard,
		})
	})
	if e.err != nil {
		return nil, e.err
	}
	return e.pool.GetInstance(30 * time.Second)
}

// Warm compiles the PDF engine into the cache folder, so that the first PDF
// need not wait for it.
func Warm(cache string) error {
	i, err := shared.instance(cache)
	if err != nil {
		return fmt.Errorf("compile the PDF engine: %w", err)
	}
	return i.Close()
}

// pdfFile is the source of a PDF file.
type pdfFile struct {
	p     pdfium.Pdfium
	doc   references.FPDF_DOCUMENT
	pages int
}

func openPDF(ctx context.Context, body sekretariat.Body, o Options) (Source, error) {
	i, err := shared.instance(o.Cache)
	if err != nil {
		return nil, err
	}
	f := &pdfFile{p: i}
	ask := &requests.OpenDocument{FileReader: io.NewSectionReader(body, 0, body.Size()), FileReaderSize: body.Size()}
	if o.Password != "" {
		ask.Password = &o.Password
	}
	doc, err := i.OpenDocument(ask)
	if err != nil {
		_ = i.Close()
		if errors.Is(err, pdferrors.ErrPassword) {
			return nil, ErrPassword
		}
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	f.doc = doc.Document
	count, err := i.FPDF_GetPageCount(&requests.FPDF_GetPageCount{Document: f.doc})
	if err != nil || count.PageCount < 1 {
		return nil, errors.Join(ErrDamaged, err, f.Close())
	}
	f.pages = min(count.PageCount, MaxPages)
	return f, ctx.Err()
}

// Pages implements Source.
func (f *pdfFile) Pages() int { return f.pages }

// Close implements Source.
func (f *pdfFile) Close() error { return f.p.Close() }

// Page implements Source. A page that is one JPEG from edge to edge is not
// drawn: the stored stream is taken out, sharper and thirty times quicker.
func (f *pdfFile) Page(ctx context.Context, n int) (*Page, error) {
	if n < 1 || n > f.pages {
		return nil, fmt.Errorf("page %d of %d: %w", n, f.pages, ErrDamaged)
	}
	loaded, err := f.p.FPDF_LoadPage(&requests.FPDF_LoadPage{Document: f.doc, Index: n - 1})
	if err != nil {
		return nil, fmt.Errorf("page %d: %w: %w", n, ErrDamaged, err)
	}
	defer func() { _, _ = f.p.FPDF_ClosePage(&requests.FPDF_ClosePage{Page: loaded.Page}) }()
	page := requests.Page{ByReference: &loaded.Page}
	look, err := f.look(page, n)
	if err != nil {
		return nil, err
	}
	out := f.stored(page, look)
	if out == nil {
		if out, err = f.drawn(page, look); err != nil {
			return nil, fmt.Errorf("page %d: %w", n, err)
		}
	}
	out.Number, out.Text = n, look.text && f.readable(page)
	return out, ctx.Err()
}

// layout is what is on a PDF page.
type layout struct {
	width, height float64 // points, as shown
	text          bool
	only          *references.FPDF_PAGEOBJECT // the one picture that covers the page
	dpi           int                         // of the largest picture
}

func (f *pdfFile) look(page requests.Page, n int) (layout, error) {
	var l layout
	size, err := f.p.FPDF_GetPageSizeByIndex(&requests.FPDF_GetPageSizeByIndex{Document: f.doc, Index: n - 1})
	if err != nil {
		return l, fmt.Errorf("page %d: %w: %w", n, ErrDamaged, err)
	}
	l.width, l.height = size.Width, size.Height
	count, err := f.p.FPDFPage_CountObjects(&requests.FPDFPage_CountObjects{Page: page})
	if err != nil {
		return l, nil // it is drawn
	}
	const enough = 2000 // objects that are looked at: a scan has few
	others, pictures := false, 0
	for i := range min(count.Count, enough) {
		o, err := f.p.FPDFPage_GetObject(&requests.FPDFPage_GetObject{Page: page, Index: i})
		if err != nil {
			continue
		}
		t, err := f.p.FPDFPageObj_GetType(&requests.FPDFPageObj_GetType{PageObject: o.PageObject})
		switch {
		case err != nil:
			others = true
		case t.Type == enums.FPDF_PAGEOBJ_TEXT:
			l.text = true
		case t.Type == enums.FPDF_PAGEOBJ_IMAGE:
			pictures++
			l.only = &o.PageObject
			l.dpi = max(l.dpi, f.resolution(o.PageObject))
		default:
			others = true
		}
	}
	notes, err := f.p.FPDFPage_GetAnnotCount(&requests.FPDFPage_GetAnnotCount{Page: page})
	if others || l.text || pictures != 1 || err != nil || notes.Count > 0 {
		l.only = nil
	}
	return l, nil
}

// readable tells whether a page has text of its own that says something: some
// letters, most of which the file maps to Unicode. Old text layers of scanners
// and fonts without a map look like text and are none.
func (f *pdfFile) readable(page requests.Page) bool {
	const some = 20
	t, err := f.p.GetPageText(&requests.GetPageText{Page: page})
	if err != nil {
		return false
	}
	good, bad := 0, 0
	for _, r := range t.Text {
		switch {
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			good++
		case r == unicode.ReplacementChar, unicode.Is(unicode.Co, r), unicode.IsControl(r) && !unicode.IsSpace(r):
			bad++
		}
	}
	return good >= some && good > 2*bad
}

// resolution of a picture as it is placed, dpi; 0 = not known.
func (f *pdfFile) resolution(o references.FPDF_PAGEOBJECT) int {
	m, err := f.p.FPDFPageObj_GetMatrix(&requests.FPDFPageObj_GetMatrix{PageObject: o})
	if err != nil {
		return 0
	}
	px, err := f.p.FPDFImageObj_GetImagePixelSize(&requests.FPDFImageObj_GetImagePixelSize{ImageObject: o})
	if err != nil {
		return 0
	}
	width := math.Hypot(float64(m.Matrix.A), float64(m.Matrix.B)) / 72
	if width <= 0 {
		return 0
	}
	return int(math.Round(float64(px.Width) / width))
}

// stored takes out the picture of a page that is nothing but one JPEG; nil
// when it is not that simple.
func (f *pdfFile) stored(page requests.Page, l layout) *Page {
	if l.only == nil || !f.covers(page, l) {
		return nil
	}
	filters, err := f.p.FPDFImageObj_GetImageFilterCount(&requests.FPDFImageObj_GetImageFilterCount{ImageObject: *l.only})
	if err != nil || filters.Count != 1 {
		return nil
	}
	filter, err := f.p.FPDFImageObj_GetImageFilter(&requests.FPDFImageObj_GetImageFilter{ImageObject: *l.only})
	if err != nil || filter.ImageFilter != "DCTDecode" {
		return nil
	}
	raw, err := f.p.FPDFImageObj_GetImageDataRaw(&requests.FPDFImageObj_GetImageDataRaw{ImageObject: *l.only})
	if err != nil {
		return nil
	}
	c, err := jpeg.DecodeConfig(bytes.NewReader(raw.Data))
	if err != nil || int64(c.Width)*int64(c.Height) > MaxPixels {
		return nil
	}
	img, err := jpeg.Decode(bytes.NewReader(raw.Data))
	if err != nil {
		return nil
	}
	switch img.(type) {
	case *image.Gray, *image.YCbCr:
	default:
		return nil // colours that the file may mean otherwise (CMYK)
	}
	if dark(img) {
		return nil // the file may say that black is white
	}
	out := &Page{DPI: l.dpi, Whole: true}
	turn := f.turn(page)
	if out.Picture = picture.Turned(img, turn); turn == 1 {
		out.JPEG = raw.Data
	}
	return out
}

// covers tells whether the only picture lies upright over all of its page, and
// nothing shines through it.
func (f *pdfFile) covers(page requests.Page, l layout) bool {
	m, err := f.p.FPDFPageObj_GetMatrix(&requests.FPDFPageObj_GetMatrix{PageObject: *l.only})
	if err != nil {
		return false
	}
	a := m.Matrix
	w, h := l.width, l.height
	if t := f.turn(page); t == 6 || t == 8 {
		w, h = h, w
	}
	const almost = 0.03
	upright := a.A > 0 && a.D > 0 && math.Abs(float64(a.B)) < 0.5 && math.Abs(float64(a.C)) < 0.5
	fits := math.Abs(float64(a.A)-w) < almost*w && math.Abs(float64(a.D)-h) < almost*h
	through, err := f.p.FPDFPageObj_HasTransparency(&requests.FPDFPageObj_HasTransparency{PageObject: *l.only})
	return upright && fits && err == nil && !through.HasTransparency
}

// turn is the rotation of a page as an EXIF orientation.
func (f *pdfFile) turn(page requests.Page) int {
	r, err := f.p.FPDFPage_GetRotation(&requests.FPDFPage_GetRotation{Page: page})
	if err != nil {
		return 1
	}
	switch r.PageRotation {
	case enums.FPDF_PAGE_ROTATION_90_CW:
		return 6
	case enums.FPDF_PAGE_ROTATION_180_CW:
		return 3
	case enums.FPDF_PAGE_ROTATION_270_CW:
		return 8
	}
	return 1
}

// dark tells whether most of a picture is black, by a sample.
func dark(img image.Image) bool {
	b := img.Bounds()
	n, black := 0, 0
	for y := b.Min.Y; y < b.Max.Y; y += max(1, b.Dy()/64) {
		for x := b.Min.X; x < b.Max.X; x += max(1, b.Dx()/64) {
			n++
			if r, g, bl, _ := img.At(x, y).RGBA(); r+g+bl < 3*0x6000 {
				black++
			}
		}
	}
	return 2*black > n
}

// drawn draws a page anew, smaller if it is larger than any sheet.
func (f *pdfFile) drawn(page requests.Page, l layout) (*Page, error) {
	dpi := renderDPI
	if px := l.width * l.height / 72 / 72 * renderDPI * renderDPI; px > maxRendered {
		dpi = max(1, int(renderDPI*math.Sqrt(maxRendered/px)))
	}
	r, err := f.p.RenderPageInDPI(&requests.RenderPageInDPI{
		Page: page, DPI: dpi, RenderFlags: enums.FPDF_RENDER_FLAG_ANNOT, RenderForm: true, Document: &f.doc,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	defer r.Cleanup()
	src, ok := r.Result.RenderedImage.(*image.RGBA)
	if !ok {
		return nil, ErrDamaged
	}
	// The pixels live in the engine's memory and go with it.
	out := &Page{DPI: dpi}
	if gray, only := grayOnly(src); only {
		out.Picture = gray
	} else {
		kept := *src
		kept.Pix = bytes.Clone(src.Pix)
		out.Picture = &kept
	}
	return out, nil
}

// grayOnly returns the picture in grey when it has no colours.
func grayOnly(img *image.RGBA) (*image.Gray, bool) {
	for i := 0; i+3 < len(img.Pix); i += 4 {
		p := img.Pix[i : i+4 : i+4]
		if p[0] != p[1] || p[1] != p[2] {
			return nil, false
		}
	}
	return grayRGBA(img), true
}
