package ingesttest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sekretariat"
	"sekretariat/ingest"
	"sekretariat/ingest/ingesttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a source in memory: a queue whose items are removed to confirm
// them. bug names what its channel does wrong.
type memory struct {
	centre sekretariat.CentreID
	bug    string

	mu    sync.Mutex
	next  int
	items []item
}

type item struct{ serial, n int }

func text(n int) []byte { return fmt.Appendf(nil, "delivery %d, long enough to break off in", n) }

func (m *memory) Put(_ testing.TB, n int) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.next++
	m.items = append(m.items, item{m.next, n})
	return text(n)
}

func (m *memory) Held(testing.TB) (held []int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, i := range m.items {
		held = append(held, i.n)
	}
	return held
}

func (m *memory) Channel(_ testing.TB, r ingest.Receiver) ingest.Channel { return &queue{m, r} }

func (m *memory) first() (item, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.items) == 0 {
		return item{}, false
	}
	return m.items[0], true
}

// last moves an item to the end, so that it does not hold up the others.
func (m *memory) last(i item) {
	m.confirm(i)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.items = append(m.items, i)
}

func (m *memory) confirm(i item) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.items = slices.DeleteFunc(m.items, func(o item) bool { return o == i })
}

// queue is the channel of a memory.
type queue struct {
	m *memory
	r ingest.Receiver
}

func (q *queue) Name() string          { return "test" }
func (q *queue) Health() ingest.Health { return ingest.Health{OK: true} }

func (q *queue) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if i, ok := q.m.first(); ok {
			q.one(ctx, i)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (q *queue) one(ctx context.Context, i item) {
	body := text(i.n)
	d := sekretariat.Delivery{
		Centre: q.m.centre, Kind: sekretariat.KindBox, Door: sekretariat.DoorFolder, Account: "box",
		Identity: func(f sekretariat.BodyFacts) []string { return []string{string(f.SHA256)} },
		Arrived:  sekretariat.Arrival{At: time.Now(), Basis: sekretariat.BasisScanned},
	}
	switch q.m.bug {
	case "alters":
		body = append(body, '\n')
	case "doubles":
		d.Identity = func(sekretariat.BodyFacts) []string { return []string{fmt.Sprint(time.Now().UnixNano())} }
	}
	ticket, err := q.r.Take(ctx, d, bytes.NewReader(body))
	if errors.Is(err, ingest.ErrTooLarge) {
		q.tooLarge(ctx, d, i)
		return
	}
	if err != nil {
		if q.m.bug == "drops" {
			q.m.confirm(i)
		}
		return
	}
	if q.m.bug == "confirms early" {
		q.m.confirm(i)
	}
	if _, err := ticket.Wait(ctx); err == nil || q.m.bug == "ignores Wait" {
		q.m.confirm(i)
	}
}

func (q *queue) tooLarge(ctx context.Context, d sekretariat.Delivery, i item) {
	d.Identity = func(sekretariat.BodyFacts) []string { return []string{fmt.Sprint(i.n)} }
	if q.m.bug == "nags" {
		d.Identity = func(sekretariat.BodyFacts) []string { return []string{fmt.Sprint(time.Now().UnixNano())} }
	}
	if _, err := q.r.Park(ctx, d, sekretariat.ParkOversize, "za duże"); err == nil {
		q.m.last(i)
	}
}

const bugVariable = "SEKRETARIAT_TEST_BUG"

// TestGood: a right channel passes. The other tests run it again in a process
// of its own, with a bug.
func TestGood(t *testing.T) {
	bug := os.Getenv(bugVariable)
	ingesttest.Run(t, func(_ *testing.T, centre sekretariat.CentreID) ingesttest.Source {
		return &memory{centre: centre, bug: bug}
	})
}

// Channels that do something wrong fail, and the message says what.
func TestBad(t *testing.T) {
	for bug, c := range map[string]struct{ run, says string }{
		"alters":         {"plain", "bytes that nobody put at the source"},
		"doubles":        {"repeats", "became 2 submissions"},
		"drops":          {"fault_mid-body_3", "is not durable: it is lost"},
		"confirms early": {"plain", "before it was durable"},
		"ignores Wait":   {"crash_before-durable_3", "is not durable: it is lost"},
		"nags":           {"too_large", "notes about one delivery, want 1"},
	} {
		t.Run(bug, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run=^TestGood$/^"+c.run+"$", "-test.timeout=5m")
			cmd.Env = append(os.Environ(), bugVariable+"="+bug)
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatal("the suite passed a channel with this bug")
			}
			if !strings.Contains(string(out), c.says) {
				t.Errorf("the suite did not say %q:\n%s", c.says, out)
			}
		})
	}
}
