// Package pipeline moves letters from event to event: it sorts submissions into
// letters, has them read, has them routed, and delivers them into department
// queues; and it carries out what people command (re-route, take, hand back,
// done). Every worker is idempotent: it may meet any event again after any
// crash, and what it did the first time decides. It knows neither how letters
// arrive nor how they look on a page.
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/extract"
	"sekretariat/extract/virus"
	"sekretariat/ledger"
	"sekretariat/pipeline/caution"
	"sekretariat/pipeline/mailkey"
	"sekretariat/router"
	"sekretariat/storage"
)

// Claims remembers who was first to claim a name: the twins of a letter agree
// on the original by it. ledger.Ledger implements it.
type Claims interface {
	// Claim stores value under name if the name is free and returns the value
	// that is stored there for ever.
	Claim(ctx context.Context, name string, value []byte) (winner []byte, err error)
}

// Options are what the workers of one centre need.
type Options struct {
	Centre *configs.Centre
	Log    ledger.Log
	Vault  *storage.Vault
	Claims Claims
	Reader extract.Reader
	Glance extract.Reader // for the short look before sorting; nil = Reader
	Router *router.Router
	Keys   *mailkey.Key // nil: no threads, no notices of ours
	// Scanner looks for viruses, nil: the centre does without. Parts opens for
	// it what only a child process may open.
	Scanner *virus.Scanner
	Parts   Parts
	// Packages opens files of a box that hold letters of a channel, nil: they
	// are files.
	Packages Packages
	// Sheets sees the separator sheets in scanned piles, Batches takes the
	// letters between them; nil: every file of a box is one letter.
	Sheets  Sheets
	Batches Taker
	Temp    string // folder for anonymous files, "" = the system's
	// Remote fetches attachments that lie at the platform, nil: they stay there.
	Remote Remote
	// Recogniser goes through the pages of scans, nil: this process recognises
	// no text. EngineCache is the folder of the compiled PDF engine.
	Recogniser  Recogniser
	EngineCache string
	Clock       sekretariat.Clock
	Logger      zerolog.Logger

	// Watch, if not nil, is told of every decision that took effect, for the
	// demo and for metrics. It must not block.
	Watch func(Step)
}

// Step is one finished step of a letter, for those who watch.
type Step struct {
	Letter   sekretariat.LetterID
	Type     sekretariat.EventType
	Decision sekretariat.Decision
	Number   sekretariat.Number
	Kind     sekretariat.Kind
	Took     time.Duration // since all bytes were there
}

// Pipeline is the set of workers of one centre.
type Pipeline struct {
	o       Options
	id      sekretariat.CentreID
	recent  readings // between reading and routing, by key
	glanced readings // between sorting and reading, by submission

	closedWords *caution.List
	parking     []parkingRule

	scanner *scanWatch
	texts   turnstile // of letters that wait for text recognition
}

// New makes the workers of a centre. Rules for parking that CheckParking
// refuses are left out; it panics if the program's own words cannot be compiled.
func New(o Options) *Pipeline {
	if o.Clock == nil {
		o.Clock = sekretariat.SystemClock
	}
	if o.Glance == nil {
		o.Glance = o.Reader
	}
	closed, err := caution.ClosedMatter()
	if err != nil {
		panic(err)
	}
	parking, err := parkingRules(o.Centre)
	if err != nil {
		o.Logger.Error().Err(err).Msg("the centre's parking rules cannot be used; all such mail is registered")
	}
	return &Pipeline{o: o, id: o.Centre.ID, closedWords: closed, parking: parking, scanner: newScanWatch(o.Scanner, o.Clock, o.Logger), texts: turnstile{free: recognisers}}
}

// Roles of the workers, for installations that run them apart.
type Roles struct{ Sort, Read, Route, Scan, Fetch, Recognise bool }

// AllRoles runs everything in one process but fetching, which belongs to the
// channels: they have the keys to the platforms.
var AllRoles = Roles{Sort: true, Read: true, Route: true, Scan: true, Recognise: true}

// workerWait is when another worker gets what a dead one had: long enough for a
// pause of the machine, short enough for a letter that cannot wait. A running
// worker extends it by itself, however long a reading takes.
const workerWait = 10 * time.Second

