// Package recognise leads a scan page by page through decoding, judging,
// straightening, Tesseract and the searchable copy. Pages are decoded one after
// the other; Tesseract works on short lists of them, several lists at once. It
// works on foreign bytes: call it only in a reading process.
package recognise

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"math"
	"time"

	"golang.org/x/sync/errgroup"

	"sekretariat"
	"sekretariat/extract/copypdf"
	"sekretariat/extract/ocr"
	"sekretariat/extract/page"
	"sekretariat/extract/picture"
	"sekretariat/extract/scan"
)

// Engine is the name and version of the way in which pages are read, part of
// the keys of what is made.
const Engine = "ocr-1"

// Limits.
const (
	listed    = 4                // pages for one run of Tesseract
	pageTime  = 30 * time.Second // for one page of a list
	turnBelow = 55               // confidence under which the page may lie on its side or head
	turnSure  = 5                // confidence of the orientation that is believed
)

// Codes of pages that could not be read.
const (
	CodeDamaged = "damaged"
	CodeLimit   = "limit"
	CodeTime    = "time"
	CodeFailed  = "failed"
)

// Options of a run.
type Options struct {
	Page     page.Options
	Parallel int       // processes of Tesseract at once, default 1
	First    int       // page to begin with, 0 = the first
	Last     int       // and to end with, 0 = the last
	Copy     io.Writer // for the searchable copy, nil = none
}

// Document recognises the text of all pages that have none of their own and
// calls fn with each page in order. copied tells whether the searchable copy is
// whole: one is made only of what is nothing but pictures.
func Document(ctx context.Context, body sekretariat.Body, typ string, o Options, fn func(sekretariat.RecognisedPage) error) (copied bool, err error) {
	src, err := page.Open(ctx, body, typ, o.Page)
	if err != nil {
		return false, err
	}
	defer src.Close()
	d := &document{o: o, fn: fn, src: src, free: make(chan struct{}, max(o.Parallel, 1)), held: make(chan struct{}, 2*listed*max(o.Parallel, 1)), done: map[int]*work{}}
	if o.Copy != nil {
		d.copy, d.wants = copypdf.NewWriter(o.Copy), true
	}
	if err := d.run(ctx); err != nil || d.copy == nil {
		return false, err
	}
	return true, d.copy.Close()
}

// work is one page on its way.
type work struct {
	page    sekretariat.RecognisedPage
	gray    *image.Gray // as the file says, at the resolution for reading
	upright *image.Gray // turned and straightened
	dpi     int
	picture *copypdf.Picture
	native  int // dpi of picture
}

type document struct {
	o    Options
	fn   func(sekretariat.RecognisedPage) error
	src  page.Source
	free chan struct{} // a token for each list that is being read
	held chan struct{} // a token for each page in memory: a slow one must not let all others pile up behind it

	wants bool // feed: pictures for the copy

	copy *copypdf.Writer // collect: nil once a page has no picture
	done map[int]*work   // collect: pages that wait for earlier ones
	next int
}

func (d *document) run(ctx context.Context) error {
	first, last := max(d.o.First, 1), d.src.Pages()
	if d.o.Last > 0 {
		last = min(last, d.o.Last)
	}
	d.next = first
	g, ctx := errgroup.WithContext(ctx)
	ready := make(chan *work)
	g.Go(func() error { return d.collect(ctx, ready, last-first+1) })
	g.Go(func() error { return d.feed(ctx, g, ready, first, last) })
	return g.Wait()
}

