package email

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sekretariat/ingest/email/dovecottest"
)

// proxy stands between channel and server and spoils connections.
type proxy struct {
	addr   string
	target string
	bytes  atomic.Int64 // that passed, both ways
	conns  atomic.Int64
}

// spoiled says after how many octets from the server (up) or to it (down) a
// connection is cut, or stalls; -1 = never.
type spoiled struct {
	up, down int64
	stall    bool
}

func unspoiled() spoiled { return spoiled{up: -1, down: -1} }

// newProxy asks spoil once per connection.
func newProxy(t testing.TB, target string, spoil func() spoiled) *proxy {
	p := &proxy{target: target}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.addr = l.Addr().String()
	var all sync.WaitGroup
	var open sync.Map
	all.Go(func() {
		for {
			a, err := l.Accept()
			if err != nil {
				return
			}
			b, err := net.Dial("tcp", p.target)
			if err != nil {
				a.Close()
				continue
			}
			open.Store(a, nil)
			open.Store(b, nil)
			p.conns.Add(1)
			f := spoil()
			end := sync.OnceFunc(func() { a.Close(); b.Close() })
			all.Go(func() { p.pass(a, b, f.up, f.stall, end) })
			all.Go(func() { p.pass(b, a, f.down, f.stall, end) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		open.Range(func(c, _ any) bool { c.(net.Conn).Close(); return true })
		all.Wait()
	})
	return p
}

// pass copies until limit octets passed; then it ends the connection, or, when
// stalling, swallows all that comes.
func (p *proxy) pass(to, from net.Conn, limit int64, stall bool, end func()) {
	defer end()
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		p.bytes.Add(int64(n))
		if limit >= 0 && int64(n) >= limit {
			if _, err := to.Write(buf[:limit]); err != nil || !stall {
				return
			}
			limit, n = 0, 0
		}
		if limit >= 0 {
			limit -= int64(n)
		}
		if _, werr := to.Write(buf[:n]); errors.Join(err, werr) != nil {
			return
		}
	}
}

// TestConnectionCutAnywhere cuts, truncates or stalls the first connection
// after every so many octets, from the greeting to the last move.
func TestConnectionCutAnywhere(t *testing.T) {
	var users []string
	for n := range 150 {
		users = append(users, fmt.Sprintf("u%d", n))
	}
	s := startDovecot(t, dovecottest.Options{Users: users})
	run := func(t *testing.T, user string, first spoiled) (up int64) {
		for n := 1; n <= 12; n++ {
			if err := s.Deliver(user, "INBOX", letter(n), noon); err != nil {
				t.Fatal(err)
			}
		}
		var n atomic.Int32
		p := newProxy(t, s.Addr, func() spoiled {
			if n.Add(1) == 1 {
				return first
			}
			return unspoiled()
		})
		o := newOffice(t, p.addr)
		o.mailbox.User, o.tune.step, o.tune.confirm, o.tune.silence = user, 5, 5, 300*time.Millisecond
		c, stop := o.run()
		o.until("all moved", func() bool {
			files, err := s.Files(user, "INBOX")
			return err == nil && len(files) == 0 && c.Health().Waiting == 0
		})
		stop()
		o.shelf.holds(t, letters(1, 12))
		if len(o.shelf.notes) != 0 {
			t.Errorf("%d parked", len(o.shelf.notes))
		}
		return p.bytes.Load()
	}
	total := run(t, "u149", unspoiled())
	next := 0
	for _, stall := range []bool{false, true} {
		for i := range 40 {
			f := spoiled{up: total * int64(i) / 40, down: -1, stall: stall}
			if i%4 == 3 { // commands, too
				f = spoiled{up: -1, down: total * int64(i) / 400, stall: stall}
			}
			user := users[next]
			next++
			t.Run(fmt.Sprintf("%+v", f), func(t *testing.T) { run(t, user, f) })
		}
	}
}

// TestBadLine cuts every connection at a random place.
func TestBadLine(t *testing.T) {
	s := startDovecot(t, dovecottest.Options{})
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, seed))
	want := deliver(t, s, "INBOX", 1, 300)
	var mu sync.Mutex
	p := newProxy(t, s.Addr, func() spoiled {
		mu.Lock()
		defer mu.Unlock()
		return spoiled{up: random.Int64N(60_000), down: -1, stall: random.IntN(20) == 0}
	})
	o := newOffice(t, p.addr)
	o.tune.silence, o.tune.step = 300*time.Millisecond, 20
	_, stop := o.run()
	o.until("all moved", func() bool { return inFolder(t, s, "INBOX") == 0 && o.shelf.count() == 300 })
	stop()
	o.shelf.holds(t, want)
	if len(o.shelf.notes) != 0 {
		t.Errorf("%d parked", len(o.shelf.notes))
	}
	t.Logf("%d connections", p.conns.Load())
}

