package epuap

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/extract/xmlsec"
	"sekretariat/ingest"
	"sekretariat/ingest/epuap/epuaptest"
)

// samples returns the folder of the ePUAP samples, or skips.
func samples(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("SEKRETARIAT_TESTDATA")
	if dir == "" {
		wd, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for wd != "/" {
			if _, err := os.Stat(filepath.Join(wd, "go.mod")); err == nil {
				break
			}
			wd = filepath.Dir(wd)
		}
		dir = filepath.Join(wd, "..", "shared", "testdata")
	}
	dir = filepath.Join(dir, "epuap")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("test data not found in %s: set SEKRETARIAT_TESTDATA", dir)
	}
	return dir
}

func sample(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(samples(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// kept is one delivery that the memory receiver keeps.
type kept struct {
	sekretariat.Delivery
	id   sekretariat.SubmissionID
	body string
	note bool
}

// memory is a receiver for protocol tests: it keeps deliveries by their ids,
// and hooks make its steps fail.
type memory struct {
	mu    sync.Mutex
	kept  []kept
	calls int // of Take
	seens int

	beforeTake, afterTake, beforeWait, afterWait func() error
	limit                                        int
}

func hook(f func() error) error {
	if f == nil {
		return nil
	}
	return f()
}

func (m *memory) Take(ctx context.Context, d sekretariat.Delivery, body io.Reader) (ingest.Ticket, error) {
	m.mu.Lock()
	m.calls++
	m.mu.Unlock()
	if err := hook(m.beforeTake); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	if m.limit > 0 && len(b) > m.limit {
		return nil, ingest.ErrTooLarge
	}
	if err := hook(m.afterTake); err != nil {
		return nil, err
	}
	return &ticket{m: m, d: d, body: string(b)}, ctx.Err()
}

type ticket struct {
	m    *memory
	d    sekretariat.Delivery
	body string
}

func (t *ticket) Wait(ctx context.Context) (sekretariat.Receipt, error) {
	if err := hook(t.m.beforeWait); err != nil {
		return sekretariat.Receipt{}, err
	}
	r := t.m.keep(t.d, t.body, "")
	if err := hook(t.m.afterWait); err != nil {
		return sekretariat.Receipt{}, err
	}
	return r, ctx.Err()
}

func (m *memory) keep(d sekretariat.Delivery, body string, park sekretariat.ParkReason) sekretariat.Receipt {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := sekretariat.BodyFacts{SHA256: sekretariat.DigestOf([]byte(body)), Size: int64(len(body))}
	id := sekretariat.NewSubmissionID(d.Centre, d.Kind, d.Account, append([]string{string(park)}, d.Identity(f)...)...)
	r := sekretariat.Receipt{Submission: id, Original: f.SHA256, Arrived: d.Arrived}
	if r.Repeat = slices.ContainsFunc(m.kept, func(k kept) bool { return k.id == id }); !r.Repeat {
		m.kept = append(m.kept, kept{d, id, body, park != ""})
	}
	return r
}

func (m *memory) Seen(context.Context, sekretariat.CentreID, sekretariat.SeenData) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seens++
	return nil
}

func (m *memory) Park(_ context.Context, d sekretariat.Delivery, reason sekretariat.ParkReason, note string) (sekretariat.Receipt, error) {
	return m.keep(d, note, reason), nil
}

// letters returns the bodies of the letters, without notes; notes those.
func (m *memory) letters() (letters, notes []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range m.kept {
		if k.note {
			notes = append(notes, k.body)
		} else {
			letters = append(letters, k.body)
		}
	}
	return letters, notes
}

// house is a platform with one box and what a channel needs to read it.
type house struct {
	*epuaptest.Platform
	server  *epuaptest.Server
	options Options
	memory  *memory
}

const address = "/mopsprzykladowo/SkrytkaESP"

// shared are keys for all tests with a clock of today: RSA keys take time.
var shared = sync.OnceValues(func() (*epuaptest.Keys, error) { return epuaptest.NewKeys(time.Now()) })

// system is the certificate and key of one office system.
var system = sync.OnceValues(func() ([2][]byte, error) {
	keys, err := shared()
	if err != nil {
		return [2][]byte{}, err
	}
	p, err := epuaptest.New(epuaptest.Options{Keys: keys})
	if err != nil {
		return [2][]byte{}, err
	}
	cert, key, err := p.NewSystem()
	return [2][]byte{cert, key}, err
})

func newHouse(t testing.TB, o epuaptest.Options) *house {
	t.Helper()
	if o.Clock == nil {
		var err error
		if o.Keys, err = shared(); err != nil {
			t.Fatal(err)
		}
	}
	p, err := epuaptest.New(o)
	if err != nil {
		t.Fatal(err)
	}
	p.AddBox(epuaptest.Box{Entity: "mopsprzykladowo", Name: "Skrytka ESP", Address: address})
	s, err := p.Start("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	cert, key := register(t, p, o.Clock != nil)
	h := &house{Platform: p, server: s, memory: &memory{}}
	h.options = Options{
		Centre: "przykladowo", Receiver: h.memory, Clock: o.Clock, Logger: zerolog.Nop(), Certificate: cert, Key: key, Temp: t.TempDir(),
		Account: configs.EPUAP{
			Account: configs.Account{ID: "esp", Unit: "mops", Department: "sekretariat"},
			Address: address, Name: "Skrytka ESP", Entity: "mopsprzykladowo", URL: s.URL, Poll: time.Minute,
		},
	}
	return h
}

// register gives the office's system access, with a certificate of its own if
// the clock is not of today.
func register(t testing.TB, p *epuaptest.Platform, own bool) (cert, key []byte) {
	t.Helper()
	if own {
		cert, key, err := p.NewSystem("mopsprzykladowo")
		if err != nil {
			t.Fatal(err)
		}
		return cert, key
	}
	pair, err := system()
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(pair[0])
	parsed, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	p.Register(parsed, "mopsprzykladowo")
	return pair[0], pair[1]
}

func (h *house) put(t testing.TB, d epuaptest.Document) string {
	t.Helper()
	id, err := h.Enqueue(address, d)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (h *house) channel(t testing.TB) *Channel {
	t.Helper()
	c, err := New(h.options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.http.CloseIdleConnections)
	c.settle = func(ctx context.Context, _ time.Duration) bool { return ctx.Err() == nil }
	return c
}

// run lets the channel work for at most rounds rounds, without waiting between
// them, or until the queue is empty. It returns the pauses that it wanted.
func (h *house) run(t testing.TB, c *Channel, rounds int) []time.Duration {
	t.Helper()
	var pauses []time.Duration
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c.pause = func(ctx context.Context, d time.Duration) bool {
		pauses = append(pauses, d)
		return ctx.Err() == nil && len(pauses) < rounds && (len(h.Held(address)) > 0 || !c.Health().OK)
	}
	if err := c.Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}
	return pauses
}

// complete checks that exactly these letters were taken and nothing is left.
func (h *house) complete(t testing.TB, want ...string) {
	t.Helper()
	got, _ := h.memory.letters()
	if !slices.Equal(got, want) {
		t.Errorf("letters %q, want %q", got, want)
	}
	if held := h.Held(address); len(held) != 0 {
		t.Errorf("the platform still holds %v", held)
	}
}

var errStore = errors.New("store is away")

// readSecurity reads how a message is signed.
func readSecurity(msg []byte) (xmlsec.Security, error) {
	return xmlsec.ReadMessage(bytes.NewReader(msg), xmlsec.Limits{}, nil)
}
