package ledger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"sekretariat"
	"sekretariat/storage"
	"sekretariat/storage/dir"
)

func newStore(t *testing.T) (storage.Store, string) {
	t.Helper()
	root := t.TempDir()
	d, err := dir.Open(root, dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return d, root
}

// stopper is a store that ends the worker's life at the n-th step, before or
// after the step is done: what a kill leaves behind.
type stopper struct {
	storage.Store
	n      int
	after  bool
	cancel context.CancelFunc
}

func (s *stopper) step(ctx context.Context, do func(context.Context) error) error {
	s.n--
	if s.n == 0 && !s.after {
		s.cancel()
		return ctx.Err()
	}
	err := do(ctx)
	if s.n == 0 {
		s.cancel()
	}
	return err
}

func (s *stopper) PutOnce(ctx context.Context, key string, b sekretariat.Body) error {
	return s.step(ctx, func(ctx context.Context) error { return s.Store.PutOnce(ctx, key, b) })
}

func (s *stopper) Sync(ctx context.Context, keys []string) error {
	return s.step(ctx, func(ctx context.Context) error { return s.Store.Sync(ctx, keys) })
}

// small makes objects of few events whatever the machine's speed.
var small = JournalOptions{MaxEvents: 6, MaxAge: 1}

// journalAll runs the journal until it is not behind any more.
func journalAll(t *testing.T, l *Ledger, store storage.Store, o JournalOptions) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		defer cancel()
		for ctx.Err() == nil {
			behind, err := l.JournalBehind(ctx, testCentre, Letter)
			if err != nil || behind == 0 {
				return
			}
		}
	})
	err := l.Journal(ctx, store, testCentre, Letter, o)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("journal: %v", err)
	}
	wg.Wait()
}

// sameAsLedger compares the journal with the ledger from sequence from on.
func sameAsLedger(t *testing.T, g Log, store storage.Store, from uint64) {
	t.Helper()
	var want, got []string
	line := func(to *[]string) func(Stored) error {
		return func(s Stored) error {
			*to = append(*to, fmt.Sprint(s.Seq, s.Subject, s.Time.UnixNano(), s.Event.ID, string(s.Event.Data)))
			return nil
		}
	}
	if err := g.Replay(t.Context(), Letter, from, line(&want)); err != nil {
		t.Fatal(err)
	}
	next, err := ReadJournal(t.Context(), store, testCentre, Letter, from, line(&got))
	if err != nil {
		t.Fatal(err)
	}
	if len(want) == 0 || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the journal has %d events, the ledger %d, or they differ", len(got), len(want))
	}
	if st, err := g.State(t.Context(), Letter); err != nil || next != st.Last+1 {
		t.Errorf("the journal goes on at %d, the ledger ends at %d, %v", next, st.Last, err)
	}
}

func setJournal(t *testing.T, l *Ledger, pos string) error {
	t.Helper()
	_, err := l.kvPut(t.Context(), bucketCursors, journalCursor(testCentre, Letter), []byte(pos), AnySeq)
	return err
}

func letters(t *testing.T, g Log, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		mustAppend(t, g, Letter, rec(fmt.Sprintf("s%d", i), 0))
	}
}

func TestJournalSurvivesEveryStep(t *testing.T) {
	l := open(t, t.TempDir())
	g := centre(t, l)
	store, _ := newStore(t)
	sizes := []int{3, 5, 2, 7}
	for n := range 12 { // each round dies at another step, with other sizes
		letters(t, g, n*10, n*10+10)
		ctx, cancel := context.WithCancel(t.Context())
		s := &stopper{Store: store, n: n%4 + 1, after: n%3 == 0, cancel: cancel}
		err := l.Journal(ctx, s, testCentre, Letter, JournalOptions{MaxEvents: sizes[n%len(sizes)], MaxAge: 1})
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("round %d: %v", n, err)
		}
		if n == 7 { // the cursor is lost as well
			if err := setJournal(t, l, `{"next":1}`); err != nil {
				t.Fatal(err)
			}
		}
	}
	journalAll(t, l, store, small)
	sameAsLedger(t, g, store, 1)
	sameAsLedger(t, g, store, 57)
}

func TestJournalWithoutCursor(t *testing.T) {
	l := open(t, t.TempDir())
	g := centre(t, l)
	store, _ := newStore(t)
	letters(t, g, 0, 20)
	journalAll(t, l, store, small)
	if err := l.c.api(t.Context(), "STREAM.PURGE.KV_"+bucketCursors, nil, nil); err != nil {
		t.Fatal(err)
	}
	letters(t, g, 20, 30)
	journalAll(t, l, store, small)
	sameAsLedger(t, g, store, 1)
}

// Objects that the store has lost are written again from the ledger, which has
// their events still.
func TestJournalObjectsLost(t *testing.T) {
	for name, firsts := range map[string][]uint64{"the last one": {19}, "the last two": {13, 19}, "all": {1, 7, 13, 19}} {
		t.Run(name, func(t *testing.T) {
			l := open(t, t.TempDir())
			g := centre(t, l)
			store, _ := newStore(t)
			letters(t, g, 0, 24)
			journalAll(t, l, store, JournalOptions{MaxEvents: 6, MaxAge: time.Hour})
			sameAsLedger(t, g, store, 1)
			for _, first := range firsts {
				if err := store.Delete(t.Context(), storage.JournalKey(testCentre, string(Letter), first)); err != nil {
					t.Fatal(err)
				}
			}
			letters(t, g, 24, 30)
			journalAll(t, l, store, JournalOptions{MaxEvents: 6, MaxAge: time.Hour})
			sameAsLedger(t, g, store, 1)
		})
	}
}

