package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"sekretariat"
	"sekretariat/ledger"
)

// maxDuties bounds the contact duties of one person with one department that
// are looked through for one that still runs.
const maxDuties = 200

// shareDuty sees to it that several letters of one person in one matter share
// one contact duty (rule P15): while the duty of an earlier letter of the same
// label runs, a further one opens none and says where the first is; a closed
// letter is never named. Who is the same is known by the keyed digest of the mail's sender; without one, each
// letter stands for itself.
func (p *Pipeline) shareDuty(ctx context.Context, d sekretariat.ReadData, a *sekretariat.Advice) error {
	if !a.Decision.ContactDuty || a.Decision.Closed || d.Thread == nil || d.Thread.Sender == "" || a.Decision.Label == "" {
		return nil
	}
	for n := range maxDuties {
		name := fmt.Sprintf("duty.%s.%s.%s.%d", p.id, d.Thread.Sender, a.Decision.Label, n)
		won, err := p.o.Claims.Claim(ctx, name, []byte(d.Letter))
		if err != nil {
			return fmt.Errorf("ask for the contact duty of letter %s: %w", d.Letter, err)
		}
		first := sekretariat.LetterID(won)
		if first == d.Letter {
			return nil
		}
		runs, printed, err := p.dutyRuns(ctx, first, a.Decision.Label)
		if err != nil {
			return err
		}
		if runs {
			a.Decision.ContactDuty = false
			a.Warnings = append(a.Warnings, "Obowiązek kontaktu z tą osobą jest już otwarty przy piśmie "+printed+"; jeden kontakt wystarczy.")
			return nil
		}
	}
	return nil // nobody has so many: it stands for itself
}

// dutyRuns tells whether somebody still has to contact the writer of an open
// letter, and its number as people know it.
func (p *Pipeline) dutyRuns(ctx context.Context, id sekretariat.LetterID, label string) (runs bool, printed string, err error) {
	state, _, err := State(ctx, p.o.Log, id.Submission())
	if errors.Is(err, ledger.ErrNotFound) {
		return false, "", nil
	}
	if err != nil {
		return false, "", err
	}
	l := state.Letters[id.Part()]
	if l == nil || l.Cancelled || l.Closed || l.Decision.Label != label {
		return false, "", nil
	}
	runs = slices.ContainsFunc(l.Clocks(), func(c sekretariat.RunningDeadline) bool { return c.Code == sekretariat.ContactClock && c.Stop == nil })
	return runs, p.o.Centre.Print(l.Number), nil
}
