package email

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/emersion/go-imap/v2"
)

// apart fetches very large messages of a folder on a second connection, which
// takes minutes on the line of a small office, while the first goes on with
// new mail. It confirms them there, too.
type apart struct {
	validity uint32
	ended    chan struct{}
	more     []imap.UID // met meanwhile; their turn comes when this has ended

	mu      sync.Mutex
	results []result
}

// result is what became of one message: settled, or what is held against it.
type result struct {
	uid     imap.UID
	settled bool
	doubt   doubt
}

// startApart hands the very large messages over, or makes them wait when some
// are under way.
func (f *folder) startApart(ctx context.Context) {
	var heavy []facts
	f.large = slices.DeleteFunc(f.large, func(g facts) bool {
		d := f.open[g.uid]
		if g.size <= f.c.tune.apart || d == nil || d.inline {
			return false
		}
		d.apart = true
		if f.apart == nil {
			heavy = append(heavy, g)
		} else {
			f.apart.more = append(f.apart.more, g.uid)
		}
		return true
	})
	if len(heavy) == 0 {
		return
	}
	a := &apart{validity: f.validity, ended: make(chan struct{})}
	f.apart = a
	go func() {
		a.run(ctx, f.c, f.name, heavy)
		close(a.ended)
		select {
		case f.wake <- struct{}{}:
		default:
		}
	}()
}

// collectApart notes what became of messages that were handed over.
func (f *folder) collectApart() {
	a := f.apart
	if a == nil {
		return
	}
	over := false
	select {
	case <-a.ended:
		over = true
	default:
	}
	a.mu.Lock()
	results := a.results
	a.results = nil
	a.mu.Unlock()
	for _, r := range results {
		d := f.open[r.uid]
		switch {
		case a.validity != f.validity || d == nil || !d.apart: // renumbered meanwhile
		case r.settled:
			f.settle(r.uid)
		default:
			*d = r.doubt
		}
	}
	if !over {
		return
	}
	f.apart = nil
	for _, u := range a.more {
		if d := f.open[u]; d != nil {
			d.apart = false
		}
	}
}

// awaitApart waits for the second connection to end, which it does with the
// context it was given.
func (f *folder) awaitApart() {
	if f.apart != nil {
		<-f.apart.ended
		f.collectApart()
	}
}

// run takes the messages one by one. One that cannot be taken in here is
// fetched on the first connection, where trouble has its rules.
func (a *apart) run(ctx context.Context, c *Channel, name string, list []facts) {
	// A folder of its own, so that nothing is shared with the other connection.
	f := newFolder(c, name)
	f.validity = a.validity
	s, err := a.open(ctx, c, name)
	if err == nil {
		defer s.close()
	}
	for _, g := range list {
		f.open[g.uid] = &doubt{facts: g}
		if err == nil {
			err = f.takeHere(ctx, s, g)
		}
		r := result{uid: g.uid, settled: f.open[g.uid] == nil}
		if d := f.open[g.uid]; d != nil {
			r.doubt = *d
			r.doubt.inline = true
		}
		a.mu.Lock()
		a.results = append(a.results, r)
		a.mu.Unlock()
	}
	if err != nil && ctx.Err() == nil {
		c.log.Warn().Err(err).Msg("large mail cannot be fetched on a connection of its own")
	}
}

// open logs in once more and makes sure that it is the same folder.
func (a *apart) open(ctx context.Context, c *Channel, name string) (*session, error) {
	s, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	data, err := s.selectFolder(name, false)
	if err == nil && data.UIDValidity != a.validity {
		err = errors.New("the folder was renumbered")
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// takeHere takes and confirms one message on this connection.
func (f *folder) takeHere(ctx context.Context, s *session, g facts) error {
	now, err := s.facts([]imap.UID{g.uid})
	if err != nil {
		return err
	}
	if len(now) != 1 || now[0].size != g.size || !now[0].arrived.Equal(g.arrived) {
		return errors.New("the message is gone or another")
	}
	fl := f.newFlight(ctx, 1)
	defer fl.close()
	if err := f.take(ctx, s, fl, []facts{g}); err != nil {
		return err
	}
	return errors.Join(wrap(codeStore, "make mail durable", fl.drain()), f.confirm(s, fl.ready()))
}
