package email

import (
	"context"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"

	"sekretariat/ingest"
)

// flight holds the messages of one round that are on their way to becoming
// durable. Their tickets are awaited in the background; what became durable is
// collected, to be confirmed together.
type flight struct {
	limit      int
	limitBytes int64
	patience   time.Duration
	stuck      func() // called when a ticket takes longer than that
	queue      chan airborne
	landed     chan struct{} // closed when the last ticket was awaited

	mu      sync.Mutex
	change  *sync.Cond
	count   int
	bytes   int64
	durable []imap.UID
	err     error // of the first ticket that failed
}

// airborne is one message on its way.
type airborne struct {
	uid    imap.UID
	size   int64
	ticket ingest.Ticket
}

func (f *folder) newFlight(ctx context.Context, limit int) *flight {
	fl := &flight{limit: limit, limitBytes: f.c.tune.windowBytes, patience: f.c.tune.stuck,
		queue: make(chan airborne, limit), landed: make(chan struct{}),
		stuck: func() { f.c.health.failed(f.name, codeStore) }}
	fl.change = sync.NewCond(&fl.mu)
	go fl.await(ctx)
	return fl
}

// await takes the tickets in their order. Many become durable together, so
// the order costs nothing.
func (fl *flight) await(ctx context.Context) {
	defer close(fl.landed)
	for a := range fl.queue {
		alarm := time.AfterFunc(fl.patience, fl.stuck)
		_, err := a.ticket.Wait(ctx)
		alarm.Stop()
		fl.mu.Lock()
		fl.count--
		fl.bytes -= a.size
		if err == nil {
			fl.durable = append(fl.durable, a.uid)
		} else if fl.err == nil {
			fl.err = err
		}
		fl.mu.Unlock()
		fl.change.Broadcast()
	}
}

// admit waits until there is room for one more message.
func (fl *flight) admit(size int64) {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	for fl.count >= fl.limit || fl.count > 0 && fl.bytes+size > fl.limitBytes {
		fl.change.Wait()
	}
	fl.count++
	fl.bytes += size
}

// forget gives back the room of a message that was not taken after all.
func (fl *flight) forget(size int64) {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	fl.count--
	fl.bytes -= size
}

// add hands over the ticket of an admitted message.
func (fl *flight) add(a airborne) { fl.queue <- a }

// ready returns what became durable since the last call.
func (fl *flight) ready() []imap.UID {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	uids := fl.durable
	fl.durable = nil
	return uids
}

// waiting is how many messages became durable and are not confirmed.
func (fl *flight) waiting() int {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	return len(fl.durable)
}

// drain waits until nothing is on its way and returns the first failure.
func (fl *flight) drain() error {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	for fl.count > 0 {
		fl.change.Wait()
	}
	return fl.err
}

// close waits for the tickets that are left; nothing is confirmed for them.
func (fl *flight) close() {
	close(fl.queue)
	<-fl.landed
}
