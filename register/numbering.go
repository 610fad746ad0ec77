package register

import (
	"fmt"
	"time"

	"sekretariat"
)

// request is one letter that asks for a number.
type request struct {
	letter  sekretariat.LetterID
	parent  sekretariat.LetterID
	span    string // what of the submission it covers
	closed  bool
	arrived sekretariat.ArrivedData
	cause   uint64 // sequence on LETTER of the event that asks
	before  int    // revision of the letter by then
}

// next returns the number that follows last at time t (rule P2: the year is
// that of the registration). first tells the first number of a year.
func next(series sekretariat.SeriesID, last sekretariat.Number, t time.Time, first func(year int) int) sekretariat.Number {
	year := sekretariat.RegisterYear(t)
	if last.Year == year && !last.IsZero() {
		return sekretariat.Number{Series: series, Year: year, N: last.N + 1}
	}
	return sekretariat.Number{Series: series, Year: year, N: max(first(year), 1)}
}

// number gives the requests the numbers that follow last, in order, each sealed
// onto the one before. It is pure: what it returns counts only once the ledger
// has taken it.
func (o Options) number(last sekretariat.Entry, now time.Time, rs []request) []sekretariat.RegisteredData {
	at := sekretariat.RegisterTime(now, last.Registered)
	out := make([]sekretariat.RegisteredData, 0, len(rs))
	for _, r := range rs {
		n := next(o.Series, last.Number, at, o.First)
		last = Seal(sekretariat.Entry{
			Version: sekretariat.EntryVersion, Centre: o.Centre, Number: n, Identifier: n.Identifier(),
			Letter: r.letter, Parent: r.parent, Manifest: r.arrived.Manifest,
			Arrived: r.arrived.Arrived, Received: r.arrived.Received, Registered: at,
		}, last.Digest)
		out = append(out, sekretariat.RegisteredData{Entry: last, Arrived: r.arrived, Range: r.span, Closed: r.closed, Cause: r.cause, Before: r.before})
	}
	return out
}

// asks reads from one event of LETTER which letters ask for a number in this
// series. state returns the submission's state as of that event; it is called
// only for events that do not tell a letter's arrival themselves.
func (o Options) asks(e sekretariat.Event, seq uint64, state func() (*sekretariat.State, error)) ([]request, error) {
	switch e.Type {
	case sekretariat.EventSorted:
		d, err := sekretariat.DataOf[sekretariat.SortedData](e)
		if err != nil {
			return nil, err
		}
		return o.pick(d.Arrived, d.Letters, "", seq), nil
	case sekretariat.EventSplit:
		d, err := sekretariat.DataOf[sekretariat.SplitData](e)
		if err != nil {
			return nil, err
		}
		from, err := letterOf(state, d.From)
		if err != nil {
			return nil, err
		}
		return o.pick(from.Arrived, d.Letters, d.From, seq), nil
	case sekretariat.EventReleased:
		d, err := sekretariat.DataOf[sekretariat.ReleasedData](e)
		if err != nil {
			return nil, err
		}
		l, err := letterOf(state, d.Letter)
		if err != nil || o.seriesOf(l.Series, l.Arrived) != o.Series {
			return nil, err
		}
		return []request{{letter: l.ID, parent: l.Parent, span: l.Range, closed: l.Closed, arrived: l.Arrived, cause: seq, before: l.Revision}}, nil
	}
	return nil, nil
}

func letterOf(state func() (*sekretariat.State, error), id sekretariat.LetterID) (*sekretariat.Letter, error) {
	s, err := state()
	if err != nil {
		return nil, err
	}
	l, ok := s.Letters[id.Part()]
	if !ok {
		return nil, fmt.Errorf("no letter %s: %w", id, sekretariat.ErrOutOfOrder)
	}
	return l, nil
}

// pick makes requests of the letters to be registered in this series, in their
// order (rule P3: page order).
func (o Options) pick(a sekretariat.ArrivedData, ls []sekretariat.SortedLetter, parent sekretariat.LetterID, seq uint64) []request {
	var out []request
	for _, l := range ls {
		if l.Action != sekretariat.ActionRegister || o.seriesOf(l.Series, a) != o.Series {
			continue
		}
		r := request{
			letter: sekretariat.NewLetterID(a.Submission, l.Part), parent: l.Parent, span: l.Range,
			closed: l.Closed, arrived: a, cause: seq,
		}
		if r.parent == "" {
			r.parent = parent
		}
		out = append(out, r)
	}
	return out
}

// seriesOf is the series of a letter: its own, else its arrival's, else the
// main one.
func (o Options) seriesOf(s sekretariat.SeriesID, a sekretariat.ArrivedData) sekretariat.SeriesID {
	switch {
	case s != "":
		return s
	case a.Series != "":
		return a.Series
	}
	return sekretariat.MainSeries
}
