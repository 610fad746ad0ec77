package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"sekretariat"
	"sekretariat/extract"
	"sekretariat/pipeline"
	"sekretariat/storage"
)

// Limits of previews.
const (
	maxPreviewPage = 1000
	maxPreview     = 256 << 20 // octets
)

// preview sends a picture of a part that is safe to show: a PDF, or a JPEG of
// one page (?page=N) of a photo or scan. It is made in a child process when it
// is asked for first, and kept sealed beside the letter.
func (a *api) preview(ctx context.Context, c call) error {
	l, r, err := a.read(ctx, c)
	if err != nil {
		return err
	}
	path := c.r.PathValue("path")
	if _, ok := find(r.Parts, path); !ok && path != "" {
		return pipeline.ErrNotFound
	}
	if err := locked(c.c.Pipeline, l, path); err != nil {
		return err
	}
	if path == "" { // a picture of the whole
		if _, err := c.c.Pipeline.Open(ctx, c.who, c.id); err != nil {
			return err
		}
	}
	page := 1
	if q := c.r.URL.Query().Get("page"); q != "" {
		if page, err = strconv.Atoi(q); err != nil || page < 1 || page > maxPreviewPage {
			return fmt.Errorf("%w: page must be a number from 1 to %d", pipeline.ErrInvalid, maxPreviewPage)
		}
	}
	key := storage.DerivedKey(c.centre, c.id.Submission(), extract.PreviewName, previewName(c.id, path, page))
	body, err := c.c.Vault.Open(ctx, c.centre, c.id.Submission(), key)
	if errors.Is(err, storage.ErrNotFound) {
		if err = a.makePreview(ctx, c, r, path, page, key); err == nil {
			body, err = c.c.Vault.Open(ctx, c.centre, c.id.Submission(), key)
		}
	}
	if err != nil {
		return partError(err)
	}
	defer body.Close()
	return sendPreview(c, body)
}

// previewName tells the previews of a letter apart.
func previewName(id sekretariat.LetterID, path string, page int) string {
	if path == "" {
		path = "0"
	}
	return fmt.Sprintf("%d.%s.p%d", id.Part(), path, page)
}

func (a *api) makePreview(ctx context.Context, c call, r *sekretariat.Reading, path string, page int, key string) error {
	_, original, err := a.open(ctx, c)
	if err != nil {
		return err
	}
	defer original.Close()
	found := false
	ask := extract.Parts{Reading: *r, Want: []string{path}, As: extract.AsPreview, Page: page}
	err = a.Parts.Parts(ctx, original, ask, func(_ sekretariat.Part, content io.Reader) error {
		found = true
		spool, err := c.c.Vault.NewSpool(maxPreview)
		if err != nil {
			return err
		}
		defer spool.Discard()
		if _, err := io.Copy(spool, content); err != nil {
			return err
		}
		return c.c.Vault.Commit(ctx, c.centre, c.id.Submission(), []storage.SealItem{{Key: key, Spool: spool}})
	})
	if err == nil && !found {
		err = extract.ErrNoPart
	}
	return err
}

func sendPreview(c call, body storage.Object) error {
	var head [5]byte
	if _, err := body.ReadAt(head[:], 0); err != nil {
		return fmt.Errorf("read a preview: %w", err)
	}
	typ, name := "image/jpeg", "podglad.jpg"
	if string(head[:]) == "%PDF-" {
		typ, name = "application/pdf", "podglad.pdf"
	}
	h := c.w.Header()
	h.Set("Content-Type", typ)
	h.Set("Content-Disposition", "inline; filename="+name)
	http.ServeContent(c.w, c.r, "", time.Time{}, io.NewSectionReader(body, 0, body.Size()))
	return nil
}
