package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// fewKeys is up to how many objects of a log file are made safe by name; with
// more the driver flushes everything.
const fewKeys = 16

// keeperTick is how often the keeper looks at the log.
const keeperTick = time.Second

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
		if err := k.trim(k.s.stop); err != nil && k.s.stop.Err() == nil {
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
	if err := k.makeSafe(ctx, segs); err != nil {
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
		err = os.Rename(seg.path, seg.path+".damaged")
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

// makeSafe returns nil once the drivers say that the segments' objects are on
// stable storage.
func (k *keeper) makeSafe(ctx context.Context, segs []*segment) error {
	keys, err := k.keys(segs)
	if err != nil {
		return err
	}
	for t, d := range k.s.drivers {
		if d == nil || (keys != nil && len(keys[t]) == 0) {
			continue
		}
		var names []string
		if keys != nil {
			names = keys[t]
		}
		err := d.Sync(ctx, names)
		if errors.Is(err, ErrNotFound) || errors.Is(err, ErrDamaged) {
			k.s.log.Error().Err(err).Msg("the object store lost objects that it had taken; putting them again from the staging log")
			if rerr := k.repair(ctx, segs); rerr != nil {
				return errors.Join(err, rerr)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// keys returns the segments' keys by target, or nil for "everything" when
// there are many and the driver can flush everything.
func (k *keeper) keys(segs []*segment) ([][]string, error) {
	keys := make([][]string, targets)
	n := 0
	for _, seg := range segs {
		n += seg.entries
	}
	if k.s.settle == 0 && n > fewKeys {
		return nil, nil
	}
	last := map[tkey]op{}
	for _, seg := range segs {
		_, err := k.s.scanSegment(seg.file(), false, func(r found) error {
			if r.Op != opDone {
				last[r.tkey()] = r.Op
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	for key, op := range last {
		if op != opDelete {
			keys[key.t] = append(keys[key.t], key.key)
		}
	}
	return keys, nil
}

func (seg *segment) file() *logFile {
	return &logFile{segment: segment{id: seg.id, path: seg.path}, size: seg.length, limit: seg.length}
}

// repair puts the newest state of the segments' objects again, where it is
// theirs.
func (k *keeper) repair(ctx context.Context, segs []*segment) error {
	s := k.s
	s.mu.Lock()
	s.fresh = map[tkey]bool{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.fresh = nil
		s.mu.Unlock()
	}()
	if err := k.rotate(ctx); err != nil {
		return err
	}
	newest, done, err := k.newest()
	if err != nil {
		return err
	}
	for _, seg := range segs {
		f, err := os.Open(seg.path)
		if err != nil {
			return err
		}
		_, err = s.scanSegment(seg.file(), false, func(r found) error {
			n, known := done[r.Group]
			if r.Op == opDone || newest[r.tkey()] != (place{seg.id, r.At}) || (known && int(r.Index) >= n) {
				return nil
			}
			return k.again(ctx, seg, f, r)
		})
		if err = errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("repair from %s: %w", filepath.Base(seg.path), err)
		}
		s.mu.Lock()
		seg.moved = s.o.Clock()
		s.mu.Unlock()
	}
	return nil
}

type place struct {
	segment uint64
	at      int64
}

// newest finds the last entry of every key in the closed segments, and how far
// the groups of shared mode came.
func (k *keeper) newest() (map[tkey]place, map[uint64]int, error) {
	k.mu.Lock()
	var all []*segment
	for _, seg := range k.segs {
		if k.closed[seg] {
			all = append(all, seg)
		}
	}
	k.mu.Unlock()
	newest, done := map[tkey]place{}, map[uint64]int{}
	for _, seg := range all {
		_, err := k.s.scanSegment(seg.file(), false, func(r found) error {
			if r.Op == opDone {
				done[r.Group] = int(r.Index)
			} else {
				newest[r.tkey()] = place{seg.id, r.At}
			}
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return newest, done, nil
}

// again puts one object again, unless something newer is on its way. With the
// key reserved nothing newer can come in between.
func (k *keeper) again(ctx context.Context, seg *segment, f *os.File, r found) error {
	s, key := k.s, []tkey{r.tkey()}
	if err := s.reserve(ctx, key); err != nil {
		return err
	}
	defer s.release(key)
	s.mu.Lock()
	newer := s.fresh[r.tkey()] || s.pending[r.tkey()] != nil
	s.mu.Unlock()
	if newer {
		return nil
	}
	if s.settle > 0 && r.Op != opDelete {
		err := s.drivers[r.Target].Sync(ctx, []string{r.Key})
		if !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrDamaged) {
			return err
		}
	}
	e := &entry{record: r.record, segment: seg, repeated: true}
	if n := r.inline(); n > 0 {
		e.body = make([]byte, n)
		if _, err := f.ReadAt(e.body, r.At); err != nil {
			return err
		}
	}
	return s.persist(r.record, func() error { return s.putAgain(e) }, func() bool { return ctx.Err() == nil })
}

func (s *Staged) putAgain(e *entry) error {
	if !s.o.Shared {
		return s.deliver(e)
	}
	err := s.deliverShared(e)
	if errors.Is(err, ErrExists) {
		return nil // somebody else's object is there: not ours to replace
	}
	return err
}
