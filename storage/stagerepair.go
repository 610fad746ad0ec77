package storage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"
)

// makeSafe tells whether the segments' objects are on stable storage, as far
// as the drivers know. What a driver lost it puts again; then the segments
// wait once more.
func (k *keeper) makeSafe(ctx context.Context, segs []*segment) (bool, error) {
	var err error
	if k.s.settle == 0 {
		err = k.flushAll(ctx)
	} else {
		err = k.readBack(ctx, segs, func(logged) bool { return true })
	}
	if !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrDamaged) {
		return err == nil, err
	}
	again, rerr := k.repair(ctx, segs, func(logged) bool { return true })
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

// restore puts again, before anybody reads, what a shared store has lost of
// the groups that were finished before the start: the machine that lost power
// may be the server's too.
func (k *keeper) restore(ctx context.Context, done map[uint64]int) error {
	finished := func(l logged) bool { _, ok := done[l.Group]; return ok }
	segs := k.closedSegments()
	err := k.readBack(ctx, segs, finished)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrDamaged) {
		_, err = k.repair(ctx, segs, finished)
	}
	return err
}

func (k *keeper) closedSegments() []*segment {
	k.mu.Lock()
	defer k.mu.Unlock()
	var segs []*segment
	for _, seg := range k.segs {
		if k.closed[seg] {
			segs = append(segs, seg)
		}
	}
	return segs
}

// logged is one entry of the log with its place.
type logged struct {
	found
	seg *segment
}

// newest returns the last entry of every key in the segments, without those
// that were refused because another process had taken the key.
func (k *keeper) newest(segs []*segment) (map[tkey]logged, error) {
	newest := map[tkey]logged{}
	for _, seg := range segs {
		k.s.mu.Lock()
		partial := maps.Clone(seg.partial)
		k.s.mu.Unlock()
		_, err := k.s.scanSegment(seg.file(), seg.damaged, func(r found) error {
			if n, refused := partial[r.Group]; r.Op != opDone && !(refused && int(r.Index) >= n) {
				newest[r.tkey()] = logged{r, seg}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return newest, nil
}

func (seg *segment) file() *logFile {
	return &logFile{segment: segment{id: seg.id, salt: seg.salt, path: seg.path}, size: seg.length, limit: seg.length}
}

// readers is how many objects are looked at, at a time.
const readers = 8

// readBack looks at the objects of the segments that are wanted, and returns
// ErrNotFound or ErrDamaged if one is lost. Their groups must be finished.
func (k *keeper) readBack(ctx context.Context, segs []*segment, wanted func(logged) bool) error {
	newest, err := k.newest(segs)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(readers)
	for _, l := range newest {
		if ctx.Err() != nil {
			break
		}
		if !wanted(l) {
			continue
		}
		g.Go(func() error {
			e, err := k.load(l)
			if err != nil {
				return err
			}
			return k.s.present(ctx, e)
		})
	}
	return g.Wait()
}

// load reads an entry's body from the log.
func (k *keeper) load(l logged) (*entry, error) {
	e := &entry{record: l.record, segment: l.seg, repeated: true}
	if n := l.inline(); n > 0 {
		f, err := os.Open(l.seg.path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		e.body = make([]byte, n)
		if _, err := f.ReadAt(e.body, l.At); err != nil {
			return nil, fmt.Errorf("read %s from %s: %w", l.Key, filepath.Base(l.seg.path), err)
		}
	}
	return e, nil
}

// present returns ErrNotFound or ErrDamaged if the driver does not have the
// entry's state, or a later one.
func (s *Staged) present(ctx context.Context, e *entry) error {
	d := s.drivers[e.Target]
	if e.Op == opDelete {
		info, err := d.Head(ctx, e.Key)
		switch {
		case errors.Is(err, ErrNotFound):
			return nil
		case err == nil && info.Modified.Before(groupTime(e.Group)):
			return fmt.Errorf("%s was deleted and is there: %w", e.Key, ErrDamaged)
		}
		return err
	}
	if p, ok := d.(tokenPutter); ok {
		return p.Prove(ctx, e.Key, e.token())
	}
	o, err := d.Get(ctx, e.Key)
	if err != nil {
		return err
	}
	defer o.Close()
	body, err := s.open(e)
	if err != nil {
		return err
	}
	defer body.Close()
	if o.Size() == body.Size() && sameBody(o, body) {
		return nil
	}
	info, err := d.Head(ctx, e.Key)
	if err == nil && (info.Size == 0 || info.Modified.Before(groupTime(e.Group))) {
		err = fmt.Errorf("%s is not what was put: %w", e.Key, ErrDamaged)
	}
	return err
}

// repair puts the newest state of the segments' wanted objects again, where the
// driver has lost it. It returns how many it put. Their groups must be
// finished: what was refused is another's and must not be overwritten.
func (k *keeper) repair(ctx context.Context, segs []*segment, wanted func(logged) bool) (int, error) {
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
	newest, err := k.newest(k.closedSegments())
	if err != nil {
		return 0, err
	}
	mine := map[*segment]bool{}
	for _, seg := range segs {
		mine[seg] = true
	}
	count := 0
	for _, l := range newest {
		if !mine[l.seg] || !wanted(l) {
			continue
		}
		put, err := k.again(ctx, l)
		if err != nil {
			return count, fmt.Errorf("repair from %s: %w", filepath.Base(l.seg.path), err)
		}
		if put {
			count++
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

// again puts one object again if the driver has lost it, unless something
// newer is on its way. With the key reserved nothing newer can come in between.
// It tries once: the keeper comes again.
func (k *keeper) again(ctx context.Context, l logged) (bool, error) {
	s, key := k.s, []tkey{l.tkey()}
	if err := s.reserve(ctx, key); err != nil {
		return false, err
	}
	defer s.release(key)
	s.mu.Lock()
	newer := s.fresh[l.tkey()] || s.pending[l.tkey()] != nil
	s.mu.Unlock()
	if newer {
		return false, nil
	}
	e, err := k.load(l)
	if err != nil {
		return false, err
	}
	// A driver that flushes everything at once may have lost any of it when
	// that failed, whatever its cache still shows.
	lost := ErrDamaged
	if s.settle > 0 || s.o.Shared {
		if lost = s.present(ctx, e); !errors.Is(lost, ErrNotFound) && !errors.Is(lost, ErrDamaged) {
			return false, lost
		}
	}
	if (l.File == 0 && crcOf(e.body) != l.CRC) || (l.File != 0 && !s.fileIntact(l.record)) {
		return false, fmt.Errorf("put %s again: its body in the staging log is damaged too: %w", l.Key, ErrDamaged)
	}
	return true, s.putAgain(e, lost)
}

// putAgain writes over what is damaged or older. What is gone, somebody else
// may put at this moment.
func (s *Staged) putAgain(e *entry, lost error) error {
	var err error
	if s.o.Shared && e.Op == opOnce && errors.Is(lost, ErrNotFound) {
		err = s.deliverShared(e)
	} else {
		err = s.deliver(e)
	}
	if err != nil && !errors.Is(err, ErrExists) {
		return fmt.Errorf("put %s again: %w", e.Key, err)
	}
	return nil
}
