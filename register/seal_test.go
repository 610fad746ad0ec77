package register

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sekretariat"
)

func sampleEntry() sekretariat.Entry {
	n := sekretariat.Number{Series: "rpw", Year: 2026, N: 123}
	sub := sekretariat.NewSubmissionID("zielona-gora", sekretariat.KindMail, "poczta", "x")
	return sekretariat.Entry{
		Version: sekretariat.EntryVersion, Centre: "zielona-gora", Number: n, Identifier: n.Identifier(),
		Letter: sekretariat.NewLetterID(sub, 1), Manifest: sekretariat.DigestOf([]byte("manifest")),
		Arrived:    sekretariat.Arrival{At: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC), Basis: sekretariat.BasisServerArrival},
		Received:   time.Date(2026, 3, 4, 5, 6, 8, 123456789, time.UTC),
		Registered: time.Date(2026, 3, 4, 6, 6, 9, 500e6, time.FixedZone("", 3600)),
	}
}

// The digest is for ever: this value was computed without this
// program, from the encoding in the comment of Seal alone. If the test fails, the
// encoding changed and every register in the country breaks.
func TestSealIsForEver(t *testing.T) {
	e := Seal(sampleEntry(), sekretariat.DigestOf([]byte("before")))
	const want = "c7adadcefebe9c9a4edfe13105f5ef178c0f5888b0ee0dc02b675d6091486979"
	if e.Digest != want {
		t.Errorf("digest %s, want %s", e.Digest, want)
	}
}

func TestSealSurvivesItsObject(t *testing.T) {
	e := Seal(sampleEntry(), "")
	raw, err := EncodeEntry(e)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeEntry(raw)
	if err != nil {
		t.Fatal(err)
	}
	if got != e {
		t.Errorf("read back %+v, want %+v", got, e)
	}
}

// Every field of an entry is covered: changing any value of its JSON breaks
// the seal.
func TestSealCoversEveryField(t *testing.T) {
	e := sampleEntry()
	e.Parent = sekretariat.NewLetterID(e.Letter.Submission(), 7)
	e = Seal(e, sekretariat.DigestOf([]byte("before")))
	raw, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(raw, &fields); err != nil {
		t.Fatal(err)
	}
	tried := 0
	var each func(path string, m map[string]any)
	each = func(path string, m map[string]any) {
		for k, v := range m {
			if sub, ok := v.(map[string]any); ok {
				each(path+k+".", sub)
				continue
			}
			tried++
			m[k] = other(t, v)
			changed, err := json.Marshal(fields)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := DecodeEntry(changed); !errors.Is(err, ErrBroken) {
				t.Errorf("%s%s changed to %v: %v, want ErrBroken", path, k, m[k], err)
			}
			m[k] = v
		}
	}
	each("", fields)
	if tried < 15 {
		t.Errorf("tried %d fields only", tried)
	}
}

func other(t *testing.T, v any) any {
	switch v := v.(type) {
	case float64:
		return v + 1
	case string:
		if at, err := time.Parse(time.RFC3339Nano, v); err == nil {
			return at.Add(time.Microsecond).Format(time.RFC3339Nano)
		}
		return v + "0"
	}
	t.Fatalf("field of type %T", v)
	return nil
}

// No two lists of fields have the same encoding: moving a character from one
// field to its neighbour changes the digest.
func TestSealFieldsDoNotRunTogether(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := sampleEntry()
		s := rapid.StringMatching(`[0-9a-f.:,]{2,20}`).Draw(t, "text")
		i := rapid.IntRange(0, len(s)-1).Draw(t, "cut")
		j := rapid.IntRange(0, len(s)-1).Draw(t, "other cut")
		b := a
		a.Letter, a.Parent = sekretariat.LetterID(s[:i]), sekretariat.LetterID(s[i:])
		b.Letter, b.Parent = sekretariat.LetterID(s[:j]), sekretariat.LetterID(s[j:])
		if (Seal(a, "").Digest == Seal(b, "").Digest) != (i == j) {
			t.Fatalf("cut at %d and %d", i, j)
		}
	})
}

func TestCheckNext(t *testing.T) {
	numbered := func(series sekretariat.SeriesID, year, n int, previous sekretariat.Digest) sekretariat.Entry {
		e := sampleEntry()
		e.Number = sekretariat.Number{Series: series, Year: year, N: n}
		e.Identifier = e.Number.Identifier()
		return Seal(e, previous)
	}
	first := numbered("rpw", 2026, 501, "")
	for _, c := range []struct {
		name string
		prev sekretariat.Entry
		e    sekretariat.Entry
		ok   bool
	}{
		{"the first of a series", sekretariat.Entry{}, first, true},
		{"the next", first, numbered("rpw", 2026, 502, first.Digest), true},
		{"the first of a year", first, numbered("rpw", 2027, 1, first.Digest), true},
		{"a gap", first, numbered("rpw", 2026, 503, first.Digest), false},
		{"a repeat", first, numbered("rpw", 2026, 501, first.Digest), false},
		{"a year back", first, numbered("rpw", 2025, 502, first.Digest), false},
		{"another series", first, numbered("mzon", 2026, 502, first.Digest), false},
		{"another chain", first, numbered("rpw", 2026, 502, numbered("rpw", 2026, 501, "x").Digest), false},
		{"a second beginning", sekretariat.Entry{}, numbered("rpw", 2026, 502, first.Digest), false},
		{"number nought", sekretariat.Entry{}, numbered("rpw", 2026, 0, ""), false},
	} {
		if err := CheckNext(c.prev, c.e); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrBroken) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	e := numbered("rpw", 2026, 502, first.Digest)
	e.Identifier = "RPW-2026-000999"
	if err := CheckNext(first, Seal(e, first.Digest)); !errors.Is(err, ErrBroken) {
		t.Errorf("foreign identifier: %v", err)
	}
}

func FuzzDecodeEntry(f *testing.F) {
	raw, err := EncodeEntry(Seal(sampleEntry(), ""))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte("{}"))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := DecodeEntry(raw)
		if err != nil {
			return
		}
		// What is accepted says the same when it is written again.
		raw, err = EncodeEntry(e)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := DecodeEntry(raw); err != nil || Seal(again, again.Previous).Digest != e.Digest {
			t.Errorf("accepted an entry that does not survive: %v", err)
		}
	})
}
