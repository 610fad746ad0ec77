package storage_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sekretariat/storage"
	"sekretariat/storage/dir"
	"sekretariat/storage/storetest"
)

// smallDisk mounts a file system of the given size.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("sekretariat-test", path, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("a small tmpfs cannot be mounted here (%v): run as root to test a full disk", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(path, 0); err != nil {
			t.Error(err)
		}
	})
	return path
}

// fill takes all the space that is left, but for spare octets.
func fill(t *testing.T, path string) (free func()) {
	t.Helper()
	name := filepath.Join(path, "ballast")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 16; size > 0; {
		if n, err := f.Write(make([]byte, size)); err != nil {
			size = min(n, size/2)
		}
	}
	return func() {
		if err := os.Remove(name); err != nil {
			t.Error(err)
		}
	}
}

// The disk of the staging log is full: puts fail and say so, and succeed when
// there is room again; nothing acknowledged is lost.
func TestFullStagingDisk(t *testing.T) {
	disk := smallDisk(t, "3m")
	root := t.TempDir()
	driver := openDir(t, filepath.Join(root, "objects"))
	open := func() *opened {
		g := &gate{Store: driver}
		s, err := storage.OpenStaged(t.Context(), filepath.Join(disk, "staging"), g, storage.StagedOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return &opened{s, g, root}
	}
	s := open()
	defer func() { _ = s.abandon() }()
	s.gate.shut.Store(true)
	acked := map[string]string{}
	put := func(i, size int) error {
		key, content := fmt.Sprintf("a/%d", i), string(storetest.Content(int64(i), size))
		err := s.PutAll(t.Context(), []storage.Item{item(key, content), once(key+".once", content)})
		if err == nil {
			acked[key], acked[key+".once"] = content, content
		}
		return err
	}
	var err error
	i := 0
	for ; err == nil && i < 1000; i++ {
		err = put(i, 5000+i)
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("the disk did not fill: %v", err)
	}
	free := fill(t, disk)
	for range 3 {
		if err := put(i, 70_000); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("small put on a full disk: %v", err)
		}
		if err := put(i, 2<<20); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("large put on a full disk: %v", err)
		}
	}
	free()
	s.gate.shut.Store(false)
	if err := put(i, 100); err != nil {
		t.Errorf("put after room was made: %v", err)
	}
	want(t, s, acked)
	s.gate.shut.Store(true)
	if err := put(i+1, 100); err != nil {
		t.Errorf("second put after room was made: %v", err)
	}
	_ = s.abandon()
	s = open()
	want(t, s, acked)
}

// The disk of the objects is full: puts succeed, wait in the log, and arrive
// when there is room again.
func TestFullObjectDisk(t *testing.T) {
	disk := smallDisk(t, "2m")
	root := t.TempDir()
	driver := openDirAt(t, filepath.Join(disk, "objects"))
	defer driver.Close()
	s := mustOpen(t, root, driver, storage.StagedOptions{})
	free := fill(t, disk)
	all := map[string]string{}
	for i := range 10 {
		key, content := fmt.Sprintf("a/%d", i), string(storetest.Content(int64(i), 50_000))
		if err := s.PutAll(t.Context(), []storage.Item{once(key, content)}); err != nil {
			t.Fatal(err)
		}
		all[key] = content
	}
	want(t, s, all)
	if n, _ := s.Pending(); n == 0 {
		t.Fatal("nothing waits: the disk was not full")
	}
	free()
	drained(t, s)
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(t, driver, all)
	if left, _ := filepath.Glob(filepath.Join(disk, "objects", ".tmp", "*")); len(left) != 0 {
		t.Errorf("left: %s", strings.Join(left, " "))
	}
}

func openDirAt(t *testing.T, root string) *dir.Driver {
	t.Helper()
	d, err := dir.Open(root, dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}
