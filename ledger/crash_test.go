package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sekretariat"
)

// killing kills the server whenever count has grown by every, times times.
func killing(t *testing.T, s *natsServer, count *atomic.Int64, every int64, times int) {
	t.Helper()
	for i := range times {
		for count.Load() < int64(i+1)*every {
			time.Sleep(time.Millisecond) // until the work has got so far
		}
		s.restart()
	}
}

// Every acknowledged append is there once, every caller goes on by itself, and
// none is told of a conflict that only its own earlier attempt made.
func TestAppendsSurviveKills(t *testing.T) {
	s := startServer(t)
	_, g := s.open()
	const writers, rounds = 48, 60
	var count atomic.Int64
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			var last uint64
			for i := range rounds {
				subject := fmt.Sprintf("s%d", w)
				seq, err := g.Append(t.Context(), Letter, Record{Subject: subject, LastSeq: last, Event: event(subject, i)})
				if err != nil || seq <= last {
					t.Errorf("writer %d, append %d: %d after %d, %v", w, i, seq, last, err)
					return
				}
				last = seq
				if _, err := g.Append(t.Context(), Audit, Record{Subject: subject, LastSeq: AnySeq, Event: event(subject, i)}); err != nil {
					t.Errorf("writer %d, audit %d: %v", w, i, err)
					return
				}
				count.Add(1)
			}
		})
	}
	killing(t, s, &count, writers*rounds/7, 6)
	wg.Wait()
	for _, stream := range []StreamName{Letter, Audit} {
		seen := map[string]int{}
		err := g.Replay(t.Context(), stream, 1, func(st Stored) error {
			if want := event(st.Subject, seen[st.Subject]).ID; st.Event.ID != want {
				return fmt.Errorf("%s where %s was due", st.Event.ID, want)
			}
			seen[st.Subject]++
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", stream, err)
		}
		for w := range writers {
			if n := seen[fmt.Sprintf("s%d", w)]; n != rounds {
				t.Errorf("%s: %d events of writer %d, want %d", stream, n, w, rounds)
			}
		}
	}
}

// The same on three servers, one after the other killed.
func TestClusterSurvivesKills(t *testing.T) {
	nodes := startCluster(t)
	_, g := nodes[0].open(func(o *Options) { o.Replicas = 3 })
	const writers, rounds = 16, 30
	var count atomic.Int64
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			var last uint64
			for i := range rounds {
				subject := fmt.Sprintf("s%d", w)
				seq, err := g.Append(t.Context(), Letter, Record{Subject: subject, LastSeq: last, Event: event(subject, i)})
				if err != nil || seq <= last {
					t.Errorf("writer %d, append %d: %d after %d, %v", w, i, seq, last, err)
					return
				}
				last = seq
				count.Add(1)
			}
		})
	}
	for i, s := range nodes {
		killing(t, s, &count, int64(writers*rounds*(i+1)/4), 1)
	}
	wg.Wait()
	var next uint64 = 1
	seen := map[string]int{}
	err := g.Replay(t.Context(), Letter, 1, func(st Stored) error {
		if want := event(st.Subject, seen[st.Subject]).ID; st.Seq != next || st.Event.ID != want {
			return fmt.Errorf("%d %s where %d %s was due", st.Seq, st.Event.ID, next, want)
		}
		seen[st.Subject]++
		next++
		return nil
	})
	if err != nil || next != writers*rounds+1 {
		t.Errorf("%d events: %v", next-1, err)
	}
}

// Two registrars that both believe to be the only one, fenced by the stream's
// last sequence: the numbers have no gap and no repeat.
func TestTwoRegistrarsAndKills(t *testing.T) {
	s := startServer(t)
	const letters = 600
	var count atomic.Int64
	var wg sync.WaitGroup
	for range 2 {
		_, g := s.open()
		wg.Go(func() {
			for {
				var seq, number uint64
				tail, err := g.Tail(t.Context(), Register("rpw"))
				if err == nil {
					n, derr := sekretariat.DataOf[map[string]uint64](tail.Event)
					seq, number, err = tail.Seq, n["number"], derr
				}
				if err != nil && !errors.Is(err, ErrNotFound) {
					t.Error(err)
					return
				}
				if number >= letters {
					return
				}
				var rs []Record
				for i := range min(5, letters-number) {
					e, err := sekretariat.NewEvent(sekretariat.EventRegistered, testCentre, "test", fmt.Sprint(number+i+1), 0, time.Now(), map[string]uint64{"number": number + i + 1})
					if err != nil {
						t.Error(err)
					}
					rs = append(rs, Record{Subject: fmt.Sprintf("l%d.1", number+i+1), Event: e})
				}
				first, err := g.AppendAll(t.Context(), Register("rpw"), seq, rs)
				switch {
				case errors.Is(err, ErrConflict):
				case err != nil:
					t.Error(err)
					return
				case first != seq+1:
					t.Errorf("batch after %d stored at %d", seq, first)
				default:
					count.Add(int64(len(rs)))
				}
			}
		})
	}
	killing(t, s, &count, letters/6, 5)
	wg.Wait()
	_, g := s.open()
	want := uint64(1)
	err := g.Replay(t.Context(), Register("rpw"), 1, func(st Stored) error {
		n, err := sekretariat.DataOf[map[string]uint64](st.Event)
		if err != nil || n["number"] != want {
			return fmt.Errorf("number %d where %d was due, %w", n["number"], want, err)
		}
		want++
		return nil
	})
	if err != nil || want != letters+1 || count.Load() != letters {
		t.Errorf("numbers up to %d, %d acknowledged: %v", want-1, count.Load(), err)
	}
}

