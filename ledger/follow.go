package ledger

import (
	"context"
	"fmt"
)

// Replay implements Log. Missing events end it with a *GapError.
func (g *centreLog) Replay(ctx context.Context, s StreamName, from uint64, fn func(Stored) error) error {
	return g.replay(ctx, s, from, func(it item) error {
		if it.erased {
			return nil
		}
		st, err := g.stored(s, it.rawMsg)
		if err != nil {
			return err
		}
		return fn(st)
	})
}

func (g *centreLog) replay(ctx context.Context, s StreamName, from uint64, fn func(item) error) error {
	r, err := g.newReader(s, from)
	if err != nil {
		return err
	}
	defer r.close()
	st, err := g.State(ctx, s)
	if err != nil {
		return err
	}
	if st.Last < r.pos {
		return fmt.Errorf("replay of %s from %d, but it ends at %d: %w", s, from, st.Last, ErrRewound)
	}
	for r.pos < st.Last {
		if r.p == nil {
			if err := r.openAgain(ctx); err != nil {
				return err
			}
		}
		if r.caughtUp() { // the end of the stream is missing
			return g.l.requireErased(ctx, r.stream, r.pos+1, st.Last)
		}
		it, err := r.next(ctx)
		if err != nil {
			return err
		}
		if err := fn(it); err != nil {
			return err
		}
	}
	return nil
}

// Follow implements Log. Missing events end it with a *GapError, a changed past
// with ErrRewound. idle is also called at the beginning when there is nothing.
func (g *centreLog) Follow(ctx context.Context, s StreamName, from uint64, fn func(Stored) error, idle func() error) error {
	r, err := g.newReader(s, from)
	if err != nil {
		return err
	}
	defer r.close()
	if err := r.openAgain(ctx); err != nil {
		return err
	}
	if r.caughtUp() {
		if err := idle(); err != nil {
			return err
		}
	}
	for {
		it, err := r.next(ctx)
		if err != nil {
			return fmt.Errorf("following %s: %w", s, err)
		}
		if !it.erased {
			st, err := g.stored(s, it.rawMsg)
			if err != nil {
				return err
			}
			if err := fn(st); err != nil {
				return err
			}
		}
		if r.caughtUp() {
			if err := idle(); err != nil {
				return err
			}
		}
	}
}
