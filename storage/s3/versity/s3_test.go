package versity

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sekretariat/storage"
	"sekretariat/storage/s3"
	"sekretariat/storage/storetest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	RemoveBinary()
	os.Exit(code)
}

var buckets atomic.Int64

func options(g *Gateway) s3.Options {
	return s3.Options{
		Endpoint: g.Endpoint, Region: Region, Bucket: fmt.Sprintf("bucket-%d", buckets.Add(1)), AccessKey: AccessKey, SecretKey: SecretKey,
		PathStyle: true, Insecure: g.CA == "", CA: g.CA, Settle: time.Millisecond,
	}
}

func open(t *testing.T, o s3.Options) *s3.Driver {
	t.Helper()
	d, err := s3.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestConformance(t *testing.T) {
	for _, tls := range []bool{true, false} {
		t.Run(fmt.Sprintf("tls=%v", tls), func(t *testing.T) {
			g := Start(t, tls)
			storetest.Run(t, func(t *testing.T) storage.Store { return open(t, options(g)) })
		})
	}
}

func staged(t *testing.T, folder string, driver, keys storage.Store, shared bool) *storage.Staged {
	t.Helper()
	s, err := storage.OpenStaged(t.Context(), folder, driver, storage.StagedOptions{
		Keys: keys, Shared: shared, SegmentSize: 1 << 20, Logger: zerolog.New(zerolog.NewTestWriter(t)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = s.Close(ctx)
	})
	return s
}

func TestStagedConformance(t *testing.T) {
	g := Start(t, true)
	for _, shared := range []bool{true, false} {
		t.Run(fmt.Sprintf("shared=%v", shared), func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) storage.Store { return staged(t, t.TempDir(), open(t, options(g)), nil, shared) })
		})
	}
}

func TestVaultOverS3(t *testing.T) {
	g := Start(t, true)
	o := options(g)
	s := staged(t, t.TempDir(), open(t, o), open(t, options(g)), true)
	path := filepath.Join(t.TempDir(), "office.key")
	if err := storage.CreateOfficeKey(path, "first"); err != nil {
		t.Fatal(err)
	}
	keys, err := storage.LoadOfficeKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	v := storage.NewVault(s, storage.NewKeyStore(s.Keys(), keys))
	const id = "00000000000000000000000000000000000000000000000000000000000000ab"
	for _, n := range []int{0, 100, 5 << 20} {
		key := fmt.Sprintf("c/test/s/000/%s.o.%d", id, n)
		want := storetest.Content(int64(n), n)
		if err := v.PutOnce(t.Context(), "test", id, key, storage.Bytes(want)); err != nil {
			t.Fatal(err)
		}
		got, err := v.ReadAll(t.Context(), "test", id, key, 6<<20)
		if err != nil || string(got) != string(want) {
			t.Errorf("%d octets: %d, %v", n, len(got), err)
		}
		if err := v.PutOnce(t.Context(), "test", id, key, storage.Bytes(want)); !errors.Is(err, storage.ErrExists) {
			t.Errorf("%d octets again: %v", n, err)
		}
	}
	damage(t, filepath.Join(g.Folder, o.Bucket, fmt.Sprintf("c/test/s/000/%s.o.%d", id, 5<<20)))
	if _, err := v.ReadAll(t.Context(), "test", id, fmt.Sprintf("c/test/s/000/%s.o.%d", id, 5<<20), 6<<20); !errors.Is(err, storage.ErrDamaged) {
		t.Errorf("damaged object: %v", err)
	}
}

func damage(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], 50); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b[:], 50); err != nil {
		t.Fatal(err)
	}
}

