package email

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"
)

// worker keeps one connection for one or more folders, and gets a new one
// whenever it breaks.
type worker struct {
	c        *Channel
	folders  []*folder
	junk     *folder   // looked at now and then on the same connection; nil: none
	junkAt   time.Time // last
	apart    bool      // others have connections too: one too many ends run
	failures int       // connections that failed one after the other
}

func (w *worker) all() []*folder {
	if w.junk == nil {
		return w.folders
	}
	return append(slices.Clone(w.folders), w.junk)
}

// run works until ctx ends, or with errTooManyConnections.
func (w *worker) run(ctx context.Context) error {
	defer func() {
		for _, f := range w.all() {
			f.awaitApart()
		}
	}()
	for ctx.Err() == nil {
		err := w.connection(ctx)
		if ctx.Err() != nil {
			break
		}
		if errors.Is(err, errAgain) {
			continue
		}
		code := codeOf(err, codeConnect)
		if w.apart && code == codeLimit {
			return errTooManyConnections
		}
		for _, f := range w.folders {
			w.c.health.failed(f.name, code)
		}
		if w.junk != nil && code != codeFolder {
			w.c.health.failed(w.junk.name, code)
		}
		delay := w.backoff(w.c.tune.retry, w.failures)
		w.failures++
		w.c.log.Warn().Err(err).Str("code", string(code)).Int("failures", w.failures).Dur("delay", delay).
			Msg("mailbox connection ended, will be tried again")
		wait(ctx, delay)
	}
	return nil
}

// backoff doubles from the first limit to the second, with jitter so that the
// offices of one hoster do not come back in step.
func (w *worker) backoff(limits [2]time.Duration, n int) time.Duration {
	return jitter(min(limits[0]<<min(n, 20), limits[1]))
}

func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d/2+1)
}

// wait waits for d or the end of ctx.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// connection logs in and reads the folders again and again until something
// breaks.
func (w *worker) connection(ctx context.Context) error {
	s, err := w.c.connect(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	for first := true; ; first = false {
		again := false
		for _, f := range w.folders {
			more, err := w.visit(ctx, s, f, first)
			if err != nil {
				return err
			}
			again = again || more
		}
		if again {
			continue
		}
		looked, err := w.lookAtJunk(ctx, s)
		if err != nil {
			return err
		}
		if looked { // back to the folders proper
			continue
		}
		if err := w.rest(ctx, s); err != nil {
			return err
		}
	}
}

// visit reads one folder. A folder that cannot be opened does not hold up the
// others.
func (w *worker) visit(ctx context.Context, s *session, f *folder, first bool) (bool, error) {
	if first || s.selected != f.name {
		if err := f.attach(ctx, s, first); err != nil {
			if codeOf(err, codeConnect) != codeFolder {
				return false, err
			}
			f.findRenamed(s)
			if len(w.folders) > 1 || f.junk {
				w.c.health.failed(f.name, codeFolder)
				return false, nil
			}
			return false, err
		}
	}
	again, err := f.round(ctx, s)
	if err == nil || f.advanced {
		w.failures, f.advanced = 0, false
	}
	return again, err
}

// rest waits for news or for the time of the next look.
func (w *worker) rest(ctx context.Context, s *session) error {
	d := min(w.c.opt.Mailbox.Poll, w.c.tune.idle)
	for _, f := range w.folders {
		d = min(d, f.nextDue())
	}
	if w.junk != nil {
		d = min(d, max(0, w.c.tune.junk-time.Since(w.junkAt)))
	}
	if idle := w.c.opt.Mailbox.Idle; (idle == nil || *idle) && (s.caps.Has(imap.CapIdle) || s.caps.Has(imap.CapIMAP4rev2)) {
		return s.idle(ctx, d, w.folders[0].wake)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-w.folders[0].wake:
	case <-ctx.Done():
	}
	return ctx.Err()
}
