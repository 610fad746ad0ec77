package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/ledger"
	"sekretariat/storage"
)

// The errors of commands.
var (
	// ErrNotFound: there is no such letter, or the principal may not know of
	// it. Both answer alike.
	ErrNotFound = errors.New("no such letter")
	// ErrForbidden: the principal sees the letter but may not do this.
	ErrForbidden = errors.New("not allowed")
	// ErrInvalid: the command itself is wrong; the message says what to do.
	ErrInvalid = errors.New("invalid command")
	// ErrChanged: the letter has moved on since the principal looked at it.
	ErrChanged = errors.New("the letter has changed meanwhile")
)

// maxReason bounds the reasons that people type, in octets.
const maxReason = 4000

// Letter returns the present state of a letter as far as the principal may
// know of it. It asks the ledger, not the read model: a letter that was routed
// away a moment ago is gone for its former department at once (rule P4).
func (p *Pipeline) Letter(ctx context.Context, who sekretariat.Principal, id sekretariat.LetterID) (*sekretariat.Letter, error) {
	l, _, err := p.letter(ctx, who, id)
	return l, err
}

// Content is Letter for those who want to read it: the reading of a letter that
// covers a part of its submission holds that part alone (rule P3). Whoever has a
// letter that covers everything needs the right to all of it, as for Open.
func (p *Pipeline) Content(ctx context.Context, who sekretariat.Principal, id sekretariat.LetterID) (*sekretariat.Letter, error) {
	l, err := p.Letter(ctx, who, id)
	if err != nil {
		return nil, err
	}
	if _, _, ok := sekretariat.ParsePartsRange(l.Range); ok {
		return l, nil
	}
	return p.Open(ctx, who, id)
}

// Open is Letter for those who want the original. It is of the whole submission:
// where that holds a further letter that the principal may not see (rule P3),
// Open returns ErrForbidden.
func (p *Pipeline) Open(ctx context.Context, who sekretariat.Principal, id sekretariat.LetterID) (*sekretariat.Letter, error) {
	state, _, err := p.state(ctx, who, id)
	if err != nil {
		return nil, err
	}
	for _, l := range state.Letters {
		if sekretariat.MaySee(who, *l) != sekretariat.Full {
			return nil, fmt.Errorf("%w: the consignment holds letters of others", ErrForbidden)
		}
	}
	return state.Letters[id.Part()], nil
}

func (p *Pipeline) letter(ctx context.Context, who sekretariat.Principal, id sekretariat.LetterID) (*sekretariat.Letter, uint64, error) {
	state, seq, err := p.state(ctx, who, id)
	if err != nil {
		return nil, 0, err
	}
	return state.Letters[id.Part()], seq, nil
}

// state returns the state of the submission of a letter that the principal may
// see.
func (p *Pipeline) state(ctx context.Context, who sekretariat.Principal, id sekretariat.LetterID) (sekretariat.State, uint64, error) {
	state, seq, err := State(ctx, p.o.Log, id.Submission())
	if errors.Is(err, ledger.ErrNotFound) {
		err = ErrNotFound
	}
	if err != nil {
		return state, 0, err
	}
	l := state.Letters[id.Part()]
	if l == nil || l.Centre != p.id || sekretariat.MaySee(who, *l) != sekretariat.Full {
		return state, 0, ErrNotFound
	}
	return state, seq, nil
}

// Reroute gives a letter to another department, with a reason in words, which
// is kept sealed. revision is the decision that the person looked at.
func (p *Pipeline) Reroute(ctx context.Context, who sekretariat.Principal, id sekretariat.LetterID, revision int, to sekretariat.DepartmentID, reason string) error {
	if reason = strings.TrimSpace(reason); reason == "" || len(reason) > maxReason {
		return fmt.Errorf("%w: a reason is needed, of at most %d characters", ErrInvalid, maxReason)
	}
	if !slices.ContainsFunc(p.o.Centre.Departments, hasID(to)) {
		return fmt.Errorf("%w: this centre has no department %q", ErrInvalid, to)
	}
	return p.command(ctx, who, id, revision, func(l *sekretariat.Letter) (*sekretariat.Event, error) {
		owner := slices.Contains(who.Departments, l.Department)
		if !who.Decides() && !(owner && to == sekretariat.Sekretariat) {
			return nil, ErrForbidden // a department hands back; only the sekretariat sends on
		}
		if to == l.Department {
			return nil, fmt.Errorf("%w: the letter is with %s already", ErrInvalid, to)
		}
		ref, err := p.keepReason(ctx, l, reason)
		if err != nil {
			return nil, err
		}
		d := l.Decision
		d.Department, d.Copies, d.Instead, d.Forward, d.Rule = to, nil, "", "", RulePerson
		d.Evidence, d.Confidence, d.Config, d.Model = nil, 1, p.o.Centre.Version, ""
		return p.routed(l, id, l.Number, d, l.Closed, l.Arrived.Received, who.ID, &ref)
	})
}

