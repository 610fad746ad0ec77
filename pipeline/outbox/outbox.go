// Package outbox sends what the office tells the outside world by itself: the
// acknowledgement of receipt (potwierdzenie wpływu) of a mail. It decides after
// the letter was routed whether one may be sent (RFC 3834; rule P6: it must not
// betray anybody), keeps the intent as an event and a sealed message before
// anything leaves, and hands the message to the centre's relay at most once:
// what is not known to have failed is never sent again. Whatever goes wrong
// stands on the letter.
package outbox

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
	"sekretariat/ledger"
	"sekretariat/pipeline"
	"sekretariat/pipeline/caution"
	"sekretariat/pipeline/mailkey"
	"sekretariat/storage"
)

// Due is what the read model knows: whose hour has come, and whom mail does not
// reach. It may be behind; the ledger is asked before anything happens.
type Due interface {
	AckDue(ctx context.Context, now time.Time) ([]sekretariat.LetterID, error)
	BadContact(ctx context.Context, contact sekretariat.Digest, now time.Time) (code string, bad bool, err error)
}

// Options are what the outbox of one centre needs.
type Options struct {
	Centre   *configs.Centre
	Pipeline *pipeline.Pipeline
	Log      ledger.Log
	Vault    *storage.Vault
	Claims   pipeline.Claims
	Keys     *mailkey.Key
	Due      Due
	// Alone runs the sender while this process is the only one to run it.
	Alone  func(ctx context.Context, run func(context.Context) error) error
	Clock  sekretariat.Clock
	Logger zerolog.Logger
	// Poll is how often the sender looks for what is due; default 2 s.
	Poll time.Duration
}

// Outbox is the outbox of one centre.
type Outbox struct {
	o         Options
	cfg       configs.Acknowledgement
	unsafe    *caution.List
	templates templates
	relay     relay
	slots     slots

	mu      sync.Mutex
	trouble trouble
}

// trouble is what keeps the sender from sending.
type trouble struct {
	since time.Time // zero: nothing
	err   error
}

// Alarm is a sentence for the administrator while nothing can be sent, ""
// otherwise.
func (b *Outbox) Alarm() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.trouble.since.IsZero() {
		return ""
	}
	return fmt.Sprintf("%s: acknowledgements have not been sent since %s: %v", b.o.Centre.ID, b.trouble.since.In(sekretariat.Warsaw()).Format("2006-01-02 15:04"), b.trouble.err)
}

func (b *Outbox) troubled(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case err == nil:
		b.trouble = trouble{}
	case b.trouble.since.IsZero():
		b.trouble = trouble{b.o.Clock(), err}
	default:
		b.trouble.err = err
	}
}

// New makes the outbox of a centre. The error names the phrase or template that
// cannot be used.
func New(o Options) (*Outbox, error) {
	if o.Clock == nil {
		o.Clock = sekretariat.SystemClock
	}
	if o.Poll == 0 {
		o.Poll = 2 * time.Second
	}
	b := &Outbox{o: o, cfg: o.Centre.Acknowledgement}
	var err error
	if b.unsafe, err = caution.UnsafeContact(b.cfg.Not); err != nil {
		return nil, fmt.Errorf("acknowledgements of %s: %w", o.Centre.ID, err)
	}
	if b.templates, err = compileTemplates(o.Centre); err != nil {
		return nil, fmt.Errorf("acknowledgements of %s: %w", o.Centre.ID, err)
	}
	b.relay = relay{cfg: b.cfg.SMTP, hello: b.hello}
	return b, nil
}

// Check tells whether the centre's phrases and templates can be used.
func Check(c *configs.Centre) error {
	_, err := New(Options{Centre: c})
	return err
}

// Run plans and sends until ctx ends. It does nothing when the centre sends no
// acknowledgements.
func (b *Outbox) Run(ctx context.Context) error {
	if !b.cfg.On {
		<-ctx.Done()
		return nil
	}
	g, run := errgroup.WithContext(ctx)
	g.Go(func() error {
		return b.o.Log.Work(run, ledger.Letter, "acknowledge", ledger.WorkOptions{Concurrency: 16, Wait: 30 * time.Second}, b.plan)
	})
	g.Go(func() error { return b.o.Alone(run, b.send) })
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("outbox of %s: %w", b.o.Centre.ID, err)
	}
	return nil
}

// append writes an event about a letter on the condition that nothing was
// written about its submission since seq.
func (b *Outbox) append(ctx context.Context, l *sekretariat.Letter, seq uint64, t sekretariat.EventType, rev int, data any) error {
	e, err := sekretariat.NewEvent(t, b.o.Centre.ID, "outbox", string(l.ID), rev, b.o.Clock(), data)
	if err != nil {
		return ledger.Permanent(err)
	}
	_, err = b.o.Log.Append(ctx, ledger.Letter, ledger.Record{Subject: string(l.ID.Submission()), LastSeq: seq, Event: e})
	return err
}

// letter returns a letter as the ledger has it, and the last sequence on its
// subject.
func (b *Outbox) letter(ctx context.Context, id sekretariat.LetterID) (*sekretariat.Letter, uint64, error) {
	state, seq, err := pipeline.State(ctx, b.o.Log, id.Submission())
	if err != nil {
		return nil, 0, err
	}
	l := state.Letters[id.Part()]
	if l == nil {
		return nil, 0, fmt.Errorf("letter %s: %w", id, ledger.ErrNotFound)
	}
	return l, seq, nil
}
