package ingesttest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"sekretariat"
	"sekretariat/ingest"
)

// Source is the outside world of one channel under test: a mailbox on a real
// server, a simulated platform, a folder. Deliveries have numbers; whatever a
// number stands for is different from that of every other number. Methods are
// called from several goroutines, also while the channel runs.
type Source interface {
	// Put lays delivery n at the source, unconfirmed, and returns the bytes
	// that the house must keep of it, bit for bit. A number that was put
	// before is the same delivery once more.
	Put(t testing.TB, n int) []byte
	// Channel makes a channel at the source that hands its deliveries to r,
	// with pauses and polls short enough for a test. Channels are made one
	// after the other; each is a new process that knows nothing but what
	// source, store and ledger hold.
	Channel(t testing.TB, r ingest.Receiver) ingest.Channel
	// Held returns the numbers of the deliveries that the source still holds
	// unconfirmed. A source that was told must no longer name them.
	Held(t testing.TB) []int
}

// Factory makes an empty source for one case. Its account belongs to centre.
type Factory func(t *testing.T, centre sekretariat.CentreID) Source

// Patience is how long a case may take to reach a state that it must reach.
const Patience = 60 * time.Second

// Run puts a channel through the whole suite. All cases share one house.
func Run(t *testing.T, make Factory) {
	h := NewHouse(t)
	start := func(t *testing.T) *trial {
		centre := h.Centre(t)
		return &trial{house: h, centre: centre, source: make(t, centre), want: map[int][]byte{}, by: map[sekretariat.Digest]int{}}
	}
	t.Run("plain", func(t *testing.T) { plain(t, start(t)) })
	t.Run("repeats", func(t *testing.T) { repeats(t, start(t)) })
	t.Run("twice at once", func(t *testing.T) { twice(t, start(t)) })
	t.Run("receiver away", func(t *testing.T) { away(t, start(t)) })
	t.Run("too large", func(t *testing.T) { tooLarge(t, start(t)) })
	for _, step := range Steps() {
		for _, nth := range []int{1, 3, 5} {
			t.Run(fmt.Sprintf("crash %s %d", step, nth), func(t *testing.T) {
				broken(t, start(t), Fault{Step: step, Nth: nth, Crash: true})
			})
			if step != AfterWait {
				t.Run(fmt.Sprintf("fault %s %d", step, nth), func(t *testing.T) {
					broken(t, start(t), Fault{Step: step, Nth: nth})
				})
			}
		}
	}
	t.Run("many crashes", func(t *testing.T) { many(t, start(t)) })
}

// trial is one case: a source, and what the house must hold in the end.
type trial struct {
	house  *House
	centre sekretariat.CentreID
	source Source

	mu   sync.Mutex
	want map[int][]byte
	by   map[sekretariat.Digest]int
}

func (c *trial) put(t testing.TB, from, to int) {
	t.Helper()
	for n := from; n <= to; n++ {
		b := c.source.Put(t, n)
		c.mu.Lock()
		if old, ok := c.want[n]; ok && !bytes.Equal(old, b) {
			t.Errorf("Put(%d) gave other bytes the second time", n)
		}
		c.want[n], c.by[sekretariat.DigestOf(b)] = b, n
		c.mu.Unlock()
	}
}

// running is a channel at work.
type running struct {
	channel ingest.Channel
	faulty  *Faulty
	stop    context.CancelFunc
	ended   chan struct{}
	err     error
}

// begin starts a channel, a new process as it were, with a receiver that has
// the fault.
func (c *trial) begin(t testing.TB, fault Fault) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{stop: cancel, ended: make(chan struct{})}
	r.faulty = &Faulty{Inner: c.house.Receiver(t, ingest.Limits{}), Fault: fault, OnCrash: cancel, OnDurable: func(d sekretariat.Digest) { c.durable(t, d) }}
	r.channel = c.source.Channel(t, r.faulty)
	go func() {
		defer close(r.ended)
		r.err = r.channel.Run(ctx)
	}()
	return r
}

