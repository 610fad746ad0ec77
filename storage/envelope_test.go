package storage_test

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"sekretariat"
	"sekretariat/storage"
	"sekretariat/storage/storetest"
)

// Whatever happens to a stored object, its reader gets the true content or
// ErrDamaged.
func TestDamagedObjectsAreRefused(t *testing.T) {
	root := t.TempDir()
	objects, keys := openDir(t, filepath.Join(root, "o")), openDir(t, filepath.Join(root, "k"))
	v := storage.NewVault(storage.NewDirect(objects, keys, root), storage.NewKeyStore(keys, officeKeys(t)))
	id := submissionID("x")
	want := storetest.Content(1, 3*65536+100)
	if err := v.Put(t.Context(), centre, id, "c/x", storage.Bytes(want)); err != nil {
		t.Fatal(err)
	}
	good := stored(t, objects, "c/x")
	rapid.Check(t, func(r *rapid.T) {
		bad := bytes.Clone(good)
		switch rapid.SampledFrom([]string{"flip", "cut", "extend", "swap chunks", "repeat chunk"}).Draw(r, "how") {
		case "flip":
			bad[rapid.IntRange(0, len(bad)-1).Draw(r, "at")] ^= byte(rapid.IntRange(1, 255).Draw(r, "bits"))
		case "cut":
			bad = bad[:rapid.IntRange(0, len(bad)-1).Draw(r, "length")]
		case "extend":
			bad = append(bad, make([]byte, rapid.IntRange(1, 70000).Draw(r, "more"))...)
		case "swap chunks":
			const head, chunk = 76, 65552
			first := bytes.Clone(bad[head : head+chunk])
			copy(bad[head:], bad[head+chunk:head+2*chunk])
			copy(bad[head+chunk:], first)
		case "repeat chunk":
			const head, chunk = 76, 65552
			copy(bad[head:head+chunk], bad[head+chunk:head+2*chunk])
		}
		if err := objects.Put(t.Context(), "c/x", storage.Bytes(bad)); err != nil {
			r.Fatal(err)
		}
		if _, err := v.Check(t.Context(), centre, id, "c/x"); !errors.Is(err, storage.ErrDamaged) {
			r.Fatalf("damage was not seen: %v", err)
		}
	})
}

func TestObjectsCannotBeExchanged(t *testing.T) {
	root := t.TempDir()
	objects, keys := openDir(t, filepath.Join(root, "o")), openDir(t, filepath.Join(root, "k"))
	v := storage.NewVault(storage.NewDirect(objects, keys, root), storage.NewKeyStore(keys, officeKeys(t)))
	a, b := submissionID("a"), submissionID("b")
	for id, key := range map[sekretariat.SubmissionID]string{a: "c/a", b: "c/b"} {
		if err := v.Put(t.Context(), centre, id, key, storage.Bytes([]byte(key))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := v.Open(t.Context(), centre, a, "c/b"); !errors.Is(err, storage.ErrDamaged) {
		t.Errorf("opened with another submission's key: %v", err)
	}
	if err := objects.Put(t.Context(), "c/a2", storage.Bytes(stored(t, objects, "c/a"))); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Open(t.Context(), centre, a, "c/a2"); !errors.Is(err, storage.ErrDamaged) {
		t.Errorf("opened under another name: %v", err)
	}
	nameA, nameB := "test/"+string(a[:3])+"/"+string(a), "test/"+string(b[:3])+"/"+string(b)
	if err := keys.Put(t.Context(), nameA, storage.Bytes(stored(t, keys, nameB))); err != nil {
		t.Fatal(err)
	}
	fresh := storage.NewVault(storage.NewDirect(objects, keys, root), storage.NewKeyStore(keys, officeKeys(t)))
	if _, err := fresh.Open(t.Context(), centre, a, "c/a"); err == nil {
		t.Error("opened with an exchanged data key")
	}
	if err := keys.Delete(t.Context(), nameB); err != nil {
		t.Fatal(err)
	}
	if _, err := fresh.Open(t.Context(), centre, b, "c/b"); !errors.Is(err, storage.ErrDamaged) {
		t.Errorf("without its data key: %v", err)
	}
}

// Random access gives what reading the whole gives.
func TestRandomAccess(t *testing.T) {
	root := t.TempDir()
	objects, keys := openDir(t, filepath.Join(root, "o")), openDir(t, filepath.Join(root, "k"))
	v := storage.NewVault(storage.NewDirect(objects, keys, root), storage.NewKeyStore(keys, officeKeys(t)))
	id := submissionID("x")
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.OneOf(rapid.IntRange(0, 10), rapid.IntRange(65530, 65540), rapid.IntRange(0, 300_000)).Draw(r, "size")
		want := storetest.Content(int64(n), n)
		sp, err := v.NewSpool(1 << 30)
		if err != nil {
			r.Fatal(err)
		}
		defer sp.Discard()
		for rest := want; len(rest) > 0; {
			k := min(len(rest), rapid.IntRange(1, 100_000).Draw(r, "write"))
			if _, err := sp.Write(rest[:k]); err != nil {
				r.Fatal(err)
			}
			rest = rest[k:]
		}
		if err := v.Commit(t.Context(), centre, id, []storage.SealItem{{Key: "c/x", Spool: sp}}); err != nil {
			r.Fatal(err)
		}
		o, err := v.Open(t.Context(), centre, id, "c/x")
		if err != nil {
			r.Fatal(err)
		}
		defer o.Close()
		if o.Size() != int64(n) {
			r.Fatalf("size %d", o.Size())
		}
		for range 10 {
			off := rapid.IntRange(0, n+10).Draw(r, "offset")
			p := make([]byte, rapid.IntRange(0, 150_000).Draw(r, "length"))
			got, err := o.ReadAt(p, int64(off))
			expect := want[min(off, n):min(off+len(p), n)]
			if !bytes.Equal(p[:got], expect) || (got < len(p)) != (err == io.EOF) {
				r.Fatalf("%d octets at %d of %d: got %d, %v", len(p), off, n, got, err)
			}
		}
	})
}
