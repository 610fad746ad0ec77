package index_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/ledger"
	"sekretariat/register"
	"sekretariat/register/index"
	"sekretariat/register/registertest"
)

var noon = time.Date(2026, 6, 15, 10, 0, 0, 0, time.UTC)

var everything = sekretariat.Principal{ID: "test", Centre: registertest.Centre, Register: true, Closed: true}

func open(t testing.TB, path string) *index.Index {
	t.Helper()
	x, err := index.Open(t.Context(), path, registertest.Centre, zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.FatalLevel))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.Close() })
	return x
}

// project runs Project until stop is called.
func project(t testing.TB, x *index.Index, o *registertest.Office) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- x.Project(ctx, o.Log, []sekretariat.SeriesID{"rpw"}) }()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Project: %v", err)
			}
		}
	}
	t.Cleanup(stop)
	return stop
}

// visible waits until everything that the ledger holds now is in the index.
func visible(t testing.TB, x *index.Index, o *registertest.Office) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, s := range []ledger.StreamName{ledger.Intake, ledger.Letter, ledger.Queue, ledger.Audit, ledger.Register("rpw")} {
		st, err := o.Log.State(ctx, s)
		if err == nil {
			err = x.WaitFor(ctx, s, st.Last)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// enter registers a letter by hand.
func enter(t testing.TB, o *registertest.Office, a sekretariat.ArrivedData, prev sekretariat.Entry, cause uint64) sekretariat.Entry {
	t.Helper()
	n := sekretariat.Number{Series: "rpw", Year: 2026, N: prev.Number.N + 1}
	e := register.Seal(sekretariat.Entry{
		Version: 1, Centre: registertest.Centre, Number: n, Identifier: n.Identifier(), Letter: sekretariat.NewLetterID(a.Submission, 1),
		Manifest: a.Manifest, Arrived: a.Arrived, Received: a.Received, Registered: noon,
	}, prev.Digest)
	o.Append(ledger.Register("rpw"), string(e.Letter), 0, sekretariat.EventRegistered, string(e.Letter), 0, noon,
		sekretariat.RegisteredData{Entry: e, Arrived: a, Cause: cause})
	return e
}

// whole brings n letters from arrival into the queue of dps.
func whole(t testing.TB, o *registertest.Office, prefix string, prev sekretariat.Entry, n int) (last sekretariat.Entry) {
	t.Helper()
	for i := range n {
		a := o.Arrive(fmt.Sprint(prefix, i), noon)
		prev = enter(t, o, a, prev, o.Sort(a))
		o.Deliver(prev, noon.Add(time.Minute), "dps")
	}
	return prev
}

func counts(t testing.TB, x *index.Index) index.Counts {
	t.Helper()
	c, err := x.Counts(t.Context(), everything)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestProjectThroughRestartsAndDeletion(t *testing.T) {
	o := registertest.Open(t, t.TempDir())
	path := filepath.Join(t.TempDir(), "index.db")
	x := open(t, path)
	stop := project(t, x, o)
	last := whole(t, o, "a", sekretariat.Entry{}, 20)
	visible(t, x, o)
	if c := counts(t, x); c.Arrived != 20 || c.Registered != 20 || c.Queues["dps"] != 20 || c.Open["dps"] != 20 || !c.Balanced() {
		t.Errorf("counts %+v", c)
	}
	stop()
	last = whole(t, o, "b", last, 5) // while the index is away
	project(t, x, o)
	visible(t, x, o)
	before := dump(t, x)
	if len(before) != 25 {
		t.Errorf("%d rows after a restart, want 25", len(before))
	}
	if x.Skipped() > 0 {
		t.Errorf("%d events were left out", x.Skipped())
	}

	t.Run("deleted file", func(t *testing.T) {
		x := open(t, filepath.Join(t.TempDir(), "new.db"))
		project(t, x, o)
		visible(t, x, o)
		if after := dump(t, x); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Errorf("made again:\n%v\nbefore:\n%v", after, before)
		}
	})
	t.Run("damaged file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "bad.db")
		if err := os.WriteFile(path, []byte("this is no database, but long enough to look at its header for a while"), 0o600); err != nil {
			t.Fatal(err)
		}
		x := open(t, path)
		project(t, x, o)
		visible(t, x, o)
		if after := dump(t, x); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Errorf("made again:\n%v\nbefore:\n%v", after, before)
		}
	})
	t.Run("another centre's file", func(t *testing.T) {
		if _, err := index.Open(t.Context(), path, "wschowa", zerolog.Nop()); err == nil {
			t.Error("opened")
		}
	})
}

