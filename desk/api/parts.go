package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"

	"sekretariat"
	"sekretariat/extract"
	"sekretariat/extract/archive"
	"sekretariat/pipeline"
)

// Parts opens parts in a child process; extract.Pool does.
type Parts interface {
	Parts(ctx context.Context, body sekretariat.Body, ask extract.Parts, fn func(sekretariat.Part, io.Reader) error) error
	Look(ctx context.Context, body sekretariat.Body, ask extract.Parts) (sekretariat.Reading, error)
}

// errPart: the part is listed but its content cannot be had; the message says
// why.
var errPart = errors.New("this part cannot be opened")

// part sends one decoded part of a letter, always as a download with a safe
// name and a neutral type: nothing of a letter runs in a browser.
func (a *api) part(ctx context.Context, c call) error {
	l, r, err := a.read(ctx, c)
	if err != nil {
		return err
	}
	p, ok := find(r.Parts, c.r.PathValue("path"))
	if !ok {
		return pipeline.ErrNotFound
	}
	if p.Fate == pipeline.FateRemote {
		return a.remote(ctx, c, l, p)
	}
	if err := locked(c.c.Pipeline, l, p.Path); err != nil {
		return err
	}
	_, body, err := a.open(ctx, c)
	if err != nil {
		return err
	}
	defer body.Close()
	if extract.Stream(r, p) {
		return sendPart(c.w, p, extract.OpenPart(r, body, p))
	}
	found := false
	err = a.Parts.Parts(ctx, body, extract.Parts{Reading: *r, Want: []string{p.Path}}, func(p sekretariat.Part, content io.Reader) error {
		found = true
		return sendPart(c.w, p, content)
	})
	if err == nil && !found {
		err = extract.ErrNoPart
	}
	return partError(err)
}

// sendPart sends what content yields. An error before its first octet is an
// answer of its own; after that, cutting the connection is the only honest one.
func sendPart(w http.ResponseWriter, p sekretariat.Part, content io.Reader) error {
	in := bufio.NewReader(content)
	if _, err := in.Peek(1); err != nil && err != io.EOF {
		return partError(err)
	}
	name := p.SafeName
	if name == "" {
		name = "czesc-" + p.Path + ".bin"
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	if p.SHA256 != "" {
		h.Set("ETag", strconv.Quote(string(p.SHA256)))
	}
	if _, err := io.Copy(w, in); err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}

// partError says why the content of a part cannot be had.
func partError(err error) error {
	switch {
	case errors.Is(err, extract.ErrNoPreview):
		return fmt.Errorf("%w: there is no preview of it", errPart)
	case errors.Is(err, extract.ErrNoPart):
		return fmt.Errorf("%w: it is not in the original as it was listed", errPart)
	case errors.Is(err, archive.ErrPassword):
		return fmt.Errorf("%w: it is encrypted, and the password is missing or wrong", errPart)
	case errors.Is(err, archive.ErrDamaged):
		return fmt.Errorf("%w: the archive that holds it is damaged", errPart)
	case errors.Is(err, archive.ErrLimit), errors.Is(err, archive.ErrMethod), extract.IsChildFailure(err):
		return fmt.Errorf("%w: it is beyond the limits of what is unpacked here; open the archive that holds it", errPart)
	}
	return err
}
