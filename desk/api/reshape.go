package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"sekretariat"
	"sekretariat/pipeline"
	"sekretariat/register/index"
)

// reshape is the body of a POST to split, joined and received.
type reshape struct {
	Revision int                  `json:"revision"` // of the decision; of received: changes of the day so far
	Letters  []pipeline.Piece     `json:"letters"`  // split: what is split off
	Into     sekretariat.LetterID `json:"into"`     // joined: the letter that takes it over
	Day      string               `json:"day"`      // received: RRRR-MM-DD
	Reason   string               `json:"reason"`
}

func decodeReshape(c call) (reshape, error) {
	var r reshape
	d := json.NewDecoder(http.MaxBytesReader(c.w, c.r.Body, 1<<16))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return r, fmt.Errorf("%w: the body must be JSON with revision and reason, and letters, into or day", pipeline.ErrInvalid)
	}
	return r, nil
}

// split answers with the ids of the new letters.
func (a *api) split(ctx context.Context, c call) error {
	r, err := decodeReshape(c)
	if err != nil {
		return err
	}
	ids, err := c.c.Pipeline.Split(ctx, c.who, c.id, r.Revision, r.Letters, r.Reason)
	if err != nil {
		return err
	}
	answer(c.w, http.StatusOK, map[string][]sekretariat.LetterID{"letters": ids})
	return nil
}

func (a *api) join(ctx context.Context, c call) error {
	r, err := decodeReshape(c)
	if err == nil {
		err = c.c.Pipeline.Join(ctx, c.who, c.id, r.Revision, r.Into, r.Reason)
	}
	return a.bare(c, err)
}

func (a *api) redate(ctx context.Context, c call) error {
	r, err := decodeReshape(c)
	if err == nil {
		err = c.c.Pipeline.Redate(ctx, c.who, c.id, r.Revision, r.Day, r.Reason)
	}
	return a.bare(c, err)
}

// Backdated is the JSON of a letter whose day of receipt lies before that of its
// registration.
type Backdated struct {
	Letter     sekretariat.LetterID `json:"letter"`
	Identifier string               `json:"identifier"`
	Received   string               `json:"received"`   // data wpływu, RRRR-MM-DD
	Registered string               `json:"registered"` // RRRR-MM-DD
	Basis      sekretariat.Basis    `json:"basis"`      // what the day rests on
	Changed    bool                 `json:"changed"`    // corrected after the registration
	Why        string               `json:"why"`        // in Polish
}

// backdated lists them, the newest number first: ?from= and ?to= narrow the data
// wpływu, ?after= is the mark of the answer before.
func (a *api) backdated(ctx context.Context, c call) error {
	if !c.who.Register {
		return pipeline.ErrForbidden
	}
	q := c.r.URL.Query()
	rows, next, err := c.c.Index.Register(ctx, c.who, index.Filter{From: q.Get("from"), To: q.Get("to"), Backdated: true}, index.Page{After: q.Get("after")})
	if errors.Is(err, index.ErrBadDay) || errors.Is(err, index.ErrBadPage) {
		return fmt.Errorf("%w: from and to are days, after is the mark that the list gave", pipeline.ErrInvalid)
	}
	if err != nil {
		return err
	}
	out := struct {
		Letters []Backdated `json:"letters"`
		Next    string      `json:"next,omitempty"`
	}{Letters: []Backdated{}, Next: next}
	for _, r := range rows {
		out.Letters = append(out.Letters, Backdated{
			Letter: r.Letter, Identifier: r.Number.Identifier(), Received: sekretariat.Day(r.Arrived), Registered: sekretariat.Day(r.Registered),
			Basis: r.Basis, Changed: r.Redated > 0, Why: c.c.Pipeline.WhyEarlier(ctx, r.Letter, r.Basis, r.Redated, r.Reading),
		})
	}
	answer(c.w, http.StatusOK, out)
	return nil
}
