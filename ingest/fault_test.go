package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/sys/unix"

	"sekretariat"
	"sekretariat/ingest"
	"sekretariat/ingest/ingesttest"
	"sekretariat/ledger"
	"sekretariat/storage"
)

var errBroken = errors.New("connection reset")

// A body that fails leaves nothing, and its error is the channel's own.
func TestFailingBodies(t *testing.T) {
	h := ingesttest.NewHouse(t)
	c := h.Centre(t)
	r := h.Receiver(t, ingest.Limits{Tickets: 1})
	big := strings.Repeat("x", 3<<20)
	for name, body := range map[string]io.Reader{
		"at once":     iotest.ErrReader(errBroken),
		"small":       io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(errBroken)),
		"large":       io.MultiReader(strings.NewReader(big), iotest.ErrReader(errBroken)),
		"with data":   iotest.DataErrReader(io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(errBroken))),
		"no progress": stuck{},
	} {
		_, err := r.Take(context.Background(), mail(c), body)
		if name == "no progress" && !errors.Is(err, io.ErrNoProgress) || name != "no progress" && !errors.Is(err, errBroken) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(h.Store.TempFolder(), "spool-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if n := r.Counters(); n.InFlight != 0 || n.Failed != 5 {
		t.Errorf("counters %+v", n)
	}
	take(t, r, mail(c), "the one place is free again")
	if n := len(h.Submissions(t, c)); n != 1 {
		t.Errorf("%d submissions, want 1", n)
	}
}

// stuck is a reader that never gives anything.
type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

