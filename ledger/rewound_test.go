package ledger

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// harmTail damages a stored message as a flipped bit would, while the server is
// down.
func harmTail(t *testing.T, s *natsServer, stream string) {
	t.Helper()
	blocks, err := filepath.Glob(filepath.Join(s.dir, "jetstream", "*", "streams", stream, "msgs", "*.blk"))
	if err != nil || len(blocks) == 0 {
		t.Fatalf("no blocks of %s: %v", stream, err)
	}
	slices.Sort(blocks)
	last := blocks[len(blocks)-1]
	b, err := os.ReadFile(last)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(last, b, 0o600); err != nil {
		t.Fatal(err)
	}
	// Without its index, as after a kill, the server reads the blocks.
	if err := os.Remove(filepath.Join(filepath.Dir(last), "index.db")); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
}

func TestRewoundServerIsNoticed(t *testing.T) {
	t.Run("after a kill", func(t *testing.T) { rewound(t, (*natsServer).kill) })
	t.Run("after a stop", func(t *testing.T) { rewound(t, (*natsServer).stop) }) // consumers remember more
}

func rewound(t *testing.T, end func(*natsServer)) {
	s := startServer(t)
	l, g := s.open()
	letters(t, g, 0, 40)
	store, _ := newStore(t)
	journalAll(t, l, store, small)

	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var worked atomic.Int64
	followed := make(chan error, 1)
	at40 := make(chan bool)
	wg.Go(func() {
		followed <- g.Follow(ctx, Letter, 1, func(st Stored) error {
			if st.Seq == 40 {
				close(at40)
			}
			return nil
		}, func() error { return nil })
	})
	again := make(chan uint64, 100)
	wg.Go(func() {
		err := g.Work(ctx, Letter, "sort", WorkOptions{}, func(_ context.Context, st Stored) error {
			if worked.Add(1) > 40 {
				again <- st.Seq
			}
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	<-at40
	for worked.Load() < 40 {
		time.Sleep(time.Millisecond) // until it has worked on all
	}
	end(s)
	harmTail(t, s, streamOf(testCentre, Letter))
	s.start()
	if err := <-followed; !errors.Is(err, ErrRewound) {
		t.Errorf("following a rewound stream: %v", err)
	}
	st, err := g.State(t.Context(), Letter)
	if err != nil || st.Last >= 40 || st.Last == 0 {
		t.Fatalf("the server did not rewind: %+v, %v", st, err)
	}
	// The work group gets new events although they have old sequences.
	seq := mustAppend(t, g, Letter, rec("after", 0))
	for {
		if got := <-again; got == seq {
			break
		}
	}
	err = l.Journal(ctx, store, testCentre, Letter, JournalOptions{MaxAge: 1})
	if !errors.Is(err, ErrRewound) {
		t.Errorf("journal of a rewound stream: %v", err)
	}
	cancel()
	wg.Wait()
}
