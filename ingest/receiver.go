package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"sekretariat"
	"sekretariat/ledger"
	"sekretariat/storage"
)

// Limits bound what the receiver takes.
type Limits struct {
	// Delivery is the hard limit of one body, octets (default 2 GiB). Above it
	// Take returns ErrTooLarge.
	Delivery int64
	// InFlight is the memory for bodies on their way, octets (default 64 MiB,
	// at least spoolMemory). Longer bodies lie in files.
	InFlight int64
	// Tickets is how many deliveries are on their way at once (default 512).
	Tickets int
}

// Options wire a receiver.
type Options struct {
	Vault *storage.Vault
	// Log returns the ledger of a centre. An error means that the centre is
	// not known here.
	Log    func(sekretariat.CentreID) (ledger.Log, error)
	Clock  sekretariat.Clock // nil = SystemClock
	Limits Limits
	Logger zerolog.Logger
}

// Intake is the Receiver of production. It is safe for concurrent use, in any
// number of processes over the same store and ledger.
//
// Work on a delivery begins as soon as its body was read, whether or not
// somebody waits for it, and is repeated through failures of store and ledger
// until it succeeds, until the context of Wait ends, or until Close.
type Intake struct {
	o      Options
	memory *semaphore.Weighted // of bodies, octets
	slots  *semaphore.Weighted // of deliveries on their way
	life   context.Context     // ends with Close
	end    context.CancelFunc
	mu     sync.Mutex
	closed bool
	work   sync.WaitGroup
	busy   map[sekretariat.SubmissionID]chan struct{} // submissions that this process works on
	sights atomic.Int64                               // tells two sightings in one millisecond apart
	say    *rate.Limiter                              // of warnings about retries
	counts counters
}

var _ Receiver = (*Intake)(nil)

// Defaults of Limits.
const (
	DefaultDelivery = 2 << 30
	DefaultInFlight = 64 << 20
	DefaultTickets  = 512
)

// ErrClosed is returned by a receiver that was closed.
var ErrClosed = errors.New("receiver is closed")

// ErrBadDelivery is returned for a delivery that lacks what every delivery has.
// It is a fault of the channel or of its configuration.
var ErrBadDelivery = errors.New("malformed delivery")

// NewReceiver makes the receiver.
func NewReceiver(o Options) (*Intake, error) {
	if o.Vault == nil || o.Log == nil {
		return nil, errors.New("receiver: Vault and Log are needed")
	}
	if o.Limits.Delivery < 0 || o.Limits.InFlight < 0 || o.Limits.Tickets < 0 {
		return nil, errors.New("receiver: limits must not be negative")
	}
	if o.Limits.Delivery == 0 {
		o.Limits.Delivery = DefaultDelivery
	}
	if o.Limits.InFlight == 0 {
		o.Limits.InFlight = DefaultInFlight
	}
	o.Limits.InFlight = max(o.Limits.InFlight, spoolMemory)
	if o.Limits.Tickets == 0 {
		o.Limits.Tickets = DefaultTickets
	}
	if o.Clock == nil {
		o.Clock = sekretariat.SystemClock
	}
	r := &Intake{
		o: o, memory: semaphore.NewWeighted(o.Limits.InFlight), slots: semaphore.NewWeighted(int64(o.Limits.Tickets)),
		busy: map[sekretariat.SubmissionID]chan struct{}{}, say: rate.NewLimiter(rate.Every(5*time.Second), 3),
	}
	r.life, r.end = context.WithCancel(context.Background())
	return r, nil
}

// Close lets the deliveries on their way come to their end as long as ctx
// lasts, then gives the rest up: they stay unconfirmed at their sources. No
// call may be made after it. The error is ctx's if something was given up.
func (r *Intake) Close(ctx context.Context) error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	idle := make(chan struct{})
	go func() { r.work.Wait(); close(idle) }()
	var err error
	select {
	case <-idle:
	case <-ctx.Done():
		err = fmt.Errorf("close the receiver: deliveries on their way were given up: %w", ctx.Err())
	}
	r.end()
	<-idle
	return err
}

// enter admits a call unless the receiver is closed.
func (r *Intake) enter() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	r.work.Add(1)
	return nil
}

// Take fulfils Receiver.
func (r *Intake) Take(ctx context.Context, d sekretariat.Delivery, body io.Reader) (Ticket, error) {
	return r.take(ctx, d, "", body)
}

