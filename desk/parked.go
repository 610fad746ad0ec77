package desk

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/pipeline"
)

// parkedView is what a clerk can do with an item that is set aside.
type parkedView struct {
	Categories []sekretariat.ParkReason // of rule P9
	Junk       bool                     // may be confirmed to be none (rule P8)
	Confirmed  bool
	// Departments may get it without a number.
	Departments []configs.Department
	Note        bool // only a note is here, the item waits at its source
}

var categories = []sekretariat.ParkReason{sekretariat.ParkWorking, sekretariat.ParkInternal, sekretariat.ParkInformational}

// releasable tells whether "to jest pismo" makes sense of an item: not of a
// note about one, a twin, or a package whose letters came in by themselves.
func releasable(r sekretariat.ParkReason) bool {
	switch r {
	case sekretariat.ParkDuplicate, sekretariat.ParkOversize, sekretariat.ParkRefused, sekretariat.ParkPackage:
		return false
	}
	return true
}

func parkedOf(v visit, l *sekretariat.Letter) *parkedView {
	c := v.c.Config
	if !v.who.Decides() || l.Status != sekretariat.StatusParked || l.Reason == sekretariat.ParkDuplicate {
		return nil
	}
	return &parkedView{
		Departments: slices.DeleteFunc(slices.Clone(c.Departments), func(d configs.Department) bool { return d.ID == sekretariat.Sekretariat }),
		Categories:  categories, Junk: l.Reason.Junk() && l.Junk == nil, Confirmed: l.Junk != nil,
		Note: l.Reason == sekretariat.ParkOversize || l.Reason == sekretariat.ParkRefused,
	}
}

// release is "to jest pismo": the item gets a number, with its first arrival as
// day of receipt.
func (d *Desk) release(ctx context.Context, v visit) error {
	return d.parking(v, func(id sekretariat.LetterID) error { return v.c.Pipeline.Release(ctx, v.who, id) })
}

// park says that an item is not subject to registration.
func (d *Desk) park(ctx context.Context, v visit) error {
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxForm)
	if err := v.r.ParseForm(); err != nil {
		return fmt.Errorf("%w: the form", pipeline.ErrInvalid)
	}
	reason := sekretariat.ParkReason(v.r.PostForm.Get("kategoria"))
	to := sekretariat.DepartmentID(v.r.PostForm.Get("dzial"))
	return d.parking(v, func(id sekretariat.LetterID) error { return v.c.Pipeline.Park(ctx, v.who, id, reason, to) })
}

// confirmJunk says that a person has looked and found no letter.
func (d *Desk) confirmJunk(ctx context.Context, v visit) error {
	return d.parking(v, func(id sekretariat.LetterID) error { return v.c.Pipeline.ConfirmJunk(ctx, v.who, id) })
}

func (d *Desk) parking(v visit, do func(sekretariat.LetterID) error) error {
	id, err := sekretariat.ParseLetterID(v.r.PathValue("letter"))
	if err != nil {
		return pipeline.ErrNotFound
	}
	if err := do(id); err != nil {
		return err
	}
	return d.goTo(v, "/")
}

// addAround adds what hangs together with a letter: other letters of the
// matter, the arrivals of the same mail. The read model may be a moment behind.
func (d *Desk) addAround(ctx context.Context, v visit, l *sekretariat.Letter, data *letterData) error {
	rows, err := v.c.Index.Matter(ctx, v.who, l.ID)
	if err != nil {
		return err
	}
	data.Matter = d.rows(v.c, rows)
	receipts, err := v.c.Index.Receipts(ctx, v.who, l.ID)
	if err != nil {
		return err
	}
	if len(receipts) > 1 || len(receipts) == 1 && receipts[0].Repeats > 0 {
		data.Receipts = receipts
	}
	if data.BadContact, err = v.c.Index.SenderBad(ctx, v.who, l.ID, d.o.Clock()); err != nil {
		return err
	}
	if l.Ack != nil {
		data.Ack = ackView{State: l.Ack.State, At: l.Ack.At}
		if v.c.Why != nil && l.Ack.Code != "" {
			data.Ack.Why = v.c.Why(l.Ack.Code)
		}
	}
	return nil
}
