package edelivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/ingest"
	"sekretariat/ingest/edelivery/edeliverytest"
	"sekretariat/ingest/ingesttest"
	"sekretariat/ledger"
)

// The chaos test runs this test binary again as a process of its own, with the
// real receiver, store and ledger, and kills it with SIGKILL.
const (
	childAccount = "SEKRETARIAT_TEST_ACCOUNT"
	childFolder  = "SEKRETARIAT_TEST_FOLDER"
	chaosCentre  = sekretariat.CentreID("chaos")
)

// TestMain plays the child, if this is one.
func child() bool {
	raw := os.Getenv(childAccount)
	if raw == "" {
		return false
	}
	if err := receive(raw, os.Getenv(childFolder)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

// chaosAccount is what the child is told.
type chaosAccount struct {
	Account   configs.EDelivery
	Cert, Key []byte
	Drain     bool // end once nothing is left to do
}

// receive runs a channel until it is killed or has nothing left to do.
func receive(raw, folder string) (err error) {
	var a chaosAccount
	if err := json.Unmarshal([]byte(raw), &a); err != nil {
		return err
	}
	ctx := context.Background()
	h, err := ingesttest.OpenHouse(ctx, folder)
	if err != nil {
		return err
	}
	log, err := h.Log(chaosCentre)
	if err != nil {
		return err
	}
	r, err := ingest.NewReceiver(ingest.Options{Vault: h.Vault, Log: h.Log, Logger: zerolog.Nop()})
	if err != nil {
		return err
	}
	looks := &completeLooks{Cursors: h.Ledger}
	c, err := New(Options{
		Centre: chaosCentre, Account: a.Account, Receiver: r, Cursors: looks, Logger: zerolog.Nop(), Certificate: a.Cert, Key: a.Key,
		Known: func(ctx context.Context, id sekretariat.SubmissionID) (bool, error) {
			_, err := log.Last(ctx, ledger.Intake, string(id))
			if errors.Is(err, ledger.ErrNotFound) {
				return false, nil
			}
			return err == nil, err
		},
	})
	if err != nil {
		return err
	}
	c.tune = quick()
	c.tune.page, c.tune.parallel, c.tune.wide, c.tune.sent, c.tune.save = 200, 8, 500*time.Millisecond, 500*time.Millisecond, 0
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if a.Drain {
		go func() {
			for ok := 0; ok < 5; {
				time.Sleep(200 * time.Millisecond)
				if health := c.Health(); health.OK && health.Waiting == 0 && looks.n.Load() > 1 {
					ok++
				} else {
					ok = 0
				}
			}
			cancel()
		}()
	}
	err = c.Run(ctx)
	return errors.Join(err, r.Close(context.Background()), h.Close(context.Background()))
}

// completeLooks counts the looks that found nothing left for later: only then is
// the cursor of the mailbox moved.
type completeLooks struct {
	Cursors
	n atomic.Int32
}

// SetCursor implements Cursors.
func (l *completeLooks) SetCursor(ctx context.Context, name string, value []byte) error {
	l.n.Add(1)
	return l.Cursors.SetCursor(ctx, name, value)
}

// moods makes faults at random, about one in rate requests.
func moods(seed uint64, rate int) func(string) edeliverytest.Fault {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 1))
	return func(operation string) edeliverytest.Fault {
		mu.Lock()
		defer mu.Unlock()
		if random.IntN(rate) > 0 {
			return edeliverytest.Fault{}
		}
		switch random.IntN(14) {
		case 0:
			return edeliverytest.Fault{Status: 202}
		case 1:
			return edeliverytest.Fault{Status: 401}
		case 2:
			return edeliverytest.Fault{Status: 429}
		case 3:
			return edeliverytest.Fault{Status: 500}
		case 4:
			return edeliverytest.Fault{Status: 503}
		case 5:
			return edeliverytest.Fault{Slow: time.Duration(random.IntN(20)) * time.Millisecond}
		case 6:
			return edeliverytest.Fault{Cut: -1}
		case 7:
			return edeliverytest.Fault{Cut: 1 + random.IntN(2000)}
		case 8:
			return edeliverytest.Fault{Double: true}
		case 9:
			return edeliverytest.Fault{Reorder: true}
		case 10:
			return edeliverytest.Fault{WrongOctets: true}
		case 11:
			return edeliverytest.Fault{Changed: true}
		case 12:
			return edeliverytest.Fault{Expire: true}
		}
		return edeliverytest.Fault{Page: true}
	}
}

// chaosBegin is when the first message of the chaos arrived.
var chaosBegin = time.Now().Add(-24 * time.Hour).UTC().Truncate(time.Second)

// letterFor is message n of the chaos, with one to three attachments.
func letterFor(n int) edeliverytest.Message {
	at := chaosBegin.Add(time.Duration(n) * time.Second)
	id := strconv.Itoa(n)
	m := edeliverytest.Message{ID: "m" + id, Subject: "Pismo " + id, Text: "treść " + id, From: sender, Timestamp: at, Receipt: at, Sent: at, Event: at}
	for i := range 1 + n%3 {
		m.Attachments = append(m.Attachments, edeliverytest.Attachment{ID: fmt.Sprintf("a%d-%d", n, i), Name: "plik.txt", Type: "text/plain", Content: fmt.Appendf(nil, "załącznik %d listu %d", i, n)})
	}
	switch n % 20 {
	case 7: // filed by a rule of the mailbox
		m.Label = "SADY"
	case 13: // thrown away by a person before we saw it
		m.Label = "TRASH"
	}
	return m
}

