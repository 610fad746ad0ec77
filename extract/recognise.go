package extract

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"sekretariat"
	"sekretariat/extract/ocr"
	"sekretariat/extract/page"
	"sekretariat/extract/recognise"
	"sekretariat/extract/scan"
)

// opPages asks a child to go through the pages of a part.
const opPages = "pages"

// Pages asks for the pages of one part of a letter.
type Pages struct {
	Parts           // the part is the only one in Want
	Text     bool   `json:"text,omitempty"`     // recognise text and make a searchable copy; else judge and draw previews
	First    int    `json:"first,omitempty"`    // of the pages wanted, 0 = from the first
	Last     int    `json:"last,omitempty"`     // 0 = to the last
	Parallel int    `json:"parallel,omitempty"` // processes of Tesseract at once
	Cache    string `json:"cache,omitempty"`    // folder of the compiled PDF engine
}

// PageSink takes what comes of a Pages request, in order.
type PageSink interface {
	// Count is told how many pages the part has.
	Count(pages int) error
	// Page takes what is known of one page.
	Page(p sekretariat.RecognisedPage) error
	// Preview takes a JPEG of one page with so many pixels on its longer side.
	Preview(number, edge int, jpeg []byte) error
	// Copy takes the searchable copy.
	Copy(pdf io.Reader) error
}

// PreviewEdges are the sizes of previews: a list, a page to read.
var PreviewEdges = []int{400, 1600}

// pageFrame is one step in the answer of a child; a preview or the copy
// follows in chunks.
type pageFrame struct {
	Count   int                         `json:"count,omitempty"`
	Page    *sekretariat.RecognisedPage `json:"page,omitempty"`
	Preview *previewHead                `json:"preview,omitempty"`
	Copy    bool                        `json:"copy,omitempty"`
	Last    bool                        `json:"last,omitempty"`
	Error   string                      `json:"error,omitempty"`
	Code    string                      `json:"code,omitempty"`
}

type previewHead struct{ Number, Edge int }

// The time between two frames: a list of pages is read within, each of them by
// itself when the list fails, and turned, or a copy is written. The pages' own
// limits (see package recognise) end before.
const pagesPatience = 10 * time.Minute

// maxPreview bounds one preview, octets.
const maxPreview = 16 << 20

func init() {
	codes["page-password"], codes["page-damaged"], codes["page-kind"], codes["ocr-missing"] = page.ErrPassword, page.ErrDamaged, page.ErrKind, ocr.ErrMissing
}

// Pages goes through the pages of one part in a child process of its own.
// Returns page.ErrPassword, page.ErrDamaged or page.ErrKind for a part that has
// no pages, ocr.ErrMissing without Tesseract, ErrNoPart, or an error for which
// IsChildFailure holds when the child died over it.
func (p *Pool) Pages(ctx context.Context, body sekretariat.Body, ask Pages, sink PageSink) error {
	select {
	case p.room <- struct{}{}:
		defer func() { <-p.room }()
	case <-ctx.Done():
		return ctx.Err()
	}
	c, err := p.startWithFile(ctx, body)
	if err != nil {
		return err
	}
	defer c.kill()
	defer context.AfterFunc(ctx, c.kill)()
	watch := time.AfterFunc(pagesPatience, c.kill)
	defer watch.Stop()
	w := bufio.NewWriter(c.in)
	if err := errors.Join(writeFrame(w, request{Op: opPages, Inline: -1, Pages: &ask}), w.Flush()); err != nil {
		return gone(ctx, err)
	}
	for {
		var f pageFrame
		if err := readFrame(c.out, &f); err != nil {
			return gone(ctx, err)
		}
		watch.Reset(pagesPatience)
		if f.Last {
			return errorOf(f.Code, f.Error)
		}
		if err := f.hand(ctx, c.out, sink); err != nil {
			return err
		}
	}
}

// hand gives one frame to the sink.
func (f *pageFrame) hand(ctx context.Context, r *bufio.Reader, sink PageSink) error {
	chunks := &chunkReader{ctx: ctx, r: r}
	switch {
	case f.Page != nil:
		return sink.Page(*f.Page)
	case f.Preview != nil:
		jpeg, err := io.ReadAll(io.LimitReader(chunks, maxPreview+1))
		if err != nil {
			return err
		}
		if len(jpeg) > maxPreview {
			return fmt.Errorf("%w: a preview of more than %d octets", errChild, maxPreview)
		}
		return sink.Preview(f.Preview.Number, f.Preview.Edge, jpeg)
	case f.Copy:
		if err := sink.Copy(chunks); err != nil {
			return err
		}
		_, err := io.Copy(io.Discard, chunks)
		return err
	}
	return sink.Count(f.Count)
}

