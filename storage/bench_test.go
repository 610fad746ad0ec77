package storage_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"sekretariat"
	"sekretariat/storage"
	"sekretariat/storage/storetest"
)

// benchRoot is where a benchmark stores: below SEKRETARIAT_BENCH_DIR (a folder
// on tmpfs, say), else in its own folder. All of it is removed only after the
// last measurement: for some seconds ext4 is slow to create files where others
// were deleted.
func benchRoot(b *testing.B) string {
	if root := os.Getenv("SEKRETARIAT_BENCH_DIR"); root != "" {
		dir, err := os.MkdirTemp(root, "bench-")
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = os.RemoveAll(dir) })
		return dir
	}
	return b.TempDir()
}

// BenchmarkLetter stores what one letter stores: key, original of 8 kB and
// manifest as one group, then register entry and reading. The folders are
// there, as in an office that has taken in some thousand letters.
func BenchmarkLetter(b *testing.B) {
	root := benchRoot(b)
	runs := 0
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			runs++
			dir := filepath.Join(root, fmt.Sprint(runs))
			for i := range 4096 {
				for _, folder := range []string{"objects/c/%s/s/%03x", "keys/%s/%03x"} {
					if err := os.MkdirAll(filepath.Join(dir, fmt.Sprintf(folder, centre, i)), 0o700); err != nil {
						b.Fatal(err)
					}
				}
			}
			letters(b, dir, writers)
		})
	}
}

func letters(b *testing.B, root string, writers int) {
	v, s := openVault(b, root, officeKeys(b))
	original, small := storetest.Content(1, 8<<10), storetest.Content(2, 700)
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for range writers {
		wg.Go(func() {
			for {
				i := next.Add(1)
				if i > int64(b.N) {
					return
				}
				if err := letter(v, fmt.Sprint(i), int(i), original, small); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "letters/s")
	if err := s.Close(context.Background()); err != nil {
		b.Error(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "letters-drained/s")
}

func letter(v *storage.Vault, name string, n int, original, small []byte) error {
	ctx := context.Background()
	id := submissionID(name)
	sp, err := v.NewSpool(1 << 30)
	if err != nil {
		return err
	}
	defer sp.Discard()
	if _, err := sp.Write(original); err != nil {
		return err
	}
	err = v.Commit(ctx, centre, id, []storage.SealItem{
		{Key: storage.OriginalKey(centre, id, sp.Facts().SHA256), Spool: sp},
		{Key: storage.ManifestKey(centre, id), Body: storage.Bytes(small), Once: true},
	})
	if err != nil {
		return err
	}
	number := sekretariat.Number{Series: "rpw", Year: 2026, N: n}
	if err := v.Objects().PutOnce(ctx, storage.EntryKey(centre, number), storage.Bytes(small)); err != nil {
		return err
	}
	return v.Put(ctx, centre, id, storage.DerivedKey(centre, id, "r-1", "1.reading.json"), storage.Bytes(original))
}
