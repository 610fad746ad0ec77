// Package learning teaches the router from what people decide. Each letter that
// a person sent somewhere, or that a department took, is one example of its
// centre. Which letters those are follows from the events of LETTER alone, and
// what they say from their sealed readings: there is no copy of a letter to
// keep, guard or destroy, a destroyed letter teaches nothing from then on, and
// every machine, a standby or a rebuilt one, comes to the same layer. Names,
// numbers and addresses are taken out before anything is learned (rule P17).
//
// Nothing is learned from closed mail, from letters of closed departments, from
// dangers and from what may be about violence, whoever decided: what such
// letters teach would be seen, as a habit of the router, by people who may not
// know that they exist (rules P5 and P13).
package learning

import (
	"cmp"
	"slices"

	"sekretariat"
)

// rulePerson is the rule id of a decision that a person made.
const rulePerson = "person"

// Example is one letter that teaches where such letters belong.
type Example struct {
	Letter     sekretariat.LetterID     `json:"letter"`
	Department sekretariat.DepartmentID `json:"department"`
	Revision   int                      `json:"revision"`  // of the decision that it follows from
	Confirmed  bool                     `json:"confirmed"` // the department took it
	Seq        uint64                   `json:"seq"`       // of the last event that made it so
	Month      string                   `json:"month"`     // RRRR-MM, Polish calendar
}

// Bounds of what is remembered: the newest count.
const (
	maxExamples   = 1500
	maxRemembered = 20000 // letters whose first owner is known, or that may not teach
)

// History folds the events of LETTER into examples. It is deterministic: the
// same events in the same order give the same examples.
type History struct {
	examples map[sekretariat.LetterID]Example
	first    map[sekretariat.LetterID]owner // who had it before any person decided
	barred   map[sekretariat.LetterID]owner // letters that may never teach
	changed  bool
}

// owner is a department since an event.
type owner struct {
	department sekretariat.DepartmentID
	seq        uint64
}

// NewHistory makes an empty history.
func NewHistory() *History {
	return &History{
		examples: map[sekretariat.LetterID]Example{}, first: map[sekretariat.LetterID]owner{}, barred: map[sekretariat.LetterID]owner{},
	}
}

// Apply takes the next event of LETTER.
func (h *History) Apply(seq uint64, e sekretariat.Event) error {
	switch e.Type {
	case sekretariat.EventRouted:
		d, err := sekretariat.DataOf[sekretariat.RoutedData](e)
		if err != nil {
			return err
		}
		h.routed(seq, e, d)
	case sekretariat.EventTaken:
		d, err := sekretariat.DataOf[sekretariat.HandlingData](e)
		if err != nil {
			return err
		}
		h.taken(seq, e, d)
	case sekretariat.EventUnlearned:
		d, err := sekretariat.DataOf[sekretariat.UnlearnedData](e)
		if err != nil {
			return err
		}
		h.bar(seq, d.Letter)
	case sekretariat.EventCancelled:
		d, err := sekretariat.DataOf[sekretariat.CancelledData](e)
		if err != nil {
			return err
		}
		h.drop(d.Letter)
	}
	return nil
}

// routed: a person's decision is an example. Given back to the sekretariat it
// says only where the letter does not belong, and sent to where the router had
// it, that nothing was wrong: both take the example away.
func (h *History) routed(seq uint64, e sekretariat.Event, d sekretariat.RoutedData) {
	to := d.Decision.Department
	if d.Closed || d.Decision.Urgency == sekretariat.Danger {
		h.bar(seq, d.Letter)
		return
	}
	if d.By == "" || d.Decision.Rule != rulePerson {
		return
	}
	first, again := h.first[d.Letter]
	if !again {
		first = owner{d.From, seq}
		h.first[d.Letter] = first
		trim(h.first)
	}
	h.drop(d.Letter)
	if to == sekretariat.Sekretariat || to == first.department {
		return
	}
	h.add(Example{Letter: d.Letter, Department: to, Revision: d.Revision, Seq: seq, Month: month(e)})
}

// taken: the department agrees that the letter is its own.
func (h *History) taken(seq uint64, e sekretariat.Event, d sekretariat.HandlingData) {
	h.add(Example{Letter: d.Letter, Department: d.Department, Revision: d.Revision, Confirmed: true, Seq: seq, Month: month(e)})
}

func (h *History) add(x Example) {
	if _, no := h.barred[x.Letter]; no {
		return
	}
	h.examples[x.Letter], h.changed = x, true
	if len(h.examples) > 2*maxExamples {
		for _, old := range h.sorted()[:maxExamples] {
			delete(h.examples, old.Letter)
		}
	}
}

func (h *History) drop(id sekretariat.LetterID) {
	if _, there := h.examples[id]; there {
		delete(h.examples, id)
		h.changed = true
	}
}

func (h *History) bar(seq uint64, id sekretariat.LetterID) {
	h.drop(id)
	h.barred[id] = owner{seq: seq}
	trim(h.barred)
}

// trim forgets the older half of what has grown too large.
func trim(m map[sekretariat.LetterID]owner) {
	if len(m) <= 2*maxRemembered {
		return
	}
	seqs := make([]uint64, 0, len(m))
	for _, o := range m {
		seqs = append(seqs, o.seq)
	}
	slices.Sort(seqs)
	for id, o := range m {
		if o.seq < seqs[maxRemembered] {
			delete(m, id)
		}
	}
}

func (h *History) sorted() []Example {
	out := make([]Example, 0, len(h.examples))
	for _, x := range h.examples {
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b Example) int { return cmp.Compare(a.Seq, b.Seq) })
	return out
}

// Examples are the newest examples, oldest first.
func (h *History) Examples() []Example {
	list := h.sorted()
	return list[max(0, len(list)-maxExamples):]
}

func month(e sekretariat.Event) string { return sekretariat.Day(e.Time)[:len("2006-01")] }
