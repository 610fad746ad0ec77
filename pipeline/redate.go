package pipeline

import (
	"context"
	"fmt"
	"time"

	"sekretariat"
	clerks "sekretariat/extract/note"
	"sekretariat/ledger"
	"sekretariat/router"
)

// Redate corrects the day of receipt of a registered letter (rule P2), RRRR-MM-DD
// in Poland, with a reason in words. It may lie before the registration, never in
// the future. The entry in the register keeps what was known when the number was
// given; the letter's deadlines are counted anew, and nobody's letter moves.
// revision is the number of changes of the day that the person knows of.
func (p *Pipeline) Redate(ctx context.Context, who sekretariat.Principal, id sekretariat.LetterID, revision int, day, reason string) error {
	l, err := p.Letter(ctx, who, id)
	if err != nil {
		return err
	}
	if !who.Decides() {
		return ErrForbidden
	}
	now := p.o.Clock()
	at, err := dayOfReceipt(day, now)
	if err != nil {
		return err
	}
	switch {
	case !l.Decided() || l.Cancelled || l.Redated != revision:
		return ErrChanged
	case sekretariat.Day(l.Arrived.Arrived.At) == day:
		return fmt.Errorf("%w: %s is the day of receipt already", ErrInvalid, day)
	}
	ref, err := p.reasonOf(ctx, l, reason)
	if err != nil {
		return err
	}
	read := l.Reading
	advice, named, err := p.adviceAsOf(ctx, l, at)
	if err != nil {
		return err
	}
	changed := true
	err = p.amend(ctx, id, 0, func(l *sekretariat.Letter) (*sekretariat.Event, error) {
		if changed = l.Redated != revision || overtaken(l, read); changed {
			return nil, nil
		}
		return p.event(sekretariat.EventRedated, "clerk", string(id), revision+1, sekretariat.RedatedData{
			Letter: id, Revision: revision + 1, Arrived: sekretariat.Arrival{At: at, Basis: sekretariat.BasisClerk}, Before: l.Arrived.Arrived,
			Code: sekretariat.RedatedByPerson, By: who.ID, Reason: ref, Deadlines: advice.Decision.Deadlines, Advice: named,
		})
	})
	if err == nil && changed {
		return ErrChanged
	}
	return err
}

// dayOfReceipt is when a letter came by a person's word.
func dayOfReceipt(day string, now time.Time) (time.Time, error) {
	at, err := sekretariat.MomentOf(day, now)
	switch {
	case err != nil:
		return at, fmt.Errorf("%w: write the day as RRRR-MM-DD", ErrInvalid)
	case day > sekretariat.Day(now):
		return at, fmt.Errorf("%w: the day of receipt cannot lie in the future", ErrInvalid)
	}
	return at, nil
}

// adviceAsOf is what the router says of a letter, had it arrived at at.
func (p *Pipeline) adviceAsOf(ctx context.Context, l *sekretariat.Letter, at time.Time) (sekretariat.Advice, *sekretariat.ObjectRef, error) {
	reading, err := p.reading(ctx, l.ID, l.Reading)
	if err != nil {
		return sekretariat.Advice{}, nil, err
	}
	facts := router.Facts{Arrived: lite(l.Arrived), Reading: *reading, Now: p.o.Clock()}
	facts.Arrived.At = at
	advice := p.o.Router.Advise(facts)
	ref, err := p.keepAdvice(ctx, l.ID, advice)
	return advice, named(ref), err
}

// whyBasis are the machine's reasons for a day of receipt that lies before the
// registration: what it rests on says it.
var whyBasis = map[sekretariat.Basis]string{
	sekretariat.BasisServerArrival: "Wiadomość była w skrzynce, zanim ją pobrano.",
	sekretariat.BasisUPP:           "Tak mówi urzędowe poświadczenie przedłożenia (UPP).",
	sekretariat.BasisSent:          "Data nadania z ePUAP.",
	sekretariat.BasisReceipt:       "Data z dowodu otrzymania e-Doręczeń.",
	sekretariat.BasisMailbox:       "Przesyłka była w skrzynce e-Doręczeń, zanim ją pobrano.",
	sekretariat.BasisScanned:       "Skan powstał przed rejestracją.",
	sekretariat.BasisEmptied:       "Dzień opróżnienia skrzynki podawczej.",
	sekretariat.BasisClerk:         "Wpisano ręcznie; powodu nie zapisano.",
}

// WhyEarlier says in Polish why the day of receipt of a letter lies before its
// registration: a person's words, else what the day rests on. Where the words
// cannot be opened, it says that a person gave them.
func (p *Pipeline) WhyEarlier(ctx context.Context, id sekretariat.LetterID, basis sekretariat.Basis, redated int, reading sekretariat.ObjectRef) string {
	why := whyBasis[basis]
	if basis != sekretariat.BasisClerk {
		return why
	}
	if redated > 0 {
		if words := p.saidOfDay(ctx, id); words != "" {
			return words
		}
		return why
	}
	r, err := p.reading(ctx, id, reading)
	if err != nil || r.Headers[clerks.WhyEarlier] == "" {
		return why
	}
	return r.Headers[clerks.WhyEarlier]
}

// saidOfDay is the reason of the last person who changed the day.
func (p *Pipeline) saidOfDay(ctx context.Context, id sekretariat.LetterID) (why string) {
	events, err := p.o.Log.Subject(ctx, ledger.Letter, string(id.Submission()))
	if err != nil {
		return ""
	}
	for _, e := range events {
		if e.Event.Type != sekretariat.EventRedated {
			continue
		}
		d, err := sekretariat.DataOf[sekretariat.RedatedData](e.Event)
		if err != nil || d.Letter != id || d.Reason == nil {
			continue
		}
		if raw, err := p.o.Vault.ReadAll(ctx, p.id, id.Submission(), d.Reason.Key, maxReason); err == nil {
			why = string(raw)
		}
	}
	return why
}
