package pipeline

import (
	"context"
	"errors"

	"sekretariat"
	"sekretariat/configs"
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
		d := p.o.Router.Advise(router.Facts{Arrived: lite(a), Reading: *r, Now: p.o.Clock()}).Decision
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
