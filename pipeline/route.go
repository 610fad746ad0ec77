package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"sekretariat"
	"sekretariat/ledger"
	"sekretariat/router"
	"sekretariat/storage"
)

// route works on the events of LETTER: a reading wants a decision, a decision
// wants to be delivered.
func (p *Pipeline) route(ctx context.Context, s ledger.Stored) error {
	switch s.Event.Type {
	case sekretariat.EventRead:
		return p.decide(ctx, s)
	case sekretariat.EventReread:
		return p.reconsider(ctx, s)
	case sekretariat.EventSplit, sekretariat.EventCancelled:
		return p.reshaped(ctx, s)
	case sekretariat.EventRouted:
		return p.deliver(ctx, s)
	case sekretariat.EventSorted, sekretariat.EventParked, sekretariat.EventReleased:
		return p.handOver(ctx, s)
	}
	return nil
}

// decide makes the first decision on a letter. Later ones are people's.
func (p *Pipeline) decide(ctx context.Context, s ledger.Stored) error {
	d, err := sekretariat.DataOf[sekretariat.ReadData](s.Event)
	if err != nil {
		return ledger.Permanent(err)
	}
	reading, err := p.reading(ctx, d.Letter, d.Reading)
	if err != nil {
		return err
	}
	advice := p.o.Router.Advise(router.Facts{Arrived: d.Arrived, Reading: *reading, Now: p.o.Clock()})
	if err := p.proofOf(ctx, d.Arrived, reading, &advice); err != nil {
		return err
	}
	if err := p.shareDuty(ctx, d, &advice); err != nil {
		return err
	}
	ref, err := p.keepAdvice(ctx, d.Letter, advice)
	if err != nil {
		return err
	}
	last := s.Seq
	if d.Decided > 0 {
		last = 0 // somebody has or had the letter already: look first
	}
	return p.amend(ctx, d.Letter, last, func(l *sekretariat.Letter) (*sekretariat.Event, error) {
		if l != nil && (l.Cancelled || overtaken(l, d.Reading) || l.Decided() && (l.Decision.Rule != RuleOverdue || l.Status != sekretariat.StatusRouted)) {
			return nil, nil // decided before a crash, in a person's hands, or read once more: that event decides
		}
		e, err := p.routed(l, d.Letter, d.Number, advice.Decision, d.Closed, d.Arrived.Received, "", nil)
		if err != nil {
			return nil, err
		}
		return amended(e, func(d *sekretariat.RoutedData) { d.Advice = named(ref) })
	})
}

// keepAdvice seals what the router says about a letter beside it: it quotes the
// letter, which no event may. The digest in the name keeps the advice of two
// workers apart that decide at once.
func (p *Pipeline) keepAdvice(ctx context.Context, id sekretariat.LetterID, a sekretariat.Advice) (sekretariat.ObjectRef, error) {
	raw, err := json.Marshal(a)
	if err != nil {
		return sekretariat.ObjectRef{}, ledger.Permanent(fmt.Errorf("encode advice on %s: %w", id, err))
	}
	digest, sub := sekretariat.DigestOf(raw), id.Submission()
	key := storage.DerivedKey(p.id, sub, "advice-1", fmt.Sprintf("%d.%s.json", id.Part(), digest[:16]))
	item := storage.SealItem{Key: key, Body: bytes.NewReader(raw), Patient: true}
	switch err := p.o.Vault.Commit(ctx, p.id, sub, []storage.SealItem{item}); {
	case hopeless(err):
		return sekretariat.ObjectRef{}, nil // destroyed meanwhile: the decision alone remains
	case err != nil:
		return sekretariat.ObjectRef{}, fmt.Errorf("keep advice on %s: %w", id, err)
	}
	return sekretariat.ObjectRef{Key: key, SHA256: digest, Size: int64(len(raw)), MediaType: "application/json"}, nil
}

// amended changes the data of the event of a decision.
func amended(e *sekretariat.Event, change func(*sekretariat.RoutedData)) (*sekretariat.Event, error) {
	d, err := sekretariat.DataOf[sekretariat.RoutedData](*e)
	if err != nil {
		return nil, ledger.Permanent(err)
	}
	change(&d)
	if e.Data, err = json.Marshal(d); err != nil {
		return nil, ledger.Permanent(fmt.Errorf("encode event %s: %w", e.ID, err))
	}
	return e, nil
}

// named is the sealed advice as an event names it; nil if there is none.
func named(ref sekretariat.ObjectRef) *sekretariat.ObjectRef {
	if ref.Key == "" {
		return nil
	}
	return &ref
}

// LoadAdvice reads what the router said about a letter.
func LoadAdvice(ctx context.Context, v *storage.Vault, c sekretariat.CentreID, s sekretariat.SubmissionID, ref sekretariat.ObjectRef) (sekretariat.Advice, error) {
	var a sekretariat.Advice
	raw, err := v.ReadAll(ctx, c, s, ref.Key, maxAdvice)
	if err != nil {
		return a, fmt.Errorf("advice on submission %.12s…: %w", s, err)
	}
	if err := json.Unmarshal(raw, &a); err != nil {
		return a, fmt.Errorf("advice on submission %.12s…: %w: %w", s, storage.ErrDamaged, err)
	}
	return a, nil
}

// maxAdvice bounds a stored advice, in octets.
const maxAdvice = 1 << 20

