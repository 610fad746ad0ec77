package custody

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sekretariat"
	"sekretariat/ledger"
)

// Line is one emptying with what became of its paper.
type Line struct {
	Emptying
	Batches []Batch // files that were scanned, in the order of arrival
	Letters int     // letters in them, parked ones among them
	Astray  int     // letters with the day of receipt of another emptying or of none
}

// Batch is one file of a box.
type Batch struct {
	Submission sekretariat.SubmissionID
	Door       sekretariat.Door
	Received   time.Time
	Letters    int
	Numbers    []sekretariat.Number // of those that are registered
	Parked     int
	astray     int
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
		batch, err := b.batch(ctx, a, sekretariat.Day(l.At))
		l.add(a.Pile, batch)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("custody of box %s: %w", box, err)
	}
	return lines, nil
}

// add counts a file. A letter out of a pile belongs to the pile's file.
func (l *Line) add(pile sekretariat.SubmissionID, f Batch) {
	l.Letters, l.Astray = l.Letters+f.Letters, l.Astray+f.astray
	if i := slices.IndexFunc(l.Batches, func(b Batch) bool { return b.Submission == pile }); pile != "" && i >= 0 {
		b := &l.Batches[i]
		b.Letters, b.Parked, b.Numbers = b.Letters+f.Letters, b.Parked+f.Parked, append(b.Numbers, f.Numbers...)
		return
	}
	l.Batches = append(l.Batches, f)
}

// lineOf finds the emptying of a file: the last one before it, if that was
// written down only later, or if none was at hand; else the one that the file was
// given to when it came in.
func lineOf(lines []Line, a sekretariat.ArrivedData) *Line {
	var by *Line
	for i := range lines {
		l := &lines[i]
		late := !l.At.After(a.Received) && (a.Emptying == "" || l.Recorded.After(a.Received))
		if l.EmptiedData.Emptying == a.Emptying || late {
			by = l
		}
	}
	return by
}

// batch looks at what became of one file; day is that of its emptying.
func (b *Book) batch(ctx context.Context, a sekretariat.ArrivedData, day string) (Batch, error) {
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
		if l.Reason == sekretariat.ParkPackage || l.Reason == sekretariat.ParkBatch {
			continue // what it held are submissions of their own, and no paper
		}
		batch.Letters++
		if sekretariat.Day(l.Arrived.Arrived.At) != day {
			batch.astray++
		}
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
// if its letters are as many as its envelopes and have its day.
func (l Line) Question() string {
	switch n := l.Missing(); {
	case n > 0:
		return fmt.Sprintf("brakuje pism: %d. Zeskanuj resztę albo policz koperty ponownie", n)
	case n < 0:
		return fmt.Sprintf("pism jest więcej niż kopert: o %d. Policz koperty ponownie albo sprawdź podział skanu", -n)
	}
	if l.Astray > 0 {
		return fmt.Sprintf("pisma z inną datą wpływu niż dzień opróżnienia: %d. Popraw datę w tych pismach", l.Astray)
	}
	return ""
}
