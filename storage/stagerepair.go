package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// makeSafe tells whether the segments' objects are on stable storage, as far
// as the drivers know. What a driver lost it puts again; then the segments
// wait once more.
func (k *keeper) makeSafe(ctx context.Context, segs []*segment) (bool, error) {
	var err error
	if k.s.settle == 0 {
		err = k.flushAll(ctx)
	} else {
		err = k.readBack(ctx, segs)
	}
	if !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrDamaged) {
		return err == nil, err
	}
	again, rerr := k.repair(ctx, segs)
	if rerr != nil {
		return false, errors.Join(err, rerr)
	}
	return again == 0, nil
}

// flushAll is for drivers that can flush everything at once: one call for any
// number of objects.
func (k *keeper) flushAll(ctx context.Context) error {
	for _, d := range k.s.drivers {
		if d == nil {
			continue
		}
		if err := d.Sync(ctx, nil); err != nil {
			return err
		}
	}
	return nil
}

// readBack is for drivers that prove each object.
func (k *keeper) readBack(ctx context.Context, segs []*segment) error {
	last := map[tkey]op{}
	for _, seg := range segs {
		_, err := k.s.scanSegment(seg.file(), seg.damaged, func(r found) error {
			if r.Op != opDone {
				last[r.tkey()] = r.Op
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	var keys [targets][]string
	for key, op := range last {
		if op != opDelete {
			keys[key.t] = append(keys[key.t], key.key)
		}
	}
	for t, d := range k.s.drivers {
		if len(keys[t]) == 0 {
			continue
		}
		if err := d.Sync(ctx, keys[t]); err != nil {
			return err
		}
	}
	return nil
}

func (seg *segment) file() *logFile {
	return &logFile{segment: segment{id: seg.id, path: seg.path}, size: seg.length, limit: seg.length}
}

// repair puts the newest state of the segments' objects again, where it is
// theirs and the driver has lost it. It returns how many it put.
func (k *keeper) repair(ctx context.Context, segs []*segment) (int, error) {
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
		return 0, err
	}
	newest, done, err := k.newest()
	if err != nil {
		return 0, err
	}
	count := 0
	for _, seg := range segs {
		f, err := os.Open(seg.path)
		if err != nil {
			return count, err
		}
		_, err = s.scanSegment(seg.file(), seg.damaged, func(r found) error {
			n, known := done[r.Group]
			if r.Op == opDone || newest[r.tkey()] != (place{seg.id, r.At}) || (known && int(r.Index) >= n) {
				return nil
			}
			put, err := k.again(ctx, seg, f, r)
			if put {
				count++
			}
			return err
		})
		if err = errors.Join(err, f.Close()); err != nil {
			return count, fmt.Errorf("repair from %s: %w", filepath.Base(seg.path), err)
		}
	}
	if count > 0 {
		s.log.Error().Int("objects", count).Msg("the object store lost objects that it had taken; they were put again from the staging log")
		s.mu.Lock()
		for _, seg := range segs {
			seg.moved = s.o.Clock()
		}
		s.mu.Unlock()
	}
	return count, nil
}

// place is where an entry lies in the log.
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
		_, err := k.s.scanSegment(seg.file(), seg.damaged, func(r found) error {
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

// again puts one object again if the driver has lost it, unless something
// newer is on its way. With the key reserved nothing newer can come in between.
// It tries once: the keeper comes again.
func (k *keeper) again(ctx context.Context, seg *segment, f *os.File, r found) (bool, error) {
	s, key := k.s, []tkey{r.tkey()}
	if err := s.reserve(ctx, key); err != nil {
		return false, err
	}
	defer s.release(key)
	s.mu.Lock()
	newer := s.fresh[r.tkey()] || s.pending[r.tkey()] != nil
	s.mu.Unlock()
	if newer {
		return false, nil
	}
	if s.settle > 0 {
		if r.Op == opDelete {
			return false, nil
		}
		err := s.drivers[r.Target].Sync(ctx, []string{r.Key})
		if !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrDamaged) {
			return false, err
		}
	}
	e := &entry{record: r.record, segment: seg, repeated: true}
	if n := r.inline(); n > 0 {
		e.body = make([]byte, n)
		if _, err := f.ReadAt(e.body, r.At); err != nil {
			return false, err
		}
	}
	if (r.File == 0 && crcOf(e.body) != r.CRC) || (r.File != 0 && !s.fileIntact(r.record)) {
		return false, fmt.Errorf("put %s again: its body in the staging log is damaged too: %w", r.Key, ErrDamaged)
	}
	return true, s.putAgain(e)
}

func (s *Staged) putAgain(e *entry) error {
	if !s.o.Shared || e.Op == opDelete {
		return s.deliver(e)
	}
	err := s.deliverShared(e)
	if errors.Is(err, ErrExists) {
		return nil // somebody else's object is there: not ours to replace
	}
	return err
}
