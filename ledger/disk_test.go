package ledger

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sekretariat"
)

// smallDisk mounts a file system of 48 MB.
func smallDisk(t *testing.T) string {
	t.Helper()
	d := t.TempDir()
	if err := syscall.Mount("tmpfs", d, "tmpfs", 0, "size=48m"); err != nil {
		t.Skipf("no file system to fill up (needs root): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(d, 0); err != nil {
			t.Error(err)
		}
	})
	return d
}

// A full disk holds appends up; when there is room again all go on by
// themselves, and nothing is lost or doubled.
func TestDiskFullAndFreed(t *testing.T) {
	disk := smallDisk(t)
	l := open(t, filepath.Join(disk, "data"))
	g := centre(t, l)
	filler := filepath.Join(disk, "filler")
	if err := os.WriteFile(filler, make([]byte, 40<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	const writers, rounds = 16, 60
	pad := fmt.Sprintf("%020000d", 0)
	var count atomic.Int64
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			var last uint64
			for i := range rounds {
				subject := fmt.Sprintf("s%d", w)
				e, err := sekretariat.NewEvent(sekretariat.EventSeen, testCentre, "test", subject, i, time.Now(), pad)
				if err != nil {
					t.Error(err)
				}
				seq, err := g.Append(t.Context(), Letter, Record{Subject: subject, LastSeq: last, Event: e})
				if err != nil {
					t.Errorf("writer %d, append %d: %v", w, i, err)
					return
				}
				last = seq
				count.Add(1)
			}
		})
	}
	full := func() bool {
		var st syscall.Statfs_t
		return syscall.Statfs(disk, &st) == nil && st.Bavail*uint64(st.Bsize) < 1<<16
	}
	for before, still := int64(-1), 0; still < 100; time.Sleep(10 * time.Millisecond) {
		if now := count.Load(); now != before || !full() {
			before, still = now, 0
		}
		if count.Load() == writers*rounds {
			t.Fatal("the disk did not fill up")
		}
		still++
	}
	t.Logf("full after %d of %d appends", count.Load(), writers*rounds)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	seen := map[string]int{}
	err := g.Replay(t.Context(), Letter, 1, func(st Stored) error {
		if want := event(st.Subject, seen[st.Subject]).ID; st.Event.ID != want {
			return fmt.Errorf("%s where %s was due", st.Event.ID, want)
		}
		seen[st.Subject]++
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	for w := range writers {
		if n := seen[fmt.Sprintf("s%d", w)]; n != rounds {
			t.Errorf("%d events of writer %d, want %d", n, w, rounds)
		}
	}
}
