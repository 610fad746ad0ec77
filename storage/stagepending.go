package storage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"sekretariat"
)

// waiting is a key whose newest object the driver does not have yet.
type waiting struct {
	cur    *entry
	since  time.Time // when the key began to wait
	moving *entry    // what a worker is putting; it may be older than cur
}

// accept hands durable groups on: from here on they are never lost.
func (s *Staged) accept(groups []*group, seg *segment) {
	s.mu.Lock()
	for _, g := range groups {
		for _, e := range g.entries {
			e.segment = seg
			seg.entries++
			if e.File != 0 {
				seg.files = append(seg.files, e.File)
			}
			if s.fresh != nil {
				s.fresh[e.tkey()] = true
			}
		}
		s.admit(g)
	}
	s.mu.Unlock()
	s.work.Broadcast()
}

// admit gives a group to the workers. s.mu is held.
func (s *Staged) admit(g *group) {
	s.lastPut = time.Now()
	s.items += len(g.entries)
	s.bytes += g.cost
	for _, e := range g.entries {
		e.segment.open.Add(1)
	}
	if s.o.Shared {
		s.groups = append(s.groups, g)
		return
	}
	for _, e := range g.entries {
		s.enqueue(e)
	}
	s.releaseLocked(g.keys)
	g.result <- nil
}

// enqueue makes e the newest object of its key. An older one that still waits
// need not reach the driver: e is behind it in the log.
func (s *Staged) enqueue(e *entry) {
	w := s.pending[e.tkey()]
	if w == nil {
		w = &waiting{cur: e, since: s.lastPut}
		s.pending[e.tkey()] = w
		s.queue = append(s.queue, w)
		return
	}
	old := w.cur
	w.cur = e
	if old != w.moving {
		s.settled(old)
	}
}

// settled takes an entry off the books. s.mu is held.
func (s *Staged) settled(e *entry) {
	s.items--
	s.bytes -= e.cost
	s.budget.Release(e.cost)
	e.segment.moved = s.o.Clock()
	if e.segment.open.Add(-1) == 0 {
		s.keeper.wake()
	}
	e.body = nil
	if s.items == 0 {
		s.idle.Broadcast()
	}
}

// refuse ends a group that the log could not take.
func (s *Staged) refuse(g *group, err error) {
	s.dropFiles(g)
	s.budget.Release(g.cost)
	s.release(g.keys)
	g.result <- fmt.Errorf("put %s: %w", g.entries[0].Key, err)
}

// worker moves objects to the driver until the store stops.
func (s *Staged) worker() {
	defer s.workers.Done()
	for {
		w, g := s.next()
		switch {
		case w != nil:
			s.move(w)
		case g != nil:
			s.apply(g)
		default:
			return
		}
	}
}

func (s *Staged) next() (*waiting, *group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.stop.Err() != nil:
			return nil, nil
		case len(s.queue) > 0 && s.busy():
			s.mu.Unlock()
			s.pause()
			s.mu.Lock()
			continue
		case len(s.queue) > 0:
			w := s.queue[0]
			s.queue[0] = nil
			s.queue = s.queue[1:]
			w.moving = w.cur
			return w, nil
		case len(s.groups) > 0:
			g := s.groups[0]
			s.groups[0] = nil
			s.groups = s.groups[1:]
			return nil, g
		}
		s.work.Wait()
	}
}

// longestDelay is how long objects may wait for a calm moment.
const longestDelay = 10 * time.Second

// busy tells whether the driver should leave processor and disk to those who
// wait for the log: puts follow each other closely, there is room, and nothing
// waits for long. s.mu is held.
func (s *Staged) busy() bool {
	now := time.Now()
	return s.o.Calm > 0 && !s.closing && s.bytes < s.o.MaxPending/2 && now.Sub(s.lastPut) < s.o.Calm && now.Sub(s.queue[0].since) < longestDelay
}

// pause waits a moment, or until the store stops.
func (s *Staged) pause() {
	select {
	case <-time.After(10 * time.Millisecond):
	case <-s.stop.Done():
	}
}

// move puts the newest object of one key, for as long as it takes.
func (s *Staged) move(w *waiting) {
	e := w.moving // set by next, cleared here
	err := s.persist(e.record, func() error { return s.deliver(e) }, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return w.cur == e
	})
	if s.stop.Err() != nil && err != nil {
		return // the log keeps it
	}
	s.mu.Lock()
	w.moving = nil
	if w.cur == e {
		delete(s.pending, e.tkey())
	} else {
		s.queue = append(s.queue, w)
		s.work.Signal()
	}
	s.settled(e)
	s.mu.Unlock()
}

// The back-off of puts to the driver.
const (
	firstPause = 50 * time.Millisecond
	longPause  = 30 * time.Second
)

