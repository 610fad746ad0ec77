package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/ledger"
	"sekretariat/pipeline"
	"sekretariat/register"
	"sekretariat/register/index"
	"sekretariat/storage"
)

// addRegister adds the registrars and journals of a centre.
func (s *service) addRegister(c *centreHouse, log zerolog.Logger) {
	streams := []ledger.StreamName{ledger.Intake, ledger.Letter, ledger.Queue, ledger.Audit}
	for _, series := range c.cfg.Series {
		streams = append(streams, ledger.Register(series.ID))
		s.registrar = append(s.registrar, register.NewRegistrar(register.Options{
			Centre: c.cfg.ID, Series: series.ID, First: series.FirstNumber, Log: c.log, Store: s.objects,
			Clock: sekretariat.SystemClock, Logger: log,
		}))
	}
	for _, stream := range streams {
		s.journals = append(s.journals, journal{c.cfg.ID, stream})
	}
}

func (s *service) openIndex(c *centreHouse) (*index.Index, error) {
	if err := os.MkdirAll(s.folder(folderIndex), 0o700); err != nil {
		return nil, fmt.Errorf("index folder: %w", err)
	}
	ix, err := index.Open(context.Background(), filepath.Join(s.folder(folderIndex), string(c.cfg.ID)+".sqlite"), c.cfg.ID, s.log)
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, func(context.Context) error { return ix.Close() })
	return ix, nil
}

// seriesIDs are the series of a centre.
func (c *centreHouse) seriesIDs() []sekretariat.SeriesID {
	var out []sekretariat.SeriesID
	for _, s := range c.cfg.Series {
		out = append(out, s.ID)
	}
	return out
}

func (s *service) follow(ctx context.Context, c *centreHouse) error {
	ix := s.indexes[c.cfg.ID]
	ix.ShowAfter(s.objects) // a number may be shown once its entry is written
	return s.untilDone(ctx, "index", func(ctx context.Context) error { return ix.Project(ctx, c.log, c.seriesIDs()) })
}

// searchable puts the words of letters into the index.
func (s *service) searchable(ctx context.Context, c *centreHouse) error {
	read := func(ctx context.Context, id sekretariat.LetterID, ref sekretariat.ObjectRef) (*sekretariat.Reading, error) {
		r, err := pipeline.LoadReading(ctx, s.vault, c.cfg.ID, id.Submission(), ref)
		if errors.Is(err, storage.ErrDamaged) || errors.Is(err, storage.ErrShredded) {
			return nil, nil // the letter stands in lists all the same
		}
		return r, err
	}
	return s.untilDone(ctx, "search", func(ctx context.Context) error { return s.indexes[c.cfg.ID].Words(ctx, read) })
}

// overdueAfter is how long a registered letter may wait to be read before a
// person gets it unread (contract of the queues).
const overdueAfter = 15 * time.Minute

// sweepOverdue looks once a minute for letters that wait too long.
func (s *service) sweepOverdue(ctx context.Context, c *centreHouse) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := s.overdue(ctx, c, s.pipelines[c.cfg.ID]); err != nil && !errors.Is(err, context.Canceled) {
			s.log.Error().Err(err).Str("centre", string(c.cfg.ID)).Msg("looking for unread letters failed; trying again in a minute")
		}
	}
}

func (s *service) overdue(ctx context.Context, c *centreHouse, p *pipeline.Pipeline) error {
	all := sekretariat.Principal{ID: "service", Centre: c.cfg.ID, Register: true, Closed: true}
	before := sekretariat.SystemClock().Add(-overdueAfter)
	for _, status := range []sekretariat.Status{sekretariat.StatusRegistered, sekretariat.StatusRead} {
		for page := (index.Page{}); ; {
			rows, next, err := s.indexes[c.cfg.ID].Register(ctx, all, index.Filter{Status: status, Oldest: true}, page)
			if err != nil {
				return err
			}
			for _, r := range rows {
				if r.Registered.After(before) {
					continue
				}
				if err := p.Overdue(ctx, r.Letter, r.Number); err != nil && ctx.Err() == nil {
					// One bad letter must not keep the others waiting.
					s.log.Error().Err(err).Str("letter", string(r.Letter)).Msg("an overdue letter could not be given to the sekretariat")
				}
			}
			if page.After = next; next == "" {
				break
			}
		}
	}
	return ctx.Err()
}

// firstNumber is the first number of a series in a year (rule P1).
func (c *centreHouse) firstNumber(id sekretariat.SeriesID, year int) int {
	for _, s := range c.cfg.Series {
		if s.ID == id {
			return s.FirstNumber(year)
		}
	}
	return 1
}
