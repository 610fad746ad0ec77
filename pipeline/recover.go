package pipeline

import (
	"context"
	"errors"

	"sekretariat"
	"sekretariat/ledger"
)

// recoverers is how many sightings are worked on at once.
const recoverers = 4

// releasedByMailbox says who released a mail that somebody moved out of the
// folder for spam.
const releasedByMailbox = "mailbox"

// recover makes a letter of a mail that was set aside because the mail server
// took it for spam, and that a person then moved to where letters come in: they
// have said "to jest pismo" in their mail program. It gets its number with its
// first arrival (rule P8). Whatever else was set aside stays: a program may have
// moved it, and its reason is another.
func (p *Pipeline) recover(ctx context.Context, s ledger.Stored) error {
	if s.Event.Type != sekretariat.EventSeen {
		return nil
	}
	d, err := sekretariat.DataOf[sekretariat.SeenData](s.Event)
	if err != nil {
		return ledger.Permanent(err)
	}
	if !d.FromJunk {
		return nil
	}
	id := sekretariat.NewLetterID(d.Submission, 1)
	l, _, err := p.present(ctx, id) // not sorted yet: it comes again
	if err != nil {
		return err
	}
	if l.Reason != sekretariat.ParkSpam {
		return nil
	}
	err = p.release(ctx, releasedByMailbox, id, func(ctx context.Context) (*sekretariat.Letter, uint64, error) { return p.present(ctx, id) })
	if errors.Is(err, ErrInvalid) {
		return nil // it has become the second receipt of a letter that is there
	}
	return err
}
