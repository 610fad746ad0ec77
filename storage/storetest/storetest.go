// Package storetest is the conformance suite of storage.Store: whatever passes
// it can stand below the rest of the house.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"sekretariat"
	"sekretariat/storage"
)

// Run runs the suite. open returns an empty store and cleans up after itself
// by t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) storage.Store) {
	for _, c := range []struct {
		name string
		f    func(t *testing.T, s storage.Store)
	}{
		{"round trip of all sizes", roundTrip},
		{"read at random", readAtRandom},
		{"replace", replace},
		{"readers see old or new", oldOrNew},
		{"put once", putOnce},
		{"one winner of a race", race},
		{"one winner of a race with equal bodies", raceEqual},
		{"missing", missing},
		{"delete", remove},
		{"list", list},
		{"list stops", listStops},
		{"bad keys", badKeys},
		{"short body leaves nothing", shortBody},
		{"body that fails leaves nothing", failingBody},
		{"cancelled", cancelled},
		{"sync", syncs},
	} {
		t.Run(c.name, func(t *testing.T) { c.f(t, open(t)) })
	}
}

// Content returns n reproducible octets.
func Content(seed int64, n int) []byte {
	b := make([]byte, n)
	rand.New(rand.NewSource(seed)).Read(b)
	return b
}

func put(t *testing.T, s storage.Store, key string, b []byte) {
	t.Helper()
	if err := s.Put(t.Context(), key, storage.Bytes(b)); err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
}

func get(t *testing.T, s storage.Store, key string) []byte {
	t.Helper()
	o, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("get %s: %v", key, err)
	}
	defer o.Close()
	b, err := io.ReadAll(io.NewSectionReader(o, 0, o.Size()))
	if err != nil {
		t.Fatalf("read %s: %v", key, err)
	}
	return b
}

func roundTrip(t *testing.T, s storage.Store) {
	for i, n := range []int{0, 1, 100, 4095, 4096, 4097, 65536, 1<<20 - 1, 1 << 20, 1<<20 + 1, 17<<20 + 3} {
		key := fmt.Sprintf("c/test/s/abc/size.%d", n)
		want := Content(int64(i), n)
		put(t, s, key, want)
		if got := get(t, s, key); !bytes.Equal(got, want) {
			t.Errorf("%d octets: got %d, different", n, len(got))
		}
		info, err := s.Head(t.Context(), key)
		if err != nil || info.Size != int64(n) || info.Key != key || info.Modified.IsZero() {
			t.Errorf("head %s: %+v, %v", key, info, err)
		}
	}
}

func readAtRandom(t *testing.T, s storage.Store) {
	want := Content(1, 300_000)
	put(t, s, "a/random", want)
	o, err := s.Get(t.Context(), "a/random")
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	rnd := rand.New(rand.NewSource(2))
	for range 50 {
		off, n := rnd.Intn(len(want)), 1+rnd.Intn(1000)
		p := make([]byte, n)
		got, err := o.ReadAt(p, int64(off))
		end := min(off+n, len(want))
		if !bytes.Equal(p[:got], want[off:end]) {
			t.Fatalf("%d octets at %d differ", n, off)
		}
		if (got < n) != errors.Is(err, io.EOF) && got < n {
			t.Fatalf("read %d of %d at %d: %v", got, n, off, err)
		}
	}
	if n, err := o.ReadAt(make([]byte, 1), int64(len(want))); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("read at the end: %d, %v", n, err)
	}
}

func replace(t *testing.T, s storage.Store) {
	for i := range 5 {
		want := Content(int64(i), 1000*(5-i))
		put(t, s, "a/replaced", want)
		if got := get(t, s, "a/replaced"); !bytes.Equal(got, want) {
			t.Fatalf("after put %d: %d octets", i, len(got))
		}
	}
}

func oldOrNew(t *testing.T, s storage.Store) {
	body := func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, 20_000+i) }
	put(t, s, "a/turns", body(0))
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				o, err := s.Get(context.Background(), "a/turns")
				if err != nil {
					t.Errorf("get: %v", err)
					return
				}
				b, err := io.ReadAll(io.NewSectionReader(o, 0, o.Size()))
				o.Close()
				if err != nil || len(b) < 20_000 || !bytes.Equal(b, body(int(b[0]))) {
					t.Errorf("mixed content, %d octets, %v", len(b), err)
					return
				}
			}
		})
	}
	for i := range 30 {
		put(t, s, "a/turns", body(i))
	}
	close(stop)
	readers.Wait()
}

