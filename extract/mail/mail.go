// Package mail reads e-mail the way an office needs it: whatever is broken, it
// returns what can be read, a list of what is odd, and every part with the
// place in the original where it lies, so that the original stays the
// evidence and a part can be decoded again later. It reads a message once,
// from begin to end, in a few megabytes of memory whatever the size, and its
// work is linear in the size: there are no nested readers, only a stack of
// open entities and a map of their boundaries.
package mail

import (
	"context"
	"errors"
	"fmt"
	"io"

	"sekretariat"
	"sekretariat/extract/msg"
)

// Name is what a Reading of this package says in its field Reader. It changes
// whenever the same message would be read differently.
const Name = "mail-2"

// Limits of structure. What lies beyond stays in the original and in an
// opaque part.
const (
	maxLevels   = 50 // open multiparts and messages
	maxMessages = 8  // messages within messages
)

// chunkSize is how much of the original is read at once, octets.
const chunkSize = 64 << 10

// Options change how a message is read. The zero value is right for letters.
type Options struct {
	// MaxText and MaxParts lower the limits of a Reading (sekretariat.MaxText,
	// sekretariat.MaxParts); 0 leaves them.
	MaxText  int
	MaxParts int
	// Temp is the folder for anonymous temporary files, "" for the system's.
	Temp string
	// Headers are names of further header fields for Reading.Headers, at most
	// 50. Of a repeated field the topmost counts: the one written last, by the
	// server nearest to us.
	Headers []string
}

func (o Options) limits() Options {
	if o.MaxText <= 0 || o.MaxText > sekretariat.MaxText {
		o.MaxText = sekretariat.MaxText
	}
	if o.MaxParts <= 0 || o.MaxParts > sekretariat.MaxParts {
		o.MaxParts = sekretariat.MaxParts
	}
	return o
}

// Read reads one message (RFC 5322 and MIME, broken or not). An error means
// that body could not be read or ctx ended; a broken message is a Reading with
// findings (see the Finding constants).
func Read(ctx context.Context, body sekretariat.Body, opts Options) (sekretariat.Reading, error) {
	r, err := read(ctx, body, opts)
	if err != nil {
		return sekretariat.Reading{}, err
	}
	return r.finish(), nil
}

// ReadOutlook reads an Outlook message (.msg) the way Read reads a mail. A
// file that is none, or a broken one, is a Reading that says so.
func ReadOutlook(ctx context.Context, body sekretariat.Body, opts Options) (sekretariat.Reading, error) {
	r := newReader(opts.limits())
	r.out.Format = TypeOutlook
	x := newExpander(ctx, r, body)
	f, err := msg.Open(body, body.Size())
	switch {
	case errors.Is(err, msg.ErrFormat):
		r.find(FindingOutlookBroken, "", err.Error())
		r.out.Outcome = sekretariat.ReadUnreadable
		return r.out, nil
	case err != nil:
		return sekretariat.Reading{}, fmt.Errorf("read Outlook message: %w", err)
	}
	if err := x.root(f); err != nil {
		return sekretariat.Reading{}, fmt.Errorf("read Outlook message: %w", err)
	}
	if err := x.run(); err != nil {
		return sekretariat.Reading{}, err
	}
	return r.finish(), nil
}

// read scans the whole body; tests look at what it counted.
func read(ctx context.Context, body sekretariat.Body, opts Options) (*reader, error) {
	r := newReader(opts.limits())
	s := newScanner(r)
	buf := make([]byte, min(chunkSize, max(0, body.Size())))
	for off, size := int64(0), body.Size(); off < size; {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("read message at octet %d: %w", off, err)
		}
		n, err := body.ReadAt(buf[:min(int64(len(buf)), size-off)], off)
		s.write(buf[:n])
		off += int64(n)
		if err != nil && !(errors.Is(err, io.EOF) && off == size) {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, fmt.Errorf("read message at octet %d of %d: %w", off, size, err)
		}
	}
	s.close()
	if err := newExpander(ctx, r, body).run(); err != nil {
		return nil, err
	}
	return r, nil
}
