package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"pgregory.net/rapid"

	"sekretariat"
	"sekretariat/storage"
	"sekretariat/storage/storetest"
)

// gate is a driver that can be shut: then it takes nothing, like a server that
// is away.
type gate struct {
	storage.Store
	shut atomic.Bool
}

var errShut = errors.New("the store is away")

func (g *gate) Put(ctx context.Context, key string, body sekretariat.Body) error {
	if g.shut.Load() {
		return errShut
	}
	return g.Store.Put(ctx, key, body)
}

func (g *gate) PutOnce(ctx context.Context, key string, body sekretariat.Body) error {
	if g.shut.Load() {
		return errShut
	}
	return g.Store.PutOnce(ctx, key, body)
}

func (g *gate) Delete(ctx context.Context, key string) error {
	if g.shut.Load() {
		return errShut
	}
	return g.Store.Delete(ctx, key)
}

// SettleTime passes on what the driver says.
func (g *gate) SettleTime() time.Duration {
	if d, ok := g.Store.(interface{ SettleTime() time.Duration }); ok {
		return d.SettleTime()
	}
	return 0
}

// opened is a Staged with its driver in reach.
type opened struct {
	*storage.Staged
	gate *gate
	root string
}

func reopen(root string, driver storage.Store, o storage.StagedOptions) (*opened, error) {
	g := &gate{Store: driver}
	s, err := storage.OpenStaged(context.Background(), filepath.Join(root, "staging"), g, o)
	return &opened{s, g, root}, err
}

func mustOpen(t testing.TB, root string, driver storage.Store, o storage.StagedOptions) *opened {
	t.Helper()
	o.Logger = zerolog.New(zerolog.NewTestWriter(t))
	s, err := reopen(root, driver, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.abandon() })
	return s
}

// abandon stops without giving the driver anything more, as a crash does.
func (o *opened) abandon() error {
	o.gate.shut.Store(true)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return o.Close(ctx)
}

func item(key, content string) storage.Item {
	return storage.Item{Key: key, Body: storage.Bytes([]byte(content))}
}

func once(key, content string) storage.Item {
	i := item(key, content)
	i.Once = true
	return i
}

func mustPutAll(t testing.TB, s storage.Grouper, items ...storage.Item) {
	t.Helper()
	if err := s.PutAll(context.Background(), items); err != nil {
		t.Fatal(err)
	}
}