// Run runs the workers until ctx ends.
func (p *Pipeline) Run(ctx context.Context, roles Roles) error {
	g, ctx := errgroup.WithContext(ctx)
	if roles.Sort {
		g.Go(func() error {
			return p.o.Log.Work(ctx, ledger.Intake, "sort", ledger.WorkOptions{Concurrency: 512, Wait: workerWait}, p.sort)
		})
	}
	if roles.Sort {
		g.Go(func() error {
			return p.o.Log.Work(ctx, ledger.Audit, "recover", ledger.WorkOptions{Concurrency: recoverers, Wait: workerWait}, p.recover)
		})
	}
	if roles.Read {
		for _, s := range p.o.Centre.Series {
			g.Go(func() error {
				return p.o.Log.Work(ctx, ledger.Register(s.ID), "read", ledger.WorkOptions{Concurrency: 256, Wait: workerWait}, p.read)
			})
		}
	}
	if roles.Read && len(p.o.Centre.EPUAP) > 0 {
		g.Go(func() error {
			return p.o.Log.Work(ctx, ledger.Letter, "reread", ledger.WorkOptions{Concurrency: rereaders, Wait: workerWait}, p.reread)
		})
	}
	if roles.Route && len(p.o.Centre.EPUAP)+len(p.o.Centre.EDelivery) > 0 {
		g.Go(func() error {
			return p.o.Log.Work(ctx, ledger.Letter, "upp", ledger.WorkOptions{Concurrency: uppReaders, Wait: workerWait}, p.receiptDay)
		})
	}
	if roles.Route {
		g.Go(func() error {
			return p.o.Log.Work(ctx, ledger.Letter, "route", ledger.WorkOptions{Concurrency: 512, Wait: workerWait}, p.route)
		})
	}
	if roles.Recognise && p.o.Recogniser != nil {
		g.Go(func() error {
			return p.o.Log.Work(ctx, ledger.Letter, "ocr", ledger.WorkOptions{Concurrency: recognising, Wait: workerWait}, p.recognise)
		})
	}
	if roles.Scan && p.o.Scanner != nil {
		g.Go(func() error { return p.scanner.run(ctx) })
		g.Go(func() error {
			return p.o.Log.Work(ctx, ledger.Letter, "scan", ledger.WorkOptions{Concurrency: scanners, Wait: workerWait}, p.scan)
		})
	}
	if roles.Fetch && p.o.Remote != nil {
		for _, account := range p.o.Remote.Accounts() {
			g.Go(func() error {
				return p.o.Log.Work(ctx, ledger.Letter, fetchGroup(account), ledger.WorkOptions{Concurrency: fetchers, Wait: workerWait},
					func(ctx context.Context, s ledger.Stored) error { return p.fetch(ctx, account, s) })
			})
		}
	}
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("pipeline of %s: %w", p.id, err)
	}
	return nil
}

// State folds what LETTER knows of a submission and returns it with the last
// sequence on its subject. A submission without events is ledger.ErrNotFound.
func State(ctx context.Context, log ledger.Log, id sekretariat.SubmissionID) (sekretariat.State, uint64, error) {
	var s sekretariat.State
	events, err := log.Subject(ctx, ledger.Letter, string(id))
	if err != nil {
		return s, 0, fmt.Errorf("events of submission %.12s…: %w", id, err)
	}
	if len(events) == 0 {
		return s, 0, fmt.Errorf("events of submission %.12s…: %w", id, ledger.ErrNotFound)
	}
	for _, e := range events {
		if err := s.Apply(e.Event); err != nil {
			return s, 0, fmt.Errorf("fold event %s: %w", e.Event.ID, err)
		}
	}
	return s, events[len(events)-1].Seq, nil
}

// amend appends an event to a letter on the condition that its state still
// wants it. last is the sequence the caller believes in (0: not known). make
// looks at the present letter and returns the event, or nil if nothing is to
// be done any more.
func (p *Pipeline) amend(ctx context.Context, id sekretariat.LetterID, last uint64, make func(*sekretariat.Letter) (*sekretariat.Event, error)) error {
	var letter *sekretariat.Letter
	for {
		if last != 0 {
			e, err := make(letter)
			if err != nil || e == nil {
				return err
			}
			_, err = p.o.Log.Append(ctx, ledger.Letter, ledger.Record{Subject: string(id.Submission()), LastSeq: last, Event: *e})
			if !errors.Is(err, ledger.ErrConflict) {
				return err
			}
		}
		// Somebody wrote in between, or we did before a crash: look again.
		state, seq, err := State(ctx, p.o.Log, id.Submission())
		if err != nil {
			return err
		}
		last = seq
		if letter = state.Letters[id.Part()]; letter == nil {
			return ledger.Permanent(fmt.Errorf("letter %s: %w", id, sekretariat.ErrOutOfOrder))
		}
	}
}

func (p *Pipeline) event(t sekretariat.EventType, role, subject string, rev int, data any) (*sekretariat.Event, error) {
	e, err := sekretariat.NewEvent(t, p.id, role, subject, rev, p.o.Clock(), data)
	if err != nil {
		return nil, ledger.Permanent(err)
	}
	return &e, nil
}

func (p *Pipeline) tell(s Step) {
	if p.o.Watch != nil {
		p.o.Watch(s)
	}
}

// readings remembers the latest readings between reading and routing, so that
// a letter need not be opened again a moment after it was sealed. Losing one
// costs a read from the store, nothing else.
type readings struct {
	mu    sync.Mutex
	byKey map[string]*sekretariat.Reading
	keys  []string
	size  int
}

// maxRecent bounds the readings remembered, in octets of text.
const maxRecent = 8 << 20

func (r *readings) put(key string, v *sekretariat.Reading) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byKey == nil {
		r.byKey = map[string]*sekretariat.Reading{}
	}
	if _, there := r.byKey[key]; there {
		return
	}
	r.byKey[key], r.keys = v, append(r.keys, key)
	r.size += weight(v)
	for r.size > maxRecent && len(r.keys) > 0 {
		r.drop(r.keys[0])
	}
}

// take returns a remembered reading and forgets it: routing needs it once.
func (r *readings) take(key string) *sekretariat.Reading {
	r.mu.Lock()
	defer r.mu.Unlock()
	v := r.byKey[key]
	if v != nil {
		r.drop(key)
	}
	return v
}

func (r *readings) drop(key string) {
	v, there := r.byKey[key]
	if there {
		delete(r.byKey, key)
		r.size -= weight(v)
	}
	for len(r.keys) > 0 {
		if _, live := r.byKey[r.keys[0]]; live {
			break
		}
		r.keys = r.keys[1:]
	}
}

func weight(r *sekretariat.Reading) int {
	n := 2048 + len(r.Text) + len(r.Subject)
	for _, p := range r.Parts {
		n += 256 + len(p.Text)
	}
	return n
}
