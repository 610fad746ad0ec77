package storage_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"pgregory.net/rapid"

	"sekretariat"
	"sekretariat/storage"
	"sekretariat/storage/storetest"
)

func TestReadersSeeWhatWaits(t *testing.T) {
	root := t.TempDir()
	driver := openDir(t, filepath.Join(root, "objects"))
	s := mustOpen(t, root, driver, storage.StagedOptions{})
	mustPutAll(t, s, item("a/1", "old"), item("a/2", "stays"))
	drained(t, s)
	s.gate.shut.Store(true)
	mustPutAll(t, s, item("a/1", "new"), once("a/3", "waits"), item("a/large", string(storetest.Content(1, 3<<20))))
	if err := s.Delete(t.Context(), "a/2"); err != nil {
		t.Fatal(err)
	}
	state := map[string]string{"a/1": "new", "a/3": "waits", "a/large": string(storetest.Content(1, 3<<20))}
	want(t, s, state)
	if err := s.PutOnce(t.Context(), "a/3", storage.Bytes(nil)); !errors.Is(err, storage.ErrExists) {
		t.Errorf("put once over a waiting object: %v", err)
	}
	if n, size := s.Pending(); n != 4 || size < 4<<10 {
		t.Errorf("pending %d, %d octets", n, size)
	}
	s.gate.shut.Store(false)
	drained(t, s)
	want(t, s, state)
	want(t, driver, state)
}

// drained waits until the driver has everything.
func drained(t testing.TB, s *opened) {
	t.Helper()
	for range 1000 {
		if n, _ := s.Pending(); n == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond) // polling, not synchronisation: nothing tells when the driver caught up
	}
	t.Fatal("the driver did not catch up")
}

