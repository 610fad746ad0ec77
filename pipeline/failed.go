package pipeline

import (
	"context"
	"errors"

	"sekretariat"
	"sekretariat/ledger"
)

// Failed puts a letter before a clerk because a step of it failed for good: an
// event that a worker or a department's system could not work on. The same
// failure is told once. A submission that was never sorted has no letter to
// put it on; that is ledger.ErrNotFound, and `verify` names it.
func (p *Pipeline) Failed(ctx context.Context, f sekretariat.FailedData) error {
	return p.amend(ctx, f.Letter, 0, func(l *sekretariat.Letter) (*sekretariat.Event, error) {
		for _, told := range l.Failures {
			if told.Step == f.Step && told.Event == f.Event {
				return nil, nil
			}
		}
		return p.event(sekretariat.EventFailed, "dead-letters", string(f.Letter), len(l.Failures), f)
	})
}

// LetterOf finds the letter that an event is about: its subject, or the first
// letter of the submission that is its subject.
func LetterOf(e sekretariat.Event) (sekretariat.LetterID, error) {
	switch e.Type {
	case sekretariat.EventQueued, sekretariat.EventHanded, sekretariat.EventWithdrawn:
		d, err := sekretariat.DataOf[struct{ Letter sekretariat.LetterID }](e)
		return d.Letter, err
	}
	if id, err := sekretariat.ParseLetterID(e.Subject); err == nil {
		return id, nil
	}
	s, err := sekretariat.ParseSubmissionID(e.Subject)
	if err != nil {
		return "", err
	}
	return sekretariat.NewLetterID(s, 1), nil
}

// Hopeless tells whether a failure cannot be put on a letter.
func Hopeless(err error) bool {
	return errors.Is(err, ledger.ErrNotFound) || errors.Is(err, sekretariat.ErrBadID) || errors.Is(err, sekretariat.ErrOutOfOrder)
}
