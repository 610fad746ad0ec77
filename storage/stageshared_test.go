package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sekretariat/storage"
)

// The keeper finds what the store lost and puts it again, and never an older
// state over a newer one.
func TestKeeperPutsLostObjectsAgain(t *testing.T) {
	for _, shared := range []bool{false, true} {
		t.Run(fmt.Sprintf("shared=%v", shared), func(t *testing.T) {
			root := t.TempDir()
			driver := proving{openDir(t, filepath.Join(root, "objects"))}
			s := mustOpen(t, root, driver, storage.StagedOptions{SegmentSize: 1500, Shared: shared})
			mustPutAll(t, s, once("a/1", "kept"), item("a/2", "old"), item("a/3", "deleted"), item("a/5", "whole"))
			mustPutAll(t, s, item("a/2", "new"), item("a/4", "stays"))
			if err := s.Delete(t.Context(), "a/3"); err != nil {
				t.Fatal(err)
			}
			drained(t, s)
			for _, key := range []string{"a/1", "a/2"} { // the server loses them
				if err := driver.Delete(t.Context(), key); err != nil {
					t.Fatal(err)
				}
			}
			if err := driver.Put(t.Context(), "a/5", storage.Bytes(nil)); err != nil { // and empties one
				t.Fatal(err)
			}
			if err := driver.Put(t.Context(), "a/4", storage.Bytes([]byte("newer, by another process"))); err != nil {
				t.Fatal(err)
			}
			// The clock of a file system goes in steps of some milliseconds.
			later := time.Now().Add(time.Second)
			if err := os.Chtimes(filepath.Join(root, "objects", "a/4"), later, later); err != nil {
				t.Fatal(err)
			}
			for i := range 10 { // closes the segment
				mustPutAll(t, s, item(fmt.Sprintf("b/%d", i), strings.Repeat("x", 300)))
			}
			first := filepath.Join(root, "staging", "log-0000000000000001.seg")
			for range 1000 {
				if _, err := os.Stat(first); errors.Is(err, os.ErrNotExist) {
					break
				}
				time.Sleep(10 * time.Millisecond) // polling for the keeper's work
			}
			got := contents(t, driver)
			if got["a/1"] != "kept" || got["a/2"] != "new" || got["a/5"] != "whole" || got["a/4"] != "newer, by another process" {
				t.Errorf("stored: %s", describe(got))
			}
			if _, there := got["a/3"]; there {
				t.Error("a deleted object came back")
			}
		})
	}
}

// Two processes with staging folders of their own and one store.
func TestSharedStoreDecidesOnce(t *testing.T) {
	root := t.TempDir()
	driver := proving{openDir(t, filepath.Join(root, "objects"))}
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
	driver := proving{openDir(t, filepath.Join(root, "objects"))}
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