// routed makes the event of a decision on a letter; l is its present state,
// nil when the decision is the first one.
func (p *Pipeline) routed(l *sekretariat.Letter, id sekretariat.LetterID, n sekretariat.Number, decision sekretariat.Decision,
	closed bool, received time.Time, by string, reason *sekretariat.ObjectRef) (*sekretariat.Event, error) {
	d := sekretariat.RoutedData{
		Letter: id, Number: n, Revision: 1, Decision: decision, By: by, Reason: reason,
		Closed: closed || decision.Closed || p.closed(decision.Department), Received: received,
	}
	if l != nil {
		d.Revision = l.Revision + 1
	}
	if l != nil && l.Decided() {
		d.From = l.Department
		d.Withdraw = former(l, d)
	}
	return p.event(sekretariat.EventRouted, "route", string(id), d.Revision, d)
}

// former lists who had the letter by the decision before and has it no more.
func former(l *sekretariat.Letter, d sekretariat.RoutedData) []sekretariat.DepartmentID {
	var out []sekretariat.DepartmentID
	for _, had := range append([]sekretariat.DepartmentID{l.Department}, l.Copies...) {
		keeps := had == d.Decision.Department || !d.Closed && slices.Contains(d.Decision.Copies, had)
		if !keeps && !slices.Contains(out, had) {
			out = append(out, had)
		}
	}
	return out
}

// closed tells whether a department's letters are closed to others (rule P5).
func (p *Pipeline) closed(id sekretariat.DepartmentID) bool {
	for _, d := range p.o.Centre.Departments {
		if d.ID == id {
			return d.Closed
		}
	}
	return false
}

// reading returns the reading of a letter, from memory or from the store.
func (p *Pipeline) reading(ctx context.Context, id sekretariat.LetterID, ref sekretariat.ObjectRef) (*sekretariat.Reading, error) {
	if r := p.recent.take(ref.Key); r != nil {
		return r, nil
	}
	r, err := LoadReading(ctx, p.o.Vault, p.id, id.Submission(), ref)
	if hopeless(err) {
		return unopened(err), nil
	}
	return r, err
}

// LoadReading reads a stored reading back.
func LoadReading(ctx context.Context, v *storage.Vault, c sekretariat.CentreID, s sekretariat.SubmissionID, ref sekretariat.ObjectRef) (*sekretariat.Reading, error) {
	raw, err := v.ReadAll(ctx, c, s, ref.Key, MaxReading)
	if err != nil {
		return nil, fmt.Errorf("reading of submission %.12s…: %w", s, err)
	}
	var r sekretariat.Reading
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, fmt.Errorf("reading of submission %.12s…: %w: %w", s, storage.ErrDamaged, err)
	}
	return &r, nil
}

// deliver puts a decision into effect: the letter into its department's queue,
// copies into others, and the former department is told that it has it no
// more. Each queue event has a subject of its own that must be empty, so a
// repeat cannot double it.
func (p *Pipeline) deliver(ctx context.Context, s ledger.Stored) error {
	d, err := sekretariat.DataOf[sekretariat.RoutedData](s.Event)
	if err != nil {
		return ledger.Permanent(err)
	}
	for _, former := range d.Withdraw {
		if err := p.withdraw(ctx, d.Letter, d.Revision, former); err != nil {
			return err
		}
	}
	if err := p.queue(ctx, d, d.Decision.Department, false); err != nil {
		return err
	}
	for _, c := range d.Decision.Copies {
		if c == d.Decision.Department || d.Closed {
			continue
		}
		if err := p.queue(ctx, d, c, true); err != nil {
			return err
		}
	}
	p.tell(Step{Letter: d.Letter, Type: sekretariat.EventQueued, Decision: d.Decision, Number: d.Number, Took: p.o.Clock().Sub(d.Received)})
	return nil
}

func (p *Pipeline) queue(ctx context.Context, d sekretariat.RoutedData, to sekretariat.DepartmentID, isCopy bool) error {
	e, err := p.event(sekretariat.EventQueued, "deliver", string(d.Letter)+"@"+string(to), d.Revision, sekretariat.QueuedData{
		Letter: d.Letter, Number: d.Number, Identifier: d.Number.Identifier(), Printed: p.o.Centre.Print(d.Number),
		Department: to, Urgency: d.Decision.Urgency, Revision: d.Revision, Copy: isCopy, Received: d.Received,
		Content: "/api/v1/letters/" + string(d.Letter),
	})
	if err != nil {
		return err
	}
	return p.enqueue(ctx, to, d.Decision.Urgency.Lane(), d.Letter, d.Revision, *e)
}

// withdraw tells the former department to delete its copy (rule P4). It goes
// into the urgent lane: nothing is more urgent than a letter in wrong hands.
// revision is that by which the department has the letter no more.
func (p *Pipeline) withdraw(ctx context.Context, id sekretariat.LetterID, revision int, former sekretariat.DepartmentID) error {
	e, err := p.event(sekretariat.EventWithdrawn, "deliver", string(id)+"@"+string(former), revision,
		sekretariat.WithdrawnData{Letter: id, Department: former, Revision: revision - 1})
	if err != nil {
		return err
	}
	return p.enqueue(ctx, former, sekretariat.Urgent.Lane(), id, revision, *e)
}

func (p *Pipeline) enqueue(ctx context.Context, to sekretariat.DepartmentID, lane string, id sekretariat.LetterID, revision int, e sekretariat.Event) error {
	subject := fmt.Sprintf("%s.%s.%s.%d", to, lane, id, revision)
	_, err := p.o.Log.Append(ctx, ledger.Queue, ledger.Record{Subject: subject, Event: e})
	if err == nil || errors.Is(err, ledger.ErrConflict) {
		return nil // now, or before a crash
	}
	return fmt.Errorf("queue %s for %s: %w", id, to, err)
}