// A ledger that was restored, emptied or damaged differs from the journal.
func TestJournalNoticesRewoundLedger(t *testing.T) {
	store, _ := newStore(t)
	l := open(t, t.TempDir())
	g := centre(t, l)
	letters(t, g, 0, 20)
	journalAll(t, l, store, small)
	for name, events := range map[string]int{"empty": 0, "shorter": 10, "same length, other events": 20, "longer, other events": 25} {
		t.Run(name, func(t *testing.T) {
			l := open(t, t.TempDir())
			g := centre(t, l)
			letters(t, g, 0, events)
			err := l.Journal(t.Context(), store, testCentre, Letter, JournalOptions{MaxAge: 1})
			if !errors.Is(err, ErrRewound) {
				t.Errorf("without cursor: %v, want ErrRewound", err)
			}
			// Shorter than the journal, but the cursor is where it should be.
			if err := setJournal(t, l, `{"next":9,"time":"2026-01-01T00:00:00Z"}`); err != nil {
				t.Fatal(err)
			}
			if err := l.Journal(t.Context(), store, testCentre, Letter, JournalOptions{MaxAge: 1}); !errors.Is(err, ErrRewound) {
				t.Errorf("with cursor: %v, want ErrRewound", err)
			}
		})
	}
}

func TestReadJournalChecksChain(t *testing.T) {
	l := open(t, t.TempDir())
	g := centre(t, l)
	letters(t, g, 0, 18)
	for name, harm := range map[string]func(path string) error{
		"missing": os.Remove,
		"changed": func(p string) error {
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			b[len(b)-30] ^= 1
			return errors.Join(os.Remove(p), os.WriteFile(p, b, 0o600))
		},
		"cut": func(p string) error { return os.Truncate(p, 200) },
	} {
		t.Run(name, func(t *testing.T) {
			store, root := newStore(t)
			if err := l.c.api(t.Context(), "STREAM.PURGE.KV_"+bucketCursors, nil, nil); err != nil {
				t.Fatal(err)
			}
			journalAll(t, l, store, JournalOptions{MaxEvents: 6, MaxAge: time.Hour})
			sameAsLedger(t, g, store, 1)
			path := filepath.Join(root, storage.JournalKey(testCentre, string(Letter), 7))
			if err := harm(path); err != nil {
				t.Fatal(err)
			}
			_, err := ReadJournal(t.Context(), store, testCentre, Letter, 1, func(Stored) error { return nil })
			if !errors.Is(err, storage.ErrDamaged) {
				t.Errorf("%v, want ErrDamaged", err)
			}
		})
	}
}

func TestGapsAndErasures(t *testing.T) {
	l := open(t, t.TempDir())
	g := centre(t, l)
	letters(t, g, 0, 20)
	for _, seq := range []uint64{1, 7, 8, 20} {
		if err := l.Erase(t.Context(), testCentre, Letter, seq, "test"); err != nil {
			t.Fatal(err)
		}
		if err := l.Erase(t.Context(), testCentre, Letter, seq, "test"); err != nil {
			t.Errorf("the same again: %v", err)
		}
	}
	n := 0
	count := func(Stored) error { n++; return nil }
	if err := g.Replay(t.Context(), Letter, 1, count); err != nil || n != 16 {
		t.Errorf("replayed %d events around erased ones: %v", n, err)
	}
	store, _ := newStore(t)
	journalAll(t, l, store, small)
	letters(t, g, 20, 21)
	journalAll(t, l, store, small)
	sameAsLedger(t, g, store, 1)

	if err := l.c.api(t.Context(), "STREAM.MSG.DELETE."+streamOf(testCentre, Letter), map[string]any{"seq": 12}, nil); err != nil {
		t.Fatal(err)
	}
	var gap *GapError
	if err := g.Replay(t.Context(), Letter, 1, count); !errors.As(err, &gap) || gap.First != 12 || gap.Last != 12 {
		t.Errorf("replay over a lost event: %v", err)
	}
	err := g.Follow(t.Context(), Letter, 5, count, func() error { return nil })
	if !errors.As(err, &gap) || gap.First != 12 {
		t.Errorf("following over a lost event: %v", err)
	}
	if err := l.c.api(t.Context(), "STREAM.MSG.DELETE."+streamOf(testCentre, Letter), map[string]any{"seq": 21}, nil); err != nil {
		t.Fatal(err)
	}
	if err := g.Replay(t.Context(), Letter, 13, count); !errors.As(err, &gap) || gap.First != 21 {
		t.Errorf("replay over a lost end: %v", err)
	}
	if err := g.Follow(t.Context(), Letter, 40, count, func() error { return nil }); !errors.Is(err, ErrRewound) {
		t.Errorf("following from beyond the end: %v", err)
	}
}
