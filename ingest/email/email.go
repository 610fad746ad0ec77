// Package email takes mail in from IMAP mailboxes. Each message is streamed to
// the receiver, and only when that has it durably is the mailbox told: the
// message is moved to a folder, or marked with a keyword, or left. What was
// taken is known by content alone; UIDs, flags and cursors only save work, so
// a crash, a renumbered mailbox or a colleague who reads and moves mail
// meanwhile can neither lose a message nor double it. A message that the server
// cannot hand over, or that is too large, stays where it is, is put before a
// clerk as a parked note, and holds up nothing else.
//
// First contact with an old mailbox: everything in the configured folders is
// taken in, from the day "since" on; older mail is never touched. Survey tells
// beforehand, without changing anything, how much that is.
package email

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/ingest"
)

// Keyword marks messages that were taken in (RFC 9051, 2.3.2).
const Keyword = "$Sekretariat"

// DefaultDone is the folder that taken messages are moved to, unless the
// mailbox names another; "/" stands for the server's separator.
const DefaultDone = "Sekretariat/Przyjete"

// Cursors keeps small values by name: how far a folder was read. They save
// work and are never trusted: losing one costs a look through the folder.
// *ledger.Ledger is one.
type Cursors interface {
	// Cursor returns the value and its revision, ledger.ErrNotFound if there
	// is none.
	Cursor(ctx context.Context, name string) ([]byte, uint64, error)
	SetCursor(ctx context.Context, name string, value []byte) error
}

// Options are what a mail channel needs.
type Options struct {
	Centre   sekretariat.CentreID
	Mailbox  configs.Mailbox
	Password func() (string, error) // asked at each login; not needed with Tokens
	Tokens   Tokens                 // access tokens instead of a password
	Keeper   Keeper                 // needed if the mailbox has DeleteAfterDays
	Receiver ingest.Receiver
	Cursors  Cursors
	Clock    sekretariat.Clock // default: the system's
	Logger   zerolog.Logger
	MaxSize  int64 // octets; larger messages are parked. Default 2 GiB
}

// Tokens gives access tokens; *oauth.Source is one.
type Tokens interface {
	// Token returns oauth.ErrRefused if a person has to authorise again.
	Token(ctx context.Context) (string, error)
	// Forget drops a token that the server refused and tells whether another
	// one may do better.
	Forget(token string) bool
	// Mark changes when a person put something new in place.
	Mark() string
	Expires() []ingest.Expiry
}

// Channel is one mailbox. It implements ingest.Channel.
type Channel struct {
	opt     Options
	since   time.Time // zero: no cut-off
	folders []string
	done    string
	tune    tuning
	health  *health
	gate    gate
	log     zerolog.Logger
}

// tuning are the limits of time and number.
type tuning struct {
	silence     time.Duration // longest silence while an answer is due
	idle        time.Duration // longest IDLE before the connection is tried
	retry       [2]time.Duration
	refused     [2]time.Duration
	password    time.Duration // how often a refused password is compared with the present one
	reconcile   time.Duration // mailbox minus ledger
	archive     time.Duration // how often taken mail is looked through that may be deleted
	junk        time.Duration // how often the folder for spam is looked at
	repark      time.Duration // parked messages that the server could not hand over are tried again
	stuck       time.Duration // a ticket that takes longer is an alarm
	window      int           // messages on their way to becoming durable
	windowBytes int64
	step        int   // messages per FETCH
	confirm     int   // messages confirmed together
	large       int64 // larger messages wait until the smaller ones were fetched
	apart       int64 // still larger ones are fetched on a connection of their own
}

var defaultTuning = tuning{
	silence: time.Minute, idle: 5 * time.Minute,
	retry: [2]time.Duration{time.Second, time.Minute}, refused: [2]time.Duration{time.Minute, 15 * time.Minute},
	password: 5 * time.Second, reconcile: time.Hour, archive: 6 * time.Hour, junk: 5 * time.Minute, repark: 6 * time.Hour, stuck: 30 * time.Second,
	window: 2000, windowBytes: 64 << 20, step: 100, confirm: 250, large: 4 << 20, apart: 16 << 20,
}

// New checks the configuration and returns a channel that is not yet running.
func New(o Options) (*Channel, error) {
	m := &o.Mailbox
	if m.TLS == "" {
		m.TLS = "implicit"
	}
	if m.Auth == "" {
		m.Auth = "plain"
	}
	if m.After == "" {
		m.After = "move"
	}
	if m.Done == "" {
		m.Done = DefaultDone
	}
	if m.Junk == "" {
		m.Junk = junkOff
	}
	if m.Poll <= 0 {
		m.Poll = time.Minute
	}
	if len(m.Folders) == 0 {
		m.Folders = []string{"INBOX"}
	}
	if o.Clock == nil {
		o.Clock = sekretariat.SystemClock
	}
	if o.MaxSize <= 0 {
		o.MaxSize = 2 << 30
	}
	c := &Channel{opt: o, folders: m.Folders, done: m.Done, tune: defaultTuning}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("mailbox %s: %w", m.ID, err)
	}
	c.log = o.Logger.With().Str("channel", c.Name()).Logger()
	c.health = newHealth(o.Clock, c.folders)
	if name := c.junkName(); name != "" {
		c.health.add(name)
	}
	c.gate.free = make(chan struct{}, 1)
	return c, nil
}

