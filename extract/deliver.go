package extract

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"sekretariat"
	"sekretariat/extract/archive"
	"sekretariat/extract/mail"
)

// ErrNoPart: the part is not there, or not any more as the reading lists it.
var ErrNoPart = errors.New("no such part")

// Parts asks for the content of listed parts.
type Parts struct {
	Reading  sekretariat.Reading `json:"reading"`            // as it was read; texts are not needed
	Want     []string            `json:"want"`               // paths; "" is the original itself
	Password string              `json:"password,omitempty"` // for those that need one; never stored
	As       string              `json:"as,omitempty"`       // AsIs, AsPreview, AsOpened or AsPages
	Page     int                 `json:"page,omitempty"`     // of a picture's preview, from 1; the first with AsPages
	To       int                 `json:"to,omitempty"`       // with AsPages: the last page
	Count    int                 `json:"count,omitempty"`    // with AsPages: pages of the whole as Sheets saw them, 0 = not known
}

// Stream tells whether the content of a part is a stretch of the original, or
// a decoding of one: OpenPart opens it in this process. All others lie in
// archives, signatures and Outlook formats, which only a child process opens
// (Pool.Parts).
func Stream(r *sekretariat.Reading, p sekretariat.Part) bool {
	return p.In == "" && p.Member == 0 && !mail.Wrapped(p)
}

// OpenPart returns the decoded octets of a part for which Stream holds.
func OpenPart(r *sekretariat.Reading, body sekretariat.Body, p sekretariat.Part) io.Reader {
	return openTop(r.Reader, body, p)
}

// Deliver calls fn with the content of each wanted part, in the order of the
// tree, walking through each archive once. fn need not read to the end. Errors
// of a part's own content come from the reader that fn gets.
func (d Direct) Deliver(ctx context.Context, body sekretariat.Body, ask Parts, fn func(sekretariat.Part, io.Reader) error) error {
	v := &delivery{d: d, ctx: ctx, ask: ask, wanted: map[string]bool{}, inside: map[string]bool{}, fn: fn, holds: map[string][]sekretariat.Part{}}
	for _, path := range ask.Want {
		v.wanted[path] = true
	}
	byPath := map[string]sekretariat.Part{}
	for _, p := range ask.Reading.Parts {
		byPath[p.Path] = p
		v.holds[p.In] = append(v.holds[p.In], p)
	}
	for _, path := range ask.Want {
		for p := byPath[path]; p.In != "" && !v.inside[p.In]; p = byPath[p.In] {
			v.inside[p.In] = true
		}
	}
	if v.wanted[""] {
		if err := fn(sekretariat.Part{Type: ask.Reading.Format}, io.NewSectionReader(body, 0, body.Size())); err != nil || len(ask.Want) == 1 {
			return err
		}
	}
	return v.from("", ask.Reading.Format, body)
}

type delivery struct {
	d      Direct
	ctx    context.Context
	ask    Parts
	wanted map[string]bool
	inside map[string]bool // parts that hold wanted ones, at any depth
	holds  map[string][]sekretariat.Part
	fn     func(sekretariat.Part, io.Reader) error
}

// from delivers what a part of this type holds.
func (v *delivery) from(path, typ string, body sekretariat.Body) error {
	if path != "" && !isMessage(typ) || path == "" && v.root() {
		if canSign(typ) {
			return v.signed(path, typ, body)
		}
		return v.members(path, typ, body)
	}
	for _, p := range v.holds[path] {
		if err := v.part(p, func() io.Reader {
			if path == "" {
				return openTop(v.ask.Reading.Reader, body, p)
			}
			return mail.OpenPart(body, p)
		}); err != nil {
			return err
		}
	}
	return nil
}

// isMessage tells whether a part of this type is read by the mail reader.
func isMessage(typ string) bool { return typ == "message/rfc822" || typ == mail.TypeOutlook }

// root tells whether the letter itself is an archive.
func (v *delivery) root() bool { return strings.HasPrefix(v.ask.Reading.Reader, "file-") }

func (v *delivery) members(path, typ string, body sekretariat.Body) error {
	byOrdinal := map[int]sekretariat.Part{}
	for _, p := range v.holds[path] {
		byOrdinal[p.Member] = p
	}
	n, left := 0, len(byOrdinal)
	err := archive.Walk(v.ctx, body, typ, v.ask.Password, func(_ archive.Entry, r io.Reader) error {
		n++
		p, listed := byOrdinal[n]
		if !listed {
			return nil
		}
		if err := v.part(p, func() io.Reader { return r }); err != nil {
			return err
		}
		if left--; left == 0 {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// signed delivers what a signature file holds.
func (v *delivery) signed(path, typ string, body sekretariat.Body) error {
	held, err := v.d.spool(io.NewSectionReader(body, 0, body.Size()))
	if err != nil {
		return fmt.Errorf("part %s: %w", path, err)
	}
	defer held.Close()
	var files []*spooled
	if typ == typeCMS {
		f, _, err := v.d.content(held)
		if err != nil {
			return err
		}
		files = append(files, f)
	} else if _, files, err = v.d.objects(held); err != nil {
		err = fmt.Errorf("%w: %w", archive.ErrDamaged, err)
	}
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	if err != nil {
		return err
	}
	for _, p := range v.holds[path] {
		if p.Member < 1 || p.Member > len(files) {
			continue
		}
		if err := v.part(p, func() io.Reader { return io.NewSectionReader(files[p.Member-1], 0, files[p.Member-1].size) }); err != nil {
			return err
		}
	}
	return nil
}

// errEnough ends a walk early.
var errEnough = errors.New("enough")

// part delivers one part and what it holds.
func (v *delivery) part(p sekretariat.Part, open func() io.Reader) error {
	if !v.inside[p.Path] {
		if !v.wanted[p.Path] {
			return nil
		}
		return v.fn(p, open())
	}
	held, err := v.d.spool(io.LimitReader(open(), maxLook))
	if err != nil {
		return fmt.Errorf("part %s: %w", p.Path, err)
	}
	defer held.Close()
	if v.wanted[p.Path] {
		if err := v.fn(p, io.NewSectionReader(held, 0, held.size)); err != nil {
			return err
		}
	}
	return v.from(p.Path, p.Type, held)
}
