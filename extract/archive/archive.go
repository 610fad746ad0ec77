// Package archive walks through the members of ZIP, 7z, RAR, tar and gzip
// files, one after the other, without ever writing one to a path: what a member
// is called is data. It decompresses only what its caller reads, asks for a
// password where one is needed, and refuses what would cost more memory than
// it may. How much of an archive is read in all is the caller's business, for
// only the caller knows what else a letter holds.
package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"sekretariat"
)

// The media types that Walk understands; ASiC containers are ZIP files.
const (
	TypeZIP   = "application/zip"
	Type7z    = "application/x-7z-compressed"
	TypeRAR   = "application/vnd.rar"
	TypeTar   = "application/x-tar"
	TypeGzip  = "application/gzip"
	TypeBzip2 = "application/x-bzip2"
	TypeASiCE = "application/vnd.etsi.asic-e+zip"
	TypeASiCS = "application/vnd.etsi.asic-s+zip"
)

// The errors of a walk. All of them say something about the archive; errors of
// the body or of the caller's function are passed on as they are.
var (
	// ErrPassword: a password is needed, or the one given is wrong.
	ErrPassword = errors.New("archive: a password is needed, or this one is wrong")
	// ErrDamaged: the archive or the member is broken, or is no archive.
	ErrDamaged = errors.New("archive: damaged")
	// ErrLimit: more members, or more memory needed, than is allowed.
	ErrLimit = errors.New("archive: beyond the limits")
	// ErrMethod: compressed in a way that is not known here.
	ErrMethod = errors.New("archive: unknown method of compression")
)

// Limits of one archive.
const (
	// MaxEntries is how many members are looked at.
	MaxEntries = 10_000
	// maxDirectory bounds the list of members of a ZIP or 7z file, octets.
	maxDirectory = 4 << 20
	// maxWindow bounds the memory that a method of compression may ask for to
	// look back into, octets. 7-Zip uses 32 MiB at "normal", 64 MiB at "ultra".
	maxWindow = 64 << 20
	// maxName bounds the name of a member, octets.
	maxName = 1024
)

// Entry is one member as the archive describes it.
type Entry struct {
	Name      string // UTF-8, folders separated by "/"; never a path to write to
	Size      int64  // octets as declared, -1 if it is not said
	Dir       bool   // a folder
	Encrypted bool   // its content is encrypted
	Modified  time.Time
}

// Func is called for each member. body yields its content and decompresses
// only what is read; it may be left alone. It must not be used later.
type Func func(e Entry, body io.Reader) error

// Known tells whether Walk understands a media type.
func Known(typ string) bool { return walkers[typ] != nil }

type walker func(ctx context.Context, body sekretariat.Body, password string, fn Func) error

var walkers = map[string]walker{
	TypeZIP: walkZIP, TypeASiCE: walkZIP, TypeASiCS: walkZIP,
	Type7z: walk7z, TypeRAR: walkRAR, TypeTar: walkTar, TypeGzip: walkGzip, TypeBzip2: walkBzip2,
}

// Walk calls fn for each member of an archive, in the archive's own order, at
// most MaxEntries; there are more: ErrLimit at the end. Members whose password
// is missing or wrong yield ErrPassword when they are read, as does Walk itself
// when even the names are encrypted.
func Walk(ctx context.Context, body sekretariat.Body, typ, password string, fn Func) (err error) {
	walk := walkers[typ]
	if walk == nil {
		return fmt.Errorf("%w: %s", ErrMethod, typ)
	}
	// The formats are hostile and their readers are not ours. A panic in one
	// of them must cost this archive alone, not the reading of the letter.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: reader panicked", ErrDamaged)
		}
	}()
	n := 0
	return walk(ctx, body, password, func(e Entry, body io.Reader) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if n++; n > MaxEntries {
			return ErrLimit
		}
		if len(e.Name) > maxName {
			e.Name = e.Name[:maxName]
		}
		return call(fn, e, body)
	})
}

// fromCaller marks an error of the caller's function, so that a walker can tell
// it from one of the archive.
type fromCaller struct{ error }

func (f fromCaller) Unwrap() error { return f.error }

func call(fn Func, e Entry, body io.Reader) error {
	if err := fn(e, body); err != nil {
		return fromCaller{err}
	}
	return nil
}

// damaged says that an archive cannot be understood, unless err says something
// more exact already.
func damaged(err error) error {
	var own fromCaller
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return own.error
	case errors.Is(err, ErrPassword), errors.Is(err, ErrLimit), errors.Is(err, ErrMethod), errors.Is(err, ErrDamaged),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// lazy opens a member with its first Read.
type lazy struct {
	open func() (io.Reader, error)
	r    io.Reader
	err  error
}

// Read implements io.Reader.
func (l *lazy) Read(p []byte) (int, error) {
	if l.r == nil && l.err == nil {
		if l.r, l.err = l.open(); l.err != nil {
			l.err = damaged(l.err)
		}
	}
	if l.err != nil {
		return 0, l.err
	}
	n, err := l.r.Read(p)
	if err != nil && err != io.EOF {
		l.err = damaged(err)
		err = l.err
	}
	return n, err
}

// section reads a body from its beginning.
func section(body sekretariat.Body) *io.SectionReader {
	return io.NewSectionReader(body, 0, body.Size())
}
