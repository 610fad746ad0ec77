package pipeline

import (
	"context"
	"errors"
	"fmt"

	"sekretariat"
	"sekretariat/ledger"
)

// sort decides what one submission becomes: letters to be registered, or a
// parked one with the reason. Doubt means: register as one letter. The first
// stored outcome wins.
func (p *Pipeline) sort(ctx context.Context, s ledger.Stored) error {
	if s.Event.Type != sekretariat.EventArrived {
		return ledger.Permanent(fmt.Errorf("event %s on INTAKE", s.Event.Type))
	}
	a, err := sekretariat.DataOf[sekretariat.ArrivedData](s.Event)
	if err != nil {
		return ledger.Permanent(err)
	}
	letter, err := p.judge(ctx, a)
	if err != nil {
		return err
	}
	if letter.Action == sekretariat.ActionPark {
		p.glanced.take(string(a.Submission)) // nobody will read it
	}
	e, err := p.event(sekretariat.EventSorted, "sort", string(a.Submission), 0,
		sekretariat.SortedData{Arrived: a, Letters: []sekretariat.SortedLetter{letter}})
	if err != nil {
		return err
	}
	_, err = p.o.Log.Append(ctx, ledger.Letter, ledger.Record{Subject: string(a.Submission), Event: *e})
	if errors.Is(err, ledger.ErrConflict) {
		return nil // sorted before: that outcome stands
	}
	if err == nil && letter.Action == sekretariat.ActionPark {
		p.tell(Step{Letter: sekretariat.NewLetterID(a.Submission, 1), Type: sekretariat.EventSorted, Kind: a.Kind, Took: p.o.Clock().Sub(a.Received),
			Decision: sekretariat.Decision{Rule: string(letter.Reason)}})
	}
	return err
}

func (p *Pipeline) judge(ctx context.Context, a sekretariat.ArrivedData) (sekretariat.SortedLetter, error) {
	// Which series is in force is asked for each letter: a service runs for
	// months, and a series may begin on a certain day (rule P1).
	l := sekretariat.SortedLetter{Part: 1, Series: p.o.Centre.SeriesOf(a.Series, a.Unit, a.Received), Action: sekretariat.ActionRegister}
	switch {
	case a.Park != "":
		return parked(l, a.Park, ""), nil
	case a.Test:
		return parked(l, sekretariat.ParkTest, ""), nil
	}
	if aside, proof, err := p.proofAside(ctx, a, l); proof || err != nil {
		return aside, err
	}
	opened, err := p.unpack(ctx, a)
	if err != nil {
		return l, err
	}
	if opened {
		return parked(l, sekretariat.ParkPackage, ""), nil
	}
	apart, err := p.partBatch(ctx, a)
	if err != nil {
		return l, err
	}
	if apart {
		return parked(l, sekretariat.ParkBatch, ""), nil
	}
	if a.Kind == sekretariat.KindMail {
		v, err := p.look(ctx, a)
		if err != nil {
			return l, err
		}
		if v.bounced != "" {
			if err := p.bounced(ctx, v, sekretariat.NewLetterID(a.Submission, 1)); err != nil {
				return l, err
			}
		}
		if v.reason != "" {
			return p.setAside(ctx, a, l, v)
		}
	}
	// Only what is to be registered claims to be the first of its twins: a
	// letter never waits behind a copy of itself that was set aside.
	first, err := p.firstTwin(ctx, a, l.Series)
	if err != nil {
		return l, err
	}
	if first != a.Submission {
		return parked(l, sekretariat.ParkDuplicate, sekretariat.NewLetterID(first, 1)), nil
	}
	return l, nil
}

func parked(l sekretariat.SortedLetter, why sekretariat.ParkReason, of sekretariat.LetterID) sekretariat.SortedLetter {
	l.Action, l.Reason, l.Of = sekretariat.ActionPark, why, of
	return l
}

// firstTwin returns the submission that was first to bring this content to the
// series: one mail to two mailboxes of a series is one registered letter and a
// parked twin (invariant I2). With a single account of the kind there are no
// twins, and nothing need be asked.
func (p *Pipeline) firstTwin(ctx context.Context, a sekretariat.ArrivedData, series sekretariat.SeriesID) (sekretariat.SubmissionID, error) {
	if a.Content == "" || !p.mayHaveTwins(a) {
		return a.Submission, nil
	}
	name := fmt.Sprintf("twin.%s.%s.%s.%s", p.id, series, a.Kind, a.Content)
	w, err := p.o.Claims.Claim(ctx, name, []byte(a.Submission))
	if err != nil {
		return "", fmt.Errorf("ask for twins of submission %.12s…: %w", a.Submission, err)
	}
	return sekretariat.ParseSubmissionID(string(w))
}

func (p *Pipeline) mayHaveTwins(a sekretariat.ArrivedData) bool {
	return a.Kind == sekretariat.KindMail && len(p.o.Centre.Mailboxes) > 1
}
