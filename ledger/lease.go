package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nuid"
)

// Lease is held by one process at a time. Its holder must stop when Lost is
// closed; what must not happen twice needs a condition on the ledger besides.
type Lease struct {
	l     *Ledger
	name  string
	ttl   time.Duration
	value []byte
	rev   uint64

	lost chan struct{}
	stop context.CancelFunc
	done chan struct{}
	once sync.Once
}

// leaseValue is what lies in the bucket. A released lease has no holder.
type leaseValue struct {
	Holder   string        `json:"holder"`
	TTL      time.Duration `json:"ttl"`
	Embedded bool          `json:"embedded,omitempty"` // held inside the process of the server
}

// Lease waits until nobody else holds name, and holds it from then on, renewed
// in the background. A holder that died is succeeded ttl after its last
// renewal, measured by the waiting process's own clock.
func (l *Ledger) Lease(ctx context.Context, name string, ttl time.Duration) (*Lease, error) {
	return l.lease(ctx, appKey(name), ttl)
}

func (l *Ledger) lease(ctx context.Context, name string, ttl time.Duration) (*Lease, error) {
	if ttl < 100*time.Millisecond {
		return nil, fmt.Errorf("lease %s: a time of %v is too short", name, ttl)
	}
	value, err := json.Marshal(leaseValue{Holder: nuid.Next(), TTL: ttl, Embedded: l.embedded != nil})
	if err != nil {
		return nil, err
	}
	e := &Lease{l: l, name: name, ttl: ttl, value: value, lost: make(chan struct{}), done: make(chan struct{})}
	began, err := e.acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("lease %s: %w", name, err)
	}
	var life context.Context
	life, e.stop = context.WithCancel(l.life)
	go e.keep(life, began)
	return e, nil
}

// acquire waits and takes; it returns the time from which the lease counts.
func (e *Lease) acquire(ctx context.Context) (time.Time, error) {
	var seen uint64
	var since time.Time
	tick := time.NewTicker(min(e.ttl/4, 500*time.Millisecond))
	defer tick.Stop()
	for {
		asked := time.Now()
		cur, rev, err := e.l.kvGet(ctx, bucketLeases, e.name)
		if err != nil && !isNotFound(err) {
			return asked, err
		}
		if rev != seen || since.IsZero() {
			seen, since = rev, time.Now()
		}
		if free(cur, rev, asked.Sub(since)) {
			began := time.Now()
			e.rev, err = e.l.kvPut(ctx, bucketLeases, e.name, e.value, rev)
			if err == nil {
				return began, nil
			}
			if !errors.Is(err, ErrConflict) {
				return began, err
			}
			continue
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return asked, context.Cause(ctx)
		}
	}
}

// free tells whether a lease may be taken that was seen unchanged for so long.
func free(value []byte, rev uint64, unchanged time.Duration) bool {
	var v leaseValue
	if rev == 0 || json.Unmarshal(value, &v) != nil || v.Holder == "" {
		return true
	}
	return unchanged >= v.TTL
}

// keep renews until the lease is released or lost. A renewal that does not
// come through in time loses it: others may count it as free by then.
func (e *Lease) keep(ctx context.Context, since time.Time) {
	defer close(e.done)
	tick := time.NewTicker(e.ttl / 3)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		began := time.Now()
		rctx, cancel := context.WithDeadline(ctx, since.Add(e.ttl*9/10))
		rev, err := e.l.kvPut(rctx, bucketLeases, e.name, e.value, e.rev)
		cancel()
		switch {
		case err == nil:
			e.rev, since = rev, began
		case ctx.Err() != nil:
			return
		default:
			e.l.log.Warn().Err(err).Str("lease", e.name).Msg("lease lost")
			close(e.lost)
			return
		}
	}
}

// Lost is closed when somebody else may hold the lease.
func (e *Lease) Lost() <-chan struct{} { return e.lost }

// Release gives the lease up, so that the next one need not wait. Giving up a
// lost one is no error.
func (e *Lease) Release(ctx context.Context) (err error) {
	e.once.Do(func() {
		e.stop()
		<-e.done
		select {
		case <-e.lost:
			return
		default:
		}
		value, merr := json.Marshal(leaseValue{TTL: e.ttl})
		if merr != nil {
			err = merr
			return
		}
		_, err = e.l.kvPut(ctx, bucketLeases, e.name, value, e.rev)
		if errors.Is(err, ErrConflict) {
			err = nil
		}
	})
	if err != nil {
		return fmt.Errorf("releasing lease %s: %w", e.name, err)
	}
	return nil
}

// bound returns a context that ends with the lease.
func (e *Lease) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-e.lost:
			cancel(ErrLeaseLost)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}
