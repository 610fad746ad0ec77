// Package alarm watches over dangers (rule P16): which letters of urgency
// "zagrożenie" nobody has taken, who must learn of it next, and how many alarms
// there are in a hundred letters. All of it follows from the events of LETTER,
// so that a restart or another machine goes on where the last one was.
package alarm

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"sekretariat"
	"sekretariat/ledger"
)

// Board is the alarms of one centre as the ledger knows them.
type Board struct {
	centre sekretariat.CentreID
	log    ledger.Log

	mu      sync.Mutex
	letters map[sekretariat.LetterID]*sekretariat.Letter // with an open alarm
	settled map[sekretariat.LetterID]uint64              // taken: they ring no more
	months  map[string]*Rate
}

// Rate is how many alarms there were in a month.
type Rate struct {
	Month   string `json:"month"`   // RRRR-MM
	Letters int    `json:"letters"` // decided by the router for the first time
	Urgent  int    `json:"urgent"`  // of them "pilne"
	Danger  int    `json:"danger"`  // and "zagrożenie"
}

// Per100 are the alarms of both levels in a hundred letters.
func (r Rate) Per100() (urgent, danger float64) {
	n := float64(max(r.Letters, 1))
	return 100 * float64(r.Urgent) / n, 100 * float64(r.Danger) / n
}

// Open is an alarm that nobody has taken.
type Open struct {
	Letter     sekretariat.LetterID     `json:"letter"`
	Number     sekretariat.Number       `json:"number"`
	Department sekretariat.DepartmentID `json:"department"`
	Raised     time.Time                `json:"raised"`
	Step       int                      `json:"step"` // 0: only the department knows
	To         string                   `json:"to,omitempty"`
	Nobody     bool                     `json:"nobody,omitempty"` // outside working hours, with nobody on duty
}

// List is what somebody may know of the open alarms.
type List struct {
	Open []Open `json:"open"` // oldest first
	// Hidden are alarms on letters that he may not see and that climbed: that
	// there is one he must know, which one he must not (rule P5).
	Hidden int `json:"hidden"`
}

// NewBoard makes an empty board.
func NewBoard(c sekretariat.CentreID, log ledger.Log) *Board {
	b := &Board{centre: c, log: log}
	b.clear()
	return b
}

func (b *Board) clear() {
	b.letters, b.settled = map[sekretariat.LetterID]*sekretariat.Letter{}, map[sekretariat.LetterID]uint64{}
	b.months = map[string]*Rate{}
}

// Follow keeps the board up to date until ctx ends. idle is called whenever it
// has caught up.
func (b *Board) Follow(ctx context.Context, idle func() error) error {
	b.mu.Lock()
	b.clear()
	b.mu.Unlock()
	return b.log.Follow(ctx, ledger.Letter, 1, b.apply, idle)
}

// Load brings the board up to date, once.
func (b *Board) Load(ctx context.Context) error { return b.log.Replay(ctx, ledger.Letter, 1, b.apply) }

func (b *Board) apply(s ledger.Stored) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := s.Event
	switch e.Type {
	case sekretariat.EventRouted:
		d, err := sekretariat.DataOf[sekretariat.RoutedData](e)
		if err != nil {
			return err
		}
		b.routed(e, d)
	case sekretariat.EventAlarmClimbed:
		d, err := sekretariat.DataOf[sekretariat.AlarmClimbedData](e)
		if err != nil {
			return err
		}
		if l := b.letters[d.Letter]; l != nil && d.Step == l.Alarm.Step+1 {
			l.Alarm.Step, l.Alarm.To, l.Alarm.Told, l.Alarm.Nobody = d.Step, d.To, e.Time, d.Nobody
		}
	case sekretariat.EventAlarmTaken:
		d, err := sekretariat.DataOf[sekretariat.AlarmTakenData](e)
		if err != nil {
			return err
		}
		b.settle(d.Letter, s.Seq)
	case sekretariat.EventTaken, sekretariat.EventDone:
		d, err := sekretariat.DataOf[sekretariat.HandlingData](e)
		if err != nil {
			return err
		}
		if l := b.letters[d.Letter]; l != nil && l.Revision == d.Revision {
			b.settle(d.Letter, s.Seq)
		}
	case sekretariat.EventCancelled:
		d, err := sekretariat.DataOf[sekretariat.CancelledData](e)
		if err != nil {
			return err
		}
		b.settle(d.Letter, s.Seq)
	}
	return nil
}

func (b *Board) routed(e sekretariat.Event, d sekretariat.RoutedData) {
	if d.Revision == 1 && d.By == "" {
		m := sekretariat.Day(e.Time)[:len("2006-01")]
		if b.months[m] == nil {
			b.months[m] = &Rate{Month: m}
		}
		b.months[m].Letters++
		switch d.Decision.Urgency {
		case sekretariat.Urgent:
			b.months[m].Urgent++
		case sekretariat.Danger:
			b.months[m].Danger++
		}
	}
	l := b.letters[d.Letter]
	if l == nil {
		if _, done := b.settled[d.Letter]; done || d.Decision.Urgency != sekretariat.Danger {
			return
		}
		l = &sekretariat.Letter{ID: d.Letter, Centre: b.centre, Alarm: &sekretariat.Alarm{Raised: e.Time}}
		b.letters[d.Letter] = l
	}
	l.Number, l.Department, l.Copies, l.Revision = d.Number, d.Decision.Department, d.Decision.Copies, d.Revision
	l.Closed = l.Closed || d.Closed
}

// maxSettled bounds how many taken alarms are remembered, so that a later
// re-routing does not raise them again.
const maxSettled = 20000

func (b *Board) settle(id sekretariat.LetterID, seq uint64) {
	if b.letters[id] == nil {
		return
	}
	delete(b.letters, id)
	b.settled[id] = seq
	if len(b.settled) > 2*maxSettled {
		order := slices.Sorted(maps.Values(b.settled))
		maps.DeleteFunc(b.settled, func(_ sekretariat.LetterID, s uint64) bool { return s < order[maxSettled] })
	}
}

// List tells what somebody may know of the open alarms.
func (b *Board) List(who sekretariat.Principal) List {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := List{Open: []Open{}}
	for _, l := range b.letters {
		switch sekretariat.MaySee(who, *l) {
		case sekretariat.Full:
			out.Open = append(out.Open, Open{l.ID, l.Number, l.Department, l.Alarm.Raised, l.Alarm.Step, l.Alarm.To, l.Alarm.Nobody})
		case sekretariat.Masked:
			if l.Alarm.Step > 0 {
				out.Hidden++
			}
		}
	}
	slices.SortFunc(out.Open, func(x, y Open) int { return cmp.Or(x.Raised.Compare(y.Raised), cmp.Compare(x.Letter, y.Letter)) })
	return out
}

// Rates are the alarms by month, newest first.
func (b *Board) Rates() []Rate {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := []Rate{}
	for _, r := range b.months {
		out = append(out, *r)
	}
	slices.SortFunc(out, func(x, y Rate) int { return cmp.Compare(y.Month, x.Month) })
	return out
}

// waiting are the open alarms, for the keeper.
func (b *Board) waiting() []sekretariat.Letter {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]sekretariat.Letter, 0, len(b.letters))
	for _, l := range b.letters {
		c, a := *l, *l.Alarm
		c.Alarm = &a
		out = append(out, c)
	}
	return out
}
