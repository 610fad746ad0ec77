package pipeline

import (
	"context"
	"errors"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/ledger"
	"sekretariat/router"
)

// proofAside decides about proof of what became of a letter that was sent,
// where the centre does not number those (rule P11): it goes without a number
// to the department of its case, and lies with the sekretariat as a "dowód bez
// sprawy" if nothing says which case that is. ok is false for everything else.
func (p *Pipeline) proofAside(ctx context.Context, a sekretariat.ArrivedData, l sekretariat.SortedLetter) (_ sekretariat.SortedLetter, ok bool, err error) {
	if p.o.Centre.Proofs != configs.ProofsPark || !a.Proof && a.Kind != sekretariat.KindEPUAP {
		return l, false, nil
	}
	v := sorting{reason: sekretariat.ParkProof}
	r, err := p.proofReading(ctx, a)
	switch {
	case err != nil:
		return l, false, err
	case r == nil || r.Auto != "receipt":
		if !a.Proof {
			return l, false, nil
		}
	default:
		advice := p.o.Router.Advise(router.Facts{Arrived: lite(a), Reading: *r, Now: p.o.Clock()})
		if err := p.proofOf(ctx, lite(a), r, &advice); err != nil {
			return l, false, err
		}
		d := advice.Decision
		v.to, v.reading, v.thread = d.Department, r, p.thread(a, r)
		l.Closed = d.Closed || p.closed(d.Department)
	}
	l, err = p.setAside(ctx, a, l, v)
	return l, err == nil, err
}

// proofReading reads what may be a proof; nil if it cannot be read in time.
// Proofs are small.
func (p *Pipeline) proofReading(ctx context.Context, a sekretariat.ArrivedData) (*sekretariat.Reading, error) {
	if a.Size > glanceSize && !a.Proof {
		return nil, nil
	}
	bounded, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	o, err := p.openOriginal(bounded, a.Submission)
	if err == nil {
		defer o.body.Close()
		var r *sekretariat.Reading
		if r, err = p.readAll(bounded, a, o, p.o.Glance); err == nil && !killed(*r) {
			return r, nil
		}
		if err == nil {
			err = errKilled
		}
	}
	if ctx.Err() != nil {
		return nil, errors.Join(ctx.Err(), err)
	}
	p.o.Logger.Warn().Err(err).Str("submission", string(a.Submission)).Msg("what may be a proof could not be looked at in time")
	return nil, nil
}

// proofOf gives a proof that names no case to whoever has the letter that it is
// about, if that is in the register: an UPP, or evidence of e-Doręczenia that
// came after its message.
func (p *Pipeline) proofOf(ctx context.Context, a sekretariat.ArrivedLite, r *sekretariat.Reading, advice *sekretariat.Advice) error {
	if p.o.Keys == nil || !router.OpenProof(advice.Decision) {
		return nil
	}
	t := p.o.Keys.Platform(a.Kind, a.Account, r)
	if t == nil {
		return nil
	}
	for _, about := range t.References {
		n, err := p.noted(ctx, about, noteLetter)
		if err != nil {
			return err
		}
		if n.Letter == "" {
			continue
		}
		state, _, err := State(ctx, p.o.Log, n.Letter.Submission())
		if errors.Is(err, ledger.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		l := state.Letters[n.Letter.Part()]
		if l == nil || l.Cancelled || l.Department == sekretariat.Sekretariat {
			continue
		}
		d := &advice.Decision
		d.Department, d.Rule, d.Confidence, d.Closed = l.Department, router.RuleAbout, 1, d.Closed || l.Closed
		d.Evidence = nil
		advice.Explanation = p.o.Router.Explain(*d)
		return nil
	}
	return nil
}
