package register_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sekretariat"
	"sekretariat/ledger"
	"sekretariat/register"
	"sekretariat/register/registertest"
	"sekretariat/storage"
)

func verify(t testing.TB, o *registertest.Office, deep bool) *register.Report {
	t.Helper()
	r, err := register.Verify(t.Context(), register.VerifyOptions{
		Centre: registertest.Centre, Series: []sekretariat.SeriesID{"rpw"}, Log: o.Log, Vault: o.Vault, Deep: deep,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func codes(list []register.Fault) []string {
	var out []string
	for _, f := range list {
		if !slices.Contains(out, f.Code) {
			out = append(out, f.Code)
		}
	}
	slices.Sort(out)
	return out
}

// desk is an office with letters in every state, ten of them registered.
type desk struct {
	*registertest.Office
	entries []sekretariat.Entry
	arrived []sekretariat.ArrivedData
}

func openDesk(t testing.TB) *desk {
	t.Helper()
	d := &desk{Office: registertest.Open(t, t.TempDir())}
	for i := range 11 {
		a := d.Arrive(fmt.Sprint("letter ", i), noon)
		d.arrived = append(d.arrived, a)
		switch i {
		case 9: // one of two letters is parked
			parked := sekretariat.SortedLetter{Part: 2, Series: "rpw", Action: sekretariat.ActionPark, Reason: sekretariat.ParkTest}
			d.Sort(a, registertest.Letter(1), parked)
		case 10: // not sorted yet
		default:
			d.Sort(a)
		}
	}
	_, stop := start(t, options(d.Office, &clock{t: noon}))
	d.entries = registered(t, d.Office, "rpw", 10)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for i, e := range d.entries {
		switch {
		case i < 5:
			d.deliver(t, e, "dps")
		case i == 5: // sent on, with a copy left behind
			d.deliver(t, e, "dps")
			d.Route(e, 2, noon, sekretariat.Decision{Department: "przemoc", Copies: []sekretariat.DepartmentID{"dps"}})
			d.Queue(e, 2, noon, "przemoc", false)
			d.Queue(e, 2, noon, "dps", true)
		case i == 6: // sent on and back again
			d.deliver(t, e, "dps")
			d.Route(e, 2, noon, sekretariat.Decision{Department: "kadry"})
			d.Withdraw(e, 1, noon, "dps")
			d.Queue(e, 2, noon, "kadry", false)
			d.Route(e, 3, noon, sekretariat.Decision{Department: "dps"})
			d.Withdraw(e, 2, noon, "kadry")
			d.Queue(e, 3, noon, "dps", false)
		case i == 7: // decided, not delivered
			d.read(t, e)
			d.Route(e, 1, noon, sekretariat.Decision{Department: "dps"})
		case i == 8:
			d.read(t, e)
		}
	}
	return d
}

// read says that a letter was read, and stores a reading.
func (d *desk) read(t testing.TB, e sekretariat.Entry) {
	t.Helper()
	key := storage.DerivedKey(registertest.Centre, e.Letter.Submission(), "mail-1", fmt.Sprintf("%d.reading.json", e.Letter.Part()))
	if err := d.Vault.Put(t.Context(), registertest.Centre, e.Letter.Submission(), key, storage.Bytes([]byte("{}"))); err != nil {
		t.Fatal(err)
	}
	d.Read(e, noon)
}

func (d *desk) deliver(t testing.TB, e sekretariat.Entry, to sekretariat.DepartmentID) {
	t.Helper()
	d.read(t, e)
	d.Route(e, 1, noon, sekretariat.Decision{Department: to})
	d.Queue(e, 1, noon, to, false)
}

func TestVerifyClean(t *testing.T) {
	d := openDesk(t)
	r := verify(t, d.Office, true)
	if !r.OK() {
		t.Error(r.Text())
	}
	if got := codes(r.Notes); fmt.Sprint(got) != "[journal-behind]" {
		t.Errorf("notes %v", r.Notes)
	}
	if r.Arrived != 11 || r.Split != 1 || r.Registered != 10 || r.Parked != 1 ||
		fmt.Sprint(r.Queues) != "map[dps:6 przemoc:1]" ||
		r.Waiting != (register.Waiting{Sorting: 1, Reading: 1, Decision: 1, Queue: 1, Oldest: noon}) ||
		fmt.Sprint(r.Series) != "[{rpw 2026 1 10 10}]" {
		t.Errorf("report %+v\n%s", r, r.Text())
	}
	if raw, err := json.Marshal(r); err != nil || !strings.Contains(string(raw), `"faults":[]`) {
		t.Errorf("JSON %s, %v", raw, err)
	}
	if !strings.Contains(r.Text(), "every promise is kept") {
		t.Error(r.Text())
	}
}

// Each kind of damage is found, and named once by its own code.
func TestVerifyFinds(t *testing.T) {
	objects := func(d *desk) storage.Store { return d.Vault.Objects() }
	remove := func(t *testing.T, d *desk, key string) {
		t.Helper()
		if err := objects(d).Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	put := func(t *testing.T, d *desk, key string, raw []byte) {
		t.Helper()
		if err := objects(d).Put(t.Context(), key, storage.Bytes(raw)); err != nil {
			t.Fatal(err)
		}
	}
	original := func(d *desk, i int) string {
		sub := d.arrived[i].Submission
		return storage.OriginalKey(registertest.Centre, sub, sekretariat.DigestOf([]byte(fmt.Sprint("letter ", i))))
	}
	flip := func(t *testing.T, d *desk, key string) {
		t.Helper()
		o, err := objects(d).Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		raw := make([]byte, o.Size())
		if _, err := o.ReadAt(raw, 0); err != nil && err.Error() != "EOF" {
			t.Fatal(err)
		}
		if err := o.Close(); err != nil {
			t.Fatal(err)
		}
		raw[len(raw)-5] ^= 1
		put(t, d, key, raw)
	}
	entryKey := func(n int) string {
		return storage.EntryKey(registertest.Centre, sekretariat.Number{Series: "rpw", Year: 2026, N: n})
	}
	for _, c := range []struct {
		want string
		deep bool
		harm func(t *testing.T, d *desk)
	}{
		{"manifest-missing", false, func(t *testing.T, d *desk) { remove(t, d, d.arrived[2].ManifestKey) }},
		{"manifest-damaged", false, func(t *testing.T, d *desk) { flip(t, d, d.arrived[2].ManifestKey) }},
		{"manifest-other", false, func(t *testing.T, d *desk) {
			sub := d.arrived[2].Submission
			if err := d.Vault.Put(t.Context(), registertest.Centre, sub, d.arrived[2].ManifestKey, storage.Bytes([]byte("{}"))); err != nil {
				t.Fatal(err)
			}
		}},
		{"original-missing", false, func(t *testing.T, d *desk) { remove(t, d, original(d, 3)) }},
		{"original-damaged", true, func(t *testing.T, d *desk) { flip(t, d, original(d, 3)) }},
		{"original-damaged", false, func(t *testing.T, d *desk) { put(t, d, original(d, 3), []byte("short")) }}, // also without opening it
		{"object-damaged", true, func(t *testing.T, d *desk) {
			key := storage.CardKey(registertest.Centre, d.entries[2].Letter, 1)
			if err := d.Vault.Put(t.Context(), registertest.Centre, d.entries[2].Letter.Submission(), key, storage.Bytes([]byte("{}"))); err != nil {
				t.Fatal(err)
			}
			flip(t, d, key)
		}},
		{"original-other", true, func(t *testing.T, d *desk) {
			sub := d.arrived[3].Submission
			if err := d.Vault.Put(t.Context(), registertest.Centre, sub, original(d, 3), storage.Bytes([]byte("letter 4"))); err != nil {
				t.Fatal(err)
			}
		}},
		{"entry-missing", false, func(t *testing.T, d *desk) { remove(t, d, entryKey(4)) }},
		{"entry-other", false, func(t *testing.T, d *desk) { flip(t, d, entryKey(10)) }},
		{"entry-ahead", false, func(t *testing.T, d *desk) { put(t, d, entryKey(11), []byte("{}")) }},
		{"chain", false, func(t *testing.T, d *desk) {
			e := d.entries[9]
			e.Letter, e.Number.N = sekretariat.NewLetterID(d.arrived[9].Submission, 2), 12
			e.Identifier = e.Number.Identifier()
			e = register.Seal(e, d.entries[9].Digest)
			raw, err := register.EncodeEntry(e)
			if err != nil {
				t.Fatal(err)
			}
			put(t, d, entryKey(12), raw)
			d.Tell(d.arrived[9].Submission, sekretariat.EventReleased, 0, noon, sekretariat.ReleasedData{Letter: e.Letter})
			d.Append(ledger.Register("rpw"), string(e.Letter), 0, sekretariat.EventRegistered, string(e.Letter), 0, noon, sekretariat.RegisteredData{Entry: e})
		}},
		{"stream-gap", false, func(t *testing.T, d *desk) { eraseSilently(t, d.Office, ledger.Audit) }},
		{"queued-twice", false, func(t *testing.T, d *desk) {
			e := d.entries[0]
			d.Append(ledger.Queue, fmt.Sprintf("dps.urgent.%s.1", e.Letter), 0, sekretariat.EventQueued, string(e.Letter), 1, noon,
				sekretariat.QueuedData{Letter: e.Letter, Department: "dps", Revision: 1})
		}},
		{"queued-early", false, func(t *testing.T, d *desk) { d.Queue(d.entries[8], 1, noon, "dps", false) }},
		{"owners queued-unnumbered wrong-queue", false, func(t *testing.T, d *desk) {
			e := d.entries[0] // had it before it got its number, and was never told that it has it no more
			d.Append(ledger.Queue, fmt.Sprintf("kadry.normal.%s.1", e.Letter), 0, sekretariat.EventHanded, string(e.Letter), 1, noon,
				sekretariat.HandedData{Letter: e.Letter, Department: "kadry", Revision: 1})
		}},
		{"queued-ahead", false, func(t *testing.T, d *desk) {
			d.Withdraw(d.entries[0], 1, noon, "dps")
			d.Queue(d.entries[0], 2, noon, "dps", false)
		}},
		{"owners wrong-queue", false, func(t *testing.T, d *desk) { d.Queue(d.entries[0], 1, noon, "kadry", false) }},
		{"owners", false, func(t *testing.T, d *desk) { d.Withdraw(d.entries[0], 1, noon, "dps") }},
		{"unsorted", false, func(t *testing.T, d *desk) { d.Queue(phantom(d, 3), 1, noon, "dps", false) }},
		{"not-announced", false, func(t *testing.T, d *desk) { d.Sort(registertest.Announced("nobody", noon)) }},
		{"other-number", false, func(t *testing.T, d *desk) {
			e := d.entries[9]
			e.Number.N = 3
			d.read(t, e)
		}},
		{"parked-numbered", false, func(t *testing.T, d *desk) {
			e := d.entries[9]
			e.Letter, e.Number.N = sekretariat.NewLetterID(d.arrived[9].Submission, 2), 11
			e.Identifier = e.Number.Identifier()
			e = register.Seal(e, d.entries[9].Digest)
			raw, err := register.EncodeEntry(e)
			if err != nil {
				t.Fatal(err)
			}
			put(t, d, entryKey(11), raw)
			d.Append(ledger.Register("rpw"), string(e.Letter), 0, sekretariat.EventRegistered, string(e.Letter), 0, noon, sekretariat.RegisteredData{Entry: e})
		}},
	} {
		t.Run(c.want, func(t *testing.T) {
			d := openDesk(t)
			c.harm(t, d)
			r := verify(t, d.Office, c.deep)
			if got := strings.Join(codes(r.Faults), " "); got != c.want {
				t.Errorf("faults %q, want %q\n%s", got, c.want, r.Text())
			}
			if strings.Contains(r.Text(), "every promise is kept") {
				t.Error("says that all is well")
			}
		})
	}
}

// phantom is a letter that nobody knows.
func phantom(d *desk, part int) sekretariat.Entry {
	e := d.entries[0]
	e.Letter = sekretariat.NewLetterID(e.Letter.Submission(), part)
	return e
}

// eraseSilently loses one event of a stream without a record of it, as a
// damaged disk does.
func eraseSilently(t *testing.T, o *registertest.Office, s ledger.StreamName) {
	t.Helper()
	for i := range 3 {
		o.Append(s, fmt.Sprint("seen.", i), 0, sekretariat.EventSeen, "x", i, noon, sekretariat.SeenData{})
	}
	registertest.Lose(t, o, s, 2)
}

func TestVerifyNotes(t *testing.T) {
	d := openDesk(t)
	ctx := t.Context()
	put := func(sub sekretariat.SubmissionID, key string) {
		if err := d.Vault.Put(ctx, registertest.Centre, sub, key, storage.Bytes([]byte("x"))); err != nil {
			t.Fatal(err)
		}
	}
	stray := registertest.Announced("stored and never announced", noon).Submission
	put(stray, storage.OriginalKey(registertest.Centre, stray, sekretariat.DigestOf([]byte("x"))))
	put(stray, storage.ManifestKey(registertest.Centre, stray))
	sub := d.arrived[1].Submission
	put(sub, storage.OriginalKey(registertest.Centre, sub, sekretariat.DigestOf([]byte("x"))))
	d.Read(d.entries[9], noon) // without a reading
	put(d.entries[8].Letter.Submission(), storage.CardKey(registertest.Centre, d.entries[8].Letter, 1))
	reading := storage.DerivedKey(registertest.Centre, d.entries[8].Letter.Submission(), "mail-1", "1.reading.json")
	if err := d.Vault.Objects().Put(ctx, reading, storage.Bytes([]byte("damaged"))); err != nil {
		t.Fatal(err)
	}
	if err := d.Vault.Objects().Put(ctx, "c/zielona-gora/what/is/this", storage.Bytes([]byte("x"))); err != nil {
		t.Fatal(err)
	}
	if err := d.Vault.Shred(ctx, registertest.Centre, d.arrived[10].Submission); err != nil {
		t.Fatal(err)
	}
	r := verify(t, d.Office, true)
	if got := strings.Join(codes(r.Notes), " "); got != "journal-behind reading-damaged reading-missing second-original unannounced unknown-object" || !r.OK() || r.Destroyed != 1 {
		t.Errorf("notes %q\n%s", got, r.Text())
	}
}

// Verify beside a service at work: whatever moment it looks at, nothing is
// broken.
func TestVerifyBesideWork(t *testing.T) {
	o := registertest.Open(t, t.TempDir())
	start(t, options(o, &clock{t: noon}))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 60 {
			a := o.Arrive(fmt.Sprint(i), noon)
			o.Sort(a)
		}
	}()
	delivered := 0
	for working := true; working; {
		select {
		case <-done:
			working = false
		default:
		}
		for _, e := range o.Entries("rpw")[delivered:] {
			o.Deliver(e, noon.Add(time.Second), "dps")
			delivered++
		}
		if r := verify(t, o, false); !r.OK() {
			t.Fatal(r.Text())
		}
	}
}
