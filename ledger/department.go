package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"sekretariat"
)

// Lane is one of the two ways to a department.
type Lane string

// The lanes. Clients drain the urgent one first.
const (
	Urgent Lane = "urgent"
	Normal Lane = "normal"
)

var lanes = []Lane{Urgent, Normal}

// QueueStream is the server's name of the stream that a department's consumers
// read from.
func QueueStream(c sekretariat.CentreID) string { return streamOf(c, Queue) }

// QueueConsumer is the server's name of the durable consumer of a department's
// lane. The underscore, which ids never have, keeps it apart from work groups.
func QueueConsumer(d sekretariat.DepartmentID, lane Lane) string {
	return string(d) + "_" + string(lane)
}

// The patience of a department's queue: an event that is not acknowledged comes
// again after these times, about a day in all. Then an advisory says so (see
// FollowAdvisories) and it stays in the stream.
const queueMaxDeliver = 30

var queueBackOff = []time.Duration{
	time.Minute, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour,
}

// EnsureQueue makes what a department's system needs to fetch its events: two
// durable consumers and, where the installation's keys are at hand, an account
// on the server that sees nothing but these two. Call it at each start.
func (l *Ledger) EnsureQueue(ctx context.Context, c sekretariat.CentreID, d sekretariat.DepartmentID) error {
	if err := validDepartment(c, d); err != nil {
		return err
	}
	for _, lane := range lanes {
		err := l.ensureConsumer(ctx, streamOf(c, Queue), jetstream.ConsumerConfig{
			Durable:         QueueConsumer(d, lane),
			FilterSubject:   prefixOf(c, Queue) + string(d) + "." + string(lane) + ".>",
			DeliverPolicy:   jetstream.DeliverAllPolicy,
			AckPolicy:       jetstream.AckExplicitPolicy,
			AckWait:         queueBackOff[0],
			BackOff:         queueBackOff,
			MaxDeliver:      queueMaxDeliver,
			MaxAckPending:   10_000,
			MaxRequestBatch: maxAhead,
			Replicas:        l.replicas,
		})
		if err != nil {
			return fmt.Errorf("queue %s of %s: %w", d, c, err)
		}
	}
	if !l.canSign() {
		return nil
	}
	if err := l.publishAccount(ctx, c, d); err != nil {
		return fmt.Errorf("queue %s of %s: %w", d, c, err)
	}
	return nil
}

func validDepartment(c sekretariat.CentreID, d sekretariat.DepartmentID) error {
	if !sekretariat.ValidSlug(string(c)) || !sekretariat.ValidSlug(string(d)) {
		return fmt.Errorf("queue %q of %q: not valid ids", d, c)
	}
	return nil
}

// LaneState tells how far a department's system is.
type LaneState struct {
	Waiting   uint64 // never handed out
	Unacked   int    // handed out, not acknowledged
	Repeating int    // of these, handed out more than once
}

// QueueState tells how far a department's system is in each lane.
func (l *Ledger) QueueState(ctx context.Context, c sekretariat.CentreID, d sekretariat.DepartmentID) (map[Lane]LaneState, error) {
	if err := validDepartment(c, d); err != nil {
		return nil, err
	}
	states := map[Lane]LaneState{}
	for _, lane := range lanes {
		var i struct {
			Pending     uint64 `json:"num_pending"`
			AckPending  int    `json:"num_ack_pending"`
			Redelivered int    `json:"num_redelivered"`
		}
		err := l.c.api(ctx, "CONSUMER.INFO."+streamOf(c, Queue)+"."+QueueConsumer(d, lane), nil, &i)
		if hasCode(err, codeConsumerNotFound, codeStreamNotFound) {
			err = ErrNotFound
		}
		if err != nil {
			return nil, fmt.Errorf("queue %s of %s: %w", d, c, err)
		}
		states[lane] = LaneState{Waiting: i.Pending, Unacked: i.AckPending, Repeating: i.Redelivered}
	}
	return states, nil
}

// PeekQueue calls fn for each event that a department's queue ever got, oldest
// first, without taking anything from it.
func (l *Ledger) PeekQueue(ctx context.Context, c sekretariat.CentreID, d sekretariat.DepartmentID, fn func(Stored) error) error {
	if err := validDepartment(c, d); err != nil {
		return err
	}
	l.mu.Lock()
	g := l.centres[c]
	l.mu.Unlock()
	if g == nil {
		return fmt.Errorf("queue %s: centre %s is not open: %w", d, c, ErrNotFound)
	}
	r := &reader{l: l, stream: streamOf(c, Queue), filter: prefixOf(c, Queue) + string(d) + ".>"}
	defer r.close()
	if err := r.openAgain(ctx); err != nil {
		return err
	}
	for !r.caughtUp() {
		it, err := r.next(ctx)
		if err != nil {
			return err
		}
		st, err := g.stored(Queue, it.rawMsg)
		if err != nil {
			return err
		}
		if err := fn(st); err != nil {
			return err
		}
	}
	return nil
}

// errNoKeys: see Options.Secrets.
var errNoKeys = errors.New("the secrets folder with the operator's key is not at hand here; run this where 'sekretariat init' was run")
