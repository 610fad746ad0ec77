package edelivery

import (
	"context"
	"io"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/ingest"
	"sekretariat/ingest/edelivery/edeliverytest"
	"sekretariat/ledger"
)

const ade = "AE:PL-00000-00013-AAAAA-06"

// sender is somebody with an address of their own.
var sender = edeliverytest.Party{ADE: "AE:PL-00000-00014-AAAAA-05", FirstName: "Anna", LastName: "Testowa"}

// system are the keys of one external system for all tests: RSA takes time.
var system = sync.OnceValues(func() (edeliverytest.Pair, error) { return edeliverytest.NewPair("rsa", time.Now()) })

// contract is the one to judge by: the official one if there is a copy of it.
func contract(t testing.TB) *edeliverytest.Contract {
	t.Helper()
	name := os.Getenv("SEKRETARIAT_UAAPI")
	if name == "" {
		return nil
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	c, err := edeliverytest.ParseContract(raw)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// drawer keeps cursors.
type drawer struct {
	mu   sync.Mutex
	kept map[string][]byte
	err  error
}

func (d *drawer) Cursor(_ context.Context, name string) ([]byte, uint64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if v, ok := d.kept[name]; ok {
		return v, 1, d.err
	}
	return nil, 0, ledger.ErrNotFound
}

func (d *drawer) SetCursor(_ context.Context, name string, value []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.kept == nil {
		d.kept = map[string][]byte{}
	}
	d.kept[name] = value
	return d.err
}

// quick are paces for tests.
func quick() tune {
	t := calm(time.Minute)
	t.firstBackOff, t.maxBackOff = 2*time.Millisecond, 20*time.Millisecond
	t.firstRetry, t.maxRetry, t.pending = 2*time.Millisecond, 20*time.Millisecond, time.Millisecond
	t.wide, t.sent, t.oversize, t.page, t.receipt = 0, 0, 50*time.Millisecond, 3, 0
	return t
}

// memory is a receiver for protocol tests: it keeps deliveries by their ids.
type memory struct {
	mu    sync.Mutex
	kept  map[sekretariat.SubmissionID]kept
	order []sekretariat.SubmissionID
	notes []string
	takes int
	limit int64
	fail  func() error
}

type kept struct {
	sekretariat.Delivery
	body []byte
}

func (m *memory) Take(_ context.Context, d sekretariat.Delivery, body io.Reader) (ingest.Ticket, error) {
	b, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.takes++
	if m.limit > 0 && int64(len(b)) > m.limit {
		return nil, ingest.ErrTooLarge
	}
	if m.fail != nil {
		if err := m.fail(); err != nil {
			return nil, err
		}
	}
	return &ticket{m, d, b}, nil
}

type ticket struct {
	m    *memory
	d    sekretariat.Delivery
	body []byte
}

func (t *ticket) Wait(context.Context) (sekretariat.Receipt, error) {
	t.m.mu.Lock()
	defer t.m.mu.Unlock()
	facts := sekretariat.BodyFacts{SHA256: sekretariat.DigestOf(t.body), Size: int64(len(t.body))}
	id := sekretariat.NewSubmissionID(t.d.Centre, t.d.Kind, t.d.Account, t.d.Identity(facts)...)
	r := sekretariat.Receipt{Submission: id, Original: facts.SHA256, Arrived: t.d.Arrived}
	if t.m.kept == nil {
		t.m.kept = map[sekretariat.SubmissionID]kept{}
	}
	if first, ok := t.m.kept[id]; ok {
		r.Repeat, r.Original = true, sekretariat.DigestOf(first.body)
		return r, nil
	}
	t.m.kept[id] = kept{t.d, t.body}
	t.m.order = append(t.m.order, id)
	return r, nil
}

func (m *memory) Seen(context.Context, sekretariat.CentreID, sekretariat.SeenData) error { return nil }

func (m *memory) Park(_ context.Context, d sekretariat.Delivery, reason sekretariat.ParkReason, note string) (sekretariat.Receipt, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	note = string(reason) + ": " + note
	if !slices.Contains(m.notes, note) {
		m.notes = append(m.notes, note)
	}
	return sekretariat.Receipt{}, nil
}

func (m *memory) known(_ context.Context, id sekretariat.SubmissionID) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.kept[id]
	return ok, nil
}

// all returns what was taken, in order.
func (m *memory) all() (out []kept) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range m.order {
		out = append(out, m.kept[id])
	}
	return out
}

