package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sekretariat/storage"
)

// mendOffice has 30 events in five journal objects: 1, 7, 13, 19, 25.
func mendOffice(t *testing.T) (*Ledger, Log, storage.Store, func(first uint64) string) {
	t.Helper()
	l := open(t, t.TempDir())
	g := centre(t, l)
	store, root := newStore(t)
	letters(t, g, 0, 30)
	journalAll(t, l, store, JournalOptions{MaxEvents: 6, MaxAge: time.Hour})
	return l, g, store, func(first uint64) string {
		return filepath.Join(root, storage.JournalKey(testCentre, string(Letter), first))
	}
}

func flip(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	at := bytes.LastIndex(b, []byte(`"data"`)) + 1
	b[at] ^= 1 // good JSON still
	return errors.Join(os.Remove(path), os.WriteFile(path, b, 0o600))
}

func cut(path string) error { return os.Truncate(path, 200) }

func TestMendJournal(t *testing.T) {
	for _, c := range []struct {
		name  string
		harm  map[uint64]func(string) error
		want  string
		again []uint64 // objects that must come back octet by octet
	}{
		{"nothing is wrong", nil, "[]", nil},
		{"one is lost", map[uint64]func(string) error{13: os.Remove}, "[{13 18 true}]", []uint64{13}},
		{"the first is lost", map[uint64]func(string) error{1: os.Remove}, "[{1 6 true}]", []uint64{1}},
		{"two stretches", map[uint64]func(string) error{7: os.Remove, 19: os.Remove}, "[{7 12 true} {19 24 true}]", []uint64{7, 19}},
		{"two in a row", map[uint64]func(string) error{7: os.Remove, 13: os.Remove}, "[{7 18 false}]", nil},
		{"one is cut", map[uint64]func(string) error{7: cut}, "[{7 12 true}]", []uint64{7}},
		{"one is cut, the next is lost", map[uint64]func(string) error{7: cut, 13: os.Remove}, "[{7 18 false}]", nil},
		{"one is lost, the next is cut", map[uint64]func(string) error{7: os.Remove, 13: cut}, "[{7 18 false}]", nil},
		{"one is another", map[uint64]func(string) error{7: flip}, "[{7 12 true}]", []uint64{7}},
		{"the last is another", map[uint64]func(string) error{25: flip}, "[{25 30 true}]", []uint64{25}},
		{"the last is cut", map[uint64]func(string) error{25: cut}, "[{25 30 true}]", []uint64{25}},
		{"the first is cut and the last is another", map[uint64]func(string) error{1: cut, 25: flip}, "[{1 6 true} {25 30 true}]", []uint64{1, 25}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, g, store, path := mendOffice(t)
			before := map[uint64][]byte{}
			for first, harm := range c.harm {
				b, err := os.ReadFile(path(first))
				if err != nil {
					t.Fatal(err)
				}
				before[first] = b
				if err := harm(path(first)); err != nil {
					t.Fatal(err)
				}
			}
			mended, err := l.MendJournal(t.Context(), store, testCentre, Letter)
			if err != nil || fmt.Sprint(mended) != c.want {
				t.Fatalf("mended %v, want %s: %v", mended, c.want, err)
			}
			for _, first := range c.again {
				if b, err := os.ReadFile(path(first)); err != nil || !bytes.Equal(b, before[first]) {
					t.Errorf("object %d is not what it was: %v\n%s\n%s", first, err, before[first], b)
				}
			}
			sameAsLedger(t, g, store, 1)
			if again, err := l.MendJournal(t.Context(), store, testCentre, Letter); err != nil || len(again) > 0 {
				t.Errorf("again: %v, %v", again, err)
			}
			letters(t, g, 30, 40)
			journalAll(t, l, store, small)
			sameAsLedger(t, g, store, 1)
		})
	}
}

// A mended stretch can be lost again, and its neighbours too.
func TestMendJournalTwice(t *testing.T) {
	l, g, store, path := mendOffice(t)
	for _, lost := range [][]uint64{{7, 13}, {7}, {19}, {1, 7}, {1, 19}} {
		for _, first := range lost {
			if err := os.Remove(path(first)); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		}
		if mended, err := l.MendJournal(t.Context(), store, testCentre, Letter); err != nil || len(mended) == 0 {
			t.Fatalf("without %v: %v, %v", lost, mended, err)
		}
		sameAsLedger(t, g, store, 1)
	}
}

// A ledger that was made again has other times, and so other octets.
func TestMendJournalFromLedgerMadeAgain(t *testing.T) {
	_, _, store, path := mendOffice(t)
	l := open(t, t.TempDir())
	g := centre(t, l)
	_, err := ReadJournal(t.Context(), store, testCentre, Letter, 1, func(s Stored) error {
		_, err := g.Append(t.Context(), Letter, Record{Subject: s.Subject, LastSeq: AnySeq, Event: s.Event})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(path(13)), cut(path(19))); err != nil {
		t.Fatal(err)
	}
	if mended, err := l.MendJournal(t.Context(), store, testCentre, Letter); err != nil || fmt.Sprint(mended) != "[{13 24 false}]" {
		t.Fatalf("%v, %v", mended, err)
	}
	if next, err := ReadJournal(t.Context(), store, testCentre, Letter, 1, func(Stored) error { return nil }); err != nil || next != 31 {
		t.Errorf("the journal goes to %d: %v", next, err)
	}
}

// What the ledger does not have, or tells otherwise, is left as it is.
func TestMendJournalLeavesAlone(t *testing.T) {
	for name, fill := range map[string]func(t *testing.T, l *Ledger, g Log){
		"an empty ledger":      func(*testing.T, *Ledger, Log) {},
		"a shorter one":        func(t *testing.T, _ *Ledger, g Log) { letters(t, g, 0, 15) },
		"another one":          func(t *testing.T, _ *Ledger, g Log) { letters(t, g, 100, 130) },
		"one with lost events": func(t *testing.T, l *Ledger, g Log) { letters(t, g, 0, 30); loseSeq(t, l, 14) },
	} {
		t.Run(name, func(t *testing.T) {
			_, _, store, path := mendOffice(t)
			l := open(t, t.TempDir())
			g := centre(t, l)
			fill(t, l, g)
			if err := errors.Join(cut(path(13)), flip(path(25))); err != nil {
				t.Fatal(err)
			}
			was, err := os.ReadFile(path(13))
			if err != nil {
				t.Fatal(err)
			}
			if mended, err := l.MendJournal(t.Context(), store, testCentre, Letter); err != nil || len(mended) > 0 {
				t.Errorf("mended %v: %v", mended, err)
			}
			if b, err := os.ReadFile(path(13)); err != nil || !bytes.Equal(b, was) {
				t.Errorf("the damaged object was touched: %v", err)
			}
			if _, err := ReadJournal(t.Context(), store, testCentre, Letter, 1, func(Stored) error { return nil }); !errors.Is(err, storage.ErrDamaged) {
				t.Errorf("reading it: %v", err)
			}
		})
	}
}

func loseSeq(t *testing.T, l *Ledger, seq uint64) {
	t.Helper()
	if err := l.c.api(t.Context(), "STREAM.MSG.DELETE."+streamOf(testCentre, Letter), map[string]any{"seq": seq}, nil); err != nil {
		t.Fatal(err)
	}
}
