package register

import (
	"context"
	"errors"
	"fmt"

	"sekretariat"
	"sekretariat/ledger"
)

// compareBack is how many entries before the newest known one are compared
// with the ledger at a start: a group of puts may have been cut short anywhere
// inside.
const compareBack = ledger.MaxBatch

// oldestYear is the first year that entries are looked for in when the ledger
// is empty.
const oldestYear = 2020

// errAhead: the store has entries that the ledger does not know.
var errAhead = errors.New("entries are ahead of the ledger")

// compare brings a registrar up to date: it finds the newest entry that the
// store has, writes what the ledger has beyond, and makes sure that the store
// has nothing that the ledger does not know. Another registrar may be at work
// meanwhile.
func (r *Registrar) compare(ctx context.Context) error {
	for {
		err := r.compareOnce(ctx)
		if !errors.Is(err, errAhead) {
			return err
		}
		// The event comes first, then the entry: if the ledger has moved on
		// meanwhile, the entry is another registrar's and all is well.
		tail, terr := r.o.Log.Tail(ctx, r.stream())
		switch {
		case terr == nil && tail.Seq > r.seq:
			continue
		case terr != nil && !errors.Is(terr, ledger.ErrNotFound):
			return fmt.Errorf("read the end of the register: %w", terr)
		}
		return err
	}
}

func (r *Registrar) compareOnce(ctx context.Context) error {
	r.seq, r.last, r.unwritten = 0, sekretariat.Entry{}, nil
	tail, err := r.o.Log.Tail(ctx, r.stream())
	if errors.Is(err, ledger.ErrNotFound) {
		return r.compareEmpty(ctx)
	}
	if err != nil {
		return fmt.Errorf("read the end of the register: %w", err)
	}
	newest, err := r.newestWritten(ctx, tail.Seq)
	if err != nil {
		return err
	}
	if from := max(newest, compareBack) - compareBack; from > 0 {
		e, err := r.entryAt(ctx, from)
		if err != nil {
			return err
		}
		r.seq, r.last = from, e
	}
	if err := r.catchUp(ctx); err != nil {
		return err
	}
	return r.nothingAhead(ctx)
}

// compareEmpty checks that there are no entries when the ledger has none.
func (r *Registrar) compareEmpty(ctx context.Context) error {
	if st, err := r.o.Log.State(ctx, r.stream()); err != nil {
		return fmt.Errorf("look at the register: %w", err)
	} else if st.Last > 0 {
		return fmt.Errorf("the stream of series %s has lost all its %d events: %w", r.o.Series, st.Last, ErrRewound)
	}
	for year := oldestYear; year <= sekretariat.RegisterYear(r.o.Clock())+1; year++ {
		if err := r.noEntries(ctx, year, max(r.o.First(year), 1)); err != nil {
			return err
		}
	}
	return nil
}

// nothingAhead checks that there is no entry beyond the last one of the ledger.
func (r *Registrar) nothingAhead(ctx context.Context) error {
	n := r.last.Number
	if err := r.noEntries(ctx, n.Year, n.N+1); err != nil {
		return err
	}
	for year := n.Year + 1; year <= max(sekretariat.RegisterYear(r.o.Clock()), n.Year)+1; year++ {
		if err := r.noEntries(ctx, year, max(r.o.First(year), 1)); err != nil {
			return err
		}
	}
	return nil
}

// noEntries checks that a year has no entry from first on.
func (r *Registrar) noEntries(ctx context.Context, year, first int) error {
	has := func(n int) (bool, error) {
		return hasEntry(ctx, r.o.Store, r.o.Centre, sekretariat.Number{Series: r.o.Series, Year: year, N: n})
	}
	there, err := has(first)
	if err != nil || !there {
		return err
	}
	last, err := lastWhere(first, has)
	if err != nil {
		return err
	}
	return fmt.Errorf("entries of series %s in %d go on to %d, the ledger knows them only up to %d: %w: %w", r.o.Series, year, last, first-1, errAhead, ErrRewound)
}

