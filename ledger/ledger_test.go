package ledger

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sekretariat"
)

const testCentre sekretariat.CentreID = "zielona-gora"

// open starts an embedded ledger in dir; Close it or let the test do so.
func open(t testing.TB, dir string, change ...func(*Options)) *Ledger {
	t.Helper()
	o := Options{Dir: dir, Logger: zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.ErrorLevel)}
	for _, c := range change {
		c(&o)
	}
	l, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return l
}

func centre(t testing.TB, l *Ledger) Log {
	t.Helper()
	g, err := l.Centre(t.Context(), testCentre, []sekretariat.SeriesID{"rpw"})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func event(subject string, rev int) sekretariat.Event {
	e, err := sekretariat.NewEvent(sekretariat.EventSeen, testCentre, "test", subject, rev, time.Now(), map[string]int{"n": rev})
	if err != nil {
		panic(err)
	}
	return e
}

func rec(subject string, last uint64) Record {
	return Record{Subject: subject, LastSeq: last, Event: event(subject, int(last))}
}

func mustAppend(t testing.TB, g Log, s StreamName, r Record) uint64 {
	t.Helper()
	seq, err := g.Append(t.Context(), s, r)
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

func TestAppendConditions(t *testing.T) {
	g := centre(t, open(t, t.TempDir()))
	ctx := t.Context()
	one := mustAppend(t, g, Letter, rec("a", 0))
	if _, err := g.Append(ctx, Letter, rec("a", 0)); !errors.Is(err, ErrConflict) {
		t.Errorf("the same event again: %v, want ErrConflict", err)
	}
	two := mustAppend(t, g, Letter, rec("a", one))
	if _, err := g.Append(ctx, Letter, rec("a", one)); !errors.Is(err, ErrConflict) {
		t.Errorf("after an old sequence: %v, want ErrConflict", err)
	}
	if _, err := g.Append(ctx, Letter, rec("b", 99)); !errors.Is(err, ErrConflict) {
		t.Errorf("after a sequence that never was: %v, want ErrConflict", err)
	}
	three := mustAppend(t, g, Letter, rec("a", AnySeq))
	all, err := g.Subject(ctx, Letter, "a")
	if err != nil || len(all) != 3 || all[0].Seq != one || all[1].Seq != two || all[2].Seq != three {
		t.Errorf("Subject = %v, %v", all, err)
	}
	last, err := g.Last(ctx, Letter, "a")
	if err != nil || last.Seq != three || last.Subject != "a" || last.Stream != Letter {
		t.Errorf("Last = %+v, %v", last, err)
	}
	if _, err := g.Last(ctx, Letter, "nobody"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Last of nothing: %v", err)
	}
	tail, err := g.Tail(ctx, Letter)
	if err != nil || tail.Seq != three {
		t.Errorf("Tail = %+v, %v", tail, err)
	}
	if _, err := g.Tail(ctx, Queue); !errors.Is(err, ErrNotFound) {
		t.Errorf("Tail of an empty stream: %v", err)
	}
	for _, bad := range []string{"", "a..b", "a.*", ">", "a b", "a.", "ą"} {
		if _, err := g.Append(ctx, Letter, rec(bad, 0)); err == nil {
			t.Errorf("subject %q was accepted", bad)
		}
	}
	st, err := g.State(ctx, Letter)
	if err != nil || st.First != 1 || st.Last != 3 || st.Messages != 3 || st.Deleted != 0 {
		t.Errorf("State = %+v, %v", st, err)
	}
}

func TestAppendAll(t *testing.T) {
	g := centre(t, open(t, t.TempDir()))
	ctx, reg := t.Context(), Register("rpw")
	first, err := g.AppendAll(ctx, reg, 0, []Record{rec("a", 0), rec("b", 0), rec("c", 0)})
	if err != nil || first != 1 {
		t.Fatalf("first batch: %d, %v", first, err)
	}
	for name, rs := range map[string][]Record{
		"stream moved on":  {rec("d", 0)},
		"stream moved on2": {rec("d", 0), rec("e", 0)},
	} {
		if _, err := g.AppendAll(ctx, reg, 2, rs); !errors.Is(err, ErrConflict) {
			t.Errorf("%s: %v, want ErrConflict", name, err)
		}
	}
	if _, err := g.AppendAll(ctx, reg, 3, []Record{rec("d", 0), rec("a", 0)}); !errors.Is(err, ErrConflict) {
		t.Errorf("a subject taken: %v, want ErrConflict", err)
	}
	if st, _ := g.State(ctx, reg); st.Last != 3 {
		t.Errorf("a refused batch left something: %+v", st)
	}
	first, err = g.AppendAll(ctx, reg, 3, []Record{rec("d", 0)})
	if err != nil || first != 4 {
		t.Errorf("batch of one: %d, %v", first, err)
	}
	big := make([]Record, MaxBatch)
	for i := range big {
		big[i] = rec(fmt.Sprintf("big.%d", i), 0)
	}
	first, err = g.AppendAll(ctx, reg, 4, big)
	if err != nil || first != 5 {
		t.Errorf("largest batch: %d, %v", first, err)
	}
}

// Many appends at once share batches; the wrong ones alone are refused.
func TestAppendGathersAndSortsOut(t *testing.T) {
	g := centre(t, open(t, t.TempDir()))
	ctx := t.Context()
	const n, rivals = 200, 3
	var wins, conflicts atomic.Int64
	var wg sync.WaitGroup
	for i := range n {
		for range rivals {
			wg.Go(func() {
				_, err := g.Append(ctx, Intake, rec(fmt.Sprintf("s%d", i), 0))
				switch {
				case err == nil:
					wins.Add(1)
				case errors.Is(err, ErrConflict):
					conflicts.Add(1)
				default:
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	if wins.Load() != n || conflicts.Load() != n*(rivals-1) {
		t.Errorf("%d won and %d lost, want %d and %d", wins.Load(), conflicts.Load(), n, n*(rivals-1))
	}
	if st, err := g.State(ctx, Intake); err != nil || st.Messages != n {
		t.Errorf("state %+v, %v; want %d events", st, err, n)
	}
}

func TestReplayAndFollow(t *testing.T) {
	g := centre(t, open(t, t.TempDir()))
	const n = 2500
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if _, err := g.Append(t.Context(), Audit, rec(fmt.Sprintf("s%d", i), AnySeq)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var next uint64 = 11
	err := g.Replay(t.Context(), Audit, 11, func(s Stored) error {
		if s.Seq != next {
			return fmt.Errorf("sequence %d, want %d", s.Seq, next)
		}
		next++
		return nil
	})
	if err != nil || next != n+1 {
		t.Fatalf("replay ended before %d: %v", next, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var seen, idles uint64
	err = g.Follow(ctx, Audit, 1, func(s Stored) error {
		seen++
		if s.Seq != seen {
			return fmt.Errorf("sequence %d, want %d", s.Seq, seen)
		}
		return nil
	}, func() error {
		idles++
		switch seen {
		case n:
			_, err := g.Append(ctx, Audit, rec("late", AnySeq))
			return err
		case n + 1:
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || seen != n+1 || idles != 2 {
		t.Errorf("followed %d events with %d idles: %v", seen, idles, err)
	}
}

func TestWorkRepeatsAndBuries(t *testing.T) {
	g := centre(t, open(t, t.TempDir()))
	for i := range 300 {
		mustAppend(t, g, Letter, rec(fmt.Sprintf("s%d", i), 0))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	tries := map[uint64]int{}
	done := 0
	err := g.Work(ctx, Letter, "sort", WorkOptions{Concurrency: 8}, func(_ context.Context, s Stored) error {
		mu.Lock()
		defer mu.Unlock()
		tries[s.Seq]++
		switch {
		case s.Seq == 7 && tries[7] == 1:
			return errors.New("not now")
		case s.Seq == 8 && tries[8] == 1:
			panic("bad letter")
		case s.Seq == 9:
			go func() { // wait until it is buried
				for {
					if _, err := g.Tail(ctx, Dead); err == nil {
						mu.Lock()
						defer mu.Unlock()
						if done++; done == 300 {
							cancel()
						}
						return
					}
				}
			}()
			return PermanentCode("broken", errors.New("never"))
		}
		if done++; done == 300 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if tries[7] != 2 || tries[8] != 2 || tries[9] != 1 || len(tries) != 300 {
		t.Errorf("tries: 7 %d, 8 %d, 9 %d; %d events", tries[7], tries[8], tries[9], len(tries))
	}
	dead, err := g.Tail(t.Context(), Dead)
	if err != nil {
		t.Fatal(err)
	}
	d, err := sekretariat.DataOf[DeadData](dead.Event)
	if err != nil || d.Seq != 9 || d.Code != "broken" || d.Group != "sort" || d.Event == nil || d.Event.Subject != "s8" {
		t.Errorf("dead letter %+v, %v", d, err)
	}
}

func TestWorkInOrder(t *testing.T) {
	g := centre(t, open(t, t.TempDir()))
	for i := range 100 {
		mustAppend(t, g, Letter, rec(fmt.Sprintf("s%d", i), 0))
	}
	var seen uint64
	failed := false
	work := func(until uint64) {
		ctx, cancel := context.WithCancel(t.Context())
		err := g.WorkInOrder(ctx, Letter, "registrar", WorkOptions{Concurrency: 16}, func(_ context.Context, run []Stored) error {
			if len(run) == 0 || len(run) > 16 {
				t.Errorf("run of %d", len(run))
			}
			if on, err := g.(*centreLog).l.Working(ctx, "zielona-gora", Letter, "registrar"); !on || err != nil {
				t.Errorf("at work, but not working: %v, %v", on, err)
			}
			if run[0].Seq > 40 && !failed {
				failed = true
				return errors.New("not now")
			}
			for _, s := range run {
				if s.Seq != seen+1 {
					t.Errorf("sequence %d after %d", s.Seq, seen)
				}
				seen = s.Seq
			}
			if seen >= until {
				cancel()
			}
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if on, err := g.(*centreLog).l.Working(t.Context(), "zielona-gora", Letter, "registrar"); on || err != nil {
		t.Errorf("working before anybody worked: %v, %v", on, err)
	}
	work(50)
	st, _, err := g.(*centreLog).l.position(t.Context(), "work.zielona-gora.letter.registrar")
	if err != nil || st > seen {
		t.Fatalf("cursor %d beyond %d, %v", st, seen, err)
	}
	seen = st // a stopped worker may have to repeat its last run
	work(100)
	if seen != 100 {
		t.Errorf("worked up to %d", seen)
	}
}

func BenchmarkAppend256(b *testing.B) {
	g := centre(b, open(b, b.TempDir()))
	var n atomic.Int64
	b.SetParallelism(256 / 2)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := g.Append(context.Background(), Intake, rec(fmt.Sprintf("%064x", n.Add(1)), 0)); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkWork(b *testing.B) {
	g := centre(b, open(b, b.TempDir()))
	var wg sync.WaitGroup
	var n atomic.Int64
	for range 256 {
		wg.Go(func() {
			for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
				if _, err := g.Append(context.Background(), Intake, rec(fmt.Sprintf("%064x", i), 0)); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b.ResetTimer()
	ctx, cancel := context.WithCancel(b.Context())
	var done atomic.Int64
	_ = g.Work(ctx, Intake, "sort", WorkOptions{}, func(context.Context, Stored) error {
		if done.Add(1) == int64(b.N) {
			cancel()
		}
		return nil
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkLast(b *testing.B) {
	g := centre(b, open(b, b.TempDir()))
	const n = 1000
	for i := range n {
		mustAppend(b, g, Letter, rec(strconv.Itoa(i), 0))
	}
	var i atomic.Int64
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := g.Last(context.Background(), Letter, strconv.Itoa(int(i.Add(1)%n))); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reads/s")
}

func BenchmarkReplay(b *testing.B) {
	g := centre(b, open(b, b.TempDir()))
	const n = 20_000
	var wg sync.WaitGroup
	for w := range 200 {
		wg.Go(func() {
			for i := range n / 200 {
				mustAppend(b, g, Letter, rec(fmt.Sprintf("%d.%d", w, i), 0))
			}
		})
	}
	wg.Wait()
	for b.Loop() {
		if err := g.Replay(b.Context(), Letter, 1, func(Stored) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "events/s")
}
