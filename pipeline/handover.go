package pipeline

import (
	"context"
	"slices"

	"sekretariat"
	"sekretariat/ledger"
)

// Handing makes the data of an event that parks a letter with a reason and
// gives it to a department without a number (rules P9 and P11); to "" or the
// sekretariat takes it back. Who has the letter is counted by one revision with
// its later decisions, so that a department's system, which keeps the highest,
// is never confused by which came first. An event whose Revision is 0 changes
// the reason alone.
func Handing(l *sekretariat.Letter, reason sekretariat.ParkReason, to sekretariat.DepartmentID, by string) sekretariat.ParkedData {
	d := sekretariat.ParkedData{Letter: l.ID, Reason: reason, Department: to, By: by, Received: l.Arrived.Received}
	if to != "" && to != sekretariat.Sekretariat {
		d.Revision = l.Revision + 1
	}
	if l.Handed() && l.Department != to {
		d.Revision, d.Withdraw = takenBack(l)
	}
	return d
}

// takenBack says who has a parked letter that leaves where it is, and by which
// revision no more; 0 if nobody has it.
func takenBack(l *sekretariat.Letter) (revision int, withdraw []sekretariat.DepartmentID) {
	if !l.Handed() {
		return 0, nil
	}
	return l.Revision + 1, []sekretariat.DepartmentID{l.Department}
}

// handOver puts into effect that a department gets a parked letter without a
// number, or has it no more. Like deliver, it may be repeated: each queue event
// has a subject of its own that must be empty.
func (p *Pipeline) handOver(ctx context.Context, s ledger.Stored) error {
	switch s.Event.Type {
	case sekretariat.EventSorted:
		d, err := sekretariat.DataOf[sekretariat.SortedData](s.Event)
		if err != nil {
			return ledger.Permanent(err)
		}
		for _, l := range d.Letters {
			err := p.hand(ctx, sekretariat.HandedData{
				Letter: sekretariat.NewLetterID(d.Arrived.Submission, l.Part), Department: l.Department, Reason: l.Reason, Revision: 1, Received: d.Arrived.Received,
			})
			if err != nil {
				return err
			}
		}
		return nil
	case sekretariat.EventParked:
		d, err := sekretariat.DataOf[sekretariat.ParkedData](s.Event)
		if err != nil {
			return ledger.Permanent(err)
		}
		if err := p.takeBack(ctx, d.Letter, d.Revision, d.Withdraw); err != nil {
			return err
		}
		return p.hand(ctx, sekretariat.HandedData{Letter: d.Letter, Department: d.Department, Reason: d.Reason, Revision: d.Revision, Received: d.Received})
	}
	d, err := sekretariat.DataOf[sekretariat.ReleasedData](s.Event)
	if err != nil {
		return ledger.Permanent(err)
	}
	return p.takeBack(ctx, d.Letter, d.Revision, d.Withdraw)
}

// hand puts a letter without a number into a department's queue. The
// sekretariat needs none: it has the list of what is parked. Revision 0 is of
// the time when a department could only look.
func (p *Pipeline) hand(ctx context.Context, d sekretariat.HandedData) error {
	if d.Department == "" || d.Department == sekretariat.Sekretariat || d.Revision == 0 {
		return nil
	}
	d.Content = "/api/v1/letters/" + string(d.Letter)
	e, err := p.event(sekretariat.EventHanded, "deliver", string(d.Letter)+"@"+string(d.Department), d.Revision, d)
	if err != nil {
		return err
	}
	return p.enqueue(ctx, d.Department, sekretariat.Normal.Lane(), d.Letter, d.Revision, *e)
}

func (p *Pipeline) takeBack(ctx context.Context, id sekretariat.LetterID, revision int, from []sekretariat.DepartmentID) error {
	for _, former := range slices.Compact(from) {
		if err := p.withdraw(ctx, id, revision, former); err != nil {
			return err
		}
	}
	return nil
}