// TestKilledBetweenAnyTwoSteps ends the process before and after every ticket
// becomes durable, starts it again, and so on until the mailbox is empty.
func TestKilledBetweenAnyTwoSteps(t *testing.T) {
	for _, capability := range []string{"", poor} {
		s := startDovecot(t, dovecottest.Options{CapabilityOverride: capability})
		for _, after := range []string{"move", "keyword", "keep"} {
			t.Run(after+" "+capability, func(t *testing.T) {
				folder := "F" + after
				o := newOffice(t, s.Addr)
				o.mailbox.After, o.mailbox.Folders, o.mailbox.Done = after, []string{folder}, "Gotowe/"+after
				o.tune.step, o.tune.confirm, o.tune.window = 3, 2, 4
				want := deliver(t, s, folder, 1, 25)
				errKilled := errors.New("killed")
				lives := 0
				for at := 1; ; at++ {
					var kill func()
					died := make(chan struct{})
					o.shelf.mu.Lock()
					o.shelf.n = 0
					die := sync.OnceFunc(func() { close(died) })
					o.shelf.before = func(n int) error {
						if n == (at+1)/2 && at%2 == 1 {
							die()
						}
						select {
						case <-died:
							return errKilled
						default:
							return nil
						}
					}
					o.shelf.after = func(n int) {
						if n == (at+1)/2 && at%2 == 0 {
							die()
						}
					}
					o.shelf.mu.Unlock()
					c, stop := o.run()
					kill = stop
					ended := false
					o.until("killed or done", func() bool {
						select {
						case <-died:
							return true
						default:
							ended = o.shelf.count() == 25 && c.Health().Waiting == 0
							return ended
						}
					})
					kill()
					lives++
					if ended {
						break
					}
				}
				o.shelf.holds(t, want)
				t.Logf("%d lives, %d repeats", lives, o.shelf.repeats)
			})
		}
	}
}

// TestSteadyCheckCostsNothing: an old mailbox is not listed again and again.
func TestSteadyCheckCostsNothing(t *testing.T) {
	const messages = 5000
	s := startDovecot(t, dovecottest.Options{})
	for n := range messages {
		if err := s.Deliver("intake", "INBOX", []byte("Subject: "+fmt.Sprint(n)+"\r\n\r\n"), noon); err != nil {
			t.Fatal(err)
		}
	}
	for _, since := range []string{"2026-11-19", ""} { // left alone; taken and kept
		p := newProxy(t, s.Addr, unspoiled)
		o := newOffice(t, p.addr)
		o.mailbox.Since, o.mailbox.After = since, "keep"
		if since != "" {
			o.mailbox.After = "move"
		}
		o.shelf.discard = true
		look := func() int64 {
			before := p.bytes.Load()
			c, stop := o.run()
			o.until("looked at all", func() bool { return c.Health().Waiting == 0 })
			stop()
			return p.bytes.Load() - before
		}
		first, later := look(), look()
		if later > 10_000 {
			t.Errorf("since %q: a new process costs %d octets (the first %d)", since, later, first)
		}
		t.Logf("since %q: first look %d octets, a later process %d", since, first, later)
	}
}