func (r *Intake) take(ctx context.Context, d sekretariat.Delivery, park sekretariat.ParkReason, body io.Reader) (*ticket, error) {
	if err := r.enter(); err != nil {
		return nil, err
	}
	t, err := r.stage(ctx, d, park, body)
	if err != nil {
		r.counts.failed.Add(1)
		r.work.Done()
		return nil, err
	}
	t.life, t.giveUp = context.WithCancel(r.life)
	go func() {
		defer r.work.Done()
		t.run()
	}()
	return t, nil
}

// stage reads the body to its end into a spool.
func (r *Intake) stage(ctx context.Context, d sekretariat.Delivery, park sekretariat.ParkReason, body io.Reader) (*ticket, error) {
	if err := check(d); err != nil {
		return nil, err
	}
	log, err := r.o.Log(d.Centre)
	if err != nil {
		return nil, fmt.Errorf("ledger of centre %s: %w", d.Centre, err)
	}
	if err := r.slots.Acquire(ctx, 1); err != nil {
		return nil, fmt.Errorf("wait until less is in flight: %w", err)
	}
	if err := r.memory.Acquire(ctx, spoolMemory); err != nil {
		r.slots.Release(1)
		return nil, fmt.Errorf("wait until less is in flight: %w", err)
	}
	r.counts.inFlight.Add(1)
	t := &ticket{r: r, log: log, held: spoolMemory, done: make(chan struct{})}
	if t.spool, err = r.o.Vault.NewSpool(r.o.Limits.Delivery); err == nil {
		err = fill(ctx, t.spool, body)
	}
	if err != nil {
		t.release()
		return nil, err
	}
	facts := t.spool.Facts()
	t.held = memoryOf(facts.Size)
	r.memory.Release(spoolMemory - t.held)
	t.manifest = r.describe(d, park, facts)
	return t, nil
}

// spoolMemory is the most that one body holds in memory: a spool of up to
// 1 MiB, which is copied when it is stored. What is longer lies in a file.
const spoolMemory = 2 << 20

// memoryOf is what a body of this size holds once it was read.
func memoryOf(size int64) int64 { return min(2*size+8<<10, spoolMemory) }

// fill copies the body, hashing on the way. Errors of the body come back
// wrapped, so that a channel knows its own.
func fill(ctx context.Context, spool *storage.Spool, body io.Reader) error {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for empty := 0; ; {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("read body: %w", err)
		}
		n, err := body.Read(*buf)
		if n > 0 {
			empty = 0
			if _, err := spool.Write((*buf)[:n]); errors.Is(err, storage.ErrTooLarge) {
				return fmt.Errorf("%w: %w", ErrTooLarge, err)
			} else if err != nil {
				return fmt.Errorf("stage body: %w", err)
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("read body: %w", err)
		case n == 0:
			if empty++; empty > 100 {
				return fmt.Errorf("read body: %w", io.ErrNoProgress)
			}
		}
	}
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}

// Seen fulfils Receiver.
func (r *Intake) Seen(ctx context.Context, centre sekretariat.CentreID, d sekretariat.SeenData) error {
	if err := r.enter(); err != nil {
		return err
	}
	defer r.work.Done()
	if _, err := sekretariat.ParseSubmissionID(string(d.Submission)); err != nil {
		return fmt.Errorf("seen again: %w", err)
	}
	log, err := r.o.Log(centre)
	if err != nil {
		return fmt.Errorf("ledger of centre %s: %w", centre, err)
	}
	return r.seen(ctx, log, centre, d)
}

// seen writes one sighting. Its revision only has to differ from that of every
// other sighting of the submission.
func (r *Intake) seen(ctx context.Context, log ledger.Log, centre sekretariat.CentreID, d sekretariat.SeenData) error {
	now := r.o.Clock()
	revision := int(now.UnixMilli())*1000 + int(r.sights.Add(1)%1000)
	e, err := sekretariat.NewEvent(sekretariat.EventSeen, centre, role, string(d.Submission), revision, now, d)
	if err != nil {
		return err
	}
	record := ledger.Record{Subject: string(d.Submission), LastSeq: ledger.AnySeq, Event: e}
	if _, err := log.Append(ctx, ledger.Audit, record); err != nil {
		return fmt.Errorf("note that %s was seen again: %w", d.Submission, err)
	}
	r.counts.seen.Add(1)
	return nil
}

// role is how the receiver signs its events.
const role = "receiver"
