package pipeline

import (
	"context"
	"fmt"

	"sekretariat"
	"sekretariat/ledger"
)

// RuleOverdue is the rule id of a letter that went to the sekretariat because
// reading or deciding did not come to an end in time. What comes later decides
// anew, unless a person has taken the letter meanwhile.
const RuleOverdue = "overdue"

// Overdue gives a letter that has its number but was not read and decided
// within 15 minutes to the sekretariat (contract of the queues): a person reads it
// meanwhile. Who is overdue, the caller knows from the read model; nothing
// happens to a letter that was decided since.
func (p *Pipeline) Overdue(ctx context.Context, id sekretariat.LetterID, n sekretariat.Number) error {
	state, seq, err := State(ctx, p.o.Log, id.Submission())
	if err != nil {
		return err
	}
	l := state.Letters[id.Part()]
	if l == nil {
		return fmt.Errorf("letter %s: %w", id, ledger.ErrNotFound)
	}
	for {
		if l.Decided() || l.Cancelled || l.Status == sekretariat.StatusParked {
			return nil
		}
		decision := sekretariat.Decision{
			Department: sekretariat.Sekretariat, Urgency: sekretariat.Normal, Rule: RuleOverdue,
			Evidence: []sekretariat.Evidence{{Field: "fallback", Term: RuleOverdue}}, Config: p.o.Centre.Version,
		}
		e, err := p.routed(l, id, n, decision, l.Closed, l.Arrived.Received, "", nil)
		if err != nil {
			return err
		}
		_, err = p.o.Log.Append(ctx, ledger.Letter, ledger.Record{Subject: string(id.Submission()), LastSeq: seq, Event: *e})
		if !isConflict(err) {
			return err
		}
		if state, seq, err = State(ctx, p.o.Log, id.Submission()); err != nil {
			return err
		}
		l = state.Letters[id.Part()]
	}
}
