package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"sekretariat"
)

// perItem is what a waiting object costs beside its body.
const perItem = 1 << 10

// maxGroupInline is how much of one group's bodies goes into the log itself.
const maxGroupInline = 8 << 20

// group is a row of objects made durable together.
type group struct {
	id      uint64
	entries []*entry
	keys    []tkey // reserved, sorted, each once
	buf     []byte // the records, as they go into the log
	cost    int64  // taken from the budget
	result  chan error
	applied int  // shared mode: how many objects the driver took
	patient bool // may wait for company, see Item.Patient
}

// entry is one object on its way to the driver.
type entry struct {
	record
	body    []byte // if inline; a part of group.buf
	segment *segment
	staged  time.Time
	cost    int64
	// repeated: the driver may have it from an earlier attempt.
	repeated bool
}

// PutAll implements Grouper. It returns once the group is in the log and, in
// shared mode, at the driver.
func (s *Staged) PutAll(ctx context.Context, items []Item) error {
	if len(items) == 0 {
		return nil
	}
	ops := make([]change, len(items))
	for i, it := range items {
		ops[i] = change{op: opPut, target: it.target, key: it.Key, body: it.Body, patient: it.Patient}
		if it.Once {
			ops[i].op = opOnce
		}
	}
	return s.commit(ctx, ops)
}

// change is one thing that a caller wants done.
type change struct {
	op      op
	target  target
	key     string
	body    sekretariat.Body
	patient bool
}

func (s *Staged) commit(ctx context.Context, ops []change) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.end()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.stop, cancel)()
	g, err := s.newGroup(ops)
	if err != nil {
		return err
	}
	if err := s.reserve(ctx, g.keys); err != nil {
		return fmt.Errorf("put %s: %w", ops[0].key, err)
	}
	n, taken := len(ops), error(nil)
	if !s.o.Shared {
		if n, err = s.free(ctx, ops); err != nil {
			s.release(g.keys)
			return err
		}
		if n < len(ops) {
			taken = &TakenError{Index: n, Key: ops[n].key}
		}
	}
	if n == 0 {
		s.release(g.keys)
		return taken
	}
	if err := s.submit(ctx, g, ops[:n]); err != nil {
		return err
	}
	select {
	case err = <-g.result:
	case <-ctx.Done():
		return fmt.Errorf("put %s: %w", ops[0].key, ctx.Err())
	}
	return cmp.Or(err, taken)
}

func (s *Staged) newGroup(ops []change) (*group, error) {
	if len(ops) > maxGroup {
		return nil, fmt.Errorf("group of %d objects: at most %d: %w", len(ops), maxGroup, ErrTooLarge)
	}
	g := &group{id: newGroupID(), result: make(chan error, 1), keys: make([]tkey, 0, len(ops)), patient: ops[0].patient}
	for _, c := range ops {
		if err := ValidKey(c.key); err != nil {
			return nil, err
		}
		if s.drivers[c.target] == nil {
			return nil, fmt.Errorf("put %s: the staging log was opened without a store for keys", c.key)
		}
		g.keys = append(g.keys, tkey{c.target, c.key})
	}
	slices.SortFunc(g.keys, compareKeys)
	g.keys = slices.Compact(g.keys)
	return g, nil
}

// newGroupID names a group for ever: microseconds since 1970 in the upper 52
// bits, chance in the lower 12. Ids sort by time between processes, as far as
// their clocks agree.
func newGroupID() uint64 { return uint64(time.Now().UnixMicro())<<12 | rand.Uint64N(1<<12) }

// groupTime is the time in a group's id.
func groupTime(id uint64) time.Time { return time.UnixMicro(int64(id >> 12)) }

// NewPutToken names a put that no staging log made.
func NewPutToken() string { return putToken(newGroupID(), rand.Uint64(), 0) }

// putToken names a put for ever: its group, the salt of its segment, its place
// in the group.
func putToken(group, salt uint64, index uint16) string {
	return fmt.Sprintf("%016x-%016x.%04d", group, salt, index)
}

func (e *entry) token() string { return putToken(e.Group, e.segment.salt, e.Index) }

func compareKeys(a, b tkey) int {
	return cmp.Or(cmp.Compare(a.t, b.t), cmp.Compare(a.key, b.key))
}

