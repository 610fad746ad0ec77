// Package ingest takes deliveries in: the receiver (stage, keep, announce) and
// the contract that every channel fulfils. A channel is a sub-package: it
// knows its protocol and its source, hands each delivery to the receiver and
// tells the source only after the receiver said that it is durable. Channels
// know nothing of each other or of what becomes of letters.
package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"sekretariat"
)

// Receiver makes deliveries durable. Of any number of deliveries with the same
// identity exactly one becomes a submission.
type Receiver interface {
	// Take reads body to its end and returns a ticket. The body is not durable
	// yet and the source must not be told. Take blocks while too much is in
	// flight (memory is bounded). Errors of body are returned wrapped; nothing
	// of a body that failed is kept. Returns ErrTooLarge when body is over the
	// hard limit.
	Take(ctx context.Context, d sekretariat.Delivery, body io.Reader) (Ticket, error)
	// Seen counts a repeat that a channel recognised by itself. Repeats that
	// went through Take are counted by the receiver.
	Seen(ctx context.Context, centre sekretariat.CentreID, d sekretariat.SeenData) error
	// Park puts an item that cannot be taken in (over the hard limit, refused
	// by the source, damaged at the source) before a clerk: it becomes a
	// submission of its own whose body is a note in Polish, parked with the
	// reason. identity makes repeats one; it is kept apart from the identities
	// of Take, so that the item itself can still come in later. Waits until
	// the note is durable.
	Park(ctx context.Context, d sekretariat.Delivery, reason sekretariat.ParkReason, note string) (sekretariat.Receipt, error)
}

// Ticket stands for a delivery on its way to becoming durable. Many tickets
// are made durable together, so take several before waiting.
type Ticket interface {
	// Wait returns once original, manifest and event are durable and the event
	// is acknowledged: only now may the source be told. An error means: not
	// durable, deliver again later (with no harm if it was after all).
	Wait(ctx context.Context) (sekretariat.Receipt, error)
}

// ErrTooLarge is returned by Take for a body over the hard limit. The delivery
// stays at its source; the channel parks a note (see Receiver.Park).
var ErrTooLarge = errors.New("delivery is over the hard limit")

// Channel is one running source: a mailbox, a skrytka, a box.
type Channel interface {
	// Name is stable, unique in the installation and free of personal data:
	// "<centre>/<account>". It names the lease that makes sure that one
	// process runs the channel.
	Name() string
	// Run takes deliveries in until ctx ends, re-connecting by itself with
	// back-off. It returns nil when ctx ended and an error only for what no
	// repetition can mend (a wrong configuration).
	Run(ctx context.Context) error
	// Health tells how the channel is doing, for the page and the metrics.
	Health() Health
}

// Health is the state of one channel.
type Health struct {
	OK      bool   `json:"ok"`
	Message string `json:"message,omitempty"` // plain Polish, for the clerk: what is wrong, since when, what to do
	Code    string `json:"code"`              // for metrics and logs: "ok", "login", "connect", "certificate", "folder", …
	// Waiting is how many deliveries the source still holds that the ledger
	// does not know, by the last reconciliation; -1 = not known.
	Waiting int `json:"waiting"`
	// Figures are further measurements for the metrics, by name with unit
	// ("certificate_expires_seconds": seconds since 1970 UTC). Names and values
	// hold no personal data.
	Figures map[string]float64 `json:"figures,omitempty"`
	// Since is when the trouble that Code names began; zero without trouble.
	Since time.Time `json:"since,omitzero"`
	// Expires lists what the channel lives on and must be renewed in time.
	Expires []Expiry `json:"expires,omitempty"`
}

// Expiry is the end of something that has to be renewed.
type Expiry struct {
	What string    `json:"what"` // "certificate", "ca", "token", "client-secret", …
	At   time.Time `json:"at"`
	// Stage is the warning that is due (rule P10): 0 none, then 60, 30, 7 days
	// ahead, -1 after the end.
	Stage int `json:"stage"`
}

// Stages of warnings before something ends, days (rule P10).
var expiryStages = []int{7, 30, 60}

// NewExpiry finds the stage for something that is valid from begin (zero: not
// known) to end. What is renewed every few weeks by itself is not worth a
// warning before a sixth of its life is left: a certificate of 90 days has 15
// left when its renewal has failed for a fortnight.
func NewExpiry(what string, begin, end, now time.Time) Expiry {
	e := Expiry{What: what, At: end}
	left := end.Sub(now)
	if left <= 0 {
		e.Stage = -1
		return e
	}
	if !begin.IsZero() && left > end.Sub(begin)/6 {
		return e
	}
	for _, days := range expiryStages {
		if left <= time.Duration(days)*24*time.Hour {
			e.Stage = days
			break
		}
	}
	return e
}

// Days is how many whole days are left; negative after the end.
func (e Expiry) Days(now time.Time) int {
	return int(math.Floor(e.At.Sub(now).Hours() / 24))
}

// FigureCertificate is the figure of when the certificate that a channel signs
// in with expires, in seconds since 1970 UTC.
const FigureCertificate = "certificate_expires_seconds"

// Checkable is a channel whose settings can be tried out.
type Checkable interface {
	// Check connects to the source as the channel would and takes nothing. It
	// goes on as far as it can and returns what it found, in the order in which
	// it looked.
	Check(ctx context.Context) []Check
}

// Verdict is the outcome of one step of a check.
type Verdict string

// The verdicts.
const (
	CheckGood    Verdict = "good"
	CheckDoubt   Verdict = "doubt" // works, but somebody should look at it
	CheckBad     Verdict = "bad"   // nothing is received before this is mended
	CheckSkipped Verdict = "skipped"
)

// Check is one step of trying a channel out.
type Check struct {
	What    string  // what was looked at, in Polish: "certyfikat systemu"
	Verdict Verdict //
	Text    string  // in plain Polish: what was found, and what to do
}

// PolishDay writes a day as an office does, for Health.Message.
func PolishDay(t time.Time) string { return t.In(sekretariat.Warsaw()).Format("02.01.2006") }

// PolishClock writes a time as an office does: the hour alone for today.
func PolishClock(now, t time.Time) string {
	t = t.In(sekretariat.Warsaw())
	if sekretariat.Day(now) == sekretariat.Day(t) {
		return fmt.Sprintf("%d:%02d", t.Hour(), t.Minute())
	}
	return fmt.Sprintf("%s, %d:%02d", t.Format("02.01.2006"), t.Hour(), t.Minute())
}
