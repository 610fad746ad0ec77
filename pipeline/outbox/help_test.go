package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/extract"
	"sekretariat/ingest"
	"sekretariat/ingest/ingesttest"
	"sekretariat/ledger"
	"sekretariat/pipeline"
	"sekretariat/pipeline/mailkey"
	"sekretariat/pipeline/outbox"
	"sekretariat/register"
	"sekretariat/register/index"
	"sekretariat/router"
)

// relay is an SMTP server that notes what it gets and answers as it is told.
type relay struct {
	addr   string
	server *smtp.Server

	mu     sync.Mutex
	got    []received
	answer func(n int, to string) error // for RCPT
	data   func(n int) error            // after the last octet
	n      int                          // transactions
}

type received struct{ from, to, message string }

func newRelay(t *testing.T) *relay {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{addr: l.Addr().String()}
	r.server = smtp.NewServer(r)
	r.server.Domain, r.server.AllowInsecureAuth = "relay.example", true
	go func() { _ = r.server.Serve(l) }()
	t.Cleanup(func() { _ = r.server.Close() })
	return r
}

func (r *relay) NewSession(c *smtp.Conn) (smtp.Session, error) { return &session{r: r, c: c}, nil }

type session struct {
	r        *relay
	c        *smtp.Conn
	from, to string
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	s.from = from
	s.r.n++
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	s.to = to
	if s.r.answer != nil {
		return s.r.answer(s.r.n, to)
	}
	return nil
}

// errHangUp ends the connection without a word after the last octet.
var errHangUp = errors.New("hang up")

func (s *session) Data(body io.Reader) error {
	raw, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	if s.r.data != nil {
		if err := s.r.data(s.r.n); errors.Is(err, errHangUp) {
			s.r.got = append(s.r.got, received{s.from, s.to, string(raw)})
			_ = s.c.Conn().Close()
			return err
		} else if err != nil {
			return err
		}
	}
	s.r.got = append(s.r.got, received{s.from, s.to, string(raw)})
	return nil
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

func (r *relay) messages() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]received(nil), r.got...)
}

// office is a centre with everything up to its outbox.
type office struct {
	t      *testing.T
	house  *ingesttest.House
	cfg    *configs.Centre
	log    ledger.Log
	intake *ingest.Intake
	pipe   *pipeline.Pipeline
	ix     *index.Index
	keys   *mailkey.Key
	relay  *relay
	later  atomic.Int64
	n      int
}

func (o *office) clock() time.Time { return time.Now().Add(time.Duration(o.later.Load())) }

func open(t *testing.T, adjust ...func(*configs.Centre)) *office {
	h := ingesttest.NewHouse(t)
	id := h.Centre(t)
	o := &office{t: t, house: h, intake: h.Receiver(t, ingest.Limits{}), relay: newRelay(t), keys: mailkey.New([]byte("test"), id)}
	o.cfg = &configs.Centre{
		ID: id, Name: "Ośrodek Pomocy Społecznej w Przykładowie", Address: "ul. Próbna 1, 00-000 Przykładowo", RuleSets: []string{},
		Series:    []configs.Series{{ID: "rpw", Format: "RPW/{n}/{year}"}},
		Labels:    map[string]configs.To{"przemoc": {Department: "przemoc"}},
		Mailboxes: []configs.Mailbox{{Account: configs.Account{ID: "a"}, Address: "ops@ops.example"}},
		Contacts:  []configs.Contact{{Phone: "00 111 22 33", Departments: []sekretariat.DepartmentID{"sekretariat"}}},
		Departments: []configs.Department{{ID: "sekretariat", Name: "Sekretariat", Public: true}, {ID: "przemoc", Name: "Zespół ds. Przemocy"},
			{ID: "zasilki", Name: "Dział Zasiłków", Public: true}, {ID: "bezdomnosc", Name: "Sekcja ds. Bezdomności"}, {ID: "zamkniety", Name: "Z", Closed: true}},
		Rules: []configs.Rule{
			{ID: "zasilek", Text: []string{"zasiłek"}, Department: "zasilki", Weight: 0.9, Because: "mowa o zasiłku"},
			{ID: "nocleg", Text: []string{"nocleg"}, Department: "bezdomnosc", Weight: 0.9, Because: "mowa o noclegu"},
		},
		Acknowledgement: configs.Acknowledgement{On: true, SMTP: configs.SMTP{Server: o.relay.addr, TLS: "none"}, PerSender: 1, PerDay: 300},
	}
	for _, f := range adjust {
		f(o.cfg)
	}
	var err error
	if o.log, err = h.Log(id); err != nil {
		t.Fatal(err)
	}
	r, err := router.New(o.cfg)
	if err != nil {
		t.Fatal(err)
	}
	o.pipe = pipeline.New(pipeline.Options{Centre: o.cfg, Log: o.log, Vault: h.Vault, Claims: h.Ledger, Reader: extract.Direct{Temp: t.TempDir()},
		Router: r, Keys: o.keys, Clock: o.clock, Logger: zerolog.Nop()})
	if o.ix, err = index.Open(t.Context(), filepath.Join(t.TempDir(), "index.sqlite"), id, zerolog.Nop()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.ix.Close() })
	return o
}

// outbox makes another outbox of the centre, as another process would.
func (o *office) outbox() *outbox.Outbox { return o.outboxOver(o.log) }