// reserve takes the keys for one group, in their order so that two groups
// cannot wait for each other. While it holds a key, nobody else in this
// process decides whether it is free.
func (s *Staged) reserve(ctx context.Context, keys []tkey) error {
	s.mu.Lock()
	for i := 0; i < len(keys); {
		wait, busy := s.reserved[keys[i]]
		if !busy {
			s.reserved[keys[i]] = nil
			i++
			continue
		}
		if wait == nil {
			wait = make(chan struct{})
			s.reserved[keys[i]] = wait
		}
		s.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			s.release(keys[:i])
			return ctx.Err()
		}
		s.mu.Lock()
	}
	s.mu.Unlock()
	return nil
}

func (s *Staged) release(keys []tkey) {
	s.mu.Lock()
	s.releaseLocked(keys)
	s.mu.Unlock()
}

func (s *Staged) releaseLocked(keys []tkey) {
	for _, k := range keys {
		if wait := s.reserved[k]; wait != nil {
			close(wait)
		}
		delete(s.reserved, k)
	}
}

// free returns how many of the changes may be made: all before the first Once
// whose key is taken. The keys are reserved.
func (s *Staged) free(ctx context.Context, ops []change) (int, error) {
	for i, c := range ops {
		if c.op != opOnce {
			continue
		}
		for _, before := range ops[:i] {
			if before.key == c.key && before.target == c.target && before.op != opDelete {
				return i, nil
			}
		}
		_, err := view{s, c.target}.Head(ctx, c.key)
		if err == nil {
			return i, nil
		}
		if !errors.Is(err, ErrNotFound) {
			return 0, fmt.Errorf("put %s: %w", c.key, err)
		}
	}
	return len(ops), nil
}

// submit brings the group into the log's queue. On an error the reservations
// are given back; afterwards the writer does that.
func (s *Staged) submit(ctx context.Context, g *group, ops []change) (err error) {
	defer func() {
		if err != nil {
			s.dropFiles(g)
			s.budget.Release(g.cost)
			s.release(g.keys)
		}
	}()
	if err := s.layOut(g, ops); err != nil {
		return err
	}
	cost := g.cost
	g.cost = 0
	if err := s.budget.Acquire(ctx, cost); err != nil {
		return fmt.Errorf("put %s: wait for the store: %w", ops[0].key, err)
	}
	g.cost = cost
	if err := s.encode(g, ops); err != nil {
		return err
	}
	select {
	case s.writer.in <- g:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("put %s: %w", ops[0].key, ctx.Err())
	}
}

// layOut makes the group's entries and decides which bodies get a file.
func (s *Staged) layOut(g *group, ops []change) error {
	now := s.o.Clock()
	var inline int64
	entries := make([]entry, len(ops))
	for i, c := range ops {
		e := &entries[i]
		e.record = record{Op: c.op, Target: c.target, Group: g.id, Index: uint16(i), Count: uint16(len(ops)), Key: c.key}
		e.staged = now
		if c.body != nil {
			e.Size = c.body.Size()
		}
		if e.Size > maxInline || inline+e.Size > maxGroupInline {
			e.File = s.fileNo.Add(1)
			e.cost = perItem
		} else {
			inline += e.Size
			e.cost = perItem + e.Size
		}
		e.cost = min(e.cost, s.o.MaxPending/int64(len(ops))) // a group larger than the budget takes all of it
		g.cost += e.cost
		g.entries = append(g.entries, e)
	}
	return nil
}

// encode writes the group's records, bodies included, into one buffer, and
// large bodies into files.
func (s *Staged) encode(g *group, ops []change) error {
	size := 0
	for _, e := range g.entries {
		size += recordHeaderSize + 8 + len(e.Key) + int(e.inline())
	}
	buf := make([]byte, size)[:0]
	for i, e := range g.entries {
		if e.File != 0 {
			crc, err := s.stageFile(e.File, ops[i].body)
			if err != nil {
				return fmt.Errorf("put %s: %w", e.Key, err)
			}
			e.CRC = crc
			buf = appendRecord(buf, e.record)
			continue
		}
		// The body first, for the header holds its check sum.
		at := len(buf) + recordHeaderSize + len(e.Key)
		e.body = buf[at : at+int(e.Size) : at+int(e.Size)]
		if e.Size > 0 {
			if err := readFull(e.body, ops[i].body); err != nil {
				return fmt.Errorf("put %s: %w", e.Key, err)
			}
		}
		e.CRC = crcOf(e.body)
		buf = appendRecord(buf, e.record)
		buf = buf[:at+int(e.Size)]
	}
	g.buf = buf
	return nil
}
