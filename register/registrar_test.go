package register_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"sekretariat"
	"sekretariat/ledger"
	"sekretariat/register"
	"sekretariat/register/registertest"
	"sekretariat/storage"
)

var noon = time.Date(2026, 6, 15, 10, 0, 0, 0, time.UTC)

// clock is a clock that tests set.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = t
}

func options(o *registertest.Office, c *clock) register.Options {
	return register.Options{
		Centre: registertest.Centre, Series: "rpw", Log: o.Log, Store: o.Vault.Objects(), Clock: c.now, Logger: o.Logger,
	}
}

// start runs a registrar; stop ends it and returns what Run returned.
func start(t testing.TB, o register.Options) (r *register.Registrar, stop func() error) {
	t.Helper()
	r = register.NewRegistrar(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	var once sync.Once
	var err error
	stop = func() error {
		once.Do(func() { cancel(); err = <-done })
		return err
	}
	t.Cleanup(func() { _ = stop() })
	return r, stop
}

// eventually asks until the answer is yes.
func eventually(t testing.TB, what string, yes func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); <-tick.C {
		if yes() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

// registered waits until the register of a series holds n entries, and the
// store the last of them.
func registered(t testing.TB, o *registertest.Office, series sekretariat.SeriesID, n uint64) []sekretariat.Entry {
	t.Helper()
	eventually(t, fmt.Sprintf("%d registrations", n), func() bool {
		s, err := o.Log.State(t.Context(), ledger.Register(series))
		if err != nil {
			t.Fatal(err)
		}
		return s.Last >= n
	})
	entries := o.Entries(series)
	last := entries[len(entries)-1]
	eventually(t, "entry "+last.Identifier, func() bool {
		_, err := o.Vault.Objects().Head(t.Context(), storage.EntryKey(registertest.Centre, last.Number))
		return err == nil
	})
	return entries
}

// checkRegister checks numbers, chain and entry objects of one series.
func checkRegister(t testing.TB, o *registertest.Office, entries []sekretariat.Entry) {
	t.Helper()
	letters := map[sekretariat.LetterID]bool{}
	var prev sekretariat.Entry
	for _, e := range entries {
		if err := register.CheckNext(prev, e); err != nil {
			t.Fatal(err)
		}
		if letters[e.Letter] {
			t.Fatalf("letter %s has two numbers", e.Letter)
		}
		letters[e.Letter] = true
		got, err := register.ReadEntry(t.Context(), o.Vault.Objects(), registertest.Centre, e.Number)
		if err != nil || got != e {
			t.Fatalf("entry of %s is %+v (%v), the ledger says %+v", e.Identifier, got, err, e)
		}
		prev = e
	}
}

// stopped waits until the registrar has given up numbering.
func stopped(t testing.TB, r *register.Registrar) error {
	t.Helper()
	eventually(t, "the registrar stops", func() bool { return errors.Is(r.Status().Err, register.ErrRewound) })
	if r.Status().Ready {
		t.Error("ready although rewound")
	}
	return r.Status().Err
}

func TestRegister(t *testing.T) {
	o := registertest.Open(t, t.TempDir())
	c := &clock{t: noon}
	_, stop := start(t, options(o, c))
	a := o.Arrive("a", noon.Add(-time.Hour))
	seq := o.Sort(a)
	b := o.Arrive("b", noon)
	o.Sort(b, registertest.Letter(1), sekretariat.SortedLetter{Part: 2, Series: "rpw", Action: sekretariat.ActionPark, Reason: sekretariat.ParkTest}, registertest.Letter(3))
	entries := registered(t, o, "rpw", 3)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	checkRegister(t, o, entries)
	e := entries[0]
	want := sekretariat.Entry{
		Version: 1, Centre: registertest.Centre, Number: sekretariat.Number{Series: "rpw", Year: 2026, N: 1}, Identifier: "RPW-2026-000001",
		Letter: sekretariat.NewLetterID(a.Submission, 1), Manifest: a.Manifest, Arrived: a.Arrived, Received: a.Received, Registered: noon, Digest: e.Digest,
	}
	if e != want {
		t.Errorf("entry\n got %+v\nwant %+v", e, want)
	}
	if l := entries[2].Letter; l != sekretariat.NewLetterID(b.Submission, 3) {
		t.Errorf("third number went to %s", l)
	}
	s, err := o.Log.Last(t.Context(), ledger.Register("rpw"), string(e.Letter))
	if err != nil {
		t.Fatal(err)
	}
	d, err := sekretariat.DataOf[sekretariat.RegisteredData](s.Event)
	if err != nil || d.Cause != seq || d.Arrived.Submission != a.Submission {
		t.Errorf("register event %+v, %v; want cause %d", d, err, seq)
	}
}

// A letter split into eight: the further ones get the next free numbers in
// page order, with their parent (rule P3). A released one gets its number too,
// letters of another series do not.
func TestSplitReleasedAndOtherSeries(t *testing.T) {
	o := registertest.Open(t, t.TempDir(), "rpw", "mzon")
	c := &clock{t: noon}
	start(t, options(o, c))
	mzon := options(o, c)
	mzon.Series, mzon.First = "mzon", func(int) int { return 100 }
	start(t, mzon)

	a := o.Arrive("a", noon)
	o.Sort(a, registertest.Letter(1),
		sekretariat.SortedLetter{Part: 2, Series: "rpw", Action: sekretariat.ActionPark, Reason: sekretariat.ParkTest, Range: "pages:9"},
		sekretariat.SortedLetter{Part: 3, Series: "mzon", Action: sekretariat.ActionRegister})
	registered(t, o, "rpw", 1)
	from := sekretariat.NewLetterID(a.Submission, 1)
	var further []sekretariat.SortedLetter
	for part := 4; part < 11; part++ {
		further = append(further, registertest.Letter(part))
	}
	o.Tell(a.Submission, sekretariat.EventSplit, 0, noon, sekretariat.SplitData{From: from, Letters: further})
	o.Tell(a.Submission, sekretariat.EventReleased, 0, noon, sekretariat.ReleasedData{Letter: sekretariat.NewLetterID(a.Submission, 2), By: "p", Reason: "letter"})
	entries := registered(t, o, "rpw", 9)
	checkRegister(t, o, entries)
	for i, e := range entries[1:8] {
		if e.Letter.Part() != i+4 || e.Parent != from || e.Arrived != a.Arrived {
			t.Errorf("child %d is %+v", i, e)
		}
	}
	if e := entries[8]; e.Letter.Part() != 2 || e.Parent != "" {
		t.Errorf("released letter is %+v", e)
	}
	other := registered(t, o, "mzon", 1)
	checkRegister(t, o, other)
	if e := other[0]; e.Identifier != "RPW-MZON-2026-000100" || e.Letter.Part() != 3 {
		t.Errorf("other series: %+v", e)
	}
}

// Rule P2: the series year is that of the registration.
func TestYears(t *testing.T) {
	warsaw := sekretariat.Warsaw()
	at := func(y int, m time.Month, d, h, min, s int) time.Time { return time.Date(y, m, d, h, min, s, 0, warsaw) }
	type step struct {
		arrived, now time.Time
		number, day  string
	}
	for _, c := range []struct {
		name  string
		first func(int) int
		steps []step
	}{
		{"arrived in the last second of the year, numbered after midnight", nil, []step{
			{at(2026, 12, 31, 23, 59, 59), at(2026, 12, 31, 23, 59, 59), "RPW-2026-000001", "2026-12-31"},
			{at(2026, 12, 31, 23, 59, 59), at(2027, 1, 1, 0, 0, 1), "RPW-2027-000001", "2026-12-31"},
		}},
		{"the Polish new year is an hour before UTC's", nil, []step{
			{time.Date(2026, 12, 31, 22, 59, 59, 0, time.UTC), time.Date(2026, 12, 31, 22, 59, 59, 0, time.UTC), "RPW-2026-000001", "2026-12-31"},
			{time.Date(2026, 12, 31, 23, 0, 0, 0, time.UTC), time.Date(2026, 12, 31, 23, 0, 0, 0, time.UTC), "RPW-2027-000001", "2027-01-01"},
		}},
		{"clock stepped back over the new year", nil, []step{
			{at(2026, 12, 31, 12, 0, 0), at(2026, 12, 31, 12, 0, 0), "RPW-2026-000001", "2026-12-31"},
			{at(2027, 1, 1, 0, 5, 0), at(2027, 1, 1, 0, 5, 0), "RPW-2027-000001", "2027-01-01"},
			{at(2026, 12, 31, 23, 50, 0), at(2026, 12, 31, 23, 50, 0), "RPW-2027-000002", "2026-12-31"},
			{at(2027, 1, 1, 0, 10, 0), at(2027, 1, 1, 0, 10, 0), "RPW-2027-000003", "2027-01-01"},
		}},
		{"the hour that comes twice in October", nil, []step{
			{time.Date(2026, 10, 25, 0, 30, 0, 0, time.UTC), time.Date(2026, 10, 25, 0, 30, 0, 0, time.UTC), "RPW-2026-000001", "2026-10-25"},
			{time.Date(2026, 10, 25, 1, 30, 0, 0, time.UTC), time.Date(2026, 10, 25, 1, 30, 0, 0, time.UTC), "RPW-2026-000002", "2026-10-25"},
		}},
		{"daylight saving keeps the day", nil, []step{
			{time.Date(2026, 3, 28, 22, 59, 0, 0, time.UTC), time.Date(2026, 3, 28, 23, 1, 0, 0, time.UTC), "RPW-2026-000001", "2026-03-28"},
			{time.Date(2026, 3, 29, 21, 59, 0, 0, time.UTC), time.Date(2026, 3, 29, 22, 1, 0, 0, time.UTC), "RPW-2026-000002", "2026-03-29"},
		}},
		{"first number 501 in the starting year", func(y int) int { return map[int]int{2026: 501}[y] }, []step{
			{at(2026, 7, 1, 8, 0, 0), at(2026, 7, 1, 8, 0, 0), "RPW-2026-000501", "2026-07-01"},
			{at(2026, 7, 1, 8, 0, 0), at(2026, 7, 1, 8, 0, 0), "RPW-2026-000502", "2026-07-01"},
			{at(2027, 7, 1, 8, 0, 0), at(2027, 7, 1, 8, 0, 0), "RPW-2027-000001", "2027-07-01"},
		}},
		{"Friday's post registered on Monday", nil, []step{
			{at(2026, 6, 12, 15, 20, 0), at(2026, 6, 15, 7, 31, 0), "RPW-2026-000001", "2026-06-12"},
		}},
		{"a year without post", nil, []step{
			{at(2026, 6, 12, 15, 20, 0), at(2026, 6, 15, 7, 31, 0), "RPW-2026-000001", "2026-06-12"},
			{at(2029, 6, 12, 15, 20, 0), at(2029, 6, 15, 7, 31, 0), "RPW-2029-000001", "2029-06-12"},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := registertest.Open(t, t.TempDir())
			k := &clock{}
			opt := options(o, k)
			opt.First = c.first
			_, stop := start(t, opt)
			var last time.Time
			for i, s := range c.steps {
				k.set(s.now)
				if i == len(c.steps)-1 { // also through a restart
					if err := stop(); err != nil {
						t.Fatal(err)
					}
					start(t, opt)
				}
				o.Sort(o.Arrive(fmt.Sprint(i), s.arrived))
				e := registered(t, o, "rpw", uint64(i+1))[i]
				if day := sekretariat.Day(e.Arrived.At); e.Identifier != s.number || day != s.day {
					t.Errorf("letter %d is %s of %s, want %s of %s", i, e.Identifier, day, s.number, s.day)
				}
				if e.Registered.Before(last) {
					t.Errorf("letter %d registered %s, before the one before (%s)", i, e.Registered, last)
				}
				last = e.Registered
			}
		})
	}
}

// Ledger ahead of entries is normal after a kill: the missing ones are written.
func TestEntriesMissing(t *testing.T) {
	for _, c := range []struct {
		name    string
		letters int
		gone    func(n int) bool
	}{
		{"the last few", 20, func(n int) bool { return n > 17 }},
		{"all", 20, func(int) bool { return true }},
		{"holes inside the last group", 600, func(n int) bool { return n > 300 && n%3 == 0 }},
		{"more than one group", 1300, func(n int) bool { return n > 400 }},
		{"none", 20, func(int) bool { return false }},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := registertest.Open(t, t.TempDir())
			k := &clock{t: noon}
			_, stop := start(t, options(o, k))
			o.SortMany("a", c.letters, noon)
			entries := registered(t, o, "rpw", uint64(c.letters))
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				if c.gone(e.Number.N) {
					if err := o.Vault.Objects().Delete(t.Context(), storage.EntryKey(registertest.Centre, e.Number)); err != nil {
						t.Fatal(err)
					}
				}
			}
			start(t, options(o, k))
			o.SortMany("b", 1, noon)
			checkRegister(t, o, registered(t, o, "rpw", uint64(c.letters)+1))
		})
	}
}
