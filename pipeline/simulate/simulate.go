// Package simulate asks what a changed configuration or model would have done to
// the letters that there are, before it is activated. It reads stored readings
// and events and changes nothing. Whoever asks learns of no letter that he may
// not see: those are counted and no more (rule P5).
package simulate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"sekretariat"
	"sekretariat/ledger"
	"sekretariat/pipeline"
	"sekretariat/router"
	"sekretariat/storage"
)

// Options are what a simulation needs.
type Options struct {
	Centre sekretariat.CentreID
	Log    ledger.Log
	Vault  *storage.Vault
	Router *router.Router // of the configuration and model that are tried
	Who    sekretariat.Principal
}

// Row is one letter that would be treated differently, or against a person.
type Row struct {
	Letter     sekretariat.LetterID     `json:"letter"`
	Number     string                   `json:"number,omitempty"`
	Arrived    time.Time                `json:"arrived"`
	From       sekretariat.DepartmentID `json:"from"`             // where the router put it
	To         sekretariat.DepartmentID `json:"to"`               // where it would put it
	First      sekretariat.DepartmentID `json:"first"`            // first suggestion, when a person would be asked
	Person     sekretariat.DepartmentID `json:"person,omitempty"` // where a person put it
	Against    bool                     `json:"against"`          // it would speak against that person
	Urgency    sekretariat.Urgency      `json:"urgency"`
	Was        sekretariat.Urgency      `json:"urgencyBefore"`
	Rule       string                   `json:"rule"`
	Confidence float64                  `json:"confidence"`
}

// Move is how many letters would go from one department to another.
type Move struct {
	From    sekretariat.DepartmentID `json:"from"`
	To      sekretariat.DepartmentID `json:"to"`
	Letters int                      `json:"letters"`
	Against int                      `json:"against"` // of them against a person's decision
}

// Report is the outcome.
type Report struct {
	Letters       int           `json:"letters"` // that were tried
	Moved         int           `json:"moved"`
	Hidden        int           `json:"hidden"`     // closed to who asks: counted only
	Unreadable    int           `json:"unreadable"` // destroyed, or not to be opened
	Judged        int           `json:"judged"`     // a person decided
	AgainstBefore int           `json:"againstBefore"`
	AgainstAfter  int           `json:"againstAfter"`
	AutoBefore    int           `json:"autoBefore"` // sent without asking a person
	AutoAfter     int           `json:"autoAfter"`
	Raised        int           `json:"urgencyRaised"`
	Lowered       int           `json:"urgencyLowered"`
	Took          time.Duration `json:"took"`
	Moves         []Move        `json:"moves"`
	Rows          []Row         `json:"rows"`
}

// past is what history knows of a letter.
type past struct {
	seq     uint64
	letter  sekretariat.Letter // what MaySee looks at
	read    sekretariat.ReadData
	decided sekretariat.Decision // by the router, the last time
	auto    bool
	person  sekretariat.DepartmentID
}