// sentFor is a message that was sent elsewhere and has come to its end.
func sentFor(n int) edeliverytest.Message {
	at := time.Now().Add(-48 * time.Hour)
	id := "s" + strconv.Itoa(n)
	status := []string{"Doręczona", "Uznana za doręczoną", "Niedoręczona", "Wysłana"}[n%4]
	return edeliverytest.Message{ID: id, Label: "SENT", Status: status, Subject: "DPŚ.5120." + strconv.Itoa(n) + ".2026 decyzja", To: []edeliverytest.Party{sender},
		Timestamp: at, Sent: at, Event: at, Evidences: []edeliverytest.Evidence{{ID: "p" + id, Type: "BPOX", Created: at, Content: edeliverytest.Proof("BPOX", id)}}}
}

// TestChaos sends letters through a provider that misbehaves at random to a
// service that is killed at random: each arrives exactly once and whole, and
// what was moved at its source is always durable. SEKRETARIAT_CHAOS is the
// number of letters (default 300).
func TestChaos(t *testing.T) {
	letters := 300
	if s := os.Getenv("SEKRETARIAT_CHAOS"); s != "" {
		var err error
		if letters, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	for _, after := range []string{configs.AfterMove, configs.AfterKeep} {
		t.Run(after, func(t *testing.T) { chaos(t, letters/2, 3+letters/1000, after) })
	}
}

func chaos(t *testing.T, letters, kills int, after string) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 2))
	f := newOffice(t, edeliverytest.Options{Delay: 1})
	account := f.options.Account
	account.After, account.Poll = after, 10*time.Millisecond
	folder := t.TempDir()
	f.SetChaos(moods(seed, 30))
	proofs := letters / 10
	for n := range proofs {
		f.put(t, sentFor(n))
	}
	put := 0
	for kill := 1; kill <= kills; kill++ {
		cmd := start(t, f, account, folder, false)
		for put < letters*kill/kills {
			f.put(t, letterFor(put))
			put++
		}
		// Long enough for a few hundred letters on a slow machine.
		time.Sleep(time.Duration(500+random.IntN(1500)) * time.Millisecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		moved := f.Held(ade, "PRZYJETE")
		got := content(t, folder)
		for _, id := range moved {
			if got[id] == nil {
				t.Fatalf("message %s was moved at its source and is not durable: it is lost", id)
			}
		}
	}
	f.SetChaos(nil)
	if err := start(t, f, account, folder, true).Wait(); err != nil {
		t.Fatalf("the last process: %v", err)
	}
	compare(t, content(t, folder), letters, proofs)
}

// start starts the child.
func start(t *testing.T, f *office, a configs.EDelivery, folder string, drain bool) *exec.Cmd {
	t.Helper()
	raw, err := json.Marshal(chaosAccount{Account: a, Cert: f.options.Certificate, Key: f.options.Key, Drain: drain})
	must(t, err)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childAccount+"="+string(raw), childFolder+"="+folder)
	cmd.Stderr = os.Stderr
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

// content opens the house and lists what it holds, by message; a message with
// two submissions fails the test. Notes are left out.
func content(t *testing.T, folder string) map[string]*ingesttest.Submission {
	t.Helper()
	h, err := ingesttest.OpenHouse(context.Background(), folder)
	must(t, err)
	defer func() { must(t, h.Close(context.Background())) }()
	out := map[string]*ingesttest.Submission{}
	for _, s := range h.Submissions(t, chaosCentre) {
		id := s.Manifest.Source["messageId"]
		if s.Manifest.Park != "" {
			continue
		}
		if out[id] != nil {
			t.Errorf("message %s became two submissions", id)
		}
		out[id] = &s
	}
	return out
}

// compare checks that the house holds every message, whole, and nothing else.
func compare(t *testing.T, got map[string]*ingesttest.Submission, letters, proofs int) {
	t.Helper()
	var missing []string
	for n := range letters {
		want := letterFor(n)
		s := got[want.ID]
		if s == nil {
			missing = append(missing, want.ID)
			continue
		}
		delete(got, want.ID)
		files := attachments(t, s.Original)
		if len(files) != len(want.Attachments) {
			t.Errorf("message %s has %d attachments, want %d", want.ID, len(files), len(want.Attachments))
			continue
		}
		for i, a := range want.Attachments {
			if string(files[i]) != string(a.Content) {
				t.Errorf("message %s: attachment %d has other octets", want.ID, i)
			}
		}
		if !s.Manifest.Arrived.At.Equal(want.Receipt) || s.Manifest.Arrived.Basis != sekretariat.BasisReceipt {
			t.Errorf("message %s arrived %+v, want %s", want.ID, s.Manifest.Arrived, want.Receipt)
		}
	}
	for n := range proofs {
		want := sentFor(n)
		if s := got[want.ID]; (s != nil) != (want.Status != "Wysłana") {
			t.Errorf("proof of %s (%s) is there: %v", want.ID, want.Status, s != nil)
		}
		delete(got, want.ID)
	}
	if len(missing) > 0 {
		t.Errorf("%d messages are missing, for instance %v", len(missing), missing[:min(len(missing), 10)])
	}
	if len(got) > 0 {
		t.Errorf("%d submissions that nobody sent", len(got))
	}
	if t.Failed() {
		slices.Sort(missing)
		t.Log(missing)
	}
}
