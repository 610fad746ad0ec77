package register_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"sekretariat"
	"sekretariat/ledger"
	"sekretariat/register"
	"sekretariat/register/registertest"
	"sekretariat/storage"
)

// Every way in which ledger and entries can contradict each other stops the
// numbering, and nothing else.
func TestRewound(t *testing.T) {
	number := func(year, n int) sekretariat.Number { return sekretariat.Number{Series: "rpw", Year: year, N: n} }
	put := func(t *testing.T, o *registertest.Office, n sekretariat.Number, raw []byte) {
		t.Helper()
		if err := o.Vault.Objects().Put(t.Context(), storage.EntryKey(registertest.Centre, n), storage.Bytes(raw)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name       string
		contradict func(t *testing.T, o *registertest.Office, entries []sekretariat.Entry)
	}{
		{"one entry ahead", func(t *testing.T, o *registertest.Office, es []sekretariat.Entry) {
			put(t, o, number(2026, 11), []byte("{}"))
		}},
		{"an entry of a later year", func(t *testing.T, o *registertest.Office, es []sekretariat.Entry) {
			put(t, o, number(2027, 1), []byte("{}"))
		}},
		{"another entry under the last key", func(t *testing.T, o *registertest.Office, es []sekretariat.Entry) {
			e := es[9]
			e.Letter = es[0].Letter
			raw, err := register.EncodeEntry(register.Seal(e, e.Previous))
			if err != nil {
				t.Fatal(err)
			}
			put(t, o, e.Number, raw)
		}},
		{"a damaged entry", func(t *testing.T, o *registertest.Office, es []sekretariat.Entry) {
			raw, err := register.EncodeEntry(es[6])
			if err != nil {
				t.Fatal(err)
			}
			raw[len(raw)/2] ^= 1
			put(t, o, es[6].Number, raw)
		}},
		{"an entry cut short", func(t *testing.T, o *registertest.Office, es []sekretariat.Entry) { put(t, o, es[9].Number, nil) }},
		{"a register event that does not continue the chain", func(t *testing.T, o *registertest.Office, es []sekretariat.Entry) {
			e := es[9]
			e.Number.N, e.Letter = 11, sekretariat.NewLetterID(e.Letter.Submission(), 9)
			e.Identifier = e.Number.Identifier()
			o.Append(ledger.Register("rpw"), string(e.Letter), 0, sekretariat.EventRegistered, string(e.Letter), 0, noon,
				sekretariat.RegisteredData{Entry: register.Seal(e, es[8].Digest)})
		}},
		{"a lost register event", func(t *testing.T, o *registertest.Office, es []sekretariat.Entry) {
			if err := o.Ledger.Erase(t.Context(), registertest.Centre, ledger.Register("rpw"), 5, "test"); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := registertest.Open(t, t.TempDir())
			k := &clock{t: noon}
			_, stop := start(t, options(o, k))
			o.SortMany("a", 10, noon)
			entries := registered(t, o, "rpw", 10)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			c.contradict(t, o, entries)
			before, err := o.Log.State(t.Context(), ledger.Register("rpw"))
			if err != nil {
				t.Fatal(err)
			}
			r, stop := start(t, options(o, k))
			o.SortMany("b", 3, noon)
			t.Log(stopped(t, r))
			if err := stop(); !errors.Is(err, register.ErrRewound) {
				t.Errorf("Run returned %v", err)
			}
			after, err := o.Log.State(t.Context(), ledger.Register("rpw"))
			if err != nil || after.Last != before.Last {
				t.Errorf("register went on from %d to %d (%v)", before.Last, after.Last, err)
			}
		})
	}
}

// An older copy of the NATS folder is restored, as an administrator might, with
// the objects left as they are.
func TestRestoredOlderLedger(t *testing.T) {
	for _, c := range []struct {
		name string
		kept int // letters registered when the copy was made
	}{{"some", 7}, {"none", 0}} {
		t.Run(c.name, func(t *testing.T) {
			folder := t.TempDir()
			k := &clock{t: noon}
			grow := func(n int) {
				o := registertest.Open(t, folder)
				defer o.Close()
				if n > 0 {
					_, stop := start(t, options(o, k))
					before, err := o.Log.State(t.Context(), ledger.Register("rpw"))
					if err != nil {
						t.Fatal(err)
					}
					for i := range n {
						o.Sort(o.Arrive(fmt.Sprint(before.Last, i), noon))
					}
					registered(t, o, "rpw", before.Last+uint64(n))
					if err := stop(); err != nil {
						t.Fatal(err)
					}
				}
			}
			grow(c.kept)
			if err := os.CopyFS(filepath.Join(folder, "copy"), os.DirFS(filepath.Join(folder, "nats"))); err != nil {
				t.Fatal(err)
			}
			grow(5)
			if err := os.RemoveAll(filepath.Join(folder, "nats")); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(folder, "copy"), filepath.Join(folder, "nats")); err != nil {
				t.Fatal(err)
			}
			o := registertest.Open(t, folder)
			r, _ := start(t, options(o, k))
			t.Log(stopped(t, r))
			o.Sort(o.Arrive("receiving goes on", noon))
		})
	}
}
