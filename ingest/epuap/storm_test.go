package epuap

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"sekretariat/ingest/epuap/epuaptest"
)

// storm is the weather of one run: what the platform, the network and our own
// store do at random, and when the process dies.
type storm struct{ *rand.Rand }

// fault is what meets the next request.
func (s storm) fault() epuaptest.Fault {
	switch s.IntN(12) {
	case 0:
		return epuaptest.Fault{Status: 503}
	case 1:
		return epuaptest.Fault{SOAPFault: 500}
	case 2:
		return epuaptest.Fault{LoseRequest: true}
	case 3, 4:
		return epuaptest.Fault{LoseAnswer: true}
	case 5:
		return epuaptest.Fault{CutAfter: 1 + s.IntN(6000)}
	case 6:
		return epuaptest.Fault{Keep: true}
	case 7:
		return epuaptest.Fault{Refuse: true}
	case 8:
		return epuaptest.Fault{NoContent: true}
	case 9:
		return epuaptest.Fault{LoseAnswer: true, Operation: epuaptest.OpConfirm}
	case 10:
		return epuaptest.Fault{CutAfter: 1 + s.IntN(300), Operation: epuaptest.OpConfirm}
	}
	return epuaptest.Fault{Delay: time.Duration(s.IntN(3)) * time.Millisecond}
}

// TestStorm: through random faults of platform, network and store, and through
// processes that die at any moment, each letter is taken exactly once and
// confirmed only after it is durable. SEKRETARIAT_STORM=10000 is the long run.
func TestStorm(t *testing.T) {
	letters := 400
	if n, err := strconv.Atoi(os.Getenv("SEKRETARIAT_STORM")); err == nil {
		letters = n
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	s := storm{rand.New(rand.NewPCG(seed, 0))} //nolint:gosec // a test that can be repeated
	var early sync.Map
	var h *house
	h = newHouse(t, epuaptest.Options{Confirming: func(d epuaptest.Document) {
		if !h.memory.has(d) {
			early.Store(d.ID, true)
		}
	}})
	h.options.Account.Pins = []string{h.Pin()}
	want := map[string]int{}
	for i := range letters {
		content := fmt.Sprintf("<Dokument><Tytul>%d</Tytul></Dokument>", i/5) // some are the same, sent at other times
		want[content]++
		h.put(t, epuaptest.Document{ID: strconv.Itoa(i), Content: []byte(content), Sent: time.Unix(int64(1_700_000_000+i), 0)})
	}
	var mu sync.Mutex
	fails := func(chance int) func() error {
		return func() error {
			mu.Lock()
			defer mu.Unlock()
			if s.IntN(chance) == 0 {
				return errStore
			}
			return nil
		}
	}
	h.memory.beforeTake, h.memory.afterTake, h.memory.beforeWait, h.memory.afterWait = fails(60), fails(60), fails(60), fails(30)
	deaths := 0
	for end := time.Now().Add(20 * time.Minute); len(h.Held(address)) > 0; deaths++ {
		if time.Now().After(end) {
			t.Fatalf("%d letters are left after %d deaths", len(h.Held(address)), deaths)
		}
		mu.Lock()
		life := time.Duration(20+s.IntN(180)) * time.Millisecond
		for range 1 + s.IntN(4) {
			f := s.fault()
			f.Skip = s.IntN(40)
			h.Inject(f)
		}
		mu.Unlock()
		c := h.channel(t) // a new process: nothing is remembered
		c.settle = func(ctx context.Context, _ time.Duration) bool { return wait(ctx, 50*time.Millisecond) }
		c.pause = func(ctx context.Context, _ time.Duration) bool { return wait(ctx, time.Millisecond) }
		ctx, die := context.WithTimeout(context.Background(), life)
		if err := c.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
		die()
	}
	got := map[string]int{}
	taken, _ := h.memory.letters()
	for _, l := range taken {
		got[l]++
	}
	for content, n := range want {
		if got[content] != n {
			t.Errorf("%s: taken %d times, sent %d times", content, got[content], n)
		}
	}
	if len(taken) != letters {
		t.Errorf("%d letters taken, %d sent", len(taken), letters)
	}
	early.Range(func(id, _ any) bool { t.Errorf("letter %v was confirmed before it was durable", id); return true })
	t.Logf("%d letters through %d deaths, %d requests", letters, deaths, total(h.Counters().Requests))
}

func total(m map[string]int) (n int) {
	for _, v := range m {
		n += v
	}
	return n
}

// has tells whether a letter is durable.
func (m *memory) has(d epuaptest.Document) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range m.kept {
		if k.body == string(d.Content) && k.Sent.Equal(d.Sent) {
			return true
		}
	}
	return false
}
