package dir_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sekretariat/storage"
	"sekretariat/storage/dir"
	"sekretariat/storage/storetest"
)

func open(t *testing.T, root string, o dir.Options) *dir.Driver {
	t.Helper()
	d, err := dir.Open(root, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func TestConformance(t *testing.T) {
	t.Run("plain", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) storage.Store { return open(t, t.TempDir(), dir.Options{}) })
	})
	t.Run("durable", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) storage.Store { return open(t, t.TempDir(), dir.Options{Durable: true}) })
	})
}

func TestNothingIsLeftBehind(t *testing.T) {
	root := t.TempDir()
	d := open(t, root, dir.Options{})
	for range 3 {
		if err := d.Put(t.Context(), "a/x", storage.Bytes([]byte("x"))); err != nil {
			t.Fatal(err)
		}
		_ = d.PutOnce(t.Context(), "a/x", storage.Bytes([]byte("x")))
		_ = d.PutOnce(t.Context(), "a/y", storage.Bytes([]byte("x")))
		_ = d.Put(t.Context(), "a", storage.Bytes([]byte("x"))) // a folder
	}
	left, err := os.ReadDir(filepath.Join(root, ".tmp"))
	if err != nil || len(left) != 0 {
		t.Errorf("temporary files left: %v, %v", left, err)
	}
}

func TestOpenSweepsOldTemporaryFiles(t *testing.T) {
	root := t.TempDir()
	tmp := filepath.Join(root, ".tmp")
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, age := range map[string]time.Duration{"old": 2 * time.Hour, "new": 0} {
		p := filepath.Join(tmp, name)
		if err := os.WriteFile(p, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(p, time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	open(t, root, dir.Options{})
	if _, err := os.Stat(filepath.Join(tmp, "old")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("old one: %v", err)
	}
	if _, err := os.Stat(filepath.Join(tmp, "new")); err != nil {
		t.Errorf("new one: %v", err)
	}
}

func TestFolderRemovedFromOutsideIsMadeAgain(t *testing.T) {
	root := t.TempDir()
	d := open(t, root, dir.Options{})
	for range 2 {
		if err := d.Put(t.Context(), "a/b/c", storage.Bytes([]byte("x"))); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Join(root, "a")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPutFileAddsAName(t *testing.T) {
	root := t.TempDir()
	d := open(t, filepath.Join(root, "objects"), dir.Options{})
	src := filepath.Join(root, "body")
	if err := os.WriteFile(src, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // a repeat replaces
		if err := d.PutFile(t.Context(), "a/x", src); err != nil {
			t.Fatal(err)
		}
	}
	a, errA := os.Stat(src)
	b, errB := os.Stat(filepath.Join(root, "objects/a/x"))
	if errA != nil || errB != nil || !os.SameFile(a, b) {
		t.Errorf("not the same file: %v %v", errA, errB)
	}
	if err := d.PutFile(t.Context(), "a/y", filepath.Join(root, "missing")); err == nil {
		t.Error("a missing file was put")
	}
}

func TestSyncOfAMissingObjectSaysSo(t *testing.T) {
	d := open(t, t.TempDir(), dir.Options{})
	if err := d.Sync(t.Context(), []string{"a/never"}); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("sync: %v", err)
	}
}
