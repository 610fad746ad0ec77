package storage_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sekretariat/storage"
	"sekretariat/storage/storetest"
)

// damagedCopy is a copy of the folder with the log changed.
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
	salvaged(t, root, 0)
}

// A segment whose header is not one is passed over like any other damage.
func TestSegmentWithoutHeader(t *testing.T) {
	root := t.TempDir()
	s := mustOpen(t, root, openDir(t, filepath.Join(root, "objects")), storage.StagedOptions{SegmentSize: 500})
	s.gate.shut.Store(true)
	for i := range 20 {
		mustPutAll(t, s, item(fmt.Sprintf("a/%d", i), strings.Repeat("x", 100)))
	}
	_ = s.abandon()
	logs, _ := filepath.Glob(filepath.Join(root, "staging", "log-*.seg"))
	b, err := os.ReadFile(logs[1])
	if err != nil {
		t.Fatal(err)
	}
	b[3] ^= 1
	if err := os.WriteFile(logs[1], b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := reopen(root, openDir(t, filepath.Join(root, "objects")), storage.StagedOptions{}); !errors.Is(err, storage.ErrDamaged) || !strings.Contains(err.Error(), "--salvage") {
		t.Errorf("segment without a header: %v", err)
	}
	salvaged(t, root, 1)
}

// salvaged opens a log of twenty objects, one segment of which is lost, and
// expects all others, now and after one more start.
func salvaged(t *testing.T, root string, aside int) {
	t.Helper()
	objects := openDir(t, filepath.Join(root, "objects"))
	s := mustOpen(t, root, objects, storage.StagedOptions{Salvage: true})
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := len(contents(t, objects))
	if n >= 20 || n < 12 {
		t.Errorf("%d of 20 objects salvaged", n)
	}
	if kept, _ := filepath.Glob(filepath.Join(root, "staging", "*.damaged")); len(kept) != aside {
		t.Errorf("%d segments set aside, want %d", len(kept), aside)
	}
	again := mustOpen(t, root, objects, storage.StagedOptions{}) // without salvage
	if err := again.Close(t.Context()); err != nil {
		t.Fatal(err)
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