// durable is called when a delivery has become durable and its channel does not
// know it yet: the source must still hold it.
func (c *trial) durable(t testing.TB, d sekretariat.Digest) {
	c.mu.Lock()
	n, ok := c.by[d]
	c.mu.Unlock()
	if !ok {
		t.Errorf("the channel delivered bytes that nobody put at the source (digest %s)", d)
	} else if !slices.Contains(c.source.Held(t), n) {
		t.Errorf("the source was told of delivery %d before it was durable", n)
	}
}

// finish cancels the channel and waits for its end.
func (r *running) finish(t testing.TB) {
	t.Helper()
	r.stop()
	r.wait(t)
}

func (r *running) wait(t testing.TB) {
	t.Helper()
	select {
	case <-r.ended:
		if r.err != nil {
			t.Errorf("Run returned %v after its context had ended, want nil", r.err)
		}
	case <-time.After(Patience):
		t.Fatalf("Run did not return within %v after its context had ended", Patience)
	}
}

// reach waits until a condition holds.
func (r *running) reach(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-r.ended:
			t.Fatalf("the channel ended by itself (%v) before: %s", r.err, what)
		case <-ctx.Done():
			t.Fatalf("not reached within %v: %s; the channel says %+v", Patience, what, r.channel.Health())
		}
	}
}

// drain runs a channel without faults until the source holds nothing, and
// checks the house.
func (c *trial) drain(t testing.TB) {
	t.Helper()
	r := c.begin(t, Fault{})
	r.reach(t, "the source holds nothing any more", func() bool { return len(c.source.Held(t)) == 0 })
	r.finish(t)
	c.check(t)
}

// check compares the house with what was put: each delivery that the source
// does not hold is one submission, bit for bit, and nothing else is there.
func (c *trial) check(t testing.TB) {
	t.Helper()
	count := map[int]int{}
	for _, s := range c.house.Submissions(t, c.centre) {
		if s.Manifest.Park != "" {
			continue
		}
		n, ok := c.by[sekretariat.DigestOf(s.Original)]
		if !ok {
			t.Errorf("submission %s has bytes that nobody put at the source", s.Arrived.Submission)
			continue
		}
		if count[n]++; count[n] > 1 {
			t.Errorf("delivery %d became %d submissions", n, count[n])
		}
	}
	held := c.source.Held(t)
	for n := range c.want {
		if count[n] == 0 && !slices.Contains(held, n) {
			t.Errorf("delivery %d was confirmed at its source and is not durable: it is lost", n)
		}
	}
}

// parked returns how many notes the house holds.
func (c *trial) parked(t testing.TB) (n int) {
	for _, s := range c.house.Submissions(t, c.centre) {
		if s.Manifest.Park != "" {
			n++
		}
	}
	return n
}

func plain(t *testing.T, c *trial) {
	c.put(t, 1, 5)
	c.drain(t)
	if got := len(c.house.Submissions(t, c.centre)); got != 5 {
		t.Errorf("%d submissions, want 5", got)
	}
}

func repeats(t *testing.T, c *trial) {
	c.put(t, 1, 3)
	c.drain(t)
	c.put(t, 1, 4) // three old ones and a new one, to a new process
	c.drain(t)
	r := c.begin(t, Fault{})
	c.put(t, 2, 5) // and to a running one
	r.reach(t, "the source holds nothing any more", func() bool { return len(c.source.Held(t)) == 0 })
	r.finish(t)
	c.check(t)
}

func twice(t *testing.T, c *trial) {
	c.put(t, 1, 3)
	c.put(t, 1, 3)
	c.drain(t)
}

