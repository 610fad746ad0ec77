package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// keeperTick is how often the keeper looks at the log.
const keeperTick = time.Second

// keeperRest is how long the keeper rests when the store is away.
const keeperRest = 10 * time.Second

// keeper removes log files once the driver has their objects safely.
type keeper struct {
	s       *Staged
	mu      sync.Mutex
	segs    []*segment // oldest first
	closed  map[*segment]bool
	bell    chan struct{}
	done    chan struct{}
	working sync.Mutex // held while the log is trimmed

	spares    []string // under mu
	preparing bool     // under mu
	helpers   sync.WaitGroup
}

func newKeeper(s *Staged) *keeper {
	return &keeper{s: s, closed: map[*segment]bool{}, bell: make(chan struct{}, 1), done: make(chan struct{})}
}

func (k *keeper) add(seg *segment) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.segs = append(k.segs, seg)
}

// close marks a segment to which nothing is written any more.
func (k *keeper) close(seg *segment) {
	k.mu.Lock()
	k.closed[seg] = true
	k.mu.Unlock()
	k.wake()
}

func (k *keeper) wake() {
	select {
	case k.bell <- struct{}{}:
	default:
	}
}

func (k *keeper) run() {
	defer close(k.done)
	var rest time.Time
	tick := time.NewTicker(keeperTick)
	defer tick.Stop()
	for {
		select {
		case <-k.s.stop.Done():
			return
		case <-k.bell:
		case <-tick.C:
			select {
			case k.s.writer.turn <- false:
			default:
			}
		}
		if time.Now().Before(rest) {
			continue
		}
		if err := k.trim(k.s.stop); err != nil && k.s.stop.Err() == nil {
			rest = time.Now().Add(keeperRest)
			k.s.log.Warn().Err(err).Msg("staging log cannot be trimmed yet")
		}
	}
}

// flush closes the present segment and trims all.
func (k *keeper) flush(ctx context.Context) error {
	if err := k.rotate(ctx); err != nil {
		return err
	}
	return k.trim(ctx)
}

func (k *keeper) rotate(ctx context.Context) error {
	select {
	case k.s.writer.turn <- true:
	case <-ctx.Done():
		return ctx.Err()
	}
	select { // the channel holds one: a second send means the first was taken
	case k.s.writer.turn <- false:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ripe returns the oldest segments whose objects the driver has had for long
// enough.
func (k *keeper) ripe() []*segment {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.s.mu.Lock()
	defer k.s.mu.Unlock()
	now := k.s.o.Clock()
	for i, seg := range k.segs {
		if !k.closed[seg] || seg.open.Load() > 0 || now.Sub(seg.moved) < k.s.settle {
			return append([]*segment(nil), k.segs[:i]...)
		}
	}
	return append([]*segment(nil), k.segs...)
}

// trim removes the ripe segments, oldest first.
func (k *keeper) trim(ctx context.Context) error {
	k.working.Lock()
	defer k.working.Unlock()
	segs := k.ripe()
	if len(segs) == 0 {
		return nil
	}
	if safe, err := k.makeSafe(ctx, segs); err != nil || !safe {
		return err
	}
	for _, seg := range segs {
		if err := k.remove(seg); err != nil {
			return fmt.Errorf("remove staging segment: %w", err)
		}
	}
	return nil
}

// remove deletes the segment, then its bodies: never the other way round, for
// a segment without its bodies would look damaged. Each step reaches the disk
// before the next, so that an old segment cannot come back without the newer
// ones.
func (k *keeper) remove(seg *segment) error {
	recycled, err := k.recycle(seg)
	switch {
	case err != nil || recycled:
	case seg.damaged:
		err = os.Rename(seg.path, seg.path+damagedSuffix)
	default:
		err = os.Remove(seg.path)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := syncFolder(k.s.folder); err != nil {
		return err
	}
	k.mu.Lock()
	delete(k.closed, seg)
	k.segs = k.segs[1:]
	k.mu.Unlock()
	for _, n := range seg.files {
		if err := os.Remove(k.s.bodyPath(n)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}
