package pipeline

import (
	"context"
	"fmt"

	"sekretariat"
	"sekretariat/ledger"
)

// Unlearn takes a letter out of what the router learns from, for good. What was
// learned from it is forgotten at once.
func (p *Pipeline) Unlearn(ctx context.Context, who sekretariat.Principal, id sekretariat.LetterID) error {
	if !who.Decides() {
		return ErrForbidden
	}
	for {
		_, seq, err := p.letter(ctx, who, id)
		if err != nil {
			return err
		}
		e, err := p.event(sekretariat.EventUnlearned, "learning", string(id), 0, sekretariat.UnlearnedData{Letter: id, By: who.ID})
		if err != nil {
			return err
		}
		_, err = p.o.Log.Append(ctx, ledger.Letter, ledger.Record{Subject: string(id.Submission()), LastSeq: seq, Event: *e})
		if err == nil {
			return nil
		}
		if !isConflict(err) {
			return fmt.Errorf("take %s out of learning: %w", id, err)
		}
	}
}
