package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/extract"
	"sekretariat/ingest/dropbox"
	"sekretariat/pipeline/batch"
)

// Sheets looks at the pages of a file without reading them.
type Sheets interface {
	Sheets(ctx context.Context, body sekretariat.Body, engineCache string) ([]extract.Sheet, error)
}

// passing marks an error of ours (store, disk, processes) that says nothing of
// the pile: it is tried again. Any other error makes the pile one letter, for no
// letter may wait for ever.
type passing struct{ error }

// Unwrap gives the error itself.
func (p passing) Unwrap() error { return p.error }

func passes(err error) bool { return errors.As(err, new(passing)) }

// Source fields of a letter of a batch, in its manifest.
const (
	SourcePages   = "pages"   // its pages there, "3-5"
	SourceSticker = "sticker" // number on a sticker of its first page
)

// partBatch takes the letters of a scanned pile in, each with its own pages, and
// tells whether all of them are durable; then the pile is no letter any more.
// Each letter is a submission of its own: nobody who may see one of them sees
// the pages of another. The plan is claimed before the first letter is taken and
// stands for ever, and the identity of each letter follows from it, so a
// repetition after a crash, by whatever version of the program, finds the same
// letters. Doubt means: one letter.
func (p *Pipeline) partBatch(ctx context.Context, a sekretariat.ArrivedData) (bool, error) {
	if p.o.Sheets == nil || p.o.Batches == nil || p.o.Parts == nil || a.Kind != sekretariat.KindBox || a.Pile != "" || !p.holdsPiles(a.Box) {
		return false, nil
	}
	m, err := Manifest(ctx, p.o.Vault, p.id, a.Submission)
	if hopeless(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	plan, err := p.plan(ctx, a)
	if err != nil || !plan.Parted() || len(plan.Letters) == 0 {
		return false, err
	}
	copies, failed := p.copies(ctx, a, plan)
	defer func() {
		for _, c := range copies {
			_ = c.Close()
		}
	}()
	parted, err := p.agreed(ctx, a, failed)
	if err != nil || !parted {
		return false, err
	}
	for i, l := range plan.Letters {
		if err := p.o.Batches.Take(ctx, p.letterOf(a, m, l), copies[i]); err != nil {
			return false, fmt.Errorf("take pages %d-%d of batch %.12s…: %w", l.From, l.To, a.Submission, err)
		}
	}
	p.o.Logger.Info().Str("submission", string(a.Submission)).Int("letters", len(plan.Letters)).Int("pages", plan.Pages).Msg("a pile of scans was parted at its separator sheets")
	return true, nil
}

// holdsPiles tells whether the files of a box are piles of letters.
func (p *Pipeline) holdsPiles(box string) bool {
	return slices.ContainsFunc(p.o.Centre.Boxes, func(b configs.Box) bool { return b.ID == box && b.Batches })
}

// plan looks at the pages once and claims what it makes of them.
func (p *Pipeline) plan(ctx context.Context, a sekretariat.ArrivedData) (batch.Plan, error) {
	var plan batch.Plan
	sheets, err := p.sheets(ctx, a)
	switch {
	case ctx.Err() != nil:
		return plan, ctx.Err()
	case passes(err):
		return plan, err
	case err != nil:
		p.o.Logger.Warn().Err(err).Str("submission", string(a.Submission)).Msg("the pages of a scan cannot be looked at before it is registered; it is registered as one letter")
	default:
		plan = batch.Of(sheets)
	}
	if !plan.Parted() && err == nil {
		return plan, nil // the same again next time; nothing was taken
	}
	raw, err := json.Marshal(plan)
	if err != nil {
		return plan, fmt.Errorf("encode the plan of batch %.12s…: %w", a.Submission, err)
	}
	won, err := p.o.Claims.Claim(ctx, fmt.Sprintf("batch.%s.%s", p.id, a.Submission), raw)
	if err != nil {
		return plan, fmt.Errorf("claim the plan of batch %.12s…: %w", a.Submission, err)
	}
	plan = batch.Plan{}
	if err := json.Unmarshal(won, &plan); err != nil {
		return plan, fmt.Errorf("plan of batch %.12s…: %w", a.Submission, err)
	}
	return plan, nil
}

func (p *Pipeline) sheets(ctx context.Context, a sekretariat.ArrivedData) ([]extract.Sheet, error) {
	o, err := p.openOriginal(ctx, a.Submission)
	if err != nil && !hopeless(err) {
		return nil, passing{err}
	}
	if err != nil {
		return nil, err
	}
	defer o.body.Close()
	return p.o.Sheets.Sheets(ctx, o.body, p.o.EngineCache)
}

// copies makes the pages of each letter a file of their own, all of them before
// the first letter is taken. The files are anonymous and end with the process.
func (p *Pipeline) copies(ctx context.Context, a sekretariat.ArrivedData, plan batch.Plan) (made []*os.File, err error) {
	o, err := p.openOriginal(ctx, a.Submission)
	if err != nil && !hopeless(err) {
		return nil, passing{err}
	}
	if err != nil {
		return nil, err
	}
	defer o.body.Close()
	for _, l := range plan.Letters {
		f, err := extract.Anonymous(p.o.Temp)
		if err != nil {
			return made, passing{err}
		}
		made = append(made, f)
		ask := extract.Parts{Want: []string{""}, As: extract.AsPages, Page: l.From, To: l.To, Count: plan.Pages}
		size := int64(0)
		err = p.o.Parts.Parts(ctx, o.body, ask, func(_ sekretariat.Part, content io.Reader) error {
			var err error
			if size, err = io.Copy(f, content); errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
				return passing{err}
			}
			return err
		})
		if err == nil && size == 0 {
			err = errors.New("no pages came")
		}
		if err == nil {
			_, err = f.Seek(0, io.SeekStart)
		}
		if err != nil {
			return made, fmt.Errorf("copy pages %d-%d of batch %.12s…: %w", l.From, l.To, a.Submission, err)
		}
	}
	return made, nil
}

