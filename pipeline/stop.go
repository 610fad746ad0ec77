package pipeline

import (
	"context"
	"fmt"
	"slices"

	"sekretariat"
)

// StopDeadline ends one clock of a letter with a reason: an answer was sent, the
// matter passed on, taken back, or the clock never applied. The owner may, and
// the sekretariat.
func (p *Pipeline) StopDeadline(ctx context.Context, who sekretariat.Principal, id sekretariat.LetterID, code string, why sekretariat.StopReason) error {
	if !slices.Contains(sekretariat.StopReasons, why) {
		return fmt.Errorf("%w: a clock ends by one of %v", ErrInvalid, sekretariat.StopReasons)
	}
	for {
		l, seq, err := p.letter(ctx, who, id)
		if err != nil {
			return err
		}
		if !who.Decides() && !slices.Contains(who.Departments, l.Department) {
			return ErrForbidden
		}
		clocks := l.Clocks()
		i := slices.IndexFunc(clocks, func(c sekretariat.RunningDeadline) bool { return c.Code == code })
		switch {
		case i < 0:
			return fmt.Errorf("%w: the letter has no clock %q", ErrInvalid, code)
		case clocks[i].Stop != nil && clocks[i].Stop.Why == why:
			return nil
		case clocks[i].Stop != nil:
			return ErrChanged
		}
		e, err := p.event(sekretariat.EventDeadlineStopped, "deadline", string(id), int(seq), sekretariat.DeadlineStoppedData{Letter: id, Code: code, Why: why, By: who.ID})
		if err != nil {
			return err
		}
		if err := p.appendLetter(ctx, id, seq, e); !isConflict(err) {
			return err
		}
	}
}