// Events reach work groups, workers in order and followers through kills of
// the server.
func TestReadersSurviveKills(t *testing.T) {
	s := startServer(t)
	_, g := s.open()
	const events = 1500
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var written, handled atomic.Int64
	var wg sync.WaitGroup
	for w := range 10 {
		wg.Go(func() {
			for i := range events / 10 {
				mustAppend(t, g, Letter, rec(fmt.Sprintf("w%d.%d", w, i), 0))
				written.Add(1)
			}
		})
	}
	done := make(chan string, 3)
	var mu sync.Mutex
	seen := map[uint64]int{}
	wg.Go(func() {
		err := g.Work(ctx, Letter, "sort", WorkOptions{Wait: 2 * time.Second}, func(_ context.Context, st Stored) error {
			mu.Lock()
			defer mu.Unlock()
			if seen[st.Seq]++; seen[st.Seq] == 1 {
				handled.Add(1)
			}
			if len(seen) == events {
				done <- "work"
				seen[0] = 1 // once
			}
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	wg.Go(func() {
		var top uint64
		err := g.WorkInOrder(ctx, Letter, "registrar", WorkOptions{Concurrency: 20, Wait: 2 * time.Second}, func(_ context.Context, run []Stored) error {
			for _, st := range run {
				if st.Seq > top+1 {
					t.Errorf("in order: %d after %d", st.Seq, top)
				}
				top = max(top, st.Seq)
			}
			if top == events {
				done <- "in order"
				top++ // once
			}
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	wg.Go(func() {
		var last uint64
		err := g.Follow(ctx, Letter, 1, func(st Stored) error {
			if st.Seq != last+1 {
				t.Errorf("following: %d after %d", st.Seq, last)
			}
			if last = st.Seq; last == events {
				done <- "follow"
			}
			return nil
		}, func() error { return nil })
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	killing(t, s, &handled, events/5, 4)
	for range 3 {
		t.Log(<-done)
	}
	cancel()
	wg.Wait()
}

func TestLeaseFailsOver(t *testing.T) {
	s := startServer(t)
	a, _ := s.open()
	b, _ := s.open()
	first, err := a.Lease(t.Context(), "registrar", 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan *Lease)
	go func() {
		second, err := b.Lease(t.Context(), "registrar", 2*time.Second)
		if err != nil {
			t.Error(err)
		}
		got <- second
	}()
	s.restart()
	renewals(t, a, "registrar", 2) // the lease survives that and is not taken
	select {
	case <-first.Lost():
		t.Fatal("lost in a short restart")
	case <-got:
		t.Fatal("two holders")
	default:
	}
	if err := first.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := <-got
	s.kill() // for longer than the lease lives
	<-second.Lost()
	s.start()
	third, err := a.Lease(t.Context(), "registrar", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Release(t.Context()); err != nil { // must not touch the third's
		t.Errorf("releasing a lost lease: %v", err)
	}
	a.kill() // its process dies
	<-third.done
	fourth, err := b.Lease(t.Context(), "registrar", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if err := fourth.Release(t.Context()); err != nil {
		t.Error(err)
	}
}

// renewals waits until a lease was renewed n times.
func renewals(t *testing.T, l *Ledger, name string, n int) {
	t.Helper()
	for seen := uint64(0); n >= 0; time.Sleep(10 * time.Millisecond) {
		_, rev, err := l.kvGet(t.Context(), bucketLeases, appKey(name))
		if err != nil {
			t.Fatal(err)
		}
		if rev != seen {
			seen = rev
			n--
		}
	}
}

// A lost answer: the claim and the cursor of our own first attempt win.
func TestClaimsAndCursors(t *testing.T) {
	s := startServer(t)
	l, _ := s.open()
	if _, _, err := l.Cursor(t.Context(), "x"); !errors.Is(err, ErrNotFound) {
		t.Errorf("missing cursor: %v", err)
	}
	var count atomic.Int64
	var wg sync.WaitGroup
	for w := range 20 {
		wg.Go(func() {
			for i := range 20 {
				mine := []byte(fmt.Sprintf("%d/%d", w, i))
				won, err := l.Claim(t.Context(), fmt.Sprintf("own.%d.%d", w, i), mine)
				if err != nil || !bytes.Equal(won, mine) {
					t.Errorf("claim of nobody else: %q, %v", won, err)
				}
				if _, err := l.Claim(t.Context(), fmt.Sprintf("race.%d", i), mine); err != nil {
					t.Error(err)
				}
				if err := l.SetCursor(t.Context(), fmt.Sprintf("c%d", w), mine); err != nil {
					t.Error(err)
				}
				count.Add(1)
			}
		})
	}
	killing(t, s, &count, 100, 3)
	wg.Wait()
	for w := range 20 {
		if v, _, err := l.Cursor(t.Context(), fmt.Sprintf("c%d", w)); err != nil || string(v) != fmt.Sprintf("%d/19", w) {
			t.Errorf("cursor %d: %q, %v", w, v, err)
		}
	}
	for i := range 20 {
		one, err := l.Claim(t.Context(), fmt.Sprintf("race.%d", i), []byte("late"))
		if err != nil || string(one) == "late" {
			t.Errorf("a claimed name was claimed again: %q, %v", one, err)
		}
	}
}
