package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"sekretariat"
	"sekretariat/storage"
)

// MendedJournal names events whose journal objects were written again.
type MendedJournal struct {
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
	// Exact: the object has the digest that the one behind it names, so it is
	// the lost one octet by octet.
	Exact bool `json:"exact"`
}

// hole is a stretch of a journal that cannot be read while what follows is
// known: the object behind it, or the cursor of the journal.
type hole struct {
	first, last uint64
	before      *journalObject     // nil at the beginning
	after       *journalObject     // nil at the end
	want        sekretariat.Digest // of the last object of the stretch, by what follows
	damaged     []uint64           // where the objects begin that lie there and cannot be used
	readable    bool               // it reads well, but is another one than was written
}

// MendJournal writes again what a stream's journal has lost in its middle, or
// holds damaged, from the ledger, as long as that has the events still and
// tells the same as the objects on both sides. A stretch that cannot be mended
// so stays as it is, for ReadJournal to name. It may be repeated after any
// crash. The end of a journal that is gone is written again by Journal itself.
func (l *Ledger) MendJournal(ctx context.Context, store storage.Store, c sekretariat.CentreID, s StreamName) ([]MendedJournal, error) {
	l.mu.Lock()
	g := l.centres[c]
	l.mu.Unlock()
	if g == nil {
		return nil, fmt.Errorf("mending the journal of %s: centre %s is not open: %w", s, c, ErrNotFound)
	}
	j := &journal{g: g, s: s, store: store, cursor: journalCursor(c, s)}
	holes, err := j.holes(ctx)
	if err != nil {
		return nil, fmt.Errorf("mending the journal of %s of %s: %w", s, c, err)
	}
	var mended []MendedJournal
	for _, h := range holes {
		m, ok, err := j.mend(ctx, h)
		if err != nil {
			return mended, fmt.Errorf("mending the journal of %s of %s from sequence %d: %w", s, c, h.first, err)
		}
		if ok {
			mended = append(mended, m)
		}
	}
	return mended, nil
}

// holes walks the chain and names its broken stretches.
func (j *journal) holes(ctx context.Context) ([]hole, error) {
	firsts, err := journalFirsts(ctx, j.store, j.g.centre, j.s)
	if err != nil {
		return nil, err
	}
	var all []hole
	var last, before *journalObject // the last two that could be used
	var damaged []uint64
	next := uint64(1)
	for _, first := range firsts {
		o, err := readJournalObject(ctx, j.store, j.g.centre, j.s, first)
		if errors.Is(err, errJournalVersion) {
			return nil, err
		}
		if errors.Is(err, storage.ErrDamaged) {
			damaged = append(damaged, first)
			continue
		}
		if err != nil {
			return nil, err
		}
		switch {
		case first > next:
			all = append(all, hole{first: next, last: first - 1, before: last, after: o, want: o.head.Previous, damaged: damaged})
		case first == next && !follows(last, o.head.Previous) && last != nil:
			all = append(all, hole{
				first: last.head.First, last: first - 1, before: before, after: o, want: o.head.Previous,
				damaged: []uint64{last.head.First}, readable: true,
			})
		}
		before, last, next, damaged = last, o, o.next(), nil
	}
	h, found, err := j.brokenEnd(ctx, last, before, next, damaged)
	if found {
		all = append(all, h)
	}
	return all, err
}

// follows tells whether an object that names previous comes behind o.
func follows(o *journalObject, previous sekretariat.Digest) bool {
	return o == nil && previous == "" || o != nil && (previous == o.digest || o.head.Instead != "" && previous == o.head.Instead)
}

// brokenEnd looks whether the last object is what the cursor says it was.
func (j *journal) brokenEnd(ctx context.Context, last, before *journalObject, next uint64, damaged []uint64) (hole, bool, error) {
	pos, err := j.g.l.journalPos(ctx, j.cursor)
	if err != nil || pos.First == 0 {
		return hole{}, false, err
	}
	h := hole{first: pos.First, last: pos.Next - 1, want: pos.Digest}
	switch {
	case pos.First == next && slices.Equal(damaged, []uint64{next}):
		h.before, h.damaged = last, damaged
		return h, true, nil
	case last != nil && len(damaged) == 0 && pos.First == last.head.First && pos.Digest != last.digest:
		h.before, h.damaged, h.readable = before, []uint64{pos.First}, true
		return h, true, nil
	}
	return hole{}, false, nil
}

