package extract

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"sekretariat"
	"sekretariat/extract/archive"
)

// A part is in the answer of a child: a frame that names it, chunks of its
// content, each with its length before it, and a chunk of length 0; then a
// frame that says how it ended. A head that says Last ends the answer.
type partHead struct {
	Path  string `json:"path,omitempty"`
	Type  string `json:"type,omitempty"`  // of what was made of it
	Last  bool   `json:"last,omitempty"`  // no more parts
	Error string `json:"error,omitempty"` // of the whole request
	Code  string `json:"code,omitempty"`
}

type partEnd struct {
	Error string `json:"error,omitempty"` // of this part's content
	Code  string `json:"code,omitempty"`
}

// codes carry errors through the pipe that callers distinguish.
var codes = map[string]error{
	"preview": ErrNoPreview, "password": archive.ErrPassword, "damaged": archive.ErrDamaged, "limit": archive.ErrLimit, "method": archive.ErrMethod, "no-part": ErrNoPart,
}

func codeOf(err error) string {
	for code, e := range codes {
		if errors.Is(err, e) {
			return code
		}
	}
	return ""
}

func errorOf(code, text string) error {
	if e := codes[code]; e != nil {
		return e
	}
	if text != "" {
		return errors.New(text)
	}
	return nil
}

// partTime is the longest delivery of parts, for each started 64 MiB of the
// original a minute more.
func (p *Pool) partTime(size int64) time.Duration {
	return p.o.Time * time.Duration(1+size/(64<<20))
}

// Parts calls fn with the content of listed parts, out of a child process, in
// the order of the tree. What is wrong with a part is the error of its reader
// (archive.ErrPassword, archive.ErrDamaged …); a child that dies over one is
// the error of the part it was at, and the rest is not delivered.
func (p *Pool) Parts(ctx context.Context, body sekretariat.Body, ask Parts, fn func(sekretariat.Part, io.Reader) error) error {
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
	ctx, cancel := context.WithTimeout(ctx, p.partTime(body.Size()))
	defer cancel()
	defer context.AfterFunc(ctx, c.kill)()
	ask.Reading.Text, ask.Reading.Parts = "", slices.Clone(ask.Reading.Parts)
	for i := range ask.Reading.Parts {
		ask.Reading.Parts[i].Text = ""
	}
	w := bufio.NewWriter(c.in)
	if err := writeFrame(w, request{Op: opParts, Inline: -1, Parts: &ask}); err != nil {
		return fmt.Errorf("%w: %w", errChild, err)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("%w: %w", errChild, err)
	}
	byPath := map[string]sekretariat.Part{"": {Type: ask.Reading.Format}}
	for _, q := range ask.Reading.Parts {
		byPath[q.Path] = q
	}
	for {
		var head partHead
		if err := readFrame(c.out, &head); err != nil {
			return gone(ctx, err)
		}
		if head.Last {
			return errorOf(head.Code, head.Error)
		}
		q, ok := byPath[head.Path]
		if head.Type != "" {
			q.Type = head.Type
		}
		if !ok {
			return fmt.Errorf("%w: a part that was not asked for", errChild)
		}
		r := &chunkReader{ctx: ctx, r: c.out}
		if err := fn(q, r); err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, r); err != nil && r.broken {
			return err
		}
	}
}

func gone(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("%w: %w", errChild, err)
}

// IsChildFailure tells whether an error of Parts means that the child died:
// over a hostile part, or for want of time or memory.
func IsChildFailure(err error) bool {
	return errors.Is(err, errChild) || errors.Is(err, context.DeadlineExceeded)
}

// chunkReader reads the content of one part as a child sends it.
type chunkReader struct {
	ctx    context.Context
	r      *bufio.Reader
	left   int
	end    error
	broken bool // the pipe, not the part
}

