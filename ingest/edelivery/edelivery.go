// Package edelivery takes messages out of a mailbox of e-Doręczenia by the User
// Agent API of its provider. A message is fetched in full (metadata,
// attachments, evidence, the provider's archive), made durable by the receiver
// as one container, and left where it is unless the office wants it moved or
// deleted then. What is new is found by an overlapping window and a nightly look
// through all folders; what was taken is known from the ledger, by the id of the
// message, so whatever people do in the same mailbox on the web loses or doubles
// nothing. Proofs about letters that were sent elsewhere are taken from SENT.
package edelivery

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/ingest"
)

// Cursors keeps small values by name: how far a mailbox was looked through.
// They save work; losing one costs a full look and nothing else.
// ledger.Ledger implements it.
type Cursors interface {
	Cursor(ctx context.Context, name string) (value []byte, revision uint64, err error)
	SetCursor(ctx context.Context, name string, value []byte) error
}

// Options make a channel.
type Options struct {
	Centre   sekretariat.CentreID
	Account  configs.EDelivery // with its defaults, as configs loads it
	Receiver ingest.Receiver
	Cursors  Cursors
	// Known tells whether a submission was announced: then it need not be
	// fetched again. nil: nothing is known, and the receiver finds out.
	Known func(context.Context, sekretariat.SubmissionID) (bool, error)
	// Kept reads the manifest of a submission: evidence that it does not list
	// came later and is fetched by the nightly look. nil: it is not looked for.
	Kept   Kept
	Clock  sekretariat.Clock // nil = SystemClock
	Logger zerolog.Logger

	// Certificate and Key are those of the external system, PEM. Without them
	// they are read from Account.Cert and Account.Key for each token, so that
	// new ones work without a restart.
	Certificate, Key []byte
	// MaxSize bounds one message, octets (0 = ingest.DefaultDelivery). A
	// message that declares more is not even fetched.
	MaxSize int64
	// Timeout is how long the provider may be silent; 0 = 2 minutes.
	Timeout time.Duration
}

// tune are the paces of the channel; tests hurry.
type tune struct {
	firstBackOff, maxBackOff time.Duration // of the channel
	firstRetry, maxRetry     time.Duration // of one message
	pending                  time.Duration // until a message that is being moved is asked for again
	wide                     time.Duration // between looks into folders beside INBOX
	sent                     time.Duration // between looks into SENT
	mailbox                  time.Duration // between looks at capacity and webhook
	oversize                 time.Duration // until something that cannot be taken is tried again
	patience                 int           // tries before a clerk is told
	stub                     time.Duration // age of a notice without content before a clerk is told
	receipt                  time.Duration // age at which a message is taken without its date of receipt
	proofAge                 time.Duration // age at which a proof is taken without evidence
	page                     int           // messages asked for at once
	parallel                 int           // messages fetched at once
	save                     time.Duration // between writes of the cursor
}

// everyFifth: folders beside INBOX, and SENT, are looked into at every fifth poll.
const everyFifth = 5

func calm(poll time.Duration) tune {
	return tune{
		firstBackOff: 5 * time.Second, maxBackOff: 15 * time.Minute, firstRetry: 10 * time.Second, maxRetry: 15 * time.Minute,
		pending: 5 * time.Second, wide: everyFifth * poll, sent: everyFifth * poll, mailbox: 15 * time.Minute, oversize: 6 * time.Hour,
		patience: 5, stub: time.Hour, receipt: 2 * time.Minute, proofAge: time.Hour, page: 200, parallel: 4, save: 5 * time.Minute,
	}
}

// Channel is one mailbox. It fulfils ingest.Channel.
type Channel struct {
	o      Options
	base   string // of all operations: url/address
	http   *http.Client
	tokens tokens
	status status
	tune   tune
	poke   chan struct{} // "poll now"
	pause  func(context.Context, time.Duration, <-chan struct{}) bool

	mu     sync.Mutex
	taken  map[string]bool     // ids that are durable, as far as this process knows
	items  map[string]*trouble // ids that could not be taken yet
	streak int                 // messages that failed one after the other

	// The state of one Run.
	cursor cursor
	loaded bool
	saved  time.Time
	last   struct{ wide, sent, mailbox, hook time.Time }
}

var (
	_ ingest.Channel   = (*Channel)(nil)
	_ ingest.Checkable = (*Channel)(nil)
)

// New checks the options and makes a channel; it does not connect. Errors say
// which value of the account is wrong.
func New(o Options) (*Channel, error) {
	a := o.Account
	if o.Receiver == nil || o.Cursors == nil || !sekretariat.ValidSlug(string(o.Centre)) || !sekretariat.ValidSlug(a.ID) {
		return nil, fmt.Errorf("edelivery account %q: receiver, cursors, centre and a valid id are needed", a.ID)
	}
	if err := check(a); err != nil {
		return nil, fmt.Errorf("edelivery account %s/%s: %w", o.Centre, a.ID, err)
	}
	if o.Clock == nil {
		o.Clock = sekretariat.SystemClock
	}
	if o.MaxSize <= 0 {
		o.MaxSize = ingest.DefaultDelivery
	}
	if o.Timeout <= 0 {
		o.Timeout = 2 * time.Minute
	}
	c := &Channel{o: o, tune: calm(a.Poll), poke: make(chan struct{}, 1), pause: wait, taken: map[string]bool{}, items: map[string]*trouble{}}
	address := url.PathEscape(a.Address)
	if a.Escape {
		address = strings.ReplaceAll(address, ":", "%3A")
	}
	c.base = strings.TrimSuffix(a.URL, "/") + "/" + address
	c.tokens.c, c.status.clock, c.status.capacity = c, o.Clock, -1
	var err error
	if c.http, err = c.client(); err != nil {
		return nil, fmt.Errorf("edelivery account %s/%s: %w", o.Centre, a.ID, err)
	}
	return c, nil
}

// check finds what a configuration cannot do without; configs has told people
// in more words.
func check(a configs.EDelivery) error {
	if !sekretariat.ValidADE(a.Address) {
		return fmt.Errorf("address: %q is no address of e-Doręczenia", a.Address)
	}
	for name, v := range map[string]string{"url": a.URL, "token_url": a.TokenURL} {
		u, err := url.Parse(v)
		if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && !(u.Scheme == "http" && isLocal(u.Hostname())) {
			return fmt.Errorf("%s: %q is no https address", name, v)
		}
	}
	for name, v := range map[string]string{"client_id": a.ClientID, "audience": a.Audience} {
		if v == "" {
			return fmt.Errorf("%s is missing", name)
		}
	}
	switch a.After {
	case configs.AfterKeep:
	case configs.AfterMove, configs.AfterDelete:
		if a.MovePath == "" || a.After == configs.AfterMove && a.Done == "" {
			return errors.New("after: move_path and, to move, done are needed")
		}
	default:
		return fmt.Errorf("after: %q is none of keep, move, delete", a.After)
	}
	return nil
}

// Name fulfils ingest.Channel.
func (c *Channel) Name() string { return string(c.o.Centre) + "/" + c.o.Account.ID }

// Health fulfils ingest.Channel.
func (c *Channel) Health() ingest.Health {
	c.mu.Lock()
	troubled, told, unmoved := 0, 0, false
	for _, t := range c.items {
		unmoved = unmoved || t.confirm
		if !t.confirm { // what cannot be moved is here already
			troubled++
		}
		if t.told {
			told++
		}
	}
	c.mu.Unlock()
	return c.status.report(troubled, told, unmoved)
}
