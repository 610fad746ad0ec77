package people

import (
	"strings"
	"sync"
	"time"

	"sekretariat"
)

// The guard against guessing: after some failures of one login, or many from
// one address, further attempts wait, twice as long each time.
const (
	guardLogin   = 5  // failures of one login before it waits
	guardAddress = 20 // of one address: an office may sit behind one
	guardFirst   = 30 * time.Second
	guardLongest = 15 * time.Minute
	guardForgets = time.Hour
	guardEntries = 10_000 // remembered; then everything is forgotten but the blocked
)

type guard struct {
	clock sekretariat.Clock
	mu    sync.Mutex
	seen  map[string]*attempts
}

type attempts struct {
	failures int
	last     time.Time
	until    time.Time // no attempt before
}

func newGuard(clock sekretariat.Clock) *guard {
	return &guard{clock: clock, seen: map[string]*attempts{}}
}

func names(login, from string) [2]string {
	return [2]string{"login " + strings.ToLower(login), "from " + from}
}

func (g *guard) allow(login, from string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.clock()
	for _, n := range names(login, from) {
		if a := g.seen[n]; a != nil && now.Before(a.until) {
			return false
		}
	}
	return true
}

func (g *guard) failed(login, from string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.clock()
	g.forget(now)
	for i, n := range names(login, from) {
		a := g.seen[n]
		if a == nil || now.Sub(a.last) > guardForgets {
			a = &attempts{}
			g.seen[n] = a
		}
		a.failures++
		a.last = now
		if over := a.failures - [2]int{guardLogin, guardAddress}[i]; over >= 0 {
			a.until = now.Add(min(guardFirst<<min(over, 10), guardLongest))
		}
	}
}

func (g *guard) succeeded(login, from string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.seen, names(login, from)[0])
}

// forget keeps the memory bounded.
func (g *guard) forget(now time.Time) {
	if len(g.seen) < guardEntries {
		return
	}
	for n, a := range g.seen {
		if now.After(a.until) {
			delete(g.seen, n)
		}
	}
}
