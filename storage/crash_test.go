package storage_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"sekretariat"
	"sekretariat/storage"
	"sekretariat/storage/dir"
	"sekretariat/storage/storetest"
)

// forgetful keeps puts in memory until Sync, as a machine does that loses
// power: what was not synced when the process is killed is gone.
type forgetful struct {
	storage.Store
	mu    sync.Mutex
	dirty map[string]sekretariat.Body // nil: deleted
}

func (f *forgetful) Put(_ context.Context, key string, body sekretariat.Body) error {
	b, err := io.ReadAll(io.NewSectionReader(body, 0, body.Size()))
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dirty[key] = storage.Bytes(b)
	return err
}

func (f *forgetful) Delete(_ context.Context, key string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dirty[key] = nil
	return nil
}

func (f *forgetful) Get(ctx context.Context, key string) (storage.Object, error) {
	f.mu.Lock()
	body, ok := f.dirty[key]
	f.mu.Unlock()
	if !ok {
		return f.Store.Get(ctx, key)
	}
	if body == nil {
		return nil, storage.ErrNotFound
	}
	return struct {
		sekretariat.Body
		io.Closer
	}{body, io.NopCloser(nil)}, nil
}

func (f *forgetful) Head(ctx context.Context, key string) (storage.Info, error) {
	o, err := f.Get(ctx, key)
	if err != nil {
		return storage.Info{}, err
	}
	defer o.Close()
	return storage.Info{Key: key, Size: o.Size()}, nil
}

func (f *forgetful) Sync(ctx context.Context, _ []string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for key, body := range f.dirty {
		var err error
		if body == nil {
			err = f.Store.Delete(ctx, key)
		} else {
			err = f.Store.Put(ctx, key, body)
		}
		if err != nil {
			return err
		}
	}
	clear(f.dirty)
	return f.Store.Sync(ctx, nil)
}

const (
	crashRootEnv  = "SEKRETARIAT_TEST_CRASH_ROOT"
	crashRoundEnv = "SEKRETARIAT_TEST_CRASH_ROUND"
	crashWorkers  = 6
)

// crashBody is what worker w stores in its step n of a round.
func crashBody(round, w, n int) []byte {
	size := 100 + (n*7919)%9000
	if n%17 == 5 {
		size = 1<<20 + n*1000
	}
	return storetest.Content(int64(round*1_000_000+w*10_000+n), size)
}

func crashNames(round, w, n int) (sekretariat.SubmissionID, string, string) {
	id := submissionID(fmt.Sprintf("%d-%d-%d", round, w, n))
	return id, storage.DerivedKey(centre, id, "o", "1"), storage.ManifestKey(centre, id)
}

func crashVault(root string) (*storage.Vault, *storage.Staged, error) {
	var drivers [2]storage.Store
	for i, name := range []string{"objects", "keys"} {
		d, err := dir.Open(filepath.Join(root, name), dir.Options{})
		if err != nil {
			return nil, nil, err
		}
		drivers[i] = &forgetful{Store: d, dirty: map[string]sekretariat.Body{}}
	}
	s, err := storage.OpenStaged(context.Background(), filepath.Join(root, "staging"), drivers[0],
		storage.StagedOptions{Keys: drivers[1], SegmentSize: 200 << 10, MaxPending: 4 << 20})
	if err != nil {
		return nil, nil, err
	}
	office, err := storage.LoadOfficeKeys(filepath.Join(root, "office.key"))
	if err != nil {
		return nil, nil, err
	}
	return storage.NewVault(s, storage.NewKeyStore(s.Keys(), office)), s, nil
}

