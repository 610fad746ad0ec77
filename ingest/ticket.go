package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"sekretariat"
	"sekretariat/ledger"
	"sekretariat/storage"
)

// ticket is one delivery on its way: its body is in the spool, its manifest is
// made, and a goroutine of its own makes it durable.
type ticket struct {
	r        *Intake
	log      ledger.Log
	spool    *storage.Spool
	held     int64 // of Intake.memory
	manifest sekretariat.Manifest

	life   context.Context // ends when nobody wants the outcome any more
	giveUp context.CancelFunc

	done    chan struct{} // closed once the fields below are set
	receipt sekretariat.Receipt
	err     error
}

// kept is the manifest that holds for a submission: ours, or the one that was
// there first.
type kept struct {
	raw      []byte
	manifest sekretariat.Manifest
	ours     bool
}

// Wait fulfils Ticket.
func (t *ticket) Wait(ctx context.Context) (sekretariat.Receipt, error) {
	select {
	case <-t.done:
		return t.receipt, t.err
	default:
	}
	select {
	case <-t.done:
		return t.receipt, t.err
	case <-ctx.Done():
		t.giveUp() // what is done already stays and makes the next try a repeat
		return sekretariat.Receipt{}, fmt.Errorf("submission %s is not durable yet: %w", t.manifest.Submission, ctx.Err())
	}
}

// run works until the delivery is durable and announced, or nobody wants to
// know any more, or an error says that no repetition will mend it.
func (t *ticket) run() {
	defer close(t.done)
	defer t.giveUp()
	defer t.release()
	leave, err := t.r.alone(t.life, t.manifest.Submission)
	if err == nil {
		defer leave()
		err = t.settle()
	}
	if err != nil {
		t.r.counts.failed.Add(1)
		t.err = fmt.Errorf("make submission %s durable: %w", t.manifest.Submission, err)
	}
}

// release gives back what the delivery holds.
func (t *ticket) release() {
	if t.spool != nil {
		t.spool.Discard()
	}
	t.r.memory.Release(t.held)
	t.r.slots.Release(1)
	t.r.counts.inFlight.Add(-1)
}