// Read implements io.Reader.
func (c *chunkReader) Read(p []byte) (int, error) {
	if c.end != nil {
		return 0, c.end
	}
	if c.left == 0 {
		var n [4]byte
		if _, err := io.ReadFull(c.r, n[:]); err != nil {
			return 0, c.lost(err)
		}
		if c.left = int(binary.BigEndian.Uint32(n[:])); c.left == 0 {
			var end partEnd
			if err := readFrame(c.r, &end); err != nil {
				return 0, c.lost(err)
			}
			if c.end = errorOf(end.Code, end.Error); c.end == nil {
				c.end = io.EOF
			}
			return 0, c.end
		}
	}
	n, err := c.r.Read(p[:min(len(p), c.left)])
	c.left -= n
	if err != nil {
		err = c.lost(err)
	}
	return n, err
}

func (c *chunkReader) lost(err error) error {
	c.broken, c.end = true, gone(c.ctx, err)
	return c.end
}

// chunkWriter sends the content of a part.
type chunkWriter struct{ w *bufio.Writer }

// Write implements io.Writer.
func (c chunkWriter) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	var n [4]byte
	binary.BigEndian.PutUint32(n[:], uint32(len(p)))
	if _, err := c.w.Write(n[:]); err != nil {
		return 0, err
	}
	return c.w.Write(p)
}

// serveParts answers a request for parts in the child.
func serveParts(ctx context.Context, d Direct, body sekretariat.Body, ask Parts, w *bufio.Writer) error {
	err := d.Deliver(ctx, body, ask, func(p sekretariat.Part, content io.Reader) error {
		made, typ, err := d.derive(ctx, ask, p, content)
		if err == nil {
			defer made.Close()
		}
		if err := writeFrame(w, partHead{Path: p.Path, Type: typ}); err != nil {
			return pipeError{err}
		}
		if err == nil {
			err = copyPart(w, made)
		}
		if errors.As(err, new(pipeError)) {
			return err
		}
		var end partEnd
		if err != nil {
			end = partEnd{Error: err.Error(), Code: codeOf(err)}
		}
		if _, err := w.Write(make([]byte, 4)); err != nil {
			return pipeError{err}
		}
		if err := writeFrame(w, end); err != nil {
			return pipeError{err}
		}
		return nil
	})
	var pipe pipeError
	if errors.As(err, &pipe) {
		return pipe.error
	}
	last := partHead{Last: true}
	if err != nil {
		last.Error, last.Code = err.Error(), codeOf(err)
	}
	return writeFrame(w, last)
}

// pipeError: the parent is gone.
type pipeError struct{ error }

func copyPart(w *bufio.Writer, r io.Reader) error {
	buf := make([]byte, 64<<10)
	for {
		n, err := r.Read(buf)
		if _, werr := (chunkWriter{w}).Write(buf[:n]); werr != nil {
			return pipeError{werr}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Look reads one part anew with a password, in a child process: what a clerk
// sees who knows it. Nothing is stored. Returns archive.ErrPassword for a wrong
// one.
func (p *Pool) Look(ctx context.Context, body sekretariat.Body, ask Parts) (sekretariat.Reading, error) {
	select {
	case p.room <- struct{}{}:
		defer func() { <-p.room }()
	case <-ctx.Done():
		return sekretariat.Reading{}, ctx.Err()
	}
	c, err := p.startWithFile(ctx, body)
	if err != nil {
		return sekretariat.Reading{}, err
	}
	defer c.kill()
	ctx, cancel := context.WithTimeout(ctx, p.partTime(body.Size()))
	defer cancel()
	defer context.AfterFunc(ctx, c.kill)()
	w := bufio.NewWriter(c.in)
	if err := errors.Join(writeFrame(w, request{Op: opLook, Inline: -1, Parts: &ask}), w.Flush()); err != nil {
		return sekretariat.Reading{}, gone(ctx, err)
	}
	var a answer
	if err := readFrame(c.out, &a); err != nil {
		return sekretariat.Reading{}, gone(ctx, err)
	}
	return a.Reading, errorOf(a.Code, a.Error)
}