func (o *office) outboxOver(log ledger.Log) *outbox.Outbox {
	b, err := outbox.New(outbox.Options{
		Centre: o.cfg, Pipeline: o.pipe, Log: log, Vault: o.house.Vault, Claims: o.house.Ledger, Keys: o.keys, Due: o.ix,
		Alone: func(ctx context.Context, run func(context.Context) error) error { return run(ctx) },
		Clock: o.clock, Logger: zerolog.Nop(), Poll: 10 * time.Millisecond,
	})
	if err != nil {
		o.t.Fatal(err)
	}
	return b
}

// run starts registrar, pipeline and index, and as many outboxes as are given.
func (o *office) run(boxes ...*outbox.Outbox) {
	ctx, cancel := context.WithCancel(context.Background())
	reg := register.NewRegistrar(register.Options{Centre: o.cfg.ID, Series: "rpw", Log: o.log, Store: o.house.Store, Logger: zerolog.Nop()})
	var wg sync.WaitGroup
	part := func(name string, f func(context.Context) error) {
		wg.Go(func() {
			if err := f(ctx); err != nil && ctx.Err() == nil {
				o.t.Errorf("%s: %v", name, err)
			}
		})
	}
	part("registrar", func(ctx context.Context) error { return reg.Run(ctx) })
	part("pipeline", func(ctx context.Context) error { return o.pipe.Run(ctx, pipeline.AllRoles) })
	part("index", func(ctx context.Context) error { return o.ix.Project(ctx, o.log, []sekretariat.SeriesID{"rpw"}) })
	for _, b := range boxes {
		part("outbox", b.Run)
	}
	o.t.Cleanup(func() { cancel(); wg.Wait() })
}

// raw takes in one mail as it is.
func (o *office) raw(raw string) sekretariat.LetterID { return o.take(raw)() }

// take takes in one mail; the returned function waits until it is kept.
func (o *office) take(raw string) func() sekretariat.LetterID {
	o.t.Helper()
	d := sekretariat.Delivery{
		Centre: o.cfg.ID, Kind: sekretariat.KindMail, Door: sekretariat.DoorIMAP, Account: "a", Series: "rpw",
		Identity:  func(b sekretariat.BodyFacts) []string { return []string{string(b.SHA256)} },
		Content:   func(b sekretariat.BodyFacts) sekretariat.Digest { return b.SHA256 },
		Arrived:   sekretariat.Arrival{At: o.clock().UTC().Add(-time.Minute), Basis: sekretariat.BasisServerArrival},
		MediaType: "message/rfc822",
	}
	ticket, err := o.intake.Take(o.t.Context(), d, strings.NewReader(raw))
	if err != nil {
		o.t.Fatal(err)
	}
	return func() sekretariat.LetterID {
		r, err := ticket.Wait(o.t.Context())
		if err != nil {
			o.t.Fatal(err)
		}
		return sekretariat.NewLetterID(r.Submission, 1)
	}
}

// letter is an ordinary mail of a citizen.
func (o *office) letter(from, subject, text string, extra ...string) string {
	o.n++
	head := fmt.Sprintf("Return-Path: <%s>\r\nFrom: Jan Tajny <%s>\r\nTo: ops@ops.example\r\nSubject: %s\r\n", from, from, subject)
	if !strings.Contains(strings.Join(extra, ""), "Message-ID:") {
		head += fmt.Sprintf("Message-ID: <list-%d@poczta.example>\r\n", o.n)
	}
	return head + strings.Join(extra, "") + "Content-Type: text/plain; charset=utf-8\r\n\r\n" + text + "\r\n"
}

func (o *office) mail(from, subject, text string, extra ...string) sekretariat.LetterID {
	return o.raw(o.letter(from, subject, text, extra...))
}

func (o *office) await(id sekretariat.LetterID, what string, ok func(*sekretariat.Letter) bool) *sekretariat.Letter {
	o.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		s, _, err := pipeline.State(o.t.Context(), o.log, id.Submission())
		l := s.Letters[id.Part()]
		if err == nil && l != nil && ok(l) {
			return l
		}
		if err != nil && !errors.Is(err, ledger.ErrNotFound) {
			o.t.Fatal(err)
		}
		if time.Now().After(deadline) {
			o.t.Fatalf("waited in vain for %s: %+v", what, l)
		}
	}
}

// acked waits until the acknowledgement of a letter is in a state.
func (o *office) acked(id sekretariat.LetterID, state sekretariat.AckState) *sekretariat.Letter {
	o.t.Helper()
	return o.await(id, "acknowledgement "+string(state), func(l *sekretariat.Letter) bool {
		if l.Ack != nil && l.Ack.State != state && !l.Ack.State.Open() {
			o.t.Fatalf("acknowledgement is %s (%s), want %s", l.Ack.State, l.Ack.Code, state)
		}
		return l.Ack != nil && l.Ack.State == state
	})
}

// visible waits until the index has what LETTER has now.
func (o *office) visible() {
	o.t.Helper()
	st, err := o.log.State(o.t.Context(), ledger.Letter)
	if err == nil {
		err = o.ix.WaitFor(o.t.Context(), ledger.Letter, st.Last)
	}
	if err != nil {
		o.t.Fatal(err)
	}
}
