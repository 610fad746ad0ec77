package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"sekretariat"
	"sekretariat/pipeline"
	"sekretariat/register/index"
)

// Parked is why and until when a letter is set aside.
type Parked struct {
	Reason sekretariat.ParkReason    `json:"reason"`
	Text   string                    `json:"text"` // in Polish
	Of     sekretariat.LetterID      `json:"of,omitempty"`
	Until  *time.Time                `json:"until,omitempty"` // then it registers itself
	Junk   *sekretariat.Confirmation `json:"junk,omitempty"`  // a person said that it is no letter
}

func parkedOf(reason sekretariat.ParkReason, of sekretariat.LetterID, hold time.Time, junk *sekretariat.Confirmation) *Parked {
	p := &Parked{Reason: reason, Text: reason.Polish(), Of: of, Junk: junk}
	if !hold.IsZero() {
		p.Until = &hold
	}
	return p
}

// MatterLetter is another letter of the same matter: an answer, or what it
// answers, of the same sender.
type MatterLetter struct {
	Letter     sekretariat.LetterID     `json:"letter"`
	Identifier string                   `json:"identifier,omitempty"`
	Printed    string                   `json:"printed,omitempty"`
	Day        string                   `json:"day"` // data wpływu
	Status     sekretariat.Status       `json:"status"`
	Reason     sekretariat.ParkReason   `json:"reason,omitempty"`
	Department sekretariat.DepartmentID `json:"department"`
}

// Acknowledgement is how far the acknowledgement of a letter has come.
type Acknowledgement struct {
	State sekretariat.AckState `json:"state"`
	Code  string               `json:"code,omitempty"`
	Text  string               `json:"text,omitempty"` // of the code, in Polish
	At    time.Time            `json:"at"`
	Due   *time.Time           `json:"due,omitempty"` // of the next attempt
}

func (a *api) acknowledgement(c call, ack *sekretariat.Acknowledgement) *Acknowledgement {
	if ack == nil {
		return nil
	}
	out := &Acknowledgement{State: ack.State, Code: ack.Code, At: ack.At}
	if out.Code != "" && c.c.Why != nil {
		out.Text = c.c.Why(ack.Code)
	}
	if ack.State.Open() {
		out.Due = &ack.Due
	}
	return out
}

// around adds what hangs together with a letter. The read model may be a moment
// behind: what it does not know yet is left out.
func (a *api) around(ctx context.Context, c call, l *sekretariat.Letter, out *Letter) error {
	out.Acknowledgement = a.acknowledgement(c, l.Ack)
	if l.Status == sekretariat.StatusParked {
		out.Parked = parkedOf(l.Reason, l.Of, l.Hold, l.Junk)
		out.Why = out.Parked.Text
	}
	ix := c.c.Index
	if ix == nil {
		return nil
	}
	receipts, err := ix.Receipts(ctx, c.who, l.ID)
	if errors.Is(err, index.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(receipts) > 1 || receipts[0].Repeats > 0 {
		out.Receipts = receipts
	}
	rows, err := ix.Matter(ctx, c.who, l.ID)
	if err != nil {
		return err
	}
	for _, r := range rows {
		out.Matter = append(out.Matter, MatterLetter{
			Letter: r.Letter, Identifier: r.Number.Identifier(), Printed: c.c.Print(r.Number), Day: sekretariat.Day(r.Arrived),
			Status: r.Status, Reason: r.Reason, Department: r.Department,
		})
	}
	out.ContactBad, err = ix.SenderBad(ctx, c.who, l.ID, a.Clock())
	return err
}

// released is "to jest pismo".
func (a *api) released(ctx context.Context, c call) error {
	return a.bare(c, c.c.Pipeline.Release(ctx, c.who, c.id))
}

// park gives a parked item a category of rule P9.
func (a *api) park(ctx context.Context, c call) error {
	return a.command(c, func(cmd command) error { return c.c.Pipeline.Park(ctx, c.who, c.id, cmd.Category, cmd.Department) })
}

func (a *api) junkConfirmed(ctx context.Context, c call) error {
	return a.bare(c, c.c.Pipeline.ConfirmJunk(ctx, c.who, c.id))
}

// bare answers a command that needs no body.
func (a *api) bare(c call, err error) error {
	if err == nil {
		c.w.WriteHeader(http.StatusNoContent)
	}
	return err
}

// Listed is one line of a list.
type Listed struct {
	Letter          sekretariat.LetterID     `json:"letter"`
	Printed         string                   `json:"printed,omitempty"`
	Kind            sekretariat.Kind         `json:"kind"`
	Account         string                   `json:"account"`
	Department      sekretariat.DepartmentID `json:"department"`
	Day             string                   `json:"day"` // data wpływu
	Received        time.Time                `json:"received"`
	Parked          *Parked                  `json:"parked,omitempty"`
	Acknowledgement *Acknowledgement         `json:"acknowledgement,omitempty"`
}

// List is a page of a list. Next is the value of "after" for the next page.
type List struct {
	Letters []Listed `json:"letters"`
	Next    string   `json:"next,omitempty"`
}

func (a *api) listed(c call, rows []index.Row, next string) {
	out := List{Letters: []Listed{}, Next: next}
	for _, r := range rows {
		l := Listed{
			Letter: r.Letter, Printed: c.c.Print(r.Number), Kind: r.Kind, Account: r.Account, Department: r.Department,
			Day: sekretariat.Day(r.Arrived), Received: r.Received, Acknowledgement: a.acknowledgement(c, r.Ack),
		}
		if r.Status == sekretariat.StatusParked {
			l.Parked = parkedOf(r.Reason, r.Of, r.Hold, r.Junk)
		}
		out.Letters = append(out.Letters, l)
	}
	answer(c.w, http.StatusOK, out)
}

// parked lists what waits aside with a reason, the oldest first (rule P8).
func (a *api) parked(ctx context.Context, c call) error {
	if c.c.Index == nil {
		return pipeline.ErrNotFound
	}
	rows, next, err := c.c.Index.Parked(ctx, c.who, index.Page{After: c.r.URL.Query().Get("after")})
	if err != nil {
		return err
	}
	a.listed(c, rows, next)
	return nil
}

// outbox lists the letters whose acknowledgement is not settled; with "state"
// those in that state.
func (a *api) outbox(ctx context.Context, c call) error {
	if c.c.Index == nil {
		return pipeline.ErrNotFound
	}
	var states []sekretariat.AckState
	for _, s := range c.r.URL.Query()["state"] {
		states = append(states, sekretariat.AckState(s))
	}
	rows, next, err := c.c.Index.Outbox(ctx, c.who, states, index.Page{After: c.r.URL.Query().Get("after")})
	if err != nil {
		return err
	}
	a.listed(c, rows, next)
	return nil
}
