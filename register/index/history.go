package index

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sekretariat"
	"sekretariat/ledger"
)

// Step is one thing that happened to a letter.
type Step struct {
	Type       sekretariat.EventType
	At         time.Time
	By         string                   // principal, "" = the machine
	Department sekretariat.DepartmentID // new owner, receiving or handling department
	From       sekretariat.DepartmentID // owner before
	Revision   int
	Rule       string // deciding rule
	Copy       bool   // queued for information only
	Code       string // park or cancel reason, failed step's code, action of an access
	Allowed    bool   // of an access
}

// History returns what happened to a letter that the principal may see in
// full, the oldest first. It reads the letter's own events from the ledger, so
// that it is complete whatever the index forgot. Returns ErrNotFound.
func (x *Index) History(ctx context.Context, log ledger.Log, p sekretariat.Principal, id sekretariat.LetterID) ([]Step, error) {
	l, err := x.Letter(ctx, p, id)
	if err != nil {
		return nil, err
	}
	steps := []Step{{Type: sekretariat.EventArrived, At: l.Arrived.Received}}
	if !l.Registered.IsZero() {
		steps = append(steps, Step{Type: sekretariat.EventRegistered, At: l.Registered})
	}
	events, err := log.Subject(ctx, ledger.Letter, string(id.Submission()))
	if err != nil && !errors.Is(err, ledger.ErrNotFound) {
		return nil, fmt.Errorf("history of a letter: %w", err)
	}
	for _, s := range events {
		step, mine, err := stepOf(s.Event, id)
		if err != nil {
			return nil, fmt.Errorf("history of a letter: %w", err)
		}
		if mine {
			steps = append(steps, step)
		}
	}
	for _, more := range []func(context.Context, sekretariat.LetterID) ([]Step, error){x.queueSteps, x.accessSteps} {
		s, err := more(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("history of a letter: %w", err)
		}
		steps = append(steps, s...)
	}
	slices.SortStableFunc(steps, func(a, b Step) int { return a.At.Compare(b.At) })
	return steps, nil
}

// stepOf reads what an event says of one letter; other letters of the same
// submission may belong to other departments and are left out.
func stepOf(e sekretariat.Event, id sekretariat.LetterID) (Step, bool, error) {
	s := Step{Type: e.Type, At: e.Time}
	var of sekretariat.LetterID
	var err error
	switch e.Type {
	case sekretariat.EventSorted:
		var d sekretariat.SortedData
		if d, err = sekretariat.DataOf[sekretariat.SortedData](e); err == nil {
			of = s.sortedAs(d.Letters, id)
		}
	case sekretariat.EventSplit:
		var d sekretariat.SplitData
		if d, err = sekretariat.DataOf[sekretariat.SplitData](e); err == nil {
			s.By = d.By
			if of = s.sortedAs(d.Letters, id); d.From == id {
				of = id
			}
		}
	case sekretariat.EventReleased:
		var d sekretariat.ReleasedData
		d, err = sekretariat.DataOf[sekretariat.ReleasedData](e)
		of, s.By, s.Code = d.Letter, d.By, d.Reason
	case sekretariat.EventParked:
		var d sekretariat.ParkedData
		d, err = sekretariat.DataOf[sekretariat.ParkedData](e)
		of, s.By, s.Code, s.Department, s.Revision = d.Letter, d.By, string(d.Reason), d.Department, d.Revision
	case sekretariat.EventJunkConfirmed:
		var d sekretariat.JunkConfirmedData
		d, err = sekretariat.DataOf[sekretariat.JunkConfirmedData](e)
		of, s.By = d.Letter, d.By
	case sekretariat.EventCancelled:
		var d sekretariat.CancelledData
		d, err = sekretariat.DataOf[sekretariat.CancelledData](e)
		of, s.By, s.Code = d.Letter, d.By, d.Reason
	case sekretariat.EventRecognised:
		var d sekretariat.RecognisedData
		d, err = sekretariat.DataOf[sekretariat.RecognisedData](e)
		of, s.Code, s.By = d.Letter, string(d.State), d.By
	case sekretariat.EventRead:
		var d sekretariat.ReadData
		d, err = sekretariat.DataOf[sekretariat.ReadData](e)
		of, s.Code = d.Letter, string(d.Outcome)
	case sekretariat.EventReread:
		var d sekretariat.RereadData
		d, err = sekretariat.DataOf[sekretariat.RereadData](e)
		of, s.Code = d.Letter, string(d.Outcome)
	case sekretariat.EventRedated:
		var d sekretariat.RedatedData
		d, err = sekretariat.DataOf[sekretariat.RedatedData](e)
		of, s.By, s.Code = d.Letter, d.By, d.Code
	case sekretariat.EventAdvised:
		var d sekretariat.AdvisedData
		d, err = sekretariat.DataOf[sekretariat.AdvisedData](e)
		of, s.Department = d.Letter, d.Department
	case sekretariat.EventRouted:
		var d sekretariat.RoutedData
		d, err = sekretariat.DataOf[sekretariat.RoutedData](e)
		of, s.By, s.From, s.Department, s.Revision, s.Rule = d.Letter, d.By, d.From, d.Decision.Department, d.Revision, d.Decision.Rule
	case sekretariat.EventAlarmClimbed:
		var d sekretariat.AlarmClimbedData
		d, err = sekretariat.DataOf[sekretariat.AlarmClimbedData](e)
		of, s.Code = d.Letter, d.To
	case sekretariat.EventDeadlineStopped:
		var d sekretariat.DeadlineStoppedData
		d, err = sekretariat.DataOf[sekretariat.DeadlineStoppedData](e)
		of, s.By, s.Code = d.Letter, d.By, string(d.Why)
	case sekretariat.EventAlarmTaken:
		var d sekretariat.AlarmTakenData
		d, err = sekretariat.DataOf[sekretariat.AlarmTakenData](e)
		of, s.By = d.Letter, d.By
	case sekretariat.EventUnlearned:
		var d sekretariat.UnlearnedData
		d, err = sekretariat.DataOf[sekretariat.UnlearnedData](e)
		of, s.By = d.Letter, d.By
	case sekretariat.EventTaken, sekretariat.EventDone:
		var d sekretariat.HandlingData
		d, err = sekretariat.DataOf[sekretariat.HandlingData](e)
		of, s.By, s.Department, s.Revision = d.Letter, d.By, d.Department, d.Revision
	case sekretariat.EventFailed:
		var d sekretariat.FailedData
		d, err = sekretariat.DataOf[sekretariat.FailedData](e)
		of, s.Code = d.Letter, cmp.Or(d.Code, d.Step)
	}
	return s, of == id && id != "", err
}