// away is a store that does not come back: nothing may be confirmed, and Run
// must end all the same when it is told to.
func away(t *testing.T, c *trial) {
	c.put(t, 1, 3)
	ctx, cancel := context.WithCancel(context.Background())
	block := &blocked{waiting: make(chan struct{})}
	r := &running{channel: c.source.Channel(t, block), stop: cancel, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		r.err = r.channel.Run(ctx)
	}()
	select {
	case <-block.waiting:
	case <-time.After(Patience):
		t.Fatal("the channel never waited for a ticket")
	}
	r.finish(t)
	if held := c.source.Held(t); len(held) != 3 {
		t.Errorf("the source holds %v, want all three: nothing was durable", held)
	}
	c.drain(t)
}

// tooLarge is a delivery over the hard limit: the others pass, and one note
// about it comes before a clerk, also after a restart.
func tooLarge(t *testing.T, c *trial) {
	c.put(t, 1, 4)
	for round := range 2 {
		if round == 1 {
			c.put(t, 5, 5)
		}
		r := c.beginLimited(t)
		r.reach(t, "the small deliveries are confirmed and a note about the large one is parked", func() bool {
			for _, n := range c.source.Held(t) {
				if n != 2 {
					return false
				}
			}
			return c.parked(t) >= 1
		})
		r.finish(t)
	}
	if n := c.parked(t); n != 1 {
		t.Errorf("%d notes about one delivery, want 1", n)
	}
	got := 0
	for _, s := range c.house.Submissions(t, c.centre) {
		if bytes.Equal(s.Original, c.want[2]) {
			t.Error("the delivery over the limit was taken in")
		}
		if s.Manifest.Park == "" {
			got++
		}
	}
	if got != 4 {
		t.Errorf("%d of the small deliveries arrived, want 4", got)
	}
}

// beginLimited starts a channel whose receiver finds delivery 2 too large.
func (c *trial) beginLimited(t testing.TB) *running {
	ctx, cancel := context.WithCancel(context.Background())
	inner := c.house.Receiver(t, ingest.Limits{})
	r := &running{stop: cancel, ended: make(chan struct{})}
	r.channel = c.source.Channel(t, &limited{Receiver: inner, refuse: sekretariat.DigestOf(c.want[2])})
	go func() {
		defer close(r.ended)
		r.err = r.channel.Run(ctx)
	}()
	return r
}

// broken is one fault, then a restart.
func broken(t *testing.T, c *trial, fault Fault) {
	c.put(t, 1, 5)
	r := c.begin(t, fault)
	if !fault.Crash {
		r.reach(t, "the source holds nothing any more", func() bool { return len(c.source.Held(t)) == 0 })
		r.finish(t)
		c.check(t)
		return
	}
	select {
	case <-r.ended:
	case <-time.After(Patience):
		t.Fatalf("the channel did not reach the crash within %v; it says %+v", Patience, r.channel.Health())
	}
	r.wait(t)
	if !r.faulty.Fired() {
		t.Fatal("the channel ended before the crash")
	}
	c.check(t) // nothing confirmed that is not durable
	c.drain(t)
}

// many crashes one process after the other at random places, with repeats.
func many(t *testing.T, c *trial) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, seed))
	next := 1
	for range 15 {
		more := 1 + random.IntN(4)
		c.put(t, next, next+more-1)
		next += more
		c.put(t, 1, 1+random.IntN(next-1)) // some of the old ones again
		held := len(c.source.Held(t))
		r := c.begin(t, Fault{Step: Steps()[random.IntN(len(Steps()))], Nth: 1 + random.IntN(max(1, held)), Crash: true})
		r.reachOrEnd(t, func() bool { return len(c.source.Held(t)) == 0 })
		r.finish(t)
		c.check(t)
	}
	c.drain(t)
}

// reachOrEnd waits for a condition or for the crash.
func (r *running) reachOrEnd(t testing.TB, ok func() bool) {
	t.Helper()
	timeout := time.After(Patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-r.ended:
			return
		case <-timeout:
			t.Fatalf("neither crashed nor finished within %v; the channel says %+v", Patience, r.channel.Health())
		}
	}
}