func putOnce(t *testing.T, s storage.Store) {
	ctx := t.Context()
	for _, n := range []int{10, 17 << 20} { // above any part size too
		key := fmt.Sprintf("a/once.%d", n)
		first := Content(1, n)
		if err := s.PutOnce(ctx, key, storage.Bytes(first)); err != nil {
			t.Fatal(err)
		}
		if err := s.PutOnce(ctx, key, storage.Bytes(Content(2, n))); !errors.Is(err, storage.ErrExists) {
			t.Fatalf("second put once: %v", err)
		}
		if !bytes.Equal(get(t, s, key), first) {
			t.Error("the second replaced the first")
		}
	}
	put(t, s, "a/put", []byte("x"))
	if err := s.PutOnce(ctx, "a/put", storage.Bytes([]byte("y"))); !errors.Is(err, storage.ErrExists) {
		t.Errorf("put once over a put: %v", err)
	}
	if err := s.Delete(ctx, "a/put"); err != nil {
		t.Fatal(err)
	}
	if err := s.PutOnce(ctx, "a/put", storage.Bytes([]byte("z"))); err != nil {
		t.Errorf("put once after delete: %v", err)
	}
}

func race(t *testing.T, s storage.Store) {
	contend(t, s, func(i int) []byte { return []byte(fmt.Sprintf("racer %d", i)) })
}

func raceEqual(t *testing.T, s storage.Store) {
	contend(t, s, func(int) []byte { return []byte("all alike") })
}

func contend(t *testing.T, s storage.Store, body func(i int) []byte) {
	for round := range 10 {
		key := fmt.Sprintf("a/race.%d", round)
		var winners, losers atomic.Int32
		var winner atomic.Int64
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				switch err := s.PutOnce(context.Background(), key, storage.Bytes(body(i))); {
				case err == nil:
					winners.Add(1)
					winner.Store(int64(i))
				case errors.Is(err, storage.ErrExists):
					losers.Add(1)
				default:
					t.Errorf("racer %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		if winners.Load() != 1 || losers.Load() != 15 {
			t.Fatalf("%d winners, %d losers", winners.Load(), losers.Load())
		}
		if got := get(t, s, key); !bytes.Equal(got, body(int(winner.Load()))) {
			t.Errorf("stored %q, the winner was %d", got, winner.Load())
		}
	}
}

func missing(t *testing.T, s storage.Store) {
	put(t, s, "a/b/c", []byte("x"))
	for _, key := range []string{"a", "a/b", "a/b/d", "a/b/c/d", "z"} {
		if _, err := s.Get(t.Context(), key); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("get %s: %v", key, err)
		}
		if _, err := s.Head(t.Context(), key); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("head %s: %v", key, err)
		}
	}
}