// Odd but legal readers give the same submission.
func TestOddReaders(t *testing.T) {
	h := ingesttest.NewHouse(t)
	c := h.Centre(t)
	r := h.Receiver(t, ingest.Limits{})
	text := strings.Repeat("łąka ", 40_000)
	for _, body := range []io.Reader{
		strings.NewReader(text), iotest.HalfReader(strings.NewReader(text)), iotest.DataErrReader(strings.NewReader(text)),
	} {
		ticket, err := r.Take(context.Background(), mail(c), body)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ticket.Wait(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if all := h.Submissions(t, c); len(all) != 1 || string(all[0].Original) != text {
		t.Errorf("%d submissions", len(all))
	}
}

func TestTooLarge(t *testing.T) {
	h := ingesttest.NewHouse(t)
	c := h.Centre(t)
	r := h.Receiver(t, ingest.Limits{Delivery: 2 << 20})
	endless := endlessReader{}
	if _, err := r.Take(context.Background(), mail(c), endless); !errors.Is(err, ingest.ErrTooLarge) {
		t.Errorf("an endless body: %v", err)
	}
	if _, err := r.Take(context.Background(), mail(c), io.LimitReader(endless, 2<<20+1)); !errors.Is(err, ingest.ErrTooLarge) {
		t.Errorf("one octet too many: %v", err)
	}
	ticket, err := r.Take(context.Background(), mail(c), io.LimitReader(endless, 2<<20))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ticket.Wait(context.Background()); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(h.Store.TempFolder(), "spool-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

type endlessReader struct{}

func (endlessReader) Read(p []byte) (int, error) { return len(p), nil }

// flaky is the staged store of a house with a switch that turns it off.
type flaky struct {
	storage.Grouper
	off   atomic.Bool
	calls atomic.Int64
	late  atomic.Bool // fail after the group was stored: the outcome is in doubt
}

func (f *flaky) PutAll(ctx context.Context, items []storage.Item) error {
	f.calls.Add(1)
	if f.off.Load() {
		return errBroken
	}
	err := f.Grouper.PutAll(ctx, items)
	if f.late.CompareAndSwap(true, false) {
		return errors.Join(errBroken, err)
	}
	return err
}

// flakyLog is a ledger with a switch.
type flakyLog struct {
	ledger.Log
	off   atomic.Bool
	calls atomic.Int64
	late  atomic.Bool
}

func (f *flakyLog) Append(ctx context.Context, s ledger.StreamName, r ledger.Record) (uint64, error) {
	f.calls.Add(1)
	if f.off.Load() {
		return 0, errBroken
	}
	seq, err := f.Log.Append(ctx, s, r)
	if f.late.CompareAndSwap(true, false) {
		return 0, errors.Join(errBroken, err)
	}
	return seq, err
}

func (f *flakyLog) Last(ctx context.Context, s ledger.StreamName, subject string) (ledger.Stored, error) {
	if f.off.Load() {
		return ledger.Stored{}, errBroken
	}
	return f.Log.Last(ctx, s, subject)
}

// flakyHouse is a receiver over a store and a ledger that can be turned off.
func flakyHouse(t *testing.T, h *ingesttest.House, c sekretariat.CentreID) (*ingest.Intake, *flaky, *flakyLog) {
	t.Helper()
	store := &flaky{Grouper: h.Store}
	inner, err := h.Log(c)
	if err != nil {
		t.Fatal(err)
	}
	log := &flakyLog{Log: inner}
	r, err := ingest.NewReceiver(ingest.Options{
		Vault: h.VaultOver(store),
		Log:   func(sekretariat.CentreID) (ledger.Log, error) { return log, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(context.Background()) })
	return r, store, log
}

// Store and ledger are away and come back: everything completes without
// anybody's doing, once.
func TestAway(t *testing.T) {
	h := ingesttest.NewHouse(t)
	for _, what := range []string{"store", "ledger"} {
		t.Run(what, func(t *testing.T) {
			c := h.Centre(t)
			r, store, log := flakyHouse(t, h, c)
			off, calls := &store.off, &store.calls
			if what == "ledger" {
				off, calls = &log.off, &log.calls
			}
			off.Store(true)
			var wg sync.WaitGroup
			for i := range 30 {
				wg.Go(func() { take(t, r, named(c, fmt.Sprint(i)), "letter") })
			}
			until(t, func() bool { return calls.Load() > 60 })
			if n := len(h.Submissions(t, c)); n != 0 {
				t.Errorf("%d submissions were announced while the %s was away", n, what)
			}
			off.Store(false)
			wg.Wait()
			if n := len(h.Submissions(t, c)); n != 30 {
				t.Errorf("%d submissions, want 30", n)
			}
			if n := r.Counters(); n.Retries == 0 || n.Taken != 30 || n.InFlight != 0 {
				t.Errorf("counters %+v", n)
			}
		})
	}
}

// An error after the deed (a lost answer) leads to one submission that is no
// repeat.
func TestInDoubt(t *testing.T) {
	h := ingesttest.NewHouse(t)
	c := h.Centre(t)
	r, store, log := flakyHouse(t, h, c)
	store.late.Store(true)
	if receipt := take(t, r, named(c, "a"), "letter"); receipt.Repeat {
		t.Error("our own manifest was taken for somebody else's")
	}
	log.late.Store(true)
	if receipt := take(t, r, named(c, "b"), "letter"); receipt.Repeat {
		t.Error("our own event was taken for somebody else's")
	}
	if n := len(h.Submissions(t, c)); n != 2 {
		t.Errorf("%d submissions, want 2", n)
	}
	if n := seen(t, h, c); n != 0 {
		t.Errorf("%d sightings, want none", n)
	}
}

// Whoever stops waiting gives the delivery up; the next try completes it with
// the times of the first.
func TestGivenUp(t *testing.T) {
	h := ingesttest.NewHouse(t)
	c := h.Centre(t)
	r, _, log := flakyHouse(t, h, c)
	log.off.Store(true)
	ticket, err := r.Take(context.Background(), named(c, "a"), strings.NewReader("letter"))
	if err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { return log.calls.Load() > 0 }) // original and manifest are durable
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := ticket.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("Wait: %v", err)
	}
	until(t, func() bool { return r.Counters().InFlight == 0 })
	log.off.Store(false)
	if n := len(h.Submissions(t, c)); n != 0 {
		t.Fatalf("%d submissions were announced", n)
	}
	late := named(c, "a")
	late.Arrived.At = late.Arrived.At.Add(time.Hour)
	receipt := take(t, r, late, "the same again, with other trace fields")
	all := h.Submissions(t, c)
	if len(all) != 1 || string(all[0].Original) != "letter" || !all[0].Arrived.Arrived.At.Equal(mail(c).Arrived.At) {
		t.Fatalf("submissions %+v", all)
	}
	if receipt.Original != sekretariat.DigestOf([]byte("letter")) || !receipt.Arrived.At.Equal(mail(c).Arrived.At) {
		t.Errorf("receipt %+v is not the first delivery's", receipt)
	}
	if n := seen(t, h, c); n != 0 {
		t.Errorf("%d sightings: the delivery was never announced before", n)
	}
}

// Take waits while too much is in flight, and stops waiting with its context.
func TestTakeBlocks(t *testing.T) {
	h := ingesttest.NewHouse(t)
	c := h.Centre(t)
	log := &flakyLog{}
	log.Log, _ = h.Log(c)
	log.off.Store(true)
	r, err := ingest.NewReceiver(ingest.Options{
		Vault: h.Vault, Log: func(sekretariat.CentreID) (ledger.Log, error) { return log, nil }, Limits: ingest.Limits{Tickets: 2},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close(context.Background())
	var tickets []ingest.Ticket
	for i := range 2 {
		ticket, err := r.Take(context.Background(), named(c, fmt.Sprint(i)), strings.NewReader("letter"))
		if err != nil {
			t.Fatal(err)
		}
		tickets = append(tickets, ticket)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	body := strings.NewReader("third")
	if _, err := r.Take(ctx, named(c, "2"), body); !errors.Is(err, context.DeadlineExceeded) || body.Len() != 5 {
		t.Errorf("third of two: error %v, %d octets left", err, body.Len())
	}
	log.off.Store(false)
	take(t, r, named(c, "2"), "third")
	for _, ticket := range tickets {
		if _, err := ticket.Wait(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

// A damaged manifest is an alarm, not something to try again for ever, and the
// source is not told.
func TestDamagedManifest(t *testing.T) {
	h := ingesttest.NewHouse(t)
	c := h.Centre(t)
	r := h.Receiver(t, ingest.Limits{})
	first := take(t, r, named(c, "one"), "letter")
	key := storage.ManifestKey(c, first.Submission)
	if err := h.Store.Put(context.Background(), key, storage.Bytes([]byte("rubbish"))); err != nil {
		t.Fatal(err)
	}
	ticket, err := r.Take(context.Background(), named(c, "one"), strings.NewReader("letter"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ticket.Wait(context.Background()); !errors.Is(err, storage.ErrDamaged) {
		t.Errorf("Wait: %v", err)
	}
}

// The disk is full in the middle of a large body, then freed: the delivery
// fails without a trace and passes when it is brought again; one that was read
// already completes by itself.
func TestDiskFull(t *testing.T) {
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=48m"); err != nil {
		t.Skipf("needs the right to mount a small tmpfs: %v", err)
	}
	defer unix.Unmount(disk, unix.MNT_DETACH)
	h, err := ingesttest.OpenHouse(context.Background(), disk)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close(context.Background())
	c := h.Centre(t)
	r := h.Receiver(t, ingest.Limits{})
	take(t, r, named(c, "before"), "letter")
	ballast := filepath.Join(disk, "ballast")
	fillDisk(t, ballast)
	if _, err := r.Take(context.Background(), named(c, "large"), io.LimitReader(endlessReader{}, 4<<20)); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("a large body on a full disk: %v", err)
	}
	ticket, err := r.Take(context.Background(), named(c, "small"), strings.NewReader(strings.Repeat("y", 100<<10)))
	if err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { return r.Counters().Retries > 0 })
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if _, err := ticket.Wait(context.Background()); err != nil {
		t.Fatalf("after the disk was freed: %v", err)
	}
	ticket, err = r.Take(context.Background(), named(c, "large"), io.LimitReader(endlessReader{}, 4<<20))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ticket.Wait(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := len(h.Submissions(t, c)); n != 3 {
		t.Errorf("%d submissions, want 3", n)
	}
}

// fillDisk writes until nothing more goes in.
func fillDisk(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{1 << 20, 4 << 10} {
		for err == nil {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, unix.ENOSPC) {
			t.Fatal(err)
		}
		err = nil
	}
}

// until waits for a condition.
func until(t testing.TB, ok func() bool) {
	t.Helper()
	deadline := time.After(ingesttest.Patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("condition not reached")
		}
	}
}
