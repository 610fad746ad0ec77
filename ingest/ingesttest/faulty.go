package ingesttest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"

	"sekretariat"
	"sekretariat/ingest"
)

// Step is a place between two steps of taking a delivery in.
type Step string

// The places, in order.
const (
	BeforeTake    Step = "before-take"    // nothing of the body was read
	MidBody       Step = "mid-body"       // some octets of the body were read
	AfterBody     Step = "after-body"     // the body was read, Take fails
	BeforeDurable Step = "before-durable" // there is a ticket, but nothing becomes durable; Wait fails
	AfterDurable  Step = "after-durable"  // durable and announced, but Wait fails
	AfterWait     Step = "after-wait"     // Wait succeeds and then the process dies
)

// Steps are all of them.
func Steps() []Step {
	return []Step{BeforeTake, MidBody, AfterBody, BeforeDurable, AfterDurable, AfterWait}
}

// Fault says where a Faulty breaks.
type Fault struct {
	Step Step
	// Nth delivery handed to Take, from 1, counted over the life of the Faulty.
	Nth int
	// Crash ends everything: OnCrash is called and no call succeeds any more.
	// Otherwise the call fails once, as with a store that was away.
	Crash bool
	// Err is what the failing call returns; nil means ErrInjected.
	Err error
}

// ErrInjected is what a broken call returns by default.
var ErrInjected = errors.New("injected fault")

// Faulty is a Receiver that breaks where its Fault says and otherwise passes
// everything on.
type Faulty struct {
	Inner ingest.Receiver
	Fault Fault
	// OnCrash is called when the process "dies": cancel the channel there.
	OnCrash func()
	// OnDurable, if set, is called with the digest of a body that is durable
	// and whose Wait is about to return without an error.
	OnDurable func(sekretariat.Digest)

	mu    sync.Mutex
	dead  bool
	takes int
	fired bool
}

var _ ingest.Receiver = (*Faulty)(nil)

// Fired tells whether the fault has come.
func (f *Faulty) Fired() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fired
}

// alive returns an error once the process has "died".
func (f *Faulty) alive() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead {
		return fmt.Errorf("after the crash: %w", ErrInjected)
	}
	return nil
}

// next counts a delivery and tells where it is to break, "" for nowhere.
func (f *Faulty) next() Step {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.takes++; f.takes != f.Fault.Nth {
		return ""
	}
	return f.Fault.Step
}

// fire breaks: it marks the fault as come and, for a crash, kills.
func (f *Faulty) fire() error {
	f.mu.Lock()
	f.fired = true
	f.dead = f.dead || f.Fault.Crash
	f.mu.Unlock()
	if f.Fault.Crash && f.OnCrash != nil {
		f.OnCrash()
	}
	if f.Fault.Err != nil {
		return fmt.Errorf("%s: %w", f.Fault.Step, f.Fault.Err)
	}
	return fmt.Errorf("%s: %w", f.Fault.Step, ErrInjected)
}

// Take fulfils ingest.Receiver.
func (f *Faulty) Take(ctx context.Context, d sekretariat.Delivery, body io.Reader) (ingest.Ticket, error) {
	if err := f.alive(); err != nil {
		return nil, err
	}
	step := f.next()
	switch step {
	case BeforeTake:
		return nil, f.fire()
	case MidBody:
		if _, err := io.CopyN(io.Discard, body, 16); err != nil && err != io.EOF {
			return nil, err
		}
		return nil, f.fire()
	case AfterBody, BeforeDurable:
		if _, err := io.Copy(io.Discard, body); err != nil {
			return nil, err
		}
		if step == AfterBody {
			return nil, f.fire()
		}
		return &faultyTicket{f: f, step: step}, nil
	}
	sum := sha256.New()
	inner, err := f.Inner.Take(ctx, d, io.TeeReader(body, sum))
	if err != nil {
		return nil, err
	}
	return &faultyTicket{f: f, step: step, inner: inner, digest: sekretariat.Digest(hex.EncodeToString(sum.Sum(nil)))}, nil
}

// Seen fulfils ingest.Receiver.
func (f *Faulty) Seen(ctx context.Context, centre sekretariat.CentreID, d sekretariat.SeenData) error {
	if err := f.alive(); err != nil {
		return err
	}
	return f.Inner.Seen(ctx, centre, d)
}

// Park fulfils ingest.Receiver.
func (f *Faulty) Park(ctx context.Context, d sekretariat.Delivery, reason sekretariat.ParkReason, note string) (sekretariat.Receipt, error) {
	if err := f.alive(); err != nil {
		return sekretariat.Receipt{}, err
	}
	return f.Inner.Park(ctx, d, reason, note)
}

type faultyTicket struct {
	f      *Faulty
	step   Step
	inner  ingest.Ticket
	digest sekretariat.Digest
}

// Wait fulfils ingest.Ticket.
func (t *faultyTicket) Wait(ctx context.Context) (sekretariat.Receipt, error) {
	if err := t.f.alive(); err != nil {
		return sekretariat.Receipt{}, err
	}
	if t.step == BeforeDurable {
		return sekretariat.Receipt{}, t.f.fire()
	}
	receipt, err := t.inner.Wait(ctx)
	if err != nil {
		return receipt, err
	}
	if t.step == AfterDurable {
		return sekretariat.Receipt{}, t.f.fire()
	}
	if t.f.OnDurable != nil {
		t.f.OnDurable(t.digest)
	}
	if t.step == AfterWait {
		_ = t.f.fire() // the receipt is given, then the process dies
	}
	return receipt, nil
}
