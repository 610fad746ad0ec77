package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"sekretariat"
)

// inOrderLease is how long a dead worker in order blocks its successor, unless
// WorkOptions.Wait says otherwise.
const inOrderLease = 15 * time.Second

// WorkInOrder implements Log. It rests on a lease and a cursor instead of a
// consumer of the server, which would hand out later events while earlier ones
// wait for a dead worker. o.Wait is the time after which a dead worker is
// replaced (default 15 s).
func (g *centreLog) WorkInOrder(ctx context.Context, s StreamName, group string, o WorkOptions, h func(context.Context, []Stored) error) error {
	if _, err := g.name(s); err != nil {
		return err
	}
	if !sekretariat.ValidSlug(group) {
		return fmt.Errorf("work group %q: not a valid name", group)
	}
	if o.Wait <= 0 {
		o.Wait = inOrderLease
	}
	o = o.withDefaults()
	name := workName(g.centre, s, group)
	err := g.l.alone(ctx, name, o.Wait, func(ctx context.Context) error {
		return g.inOrder(ctx, s, group, name, o.Concurrency, h)
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("work group %s on %s: %w", group, s, err)
}

// workName names lease and cursor of ordered work.
func workName(c sekretariat.CentreID, s StreamName, group string) string {
	return "work." + string(c) + "." + strings.ToLower(string(s)) + "." + group
}

// Working tells whether ordered work on a stream has a living worker, in this
// process or another: its lease is held and was renewed within twice its time,
// which leaves room for clocks that differ.
func (l *Ledger) Working(ctx context.Context, c sekretariat.CentreID, s StreamName, group string) (bool, error) {
	m, err := l.c.get(ctx, "KV_"+bucketLeases, msgGet{Last: "$KV." + bucketLeases + "." + workName(c, s, group)})
	if isNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("lease of %s on %s: %w", group, s, err)
	}
	var v leaseValue
	if err := json.Unmarshal(m.Data, &v); err != nil {
		return false, fmt.Errorf("lease of %s on %s: %w", group, s, err)
	}
	return v.Holder != "" && time.Since(m.Time) < 2*v.TTL, nil
}

// alone calls fn while this process holds a lease, and again whenever it has
// got a lost one back, until ctx ends or fn fails otherwise.
func (l *Ledger) alone(ctx context.Context, name string, ttl time.Duration, fn func(context.Context) error) error {
	for {
		lease, err := l.lease(ctx, name, ttl)
		if err != nil {
			return err
		}
		lctx, cancel := lease.bound(ctx)
		err = fn(lctx)
		lost := errors.Is(context.Cause(lctx), ErrLeaseLost) || errors.Is(err, ErrConflict) // somebody else took over
		cancel()
		rctx, stop := context.WithTimeout(context.WithoutCancel(ctx), attemptTimeout)
		if rerr := lease.Release(rctx); rerr != nil {
			l.log.Warn().Err(rerr).Str("lease", name).Msg("lease stays until it runs out")
		}
		stop()
		if ctx.Err() != nil || !lost {
			return err
		}
	}
}

// inOrder works from the cursor on for as long as ctx, which ends with the
// lease, lasts.
func (g *centreLog) inOrder(ctx context.Context, s StreamName, group, cursor string, most int, h func(context.Context, []Stored) error) error {
	pos, rev, err := g.l.position(ctx, cursor)
	if err != nil {
		return err
	}
	r, err := g.newReader(s, pos+1)
	if err != nil {
		return err
	}
	defer r.close()
	work, saver := g.l.saveCursor(ctx, cursor, pos, rev)
	for err == nil {
		if err = work.Err(); err != nil {
			break // events at hand would be handed out without looking at it
		}
		var run []Stored
		if run, err = g.run(work, r, s, group, most); err == nil && len(run) > 0 {
			err = g.handleRun(work, cursor, run, h)
		}
		if err == nil {
			saver.pos.Store(r.pos)
		}
	}
	saver.stop()
	if ctx.Err() == nil && work.Err() != nil {
		return context.Cause(work)
	}
	return err
}

// cursorAge is how old a saved cursor may be. What came after it is handled
// again by a successor, which every handler must bear anyway; saving it after
// each run would cost a flush of the disk each time.
const cursorAge = 500 * time.Millisecond

// cursorSaver saves a cursor now and then.
type cursorSaver struct {
	pos  atomic.Uint64
	end  context.CancelFunc
	done chan struct{}
}

// saveCursor starts a saver. The context that it returns ends with the cause
// when the cursor cannot be saved: somebody else has taken over.
func (l *Ledger) saveCursor(ctx context.Context, name string, pos, rev uint64) (context.Context, *cursorSaver) {
	work, fail := context.WithCancelCause(ctx)
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	s := &cursorSaver{end: end, done: make(chan struct{})}
	s.pos.Store(pos)
	go func() {
		defer close(s.done)
		defer fail(nil)
		for saved := pos; ; {
			timer := time.NewTimer(cursorAge)
			select {
			case <-timer.C:
			case <-life.Done():
			}
			timer.Stop()
			if now := s.pos.Load(); now != saved {
				save, cancel := context.WithTimeout(context.WithoutCancel(ctx), attemptTimeout)
				next, err := l.kvPut(save, bucketCursors, name, strconv.AppendUint(nil, now, 10), rev)
				cancel()
				if err != nil {
					fail(fmt.Errorf("save cursor %s: %w", name, err))
					return
				}
				saved, rev = now, next
			}
			if life.Err() != nil {
				return
			}
		}
	}()
	return work, s
}

// stop saves once more and ends the saver.
func (s *cursorSaver) stop() {
	s.end()
	<-s.done
}

// position reads a cursor that holds a sequence; 0 if there is none.
func (l *Ledger) position(ctx context.Context, cursor string) (pos, rev uint64, err error) {
	v, rev, err := l.kvGet(ctx, bucketCursors, cursor)
	if isNotFound(err) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	if pos, err = strconv.ParseUint(string(v), 10, 64); err != nil {
		return 0, 0, fmt.Errorf("cursor %s: %w", cursor, err)
	}
	return pos, rev, nil
}

// run waits for one event and takes with it those that are there already.
func (g *centreLog) run(ctx context.Context, r *reader, s StreamName, group string, most int) ([]Stored, error) {
	var run []Stored
	for first := true; len(run) < most && (first || r.ready()); first = false {
		it, err := r.next(ctx)
		if err != nil {
			if len(run) > 0 && ctx.Err() == nil {
				return run, nil // the error comes again after these
			}
			return nil, err
		}
		if it.erased {
			continue
		}
		st, err := g.stored(s, it.rawMsg)
		if err != nil {
			g.l.log.Error().Err(err).Str("group", group).Msg("unreadable event passed over")
			if err := g.bury(ctx, s, group, it.Seq, st, "unreadable"); err != nil {
				return nil, err
			}
			continue
		}
		run = append(run, st)
	}
	return run, nil
}

// handleRun repeats the handler on the same run until it returns nil.
func (g *centreLog) handleRun(ctx context.Context, cursor string, run []Stored, h func(context.Context, []Stored) error) error {
	for d := firstRetry; ; d = min(2*d, maxRetry) {
		err := g.l.guarded(cursor, run[0].Event.ID, func() error { return h(ctx, run) })
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		g.l.log.Warn().Err(err).Str("work", cursor).Uint64("first", run[0].Seq).Int("events", len(run)).
			Dur("again", d).Msg("run of events failed")
		t := time.NewTimer(jitter(d))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return context.Cause(ctx)
		}
	}
}
