package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sekretariat"
	"sekretariat/ledger"
	"sekretariat/pipeline"
	"sekretariat/storage"
)

// keeper answers for the submissions of a centre: whether a copy at the source
// may be deleted because ours is whole.
type keeper struct {
	s *service
	c *centreHouse
}

// maxLetters bounds the letters of one submission that are looked at.
const maxLetters = 10_000

// Safe makes the checks that verify makes, of one submission: its event, its
// manifest, the digest of its original, read again, and of each of its letters
// that it is parked or has its entry in the register. What was destroyed at the
// end of its retention is to go everywhere (rule P28).
func (k keeper) Safe(ctx context.Context, id sekretariat.SubmissionID) (time.Time, error) {
	e, err := k.c.log.Last(ctx, ledger.Intake, string(id))
	if err != nil {
		return time.Time{}, fmt.Errorf("its event: %w", err)
	}
	a, err := sekretariat.DataOf[sekretariat.ArrivedData](e.Event)
	if err != nil {
		return time.Time{}, err
	}
	m, err := pipeline.Manifest(ctx, k.s.vault, k.c.cfg.ID, id)
	if errors.Is(err, storage.ErrShredded) {
		return a.Received, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	facts, err := k.s.vault.Check(ctx, k.c.cfg.ID, id, m.Original.Key)
	if err != nil {
		return time.Time{}, fmt.Errorf("its original: %w", err)
	}
	if facts.SHA256 != m.Original.SHA256 || facts.Size != m.Original.Size {
		return time.Time{}, fmt.Errorf("its original: %w", storage.ErrDamaged)
	}
	return m.Received, k.lettersSafe(ctx, id)
}

// lettersSafe looks at every letter of a submission.
func (k keeper) lettersSafe(ctx context.Context, id sekretariat.SubmissionID) error {
	all := sekretariat.Principal{ID: "service", Centre: k.c.cfg.ID, Register: true, Closed: true}
	for part := 1; part <= maxLetters; part++ {
		l, err := k.s.pipelines[k.c.cfg.ID].Letter(ctx, all, sekretariat.NewLetterID(id, part))
		switch {
		case errors.Is(err, pipeline.ErrNotFound) && part > 1:
			return nil
		case err != nil:
			return fmt.Errorf("its letter %d: %w", part, err)
		case l.Status == sekretariat.StatusParked:
			continue
		case l.Number.IsZero():
			return fmt.Errorf("its letter %d is not registered", part)
		}
		if _, err := k.s.objects.Head(ctx, storage.EntryKey(k.c.cfg.ID, l.Number)); err != nil {
			return fmt.Errorf("entry of its letter %d: %w", part, err)
		}
	}
	return fmt.Errorf("it has more than %d letters", maxLetters)
}