func (m *memory) told() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.notes)
}

// office is a platform with one mailbox and what a channel needs to read it.
type office struct {
	*edeliverytest.Platform
	server  *edeliverytest.Server
	options Options
	memory  *memory
	drawer  *drawer
	forgive bool // requests against the contract are meant
}

func newOffice(t testing.TB, o edeliverytest.Options) *office {
	t.Helper()
	o.Contract = contract(t)
	p, err := edeliverytest.New(o)
	if err != nil {
		t.Fatal(err)
	}
	p.AddMailbox(ade, "Ośrodek Pomocy Społecznej w Testowie", "PRZYJETE", "SADY")
	keys, err := system()
	if err != nil {
		t.Fatal(err)
	}
	p.Register(ade, "SEKRETARIAT", keys.Parsed)
	s, err := p.Start()
	if err != nil {
		t.Fatal(err)
	}
	f := &office{Platform: p, server: s, memory: &memory{}, drawer: &drawer{}}
	f.options = Options{
		Centre: "testowo", Receiver: f.memory, Cursors: f.drawer, Known: f.memory.known, Clock: o.Clock, Logger: zerolog.Nop(),
		Certificate: keys.Cert, Key: keys.Key,
		Account: account(s),
	}
	t.Cleanup(func() {
		s.Close()
		if f.forgive {
			return
		}
		for _, w := range p.Wrong() {
			t.Errorf("against the contract: %s", w)
		}
	})
	return f
}

func account(s *edeliverytest.Server) configs.EDelivery {
	return configs.EDelivery{
		Account: configs.Account{ID: "ade", Unit: "ops", Department: "sekretariat"}, Address: ade, System: "SEKRETARIAT",
		ClientID: ade + ".SYSTEM.SEKRETARIAT", URL: s.URL, TokenURL: s.TokenURL, Audience: s.Audience, Poll: 5 * time.Millisecond,
		Window: 48 * time.Hour, Full: "02:30", After: configs.AfterKeep, SentDays: 60, MovePath: edeliverytest.MovePath, Done: "PRZYJETE",
	}
}

func (f *office) put(t testing.TB, m edeliverytest.Message) string {
	t.Helper()
	if m.From.ADE == "" && m.Label != "SENT" {
		m.From = sender
	}
	id, err := f.Put(ade, m)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (f *office) channel(t testing.TB) *Channel {
	t.Helper()
	c, err := New(f.options)
	if err != nil {
		t.Fatal(err)
	}
	c.tune = quick()
	t.Cleanup(c.http.CloseIdleConnections)
	return c
}

// round makes one round and fails if it fails.
func round(t testing.TB, c *Channel) {
	t.Helper()
	if _, err := c.round(t.Context()); err != nil {
		t.Fatalf("round: %v", err)
	}
}

// rounds makes rounds until a condition holds.
func rounds(t testing.TB, c *Channel, what string, ok func() bool) {
	t.Helper()
	for range 2000 {
		if _, err := c.round(t.Context()); err != nil {
			c.status.set(codeOf(err))
		} else {
			c.status.set(codeOK)
		}
		if ok() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("not reached: %s; the channel says %+v", what, c.Health())
}

func contextFor(t testing.TB) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	return ctx, cancel
}

// waitFor waits until something that runs beside the test is so.
func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	end := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(end) {
			t.Fatalf("not reached: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