// sortedAs finds the letter among those of a sorting and notes its reason.
func (s *Step) sortedAs(ls []sekretariat.SortedLetter, id sekretariat.LetterID) sekretariat.LetterID {
	for _, l := range ls {
		if l.Part == id.Part() {
			s.Code = string(l.Reason)
			return id
		}
	}
	return ""
}

func (x *Index) queueSteps(ctx context.Context, id sekretariat.LetterID) ([]Step, error) {
	sub, err := octets(id.Submission())
	if err != nil {
		return nil, err
	}
	rows, err := x.read.QueryContext(ctx, `SELECT department, revision, copy, queued, withdrawn FROM queue
		WHERE submission = ? AND part = ? ORDER BY revision, department`, sub, id.Part())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Step
	for rows.Next() {
		var s Step
		var queued, withdrawn int64
		if err := rows.Scan(&s.Department, &s.Revision, &s.Copy, &queued, &withdrawn); err != nil {
			return nil, err
		}
		if s.Type, s.At = sekretariat.EventQueued, timeOf(queued); queued != 0 {
			out = append(out, s)
		}
		if s.Type, s.At = sekretariat.EventWithdrawn, timeOf(withdrawn); withdrawn != 0 {
			out = append(out, s)
		}
	}
	return out, rows.Err()
}

// accessSteps returns who opened a letter: after a wrong routing the office
// must be able to say (rule P4).
func (x *Index) accessSteps(ctx context.Context, id sekretariat.LetterID) ([]Step, error) {
	sub, err := octets(id.Submission())
	if err != nil {
		return nil, err
	}
	rows, err := x.read.QueryContext(ctx, `SELECT principal, action, allowed, at FROM access
		WHERE submission = ? AND part = ? ORDER BY seq DESC LIMIT ?`, sub, id.Part(), MaxLimit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Step
	for rows.Next() {
		s := Step{Type: sekretariat.EventAccess}
		var at int64
		if err := rows.Scan(&s.By, &s.Code, &s.Allowed, &at); err != nil {
			return nil, err
		}
		s.At = timeOf(at)
		out = append(out, s)
	}
	return out, rows.Err()
}
