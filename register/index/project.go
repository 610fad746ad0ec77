package index

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"sekretariat"
	"sekretariat/ledger"
	"sekretariat/storage"
)

// How much goes into one transaction, and how long the first event of one
// waits for company. The index runs beside the hot path of a small machine.
const (
	batch    = 1000
	linger   = 100 * time.Millisecond
	buffered = 512 // events read ahead
	recheck  = 30 * time.Second
)

// Project follows the streams of the centre and applies their events until ctx
// ends; it is to run once per Index. When a stream turns out to be behind what
// was seen before (a rewound ledger), it says so in the log and in Rewound, and
// makes the index again from what the ledger has.
func (x *Index) Project(ctx context.Context, log ledger.Log, series []sekretariat.SeriesID) error {
	streams := []ledger.StreamName{ledger.Intake, ledger.Letter, ledger.Queue, ledger.Audit}
	for _, s := range series {
		streams = append(streams, ledger.Register(s))
	}
	for {
		err := x.checkRewound(ctx, log, streams, true)
		if err == nil {
			err = x.project(ctx, log, streams)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrRewound):
			if err := x.startAgain(ctx, err); err != nil {
				return fmt.Errorf("make the index again: %w", err)
			}
		case err != nil:
			return fmt.Errorf("index of %s: %w (it can be made again: stop the service, delete %s and start)", x.centre, err, x.path)
		}
	}
}

// project runs until something fails, a stream is found rewound or ctx ends.
func (x *Index) project(ctx context.Context, log ledger.Log, streams []ledger.StreamName) error {
	g, ctx := errgroup.WithContext(ctx)
	events := make(chan ledger.Stored, buffered)
	letters := newMark() // LETTER events handed to the writer
	letters.set(x.Applied(ledger.Letter))
	for _, s := range streams {
		g.Go(func() error { return x.follow(ctx, log, s, events, letters) })
	}
	g.Go(func() error {
		tick := time.NewTicker(recheck)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-tick.C:
				if err := x.checkRewound(ctx, log, streams, false); err != nil {
					return err
				}
			}
		}
	})
	g.Go(func() error { return x.writeAll(ctx, events) })
	return g.Wait()
}

// follow hands the events of one stream to the writer, in order.
func (x *Index) follow(ctx context.Context, log ledger.Log, stream ledger.StreamName, events chan<- ledger.Stored, letters *mark) error {
	isLetter, isRegister := stream == ledger.Letter, strings.HasPrefix(string(stream), string(ledger.Register("")))
	sent := x.Applied(stream)
	written := sent // entries are known to be there up to this sequence
	hand := func(s ledger.Stored) error {
		if s.Seq <= sent {
			return nil
		}
		if isRegister {
			if err := x.afterCause(ctx, log, s, letters); err != nil {
				return err
			}
			if s.Seq > written {
				var err error
				if written, err = x.afterEntry(ctx, log, s); err != nil {
					return err
				}
			}
		}
		select {
		case events <- s:
		case <-ctx.Done():
			return ctx.Err()
		}
		sent = s.Seq
		if isLetter {
			letters.set(s.Seq)
		}
		return nil
	}
	for {
		err := log.Follow(ctx, stream, sent+1, hand, func() error { return nil })
		var gap *ledger.GapError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ledger.ErrRewound):
			return fmt.Errorf("%w: %w", ErrRewound, err)
		case errors.As(err, &gap):
			// People must go on seeing what is there.
			x.log.Error().Err(err).Msg("the ledger has lost events; run verify")
			sent = gap.Last
			continue
		}
		x.log.Warn().Err(err).Str("stream", string(stream)).Msg("following the ledger was interrupted, trying again")
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// afterCause holds a registration back until the LETTER event that asked for
// it was handed to the writer: the two come over different streams.
func (x *Index) afterCause(ctx context.Context, log ledger.Log, s ledger.Stored, letters *mark) error {
	var d struct {
		Cause uint64 `json:"cause"`
	}
	if err := json.Unmarshal(s.Event.Data, &d); err != nil || letters.get() >= d.Cause {
		return nil // the writer reports what it cannot read
	}
	// A cause that LETTER does not have (a ledger made again from the journal)
	// must not hold the register up for ever.
	if st, err := log.State(ctx, ledger.Letter); err != nil {
		return err
	} else if st.Last < d.Cause {
		return nil
	}
	return letters.wait(ctx, d.Cause)
}

