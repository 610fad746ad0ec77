package storage_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"sekretariat"
	"sekretariat/storage"
	"sekretariat/storage/storetest"
)

const centre = sekretariat.CentreID("test")

func submissionID(name string) sekretariat.SubmissionID {
	return sekretariat.NewSubmissionID(centre, sekretariat.KindBox, "account", name)
}

func officeKeys(t testing.TB) *storage.OfficeKeys {
	t.Helper()
	path := filepath.Join(t.TempDir(), "office.key")
	if err := storage.CreateOfficeKey(path, "first"); err != nil {
		t.Fatal(err)
	}
	keys, err := storage.LoadOfficeKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func openVault(t testing.TB, root string, office *storage.OfficeKeys) (*storage.Vault, *storage.Staged) {
	t.Helper()
	s := openStaged(t, root, storage.StagedOptions{})
	return storage.NewVault(s, storage.NewKeyStore(s.Keys(), office)), s
}

func spool(t testing.TB, v *storage.Vault, b []byte) *storage.Spool {
	t.Helper()
	sp, err := v.NewSpool(1 << 30)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sp.Discard)
	if n, err := sp.Write(b); err != nil || n != len(b) {
		t.Fatalf("spool: %d, %v", n, err)
	}
	return sp
}

func TestCommitAndOpen(t *testing.T) {
	v, s := openVault(t, t.TempDir(), officeKeys(t))
	for _, n := range []int{0, 1, 65535, 65536, 65537, 131072, 960 << 10, 1 << 20, 5<<20 + 7} {
		id := submissionID(strings.Repeat("x", n%97) + "size")
		want := storetest.Content(int64(n), n)
		sp := spool(t, v, want)
		facts := sp.Facts()
		sum := sha256.Sum256(want)
		if facts.Size != int64(n) || string(facts.SHA256) != hex.EncodeToString(sum[:]) {
			t.Errorf("%d octets: facts %+v", n, facts)
		}
		key := storage.OriginalKey(centre, id, facts.SHA256)
		manifest := storage.ManifestKey(centre, id)
		err := v.Commit(t.Context(), centre, id, []storage.SealItem{
			{Key: key, Spool: sp}, {Key: manifest, Body: storage.Bytes([]byte("{}")), Once: true},
		})
		if err != nil {
			t.Fatal(err)
		}
		got, err := v.ReadAll(t.Context(), centre, id, key, 1<<30)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d octets: read %d, %v", n, len(got), err)
		}
		if checked, err := v.Check(t.Context(), centre, id, key); err != nil || checked != facts {
			t.Errorf("%d octets: check %+v, %v", n, checked, err)
		}
		if b, err := v.ReadAll(t.Context(), centre, id, manifest, 10); err != nil || string(b) != "{}" {
			t.Errorf("manifest %q, %v", b, err)
		}
		if n > 20 && bytes.Contains(stored(t, s, key), want[:20]) {
			t.Error("plain content was stored")
		}
	}
}

