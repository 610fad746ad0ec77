package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"sekretariat"
)

// apply brings one group to the driver in shared mode, where the driver alone
// decides whether a key is free.
func (s *Staged) apply(g *group) {
	n, err := s.applyEntries(g)
	if s.stop.Err() != nil && err != nil && !errors.Is(err, ErrExists) {
		g.result <- fmt.Errorf("put %s: %w", g.entries[0].Key, ErrClosed)
		return // the log keeps it
	}
	g.applied = n
	select {
	case s.writer.done <- g:
	case <-s.stop.Done():
	}
	s.mu.Lock()
	if n < len(g.entries) {
		g.entries[0].segment.refuse(g.id, n)
	}
	for _, e := range g.entries {
		s.settled(e)
	}
	s.releaseLocked(g.keys)
	s.mu.Unlock()
	g.result <- err
}

// applyEntries returns how many entries the driver took, and the *TakenError
// of the one it refused.
func (s *Staged) applyEntries(g *group) (int, error) {
	for i, e := range g.entries {
		err := s.persist(e.record, func() error { return s.deliverShared(e) }, func() bool { return true })
		if errors.Is(err, ErrExists) {
			return i, &TakenError{Index: i, Key: e.Key}
		}
		if err != nil {
			return i, err
		}
	}
	return len(g.entries), nil
}

func (s *Staged) deliverShared(e *entry) error {
	if e.Op != opOnce {
		return s.deliver(e)
	}
	body, err := s.open(e)
	if err != nil {
		return err
	}
	defer body.Close()
	d := s.drivers[e.Target]
	if d, ok := d.(tokenPutter); ok {
		return d.PutOnceAs(s.stop, e.Key, body, e.token())
	}
	err = d.PutOnce(s.stop, e.Key, body)
	if errors.Is(err, ErrExists) && e.repeated && sameAt(s.stop, d, e.Key, body) {
		return nil
	}
	e.repeated = true
	return err
}

// sameAt tells whether the driver has exactly this body under key.
func sameAt(ctx context.Context, d Store, key string, body sekretariat.Body) bool {
	o, err := d.Get(ctx, key)
	if err != nil {
		return false
	}
	defer o.Close()
	return o.Size() == body.Size() && sameBody(o, body)
}

func sameBody(a, b sekretariat.Body) bool {
	x, y := make([]byte, 64<<10), make([]byte, 64<<10)
	for off := int64(0); off < a.Size(); {
		n := min(int64(len(x)), a.Size()-off)
		i, err1 := a.ReadAt(x[:n], off)
		j, err2 := b.ReadAt(y[:n], off)
		if (err1 != nil && err1 != io.EOF) || (err2 != nil && err2 != io.EOF) || int64(i) < n || !bytes.Equal(x[:i], y[:j]) {
			return false
		}
		off += n
	}
	return true
}