func TestReplayKeepsTheOrder(t *testing.T) {
	root := t.TempDir()
	driver := openDir(t, filepath.Join(root, "objects"))
	s := mustOpen(t, root, driver, storage.StagedOptions{SegmentSize: 2048})
	s.gate.shut.Store(true)
	for i := range 40 {
		mustPutAll(t, s, item("a/often", fmt.Sprint(i)), item(fmt.Sprintf("a/%02d", i), strings.Repeat("x", 100)))
	}
	mustPutAll(t, s, item("a/gone", "x"))
	if err := s.Delete(t.Context(), "a/gone"); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), "a/00"); err != nil {
		t.Fatal(err)
	}
	mustPutAll(t, s, once("a/00", "again"))
	state := contents(t, s)
	if err := s.abandon(); err == nil {
		t.Error("close said that all is at the driver")
	}
	if got := contents(t, driver); len(got) != 0 {
		t.Fatalf("the driver has %d objects already", len(got))
	}
	s = mustOpen(t, root, driver, storage.StagedOptions{})
	want(t, s, state)
	if state["a/often"] != "39" || state["a/00"] != "again" || state["a/gone"] != "" {
		t.Errorf("state %s", describe(state))
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(t, driver, state)
	if left, _ := filepath.Glob(filepath.Join(root, "staging", "log-*")); len(left) != 0 {
		t.Errorf("the log was not trimmed: %v", left)
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	root := t.TempDir()
	driver := openDir(t, filepath.Join(root, "objects"))
	s := mustOpen(t, root, driver, storage.StagedOptions{})
	if _, err := reopen(root, driver, storage.StagedOptions{}); !errors.Is(err, storage.ErrInUse) {
		t.Errorf("second open: %v", err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, root, driver, storage.StagedOptions{})
	if err := s.Put(t.Context(), "a/x", storage.Bytes(nil)); !errors.Is(err, storage.ErrClosed) {
		t.Errorf("put after close: %v", err)
	}
}

func TestBacklogIsBounded(t *testing.T) {
	root := t.TempDir()
	s := mustOpen(t, root, openDir(t, filepath.Join(root, "objects")), storage.StagedOptions{MaxPending: 10 << 10})
	s.gate.shut.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	n := 0
	var err error
	for ; err == nil && n < 100; n++ {
		err = s.Put(ctx, fmt.Sprintf("a/%d", n), storage.Bytes(make([]byte, 1000)))
	}
	if !errors.Is(err, context.DeadlineExceeded) || n > 11 {
		t.Fatalf("%d puts: %v", n, err)
	}
	s.gate.shut.Store(false)
	if err := s.Put(t.Context(), "a/after", storage.Bytes(nil)); err != nil {
		t.Errorf("put after the jam: %v", err)
	}
}

// announcing is a body that tells when it is asked for its size.
type announcing struct {
	sekretariat.Body
	asked chan struct{}
}

func (a announcing) Size() int64 {
	a.asked <- struct{}{}
	return a.Body.Size()
}

// A put that waits for room does not keep Close from ending.
func TestCloseEndsWaitingCalls(t *testing.T) {
	root := t.TempDir()
	s := mustOpen(t, root, openDir(t, filepath.Join(root, "objects")), storage.StagedOptions{MaxPending: 1 << 10})
	s.gate.shut.Store(true)
	mustPutAll(t, s, item("a/1", "x"))
	result, started := make(chan error), make(chan struct{}, 10)
	go func() { result <- s.Put(context.Background(), "a/2", announcing{storage.Bytes([]byte("x")), started}) }()
	<-started
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := s.Close(ctx); err == nil {
		t.Error("close said that all is at the driver")
	}
	if err := <-result; err == nil {
		t.Error("the waiting put succeeded")
	}
}

// Whatever is done, in whatever order, through crashes and while the driver is
// away: the store is what a map would be.
func TestStagedIsAMap(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		root, err := os.MkdirTemp(t.TempDir(), "map-")
		if err != nil {
			r.Fatal(err)
		}
		driver := openDir(t, filepath.Join(root, "objects"))
		o := storage.StagedOptions{
			Logger: zerolog.Nop(), SegmentSize: int64(rapid.SampledFrom([]int{200, 5000, 1 << 20}).Draw(r, "segment")),
			Workers: rapid.IntRange(1, 3).Draw(r, "workers"),
		}
		s, err := reopen(root, driver, o)
		if err != nil {
			r.Fatal(err)
		}
		defer func() { _ = s.abandon() }()
		model := map[string]string{}
		serial := 0
		key := rapid.Custom(func(r *rapid.T) string { return fmt.Sprintf("a/%d", rapid.IntRange(0, 5).Draw(r, "key")) })
		r.Repeat(map[string]func(*rapid.T){
			"put": func(r *rapid.T) {
				var items []storage.Item
				next := maps.Clone(model)
				taken := -1
				for i := range rapid.IntRange(1, 4).Draw(r, "items") {
					k, c := key.Draw(r, "key"), fmt.Sprint("content ", serial)
					serial++
					it := item(k, c)
					it.Once = rapid.Bool().Draw(r, "once")
					items = append(items, it)
					if _, there := next[k]; there && it.Once && taken < 0 {
						taken = i
					}
					if taken < 0 {
						next[k] = c
					}
				}
				err := s.PutAll(context.Background(), items)
				var te *storage.TakenError
				if taken < 0 && err != nil || taken >= 0 && (!errors.As(err, &te) || te.Index != taken) {
					r.Fatalf("put: %v, want taken at %d", err, taken)
				}
				model = next
			},
			"delete": func(r *rapid.T) {
				k := key.Draw(r, "key")
				if err := s.Delete(context.Background(), k); err != nil {
					r.Fatal(err)
				}
				delete(model, k)
			},
			"gate": func(r *rapid.T) { s.gate.shut.Store(rapid.Bool().Draw(r, "shut")) },
			"crash": func(r *rapid.T) {
				_ = s.abandon()
				if s, err = reopen(root, driver, o); err != nil {
					r.Fatal(err)
				}
			},
			"": func(r *rapid.T) {
				got := contents(t, s)
				if !maps.Equal(got, model) {
					r.Fatalf("stored:\n%s\nwant:\n%s", describe(got), describe(model))
				}
			},
		})
	})
}