func remove(t *testing.T, s storage.Store) {
	ctx := t.Context()
	if err := s.Delete(ctx, "a/never"); err != nil {
		t.Errorf("delete of nothing: %v", err)
	}
	put(t, s, "a/gone", []byte("x"))
	put(t, s, "a/stays", []byte("y"))
	if err := s.Delete(ctx, "a/gone"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(ctx, "a/gone"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("get after delete: %v", err)
	}
	if got := keys(t, s, "a/"); !slices.Equal(got, []string{"a/stays"}) {
		t.Errorf("list after delete: %v", got)
	}
	put(t, s, "a/gone", []byte("again"))
	if string(get(t, s, "a/gone")) != "again" {
		t.Error("put after delete")
	}
}

func keys(t *testing.T, s storage.Store, prefix string) []string {
	t.Helper()
	var got []string
	err := s.List(t.Context(), prefix, func(i storage.Info) error {
		if i.Size == 0 || i.Modified.IsZero() {
			t.Errorf("list: %+v", i)
		}
		got = append(got, i.Key)
		return nil
	})
	if err != nil {
		t.Fatalf("list %q: %v", prefix, err)
	}
	return got
}

func list(t *testing.T, s storage.Store) {
	all := []string{
		"c/a/k/x", "c/a/s/000/0.manifest.json", "c/a/s/000/0.o.1", "c/a/s/001/1.o.2", "c/a-b/k/x", "c/a.b/k/x",
		"c/a/s.x", "c/b/r/rpw/2026/1.json", "c/b/r/rpw/2026/10.json", "c/b/r/rpw/2026/2.json", "d",
	}
	for i := range 1100 { // more than one page of an S3 listing
		all = append(all, fmt.Sprintf("c/many/%04d", i))
	}
	shuffled := slices.Clone(all)
	rand.New(rand.NewSource(1)).Shuffle(len(all), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	for _, k := range shuffled {
		put(t, s, k, []byte(k))
	}
	slices.Sort(all)
	for _, prefix := range []string{"", "c/", "c/a", "c/a/", "c/a/s", "c/a/s/", "c/a/s/000/0.", "c/b/r/rpw/2026/1", "c/many/00", "d", "e", "c/a/s/000/0.o.1"} {
		var want []string
		for _, k := range all {
			if strings.HasPrefix(k, prefix) {
				want = append(want, k)
			}
		}
		if got := keys(t, s, prefix); !slices.Equal(got, want) {
			t.Errorf("list %q: got %d keys %.300v, want %d", prefix, len(got), got, len(want))
		}
	}
}

func listStops(t *testing.T, s storage.Store) {
	for i := range 5 {
		put(t, s, fmt.Sprintf("a/%d", i), []byte("x"))
	}
	enough := errors.New("enough")
	n := 0
	err := s.List(t.Context(), "a/", func(storage.Info) error {
		if n++; n == 3 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || n != 3 {
		t.Errorf("stopped after %d with %v", n, err)
	}
}

func badKeys(t *testing.T, s storage.Store) {
	ctx := t.Context()
	for _, key := range []string{
		"", "/a", "a/", "a//b", ".", "..", "a/../b", "../a", "a/./b", ".tmp/x", "a/.hidden", "a b", "a\x00b", "a\nb",
		"ą", "a\\b", strings.Repeat("x", 201), strings.Repeat("x/", 500) + "x",
	} {
		if err := s.Put(ctx, key, storage.Bytes([]byte("x"))); !errors.Is(err, storage.ErrBadKey) {
			t.Errorf("put %q: %v", key, err)
		}
		if err := s.PutOnce(ctx, key, storage.Bytes([]byte("x"))); !errors.Is(err, storage.ErrBadKey) {
			t.Errorf("put once %q: %v", key, err)
		}
		if _, err := s.Get(ctx, key); err == nil {
			t.Errorf("get %q succeeded", key)
		}
		if _, err := s.Head(ctx, key); err == nil {
			t.Errorf("head %q succeeded", key)
		}
		if err := s.Delete(ctx, key); !errors.Is(err, storage.ErrBadKey) {
			t.Errorf("delete %q: %v", key, err)
		}
	}
	if got := keys(t, s, ""); len(got) != 0 {
		t.Errorf("something was stored: %v", got)
	}
}

// brokenBody says that it is longer than it is, or fails.
type brokenBody struct {
	sekretariat.Body
	size int64
	err  error
}

func (b brokenBody) Size() int64 { return b.size }

func (b brokenBody) ReadAt(p []byte, off int64) (int, error) {
	n, err := b.Body.ReadAt(p, off)
	if errors.Is(err, io.EOF) {
		err = b.err
	}
	return n, err
}

func shortBody(t *testing.T, s storage.Store) {
	refused(t, s, func(n int) sekretariat.Body {
		return brokenBody{storage.Bytes(Content(1, n)), int64(n) + 10, io.EOF}
	}, nil)
}

func failingBody(t *testing.T, s storage.Store) {
	failure := errors.New("the disk of the scanner is broken")
	refused(t, s, func(n int) sekretariat.Body {
		return brokenBody{storage.Bytes(Content(1, n)), int64(n) + 10, failure}
	}, failure)
}

func refused(t *testing.T, s storage.Store, body func(n int) sekretariat.Body, want error) {
	for _, n := range []int{100, 2 << 20} {
		key := fmt.Sprintf("a/broken.%d", n)
		for _, put := range []func(context.Context, string, sekretariat.Body) error{s.Put, s.PutOnce} {
			if err := put(t.Context(), key, body(n)); err == nil || (want != nil && !errors.Is(err, want)) {
				t.Errorf("%d octets: %v", n, err)
			}
			if _, err := s.Head(t.Context(), key); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("%d octets: something is there: %v", n, err)
			}
		}
		put(t, s, key, Content(2, n))
	}
}

func cancelled(t *testing.T, s storage.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Put(ctx, "a/cancelled", storage.Bytes(Content(1, 100))); err == nil {
		get(t, s, "a/cancelled") // done all the same is allowed, half done is not
	}
	put(t, s, "a/cancelled", []byte("x"))
}

func syncs(t *testing.T, s storage.Store) {
	var names []string
	for i := range 100 {
		k := fmt.Sprintf("a/sync.%d", i)
		put(t, s, k, Content(int64(i), 100+i))
		names = append(names, k)
	}
	if err := s.Sync(t.Context(), names[:3]); err != nil {
		t.Errorf("sync of three: %v", err)
	}
	if err := s.Sync(t.Context(), names); err != nil {
		t.Errorf("sync of all: %v", err)
	}
}
