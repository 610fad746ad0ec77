package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"sekretariat"
	"sekretariat/extract"
	"sekretariat/pipeline"
	"sekretariat/storage"
)

// recognise asks for text recognition once more.
func (a *api) recognise(ctx context.Context, c call) error {
	return a.bare(c, c.c.Pipeline.Recognise(ctx, c.who, c.id))
}

// pagePreview shows one page of a scan as JPEG (?part=PATH&page=N&edge=400 or
// 1600). It was drawn anew, pixel by pixel: nothing of the file is in it, so
// that it may be seen before the virus scanner has spoken.
func (a *api) pagePreview(ctx context.Context, c call) error {
	q := c.r.URL.Query()
	if _, err := a.covered(ctx, c, q.Get("part")); err != nil {
		return err
	}
	number, err1 := strconv.Atoi(q.Get("page"))
	edge, err2 := strconv.Atoi(q.Get("edge"))
	if q.Get("edge") == "" {
		edge, err2 = extract.PreviewEdges[0], nil
	}
	if err := errors.Join(err1, err2); err != nil || number < 1 || number > maxPreviewPage || !slices.Contains(extract.PreviewEdges, edge) {
		return fmt.Errorf("%w: page must be a number from 1, edge one of %v", pipeline.ErrInvalid, extract.PreviewEdges)
	}
	body, err := c.c.Vault.Open(ctx, c.centre, c.id.Submission(), pipeline.PageKey(c.centre, c.id.Submission(), q.Get("part"), number, edge))
	if errors.Is(err, storage.ErrNotFound) {
		return pipeline.ErrNotFound
	}
	if err != nil {
		return err
	}
	defer body.Close()
	return sendPreview(c, body)
}

// covered returns the letter if the part belongs to it; "" is the original, which
// may hold letters of others.
func (a *api) covered(ctx context.Context, c call, path string) (*sekretariat.Letter, error) {
	if path == "" {
		return c.c.Pipeline.Open(ctx, c.who, c.id)
	}
	l, r, err := a.read(ctx, c)
	if err != nil {
		return nil, err
	}
	if _, ok := find(r.Parts, path); !ok {
		return nil, pipeline.ErrNotFound
	}
	return l, nil
}

// searchable sends the searchable copy of a scan (?part=PATH, none = the letter
// itself).
func (a *api) searchable(ctx context.Context, c call) error {
	path := c.r.URL.Query().Get("part")
	l, err := a.covered(ctx, c, path)
	if err != nil {
		return err
	}
	if err := locked(c.c.Pipeline, l, path); err != nil {
		return err
	}
	if l.Recognition == nil || l.Recognition.Result == nil {
		return errTooEarly
	}
	rec, err := pipeline.LoadRecognition(ctx, c.c.Vault, c.centre, c.id.Submission(), *l.Recognition.Result)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(rec.Parts, func(p sekretariat.RecognisedPart) bool { return p.Path == path && p.Copy != nil })
	if i < 0 {
		return pipeline.ErrNotFound
	}
	body, err := c.c.Vault.Open(ctx, c.centre, c.id.Submission(), rec.Parts[i].Copy.Key)
	if err != nil {
		return err
	}
	defer body.Close()
	return sendPreview(c, body)
}
