package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"sekretariat"
	"sekretariat/ledger"
)

// releasedByHold says who released a letter that nobody looked at in time.
const releasedByHold = "hold"

// Release is "to jest pismo": a parked item becomes a letter and gets its
// number, with its first arrival as day of receipt (rule P8). A copy of a mail
// that was registered meanwhile becomes its twin instead, and the error says
// so; a letter that was released before is none.
func (p *Pipeline) Release(ctx context.Context, who sekretariat.Principal, id sekretariat.LetterID) error {
	if !who.Decides() {
		return p.forbidden(ctx, who, id)
	}
	return p.release(ctx, who.ID, id, func(ctx context.Context) (*sekretariat.Letter, uint64, error) { return p.letter(ctx, who, id) })
}

// ReleaseHeld registers a letter that was held "do oceny" and whose hour has
// come (rule P9). Nothing happens to any other.
func (p *Pipeline) ReleaseHeld(ctx context.Context, id sekretariat.LetterID) error {
	return p.release(ctx, releasedByHold, id, func(ctx context.Context) (*sekretariat.Letter, uint64, error) {
		return p.present(ctx, id)
	})
}

// present returns a letter as the ledger has it, for the program itself.
func (p *Pipeline) present(ctx context.Context, id sekretariat.LetterID) (*sekretariat.Letter, uint64, error) {
	state, seq, err := State(ctx, p.o.Log, id.Submission())
	if err != nil {
		return nil, 0, err
	}
	l := state.Letters[id.Part()]
	if l == nil {
		return nil, 0, fmt.Errorf("letter %s: %w", id, ledger.ErrNotFound)
	}
	return l, seq, nil
}

func (p *Pipeline) release(ctx context.Context, by string, id sekretariat.LetterID, look func(context.Context) (*sekretariat.Letter, uint64, error)) error {
	for {
		l, seq, err := look(ctx)
		if err != nil {
			return err
		}
		held := l.Reason == sekretariat.ParkHold && !l.Hold.After(p.o.Clock())
		if l.Status != sekretariat.StatusParked || by == releasedByHold && !held {
			return nil
		}
		e, refusal, err := p.releasing(ctx, l, by)
		if err != nil {
			return err
		}
		_, err = p.o.Log.Append(ctx, ledger.Letter, ledger.Record{Subject: string(id.Submission()), LastSeq: seq, Event: *e})
		if !isConflict(err) {
			return errors.Join(err, refusal)
		}
	}
}

// releasing makes the event that releases a parked letter, or that makes it the
// twin of another; then refusal says so.
func (p *Pipeline) releasing(ctx context.Context, l *sekretariat.Letter, by string) (e *sekretariat.Event, refusal, err error) {
	switch l.Reason {
	case sekretariat.ParkPackage:
		return nil, nil, fmt.Errorf("%w: each letter in it was taken in by itself", ErrInvalid)
	case sekretariat.ParkOversize, sekretariat.ParkRefused:
		return nil, nil, fmt.Errorf("%w: only a note about it is here; fetch the original from where it came", ErrInvalid)
	case sekretariat.ParkDuplicate:
		return nil, nil, fmt.Errorf("%w: the same mail is letter %s already", ErrInvalid, l.Of)
	}
	first, err := p.firstTwin(ctx, l.Arrived, l.Series)
	if err != nil {
		return nil, nil, err
	}
	if first == l.ID.Submission() {
		revision, withdraw := takenBack(l)
		e, err = p.event(sekretariat.EventReleased, "clerk", string(l.ID), 0,
			sekretariat.ReleasedData{Letter: l.ID, By: by, Reason: string(l.Reason), Revision: revision, Withdraw: withdraw})
		return e, nil, err
	}
	of := sekretariat.NewLetterID(first, 1)
	data := Handing(l, sekretariat.ParkDuplicate, "", by)
	data.Of = of
	e, err = p.event(sekretariat.EventParked, "clerk", string(l.ID), int(p.o.Clock().UnixMilli()), data)
	if by == releasedByHold {
		return e, nil, err
	}
	return e, fmt.Errorf("%w: the same mail is letter %s already; this one is shown as its second receipt", ErrInvalid, of), err
}