// check finds what no repetition can mend.
func (c *Channel) check() error {
	o, m := &c.opt, &c.opt.Mailbox
	switch {
	case !sekretariat.ValidSlug(string(o.Centre)):
		return fmt.Errorf("centre %q is not a valid id", o.Centre)
	case !sekretariat.ValidSlug(m.ID):
		return errors.New("id must be lower-case letters, digits and hyphens")
	case o.Password == nil && o.Tokens == nil || o.Receiver == nil || o.Cursors == nil:
		return errors.New("password, receiver and cursors are all needed")
	case !slices.Contains([]string{"implicit", "starttls", "none"}, m.TLS):
		return fmt.Errorf("tls is %q; use implicit, starttls or none", m.TLS)
	case !slices.Contains([]string{"plain", "login", "xoauth2", "oauthbearer"}, m.Auth):
		return fmt.Errorf("auth is %q; use plain, login, xoauth2 or oauthbearer", m.Auth)
	case !slices.Contains([]string{"move", "keyword", "keep"}, m.After):
		return fmt.Errorf("after is %q; use move, keyword or keep", m.After)
	case m.DeleteAfterDays < 0 || m.DeleteAfterDays > 0 && (m.After != "move" || o.Keeper == nil):
		return errors.New("delete_after_days: only mail that was moved is deleted, and only with somebody who knows what is kept")
	case m.User == "":
		return errors.New("user is missing")
	}
	host, port, err := net.SplitHostPort(m.Server)
	if err != nil || host == "" || port == "" {
		return fmt.Errorf("server is %q; write host:port, for example mail.example.pl:993", m.Server)
	}
	if m.TLS == "none" && !loopbackName(host) {
		return fmt.Errorf("tls: none is allowed only on this machine, not to %s; use implicit or starttls", host)
	}
	for i, f := range c.folders {
		if f == "" || slices.ContainsFunc(c.folders[:i], func(g string) bool { return sameFolder(f, g) }) {
			return fmt.Errorf("folders: %q is empty or named twice", f)
		}
		if m.After == "move" && sameFolder(f, c.done) {
			return fmt.Errorf("done: taken mail cannot be moved to %q, which is itself read", f)
		}
	}
	if junk := c.junkName(); m.After == "move" && sameFolder(junk, c.done) || slices.ContainsFunc(c.folders, func(g string) bool { return sameFolder(junk, g) }) {
		return fmt.Errorf("junk: the folder %q is used for something else as well", junk)
	}
	if m.Since != "" {
		c.since, err = time.ParseInLocation(time.DateOnly, m.Since, sekretariat.Warsaw())
		if err != nil {
			return fmt.Errorf("since is %q; write a day as 2026-01-31", m.Since)
		}
	}
	return nil
}

func loopbackName(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// sameFolder compares names; INBOX alone is case-insensitive (RFC 9051, 5.1).
func sameFolder(a, b string) bool {
	return a == b || strings.EqualFold(a, "INBOX") && strings.EqualFold(b, "INBOX")
}

// Name is "<centre>/<account>".
func (c *Channel) Name() string { return string(c.opt.Centre) + "/" + c.opt.Mailbox.ID }

// Health tells how the mailbox is doing.
func (c *Channel) Health() ingest.Health {
	var tokens []ingest.Expiry
	if c.opt.Tokens != nil {
		tokens = c.opt.Tokens.Expires()
	}
	return c.health.report(tokens)
}

// Run takes mail in until ctx ends. Each folder has a connection of its own,
// or all take turns on one when the server allows no more.
func (c *Channel) Run(ctx context.Context) error {
	var folders []*folder
	for _, name := range c.folders {
		folders = append(folders, newFolder(c, name))
	}
	var junk *folder
	if name := c.junkName(); name != "" {
		junk = newFolder(c, name)
		junk.junk = true
	}
	if c.opt.Mailbox.DeleteAfterDays > 0 {
		var deleting sync.WaitGroup
		defer deleting.Wait()
		deleting.Go(func() { c.runArchive(ctx) })
	}
	if len(folders) > 1 {
		if err := c.runApart(ctx, folders, junk); !errors.Is(err, errTooManyConnections) {
			return nil
		}
		c.log.Warn().Msg("the mail server allows no further connection: folders take turns on one")
	}
	(&worker{c: c, folders: folders, junk: junk}).run(ctx)
	return nil
}

// runApart runs one connection per folder until ctx ends or the server allows
// no further one.
func (c *Channel) runApart(ctx context.Context, folders []*folder, junk *folder) error {
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for i, f := range folders {
		w := &worker{c: c, folders: []*folder{f}, apart: true}
		if i == 0 {
			w.junk = junk
		}
		all.Go(func() {
			if err := w.run(inner); err != nil {
				cancel(err)
			}
		})
	}
	all.Wait()
	return context.Cause(inner)
}

// cursorName is free of the folder's name, which people choose.
func (c *Channel) cursorName(folder string) string {
	if sameFolder(folder, "INBOX") {
		folder = "INBOX"
	}
	sum := sha256.Sum256([]byte(folder))
	return "imap/" + c.Name() + "/" + hex.EncodeToString(sum[:8])
}