// TestMain runs the victim of the crash test in a process of its own.
func TestMain(m *testing.M) {
	if root := os.Getenv(crashRootEnv); root != "" {
		round, _ := strconv.Atoi(os.Getenv(crashRoundEnv))
		fmt.Fprintln(os.Stderr, crashVictim(root, round))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// crashVictim stores without end and says on its output what was acknowledged.
func crashVictim(root string, round int) error {
	v, s, err := crashVault(root)
	if err != nil {
		return err
	}
	failed := make(chan error)
	for w := range crashWorkers {
		go func() {
			for n := 0; ; n++ {
				if err := crashStep(v, s, round, w, n); err != nil {
					failed <- err
					return
				}
				fmt.Printf("%d %d\n", w, n) // one write(2)
			}
		}()
	}
	return <-failed
}

func crashStep(v *storage.Vault, s *storage.Staged, round, w, n int) error {
	ctx := context.Background()
	id, original, manifest := crashNames(round, w, n)
	sp, err := v.NewSpool(1 << 30)
	if err != nil {
		return err
	}
	defer sp.Discard()
	if _, err := sp.Write(crashBody(round, w, n)); err != nil {
		return err
	}
	err = v.Commit(ctx, centre, id, []storage.SealItem{
		{Key: original, Spool: sp},
		{Key: manifest, Body: storage.Bytes([]byte(sp.Facts().SHA256)), Once: true},
	})
	if err != nil {
		return err
	}
	counter := storage.ConfigKey(centre, fmt.Sprintf("counter.%d", w))
	if err := s.Put(ctx, counter, storage.Bytes(fmt.Appendf(nil, "%d %d", round, n))); err != nil {
		return err
	}
	mark := storage.ConfigKey(centre, fmt.Sprintf("mark.%d.%d", w, n%2))
	if err := s.PutOnce(ctx, mark, storage.Bytes([]byte("x"))); err != nil && !errors.Is(err, storage.ErrExists) {
		return err
	}
	return s.Delete(ctx, storage.ConfigKey(centre, fmt.Sprintf("mark.%d.%d", w, (n+1)%2)))
}

// The process is killed at random, and with it everything that the driver did
// not sync: what was acknowledged is there, whole, and in its newest state.
func TestKilledProcessLosesNothing(t *testing.T) {
	root := t.TempDir()
	if err := storage.CreateOfficeKey(filepath.Join(root, "office.key"), "first"); err != nil {
		t.Fatal(err)
	}
	rounds := 6
	if testing.Short() {
		rounds = 2
	}
	last := make([][]int, rounds) // by round and worker: the last acknowledged step
	total := 0
	for round := range rounds {
		last[round] = crashRound(t, root, round, rand.New(rand.NewSource(int64(round))).Intn(400))
		for _, n := range last[round] {
			total += n + 1
		}
		if t.Failed() {
			return
		}
		checkCrash(t, root, last[:round+1])
	}
	t.Logf("%d acknowledged commits, %d kills", total, rounds)
}

// crashRound runs the victim until it has acknowledged so many commits, kills
// it, and returns the last acknowledged step of each worker.
func crashRound(t *testing.T, root string, round, acks int) []int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashRootEnv+"="+root, fmt.Sprintf("%s=%d", crashRoundEnv, round))
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last := make([]int, crashWorkers)
	for w := range last {
		last[w] = -1
	}
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ {
		if n == acks {
			_ = cmd.Process.Kill() // what it still said is read to the end
		}
		var w, step int
		if _, err := fmt.Sscanf(lines.Text(), "%d %d", &w, &step); err != nil {
			t.Fatalf("line %q", lines.Text())
		}
		last[w] = step
	}
	if err := cmd.Wait(); err == nil || errs.Len() > 0 {
		t.Errorf("the victim ended by itself: %v %s", err, errs.String())
	}
	return last
}

func checkCrash(t *testing.T, root string, last [][]int) {
	t.Helper()
	v, s, err := crashVault(root)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	for round, workers := range last {
		for w, steps := range workers {
			for n := 0; n <= steps; n++ {
				id, original, manifest := crashNames(round, w, n)
				want := crashBody(round, w, n)
				got, err := v.ReadAll(t.Context(), centre, id, original, 1<<30)
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("round %d, step %d.%d: %d octets, %v", round, w, n, len(got), err)
				}
				if m, err := v.ReadAll(t.Context(), centre, id, manifest, 100); err != nil || string(m) != string(sekretariat.DigestOf(want)) {
					t.Fatalf("round %d, step %d.%d: manifest %q, %v", round, w, n, m, err)
				}
			}
		}
	}
	round := len(last) - 1
	for w, steps := range last[round] {
		if steps < 0 {
			continue
		}
		b := string(stored(t, s, storage.ConfigKey(centre, fmt.Sprintf("counter.%d", w))))
		var r, n int
		if _, err := fmt.Sscanf(b, "%d %d", &r, &n); err != nil || r != round || n < steps || n > steps+1 {
			t.Errorf("counter of worker %d is %q after round %d step %d", w, b, round, steps)
		}
		_, err := s.Head(t.Context(), storage.ConfigKey(centre, fmt.Sprintf("mark.%d.%d", w, (steps+1)%2)))
		if n == steps && !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("worker %d: a deleted mark is back: %v", w, err)
		}
	}
}

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