// afterEntry waits until the store has the entry of a registration and returns
// up to which sequence it has them: the registrar writes them in order, so the
// newest one stands for all before it.
func (x *Index) afterEntry(ctx context.Context, log ledger.Log, s ledger.Stored) (uint64, error) {
	for pause := linger; x.entries != nil; pause = min(2*pause, time.Second) {
		tail, err := log.Tail(ctx, s.Stream)
		if err != nil {
			return 0, err
		}
		for _, e := range []ledger.Stored{tail, s} {
			there, err := x.hasEntry(ctx, e)
			if err != nil {
				return 0, err
			}
			if there {
				return e.Seq, nil
			}
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(pause):
		}
	}
	return s.Seq, nil
}

func (x *Index) hasEntry(ctx context.Context, s ledger.Stored) (bool, error) {
	d, err := sekretariat.DataOf[sekretariat.RegisteredData](s.Event)
	if err != nil {
		return true, nil // the writer reports what it cannot read
	}
	_, err = x.entries.Head(ctx, storage.EntryKey(x.centre, d.Entry.Number))
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// writeAll applies events in transactions until ctx ends.
func (x *Index) writeAll(ctx context.Context, events <-chan ledger.Stored) error {
	w, err := x.newWriter(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case s := <-events:
			if err := w.transaction(s, events); err != nil {
				return err
			}
		}
	}
}

// transaction applies first and what follows within the linger time.
func (w *writer) transaction(first ledger.Stored, more <-chan ledger.Stored) error {
	if err := w.begin(); err != nil {
		return err
	}
	due := time.NewTimer(linger)
	defer due.Stop()
	s, ok := first, true
	for n := 0; ok; {
		if err := w.apply(s); err != nil {
			w.rollback()
			return err
		}
		if n++; n == batch {
			break
		}
		select {
		case s = <-more:
		default:
			select {
			case s = <-more:
			case <-due.C:
				ok = false
			}
		}
	}
	return w.commit()
}

// checkRewound compares what was applied with what the ledger has: the lengths,
// and at a start also the last event.
func (x *Index) checkRewound(ctx context.Context, log ledger.Log, streams []ledger.StreamName, events bool) error {
	for _, stream := range streams {
		var seq uint64
		var event string
		err := x.read.QueryRowContext(ctx, "SELECT seq, event FROM stream WHERE name = ?", string(stream)).Scan(&seq, &event)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return err
		}
		st, err := log.State(ctx, stream)
		if err != nil {
			return err
		}
		if st.Last < seq {
			return fmt.Errorf("stream %s ends at %d, event %d was seen: %w", stream, st.Last, seq, ErrRewound)
		}
		if !events {
			continue
		}
		same, err := holds(ctx, log, stream, seq, event)
		if err != nil {
			return err
		}
		if !same {
			return fmt.Errorf("stream %s has another event at %d than was seen: %w", stream, seq, ErrRewound)
		}
	}
	return nil
}

var errStop = errors.New("enough")

// holds tells whether the stream has this event at seq. A message that the
// server lost is not a rewind: Verify reports it.
func holds(ctx context.Context, log ledger.Log, stream ledger.StreamName, seq uint64, event string) (bool, error) {
	same := true
	err := log.Replay(ctx, stream, seq, func(s ledger.Stored) error {
		if s.Seq == seq {
			same = s.Event.ID == event
		}
		return errStop
	})
	var gap *ledger.GapError
	if err != nil && !errors.Is(err, errStop) && !errors.As(err, &gap) {
		return false, err
	}
	return same, nil
}

// startAgain empties the index and notes why; the note stays until the file is
// deleted.
func (x *Index) startAgain(ctx context.Context, why error) error {
	x.log.Error().Err(why).Msg("the ledger was rewound: run verify; the index is being made again from what the ledger has")
	notes, err := x.Rewound(ctx)
	if err != nil {
		return err
	}
	notes = append(notes, time.Now().UTC().Format(time.RFC3339)+" "+why.Error())
	if err := x.create(ctx); err != nil {
		return err
	}
	raw, err := json.Marshal(notes[max(0, len(notes)-20):])
	if err != nil {
		return err
	}
	if _, err := x.write.ExecContext(ctx, "INSERT INTO meta(key, value) VALUES('rewound', ?)", string(raw)); err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, m := range x.marks {
		m.set(0)
	}
	return nil
}

// Rewound tells when and how the ledger was found behind what the index had
// seen, oldest first; empty when never. An operator acts on it: see verify.
func (x *Index) Rewound(ctx context.Context) ([]string, error) {
	var raw string
	err := x.read.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = 'rewound'").Scan(&raw)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the index: %w", err)
	}
	var notes []string
	if err := json.Unmarshal([]byte(raw), &notes); err != nil {
		return nil, fmt.Errorf("read the index: %w", err)
	}
	return notes, nil
}
