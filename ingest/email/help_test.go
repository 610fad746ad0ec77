package email

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/ingest"
	"sekretariat/ingest/email/dovecottest"
	"sekretariat/ledger"
)

// shelf is a receiver with durable semantics: a submission exists once its
// ticket was awaited, once per identity, and a body that breaks off leaves
// nothing. It outlives channels as the store outlives processes.
type shelf struct {
	mu       sync.Mutex
	bodies   map[sekretariat.SubmissionID][]byte
	arrived  map[sekretariat.SubmissionID]time.Time
	repeats  int
	notes    map[sekretariat.SubmissionID]string
	reasons  map[sekretariat.ParkReason]int
	junk     map[sekretariat.SubmissionID]bool
	contents map[sekretariat.SubmissionID]sekretariat.Digest
	changed  chan struct{} // a token whenever something became durable

	taking  func(size int)    // called with the size of a body that was read
	before  func(n int) error // called before the n-th ticket becomes durable
	after   func(n int)       // called after it
	n       int
	discard bool // benchmarks: keep digests only
	limit   int64
}

func newShelf() *shelf {
	return &shelf{bodies: map[sekretariat.SubmissionID][]byte{}, arrived: map[sekretariat.SubmissionID]time.Time{},
		notes: map[sekretariat.SubmissionID]string{}, reasons: map[sekretariat.ParkReason]int{},
		junk: map[sekretariat.SubmissionID]bool{}, contents: map[sekretariat.SubmissionID]sekretariat.Digest{}, changed: make(chan struct{}, 1)}
}

type shelved struct {
	s       *shelf
	id      sekretariat.SubmissionID
	body    []byte
	arrived sekretariat.Arrival
	junk    bool
	content sekretariat.Digest
}

func (s *shelf) Take(ctx context.Context, d sekretariat.Delivery, body io.Reader) (ingest.Ticket, error) {
	var raw bytes.Buffer
	h := sha256.New()
	var sink io.Writer = io.MultiWriter(&raw, h)
	if s.discard {
		sink = h
	}
	if s.limit > 0 {
		body = io.LimitReader(body, s.limit+1)
	}
	n, err := io.Copy(sink, body)
	if err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	if s.taking != nil {
		s.taking(int(n))
	}
	if s.limit > 0 && n > s.limit {
		return nil, ingest.ErrTooLarge
	}
	facts := sekretariat.BodyFacts{SHA256: sekretariat.Digest(hex.EncodeToString(h.Sum(nil))), Size: n}
	id := sekretariat.NewSubmissionID(d.Centre, d.Kind, d.Account, d.Identity(facts)...)
	return &shelved{s, id, raw.Bytes(), d.Arrived, d.Junk, d.Content(facts)}, nil
}

func (t *shelved) Wait(ctx context.Context) (sekretariat.Receipt, error) {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return sekretariat.Receipt{}, err
	}
	t.s.n++
	if t.s.before != nil {
		if err := t.s.before(t.s.n); err != nil {
			return sekretariat.Receipt{}, err
		}
	}
	_, repeat := t.s.bodies[t.id]
	if repeat {
		t.s.repeats++
	} else {
		t.s.bodies[t.id], t.s.arrived[t.id] = t.body, t.arrived.At
		t.s.junk[t.id], t.s.contents[t.id] = t.junk, t.content
	}
	if t.s.after != nil {
		t.s.after(t.s.n)
	}
	select {
	case t.s.changed <- struct{}{}:
	default:
	}
	return sekretariat.Receipt{Submission: t.id, Repeat: repeat, Arrived: t.arrived}, nil
}

func (s *shelf) Seen(context.Context, sekretariat.CentreID, sekretariat.SeenData) error {
	return errors.New("the mail channel recognises nothing by itself")
}

func (s *shelf) Park(_ context.Context, d sekretariat.Delivery, reason sekretariat.ParkReason, note string) (sekretariat.Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := sekretariat.NewSubmissionID(d.Centre, d.Kind, d.Account, append([]string{"note"}, d.Identity(sekretariat.BodyFacts{})...)...)
	if _, ok := s.notes[id]; !ok {
		s.notes[id] = note
		s.reasons[reason]++
	}
	select {
	case s.changed <- struct{}{}:
	default:
	}
	return sekretariat.Receipt{Submission: id}, nil
}

// holds compares what was taken in with what was sent: each once, no other.
func (s *shelf) holds(t testing.TB, want [][]byte) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var have [][]byte
	for _, b := range s.bodies {
		have = append(have, b)
	}
	want = slices.Clone(want)
	slices.SortFunc(want, bytes.Compare)
	slices.SortFunc(have, bytes.Compare)
	if len(have) != len(want) {
		t.Errorf("%d submissions, want %d", len(have), len(want))
	}
	for i := range min(len(have), len(want)) {
		if !bytes.Equal(have[i], want[i]) {
			t.Fatalf("bodies differ:\n have %.80q\n want %.80q", have[i], want[i])
		}
	}
}