// What the server lost or damaged after its acknowledgement is seen.
func TestSyncReadsBack(t *testing.T) {
	g := Start(t, false)
	o := options(g)
	d := open(t, o)
	for _, k := range []string{"a/good", "a/damaged", "a/lost"} {
		if err := d.Put(t.Context(), k, storage.Bytes(storetest.Content(1, 1000))); err != nil {
			t.Fatal(err)
		}
	}
	damage(t, filepath.Join(g.Folder, o.Bucket, "a/damaged"))
	if err := os.Remove(filepath.Join(g.Folder, o.Bucket, "a/lost")); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]error{"a/good": nil, "a/damaged": storage.ErrDamaged, "a/lost": storage.ErrNotFound} {
		if err := d.Sync(t.Context(), []string{key}); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", key, err, want)
		}
	}
	if err := d.Sync(t.Context(), []string{"a/good", "a/lost"}); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("together: %v", err)
	}
}

// A repeated put of the same token is the same put, another's is not.
func TestPutOnceCanBeRepeatedByItsToken(t *testing.T) {
	d := open(t, options(Start(t, false)))
	body := storage.Bytes([]byte("x"))
	for range 2 {
		if err := d.PutOnceAs(t.Context(), "a/x", body, "one"); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.PutOnceAs(t.Context(), "a/x", body, "two"); !errors.Is(err, storage.ErrExists) {
		t.Errorf("another's: %v", err)
	}
}

// A server that comes back with an older object has lost the newer one.
func TestProveTellsOlderFromNewer(t *testing.T) {
	d := open(t, options(Start(t, false)))
	older, newer := storage.NewPutToken(), storage.NewPutToken()
	if older > newer {
		older, newer = newer, older
	}
	put := func(token string) {
		t.Helper()
		if err := d.PutAs(t.Context(), "a/x", storage.Bytes([]byte(token)), token); err != nil {
			t.Fatal(err)
		}
	}
	put(older)
	if err := d.Prove(t.Context(), "a/x", older); err != nil {
		t.Errorf("what was put: %v", err)
	}
	if err := d.Prove(t.Context(), "a/x", newer); !errors.Is(err, storage.ErrDamaged) {
		t.Errorf("an older object: %v", err)
	}
	put(newer)
	if err := d.Prove(t.Context(), "a/x", older); err != nil {
		t.Errorf("a newer object: %v", err)
	}
	if err := d.Prove(t.Context(), "a/y", older); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("no object: %v", err)
	}
}

// The server is killed while objects are put, and comes back: every call
// succeeds, and the keeper restores what is taken away behind its back.
func TestServerAwayAndBack(t *testing.T) {
	g := Start(t, false)
	o := options(g)
	d := open(t, o)
	s := staged(t, t.TempDir(), d, nil, true)
	put := func(i int) error {
		return s.PutAll(t.Context(), []storage.Item{{Key: fmt.Sprintf("a/%d", i), Body: storage.Bytes(storetest.Content(int64(i), 2000)), Once: true}})
	}
	if err := put(0); err != nil {
		t.Fatal(err)
	}
	g.Kill()
	results := make(chan error)
	for i := 1; i <= 20; i++ {
		go func() { results <- put(i) }()
	}
	g.Run(t)
	for range 20 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	for i := range 21 {
		o, err := s.Get(t.Context(), fmt.Sprintf("a/%d", i))
		if err != nil {
			t.Fatal(err)
		}
		_ = o.Close()
	}
	lost := filepath.Join(g.Folder, o.Bucket, "a/7")
	if err := os.Remove(lost); err != nil {
		t.Fatal(err)
	}
	for i := 100; i < 140; i++ { // fills the segment, so that it is read back
		if err := s.Put(t.Context(), fmt.Sprintf("b/%d", i), storage.Bytes(make([]byte, 60_000))); err != nil {
			t.Fatal(err)
		}
	}
	for range 400 {
		if _, err := os.Stat(lost); err == nil {
			return
		}
		time.Sleep(50 * time.Millisecond) // polling for the keeper's work
	}
	t.Error("the lost object was not put again")
}

func TestWrongCredentialsSaySo(t *testing.T) {
	o := options(Start(t, false))
	o.SecretKey = "wrong"
	if d, err := s3.Open(t.Context(), o); err == nil {
		t.Errorf("opened: %v", d)
	} else {
		t.Log(err)
	}
}