// forbidden tells a principal who may not command about a letter as much as
// they may know: that there is none, or that they may not.
func (p *Pipeline) forbidden(ctx context.Context, who sekretariat.Principal, id sekretariat.LetterID) error {
	if _, err := p.Letter(ctx, who, id); err != nil {
		return err
	}
	return ErrForbidden
}

// Park says that a parked item is not subject to registration, and of which
// category (rule P9). A department may be named, which then gets it into its
// queue without a number. Registered letters keep their number for ever.
func (p *Pipeline) Park(ctx context.Context, who sekretariat.Principal, id sekretariat.LetterID, reason sekretariat.ParkReason, to sekretariat.DepartmentID) error {
	if !reason.Unregistrable() {
		return fmt.Errorf("%w: the category is %s, %s or %s", ErrInvalid, sekretariat.ParkWorking, sekretariat.ParkInternal, sekretariat.ParkInformational)
	}
	if to != "" && !slices.ContainsFunc(p.o.Centre.Departments, hasID(to)) {
		return fmt.Errorf("%w: this centre has no department %q", ErrInvalid, to)
	}
	return p.aside(ctx, who, id, func(l *sekretariat.Letter) (sekretariat.EventType, any, error) {
		data := Handing(l, reason, to, who.ID)
		if l.Reason == sekretariat.ParkDuplicate || l.Reason == reason && (data.Revision == 0 || l.Handed() && l.Department == to) {
			return "", nil, nil
		}
		return sekretariat.EventParked, data, nil
	})
}

// ConfirmJunk records that a person has looked at a parked item and found no
// letter: without that it is never destroyed (rule P8).
func (p *Pipeline) ConfirmJunk(ctx context.Context, who sekretariat.Principal, id sekretariat.LetterID) error {
	return p.aside(ctx, who, id, func(l *sekretariat.Letter) (sekretariat.EventType, any, error) {
		switch {
		case l.Junk != nil:
			return "", nil, nil
		case !l.Reason.Junk():
			return "", nil, fmt.Errorf("%w: it is parked as %s, which is not junk", ErrInvalid, l.Reason)
		}
		return sekretariat.EventJunkConfirmed, sekretariat.JunkConfirmedData{Letter: id, By: who.ID}, nil
	})
}

// aside appends what make returns about a parked item; type "" means that there
// is nothing to do.
func (p *Pipeline) aside(ctx context.Context, who sekretariat.Principal, id sekretariat.LetterID,
	make func(*sekretariat.Letter) (sekretariat.EventType, any, error)) error {
	if !who.Decides() {
		return p.forbidden(ctx, who, id)
	}
	for {
		l, seq, err := p.letter(ctx, who, id)
		if err != nil {
			return err
		}
		if l.Status != sekretariat.StatusParked {
			return fmt.Errorf("%w: it is not parked", ErrInvalid)
		}
		t, data, err := make(l)
		if err != nil || t == "" {
			return err
		}
		e, err := p.event(t, "clerk", string(id), int(p.o.Clock().UnixMilli()), data)
		if err != nil {
			return err
		}
		_, err = p.o.Log.Append(ctx, ledger.Letter, ledger.Record{Subject: string(id.Submission()), LastSeq: seq, Event: *e})
		if !isConflict(err) {
			return err
		}
	}
}

// bounced marks an acknowledgement whose bounce came back; its contact is bad
// from then on. Anybody may send a bounce, but only the relay, the recipient
// and those between know the Message-ID that it must name.
func (p *Pipeline) bounced(ctx context.Context, v sorting, bounce sekretariat.LetterID) error {
	err := p.amend(ctx, v.bounced, 0, func(l *sekretariat.Letter) (*sekretariat.Event, error) {
		if l.Ack == nil || l.Ack.State == sekretariat.AckBounced || l.Ack.State == sekretariat.AckSuppressed {
			return nil, nil
		}
		return p.event(sekretariat.EventAckBounced, "sort", string(v.bounced), 0,
			sekretariat.AckBouncedData{Letter: v.bounced, Bounce: bounce, Contact: l.Ack.Contact, Status: v.status})
	})
	if Hopeless(err) {
		return nil // of a letter that this ledger does not know
	}
	return err
}
