package ingest_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"sekretariat"
	"sekretariat/ingest"
	"sekretariat/ingest/ingesttest"
	"sekretariat/ledger"
	"sekretariat/storage"
)

// The tests of this file run this test binary again as a process of its own,
// which they kill with SIGKILL.
const (
	childRole   = "SEKRETARIAT_TEST_ROLE"
	childFolder = "SEKRETARIAT_TEST_FOLDER"
	centre      = sekretariat.CentreID("centrum")
)

// child plays the role of a child process, if this is one.
func child() bool {
	role := os.Getenv(childRole)
	if role == "" {
		return false
	}
	if err := play(role, os.Getenv(childFolder)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

func play(role, folder string) error {
	h, err := ingesttest.OpenHouse(context.Background(), folder)
	if err != nil {
		return err
	}
	switch name, arg, _ := strings.Cut(role, " "); name {
	case "stop":
		return stopAt(h, arg)
	case "stream":
		return stream(h, arg)
	case "memory":
		return memory(h)
	}
	return fmt.Errorf("no role %q", role)
}

// spawn starts a child and returns its lines.
func spawn(t testing.TB, role, folder string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childRole+"="+role, childFolder+"="+folder)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd, bufio.NewScanner(out)
}

// halt says where the child is and stays there until it is killed.
func halt(at, want string) {
	if at == want {
		fmt.Println("at", at)
		select {}
	}
}

type haltingStore struct {
	storage.Grouper
	at string
}

func (s *haltingStore) PutAll(ctx context.Context, items []storage.Item) error {
	halt("before-put", s.at)
	err := s.Grouper.PutAll(ctx, items)
	halt("after-put", s.at)
	return err
}

type haltingLog struct {
	ledger.Log
	at string
}

func (l *haltingLog) Append(ctx context.Context, s ledger.StreamName, r ledger.Record) (uint64, error) {
	halt("before-append", l.at)
	seq, err := l.Log.Append(ctx, s, r)
	halt("after-append", l.at)
	return seq, err
}

// haltingBody stops before its last octet.
type haltingBody struct {
	r    *strings.Reader
	at   string
	left int
}

func (b *haltingBody) Read(p []byte) (int, error) {
	if b.r.Len() <= b.left {
		halt("body", b.at)
	}
	return b.r.Read(p)
}

// letter is the body of the stop tests: short ones lie in the log, long ones
// in a file of their own.
func letter(size string) string {
	if size == "large" {
		return strings.Repeat("Bardzo długie pismo. ", 150_000)
	}
	return "Krótkie pismo."
}

// stopAt takes one delivery and stops at a step of it.
func stopAt(h *ingesttest.House, arg string) error {
	step, size, _ := strings.Cut(arg, " ")
	inner, err := h.Log(centre)
	if err != nil {
		return err
	}
	r, err := ingest.NewReceiver(ingest.Options{
		Vault: h.VaultOver(&haltingStore{h.Store, step}),
		Log:   func(sekretariat.CentreID) (ledger.Log, error) { return &haltingLog{inner, step}, nil },
	})
	if err != nil {
		return err
	}
	text := letter(size)
	ticket, err := r.Take(context.Background(), mail(centre), &haltingBody{strings.NewReader(text), step, len(text) / 2})
	if err != nil {
		return err
	}
	halt("staged", step)
	if _, err := ticket.Wait(context.Background()); err != nil {
		return err
	}
	halt("waited", step)
	return fmt.Errorf("never came to %q", step)
}

// Killed between any two steps, the delivery comes again and is one submission
// with its own bytes.
func TestKillBetweenSteps(t *testing.T) {
	for _, size := range []string{"small", "large"} {
		for _, step := range []string{"body", "before-put", "after-put", "before-append", "after-append", "staged", "waited"} {
			t.Run(size+" "+step, func(t *testing.T) { t.Parallel(); killAt(t, step, size) })
		}
	}
}

func killAt(t *testing.T, step, size string) {
	folder := t.TempDir()
	cmd, lines := spawn(t, "stop "+step+" "+size, folder)
	if !lines.Scan() || lines.Text() != "at "+step {
		t.Fatalf("the child said %q", lines.Text())
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()

	h, err := ingesttest.OpenHouse(context.Background(), folder)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close(context.Background())
	before := len(h.Submissions(t, centre))
	switch {
	case step == "staged": // anything may have happened
	case (step == "after-append" || step == "waited") != (before == 1):
		t.Errorf("%d submissions were announced when it was killed", before)
	}
	r := h.Receiver(t, ingest.Limits{})
	receipt := take(t, r, mail(centre), letter(size))
	if stored := step == "after-put" || step == "before-append" || before == 1; step != "staged" && receipt.Repeat != stored {
		t.Errorf("repeat is %v", receipt.Repeat)
	}
	all := h.Submissions(t, centre)
	if len(all) != 1 || string(all[0].Original) != letter(size) {
		t.Fatalf("%d submissions", len(all))
	}
	if !receipt.Arrived.At.Equal(all[0].Manifest.Arrived.At) || receipt.Original != all[0].Manifest.Original.SHA256 {
		t.Errorf("receipt %+v does not agree with the manifest %+v", receipt, all[0].Manifest)
	}
	if n := objects(t, h, centre, receipt.Submission); n != 2 {
		t.Errorf("%d objects, want 2", n)
	}
}

// streamed is how many deliveries TestKillAtRandom brings.
const streamed = 300

// stream brings deliveries from one to the last, several at once, and names
// those that it would confirm.
func stream(h *ingesttest.House, arg string) error {
	from, err := strconv.Atoi(arg)
	if err != nil {
		return err
	}
	r, err := ingest.NewReceiver(ingest.Options{Vault: h.Vault, Log: h.Log})
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	for i := from; i < streamed; i++ {
		ticket, err := r.Take(context.Background(), mail(centre), strings.NewReader(numbered(i)))
		if err != nil {
			return err
		}
		wg.Go(func() {
			if _, err := ticket.Wait(context.Background()); err == nil {
				mu.Lock()
				fmt.Println(i)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	fmt.Println("end")
	select {}
}

func numbered(i int) string { return fmt.Sprintf("pismo %d %s", i, strings.Repeat("x", i*37%5000)) }

// Killed again and again in the middle of a stream of deliveries: what was
// confirmed is durable each time, and in the end all are there once.
func TestKillAtRandom(t *testing.T) {
	folder := t.TempDir()
	confirmed := map[int]bool{}
	first := 0
	for kill := 0; ; kill++ {
		cmd, lines := spawn(t, fmt.Sprint("stream ", first), folder)
		end := readStream(t, lines, confirmed, 5+kill*13%40)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // what it said before it died holds as well
			if n, err := strconv.Atoi(lines.Text()); err == nil {
				confirmed[n] = true
			}
		}
		_ = cmd.Wait()
		checkStream(t, folder, confirmed, end)
		if end {
			t.Logf("killed %d times", kill)
			return
		}
		for confirmed[first] {
			first++
		}
		first = max(0, first-3) // some come again although they were confirmed
	}
}

// readStream notes confirmations until n came, or the end did.
func readStream(t *testing.T, lines *bufio.Scanner, confirmed map[int]bool, n int) (end bool) {
	t.Helper()
	for ; n > 0; n-- {
		if !lines.Scan() {
			t.Fatal("the child died by itself")
		}
		if lines.Text() == "end" {
			return true
		}
		i, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatalf("the child said %q", lines.Text())
		}
		confirmed[i] = true
	}
	return false
}

func checkStream(t *testing.T, folder string, confirmed map[int]bool, all bool) {
	t.Helper()
	h, err := ingesttest.OpenHouse(context.Background(), folder)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close(context.Background())
	have := map[string]int{}
	for _, s := range h.Submissions(t, centre) {
		have[string(s.Original)]++
	}
	for i := range streamed {
		n := have[numbered(i)]
		if n > 1 || n == 0 && (confirmed[i] || all) {
			t.Errorf("delivery %d: %d submissions, confirmed %v", i, n, confirmed[i])
		}
	}
}

// memory takes a huge delivery while small ones go on, and prints the peak of
// the process's memory in kB.
func memory(h *ingesttest.House) error {
	r, err := ingest.NewReceiver(ingest.Options{Vault: h.Vault, Log: h.Log})
	if err != nil {
		return err
	}
	small := make(chan error, 1)
	half, release := make(chan struct{}), make(chan struct{})
	go func() {
		<-half // the huge one is half read and stays so until these are through
		for i := range 200 {
			ticket, err := r.Take(context.Background(), mail(centre), strings.NewReader(numbered(i)))
			if err == nil {
				_, err = ticket.Wait(context.Background())
			}
			if err != nil {
				small <- err
				return
			}
		}
		close(release)
		small <- nil
	}()
	const size = 300 << 20
	body := io.MultiReader(io.LimitReader(endlessReader{}, size/2), &gate{half, release}, io.LimitReader(endlessReader{}, size/2))
	ticket, err := r.Take(context.Background(), mail(centre), body)
	if err != nil {
		return err
	}
	if _, err := ticket.Wait(context.Background()); err != nil {
		return err
	}
	if err := <-small; err != nil {
		return err
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	fmt.Println(strings.Fields(rest)[0])
	return h.Close(context.Background())
}

// gate is an empty reader that tells when it is reached and waits.
type gate struct{ reached, release chan struct{} }

func (g *gate) Read([]byte) (int, error) {
	close(g.reached)
	<-g.release
	return 0, io.EOF
}

// A delivery of 300 MB needs no more memory than a small one, and others go on
// meanwhile (store and embedded ledger included).
func TestMemory(t *testing.T) {
	cmd, lines := spawn(t, "memory", t.TempDir())
	lines.Scan()
	peak, err := strconv.Atoi(lines.Text())
	if err != nil {
		t.Fatalf("the child said %q: %v", lines.Text(), err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("peak %d MB", peak>>10)
	limit := 256
	if raceDetector {
		limit *= 4 // it keeps a shadow of all memory
	}
	if peak>>10 > limit {
		t.Errorf("peak of %d MB, want at most %d", peak>>10, limit)
	}
}
