package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sekretariat"
	"sekretariat/storage"
)

// journalFirsts lists where the objects of a stream's journal begin, in order.
func journalFirsts(ctx context.Context, store storage.Store, c sekretariat.CentreID, s StreamName) ([]uint64, error) {
	var firsts []uint64
	prefix := storage.JournalPrefix(c, string(s))
	err := store.List(ctx, prefix, func(i storage.Info) error {
		name, ok := strings.CutSuffix(strings.TrimPrefix(i.Key, prefix), ".jsonl")
		n, err := strconv.ParseUint(name, 10, 64)
		if !ok || err != nil || i.Key != storage.JournalKey(c, string(s), n) {
			return fmt.Errorf("%s is not a journal object", i.Key)
		}
		firsts = append(firsts, n)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing the journal of %s of %s: %w", s, c, err)
	}
	return firsts, nil
}

// ReadJournal calls fn for each event of a stream's journal from sequence from
// (≥ 1) on, in order, and returns the first sequence that is not in the journal
// yet. It needs the store only. It checks the chain of the objects from the one
// that holds from: one that is missing, changed or out of place ends it with
// storage.ErrDamaged.
func ReadJournal(ctx context.Context, store storage.Store, c sekretariat.CentreID, s StreamName, from uint64, fn func(Stored) error) (uint64, error) {
	firsts, err := journalFirsts(ctx, store, c, s)
	if err != nil {
		return 0, err
	}
	at, found := slices.BinarySearch(firsts, max(from, 1))
	if !found && at > 0 {
		at-- // the object that began before
	}
	if at == 0 && len(firsts) > 0 && firsts[0] != 1 {
		return 0, fmt.Errorf("the journal of %s of %s begins at sequence %d: %w", s, c, firsts[0], storage.ErrDamaged)
	}
	next := uint64(1)
	var previous *journalObject
	for i, first := range firsts[at:] {
		o, err := readJournalObject(ctx, store, c, s, first)
		if err != nil {
			return next, err
		}
		if i > 0 && (first != next || !follows(previous, o.head.Previous)) || first == 1 && o.head.Previous != "" {
			return next, fmt.Errorf("the journal object of %s from sequence %d does not follow the one before: %w", s, first, storage.ErrDamaged)
		}
		next, previous = o.next(), o
		if err := o.each(ctx, s, from, fn); err != nil {
			return next, err
		}
	}
	return next, nil
}

// each hands out the events of an object from sequence from on.
func (o *journalObject) each(ctx context.Context, s StreamName, from uint64, fn func(Stored) error) error {
	for _, l := range o.lines {
		if l.Seq < from || l.Erased {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		st := Stored{Stream: s, Subject: l.Subject, Seq: l.Seq, Time: l.Time}
		if err := json.Unmarshal(l.Event, &st.Event); err != nil {
			return fmt.Errorf("%s sequence %d of the journal is not an event: %w", s, l.Seq, err)
		}
		if err := fn(st); err != nil {
			return err
		}
	}
	return nil
}