func (s *shelf) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.bodies)
}

// drawer keeps cursors; it may be emptied.
type drawer struct {
	mu sync.Mutex
	m  map[string][]byte
}

func (d *drawer) Cursor(_ context.Context, name string) ([]byte, uint64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if v, ok := d.m[name]; ok {
		return v, 1, nil
	}
	return nil, 0, fmt.Errorf("cursor %s: %w", name, ledger.ErrNotFound)
}

func (d *drawer) SetCursor(_ context.Context, name string, value []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.m == nil {
		d.m = map[string][]byte{}
	}
	d.m[name] = slices.Clone(value)
	return nil
}

// quick are limits fit for tests.
func quick() tuning {
	q := defaultTuning
	q.silence = 30 * time.Second
	q.retry = [2]time.Duration{2 * time.Millisecond, 50 * time.Millisecond}
	q.refused = [2]time.Duration{20 * time.Millisecond, 100 * time.Millisecond}
	q.password = 5 * time.Millisecond
	return q
}

// office is a mailbox on some server with what is needed to read it.
type office struct {
	t       testing.TB
	mailbox configs.Mailbox
	shelf   *shelf
	drawer  *drawer
	tune    tuning
	maxSize int64
	clock   sekretariat.Clock
	tokens  Tokens
	keeper  Keeper

	mu       sync.Mutex
	password string
}

func newOffice(t testing.TB, server string) *office {
	return &office{t: t, shelf: newShelf(), drawer: &drawer{}, tune: quick(), password: dovecottest.Password,
		mailbox: configs.Mailbox{Account: configs.Account{ID: "poczta"}, Address: "poczta@mops.example", Server: server,
			TLS: "none", User: "intake", Poll: 20 * time.Millisecond}}
}

func (o *office) channel() *Channel {
	o.t.Helper()
	level := zerolog.Disabled
	if testing.Verbose() {
		level = zerolog.DebugLevel
	}
	c, err := New(Options{
		Centre: "zielona-gora", Mailbox: o.mailbox, Receiver: o.shelf, Cursors: o.drawer, MaxSize: o.maxSize, Clock: o.clock, Tokens: o.tokens, Keeper: o.keeper,
		Password: func() (string, error) { o.mu.Lock(); defer o.mu.Unlock(); return o.password, nil },
		Logger:   zerolog.New(zerolog.NewTestWriter(o.t)).Level(level),
	})
	if err != nil {
		o.t.Fatal(err)
	}
	c.tune = o.tune
	return c
}

// run starts a channel; stop ends it and checks that it ended well.
func (o *office) run() (c *Channel, stop func()) {
	o.t.Helper()
	c = o.channel()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-ended:
				if err != nil {
					o.t.Errorf("Run: %v", err)
				}
			case <-time.After(20 * time.Second):
				o.t.Error("Run did not end")
			}
		})
	}
	o.t.Cleanup(stop)
	return c, stop
}

// until waits for a condition, looking again whenever the shelf changed and
// now and then.
func (o *office) until(what string, ok func() bool) {
	o.t.Helper()
	deadline := time.After(60 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-o.shelf.changed:
		case <-tick.C:
		case <-deadline:
			o.t.Fatalf("never: %s", what)
		}
	}
}

func startDovecot(t testing.TB, o dovecottest.Options) *dovecottest.Server {
	t.Helper()
	s, err := dovecottest.Start(t.Context(), o)
	if errors.Is(err, dovecottest.ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

var noon = time.Date(2026, 11, 2, 11, 0, 0, 0, time.UTC)

// letter is a small mail that differs from every other number's.
func letter(n int) []byte {
	return fmt.Appendf(nil, "From: jan%d@example.org\r\nTo: poczta@mops.example\r\nSubject: sprawa %d\r\nMessage-ID: <same@example.org>\r\n\r\nPismo nr %d\r\n%s\r\n",
		n, n, n, strings.Repeat("x", n%700))
}

func deliver(t testing.TB, s *dovecottest.Server, folder string, from, to int) [][]byte {
	t.Helper()
	var all [][]byte
	for n := from; n <= to; n++ {
		all = append(all, letter(n))
		if err := s.Deliver("intake", folder, letter(n), noon.Add(time.Duration(n)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func inFolder(t testing.TB, s *dovecottest.Server, folder string) int {
	t.Helper()
	files, err := s.Files("intake", folder)
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// testdata is the folder of shared test material.
func testdata(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("SEKRETARIAT_TESTDATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "testdata")
	}
	if _, err := os.Stat(filepath.Join(dir, "mail")); err != nil {
		t.Skipf("no test data: set SEKRETARIAT_TESTDATA (%v)", err)
	}
	return dir
}

// corpus reads all mails of the test data.
func corpus(t testing.TB) [][]byte {
	t.Helper()
	var all [][]byte
	err := filepath.WalkDir(filepath.Join(testdata(t), "mail"), func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(p) != ".eml" {
			return err
		}
		b, err := os.ReadFile(p)
		all = append(all, b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