// servePages answers a request for pages in the child.
func servePages(ctx context.Context, d Direct, body sekretariat.Body, ask Pages, w *bufio.Writer) error {
	// Text of scans can wait for everything else that the machine has to do.
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 10)
	s := &pageServer{d: d, ask: ask, w: w}
	found := false
	err := d.Deliver(ctx, body, ask.Parts, func(p sekretariat.Part, content io.Reader) error {
		found = true
		return s.part(ctx, p, content)
	})
	if err == nil && !found {
		err = ErrNoPart
	}
	var pipe pipeError
	if errors.As(err, &pipe) {
		return pipe.error
	}
	last := pageFrame{Last: true}
	if err != nil {
		last.Error, last.Code = err.Error(), codeOf(err)
	}
	return writeFrame(w, last)
}

type pageServer struct {
	d   Direct
	ask Pages
	w   *bufio.Writer
}

func (s *pageServer) part(ctx context.Context, p sekretariat.Part, content io.Reader) error {
	held, err := s.d.spool(io.LimitReader(content, maxLook+1))
	if err != nil {
		return err
	}
	defer held.Close()
	if held.size > maxLook {
		return fmt.Errorf("%w: more than %d octets", page.ErrDamaged, int64(maxLook))
	}
	o := page.Options{Password: s.ask.Password, Temp: s.d.Temp, Cache: s.ask.Cache}
	if s.ask.Text {
		return s.text(ctx, held, p.Type, o)
	}
	src, err := page.Open(ctx, held, p.Type, o)
	if err != nil {
		return err
	}
	defer src.Close()
	first, last := max(s.ask.First, 1), src.Pages()
	if s.ask.Last > 0 {
		last = min(last, s.ask.Last)
	}
	if err := s.send(pageFrame{Count: last - first + 1}, nil); err != nil {
		return err
	}
	for n := first; n <= last; n++ {
		if err := s.look(ctx, src, n); err != nil {
			return err
		}
	}
	return nil
}

// look judges one page and draws its previews.
func (s *pageServer) look(ctx context.Context, src page.Source, n int) error {
	out := sekretariat.RecognisedPage{Number: n}
	p, err := src.Page(ctx, n)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, page.ErrLimit):
		out.Code = recognise.CodeLimit
	case err != nil:
		out.Code = recognise.CodeDamaged
	}
	if p == nil {
		return s.send(pageFrame{Page: &out}, nil)
	}
	recognise.Describe(&out, p)
	// The previews come first: somebody may be waiting for them.
	img := p.Picture
	for i := len(PreviewEdges) - 1; i >= 0; i-- {
		var jpeg bytes.Buffer
		if img, err = page.Preview(img, PreviewEdges[i], &jpeg); err != nil {
			return err
		}
		if err := s.send(pageFrame{Preview: &previewHead{n, PreviewEdges[i]}}, &jpeg); err != nil {
			return err
		}
	}
	gray, dpi := p.Gray(scan.WorkDPI)
	recognise.Judge(&out, gray, dpi, p.DPI)
	out.Own = p.Text
	return s.send(pageFrame{Page: &out}, nil)
}

// text recognises the text of a part; its copy goes through a file, for it
// counts only when it is whole.
func (s *pageServer) text(ctx context.Context, body sekretariat.Body, typ string, o page.Options) error {
	f, err := Anonymous(s.d.Temp)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	copied, err := recognise.Document(ctx, body, typ, recognise.Options{
		Page: o, Parallel: s.ask.Parallel, First: s.ask.First, Last: s.ask.Last, Copy: w,
	}, func(p sekretariat.RecognisedPage) error { return s.send(pageFrame{Page: &p}, nil) })
	if err != nil || !copied {
		return err
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write a temporary file: %w", err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read a temporary file: %w", err)
	}
	return s.send(pageFrame{Copy: true}, f)
}

// send writes a frame and what follows it.
func (s *pageServer) send(f pageFrame, content io.Reader) error {
	if err := writeFrame(s.w, f); err != nil {
		return pipeError{err}
	}
	if content != nil {
		if err := copyPart(s.w, content); err != nil {
			return err
		}
		if _, err := s.w.Write(make([]byte, 4)); err != nil {
			return pipeError{err}
		}
		if err := writeFrame(s.w, partEnd{}); err != nil {
			return pipeError{err}
		}
	}
	if err := s.w.Flush(); err != nil {
		return pipeError{err}
	}
	return nil
}

// WarmPages compiles the PDF engine into a folder, in a child process, so that
// the first scan need not wait for it.
func (p *Pool) WarmPages(ctx context.Context, cache string) error {
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return fmt.Errorf("folder of the PDF engine: %w", err)
	}
	err := p.Pages(ctx, bytes.NewReader(nothing), Pages{Parts: Parts{Reading: sekretariat.Reading{Reader: "file-1", Format: "application/pdf"}, Want: []string{""}}, Cache: cache}, nil)
	if errors.Is(err, page.ErrDamaged) {
		return nil
	}
	return err
}

// nothing is a PDF without pages.
var nothing = []byte("%PDF-1.4\n%%EOF\n")
