// Package manual takes in what a clerk writes down: telephone notes, people at
// the desk, letters by post. The form on the page is the source; its id makes a
// form that is sent twice one submission.
package manual

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"sekretariat"
	"sekretariat/extract/note"
	"sekretariat/ingest"
)

// Account is the account of everything that is typed in. It is part of every
// submission id.
const Account = "formularz"

var doors = map[note.Way]sekretariat.Door{note.Phone: sekretariat.DoorPhone, note.Person: sekretariat.DoorForm, note.Post: sekretariat.DoorPost}

// ErrSent is returned when the form was sent before with other words: the first
// ones stand.
var ErrSent = errors.New("this form was sent before")

// Options describe where a note belongs.
type Options struct {
	Receiver ingest.Receiver
	Centre   sekretariat.CentreID
	Clock    sekretariat.Clock
	// Department that the clerk named, "" = the router finds it.
	Department sekretariat.DepartmentID
	Unit       string
}

// Take makes a note durable and returns its letter. The day of receipt is what
// the clerk says (rule P2), never in the future. Returns note.ErrBad and
// ErrSent; with ErrSent the letter is the one that stands.
func Take(ctx context.Context, o Options, n note.Note) (sekretariat.LetterID, error) {
	now := o.Clock()
	if err := n.Check(sekretariat.Day(now)); err != nil {
		return "", err
	}
	at, err := sekretariat.MomentOf(n.Day, now)
	if err != nil {
		return "", fmt.Errorf("%w: data wpływu", note.ErrBad)
	}
	raw, err := n.Encode()
	if err != nil {
		return "", err
	}
	d := sekretariat.Delivery{
		Centre: o.Centre, Kind: sekretariat.KindManual, Door: doors[n.Way], Account: Account, Unit: o.Unit, Department: o.Department,
		Identity:  func(sekretariat.BodyFacts) []string { return []string{n.Form} },
		Arrived:   sekretariat.Arrival{At: at, Basis: sekretariat.BasisClerk},
		MediaType: note.MediaType,
		Source:    map[string]string{"way": string(n.Way), "tracking": n.Tracking},
	}
	if t, err := time.ParseInLocation(time.DateOnly, n.Posted, sekretariat.Warsaw()); err == nil {
		d.Sent = t.UTC()
	}
	ticket, err := o.Receiver.Take(ctx, d, bytes.NewReader(raw))
	if err != nil {
		return "", fmt.Errorf("take a note in: %w", err)
	}
	receipt, err := ticket.Wait(ctx)
	if err != nil {
		return "", fmt.Errorf("take a note in: %w", err)
	}
	id := sekretariat.NewLetterID(receipt.Submission, 1)
	if receipt.Repeat && receipt.Original != sekretariat.DigestOf(raw) {
		return id, ErrSent
	}
	return id, nil
}
