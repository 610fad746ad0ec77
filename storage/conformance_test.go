package storage_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/rs/zerolog"

	"sekretariat/storage"
	"sekretariat/storage/dir"
	"sekretariat/storage/storetest"
)

func openDir(t testing.TB, root string) *dir.Driver {
	t.Helper()
	d, err := dir.Open(root, dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// openStaged opens the log in root/staging over root/objects and root/keys.
func openStaged(t testing.TB, root string, o storage.StagedOptions) *storage.Staged {
	t.Helper()
	var objects storage.Store = openDir(t, filepath.Join(root, "objects"))
	o.Keys = openDir(t, filepath.Join(root, "keys"))
	if o.Shared {
		objects, o.Keys = proving{objects}, proving{o.Keys}
	}
	o.Logger = zerolog.New(zerolog.NewTestWriter(t))
	s, err := storage.OpenStaged(t.Context(), filepath.Join(root, "staging"), objects, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

func TestStagedConformance(t *testing.T) {
	t.Run("single", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) storage.Store { return openStaged(t, t.TempDir(), storage.StagedOptions{}) })
	})
	t.Run("keys", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) storage.Store { return openStaged(t, t.TempDir(), storage.StagedOptions{}).Keys() })
	})
	t.Run("shared", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) storage.Store {
			return openStaged(t, t.TempDir(), storage.StagedOptions{Shared: true})
		})
	})
	t.Run("small backlog", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) storage.Store {
			return openStaged(t, t.TempDir(), storage.StagedOptions{MaxPending: 4096, Workers: 1, SegmentSize: 4096})
		})
	})
}