// agreed tells whether the pile is parted. Who is first to say decides for all,
// so that it never becomes letters here and one letter there: a pile whose pages
// cannot be copied is one letter, unless letters of it may have been taken.
func (p *Pipeline) agreed(ctx context.Context, a sekretariat.ArrivedData, failed error) (bool, error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if passes(failed) {
		return false, failed
	}
	const parted, whole = "parted", "whole"
	say := parted
	if failed != nil {
		say = whole
	}
	won, err := p.o.Claims.Claim(ctx, fmt.Sprintf("parted.%s.%s", p.id, a.Submission), []byte(say))
	switch {
	case err != nil:
		return false, fmt.Errorf("agree on batch %.12s…: %w", a.Submission, err)
	case string(won) == whole:
		p.o.Logger.Warn().Err(failed).Str("submission", string(a.Submission)).Msg("the pages of a pile cannot be copied; it is registered as one letter")
		return false, nil
	case failed != nil:
		return false, failed // tried again: letters of it may be there already
	}
	return true, nil
}

// letterOf is the delivery of one letter of a pile. Its identity is where it
// lies in the pile, not the octets of the copy.
func (p *Pipeline) letterOf(a sekretariat.ArrivedData, m sekretariat.Manifest, l batch.Letter) sekretariat.Delivery {
	pages := fmt.Sprintf("%d-%d", l.From, l.To)
	source := map[string]string{SourcePages: pages}
	if name := m.Source[dropbox.SourceName]; name != "" {
		source[dropbox.SourceName] = name
	}
	if l.Sticker != "" {
		source[SourceSticker] = l.Sticker
	}
	return sekretariat.Delivery{
		Centre: p.id, Kind: a.Kind, Door: a.Door, Account: a.Account, Box: a.Box, Unit: a.Unit, Department: a.Department, Series: a.Series,
		Sheet:    sekretariat.DepartmentID(l.Department),
		Identity: func(sekretariat.BodyFacts) []string { return []string{"batch", string(a.Submission), pages} },
		Arrived:  a.Arrived, Pile: a.Submission, Emptying: a.Emptying, Source: source, MediaType: "application/pdf",
	}
}