// newestWritten returns the sequence of the newest register event whose entry
// the store has, 0 if it has none: by doubling back from the end of the ledger,
// then halving, never by listing.
func (r *Registrar) newestWritten(ctx context.Context, tail uint64) (uint64, error) {
	written := func(seq uint64) (bool, error) {
		e, err := r.entryAt(ctx, seq)
		if err != nil {
			return false, err
		}
		return hasEntry(ctx, r.o.Store, r.o.Centre, e.Number)
	}
	missing := tail + 1 // the lowest sequence known to have no entry
	low := tail
	for step := uint64(1); ; step *= 2 {
		ok, err := written(low)
		if err != nil {
			return 0, err
		}
		if ok {
			break
		}
		missing = low
		if low == 1 {
			return 0, nil
		}
		low -= min(step, low-1)
	}
	for missing-low > 1 {
		mid := low + (missing-low)/2
		ok, err := written(mid)
		switch {
		case err != nil:
			return 0, err
		case ok:
			low = mid
		default:
			missing = mid
		}
	}
	return low, nil
}

var errStop = errors.New("enough")

// entryAt reads the register event at seq. The register is never cut, so a
// missing one is an ErrRewound.
func (r *Registrar) entryAt(ctx context.Context, seq uint64) (sekretariat.Entry, error) {
	var e sekretariat.Entry
	found := false
	err := r.o.Log.Replay(ctx, r.stream(), seq, func(s ledger.Stored) error {
		if s.Seq == seq {
			var err error
			if e, err = entryOf(s); err != nil {
				return err
			}
			found = true
		}
		return errStop
	})
	if err != nil && !errors.Is(err, errStop) {
		return e, fmt.Errorf("read register event %d: %w", seq, rewound(err))
	}
	if !found {
		return e, fmt.Errorf("register event %d of series %s is missing: %w", seq, r.o.Series, ErrRewound)
	}
	return e, nil
}

// rewound marks what the ledger found wrong with its own past.
func rewound(err error) error {
	var gap *ledger.GapError
	if errors.Is(err, ledger.ErrRewound) || errors.As(err, &gap) {
		return fmt.Errorf("%w: %w", ErrRewound, err)
	}
	return err
}

func entryOf(s ledger.Stored) (sekretariat.Entry, error) {
	d, err := sekretariat.DataOf[sekretariat.RegisteredData](s.Event)
	if err != nil || s.Event.Type != sekretariat.EventRegistered {
		return d.Entry, fmt.Errorf("register event %d is no registration (%s, %v): %w", s.Seq, s.Event.Type, err, ErrRewound)
	}
	return d.Entry, nil
}

// catchUp reads what the ledger has beyond r.seq, checks that it continues the
// chain, and writes the entries of it that the store does not have.
func (r *Registrar) catchUp(ctx context.Context) error {
	if err := r.write(ctx); err != nil {
		return err
	}
	seen := r.seq == 0
	err := r.o.Log.Replay(ctx, r.stream(), max(r.seq, 1), func(s ledger.Stored) error {
		e, err := entryOf(s)
		if err != nil {
			return err
		}
		if !seen {
			if seen = true; s.Seq != r.seq || e.Digest != r.last.Digest {
				return fmt.Errorf("register event %d of series %s is not the one that was there before: %w", r.seq, r.o.Series, ErrRewound)
			}
			return nil
		}
		if s.Seq != r.seq+1 {
			return fmt.Errorf("register events %d to %d of series %s are missing: %w", r.seq+1, s.Seq-1, r.o.Series, ErrRewound)
		}
		if err := CheckNext(r.last, e); err != nil {
			return fmt.Errorf("%w: %w", ErrRewound, err)
		}
		r.seq, r.last, r.unwritten = s.Seq, e, append(r.unwritten, e)
		if len(r.unwritten) >= writeTogether {
			return r.write(ctx)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("catch up with the register: %w", rewound(err))
	}
	if !seen {
		return fmt.Errorf("the register of series %s ends before event %d, which was there: %w", r.o.Series, r.seq, ErrRewound)
	}
	return r.write(ctx)
}