// RulePerson is the rule id of a decision that a person made.
const RulePerson = "person"

// Take, HandBack and Done record what the department does with a letter.
// Acknowledging the queue message means only that it was received.
func (p *Pipeline) Take(ctx context.Context, who sekretariat.Principal, id sekretariat.LetterID, revision int) error {
	return p.handle(ctx, who, id, revision, sekretariat.EventTaken)
}

// Done closes the department's work on the letter.
func (p *Pipeline) Done(ctx context.Context, who sekretariat.Principal, id sekretariat.LetterID, revision int) error {
	return p.handle(ctx, who, id, revision, sekretariat.EventDone)
}

// HandBack returns a letter to the sekretariat with a reason in words: the
// department does not have it any more.
func (p *Pipeline) HandBack(ctx context.Context, who sekretariat.Principal, id sekretariat.LetterID, revision int, reason string) error {
	return p.Reroute(ctx, who, id, revision, sekretariat.Sekretariat, reason)
}

func (p *Pipeline) handle(ctx context.Context, who sekretariat.Principal, id sekretariat.LetterID, revision int, t sekretariat.EventType) error {
	return p.command(ctx, who, id, revision, func(l *sekretariat.Letter) (*sekretariat.Event, error) {
		if !slices.Contains(who.Departments, l.Department) {
			return nil, ErrForbidden // a copy is for information, a supervisor only looks
		}
		return p.event(t, "department", string(id), revision, sekretariat.HandlingData{
			Letter: id, Department: l.Department, Revision: revision, By: who.ID,
		})
	})
}

// command checks rights and revision and appends what make returns, once.
func (p *Pipeline) command(ctx context.Context, who sekretariat.Principal, id sekretariat.LetterID, revision int,
	make func(*sekretariat.Letter) (*sekretariat.Event, error)) error {
	for {
		l, seq, err := p.letter(ctx, who, id)
		if err != nil {
			return err
		}
		if !l.Decided() || l.Revision != revision {
			return ErrChanged
		}
		e, err := make(l)
		if err != nil {
			return err
		}
		if repeated(l, e) {
			return nil
		}
		_, err = p.o.Log.Append(ctx, ledger.Letter, ledger.Record{Subject: string(id.Submission()), LastSeq: seq, Event: *e})
		if !isConflict(err) {
			return err
		}
	}
}

// repeated tells whether the letter is already where the event would bring it:
// a command sent twice is one.
func repeated(l *sekretariat.Letter, e *sekretariat.Event) bool {
	return e.Type == sekretariat.EventTaken && (l.Status == sekretariat.StatusTaken || l.Status == sekretariat.StatusDone) ||
		e.Type == sekretariat.EventDone && l.Status == sekretariat.StatusDone
}

// keepReason seals the words of a person beside the letter.
func (p *Pipeline) keepReason(ctx context.Context, l *sekretariat.Letter, reason string) (sekretariat.ObjectRef, error) {
	raw := []byte(reason)
	sub := l.ID.Submission()
	// The digest in the name keeps two people who command at once apart.
	d := sekretariat.DigestOf(raw)
	key := storage.DerivedKey(p.id, sub, "note-1", fmt.Sprintf("%d.%d.%s.txt", l.ID.Part(), l.Revision+1, d[:16]))
	if err := p.o.Vault.Put(ctx, p.id, sub, key, bytes.NewReader(raw)); err != nil {
		return sekretariat.ObjectRef{}, fmt.Errorf("keep the reason of a re-routing: %w", err)
	}
	return sekretariat.ObjectRef{Key: key, SHA256: d, Size: int64(len(raw)), MediaType: "text/plain; charset=utf-8"}, nil
}

func hasID(id sekretariat.DepartmentID) func(d configs.Department) bool {
	return func(d configs.Department) bool { return d.ID == id }
}

func isConflict(err error) bool { return errors.Is(err, ledger.ErrConflict) }
