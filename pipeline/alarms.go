package pipeline

import (
	"context"
	"errors"
	"slices"

	"sekretariat"
	"sekretariat/ledger"
)

// TakeAlarm makes a person answer for a danger: it climbs no further. Whoever
// sees the letter in full and works on it may; taking the letter itself does
// the same.
func (p *Pipeline) TakeAlarm(ctx context.Context, who sekretariat.Principal, id sekretariat.LetterID) error {
	for {
		l, seq, err := p.letter(ctx, who, id)
		if err != nil {
			return err
		}
		switch {
		case !who.Decides() && !slices.Contains(who.Departments, l.Department):
			return ErrForbidden // a copy is for information
		case l.Alarm == nil:
			return ErrChanged
		case l.Alarm.Taken != nil && l.Alarm.Taken.By == who.ID:
			return nil
		case l.Alarm.Taken != nil:
			return ErrChanged
		}
		e, err := p.event(sekretariat.EventAlarmTaken, "alarm", string(id), 0, sekretariat.AlarmTakenData{Letter: id, By: who.ID})
		if err != nil {
			return err
		}
		if err := p.appendLetter(ctx, id, seq, e); !isConflict(err) {
			return err
		}
	}
}

// Climb takes an alarm that nobody has taken to its next step, once, however
// many processes think of it.
func (p *Pipeline) Climb(ctx context.Context, id sekretariat.LetterID, d sekretariat.AlarmClimbedData) error {
	for {
		state, seq, err := State(ctx, p.o.Log, id.Submission())
		if errors.Is(err, ledger.ErrNotFound) {
			return ErrNotFound
		}
		if err != nil {
			return err
		}
		l := state.Letters[id.Part()]
		if l == nil || !l.Alarm.Open() || l.Cancelled || l.Alarm.Step+1 != d.Step {
			return nil
		}
		e, err := p.event(sekretariat.EventAlarmClimbed, "alarm", string(id), d.Step, d)
		if err != nil {
			return err
		}
		if err := p.appendLetter(ctx, id, seq, e); !isConflict(err) {
			return err
		}
	}
}

func (p *Pipeline) appendLetter(ctx context.Context, id sekretariat.LetterID, seq uint64, e *sekretariat.Event) error {
	_, err := p.o.Log.Append(ctx, ledger.Letter, ledger.Record{Subject: string(id.Submission()), LastSeq: seq, Event: *e})
	return err
}
