package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/extract"
	"sekretariat/ingest"
	"sekretariat/ingest/ingesttest"
	"sekretariat/ledger"
	"sekretariat/pipeline"
	"sekretariat/pipeline/mailkey"
	"sekretariat/register"
	"sekretariat/router"
)

// office is a whole centre: receiver, registrar and pipeline over a real ledger
// and store.
type office struct {
	t      *testing.T
	house  *ingesttest.House
	cfg    *configs.Centre
	log    ledger.Log
	intake *ingest.Intake
	pipe   *pipeline.Pipeline
	router *router.Router

	recogniser pipeline.Recogniser
	packages   pipeline.Packages
	reader     extract.Reader
	unit       string // of the mailboxes
	n          int
	later      atomic.Int64 // how much the office's clock is ahead
}

func (o *office) clock() time.Time { return time.Now().Add(time.Duration(o.later.Load())) }

var departments = []sekretariat.DepartmentID{"sekretariat", "przemoc", "bezdomnosc", "zamkniety"}

// open makes an office; without run its workers do not work yet.
func open(t *testing.T, reader extract.Reader, adjust ...func(*configs.Centre)) *office {
	h := ingesttest.NewHouse(t)
	id := h.Centre(t)
	o := &office{t: t, house: h, intake: h.Receiver(t, ingest.Limits{}), reader: reader}
	o.cfg = &configs.Centre{ID: id, Series: []configs.Series{{ID: "rpw", Format: "RPW/{n}/{year}"}}, Labels: map[string]configs.To{},
		Mailboxes: []configs.Mailbox{{Account: configs.Account{ID: "a"}}, {Account: configs.Account{ID: "b"}}}, RuleSets: []string{}}
	for _, d := range departments {
		o.cfg.Departments = append(o.cfg.Departments, configs.Department{ID: d, Name: string(d), Closed: d == "zamkniety"})
	}
	o.cfg.Rules = []configs.Rule{
		{ID: "bicie", Text: []string{"bije"}, Department: "przemoc", Urgency: sekretariat.Danger, Weight: 0.9, Because: "mowa o biciu"},
		{ID: "nocleg", Text: []string{"nocleg"}, Department: "bezdomnosc", Weight: 0.9, Because: "mowa o noclegu"},
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
	if o.reader == nil {
		o.reader = extract.Direct{Temp: t.TempDir()}
	}
	o.router = r
	o.connect(nil)
	return o
}

// connect makes the workers, over a platform that attachments lie at.
func (o *office) connect(remote pipeline.Remote) {
	o.pipe = pipeline.New(pipeline.Options{
		Centre: o.cfg, Log: o.log, Vault: o.house.Vault, Claims: o.house.Ledger, Reader: o.reader, Router: o.router, Remote: remote, Recogniser: o.recogniser, Packages: o.packages, Parts: direct{}, Logger: zerolog.Nop(),
		Keys: mailkey.New([]byte("test"), o.cfg.ID), Clock: o.clock,
	})
}

// run starts registrar and workers; they end with the test, or by the returned
// function.
func (o *office) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	reg := register.NewRegistrar(register.Options{
		Centre: o.cfg.ID, Series: "rpw", Log: o.log, Store: o.house.Store, Logger: zerolog.Nop(),
	})
	var wg sync.WaitGroup
	wg.Go(func() { _ = reg.Run(ctx) })
	wg.Go(func() {
		roles := pipeline.AllRoles
		roles.Fetch = true
		if err := o.pipe.Run(ctx, roles); err != nil {
			o.t.Errorf("pipeline: %v", err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	o.t.Cleanup(stop)
	return stop
}

// mail takes in one mail and returns the id of its letter.
func (o *office) mail(account, text string) sekretariat.LetterID {
	o.t.Helper()
	return o.mailInto("rpw", account, text)
}

// mailInto takes in a mail of an account that names a series.
func (o *office) mailInto(series sekretariat.SeriesID, account, text string) sekretariat.LetterID {
	o.t.Helper()
	o.n++
	return o.raw(series, account, fmt.Sprintf("From: a@poczta.example\r\nSubject: Sprawa\r\nMessage-ID: <%s@x>\r\n\r\n%s\r\n", text, text))
}

// take takes in one mail as it is.
func (o *office) take(account, raw string) sekretariat.LetterID {
	o.t.Helper()
	return o.raw("rpw", account, raw)
}

// raw takes in one mail of an account that names a series.

func (o *office) raw(series sekretariat.SeriesID, account, raw string) sekretariat.LetterID {
	o.t.Helper()
	d := sekretariat.Delivery{
		Centre: o.cfg.ID, Kind: sekretariat.KindMail, Door: sekretariat.DoorIMAP, Account: account, Series: series, Unit: o.unit,
		Identity:  func(b sekretariat.BodyFacts) []string { return []string{string(b.SHA256)} },
		Content:   func(b sekretariat.BodyFacts) sekretariat.Digest { return b.SHA256 },
		Arrived:   sekretariat.Arrival{At: o.clock().UTC().Add(-time.Hour), Basis: sekretariat.BasisServerArrival},
		MediaType: "message/rfc822",
	}
	ticket, err := o.intake.Take(o.t.Context(), d, strings.NewReader(raw))
	if err != nil {
		o.t.Fatal(err)
	}
	r, err := ticket.Wait(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	return sekretariat.NewLetterID(r.Submission, 1)
}

// await waits until the letter fulfils ok.
func (o *office) await(id sekretariat.LetterID, what string, ok func(*sekretariat.Letter) bool) *sekretariat.Letter {
	o.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		s, _, err := pipeline.State(o.t.Context(), o.log, id.Submission())
		if err == nil && s.Letters[id.Part()] != nil && ok(s.Letters[id.Part()]) {
			return s.Letters[id.Part()]
		}
		if err != nil && !errors.Is(err, ledger.ErrNotFound) {
			o.t.Fatal(err)
		}
		if time.Now().After(deadline) {
			o.t.Fatalf("waited in vain for %s: %+v", what, s.Letters[id.Part()])
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func routed(l *sekretariat.Letter) bool { return l.Decided() }

// queueOf lists the events of a department's queue as "type letter revision".
func (o *office) queueOf(d sekretariat.DepartmentID) []string {
	o.t.Helper()
	var out []string
	err := o.log.Replay(o.t.Context(), ledger.Queue, 1, func(s ledger.Stored) error {
		if strings.HasPrefix(s.Subject, string(d)+".") {
			id, _, _ := strings.Cut(s.Event.Subject, "@")
			out = append(out, fmt.Sprintf("%s %s %s", s.Event.Type, id, s.Event.ID[strings.LastIndex(s.Event.ID, ".")+1:]))
		}
		return nil
	})
	if err != nil {
		o.t.Fatal(err)
	}
	return out
}

func (o *office) awaitQueue(d sekretariat.DepartmentID, want ...string) {
	o.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		got := o.queueOf(d)
		if slices.Equal(got, want) {
			return
		}
		if time.Now().After(deadline) {
			o.t.Fatalf("queue of %s is %q, want %q", d, got, want)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (o *office) who(d ...sekretariat.DepartmentID) sekretariat.Principal {
	return sekretariat.Principal{ID: "test", Centre: o.cfg.ID, Departments: d}
}

func (o *office) clerk() sekretariat.Principal {
	p := o.who(sekretariat.Sekretariat)
	p.Register = true
	return p
}

func TestLetterReachesItsDepartment(t *testing.T) {
	o := open(t, nil)
	o.run()
	id := o.mail("a", "mąż mnie bije")
	l := o.await(id, "a decision", routed)
	if l.Department != "przemoc" || l.Decision.Urgency != sekretariat.Danger || l.Number.N != 1 {
		t.Errorf("letter went to %s (%s) with number %v, want przemoc, danger, 1", l.Department, l.Decision.Urgency, l.Number)
	}
	o.awaitQueue("przemoc", "queued.v1 "+string(id)+" 1")
	o.awaitQueue("sekretariat")
}

func TestUnsureGoesToSekretariatWithReason(t *testing.T) {
	o := open(t, nil)
	o.run()
	id := o.mail("a", "dzień dobry")
	l := o.await(id, "a decision", routed)
	if l.Department != sekretariat.Sekretariat || len(l.Decision.Evidence) == 0 {
		t.Errorf("decision %+v, want the sekretariat with a reason", l.Decision)
	}
	o.awaitQueue("sekretariat", "queued.v1 "+string(id)+" 1")
}

// What the router says about a letter is sealed beside it; the event of the
// decision has no word of the letter.
func TestAdviceIsSealed(t *testing.T) {
	o := open(t, nil)
	o.run()
	id := o.mail("a", "szukam noclegu, Wandzelina Pszczolkowska, tel. 601 774 320")
	l := o.await(id, "a decision", routed)
	if l.Advice == nil {
		t.Fatal("no advice")
	}
	a, err := pipeline.LoadAdvice(t.Context(), o.house.Vault, o.cfg.ID, id.Submission(), *l.Advice)
	if err != nil {
		t.Fatal(err)
	}
	if a.Contacts.Phone != "601774320" || a.Explanation == "" || a.Decision.Department != l.Department {
		t.Errorf("%+v", a)
	}
	events, err := o.log.Subject(t.Context(), ledger.Letter, string(id.Submission()))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		for _, secret := range []string{"Wandzelina", "Pszczolkowska", "601774320", "601 774 320"} {
			if strings.Contains(string(e.Event.Data), secret) {
				t.Errorf("event %s tells %q", e.Event.Type, secret)
			}
		}
	}
}

// A number is printed as the centre has configured it (rule P1).
func TestNumberIsPrintedAsConfigured(t *testing.T) {
	o := open(t, nil)
	o.cfg.Series[0].Format = "OPS-KP/{n}/wpł/{year}"
	o.run()
	id := o.mail("a", "szukam noclegu")
	o.await(id, "a decision", routed)
	o.awaitQueue("bezdomnosc", "queued.v1 "+string(id)+" 1")
	err := o.log.Replay(t.Context(), ledger.Queue, 1, func(s ledger.Stored) error {
		d, err := sekretariat.DataOf[sekretariat.QueuedData](s.Event)
		if want := fmt.Sprintf("OPS-KP/1/wpł/%d", d.Number.Year); d.Printed != want {
			t.Errorf("the department reads %q, want %q", d.Printed, want)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A series gets the letters of its unit from the day on that it is in force,
// while the service runs (rule P1).
func TestSeriesBeginsOnItsDay(t *testing.T) {
	o := open(t, nil)
	o.unit = "mzon"
	o.cfg.Series = append(o.cfg.Series, configs.Series{ID: "mzon", From: "2999-01-01", Units: []string{"mzon"}})
	sorted := func(id sekretariat.LetterID) sekretariat.SeriesID {
		t.Helper()
		err := o.log.Replay(t.Context(), ledger.Intake, 1, func(s ledger.Stored) error { return pipeline.Handle(o.pipe, t.Context(), s) })
		if err != nil {
			t.Fatal(err)
		}
		return o.await(id, "a sorting", func(*sekretariat.Letter) bool { return true }).Series
	}
	if got := sorted(o.mailInto("", "a", "jeszcze nie")); got != "rpw" {
		t.Errorf("before its day a letter of the unit goes into %s", got)
	}
	if got := sorted(o.mailInto("mzon", "a", "jeszcze nie, choć skrzynka ją podaje")); got != "rpw" {
		t.Errorf("before its day a letter of its account goes into %s", got)
	}
	o.cfg.Series[1].From = sekretariat.Day(time.Now())
	if got := sorted(o.mailInto("", "a", "już tak")); got != "mzon" {
		t.Errorf("on its day a letter of the unit goes into %s", got)
	}
}

// One mail to two mailboxes of a series is one registered letter and a parked
// twin (invariant I2).
func TestTwinIsParked(t *testing.T) {
	o := open(t, nil)
	first, second := o.mail("a", "szukam noclegu"), o.mail("b", "szukam noclegu")
	o.run()
	settled := func(l *sekretariat.Letter) bool { return l.Status == sekretariat.StatusParked || routed(l) }
	a, b := o.await(first, "an outcome", settled), o.await(second, "an outcome", settled)
	if a.Status == sekretariat.StatusParked {
		a, b = b, a
	}
	if a.Status == sekretariat.StatusParked || b.Status != sekretariat.StatusParked || b.Reason != sekretariat.ParkDuplicate || b.Of != a.ID {
		t.Errorf("twins are %s and %s (%s of %s), want one registered and one parked", a.Status, b.Status, b.Reason, b.Of)
	}
}

// Workers that meet every event again, as after a crash of the server that
// forgot their acknowledgements, do nothing twice.
func TestEverythingAgainChangesNothing(t *testing.T) {
	o := open(t, nil)
	stop := o.run()
	var ids []sekretariat.LetterID
	for i := range 20 {
		ids = append(ids, o.mail("a", fmt.Sprintf("szukam noclegu %d", i)))
	}
	for _, id := range ids {
		o.await(id, "a decision", routed)
	}
	world := func() (out []string) {
		for _, s := range []ledger.StreamName{ledger.Intake, ledger.Letter, ledger.Register("rpw"), ledger.Queue} {
			st, err := o.log.State(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, fmt.Sprintf("%s %d", s, st.Last))
		}
		return out
	}
	for deadline := time.Now().Add(30 * time.Second); len(o.queueOf("bezdomnosc")) < len(ids); {
		if time.Now().After(deadline) {
			t.Fatal("not all letters were queued")
		}
		time.Sleep(5 * time.Millisecond)
	}
	before := world()
	stop()
	for _, s := range []ledger.StreamName{ledger.Intake, ledger.Letter, ledger.Register("rpw")} {
		err := o.log.Replay(t.Context(), s, 1, func(st ledger.Stored) error {
			return pipeline.Handle(o.pipe, t.Context(), st)
		})
		if err != nil {
			t.Fatalf("repeat %s: %v", s, err)
		}
	}
	if after := world(); !slices.Equal(before, after) {
		t.Errorf("streams grew from %v to %v", before, after)
	}
}

func TestReroutingTakesTheLetterAway(t *testing.T) {
	o := open(t, nil)
	o.run()
	id := o.mail("a", "mąż mnie bije")
	o.await(id, "a decision", routed)
	if _, err := o.pipe.Letter(t.Context(), o.who("przemoc"), id); err != nil {
		t.Fatalf("the owner cannot see its letter: %v", err)
	}
	if err := o.pipe.Reroute(t.Context(), o.clerk(), id, 1, "bezdomnosc", "pani szuka przede wszystkim noclegu"); err != nil {
		t.Fatal(err)
	}
	if _, err := o.pipe.Letter(t.Context(), o.who("przemoc"), id); !errors.Is(err, pipeline.ErrNotFound) {
		t.Errorf("the former department gets %v, want ErrNotFound at once (rule P4)", err)
	}
	if _, err := o.pipe.Letter(t.Context(), o.who("bezdomnosc"), id); err != nil {
		t.Errorf("the new department: %v", err)
	}
	o.awaitQueue("przemoc", "queued.v1 "+string(id)+" 1", "withdrawn.v1 "+string(id)+" 2")
	o.awaitQueue("bezdomnosc", "queued.v1 "+string(id)+" 2")
	err := o.pipe.Reroute(t.Context(), o.clerk(), id, 1, "przemoc", "pomyłka")
	if !errors.Is(err, pipeline.ErrChanged) {
		t.Errorf("a command on the decision before: %v, want ErrChanged", err)
	}
	if err := o.pipe.HandBack(t.Context(), o.who("bezdomnosc"), id, 2, "nie nasze"); err != nil {
		t.Fatal(err)
	}
	o.awaitQueue("bezdomnosc", "queued.v1 "+string(id)+" 2", "withdrawn.v1 "+string(id)+" 3")
	o.awaitQueue("sekretariat", "queued.v1 "+string(id)+" 3")
}

func TestWhoMayCommandWhat(t *testing.T) {
	o := open(t, nil)
	o.run()
	id := o.mail("a", "szukam noclegu")
	o.await(id, "a decision", routed)
	ctx := t.Context()
	for _, c := range []struct {
		name string
		err  error
		want error
	}{
		{"a foreign department takes", o.pipe.Take(ctx, o.who("przemoc"), id, 1), pipeline.ErrNotFound},
		{"another centre takes", o.pipe.Take(ctx, sekretariat.Principal{Centre: "inne", Departments: []sekretariat.DepartmentID{"bezdomnosc"}}, id, 1), pipeline.ErrNotFound},
		{"the sekretariat takes for a department", o.pipe.Take(ctx, o.clerk(), id, 1), pipeline.ErrForbidden},
		{"a department sends on by itself", o.pipe.Reroute(ctx, o.who("bezdomnosc"), id, 1, "przemoc", "x"), pipeline.ErrForbidden},
		{"no reason", o.pipe.Reroute(ctx, o.clerk(), id, 1, "przemoc", "  "), pipeline.ErrInvalid},
		{"no such department", o.pipe.Reroute(ctx, o.clerk(), id, 1, "nie-ma", "x"), pipeline.ErrInvalid},
		{"to where it is", o.pipe.Reroute(ctx, o.clerk(), id, 1, "bezdomnosc", "x"), pipeline.ErrInvalid},
		{"no such letter", o.pipe.Take(ctx, o.who("bezdomnosc"), sekretariat.NewLetterID(id.Submission(), 2), 1), pipeline.ErrNotFound},
		{"the owner takes", o.pipe.Take(ctx, o.who("bezdomnosc"), id, 1), nil},
		{"and once more", o.pipe.Take(ctx, o.who("bezdomnosc"), id, 1), nil},
		{"and is done", o.pipe.Done(ctx, o.who("bezdomnosc"), id, 1), nil},
	} {
		if !errors.Is(c.err, c.want) || (c.want == nil && c.err != nil) {
			t.Errorf("%s: %v, want %v", c.name, c.err, c.want)
		}
	}
}

// A letter of a closed department is closed to the sekretariat as well, once it
// is there.
func TestClosedDepartmentsLettersAreClosed(t *testing.T) {
	o := open(t, nil)
	o.run()
	id := o.mail("a", "dzień dobry")
	o.await(id, "a decision", routed)
	if err := o.pipe.Reroute(t.Context(), o.clerk(), id, 1, "zamkniety", "do rąk własnych"); err != nil {
		t.Fatal(err)
	}
	if _, err := o.pipe.Letter(t.Context(), o.clerk(), id); !errors.Is(err, pipeline.ErrNotFound) {
		t.Errorf("the sekretariat opens a closed letter: %v", err)
	}
	if _, err := o.pipe.Letter(t.Context(), o.who("zamkniety"), id); err != nil {
		t.Errorf("its department: %v", err)
	}
}

// stuck reads nothing until it is let go.
type stuck struct{ free chan struct{} }

func (s stuck) Read(ctx context.Context, in extract.Input) (sekretariat.Reading, error) {
	select {
	case <-s.free:
		return extract.Direct{}.Read(ctx, in)
	case <-ctx.Done():
		return sekretariat.Reading{}, ctx.Err()
	}
}

// A letter that is not read in time goes to the sekretariat unread; when it is
// read after all, the router decides and the sekretariat's copy is withdrawn.
func TestOverdueLetterGoesToSekretariat(t *testing.T) {
	s := stuck{make(chan struct{})}
	o := open(t, s)
	o.run()
	id := o.mail("a", "mąż mnie bije")
	o.await(id, "sorting", func(l *sekretariat.Letter) bool { return l.Status == sekretariat.StatusSorted })
	for range 2 { // twice: a sweep may meet it again
		if err := o.pipe.Overdue(t.Context(), id, sekretariat.Number{Series: "rpw", Year: 2026, N: 1}); err != nil {
			t.Fatal(err)
		}
	}
	o.awaitQueue("sekretariat", "queued.v1 "+string(id)+" 1")
	close(s.free)
	o.await(id, "the real decision", func(l *sekretariat.Letter) bool { return l.Revision == 2 && l.Department == "przemoc" })
	o.awaitQueue("przemoc", "queued.v1 "+string(id)+" 2")
	o.awaitQueue("sekretariat", "queued.v1 "+string(id)+" 1", "withdrawn.v1 "+string(id)+" 2")
}