// contents reads everything below prefix.
func contents(t testing.TB, s storage.Store) map[string]string {
	t.Helper()
	m := map[string]string{}
	err := s.List(context.Background(), "", func(i storage.Info) error {
		m[i.Key] = string(stored(t, s, i.Key))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func want(t testing.TB, s storage.Store, m map[string]string) {
	t.Helper()
	if got := contents(t, s); !maps.Equal(got, m) {
		t.Fatalf("stored:\n%s\nwant:\n%s", describe(got), describe(m))
	}
}

func describe(m map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&b, "  %s = %.40q (%d)\n", k, m[k], len(m[k]))
	}
	return b.String()
}

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

// damageAt opens a copy of the folder with the log changed.
func damagedCopy(t *testing.T, root string, change func(log []byte) []byte) string {
	t.Helper()
	dst := t.TempDir()
	if err := os.CopyFS(dst, os.DirFS(root)); err != nil {
		t.Fatal(err)
	}
	logs, err := filepath.Glob(filepath.Join(dst, "staging", "log-*.seg"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("no log: %v", err)
	}
	b, err := os.ReadFile(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(logs[0], change(b), 0o600); err != nil {
		t.Fatal(err)
	}
	return dst
}

// loggedGroups leaves a folder whose log holds n groups of two objects that
// the driver does not have, and returns the log's length after each group.
func loggedGroups(t *testing.T, n int) (root string, ends []int) {
	t.Helper()
	root = t.TempDir()
	s := mustOpen(t, root, openDir(t, filepath.Join(root, "objects")), storage.StagedOptions{})
	s.gate.shut.Store(true)
	for i := range n {
		mustPutAll(t, s, item(fmt.Sprintf("a/%d.one", i), strings.Repeat("1", 50+i)), item(fmt.Sprintf("a/%d.two", i), strings.Repeat("2", 70)))
		logs, _ := filepath.Glob(filepath.Join(root, "staging", "log-*.seg"))
		info, err := os.Stat(logs[0])
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, int(info.Size()))
	}
	_ = s.abandon()
	return root, ends
}

// groups returns which groups are there; one that is there in part is a
// failure.
func groups(t *testing.T, s storage.Store, n int) []int {
	t.Helper()
	var there []int
	for i := range n {
		_, err1 := s.Head(t.Context(), fmt.Sprintf("a/%d.one", i))
		_, err2 := s.Head(t.Context(), fmt.Sprintf("a/%d.two", i))
		if (err1 == nil) != (err2 == nil) {
			t.Errorf("group %d is there in part: %v, %v", i, err1, err2)
		}
		if err1 == nil {
			there = append(there, i)
		}
	}
	return there
}

func upTo(n int, without ...int) []int {
	var all []int
	for i := range n {
		if !slices.Contains(without, i) {
			all = append(all, i)
		}
	}
	return all
}

func TestTornTail(t *testing.T) {
	const n = 4
	root, ends := loggedGroups(t, n)
	for cut := ends[1] - 3; cut <= ends[2]+3; cut++ {
		for name, change := range map[string]func([]byte) []byte{
			"cut":   func(b []byte) []byte { return b[:cut] },
			"zeros": func(b []byte) []byte { clear(b[cut:]); return b },
			"garbage": func(b []byte) []byte {
				copy(b[cut:], storetest.Content(int64(cut), len(b)-cut))
				return b
			},
		} {
			whole := 0
			for _, e := range ends {
				if e <= cut {
					whole++
				}
			}
			dst := damagedCopy(t, root, change)
			s := mustOpen(t, dst, openDir(t, filepath.Join(dst, "objects")), storage.StagedOptions{})
			if got := groups(t, s, n); !slices.Equal(got, upTo(whole)) {
				t.Fatalf("%s at %d: groups %v, want the first %d", name, cut, got, whole)
			}
			_ = s.Close(t.Context())
		}
	}
}

func TestDamageInTheMiddle(t *testing.T) {
	const n = 4
	root, ends := loggedGroups(t, n)
	for at := ends[0]; at < ends[1]; at += 5 {
		flip := func(b []byte) []byte { b[at] ^= 0x40; return b }
		dst := damagedCopy(t, root, flip)
		objects := openDir(t, filepath.Join(dst, "objects"))
		if at >= ends[0]+24 && at < ends[0]+28 {
			continue // four unused octets of the frame's header are covered by its sum
		}
		if _, err := reopen(dst, objects, storage.StagedOptions{}); !errors.Is(err, storage.ErrDamaged) || !strings.Contains(err.Error(), "log-") {
			t.Fatalf("flip at %d: %v", at, err)
		}
		if got := contents(t, objects); len(got) != 0 {
			t.Fatalf("flip at %d: a refused log was put in part", at)
		}
		s := mustOpen(t, dst, objects, storage.StagedOptions{Salvage: true})
		if got := groups(t, s, n); !slices.Equal(got, upTo(n, 1)) {
			t.Fatalf("flip at %d: salvaged %v", at, got)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if kept, _ := filepath.Glob(filepath.Join(dst, "staging", "*.damaged")); len(kept) != 1 {
			t.Fatalf("flip at %d: the damaged file was not kept", at)
		}
	}
}

func TestShortenedOrMissingSegmentIsDamage(t *testing.T) {
	root := t.TempDir()
	s := mustOpen(t, root, openDir(t, filepath.Join(root, "objects")), storage.StagedOptions{SegmentSize: 500})
	s.gate.shut.Store(true)
	for i := range 20 {
		mustPutAll(t, s, item(fmt.Sprintf("a/%d", i), strings.Repeat("x", 100)))
	}
	_ = s.abandon()
	cut := damagedCopy(t, root, func(b []byte) []byte { return b[:len(b)-10] })
	if _, err := reopen(cut, openDir(t, filepath.Join(cut, "objects")), storage.StagedOptions{}); !errors.Is(err, storage.ErrDamaged) {
		t.Errorf("first of several segments shortened: %v", err)
	}
	logs, _ := filepath.Glob(filepath.Join(root, "staging", "log-*.seg"))
	if len(logs) < 3 {
		t.Fatalf("only %d segments", len(logs))
	}
	if err := os.Remove(logs[1]); err != nil {
		t.Fatal(err)
	}
	if _, err := reopen(root, openDir(t, filepath.Join(root, "objects")), storage.StagedOptions{}); !errors.Is(err, storage.ErrDamaged) {
		t.Errorf("second of several segments missing: %v", err)
	}
}

func TestDamagedLargeBody(t *testing.T) {
	root := t.TempDir()
	s := mustOpen(t, root, openDir(t, filepath.Join(root, "objects")), storage.StagedOptions{})
	s.gate.shut.Store(true)
	mustPutAll(t, s, item("a/large", string(storetest.Content(1, 2<<20))))
	mustPutAll(t, s, item("a/after", "x"))
	_ = s.abandon()
	bodies, _ := filepath.Glob(filepath.Join(root, "staging", "body-*"))
	if len(bodies) != 1 {
		t.Fatalf("bodies: %v", bodies)
	}
	b, err := os.ReadFile(bodies[0])
	if err != nil {
		t.Fatal(err)
	}
	b[1<<20] ^= 1
	if err := os.WriteFile(bodies[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = reopen(root, openDir(t, filepath.Join(root, "objects")), storage.StagedOptions{})
	if !errors.Is(err, storage.ErrDamaged) || !strings.Contains(err.Error(), "a/large") {
		t.Errorf("open: %v", err)
	}
}

// lossy is a driver that forgets what was not synced, when told to, and
// answers as an S3 server does that lost objects.
type lossy struct {
	storage.Store
	mu   sync.Mutex
	lose map[string]bool
}

func (l *lossy) SettleTime() time.Duration { return time.Nanosecond }

func (l *lossy) Sync(ctx context.Context, keys []string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range keys {
		if l.lose[k] {
			delete(l.lose, k)
			if err := l.Delete(ctx, k); err != nil {
				return err
			}
		}
	}
	for _, k := range keys {
		if _, err := l.Head(ctx, k); err != nil {
			return err
		}
	}
	return nil
}

// The keeper finds what the store lost and puts it again, and never an older
// state over a newer one.
func TestKeeperPutsLostObjectsAgain(t *testing.T) {
	for _, shared := range []bool{false, true} {
		t.Run(fmt.Sprintf("shared=%v", shared), func(t *testing.T) {
			root := t.TempDir()
			driver := &lossy{Store: openDir(t, filepath.Join(root, "objects")), lose: map[string]bool{"a/1": true, "a/2": true, "a/3": true}}
			s := mustOpen(t, root, driver, storage.StagedOptions{SegmentSize: 300, Shared: shared})
			mustPutAll(t, s, once("a/1", "kept"), item("a/2", "old"), item("a/3", "deleted"))
			mustPutAll(t, s, item("a/2", "new"))
			if err := s.Delete(t.Context(), "a/3"); err != nil {
				t.Fatal(err)
			}
			for i := range 5 { // closes the first segment
				mustPutAll(t, s, item(fmt.Sprintf("b/%d", i), strings.Repeat("x", 200)))
			}
			first := filepath.Join(root, "staging", "log-0000000000000001.seg")
			for range 1000 {
				if _, err := os.Stat(first); errors.Is(err, os.ErrNotExist) {
					break
				}
				time.Sleep(10 * time.Millisecond) // polling for the keeper's work
			}
			driver.mu.Lock()
			lost := !driver.lose["a/1"] && !driver.lose["a/2"]
			driver.mu.Unlock()
			if _, err := os.Stat(first); err == nil || !lost {
				t.Fatalf("the keeper did not find out: %v", err)
			}
			got := contents(t, s)
			if got["a/1"] != "kept" || got["a/2"] != "new" {
				t.Errorf("stored: %s", describe(got))
			}
			if _, there := got["a/3"]; there {
				t.Error("a deleted object came back")
			}
		})
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

// Two processes with staging folders of their own and one store.
func TestSharedStoreDecidesOnce(t *testing.T) {
	root := t.TempDir()
	driver := openDir(t, filepath.Join(root, "objects"))
	a := mustOpen(t, filepath.Join(root, "a"), driver, storage.StagedOptions{Shared: true})
	b := mustOpen(t, filepath.Join(root, "b"), driver, storage.StagedOptions{Shared: true})
	for i := range 50 {
		key := fmt.Sprintf("a/%d", i)
		results := make(chan error, 2)
		for _, s := range []*opened{a, b} {
			go func() {
				results <- s.PutAll(context.Background(), []storage.Item{once(key, s.root), item(key+".after", s.root)})
			}()
		}
		e1, e2 := <-results, <-results
		if (e1 == nil) == (e2 == nil) || !errors.Is(errors.Join(e1, e2), storage.ErrExists) {
			t.Fatalf("%s: %v, %v", key, e1, e2)
		}
		if !bytes.Equal(stored(t, driver, key), stored(t, driver, key+".after")) {
			t.Errorf("%s: the loser wrote on", key)
		}
	}
}

// A group that was in the log when the process died is finished at the next
// start, but not over what another process stored meanwhile.
func TestSharedGroupIsFinishedAtTheNextStart(t *testing.T) {
	root := t.TempDir()
	driver := openDir(t, filepath.Join(root, "objects"))
	s := mustOpen(t, root, driver, storage.StagedOptions{Shared: true})
	mustPutAll(t, s, once("a/acknowledged", "x"))
	s.gate.shut.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	for _, items := range [][]storage.Item{
		{once("a/1", "first"), item("a/2", "second")},
		{once("a/3", "third"), item("a/4", "fourth")},
	} {
		if err := s.PutAll(ctx, items); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("put while the store is away: %v", err)
		}
	}
	_ = s.abandon()
	if err := driver.PutOnce(t.Context(), "a/3", storage.Bytes([]byte("another's"))); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, root, driver, storage.StagedOptions{Shared: true})
	drained(t, s)
	want(t, s, map[string]string{"a/acknowledged": "x", "a/1": "first", "a/2": "second", "a/3": "another's"})
}