// feed decodes pages and gathers them into lists.
func (d *document) feed(ctx context.Context, g *errgroup.Group, ready chan<- *work, first, last int) error {
	size := min(listed, max(1, (last-first+1)/cap(d.free)))
	var list []*work
	flush := func() error {
		if len(list) == 0 {
			return nil
		}
		select {
		case d.free <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		batch := list
		list = nil
		g.Go(func() error {
			defer func() { <-d.free }()
			return d.read(ctx, batch, ready)
		})
		return nil
	}
	for n := first; n <= last; n++ {
		if len(d.held) == cap(d.held) { // the next page in order may be in the list that is not full
			if err := flush(); err != nil {
				return err
			}
		}
		select {
		case d.held <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		w, err := d.prepare(ctx, n)
		if err != nil {
			return err
		}
		if w.upright == nil { // nothing to read
			if err := send(ctx, ready, w); err != nil {
				return err
			}
			continue
		}
		if len(list) > 0 && list[0].dpi != w.dpi {
			if err := flush(); err != nil {
				return err
			}
		}
		if list = append(list, w); len(list) >= size {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

func send(ctx context.Context, ready chan<- *work, w *work) error {
	select {
	case ready <- w:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// prepare decodes and judges one page. What is wrong with the page stands on
// it; an error is one of ours.
func (d *document) prepare(ctx context.Context, n int) (*work, error) {
	w := &work{page: sekretariat.RecognisedPage{Number: n}}
	p, err := d.src.Page(ctx, n)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		w.page.Code = CodeDamaged
		if errors.Is(err, page.ErrLimit) {
			w.page.Code = CodeLimit
		}
		d.wants = false
		return w, nil
	}
	Describe(&w.page, p)
	w.gray, w.dpi = p.Gray(scan.WorkDPI)
	Judge(&w.page, w.gray, w.dpi, p.DPI)
	if p.Text {
		w.page.Own, d.wants = true, false // drawing it anew would lose what the original has
	}
	if d.wants {
		if w.picture, err = copypdf.Compress(p.Picture, p.JPEG); err != nil {
			return nil, fmt.Errorf("page %d: %w", n, err)
		}
		w.native = p.Resolution()
	}
	if w.page.Blank || w.page.Own {
		w.gray = nil
		return w, nil
	}
	w.upright = scan.Straighten(w.gray, w.page.Skew)
	return w, nil
}

// Describe notes size and resolution of a page.
func Describe(r *sekretariat.RecognisedPage, p *page.Page) {
	b := p.Picture.Bounds()
	r.Width, r.Height, r.DPI = b.Dx(), b.Dy(), p.Resolution()
}

// Judge notes what can be seen on a page.
func Judge(r *sekretariat.RecognisedPage, g *image.Gray, dpi, native int) {
	l := scan.Judge(g, dpi, native)
	r.Blank, r.Skew, r.Faults = l.Blank, math.Round(l.Skew*100)/100, l.Faults
}

// read has one list of pages read; when the run fails, each page by itself.
func (d *document) read(ctx context.Context, list []*work, ready chan<- *work) error {
	images := make([]ocr.Image, len(list))
	for i, w := range list {
		images[i] = ocr.Image{Gray: w.upright, DPI: w.dpi}
	}
	texts, err := recognise(ctx, images)
	if err != nil {
		if ctx.Err() != nil || errors.Is(err, ocr.ErrMissing) {
			return err
		}
		texts = nil
	}
	for i, w := range list {
		text, code := ocr.Text{}, ""
		if texts != nil {
			text = texts[i]
		} else {
			text, code = alone(ctx, images[i])
		}
		if code == "" && text.Confidence < turnBelow {
			if text, err = turned(ctx, w, text); err != nil {
				return err
			}
		}
		w.note(text, code)
		if err := send(ctx, ready, w); err != nil {
			return err
		}
	}
	return nil
}

func recognise(ctx context.Context, images []ocr.Image) ([]ocr.Text, error) {
	bounded, cancel := context.WithTimeout(ctx, pageTime*time.Duration(len(images)))
	defer cancel()
	return ocr.Recognise(bounded, images)
}

func alone(ctx context.Context, img ocr.Image) (ocr.Text, string) {
	bounded, cancel := context.WithTimeout(ctx, pageTime)
	defer cancel()
	texts, err := ocr.Recognise(bounded, []ocr.Image{img})
	switch {
	case err == nil:
		return texts[0], ""
	case bounded.Err() != nil:
		return ocr.Text{}, CodeTime
	}
	return ocr.Text{}, CodeFailed
}

// turned asks which way is up and reads again if the page lies otherwise; the
// surer of the two readings counts.
func turned(ctx context.Context, w *work, had ocr.Text) (ocr.Text, error) {
	bounded, cancel := context.WithTimeout(ctx, pageTime)
	defer cancel()
	degrees, sure, err := ocr.Orientation(bounded, ocr.Image{Gray: w.gray, DPI: w.dpi})
	if ctx.Err() != nil {
		return had, ctx.Err()
	}
	if err != nil || degrees == 0 || sure < turnSure {
		return had, nil
	}
	gray, _ := picture.Turned(w.gray, exifOf(degrees)).(*image.Gray)
	look := scan.Judge(gray, w.dpi, 0)
	upright := scan.Straighten(gray, look.Skew)
	text, code := alone(ctx, ocr.Image{Gray: upright, DPI: w.dpi})
	if ctx.Err() != nil {
		return had, ctx.Err()
	}
	if code != "" || text.Confidence <= had.Confidence {
		return had, nil
	}
	w.page.Turn, w.page.Skew, w.upright = degrees, math.Round(look.Skew*100)/100, upright
	return text, nil
}

// exifOf is the EXIF orientation of a picture that must be turned clockwise by
// so many degrees.
func exifOf(degrees int) int {
	switch degrees {
	case 90:
		return 6
	case 180:
		return 3
	case 270:
		return 8
	}
	return 1
}

// note puts what was read onto the page.
func (w *work) note(text ocr.Text, code string) {
	w.page.Code, w.page.Confidence, w.page.Text = code, text.Confidence, text.String()
	for _, t := range text.Words {
		w.page.Words = append(w.page.Words, sekretariat.Word{Text: t.Text, Confidence: t.Confidence, X: t.X, Y: t.Y, W: t.W, H: t.H})
	}
}

// collect hands pages on in order.
func (d *document) collect(ctx context.Context, ready <-chan *work, count int) error {
	for range count {
		select {
		case w := <-ready:
			d.done[w.page.Number] = w
		case <-ctx.Done():
			return ctx.Err()
		}
		for w := d.done[d.next]; w != nil; w = d.done[d.next] {
			delete(d.done, d.next)
			d.next++
			if err := d.hand(w); err != nil {
				return err
			}
			<-d.held
		}
	}
	return nil
}
