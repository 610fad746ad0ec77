package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// readAhead is how many messages a reader asks for at once.
const readAhead = 1000

// reader reads a stream in order from one goroutine, through lost connections,
// and notices what the server does not tell: missing sequences and a past that
// changed.
type reader struct {
	l      *Ledger
	stream string
	filter string    // absolute subjects wanted; "" all, and then none may be missing
	pos    uint64    // last sequence delivered
	posAt  time.Time // its time, zero if unknown

	p       *puller
	cseq    uint64    // last consumer sequence seen
	pending uint64    // what the server had beyond the last one delivered
	head    *nats.Msg // taken from the puller, not delivered yet
	stash   *nats.Msg // the message behind a gap of erased ones
	erased  uint64    // up to here missing sequences are known as erased
}

// item is one step of a reader: a message, or a sequence that was erased.
type item struct {
	rawMsg
	erased bool
}

func (g *centreLog) newReader(s StreamName, from uint64) (*reader, error) {
	name, err := g.name(s)
	if err != nil {
		return nil, err
	}
	return &reader{l: g.l, stream: name, pos: max(from, 1) - 1}, nil
}

func (r *reader) close() {
	if r.p != nil {
		r.p.close()
		r.p = nil
	}
}

// caughtUp tells that the server had nothing more when it sent the last item.
func (r *reader) caughtUp() bool {
	return r.stash == nil && r.p != nil && r.pending == 0 && !r.ready()
}

// ready tells that next has something at once. Words of the server that are no
// message of the stream are heard and do not count: to wait behind them with
// events in hand would hold those up until the next one comes.
func (r *reader) ready() bool {
	for r.stash == nil && r.head == nil && r.p != nil {
		select {
		case m := <-r.p.ch:
			data, err := r.p.take(m)
			if err != nil {
				r.close() // next opens again
			} else if data {
				r.head = m
			}
		default:
			return false
		}
	}
	return r.p != nil
}

// next waits for the next item. It repeats through faults of the server until
// ctx ends; other errors are final.
func (r *reader) next(ctx context.Context) (item, error) {
	var b backoff
	for {
		it, err := r.try(ctx)
		var again transientError
		if !errors.As(err, &again) {
			return it, err
		}
		r.close()
		if werr := b.wait(ctx, r.l.life); werr != nil {
			return item{}, werr
		}
	}
}

// transientError means: make a new consumer and go on.
type transientError struct{ error }

func (t transientError) Unwrap() error { return t.error }

// openAgain opens the reader, again and again while the server fails.
func (r *reader) openAgain(ctx context.Context) error {
	var b backoff
	for {
		err := r.open(ctx)
		var again transientError
		if !errors.As(err, &again) {
			return err
		}
		if werr := b.wait(ctx, r.l.life); werr != nil {
			return werr
		}
	}
}

func (r *reader) try(ctx context.Context) (item, error) {
	if r.p == nil {
		if err := r.open(ctx); err != nil {
			return item{}, err
		}
	}
	for {
		if r.stash != nil {
			return r.deliver(ctx, r.stash)
		}
		if m := r.head; m != nil {
			r.head = nil
			return r.deliver(ctx, m)
		}
		if r.p.open <= readAhead/2 {
			if err := r.p.ask(readAhead); err != nil {
				return item{}, transientError{err}
			}
		}
		select {
		case m := <-r.p.ch:
			data, err := r.p.take(m)
			if err != nil {
				return item{}, transientError{err}
			}
			if data {
				return r.deliver(ctx, m)
			}
		case <-r.p.epoch.Done():
			return item{}, transientError{errLostConnection}
		case <-r.p.silence.C:
			if len(r.p.ch) > 0 { // it was we who were slow
				r.p.heard()
				continue
			}
			return item{}, transientError{errors.New("the server is silent")}
		case <-ctx.Done():
			return item{}, context.Cause(ctx)
		}
	}
}

// deliver checks that m is the message that must come next.
func (r *reader) deliver(ctx context.Context, m *nats.Msg) (item, error) {
	md, err := m.Metadata()
	if err != nil {
		return item{}, transientError{err}
	}
	if r.stash == nil {
		if md.Sequence.Consumer != r.cseq+1 || md.Sequence.Stream <= r.pos {
			return item{}, transientError{errors.New("messages lost on the way")}
		}
		r.cseq = md.Sequence.Consumer
		r.pending = md.NumPending
	}
	if md.Sequence.Stream > r.pos+1 && r.filter == "" {
		r.stash = m
		if r.erased < md.Sequence.Stream-1 {
			if err := r.l.requireErased(ctx, r.stream, r.pos+1, md.Sequence.Stream-1); err != nil {
				return item{}, err
			}
			r.erased = md.Sequence.Stream - 1
		}
		r.pos++
		return item{rawMsg{Seq: r.pos}, true}, nil
	}
	r.stash = nil
	r.pos, r.posAt = md.Sequence.Stream, md.Timestamp
	return item{rawMsg: rawMsg{Subject: m.Subject, Seq: r.pos, Data: m.Data, Time: r.posAt}}, nil
}

// open makes a new consumer behind pos, after a look whether the past is still
// the same.
func (r *reader) open(ctx context.Context) error {
	c := r.l.c
	r.stash, r.head = nil, nil
	if err := r.checkPast(ctx); err != nil {
		return err
	}
	var made struct {
		Name    string `json:"name"`
		Pending uint64 `json:"num_pending"`
	}
	err := c.api(ctx, "CONSUMER.CREATE."+r.stream, map[string]any{
		"stream_name": r.stream,
		"config": jetstream.ConsumerConfig{
			DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
			OptStartSeq:       r.pos + 1,
			FilterSubject:     r.filter,
			AckPolicy:         jetstream.AckNonePolicy,
			Replicas:          1,
			MemoryStorage:     true,
			InactiveThreshold: 2 * pullExpires,
		},
	}, &made)
	if err != nil {
		return fmt.Errorf("reading %s: %w", r.stream, err)
	}
	if r.p, err = c.newPuller(ctx, r.stream, made.Name, 2*readAhead); err != nil {
		return transientError{err}
	}
	r.cseq, r.pending = 0, made.Pending
	return nil
}

// checkPast compares what was delivered last with what the server holds there
// now: after damage to its files it can come back with less, and go on from
// there with other events under the same sequences.
func (r *reader) checkPast(ctx context.Context) error {
	i, err := r.l.c.info(ctx, r.stream)
	if err != nil {
		return fmt.Errorf("reading %s: %w", r.stream, err)
	}
	if i.State.Last < r.pos {
		return fmt.Errorf("%s ends at sequence %d, but %d was read before: %w", r.stream, i.State.Last, r.pos, ErrRewound)
	}
	if r.posAt.IsZero() {
		return nil
	}
	m, err := r.l.c.get(ctx, r.stream, msgGet{Seq: r.pos})
	switch {
	case isNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("reading %s: %w", r.stream, err)
	case !m.Time.Equal(r.posAt):
		return fmt.Errorf("%s holds another event at sequence %d than was read before: %w", r.stream, r.pos, ErrRewound)
	}
	return nil
}

// GapError names sequences that are missing without a recorded erasure. Events
// were lost.
type GapError struct {
	Stream      string
	First, Last uint64
}

func (e *GapError) Error() string {
	return fmt.Sprintf("%s has lost the events from sequence %d to %d", e.Stream, e.First, e.Last)
}
