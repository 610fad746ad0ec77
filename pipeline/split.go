package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sekretariat"
	"sekretariat/ledger"
)

// Piece is one letter that is split off: parts of the submission by their paths
// and, with Text, the message itself, which several letters may share.
type Piece struct {
	Parts []string `json:"parts"`
	Text  bool     `json:"text,omitempty"`
}

// maxPieces bounds the letters that one command splits off.
const maxPieces = 100

// Split makes further letters out of one that holds several (rule P3): the
// first keeps its number and what is not named, each piece becomes a letter with
// the next free number in the order given, of the same day of receipt, which is
// read and routed by itself. revision is the decision that the person looked at.
// Only the sekretariat splits, and only what it has in its own hands: what a
// department was given whole, it hands back first. Returns the new letters.
func (p *Pipeline) Split(ctx context.Context, who sekretariat.Principal, id sekretariat.LetterID, revision int, pieces []Piece, reason string) ([]sekretariat.LetterID, error) {
	for {
		l, state, seq, err := p.inHand(ctx, who, id, revision)
		if err != nil {
			return nil, err
		}
		d, err := p.splitting(ctx, l, state, pieces)
		if err != nil {
			return nil, err
		}
		if d.Reason, err = p.reasonOf(ctx, l, reason); err != nil {
			return nil, err
		}
		d.By = who.ID
		e, err := p.event(sekretariat.EventSplit, "clerk", string(id), len(state.Letters), d)
		if err != nil {
			return nil, err
		}
		_, err = p.o.Log.Append(ctx, ledger.Letter, ledger.Record{Subject: string(id.Submission()), LastSeq: seq, Event: *e})
		if isConflict(err) {
			continue
		}
		out := make([]sekretariat.LetterID, len(d.Letters))
		for i, sl := range d.Letters {
			out[i] = sekretariat.NewLetterID(id.Submission(), sl.Part)
		}
		return out, err
	}
}

// inHand returns a letter that the sekretariat may split or join: decided on,
// and with nobody else.
func (p *Pipeline) inHand(ctx context.Context, who sekretariat.Principal, id sekretariat.LetterID, revision int) (*sekretariat.Letter, sekretariat.State, uint64, error) {
	state, seq, err := p.state(ctx, who, id)
	if err != nil {
		return nil, state, 0, err
	}
	l := state.Letters[id.Part()]
	switch {
	case !who.Decides():
		return nil, state, 0, ErrForbidden
	case l.Reader == "" || !l.Decided() || l.Revision != revision || l.Cancelled:
		return nil, state, 0, ErrChanged
	case l.Department != sekretariat.Sekretariat || len(l.Copies) > 0:
		return nil, state, 0, fmt.Errorf("%w: the letter is with %s; route it back to the sekretariat first, so that nobody keeps more than is theirs", ErrInvalid, l.Department)
	}
	for _, other := range state.Letters { // the whole is looked at
		if sekretariat.MaySee(who, *other) != sekretariat.Full {
			return nil, state, 0, fmt.Errorf("%w: the consignment holds letters of others", ErrForbidden)
		}
	}
	return l, state, seq, nil
}

// splitting makes the data of the event.
func (p *Pipeline) splitting(ctx context.Context, l *sekretariat.Letter, state sekretariat.State, pieces []Piece) (sekretariat.SplitData, error) {
	d := sekretariat.SplitData{From: l.ID, Rereads: l.Rereads}
	if len(pieces) == 0 || len(pieces) > maxPieces {
		return d, fmt.Errorf("%w: name 1 to %d letters that are to be split off", ErrInvalid, maxPieces)
	}
	whole, err := LoadReading(ctx, p.o.Vault, p.id, l.ID.Submission(), l.Reading)
	if err != nil {
		return d, err
	}
	rest, err := remaining(whole, pieces)
	if err != nil {
		return d, err
	}
	_, text, ok := sekretariat.ParsePartsRange(l.Range)
	d.Rest = sekretariat.PartsRange(rest, text || !ok)
	ref, err := p.sealReading(ctx, l.ID.Submission(), narrow(whole, d.Rest), fmt.Sprintf("%d.split.%d.json", l.ID.Part(), len(state.Letters)))
	if err != nil {
		return d, err
	}
	d.Reading = &ref
	part := 0
	for n := range state.Letters {
		part = max(part, n)
	}
	for i, piece := range pieces {
		d.Letters = append(d.Letters, sekretariat.SortedLetter{
			Part: part + i + 1, Series: l.Series, Action: sekretariat.ActionRegister, Parent: l.ID,
			Range: sekretariat.PartsRange(piece.Parts, piece.Text), Closed: l.Closed,
		})
	}
	return d, nil
}

// remaining checks the pieces against what the letter covers and returns the
// paths that it keeps. A part that it does not have any more was split off
// before: the command is a repeated one.
func remaining(r *sekretariat.Reading, pieces []Piece) ([]string, error) {
	tops := topParts(r)
	taken := map[string]bool{}
	for _, piece := range pieces {
		if len(piece.Parts) == 0 {
			return nil, fmt.Errorf("%w: each letter needs a file of its own", ErrInvalid)
		}
		for _, path := range piece.Parts {
			switch {
			case !slices.Contains(tops, path):
				return nil, fmt.Errorf("%w: the letter has no file %q", ErrChanged, path)
			case taken[path]:
				return nil, fmt.Errorf("%w: file %s is named twice", ErrInvalid, path)
			}
			taken[path] = true
		}
	}
	rest := slices.DeleteFunc(slices.Clone(tops), func(path string) bool { return taken[path] })
	if len(rest) == 0 && strings.TrimSpace(r.Text) == "" {
		return nil, fmt.Errorf("%w: something must stay in the first letter", ErrInvalid)
	}
	return rest, nil
}