func dump(t testing.TB, x *index.Index) []index.Row {
	t.Helper()
	rows, _, err := x.Register(t.Context(), everything, index.Filter{}, index.Page{})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// A registration comes over another stream than the sorting that asked for it
// and may be read first.
func TestRegistrationBeforeItsCause(t *testing.T) {
	o := registertest.Open(t, t.TempDir())
	a := o.Arrive("a", noon)
	enter(t, o, a, sekretariat.Entry{}, 1) // the sorting will be LETTER 1
	x := open(t, filepath.Join(t.TempDir(), "i"))
	lag := lagging{o.Log, make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	o.Sort(a)
	go func() { done <- x.Project(ctx, lag, []sekretariat.SeriesID{"rpw"}) }()
	if err := x.WaitFor(ctx, ledger.Intake, 1); err != nil {
		t.Fatal(err)
	}
	if n := x.Applied(ledger.Register("rpw")); n != 0 {
		t.Errorf("register applied up to %d before LETTER", n)
	}
	close(lag.letters)
	visible(t, x, o)
	if rows := dump(t, x); len(rows) != 1 || rows[0].Status != sekretariat.StatusRegistered || rows[0].Registered != noon {
		t.Errorf("rows %+v", rows)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Numbers show once their entries are written, not before.
func TestNumberAfterEntry(t *testing.T) {
	o := registertest.Open(t, t.TempDir())
	x := open(t, filepath.Join(t.TempDir(), "i"))
	x.ShowAfter(o.Vault.Objects())
	var entries []sekretariat.Entry
	var prev sekretariat.Entry
	for i := range 5 {
		a := o.Arrive(fmt.Sprint(i), noon)
		prev = enter(t, o, a, prev, o.Sort(a))
		entries = append(entries, prev)
	}
	project(t, x, o)
	if err := x.WaitFor(t.Context(), ledger.Letter, 5); err != nil {
		t.Fatal(err)
	}
	shown := func(n int) {
		t.Helper()
		if n > 0 {
			if err := x.WaitFor(t.Context(), ledger.Register("rpw"), uint64(n)); err != nil {
				t.Fatal(err)
			}
		}
		if rows := dump(t, x); len(rows) != n {
			t.Errorf("%d numbers are shown, want %d", len(rows), n)
		}
	}
	shown(0)
	if err := register.WriteEntries(t.Context(), o.Vault.Objects(), entries[:2]); err != nil {
		t.Fatal(err)
	}
	shown(2)
	if err := register.WriteEntries(t.Context(), o.Vault.Objects(), entries); err != nil {
		t.Fatal(err)
	}
	shown(5)
}

// lagging is a Log whose LETTER comes late.
type lagging struct {
	ledger.Log
	letters chan struct{}
}

func (l lagging) Follow(ctx context.Context, s ledger.StreamName, from uint64, fn func(ledger.Stored) error, idle func() error) error {
	if s == ledger.Letter {
		select {
		case <-l.letters:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return l.Log.Follow(ctx, s, from, fn, idle)
}

// Events that do not fit are left out and counted; nothing stops.
func TestBadEvents(t *testing.T) {
	o := registertest.Open(t, t.TempDir())
	a := o.Arrive("a", noon)
	id := string(a.Submission)
	one := o.Append(ledger.Letter, id, 0, sekretariat.EventRead, id, 0, noon, sekretariat.ReadData{Letter: sekretariat.NewLetterID(a.Submission, 1)}) // unsorted
	o.Append(ledger.Letter, "strange", 0, sekretariat.EventSorted, "strange", 0, noon, sekretariat.SortedData{})
	o.Append(ledger.Letter, id, one, sekretariat.EventSorted, id, 0, noon, map[string]any{"letters": "none"})
	o.Append(ledger.Audit, "x", 0, sekretariat.EventSeen, "x", 0, noon, sekretariat.SeenData{Submission: "x"})
	o.Append(ledger.Register("rpw"), id+".7", 0, sekretariat.EventRegistered, id, 0, noon, // asked for by an event that LETTER does not have
		sekretariat.RegisteredData{Entry: sekretariat.Entry{Letter: sekretariat.NewLetterID(a.Submission, 7)}, Cause: 1000})
	b := o.Arrive("b", noon)
	o.Sort(b)
	x := open(t, filepath.Join(t.TempDir(), "i"))
	project(t, x, o)
	visible(t, x, o)
	if n := x.Skipped(); n != 5 {
		t.Errorf("%d events left out, want 5", n)
	}
	if _, err := x.Letter(t.Context(), everything, sekretariat.NewLetterID(b.Submission, 1)); err != nil {
		t.Errorf("the letter after them: %v", err)
	}
}

// The ledger is restored from an older copy: the index notices, says so until
// its file is deleted, and shows what the ledger has.
func TestRewoundLedger(t *testing.T) {
	for _, c := range []struct {
		name string
		more int // letters after the copy was restored
	}{{"behind", 0}, {"gone on with other letters", 10}} {
		t.Run(c.name, func(t *testing.T) {
			folder, path := t.TempDir(), filepath.Join(t.TempDir(), "i")
			nats, copied := filepath.Join(folder, "nats"), filepath.Join(folder, "copy")
			o := registertest.Open(t, folder)
			last := whole(t, o, "a", sekretariat.Entry{}, 3)
			o.Close()
			if err := os.CopyFS(copied, os.DirFS(nats)); err != nil {
				t.Fatal(err)
			}
			o = registertest.Open(t, folder)
			whole(t, o, "b", last, 3)
			x := open(t, path)
			stop := project(t, x, o)
			visible(t, x, o)
			stop()
			o.Close()
			if err := errors.Join(os.RemoveAll(nats), os.Rename(copied, nats)); err != nil {
				t.Fatal(err)
			}
			o = registertest.Open(t, folder)
			whole(t, o, "c", last, c.more)
			project(t, x, o)
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for deadline := time.Now().Add(time.Minute); len(rewound(t, x)) == 0; <-tick.C {
				if time.Now().After(deadline) {
					t.Fatal("not noticed")
				}
			}
			visible(t, x, o)
			if got := counts(t, x); got.Registered != 3+c.more || !got.Balanced() {
				t.Errorf("counts %+v", got)
			}
			t.Log(rewound(t, x))
		})
	}
}

func rewound(t *testing.T, x *index.Index) []string {
	t.Helper()
	notes, err := x.Rewound(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return notes
}

func TestHistory(t *testing.T) {
	o := registertest.Open(t, t.TempDir())
	x := open(t, filepath.Join(t.TempDir(), "i"))
	project(t, x, o)
	a := o.Arrive("a", noon)
	e := enter(t, o, a, sekretariat.Entry{}, o.Sort(a, registertest.Letter(1), registertest.Letter(2)))
	o.Deliver(e, noon.Add(time.Minute), "dps")
	o.Route(e, 2, noon.Add(2*time.Minute), sekretariat.Decision{Department: "przemoc"})
	o.Withdraw(e, 1, noon.Add(2*time.Minute), "dps")
	o.Queue(e, 2, noon.Add(3*time.Minute), "przemoc", false)
	other := e
	other.Letter = sekretariat.NewLetterID(a.Submission, 2)
	o.Route(other, 1, noon.Add(4*time.Minute), sekretariat.Decision{Department: "kadry"})
	o.Append(ledger.Audit, "access.1", 0, sekretariat.EventAccess, string(e.Letter), 0, noon.Add(90*time.Second),
		sekretariat.AccessData{Principal: "u7", Action: "read", Letter: e.Letter, Allowed: true})
	visible(t, x, o)

	steps, err := x.History(t.Context(), o.Log, everything, e.Letter)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range steps {
		got = append(got, fmt.Sprintf("%s %s%s", s.Type, s.Department, s.By))
	}
	want := []string{"arrived.v1 ", "registered.v1 ", "sorted.v1 ", "read.v1 ", "routed.v1 dps", "queued.v1 dps",
		"access.v1 u7", "routed.v1 przemoc", "withdrawn.v1 dps", "queued.v1 przemoc"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("history\n got %q\nwant %q", got, want)
	}

	dps := sekretariat.Principal{Centre: registertest.Centre, Departments: []sekretariat.DepartmentID{"dps"}}
	missing := sekretariat.NewLetterID(sekretariat.NewSubmissionID("x", "mail", "y"), 1)
	_, foreign := x.History(t.Context(), o.Log, dps, e.Letter)
	_, gone := x.History(t.Context(), o.Log, dps, missing)
	if !errors.Is(foreign, index.ErrNotFound) || foreign.Error() != gone.Error() {
		t.Errorf("the former department is told %v, of a missing letter %v", foreign, gone)
	}
}

func TestWaitForEnds(t *testing.T) {
	x := open(t, filepath.Join(t.TempDir(), "i"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := x.WaitFor(ctx, ledger.Letter, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting: %v", err)
	}
}