func stored(t testing.TB, s storage.Store, key string) []byte {
	t.Helper()
	o, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	b, err := io.ReadAll(io.NewSectionReader(o, 0, o.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCommitStopsAtATakenKey(t *testing.T) {
	v, _ := openVault(t, t.TempDir(), officeKeys(t))
	id := submissionID("one")
	manifest := storage.ManifestKey(centre, id)
	commit := func(original, m string) error {
		return v.Commit(t.Context(), centre, id, []storage.SealItem{
			{Key: storage.OriginalKey(centre, id, sekretariat.DigestOf([]byte(original))), Body: storage.Bytes([]byte(original))},
			{Key: manifest, Body: storage.Bytes([]byte(m)), Once: true},
			{Key: manifest + ".after", Body: storage.Bytes([]byte(m))},
		})
	}
	if err := commit("a", "first"); err != nil {
		t.Fatal(err)
	}
	err := commit("b", "second")
	var taken *storage.TakenError
	if !errors.Is(err, storage.ErrExists) || !errors.As(err, &taken) || taken.Index != 1 || taken.Key != manifest {
		t.Fatalf("second manifest: %v", err)
	}
	for key, want := range map[string]string{
		manifest: "first", manifest + ".after": "first",
		storage.OriginalKey(centre, id, sekretariat.DigestOf([]byte("b"))): "b",
	} {
		if got, err := v.ReadAll(t.Context(), centre, id, key, 100); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", key, got, err, want)
		}
	}
}

// Whoever is first with the data key wins, and the others seal with that key.
func TestRacingCommitsShareOneDataKey(t *testing.T) {
	root, office := t.TempDir(), officeKeys(t)
	v, s := openVault(t, root, office)
	id := submissionID("race")
	var wg sync.WaitGroup
	for i := range 8 {
		// Each with a cache of its own, as if in another process.
		own := storage.NewVault(s, storage.NewKeyStore(s.Keys(), office))
		wg.Go(func() {
			key := storage.DerivedKey(centre, id, "r-1", string(rune('a'+i)))
			if err := own.Put(t.Context(), centre, id, key, storage.Bytes([]byte{byte(i)})); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i := range 8 {
		key := storage.DerivedKey(centre, id, "r-1", string(rune('a'+i)))
		if b, err := v.ReadAll(t.Context(), centre, id, key, 10); err != nil || !bytes.Equal(b, []byte{byte(i)}) {
			t.Errorf("%d: %v, %v", i, b, err)
		}
	}
}

func TestLargeSpoolOfARaceLoserIsSealedAnew(t *testing.T) {
	root, office := t.TempDir(), officeKeys(t)
	v, s := openVault(t, root, office)
	want := storetest.Content(1, 3<<20)
	sp := spool(t, v, want)
	a, b := submissionID("a"), submissionID("b")
	for _, id := range []sekretariat.SubmissionID{a, b, a} { // the file is sealed for another object each time
		key := storage.OriginalKey(centre, id, sp.Facts().SHA256)
		if err := v.Commit(t.Context(), centre, id, []storage.SealItem{{Key: key, Spool: sp}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	v, _ = openVault(t, root, office)
	for _, id := range []sekretariat.SubmissionID{a, b} {
		got, err := v.ReadAll(t.Context(), centre, id, storage.OriginalKey(centre, id, sp.Facts().SHA256), 4<<20)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d octets, %v", id, len(got), err)
		}
	}
}

func TestShred(t *testing.T) {
	root, office := t.TempDir(), officeKeys(t)
	v, s := openVault(t, root, office)
	id, other := submissionID("shredded"), submissionID("kept")
	key := storage.ManifestKey(centre, id)
	for _, i := range []sekretariat.SubmissionID{id, other} {
		if err := v.Put(t.Context(), centre, i, storage.ManifestKey(centre, i), storage.Bytes([]byte("x"))); err != nil {
			t.Fatal(err)
		}
	}
	if yes, err := v.Shredded(t.Context(), centre, id); yes || err != nil {
		t.Errorf("before: %v, %v", yes, err)
	}
	if err := v.Shred(t.Context(), centre, id); err != nil {
		t.Fatal(err)
	}
	check := func() {
		t.Helper()
		if _, err := v.Open(t.Context(), centre, id, key); !errors.Is(err, storage.ErrShredded) {
			t.Errorf("open: %v", err)
		}
		if err := v.Put(t.Context(), centre, id, key, storage.Bytes([]byte("y"))); !errors.Is(err, storage.ErrShredded) {
			t.Errorf("put: %v", err)
		}
		if yes, err := v.Shredded(t.Context(), centre, id); !yes || err != nil {
			t.Errorf("shredded: %v, %v", yes, err)
		}
		if _, err := v.ReadAll(t.Context(), centre, other, storage.ManifestKey(centre, other), 10); err != nil {
			t.Errorf("the other submission: %v", err)
		}
	}
	check()
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	v, _ = openVault(t, root, office)
	check()
}

func TestSpoolOverTheLimit(t *testing.T) {
	root := t.TempDir()
	v, _ := openVault(t, root, officeKeys(t))
	for _, limit := range []int{10, 3 << 20} {
		sp, err := v.NewSpool(int64(limit))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sp.Write(make([]byte, limit)); err != nil {
			t.Fatalf("at the limit: %v", err)
		}
		if _, err := sp.Write([]byte{0}); !errors.Is(err, storage.ErrTooLarge) {
			t.Errorf("over the limit: %v", err)
		}
		err = v.Commit(t.Context(), centre, submissionID("x"), []storage.SealItem{{Key: "c/x", Spool: sp}})
		if !errors.Is(err, storage.ErrTooLarge) {
			t.Errorf("commit of a body over the limit: %v", err)
		}
		sp.Discard()
		sp.Discard()
	}
	if left, _ := filepath.Glob(filepath.Join(root, "staging", "spool-*")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestSpoolsOfACrashAreRemoved(t *testing.T) {
	root, office := t.TempDir(), officeKeys(t)
	v, s := openVault(t, root, office)
	if _, err := spoolWithoutCleanup(v, make([]byte, 3<<20)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(root, "staging", "spool-*")); len(left) != 1 {
		t.Fatalf("expected one left-over, found %v", left)
	}
	openVault(t, root, office)
	if left, _ := filepath.Glob(filepath.Join(root, "staging", "spool-*")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func spoolWithoutCleanup(v *storage.Vault, b []byte) (*storage.Spool, error) {
	sp, err := v.NewSpool(1 << 30)
	if err != nil {
		return nil, err
	}
	_, err = sp.Write(b)
	return sp, err
}

// A body of 300 MB passes through without being in memory.
func TestLargeBodyNeedsLittleMemory(t *testing.T) {
	v, _ := openVault(t, t.TempDir(), officeKeys(t))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	sp, err := v.NewSpool(1 << 30)
	if err != nil {
		t.Fatal(err)
	}
	defer sp.Discard()
	piece := storetest.Content(1, 1<<20)
	for range 300 {
		if _, err := sp.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	id := submissionID("large")
	key := storage.OriginalKey(centre, id, sp.Facts().SHA256)
	if err := v.Commit(t.Context(), centre, id, []storage.SealItem{{Key: key, Spool: sp}}); err != nil {
		t.Fatal(err)
	}
	facts, err := v.Check(t.Context(), centre, id, key)
	if err != nil || facts != sp.Facts() {
		t.Errorf("check: %+v, %v", facts, err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 24<<20 {
		t.Errorf("%d MB were allocated for a body of 300 MB", used>>20)
	}
}

func TestReadAllIsLimited(t *testing.T) {
	v, _ := openVault(t, t.TempDir(), officeKeys(t))
	id := submissionID("x")
	if err := v.Put(t.Context(), centre, id, "c/x", storage.Bytes(make([]byte, 100))); err != nil {
		t.Fatal(err)
	}
	if _, err := v.ReadAll(t.Context(), centre, id, "c/x", 99); !errors.Is(err, storage.ErrTooLarge) {
		t.Errorf("over the limit: %v", err)
	}
	if _, err := v.ReadAll(t.Context(), centre, id, "c/y", 99); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("missing: %v", err)
	}
}

func TestOfficeKeyFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "office.key")
	if err := storage.CreateOfficeKey(path, "A b"); err == nil {
		t.Error("a bad id was taken")
	}
	if err := storage.CreateOfficeKey(path, "first"); err != nil {
		t.Fatal(err)
	}
	if err := storage.CreateOfficeKey(path, "second"); !errors.Is(err, os.ErrExist) {
		t.Errorf("overwritten: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := storage.LoadOfficeKeys(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a readable key was taken: %v", err)
	}
	for _, bad := range []string{"", "# nothing\n", "x\n", "x short\n", "a " + strings.Repeat("0", 63) + "\n",
		"a " + strings.Repeat("0", 64) + "\na " + strings.Repeat("1", 64) + "\n"} {
		if _, err := storage.ParseOfficeKeys([]byte(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// A new first line wraps new keys; what the old one wrapped stays readable.
func TestOfficeKeyRotation(t *testing.T) {
	root := t.TempDir()
	objects, keys := openDir(t, filepath.Join(root, "o")), openDir(t, filepath.Join(root, "k"))
	vault := func(file string) *storage.Vault {
		office, err := storage.ParseOfficeKeys([]byte(file))
		if err != nil {
			t.Fatal(err)
		}
		return storage.NewVault(storage.NewDirect(objects, keys, root), storage.NewKeyStore(keys, office))
	}
	first, second := "first "+strings.Repeat("11", 32)+"\n", "second "+strings.Repeat("22", 32)+"\n"
	a, b := submissionID("a"), submissionID("b")
	if err := vault(first).Put(t.Context(), centre, a, "c/a", storage.Bytes([]byte("a"))); err != nil {
		t.Fatal(err)
	}
	both := vault(second + "# old\n" + first)
	if err := both.Put(t.Context(), centre, b, "c/b", storage.Bytes([]byte("b"))); err != nil {
		t.Fatal(err)
	}
	for id, key := range map[sekretariat.SubmissionID]string{a: "c/a", b: "c/b"} {
		if _, err := both.ReadAll(t.Context(), centre, id, key, 10); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	if _, err := vault(first).ReadAll(t.Context(), centre, b, "c/b", 10); err == nil || !strings.Contains(err.Error(), `"second"`) {
		t.Errorf("without the new key: %v", err)
	}
}