// persist calls f until it succeeds, or finds the key taken, or still is
// false, or the store stops. It never gives up by itself: the log holds the
// only copy.
func (s *Staged) persist(r record, f func() error, still func() bool) error {
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		err := f()
		if err == nil || errors.Is(err, ErrExists) || s.stop.Err() != nil || !still() {
			return err
		}
		s.log.Warn().Err(err).Str("key", r.Key).Dur("retry_in", pause).Msg("object store does not take an object; trying again")
		select {
		case <-time.After(pause/2 + rand.N(pause/2)):
		case <-s.stop.Done():
			return err
		}
	}
}

// deliver makes the entry's change at the driver.
func (s *Staged) deliver(e *entry) error {
	d := s.drivers[e.Target]
	if e.Op == opDelete {
		return d.Delete(s.stop, e.Key)
	}
	if e.File != 0 {
		if p, ok := d.(filePutter); ok {
			return p.PutFile(s.stop, e.Key, s.bodyPath(e.File))
		}
	}
	body, err := s.open(e)
	if err != nil {
		return err
	}
	defer body.Close()
	if d, ok := d.(tokenPutter); ok {
		return d.PutAs(s.stop, e.Key, body, e.token())
	}
	return d.Put(s.stop, e.Key, body)
}

// open opens an entry's body.
func (s *Staged) open(e *entry) (Object, error) {
	if e.File == 0 {
		return Bytes(e.body).(memoryBody), nil
	}
	f, err := os.Open(s.bodyPath(e.File))
	if err != nil {
		return nil, fmt.Errorf("open staged body of %s: %w", e.Key, err)
	}
	return &fileObject{File: f, size: e.Size}, nil
}

type fileObject struct {
	*os.File
	size int64
}

func (o *fileObject) Size() int64 { return o.size }

// view is one of the stores behind the log, with what waits for it.
type view struct {
	s *Staged
	t target
}

func (v view) driver() (Store, error) {
	if d := v.s.drivers[v.t]; d != nil {
		return d, nil
	}
	return nil, errors.New("the staging log was opened without a store for keys")
}

// peek returns the entry that waits under key, if any.
func (v view) peek(key string) *entry {
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	if w := v.s.pending[tkey{v.t, key}]; w != nil {
		e := *w.cur // settled clears the body
		return &e
	}
	return nil
}

func (v view) Put(ctx context.Context, key string, body sekretariat.Body) error {
	return v.s.commit(ctx, []change{{op: opPut, target: v.t, key: key, body: body}})
}

func (v view) PutOnce(ctx context.Context, key string, body sekretariat.Body) error {
	return v.s.commit(ctx, []change{{op: opOnce, target: v.t, key: key, body: body}})
}

func (v view) Delete(ctx context.Context, key string) error {
	return v.s.commit(ctx, []change{{op: opDelete, target: v.t, key: key}})
}

func (v view) Sync(ctx context.Context, keys []string) error { return v.s.Sync(ctx, keys) }

func (v view) Get(ctx context.Context, key string) (Object, error) {
	d, err := v.driver()
	if err != nil {
		return nil, err
	}
	for {
		e := v.peek(key)
		if e == nil {
			return d.Get(ctx, key)
		}
		if e.Op == opDelete {
			return nil, fmt.Errorf("get %s: %w", key, ErrNotFound)
		}
		o, err := v.s.open(e)
		if !errors.Is(err, os.ErrNotExist) || ctx.Err() != nil {
			return o, err
		}
		// The driver got it since, and the keeper removed the file: look again.
	}
}

func (v view) Head(ctx context.Context, key string) (Info, error) {
	d, err := v.driver()
	if err != nil {
		return Info{}, err
	}
	e := v.peek(key)
	if e == nil {
		return d.Head(ctx, key)
	}
	if e.Op == opDelete {
		return Info{}, fmt.Errorf("head %s: %w", key, ErrNotFound)
	}
	return Info{Key: key, Size: e.Size, Modified: e.staged.UTC()}, nil
}

// List merges what waits with what the driver has. What waits is looked at
// first, so an object that moves meanwhile is seen once, from there.
func (v view) List(ctx context.Context, prefix string, fn func(Info) error) error {
	d, err := v.driver()
	if err != nil {
		return err
	}
	staged := v.staged(prefix)
	keys := slices.Sorted(maps.Keys(staged))
	emit := func(upTo string, all bool) error {
		for len(keys) > 0 && (all || keys[0] < upTo) {
			if e := staged[keys[0]]; e.Op != opDelete {
				if err := fn(Info{Key: e.Key, Size: e.Size, Modified: e.staged.UTC()}); err != nil {
					return err
				}
			}
			keys = keys[1:]
		}
		return nil
	}
	err = d.List(ctx, prefix, func(i Info) error {
		if err := emit(i.Key, false); err != nil {
			return err
		}
		if _, ok := staged[i.Key]; ok {
			return nil
		}
		return fn(i)
	})
	if err != nil {
		return err
	}
	return emit("", true)
}

func (v view) staged(prefix string) map[string]entry {
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	m := map[string]entry{}
	for k, w := range v.s.pending {
		if k.t == v.t && strings.HasPrefix(k.key, prefix) {
			e := *w.cur
			e.body = nil
			m[k.key] = e
		}
	}
	return m
}
