package register_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sekretariat"
	"sekretariat/ledger"
	"sekretariat/register"
	"sekretariat/register/registertest"
	"sekretariat/storage"
)

var streams = []ledger.StreamName{ledger.Intake, ledger.Letter, ledger.Register("rpw"), ledger.Queue, ledger.Audit}

// journalled brings the journal up to date and stops it again.
func journalled(t testing.TB, o *registertest.Office) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for _, s := range streams {
		wg.Go(func() {
			err := o.Ledger.Journal(ctx, o.Vault.Objects(), registertest.Centre, s, ledger.JournalOptions{MaxAge: 5 * time.Millisecond})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("journal of %s: %v", s, err)
			}
		})
	}
	eventually(t, "the journal has everything", func() bool {
		for _, s := range streams {
			if d, err := o.Ledger.JournalBehind(ctx, registertest.Centre, s); err != nil || d > 0 {
				return false
			}
		}
		return true
	})
	cancel()
	wg.Wait()
}

// tell dumps all streams.
func tell(t testing.TB, o *registertest.Office) map[ledger.StreamName][]string {
	t.Helper()
	out := map[ledger.StreamName][]string{}
	for _, s := range streams {
		err := o.Log.Replay(t.Context(), s, 1, func(e ledger.Stored) error {
			raw, err := json.Marshal(e.Event)
			out[s] = append(out[s], fmt.Sprintf("%d %s %s", e.Seq, e.Subject, raw))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func rebuild(t testing.TB, o *registertest.Office) *register.RebuildReport {
	t.Helper()
	r, err := register.Rebuild(t.Context(), register.RebuildOptions{
		Centre: registertest.Centre, Series: []sekretariat.SeriesID{"rpw"}, Log: o.Log, Vault: o.Vault, Logger: o.Logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// reopen closes the office, does something to its folder, and opens it again.
func reopen(t testing.TB, o *registertest.Office, change func(nats string) error) *registertest.Office {
	t.Helper()
	o.Close()
	if err := change(filepath.Join(o.Dir, "nats")); err != nil {
		t.Fatal(err)
	}
	return registertest.Open(t, o.Dir)
}

func TestRebuildFromJournal(t *testing.T) {
	d := openDesk(t)
	journalled(t, d.Office)
	before := tell(t, d.Office)
	index := filepath.Join(d.Dir, "index")
	if err := os.WriteFile(index, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := reopen(t, d.Office, os.RemoveAll)
	report, err := register.Rebuild(t.Context(), register.RebuildOptions{
		Centre: registertest.Centre, Series: []sekretariat.SeriesID{"rpw"}, Log: o.Log, Vault: o.Vault, Logger: o.Logger, Index: index,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(index); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old index is still there: %v", err)
	}
	if len(report.Derived)+len(report.Notes) > 0 {
		t.Error(report.Text())
	}
	after := tell(t, o)
	for _, s := range streams {
		if !slices.Equal(after[s], before[s]) {
			t.Errorf("%s\n is %s\nwas %s", s, strings.Join(after[s], "\n    "), strings.Join(before[s], "\n    "))
		}
		if n := report.Restored[s]; n != uint64(len(before[s])) {
			t.Errorf("%s: %d events restored of %d", s, n, len(before[s]))
		}
	}
	if r := verify(t, o, true); !r.OK() || len(r.Notes) > 0 {
		t.Error(r.Text())
	}
	if again := rebuild(t, o); len(again.Restored)+len(again.Derived) > 0 || fmt.Sprint(tell(t, o)) != fmt.Sprint(after) {
		t.Errorf("rebuilding again changes something: %s", again.Text())
	}
	// The register goes on where it was.
	start(t, options(o, &clock{t: noon}))
	o.SortMany("new", 1, noon)
	checkRegister(t, o, registered(t, o, "rpw", 11))
	journalled(t, o) // and so does the journal
}

// What came after the last journal object is derived from manifests and
// entries: each letter keeps its number.
func TestRebuildTail(t *testing.T) {
	for _, c := range []struct {
		name    string
		journal func(t *testing.T, d *desk) // what is journalled before the tail
	}{
		{"nothing journalled at all", func(*testing.T, *desk) {}},
		{"journalled up to now", func(t *testing.T, d *desk) { journalled(t, d.Office) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := openDesk(t)
			c.journal(t, d)
			k := &clock{t: noon}
			_, stop := start(t, options(d.Office, k))
			// A released letter, a split one, two new ones; two that are only stored.
			two := sekretariat.NewLetterID(d.arrived[9].Submission, 2)
			d.Tell(two.Submission(), sekretariat.EventReleased, 0, noon, sekretariat.ReleasedData{Letter: two})
			registered(t, d.Office, "rpw", 11)
			d.Tell(d.arrived[0].Submission, sekretariat.EventSplit, 0, noon, sekretariat.SplitData{
				From: d.entries[0].Letter, Letters: []sekretariat.SortedLetter{registertest.Letter(2), registertest.Letter(3)}})
			registered(t, d.Office, "rpw", 13)
			for i := range 2 {
				d.Sort(d.Arrive(fmt.Sprint("tail ", i), noon.Add(time.Hour)))
			}
			before := registered(t, d.Office, "rpw", 15)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			o := reopen(t, d.Office, os.RemoveAll)
			report := rebuild(t, o)
			t.Log(report.Text())
			if after := o.Entries("rpw"); !slices.Equal(after, before) {
				t.Errorf("register\n is %v\nwas %v", after, before)
			}
			r := verify(t, o, true)
			if !r.OK() {
				t.Error(r.Text())
			}
			if r.Arrived != 13 || r.Registered != 15 {
				t.Error(r.Text())
			}
			if again := rebuild(t, o); len(again.Restored)+len(again.Derived) > 0 {
				t.Errorf("rebuilding again: %s", again.Text())
			}
			start(t, options(o, k))
			o.SortMany("new", 1, noon)
			checkRegister(t, o, registered(t, o, "rpw", 16))
		})
	}
}

// An older copy of the ledger was restored: what is missing behind it is
// brought back in place, unless the ledger has gone on differently.
func TestRebuildRewound(t *testing.T) {
	for _, diverged := range []bool{false, true} {
		t.Run(fmt.Sprintf("diverged %v", diverged), func(t *testing.T) {
			d := openDesk(t)
			saved := t.TempDir()
			o := reopen(t, d.Office, func(nats string) error { return os.CopyFS(filepath.Join(saved, "nats"), os.DirFS(nats)) })
			k := &clock{t: noon}
			_, stop := start(t, options(o, k))
			o.Sort(o.Arrive("later", noon))
			registered(t, o, "rpw", 11)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			journalled(t, o)
			before := tell(t, o)
			o = reopen(t, o, func(nats string) error {
				return errors.Join(os.RemoveAll(nats), os.CopyFS(nats, os.DirFS(filepath.Join(saved, "nats"))))
			})
			if diverged {
				o.Arrive("something else", noon)
				_, err := register.Rebuild(t.Context(), register.RebuildOptions{
					Centre: registertest.Centre, Series: []sekretariat.SeriesID{"rpw"}, Log: o.Log, Vault: o.Vault, Logger: o.Logger,
				})
				if !errors.Is(err, register.ErrDiverged) {
					t.Fatalf("rebuild: %v", err)
				}
				if r := verify(t, o, false); r.OK() {
					t.Error(r.Text())
				}
				o = reopen(t, o, os.RemoveAll) // as the error says
				rebuild(t, o)
				if r := verify(t, o, true); !r.OK() || r.Arrived != 13 {
					t.Error(r.Text())
				}
				return
			}
			if r := verify(t, o, false); r.OK() || !slices.Contains(codes(r.Faults), "journal-ahead") {
				t.Error(r.Text())
			}
			rebuild(t, o)
			if after := tell(t, o); fmt.Sprint(after) != fmt.Sprint(before) {
				t.Errorf("ledger\n is %v\nwas %v", after, before)
			}
			if r := verify(t, o, true); !r.OK() {
				t.Error(r.Text())
			}
		})
	}
}

// Events erased on purpose leave their place empty, so that all others keep
// their sequences.
func TestRebuildErased(t *testing.T) {
	d := openDesk(t)
	for i := range 4 {
		d.Append(ledger.Audit, fmt.Sprint("seen.", i), 0, sekretariat.EventSeen, "x", i, noon, sekretariat.SeenData{Submission: d.arrived[0].Submission})
	}
	if err := d.Ledger.Erase(t.Context(), registertest.Centre, ledger.Audit, 2, "test"); err != nil {
		t.Fatal(err)
	}
	journalled(t, d.Office)
	before := tell(t, d.Office)[ledger.Audit]
	o := reopen(t, d.Office, os.RemoveAll)
	rebuild(t, o)
	after := tell(t, o)[ledger.Audit]
	after = slices.DeleteFunc(after, func(s string) bool { return strings.Contains(s, "erased.v1") })
	if !slices.Equal(after, before) {
		t.Errorf("stream\n is %v\nwas %v", after, before)
	}
	if r := verify(t, o, true); !r.OK() {
		t.Error(r.Text())
	}
}

// The object of an entry that the store has lost is written again from the
// ledger; one that holds something else is for people.
func TestRebuildLostEntries(t *testing.T) {
	d := openDesk(t)
	key := func(n int) string {
		return storage.EntryKey(registertest.Centre, sekretariat.Number{Series: "rpw", Year: 2026, N: n})
	}
	for _, n := range []int{1, 4, 5, 10} {
		if err := d.Vault.Objects().Delete(t.Context(), key(n)); err != nil {
			t.Fatal(err)
		}
	}
	if r := verify(t, d.Office, false); fmt.Sprint(codes(r.Faults)) != "[entry-missing]" || !strings.Contains(r.Text(), "waiting for the object of their entry: 1;") {
		t.Error(r.Text())
	}
	if report := rebuild(t, d.Office); len(report.Derived) != 4 || len(report.Notes) > 0 {
		t.Error(report.Text())
	}
	if r := verify(t, d.Office, true); !r.OK() || r.Waiting.Entry > 0 {
		t.Error(r.Text())
	}
	checkRegister(t, d.Office, registered(t, d.Office, "rpw", 10))

	if err := d.Vault.Objects().Put(t.Context(), key(7), storage.Bytes([]byte("{}"))); err != nil {
		t.Fatal(err)
	}
	if report := rebuild(t, d.Office); len(report.Derived) > 0 || len(report.Notes) != 1 || report.Notes[0].ID != "RPW-2026-000007" {
		t.Error(report.Text())
	}
}

// Rebuild is cut short anywhere and run again.
func TestRebuildCutShort(t *testing.T) {
	d := openDesk(t)
	journalled(t, d.Office)
	before := tell(t, d.Office)
	o := d.Office
	for n := 1; n < 12; n += 2 {
		o = reopen(t, o, os.RemoveAll)
		_, err := register.Rebuild(t.Context(), register.RebuildOptions{
			Centre: registertest.Centre, Series: []sekretariat.SeriesID{"rpw"}, Log: &failing{Log: o.Log, after: n}, Vault: o.Vault, Logger: o.Logger,
		})
		if n < 5 && !errors.Is(err, errCut) {
			t.Fatalf("append %d: %v", n, err)
		}
		rebuild(t, o)
		if after := tell(t, o); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Errorf("cut at %d\n is %v\nwas %v", n, after, before)
		}
	}
}

var errCut = errors.New("cut")

// failing is a Log whose appends fail after some.
type failing struct {
	ledger.Log
	after int
}

func (f *failing) AppendAll(ctx context.Context, s ledger.StreamName, seq uint64, rs []ledger.Record) (uint64, error) {
	if f.after--; f.after <= 0 {
		return 0, errCut
	}
	return f.Log.AppendAll(ctx, s, seq, rs)
}