// topParts are the paths of the files that can be split off: those that lie in
// no other one.
func topParts(r *sekretariat.Reading) []string {
	var out []string
	for _, p := range r.Parts {
		if p.Attachment && !held(p) && !slices.ContainsFunc(out, func(o string) bool { return strings.HasPrefix(p.Path, o+".") }) {
			out = append(out, p.Path)
		}
	}
	return out
}

// Join takes a letter that was split off back into another one of the same
// submission: its number is cancelled with a reason and stays taken (rule P3).
// Both must be with the sekretariat.
func (p *Pipeline) Join(ctx context.Context, who sekretariat.Principal, id sekretariat.LetterID, revision int, into sekretariat.LetterID, reason string) error {
	if into.Submission() != id.Submission() || into == id {
		return fmt.Errorf("%w: only letters of one consignment are joined; letters of one matter get the same case number", ErrInvalid)
	}
	for {
		l, state, seq, err := p.inHand(ctx, who, id, revision)
		if err != nil {
			return err
		}
		to := state.Letters[into.Part()]
		if to == nil || to.Cancelled || !to.Decided() || to.Department != sekretariat.Sekretariat || len(to.Copies) > 0 {
			return fmt.Errorf("%w: the letter to join with must be with the sekretariat, too", ErrInvalid)
		}
		if l.Decision.Urgency.Above(to.Decision.Urgency) { // an alarm that is open must not end with the entry
			return fmt.Errorf("%w: this letter is more urgent than the one that would take it over; join that one into this", ErrInvalid)
		}
		d, err := p.joining(ctx, l, to, reason)
		if err != nil {
			return err
		}
		d.By = who.ID
		e, err := p.event(sekretariat.EventCancelled, "clerk", string(id), 0, d)
		if err != nil {
			return err
		}
		_, err = p.o.Log.Append(ctx, ledger.Letter, ledger.Record{Subject: string(id.Submission()), LastSeq: seq, Event: *e})
		if !isConflict(err) {
			return err
		}
	}
}

func (p *Pipeline) joining(ctx context.Context, l, to *sekretariat.Letter, reason string) (sekretariat.CancelledData, error) {
	d := sekretariat.CancelledData{Letter: l.ID, Reason: sekretariat.CancelledJoined, Into: to.ID, Rereads: to.Rereads, Range: joined(l.Range, to.Range)}
	whole, err := p.readOriginal(ctx, l.Arrived)
	if err != nil {
		return d, err
	}
	for _, had := range []*sekretariat.Letter{to, l} { // text of scans and late files came after the first reading
		r, err := LoadReading(ctx, p.o.Vault, p.id, had.ID.Submission(), had.Reading)
		if err != nil {
			return d, err
		}
		whole = overlay(whole, r)
	}
	ref, err := p.sealReading(ctx, l.ID.Submission(), narrow(whole, d.Range), fmt.Sprintf("%d.joined.%d.json", to.ID.Part(), l.ID.Part()))
	if err != nil {
		return d, err
	}
	d.Reading = &ref
	d.Note, err = p.reasonOf(ctx, l, reason)
	return d, err
}

// joined is what two letters of a submission cover together.
func joined(a, b string) string {
	pa, ta, oka := sekretariat.ParsePartsRange(a)
	pb, tb, okb := sekretariat.ParsePartsRange(b)
	if !oka || !okb {
		return "" // one of them covers everything
	}
	return sekretariat.PartsRange(append(pa, pb...), ta || tb)
}

// reasonOf seals a person's reason, which is mandatory.
func (p *Pipeline) reasonOf(ctx context.Context, l *sekretariat.Letter, reason string) (*sekretariat.ObjectRef, error) {
	if reason = strings.TrimSpace(reason); reason == "" || len(reason) > maxReason {
		return nil, fmt.Errorf("%w: a reason is needed, of at most %d characters", ErrInvalid, maxReason)
	}
	ref, err := p.keepReason(ctx, l, reason)
	return &ref, err
}

// reshaped has the router look again at a letter that covers less or more than
// before.
func (p *Pipeline) reshaped(ctx context.Context, s ledger.Stored) error {
	id, ref, rereads, err := reshapedBy(s.Event)
	if err != nil {
		return ledger.Permanent(err)
	}
	if ref == nil {
		return nil
	}
	reading, err := LoadReading(ctx, p.o.Vault, p.id, id.Submission(), *ref)
	if hopeless(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return p.amend(ctx, id, 0, func(l *sekretariat.Letter) (*sekretariat.Event, error) {
		if l.Rereads > rereads || l.Cancelled {
			return nil, nil
		}
		revision := l.Rereads + 1
		return p.event(sekretariat.EventReread, "read", string(id), revision, sekretariat.RereadData{
			Letter: id, Number: l.Number, Revision: revision, Reading: *ref, Reader: reading.Reader, Outcome: reading.Outcome,
			Files: l.RereadFiles, Arrived: lite(l.Arrived), Closed: l.Closed,
		})
	})
}

// reshapedBy finds the letter whose extent an event changed.
func reshapedBy(e sekretariat.Event) (id sekretariat.LetterID, reading *sekretariat.ObjectRef, rereads int, err error) {
	switch e.Type {
	case sekretariat.EventSplit:
		d, err := sekretariat.DataOf[sekretariat.SplitData](e)
		return d.From, d.Reading, d.Rereads, err
	case sekretariat.EventCancelled:
		d, err := sekretariat.DataOf[sekretariat.CancelledData](e)
		return d.Into, d.Reading, d.Rereads, err
	}
	return "", nil, 0, errors.ErrUnsupported
}
