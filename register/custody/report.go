package custody

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sekretariat"
	"sekretariat/ledger"
)

// Line is one emptying with what became of its paper.
type Line struct {
	Emptying
	Batches []Batch // files that were scanned, in the order of arrival
	Letters int     // letters in them, parked ones among them
}

// Batch is one file of a box.
type Batch struct {
	Submission sekretariat.SubmissionID
	Door       sekretariat.Door
	Received   time.Time
	Letters    int
	Numbers    []sekretariat.Number // of those that are registered
	Parked     int
	Refused    bool // no scan came, only a note about one that could not be taken in
}

// Missing is how many envelopes have no letter yet; negative when there are
// more letters than envelopes. 0 is as it should be.
func (l Line) Missing() int { return l.Counted - l.Letters }

// Report tells what became of the emptyings of a box since a time, oldest
// first. Files that came before the first emptying belong to none.
func (b *Book) Report(ctx context.Context, box string, since time.Time) ([]Line, error) {
	all, err := b.Of(ctx, box)
	if err != nil {
		return nil, err
	}
	first := len(all)
	for first > 0 && !all[first-1].At.Before(since) {
		first--
	}
	if first == len(all) {
		return nil, nil
	}
	lines := make([]Line, 0, len(all)-first)
	for _, e := range all[first:] {
		lines = append(lines, Line{Emptying: e})
	}
	// Whoever writes an emptying down late has scanned before: look back as far
	// as the one before it.
	from := uint64(1)
	if first > 0 {
		from = all[first-1].Intake + 1
	}
	err = b.Log.Replay(ctx, ledger.Intake, from, func(s ledger.Stored) error {
		a, err := sekretariat.DataOf[sekretariat.ArrivedData](s.Event)
		if err != nil || a.Box != box || a.Kind != sekretariat.KindBox {
			return err
		}
		l := lineOf(lines, a)
		if l == nil {
			return nil
		}
		batch, err := b.batch(ctx, a)
		l.Batches, l.Letters = append(l.Batches, batch), l.Letters+batch.Letters
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("custody of box %s: %w", box, err)
	}
	return lines, nil
}

// lineOf finds the emptying of a file: the one that it was given to when it
// came in, else, where that was written down late, the last one before it.
func lineOf(lines []Line, a sekretariat.ArrivedData) *Line {
	var by *Line
	for i := range lines {
		if lines[i].EmptiedData.Emptying == a.Emptying {
			return &lines[i]
		}
		if !lines[i].At.After(a.Received) && lines[i].Recorded.After(a.Received) {
			by = &lines[i]
		}
	}
	return by
}

func (b *Book) batch(ctx context.Context, a sekretariat.ArrivedData) (Batch, error) {
	batch := Batch{Submission: a.Submission, Door: a.Door, Received: a.Received, Refused: a.Park != ""}
	if batch.Refused {
		return batch, nil
	}
	batch.Letters = 1 // not sorted yet: one letter until somebody knows better
	events, err := b.Log.Subject(ctx, ledger.Letter, string(a.Submission))
	if errors.Is(err, ledger.ErrNotFound) || err == nil && len(events) == 0 {
		return batch, nil
	}
	if err != nil {
		return batch, err
	}
	var state sekretariat.State
	for _, e := range events {
		if err := state.Apply(e.Event); err != nil {
			return batch, fmt.Errorf("events of submission %.12s…: %w", a.Submission, err)
		}
	}
	batch.Letters = 0
	for _, l := range state.Letters {
		if l.Reason == sekretariat.ParkPackage {
			continue // what it held are submissions of their own, and no paper
		}
		batch.Letters++
		switch {
		case !l.Number.IsZero():
			batch.Numbers = append(batch.Numbers, l.Number)
		case l.Status == sekretariat.StatusParked:
			batch.Parked++
		}
	}
	return batch, nil
}

// Question is what is to be cleared up about an emptying, in plain Polish; ""
// if its letters are as many as its envelopes.
func (l Line) Question() string {
	switch n := l.Missing(); {
	case n > 0:
		return fmt.Sprintf("brakuje pism: %d. Zeskanuj resztę albo policz koperty ponownie", n)
	case n < 0:
		return fmt.Sprintf("pism jest więcej niż kopert: o %d. Policz koperty ponownie albo sprawdź podział skanu", -n)
	}
	return ""
}
