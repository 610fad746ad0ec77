package storage

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"sekretariat"
)

// spoolPrefix begins the names of unfinished bodies in the staging folder.
const spoolPrefix = "spool-"

// Spool takes in a body whose submission is not known yet: it seals and
// digests while it is written to. Up to 1 MiB stays in memory, more goes into
// a file of the staging folder, sealed. It is used by one goroutine at a time
// and must be discarded in the end, also after a Commit.
type Spool struct {
	folder string
	limit  int64
	sealer *sealer
	digest hash.Hash // nil if nobody asks
	facts  sekretariat.BodyFacts
	closed bool
	err    error

	buf  []byte // header room and sealed chunks, what is not in the file
	file *os.File
	at   int64 // length of the file

	body *sealedFile // last form given to a store
}

// spillAt is when a body leaves memory, as in the staging log.
const spillAt = maxInline - 64<<10

func newSpool(folder string, limit int64) (*Spool, error) {
	s, err := newSealer()
	if err != nil {
		return nil, err
	}
	return &Spool{folder: folder, limit: limit, sealer: s, digest: sha256.New(), buf: make([]byte, envelopeHeader, 4<<10)}, nil
}

// spoolBody spools a body that lies somewhere already; its digest is not made.
func spoolBody(folder string, body sekretariat.Body) (*Spool, error) {
	size := body.Size()
	s, err := newSealer()
	if err != nil {
		return nil, err
	}
	sp := &Spool{folder: folder, limit: size, sealer: s, buf: make([]byte, envelopeHeader, min(SealedSize(size), spillAt+8*chunkSize))}
	piece := chunks.Get().(*[]byte)
	defer func() { clear((*piece)[:chunkSize]); chunks.Put(piece) }()
	for off := int64(0); off < size; {
		p := (*piece)[:min(chunkSize, size-off)]
		n, err := body.ReadAt(p, off)
		if n < len(p) {
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
		} else {
			_, err = sp.Write(p)
		}
		if err != nil {
			sp.Discard()
			return nil, fmt.Errorf("read body at %d of %d: %w", off+int64(n), size, err)
		}
		off += int64(n)
	}
	return sp, nil
}

// Write implements io.Writer. It returns ErrTooLarge beyond the limit, and
// ErrClosed after Facts.
func (s *Spool) Write(p []byte) (int, error) {
	switch {
	case s.err != nil:
		return 0, s.err
	case s.closed:
		return 0, ErrClosed
	case s.sealer.size+int64(len(p)) > s.limit:
		s.err = fmt.Errorf("more than %d octets: %w", s.limit, ErrTooLarge)
		return 0, s.err
	}
	if s.digest != nil {
		s.digest.Write(p)
	}
	// In pieces, so that one huge Write does not grow the buffer.
	for rest := p; len(rest) > 0 && s.err == nil; {
		n := min(len(rest), 4*chunkSize)
		s.buf = s.sealer.write(s.buf, rest[:n])
		rest = rest[n:]
		if s.file != nil || len(s.buf) > spillAt {
			s.err = s.spill(4 * chunkSize)
		}
	}
	if s.err != nil {
		return 0, s.err
	}
	return len(p), nil
}

// spill moves the buffer into the file once it is over the mark.
func (s *Spool) spill(mark int) error {
	if s.file == nil {
		f, err := s.temp()
		if err != nil {
			return fmt.Errorf("spool a large body: %w", err)
		}
		s.file = f
	}
	if len(s.buf) < mark {
		return nil
	}
	if _, err := s.file.WriteAt(s.buf, s.at); err != nil {
		return fmt.Errorf("spool a large body: %w", err)
	}
	s.at += int64(len(s.buf))
	s.buf = s.buf[:0]
	return nil
}

func (s *Spool) temp() (*os.File, error) {
	if err := os.MkdirAll(s.folder, 0o700); err != nil {
		return nil, err
	}
	return os.CreateTemp(s.folder, spoolPrefix+"*")
}

// Facts ends the body and returns its plain digest and size.
func (s *Spool) Facts() sekretariat.BodyFacts {
	if !s.closed {
		s.closed = true
		s.buf = s.sealer.finish(s.buf)
		if s.file != nil && s.err == nil {
			s.err = s.spill(0)
		}
		s.facts.Size = s.sealer.size
		if s.digest != nil {
			s.facts.SHA256 = sekretariat.Digest(hex.EncodeToString(s.digest.Sum(nil)))
		}
	}
	return s.facts
}

// Discard gives memory and file back. It may be called more than once.
func (s *Spool) Discard() {
	if s.file != nil {
		_ = s.file.Close()
		_ = os.Remove(s.file.Name()) // a left-over goes at the next start
		s.file = nil
	}
	if s.sealer != nil {
		s.sealer.drop()
	}
	s.closed, s.err, s.buf, s.sealer, s.body = true, ErrClosed, nil, nil, nil
}

// sealFor returns the sealed body for one object of one submission.
func (s *Spool) sealFor(d *dataKey, objectKey string) (sekretariat.Body, error) {
	s.Facts()
	if s.err != nil {
		return nil, s.err
	}
	header := s.sealer.header(d, objectKey)
	if s.file == nil {
		copy(s.buf, header) // no store reads a body after its put returned
		return Bytes(s.buf), nil
	}
	if s.body != nil && s.body.linked {
		// A store has the file under another name; what it has must not change.
		if err := s.clone(); err != nil {
			return nil, fmt.Errorf("spool a large body again: %w", err)
		}
	}
	if _, err := s.file.WriteAt(header, 0); err != nil {
		return nil, fmt.Errorf("seal a large body: %w", err)
	}
	s.body = &sealedFile{f: s.file, size: s.at}
	return s.body, nil
}

// clone continues with a copy of the file.
func (s *Spool) clone() error {
	f, err := s.temp()
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, io.NewSectionReader(s.file, 0, s.at)); err != nil {
		return errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	_ = s.file.Close()
	_ = os.Remove(s.file.Name())
	s.file = f
	return nil
}

// sealedFile is a sealed body in a spool file.
type sealedFile struct {
	f      *os.File
	size   int64
	linked bool
}

func (b *sealedFile) ReadAt(p []byte, off int64) (int, error) { return b.f.ReadAt(p, off) }

func (b *sealedFile) Size() int64 { return b.size }
