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
	"sync"
	"testing"
	"time"

	"sekretariat"
	"sekretariat/storage"
	"sekretariat/storage/dir"
	"sekretariat/storage/storetest"
)

// forgetful keeps puts in memory until Sync, as a machine does that loses
// power: what was not synced when the process is killed is gone.
type forgetful struct {
	storage.Store
	once  sync.Mutex
	mu    sync.Mutex
	root  string
	at    map[string]time.Time
	dirty map[string]sekretariat.Body // nil: deleted
}

func (f *forgetful) Put(_ context.Context, key string, body sekretariat.Body) error {
	b, err := io.ReadAll(io.NewSectionReader(body, 0, body.Size()))
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dirty[key], f.at[key] = storage.Bytes(b), time.Now()
	return err
}

// PutOnce decides at once what is taken, as a server does before it loses
// power.
func (f *forgetful) PutOnce(ctx context.Context, key string, body sekretariat.Body) error {
	f.once.Lock()
	defer f.once.Unlock()
	if _, err := f.Head(ctx, key); err == nil {
		return storage.ErrExists
	}
	return f.Put(ctx, key, body)
}

func (f *forgetful) Delete(_ context.Context, key string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dirty[key], f.at[key] = nil, time.Now()
	return nil
}

func (f *forgetful) Get(ctx context.Context, key string) (storage.Object, error) {
	f.mu.Lock()
	body, ok := f.dirty[key]
	old := time.Since(f.at[key]) >= settleTime
	f.mu.Unlock()
	if ok && old { // by now a server has written it
		if err := f.Sync(ctx, nil); err != nil {
			return nil, err
		}
	}
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
	f.mu.Lock()
	at, ok := f.at[key]
	f.mu.Unlock()
	if !ok {
		return f.Store.Head(ctx, key)
	}
	return storage.Info{Key: key, Size: o.Size(), Modified: at}, nil
}

func (f *forgetful) Sync(ctx context.Context, keys []string) error {
	for _, k := range keys {
		if _, err := f.Head(ctx, k); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for key, body := range f.dirty {
		var err error
		if body == nil {
			err = f.Store.Delete(ctx, key)
		} else {
			err = f.Store.Put(ctx, key, body)
			if path := filepath.Join(f.root, key); err == nil {
				err = os.Chtimes(path, time.Time{}, f.at[key]) // it was put then
			}
		}
		if err != nil {
			return err
		}
	}
	clear(f.dirty)
	return f.Store.Sync(ctx, nil)
}

// settles makes a driver one whose objects are proved some time after the put.
type settles struct{}

func (settles) SettleTime() time.Duration { return settleTime }

const settleTime = 50 * time.Millisecond

const (
	crashRootEnv  = "SEKRETARIAT_TEST_CRASH_ROOT"
	crashRoundEnv = "SEKRETARIAT_TEST_CRASH_ROUND"
	crashModeEnv  = "SEKRETARIAT_TEST_CRASH_SHARED"
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

func crashVault(root string, shared bool) (*storage.Vault, *storage.Staged, error) {
	var drivers [2]storage.Store
	for i, name := range []string{"objects", "keys"} {
		d, err := dir.Open(filepath.Join(root, name), dir.Options{})
		if err != nil {
			return nil, nil, err
		}
		f := &forgetful{Store: d, root: d.Root(), at: map[string]time.Time{}, dirty: map[string]sekretariat.Body{}}
		drivers[i] = f
		if shared {
			drivers[i] = struct {
				*forgetful
				settles
			}{f, settles{}}
		}
	}
	s, err := storage.OpenStaged(context.Background(), filepath.Join(root, "staging"), drivers[0],
		storage.StagedOptions{Keys: drivers[1], SegmentSize: 200 << 10, MaxPending: 4 << 20, Shared: shared})
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
		fmt.Fprintln(os.Stderr, crashVictim(root, round, os.Getenv(crashModeEnv) != ""))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// crashVictim stores without end and says on its output what was acknowledged.
func crashVictim(root string, round int, shared bool) error {
	v, s, err := crashVault(root, shared)
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
	t.Run("single", func(t *testing.T) { killed(t, false) })
	t.Run("shared", func(t *testing.T) { killed(t, true) })
}

func killed(t *testing.T, shared bool) {
	root := t.TempDir()
	if err := storage.CreateOfficeKey(filepath.Join(root, "office.key"), "first"); err != nil {
		t.Fatal(err)
	}
	rounds := 5
	if testing.Short() {
		rounds = 2
	}
	last := make([][]int, rounds) // by round and worker: the last acknowledged step
	total := 0
	for round := range rounds {
		last[round] = crashRound(t, root, shared, round, rand.New(rand.NewSource(int64(round))).Intn(400))
		for _, n := range last[round] {
			total += n + 1
		}
		if t.Failed() {
			return
		}
		checkCrash(t, root, shared, last[:round+1])
	}
	t.Logf("%d acknowledged commits, %d kills", total, rounds)
}

// crashRound runs the victim until it has acknowledged so many commits, kills
// it, and returns the last acknowledged step of each worker.
func crashRound(t *testing.T, root string, shared bool, round, acks int) []int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashRootEnv+"="+root, fmt.Sprintf("%s=%d", crashRoundEnv, round))
	if shared {
		cmd.Env = append(cmd.Env, crashModeEnv+"=yes")
	}
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

func checkCrash(t *testing.T, root string, shared bool, last [][]int) {
	t.Helper()
	v, s, err := crashVault(root, shared)
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