// Run tries every letter that was read and decided.
func Run(ctx context.Context, o Options) (Report, error) {
	begin := time.Now()
	list, err := history(ctx, o)
	if err != nil {
		return Report{}, err
	}
	results := make([]result, len(list))
	g, ctx := errgroup.WithContext(ctx)
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		g.Go(func() error {
			for i := w; i < len(list); i += workers {
				r, err := try(ctx, o, list[i])
				if err != nil {
					return err
				}
				results[i] = r
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return Report{}, err
	}
	rep := sum(list, results)
	rep.Took = time.Since(begin)
	return rep, nil
}

// history folds LETTER into the letters that were decided, in the order of
// their decisions.
func history(ctx context.Context, o Options) ([]*past, error) {
	by := map[sekretariat.LetterID]*past{}
	err := o.Log.Replay(ctx, ledger.Letter, 1, func(s ledger.Stored) error {
		switch s.Event.Type {
		case sekretariat.EventRead:
			d, err := sekretariat.DataOf[sekretariat.ReadData](s.Event)
			if err != nil {
				return err
			}
			by[d.Letter] = &past{letter: sekretariat.Letter{ID: d.Letter, Centre: o.Centre, Closed: d.Closed, Number: d.Number}, read: d}
		case sekretariat.EventReread:
			d, err := sekretariat.DataOf[sekretariat.RereadData](s.Event)
			if err != nil {
				return err
			}
			if p := by[d.Letter]; p != nil {
				p.read.Reading, p.letter.Closed = d.Reading, p.letter.Closed || d.Closed
			}
		case sekretariat.EventRouted:
			d, err := sekretariat.DataOf[sekretariat.RoutedData](s.Event)
			if err != nil {
				return err
			}
			if p := by[d.Letter]; p != nil {
				p.routed(s.Seq, d)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("replay the decisions of %s: %w", o.Centre, err)
	}
	list := slices.Collect(maps.Values(by))
	list = slices.DeleteFunc(list, func(p *past) bool { return p.seq == 0 })
	slices.SortFunc(list, func(a, b *past) int { return cmp.Compare(a.seq, b.seq) })
	return list, nil
}

func (p *past) routed(seq uint64, d sekretariat.RoutedData) {
	p.letter.Department, p.letter.Copies = d.Decision.Department, d.Decision.Copies
	p.letter.Closed = p.letter.Closed || d.Closed
	if d.By != "" {
		p.person = d.Decision.Department
		return
	}
	p.seq, p.decided, p.auto = seq, d.Decision, sent(d.Decision)
}

// sent tells whether a decision asks nobody.
func sent(d sekretariat.Decision) bool { return !router.Asks(d) }

// result is what would become of a letter.
type result struct {
	hidden, unreadable bool
	decision           sekretariat.Decision
}

func try(ctx context.Context, o Options, p *past) (result, error) {
	if sekretariat.MaySee(o.Who, p.letter) != sekretariat.Full {
		return result{hidden: true}, nil
	}
	r, err := pipeline.LoadReading(ctx, o.Vault, o.Centre, p.letter.ID.Submission(), p.read.Reading)
	switch {
	case errors.Is(err, storage.ErrShredded), errors.Is(err, storage.ErrDamaged), errors.Is(err, storage.ErrNotFound):
		return result{unreadable: true}, nil
	case err != nil:
		return result{}, err
	}
	d := o.Router.Decide(router.Facts{Arrived: p.read.Arrived, Reading: *r, Now: p.read.Arrived.Received})
	return result{decision: d, hidden: d.Closed}, nil
}

// first is where a decision would have the letter: its own department, or what
// it suggests to the person whom it asks.
func first(d sekretariat.Decision) sekretariat.DepartmentID {
	if router.Asks(d) && len(d.Suggestions) > 0 {
		return d.Suggestions[0].Department
	}
	return d.Department
}

var level = map[sekretariat.Urgency]int{sekretariat.Urgent: 1, sekretariat.Danger: 2}

func sum(list []*past, results []result) Report {
	rep := Report{Moves: []Move{}, Rows: []Row{}}
	moves := map[[2]sekretariat.DepartmentID]*Move{}
	for i, p := range list {
		now := results[i]
		switch {
		case now.hidden:
			rep.Hidden++
			continue
		case now.unreadable:
			rep.Unreadable++
			continue
		}
		d := now.decision
		rep.Letters++
		rep.AutoBefore += count(p.auto)
		rep.AutoAfter += count(sent(d))
		rep.Raised += count(level[d.Urgency] > level[p.decided.Urgency])
		rep.Lowered += count(level[d.Urgency] < level[p.decided.Urgency])
		against := p.person != "" && first(d) != p.person
		if p.person != "" {
			rep.Judged++
			rep.AgainstBefore += count(first(p.decided) != p.person)
			rep.AgainstAfter += count(against)
		}
		moved := d.Department != p.decided.Department
		if moved {
			rep.Moved++
			k := [2]sekretariat.DepartmentID{p.decided.Department, d.Department}
			if moves[k] == nil {
				moves[k] = &Move{From: k[0], To: k[1]}
			}
			moves[k].Letters++
			moves[k].Against += count(against)
		}
		if moved || against || d.Urgency != p.decided.Urgency {
			rep.Rows = append(rep.Rows, Row{
				Letter: p.letter.ID, Number: p.letter.Number.Identifier(), Arrived: p.read.Arrived.At, From: p.decided.Department, To: d.Department,
				First: first(d), Person: p.person, Against: against, Urgency: d.Urgency, Was: p.decided.Urgency, Rule: d.Rule, Confidence: d.Confidence,
			})
		}
	}
	for _, m := range moves {
		rep.Moves = append(rep.Moves, *m)
	}
	slices.SortFunc(rep.Moves, func(a, b Move) int {
		return cmp.Or(cmp.Compare(b.Letters, a.Letters), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	return rep
}

func count(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