// mend writes one stretch again. It touches nothing before it knows that the
// ledger has all of it.
func (j *journal) mend(ctx context.Context, h hole) (MendedJournal, bool, error) {
	m := MendedJournal{First: h.first, Last: h.last}
	one, whole, err := j.piece(ctx, h, h.first, h.before, "")
	if err != nil {
		return m, false, unmendable(err)
	}
	m.Exact = whole && sekretariat.DigestOf(one.buf.Bytes()) == h.want
	if !m.Exact {
		// The boundaries between lost objects are forgotten, or the ledger was
		// made again and has the events at other times: then its neighbours
		// must prove that it tells the same.
		if h.readable || h.after == nil {
			return m, false, nil
		}
		if err := j.neighbours(ctx, h); err != nil {
			return m, false, unmendable(err)
		}
	}
	for _, first := range h.damaged {
		if err := j.store.Delete(ctx, storage.JournalKey(j.g.centre, string(j.s), first)); err != nil && !errors.Is(err, storage.ErrNotFound) {
			return m, false, err
		}
	}
	if m.Exact {
		return m, true, j.putMended(ctx, one)
	}
	return m, true, j.putPieces(ctx, h)
}

// unmendable keeps the errors that mean "the ledger does not have it" from
// ending the mending of other stretches.
func unmendable(err error) error {
	var gap *GapError
	if errors.Is(err, ErrRewound) || errors.As(err, &gap) {
		return nil
	}
	return err
}

// neighbours compares the objects on both sides, and all events between them
// for gaps, with the ledger.
func (j *journal) neighbours(ctx context.Context, h hole) error {
	if h.before != nil {
		if err := j.compare(ctx, h.before); err != nil {
			return err
		}
	}
	if err := j.each(ctx, h.first, h.last, func(item) error { return nil }); err != nil {
		return err
	}
	return j.compare(ctx, h.after)
}

// putPieces writes a stretch as one object or more. The last one names the
// digest that the object behind expects.
func (j *journal) putPieces(ctx context.Context, h hole) error {
	before := h.before
	for from := h.first; from <= h.last; {
		w, whole, err := j.piece(ctx, h, from, before, "")
		if err == nil && whole {
			w, _, err = j.piece(ctx, h, from, before, h.want)
		}
		if err != nil {
			return err
		}
		if err := j.putMended(ctx, w); err != nil {
			return err
		}
		before = &journalObject{head: w.head, digest: sekretariat.DigestOf(w.buf.Bytes())}
		from = w.last.Seq + 1
	}
	return nil
}

// piece makes the object that begins at from, up to the end of the stretch
// (then whole is true) or until it is full.
func (j *journal) piece(ctx context.Context, h hole, from uint64, before *journalObject, instead sekretariat.Digest) (w *journalWriter, whole bool, err error) {
	head := journalHead{Version: journalVersion, Centre: j.g.centre, Stream: j.s, First: from, Instead: instead}
	if before != nil {
		head.Previous = before.digest
		if from == h.first && before.head.Instead != "" && before.next() == from {
			head.Previous = before.head.Instead // as the lost one had it
		}
	}
	if w, err = newJournalWriter(head); err != nil {
		return nil, false, err
	}
	start := w.buf.Len()
	err = j.each(ctx, from, h.last, func(it item) error {
		if err := w.add(j.g.journalLine(j.s, it)); err != nil {
			return err
		}
		if w.buf.Len()-start >= journalClose { // as collect does, whatever the head
			return errCompared
		}
		return nil
	})
	if err != nil && !errors.Is(err, errCompared) {
		return nil, false, err
	}
	return w, w.last.Seq == h.last, nil
}

// each hands out all of the ledger from sequence first to last, also what was
// erased; ErrRewound when it does not reach so far.
func (j *journal) each(ctx context.Context, first, last uint64, fn func(item) error) error {
	done := errors.New("done")
	err := j.g.replay(ctx, j.s, first, func(it item) error {
		if err := fn(it); err != nil {
			return err
		}
		if it.Seq == last {
			return done
		}
		return nil
	})
	if errors.Is(err, done) {
		return nil
	}
	if err == nil {
		return fmt.Errorf("the journal went to sequence %d at least, the ledger does not: %w", last, ErrRewound)
	}
	return err
}

func (j *journal) putMended(ctx context.Context, w *journalWriter) error {
	err := j.store.PutOnce(ctx, storage.JournalKey(j.g.centre, string(j.s), w.head.First), storage.Bytes(w.buf.Bytes()))
	if err != nil {
		return fmt.Errorf("journal object from sequence %d: %w", w.head.First, err)
	}
	return j.durable(ctx, w.head.First)
}
