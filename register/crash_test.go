package register_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"sekretariat"
	"sekretariat/ledger"
	"sekretariat/register"
	"sekretariat/register/registertest"
)

// alone is a Log on which a registrar never stands by: it has a work group of
// its own, as if the lease of the common one had failed. It is given only each
// third event, or all of them.
type alone struct {
	ledger.Log
	third uint64         // 0, 1, 2; 3: all
	done  *atomic.Uint64 // last sequence worked on
}

func (a alone) WorkInOrder(ctx context.Context, s ledger.StreamName, group string, o ledger.WorkOptions, h func(context.Context, []ledger.Stored) error) error {
	return a.Log.WorkInOrder(ctx, s, fmt.Sprint(group, "-", a.third), o, func(ctx context.Context, run []ledger.Stored) error {
		last := run[len(run)-1].Seq
		if a.third < 3 {
			run = slices.DeleteFunc(slices.Clone(run), func(s ledger.Stored) bool { return s.Seq%3 != a.third })
		}
		err := h(ctx, run)
		if err == nil {
			a.done.Store(last)
		}
		return err
	})
}

// startThirds starts three registrars that all believe to be the only one, each
// for a third of the letters.
func startThirds(t testing.TB, o *registertest.Office) (all [3]*register.Registrar, done *[3]atomic.Uint64) {
	done = new([3]atomic.Uint64)
	for i := range all {
		opt := options(o, &clock{t: noon})
		opt.Log = alone{o.Log, uint64(i), &done[i]}
		all[i], _ = start(t, opt)
	}
	return all, done
}

// Several registrars that all believe to be the only one: each letter gets one
// number, without a gap; and one more that is asked for all of them again gives
// none.
func TestSeveralAtOnce(t *testing.T) {
	o := registertest.Open(t, t.TempDir())
	const letters = 3000
	o.SortMany("a", letters, noon)
	all, done := startThirds(t, o)
	for i := range done {
		eventually(t, "each has worked through all letters", func() bool { return done[i].Load() == letters })
	}
	var again atomic.Uint64
	opt := options(o, &clock{t: noon})
	opt.Log = alone{o.Log, 3, &again}
	last, _ := start(t, opt)
	eventually(t, "the last one has worked through all letters", func() bool { return again.Load() == letters })

	entries := o.Entries("rpw")
	checkRegister(t, o, entries)
	if len(entries) != letters {
		t.Errorf("%d numbers for %d letters", len(entries), letters)
	}
	for i, r := range all {
		if s := r.Status(); !s.Ready || s.Registered != letters/3 {
			t.Errorf("registrar %d: %+v", i, s)
		}
	}
	if s := last.Status(); !s.Ready || s.Registered != 0 || s.Last.N != letters {
		t.Errorf("the last one: %+v", s)
	}
}

// TestHelperProcess is not a test: TestKilled runs it as the process that is
// killed. It sorts letters and numbers them with several registrars at once, and
// prints a line for every number.
func TestHelperProcess(t *testing.T) {
	folder, run := os.Getenv("REGISTER_TEST_FOLDER"), os.Getenv("REGISTER_TEST_RUN")
	if folder == "" {
		t.Skip("only as a process of TestKilled")
	}
	o := registertest.Open(t, folder)
	startThirds(t, o)
	go o.SortMany(run+".", 600, noon)
	from := uint64(1)
	if s, err := o.Log.State(t.Context(), ledger.Register("rpw")); err == nil {
		from = s.Last + 1
	}
	err := o.Log.Follow(t.Context(), ledger.Register("rpw"), from, func(s ledger.Stored) error {
		_, err := fmt.Println("number", s.Seq)
		return err
	}, func() error { return nil })
	t.Fatal(err)
}

// kill -9 at any moment, with several registrars at work, again and again: numbers
// 1..n without gap or repeat, every letter once, entries and ledger equal.
func TestKilled(t *testing.T) {
	kills := 8
	if testing.Short() {
		kills = 3
	}
	folder := t.TempDir()
	random := rand.New(rand.NewSource(1))
	for run := range kills {
		child := exec.Command(os.Args[0], "-test.run=^TestHelperProcess$", "-test.v")
		child.Env = append(os.Environ(), "REGISTER_TEST_FOLDER="+folder, fmt.Sprint("REGISTER_TEST_RUN=", run))
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		after := 1 + random.Intn(500)
		lines := bufio.NewScanner(out)
		var said []string
		for n := 0; n < after && lines.Scan(); {
			if strings.HasPrefix(lines.Text(), "number ") {
				n++
				continue
			}
			said = append(said, lines.Text())
		}
		killed := child.Process.Kill()
		if err := child.Wait(); killed != nil || child.ProcessState.Exited() {
			t.Fatalf("run %d ended by itself: %v\n%s", run, err, strings.Join(said, "\n"))
		}
	}

	o := registertest.Open(t, folder)
	asked, err := o.Log.State(t.Context(), ledger.Letter)
	if err != nil {
		t.Fatal(err)
	}
	r, _ := start(t, options(o, &clock{t: noon}))
	entries := registered(t, o, "rpw", asked.Last)
	t.Logf("%d letters through %d kills", len(entries), kills)
	if len(entries) != int(asked.Last) {
		t.Errorf("%d numbers for %d letters", len(entries), asked.Last)
	}
	checkRegister(t, o, entries)
	if slices.ContainsFunc(entries, func(e sekretariat.Entry) bool { return e.Number.N > len(entries) }) {
		t.Error("numbers go beyond the letters")
	}
	if err := r.Status().Err; err != nil {
		t.Error(err)
	}
}

func BenchmarkRegister(b *testing.B) {
	o := registertest.Open(b, b.TempDir())
	o.SortMany("a", b.N, noon)
	b.ResetTimer()
	start(b, options(o, &clock{t: noon}))
	registered(b, o, "rpw", uint64(b.N))
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "letters/s")
}
