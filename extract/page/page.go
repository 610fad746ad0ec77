// Package page gives the pages of scans and photos one by one, as grey
// pictures that stand the way the file says: PDF, TIFF with many pages, JPEG,
// PNG, WebP, GIF, BMP, HEIC. Only one page is in memory at a time, and no page
// with more pixels than MaxPixels is decoded. Everything here decodes foreign
// bytes: call it only in a reading process (extract.Serve).
package page

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"strings"

	"sekretariat"
	"sekretariat/extract/picture"
)

// Limits of a source.
const (
	// MaxPixels bounds one page that is decoded.
	MaxPixels = 80_000_000
	// MaxPages bounds the pages of one file that are looked at.
	MaxPages = 1000
	// maxRendered bounds a page that is drawn anew, pixels.
	maxRendered = 24_000_000
	// renderDPI is the resolution at which pages are drawn that are more than
	// one picture.
	renderDPI = 200
)

// The errors of a source.
var (
	// ErrPassword: the file wants a password, or another one.
	ErrPassword = errors.New("a password is needed")
	// ErrDamaged: no page can be had of the file, or not this one.
	ErrDamaged = errors.New("the page cannot be decoded")
	// ErrLimit: the page has too many pixels.
	ErrLimit = errors.New("the page has too many pixels")
	// ErrKind: the file is of a kind that has no pages.
	ErrKind = errors.New("no pages in a file of this kind")
)

// Options of a source.
type Options struct {
	// Password opens an encrypted PDF, "" = none.
	Password string
	// Temp is the folder for temporary files, "" = the system's.
	Temp string
	// Cache is the folder for the compiled PDF engine, "" = it is compiled
	// anew, which takes two seconds.
	Cache string
}

// Page is one decoded page.
type Page struct {
	Number int // from 1
	// Picture is the page upright as the file says (EXIF, /Rotate), in the
	// colours of the file.
	Picture image.Image
	// DPI is the resolution of Picture, 0 = not known.
	DPI int
	// Whole: Picture is the stored picture itself, not drawn anew.
	Whole bool
	// JPEG is the stored stream of Picture if it is one and was not turned;
	// nil otherwise. A copy of the page can hold it untouched.
	JPEG []byte
	// Text: the page has text of its own.
	Text bool
}

// Source gives the pages of one file. It is not for use by several goroutines
// at once.
type Source interface {
	// Pages is their number, at most MaxPages.
	Pages() int
	// Page decodes one, from 1. Errors of the page itself are ErrDamaged and
	// ErrLimit: the next page may be fine.
	Page(ctx context.Context, number int) (*Page, error)
	// Close frees what the source holds.
	Close() error
}

// Known tells whether files of a type have pages.
func Known(typ string) bool {
	return typ == "application/pdf" || strings.HasPrefix(typ, "image/")
}

// Open opens a file of a media type by content (sniff.Type).
func Open(ctx context.Context, body sekretariat.Body, typ string, o Options) (Source, error) {
	switch {
	case typ == "application/pdf":
		return openPDF(ctx, body, o)
	case strings.HasPrefix(typ, "image/"):
		return openPicture(body, typ, o), nil
	}
	return nil, ErrKind
}

// pictures is the source of picture files.
type pictures struct {
	body sekretariat.Body
	typ  string
	info picture.Info
	o    Options
}

func openPicture(body sekretariat.Body, typ string, o Options) *pictures {
	return &pictures{body, typ, picture.Look(body, typ), o}
}

// Pages implements Source.
func (p *pictures) Pages() int { return min(len(p.info.Pages), MaxPages) }

// Close implements Source.
func (p *pictures) Close() error { return nil }

// Page implements Source.
func (p *pictures) Page(ctx context.Context, n int) (*Page, error) {
	if n < 1 || n > p.Pages() {
		return nil, fmt.Errorf("page %d of %d: %w", n, p.Pages(), ErrDamaged)
	}
	info := p.info.Pages[n-1]
	if int64(info.Width)*int64(info.Height) > MaxPixels {
		return nil, fmt.Errorf("page %d of %d × %d: %w", n, info.Width, info.Height, ErrLimit)
	}
	img, turn, err := picture.Decode(ctx, p.body, p.typ, n, p.o.Temp)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("page %d: %w: %w", n, ErrDamaged, err)
	}
	out := &Page{Number: n, DPI: info.DPI, Whole: true}
	img, out.DPI = square(img, info.DPI, info.DPIY)
	out.Picture = picture.Turned(img, turn)
	if p.typ == "image/jpeg" && turn <= 1 && p.body.Size() < 64<<20 {
		out.JPEG, err = io.ReadAll(io.NewSectionReader(p.body, 0, p.body.Size()))
		if err != nil {
			return nil, fmt.Errorf("page %d: %w", n, err)
		}
	}
	return out, nil
}