// alone lets one delivery of a submission at a time pass in this process, so
// that copies that come together do not all write. Between processes the store
// decides.
func (r *Intake) alone(ctx context.Context, id sekretariat.SubmissionID) (leave func(), err error) {
	for {
		r.mu.Lock()
		other, busy := r.busy[id]
		if !busy {
			mine := make(chan struct{})
			r.busy[id] = mine
			r.mu.Unlock()
			return func() {
				r.mu.Lock()
				delete(r.busy, id)
				r.mu.Unlock()
				close(mine)
			}, nil
		}
		r.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// settle keeps and announces the delivery and writes the receipt.
func (t *ticket) settle() error {
	var k kept
	if err := t.retry("keep", func(ctx context.Context) (err error) {
		k, err = t.keep(ctx)
		return err
	}); err != nil {
		return err
	}
	known := false
	if err := t.retry("announce", func(ctx context.Context) (err error) {
		known, err = t.announce(ctx, k)
		return err
	}); err != nil {
		return err
	}
	t.receipt = sekretariat.Receipt{
		Submission: k.manifest.Submission, Repeat: !k.ours,
		Original: k.manifest.Original.SHA256, Arrived: k.manifest.Arrived,
	}
	if !k.ours && k.manifest.Junk && !t.manifest.Junk {
		// This is no mere counter: the source may only be told when it is safe.
		return t.retry("note that it left the spam", func(ctx context.Context) error {
			t.r.counts.repeats.Add(1)
			return t.r.seen(ctx, t.log, t.manifest.Centre, t.sighting(true))
		})
	}
	t.count(k, known)
	return nil
}

func (t *ticket) sighting(fromJunk bool) sekretariat.SeenData {
	m := t.manifest
	return sekretariat.SeenData{Submission: m.Submission, Door: m.Door, Account: m.Account, FromJunk: fromJunk}
}

// count keeps the figures, and the sighting of a delivery that was announced
// long ago. That one is a counter, so a failure does not hold up the source.
func (t *ticket) count(k kept, known bool) {
	c := &t.r.counts
	switch {
	case k.ours && k.manifest.Park != "":
		c.parked.Add(1)
	case k.ours:
		c.taken.Add(1)
		c.octets.Add(k.manifest.Original.Size)
	default:
		c.repeats.Add(1)
	}
	if k.ours || !known {
		return
	}
	ctx, cancel := context.WithTimeout(t.life, ledgerTime)
	defer cancel()
	if err := t.r.seen(ctx, t.log, t.manifest.Centre, t.sighting(false)); err != nil {
		t.warn("count a repeat", err)
	}
}

// ledgerTime bounds one call of the ledger; it is then made again.
const ledgerTime = 30 * time.Second

// retry repeats a step, which must be idempotent, with growing and jittered
// pauses: store or ledger may be away for minutes, and all deliveries on their
// way must not come back in the same instant.
func (t *ticket) retry(what string, step func(context.Context) error) error {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := step(t.life)
		if err == nil {
			return nil
		}
		if t.life.Err() != nil || hopeless(err) {
			return fmt.Errorf("%s: %w", what, err)
		}
		t.r.counts.retries.Add(1)
		t.warn(what, err)
		timer := time.NewTimer(pause/2 + rand.N(pause/2+1))
		select {
		case <-timer.C:
		case <-t.life.Done():
			timer.Stop()
			return fmt.Errorf("%s: %w", what, errors.Join(t.life.Err(), err))
		}
	}
}

// hopeless tells the errors that no repetition mends.
func hopeless(err error) bool {
	return errors.Is(err, storage.ErrDamaged) || errors.Is(err, storage.ErrShredded) || errors.Is(err, storage.ErrTooLarge) ||
		ledger.IsPermanent(err)
}

// warn logs failures, but not once per delivery while everything fails.
func (t *ticket) warn(what string, err error) {
	if t.r.say.Allow() {
		t.r.o.Logger.Warn().Err(err).Str("centre", string(t.manifest.Centre)).Str("submission", string(t.manifest.Submission)).
			Str("step", what).Msg("delivery cannot be made durable yet, trying again")
	}
}

// keep makes original and manifest durable as one group, unless a manifest is
// there already: the first one wins, with its times.
func (t *ticket) keep(ctx context.Context) (kept, error) {
	m := t.manifest
	ours, err := json.Marshal(m)
	if err != nil {
		return kept{}, ledger.Permanent(fmt.Errorf("manifest of %s: %w", m.Submission, err))
	}
	for range 3 {
		raw, err := t.r.o.Vault.ReadAll(ctx, m.Centre, m.Submission, storage.ManifestKey(m.Centre, m.Submission), maxManifest)
		if err == nil {
			return decide(raw, ours)
		}
		if errors.Is(err, storage.ErrShredded) {
			return t.destroyed(ctx, err)
		}
		if !errors.Is(err, storage.ErrNotFound) {
			return kept{}, fmt.Errorf("read manifest: %w", err)
		}
		err = t.r.o.Vault.Commit(ctx, m.Centre, m.Submission, []storage.SealItem{
			{Key: m.Original.Key, Spool: t.spool},
			{Key: storage.ManifestKey(m.Centre, m.Submission), Body: storage.Bytes(ours), Once: true},
		})
		if err == nil {
			return kept{raw: ours, manifest: m, ours: true}, nil
		}
		if errors.Is(err, storage.ErrShredded) {
			return t.destroyed(ctx, err)
		}
		if !errors.Is(err, storage.ErrExists) {
			return kept{}, fmt.Errorf("store original and manifest: %w", err)
		}
		// Somebody was faster, or an earlier try of ours succeeded: read it.
	}
	return kept{}, errors.New("manifest comes and goes")
}

// destroyed answers for a submission whose key was shredded at the end of its
// retention. Its event says that it did arrive, so it is a repeat and its
// source may let it go; its bytes are not kept again.
func (t *ticket) destroyed(ctx context.Context, shredded error) (kept, error) {
	ctx, cancel := context.WithTimeout(ctx, ledgerTime)
	defer cancel()
	s, err := t.log.Last(ctx, ledger.Intake, string(t.manifest.Submission))
	if errors.Is(err, ledger.ErrNotFound) {
		return kept{}, ledger.Permanent(shredded)
	}
	if err != nil {
		return kept{}, fmt.Errorf("look for the event: %w", err)
	}
	d, err := sekretariat.DataOf[sekretariat.ArrivedData](s.Event)
	if err != nil {
		return kept{}, ledger.Permanent(err)
	}
	return kept{manifest: sekretariat.Manifest{Submission: d.Submission, Centre: t.manifest.Centre, Arrived: d.Arrived}}, nil
}

// decide reads the manifest that was found.
func decide(raw, ours []byte) (kept, error) {
	k := kept{raw: raw, ours: bytes.Equal(raw, ours)}
	if err := json.Unmarshal(raw, &k.manifest); err != nil {
		return k, ledger.Permanent(fmt.Errorf("read manifest: %w", err))
	}
	if k.manifest.Version != sekretariat.ManifestVersion {
		return k, ledger.Permanent(fmt.Errorf("manifest is of version %d, this program knows %d: update it", k.manifest.Version, sekretariat.ManifestVersion))
	}
	return k, nil
}

// announce makes sure that the event is there, whoever wrote the manifest: a
// crash may have come between the two. It tells whether it was there before.
func (t *ticket) announce(ctx context.Context, k kept) (known bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, ledgerTime)
	defer cancel()
	id := string(k.manifest.Submission)
	if !k.ours {
		// Reading first keeps repeats out of the batches of appends.
		_, err := t.log.Last(ctx, ledger.Intake, id)
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, ledger.ErrNotFound) {
			return false, fmt.Errorf("look for the event: %w", err)
		}
	}
	e, err := arrived(k)
	if err != nil {
		return false, ledger.Permanent(err)
	}
	_, err = t.log.Append(ctx, ledger.Intake, ledger.Record{Subject: id, Event: e})
	if errors.Is(err, ledger.ErrConflict) {
		return true, nil
	}
	return false, err
}
