package extract

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"

	"sekretariat"
	"sekretariat/extract/archive"
	"sekretariat/extract/mail"
	"sekretariat/extract/sniff"
)

// archive lists the members of an archive and reads them like attachments.
func (t *tree) archive(p *sekretariat.Part, body *spooled, depth int) error {
	if depth >= maxDepth {
		return t.limit(p, "depth")
	}
	if t.care > 0 && !plainArchive(p.Type) {
		return t.limit(p, detailCare)
	}
	p.Fate = fateOpened
	n, room := 0, max(ratioFrom, maxRatio*body.size)
	var own ownError
	err := archive.Walk(t.ctx, body, p.Type, t.password, func(e archive.Entry, content io.Reader) error {
		n++
		if e.Dir {
			return nil
		}
		if len(t.parts)+t.more >= sekretariat.MaxParts {
			return archive.ErrLimit
		}
		return t.member(p, n, e, content, depth, &room)
	})
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return own.error
	case t.ctx.Err() != nil:
		return t.ctx.Err()
	case errors.Is(err, archive.ErrPassword):
		t.encrypted(p, p.Path)
	case errors.Is(err, archive.ErrLimit) && n > 0:
		return t.limit(p, "count")
	case errors.Is(err, archive.ErrLimit):
		return t.limit(p, "memory")
	default:
		if n == 0 {
			p.Fate = fateUnreadable
		}
		t.incomplete = true
		t.find(FindingBroken, p.Path, "")
	}
	return nil
}

// plainArchive tells whether the reader of a type has little memory to lose.
func plainArchive(typ string) bool { return typ != archive.Type7z && typ != archive.TypeRAR }

// encrypted notes that a part needs a password; the clerk is asked once for
// each archive.
func (t *tree) encrypted(p *sekretariat.Part, ask string) {
	p.Fate, t.incomplete = fateEncrypted, true
	t.find(FindingEncrypted, ask, "")
}

// ownError is a failure of our machine on the way through somebody's archive.
type ownError struct{ error }

func (e ownError) Unwrap() error { return e.error }

// member lists one member and reads it. room is what the archive may still
// hold for its size.
func (t *tree) member(in *sekretariat.Part, n int, e archive.Entry, content io.Reader, depth int, room *int64) error {
	p := sekretariat.Part{
		Path: below(in.Path, strconv.Itoa(n)), Name: e.Name, In: in.Path, Member: n, Attachment: true,
		Size: max(e.Size, 0), Type: sniff.Unknown, Fate: fateListed,
	}
	body, err := t.unpack(&p, content, room)
	if err != nil {
		t.fateOf(&p, in, err)
	}
	p.SafeName = mail.SafeName(p.Name, p.Type, p.Path)
	if body == nil {
		t.parts = append(t.parts, p)
		return nil
	}
	defer body.Close()
	if err := t.add(p, body, depth+1); err != nil {
		return ownError{err}
	}
	return nil
}

// fateOf says what became of a member that could not be unpacked.
func (t *tree) fateOf(p, in *sekretariat.Part, err error) {
	t.incomplete = true
	switch {
	case errors.Is(err, archive.ErrPassword):
		t.encrypted(p, in.Path)
	case errors.Is(err, errSpent):
		p.Fate = fateLimit
		t.find(FindingArchive, in.Path, "size")
	case errors.Is(err, errRatio):
		p.Fate = fateLimit
		t.find(FindingArchive, in.Path, "ratio")
	case errors.Is(err, archive.ErrLimit):
		p.Fate = fateLimit
		t.find(FindingArchive, in.Path, "memory")
	default:
		p.Fate = fateUnreadable
		t.find(FindingBroken, p.Path, "")
	}
}

// A letter's archives hold more than is unpacked, or one holds more than an
// honest archive of its size.
var (
	errSpent = errors.New("more than is unpacked")
	errRatio = errors.New("unpacks to far more than its size")
)

// unpack reads a member to its end for size, digest and type, and returns its
// content if that is worth a look.
func (t *tree) unpack(p *sekretariat.Part, content io.Reader, room *int64) (*spooled, error) {
	switch {
	case t.left < 0:
		return nil, errSpent
	case *room < 0:
		return nil, errRatio
	}
	in := bufio.NewReaderSize(content, sniff.HeadSize)
	head, err := in.Peek(sniff.HeadSize)
	if err != nil && err != io.EOF {
		return nil, err
	}
	p.Type = typeOf(head, p.Name)
	m := measure{sum: sha256.New(), left: &t.left, room: room}
	if !worthALook(p.Type) || t.full(p) {
		_, err := in.WriteTo(&m)
		return nil, m.finish(p, err)
	}
	f, err := Anonymous(t.d.Temp)
	if err != nil {
		return nil, err
	}
	m.copy = f
	if _, err := in.WriteTo(&m); m.finish(p, err) != nil {
		f.Close()
		return nil, m.failed
	}
	return &spooled{f, m.size}, nil
}

// measure takes the content of a member as it goes by.
type measure struct {
	sum    hash.Hash
	size   int64
	left   *int64
	room   *int64
	copy   io.Writer // nil: nobody wants the content
	failed error
}

// Write implements io.Writer.
func (m *measure) Write(b []byte) (int, error) {
	if *m.left -= int64(len(b)); *m.left < 0 {
		return 0, errSpent
	}
	if *m.room -= int64(len(b)); *m.room < 0 {
		return 0, errRatio
	}
	m.sum.Write(b)
	m.size += int64(len(b))
	if m.copy != nil {
		if _, err := m.copy.Write(b); err != nil {
			return 0, ownError{fmt.Errorf("keep a member of an archive for reading: %w", err)}
		}
	}
	return len(b), nil
}

// finish notes size and digest of a member that was read to its end.
func (m *measure) finish(p *sekretariat.Part, err error) error {
	if m.failed = err; err != nil {
		return err
	}
	p.Size, p.SHA256 = m.size, sekretariat.Digest(hex.EncodeToString(m.sum.Sum(nil)))
	return nil
}
