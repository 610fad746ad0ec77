package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/extract"
)

// Packages opens files of a box that are no letters but hold letters of an
// official channel: emergency downloads of ePUAP.
type Packages interface {
	// List is the name of the file that lists the letters.
	List() string
	// Letters reads that list: which of the files beside it (by their place in
	// names) are letters, and as what they are to be taken in. box is the
	// account that the file came through. An error means: no such package.
	Letters(box configs.Account, list []byte, names []string) ([]Packaged, error)
	Taker
}

// Taker makes one letter durable, as if its channel had brought it.
type Taker interface {
	Take(ctx context.Context, d sekretariat.Delivery, body io.Reader) error
}

// Packaged is one letter in a package.
type Packaged struct {
	File     int
	Delivery sekretariat.Delivery
}

// Bounds of a package.
const (
	maxPackage  = 1 << 30 // octets
	maxList     = 4 << 20 // octets
	packageTime = 5 * time.Minute
)

// errNoPackage: an ordinary file.
var errNoPackage = errors.New("no package of letters")

// unpack takes the letters out of a package and tells whether all of them are
// durable; then the package itself is no letter any more. Doubt means: it is
// one. An error is one of ours, and the package is looked at again: what was
// taken before is known by then.
func (p *Pipeline) unpack(ctx context.Context, a sekretariat.ArrivedData) (bool, error) {
	if p.o.Packages == nil || p.o.Parts == nil || a.Kind != sekretariat.KindBox || a.Size > maxPackage {
		return false, nil
	}
	bounded, cancel := context.WithTimeout(ctx, packageTime)
	defer cancel()
	n, err := p.unpackFrom(bounded, a)
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case errors.Is(err, errNoPackage), hopeless(err):
		return false, nil
	case errors.Is(err, errTake):
		return false, err
	case err != nil:
		p.o.Logger.Warn().Err(err).Str("submission", string(a.Submission)).Msg("a package of letters cannot be opened; it is registered as it is")
		return false, nil
	}
	p.o.Logger.Info().Str("submission", string(a.Submission)).Int("letters", n).Msg("a package of letters was opened")
	return true, nil
}

// errTake: our own store does not take a letter.
var errTake = errors.New("take a letter out of a package")

func (p *Pipeline) unpackFrom(ctx context.Context, a sekretariat.ArrivedData) (int, error) {
	o, err := p.openOriginal(ctx, a.Submission)
	if err != nil {
		return 0, err
	}
	defer o.body.Close()
	magic := make([]byte, 4)
	if n, err := o.body.ReadAt(magic, 0); n < 4 || string(magic) != "PK\x03\x04" {
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		return 0, errNoPackage
	}
	r, err := p.readAll(ctx, a, o, p.o.Reader)
	if err != nil {
		return 0, err
	}
	list, files := p.members(r)
	if list == "" || len(files) == 0 {
		return 0, errNoPackage
	}
	raw, err := p.member(ctx, o, r, list)
	if err != nil {
		return 0, err
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name)
	}
	letters, err := p.o.Packages.Letters(configs.Account{ID: a.Account, Unit: a.Unit, Department: a.Department, Series: a.Series}, raw, names)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errNoPackage, err)
	}
	return len(letters), p.takeOut(ctx, o, r, files, letters)
}

// members are the list and the files beside it.
func (p *Pipeline) members(r *sekretariat.Reading) (list string, files []sekretariat.Part) {
	for _, q := range r.Parts {
		switch {
		case q.Member == 0 || q.In != "":
		case list == "" && strings.EqualFold(path.Base(strings.ReplaceAll(q.Name, `\`, "/")), p.o.Packages.List()):
			list = q.Path
		default:
			files = append(files, q)
		}
	}
	return list, files
}

// member is the content of a small member.
func (p *Pipeline) member(ctx context.Context, o original, r *sekretariat.Reading, path string) ([]byte, error) {
	var raw []byte
	err := p.o.Parts.Parts(ctx, o.body, extract.Parts{Reading: *r, Want: []string{path}}, func(_ sekretariat.Part, content io.Reader) (err error) {
		if raw, err = io.ReadAll(io.LimitReader(content, maxList+1)); err == nil && len(raw) > maxList {
			err = errNoPackage
		}
		return err
	})
	if err == nil && raw == nil {
		err = errNoPackage
	}
	return raw, err
}

// takeOut takes the letters in, one after the other as the archive has them.
func (p *Pipeline) takeOut(ctx context.Context, o original, r *sekretariat.Reading, files []sekretariat.Part, letters []Packaged) error {
	byPath, want := map[string]sekretariat.Delivery{}, []string(nil)
	for _, l := range letters {
		at := files[l.File].Path
		byPath[at], want = l.Delivery, append(want, at)
	}
	taken := 0
	err := p.o.Parts.Parts(ctx, o.body, extract.Parts{Reading: *r, Want: want}, func(q sekretariat.Part, content io.Reader) error {
		body := &watched{r: content}
		if err := p.o.Packages.Take(ctx, byPath[q.Path], body); err != nil {
			if body.err != nil {
				return body.err // the member's own fault, not the store's
			}
			return fmt.Errorf("%w: %w", errTake, err)
		}
		taken++
		return nil
	})
	if err == nil && taken < len(letters) {
		err = fmt.Errorf("%d of %d letters are in the package", taken, len(letters))
	}
	return err
}

// watched remembers what was wrong with a body.
type watched struct {
	r   io.Reader
	err error
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.r.Read(b)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}
