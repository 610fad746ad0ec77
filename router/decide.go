package router

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"sekretariat"
)

const (
	// leastPoints is what a place needs before it gets a letter: about one rule
	// of weight 0.3.
	leastPoints = 0.35
	// equalShare: a second place within this share of the first is an equal.
	equalShare = 0.03
	// safetyShare: violence within this share of the first place goes first
	// (boundary rule R1): to be wrong there is worse.
	safetyShare = 0.3
	// violence is the label that boundary rule R1 puts first.
	violence = "przemoc"
	// maxSuggestions and maxEvidence keep events small.
	maxSuggestions = 3
	maxEvidence    = 8
)

// Codes of evidence in the field "fallback": why the sekretariat has the letter.
const (
	becauseNothing    = "nothing"    // no rule holds
	becauseWeak       = "weak"       // too little speaks for any place
	becauseEqual      = "equal"      // two places have the same right
	becauseUnreadable = "unreadable" // nothing could be read
	becauseEncrypted  = "encrypted"
	becauseUnmapped   = "unmapped" // the centre maps this label nowhere
	becauseSuggest    = "suggest"  // the model may only suggest here
)

// target is where a place lies in this centre.
type target struct {
	department sekretariat.DepartmentID
	forward    string
}

// candidate is a target with all that speaks for it.
type candidate struct {
	target
	points   float64
	priority int
	label    string  // the strongest label that leads here
	strength float64 // of that label
	reasons  []reason
	copies   []sekretariat.DepartmentID
	unmapped bool
}

// byRules decides by what the rules found alone.
func (r *Router) byRules(d *sekretariat.Decision, l *found, reasons []reason) {
	urgent := d.Evidence
	d.Evidence = nil
	list := r.candidates(reasons, r.unitOf(l))
	d.Suggestions = suggestions(list)
	if why := unsure(list, l.content, l.facts.Reading); why != "" {
		d.Department, d.Rule = sekretariat.Sekretariat, ruleFallback
		d.Evidence = []sekretariat.Evidence{{Field: "fallback", Term: why}}
		if why == becauseUnmapped {
			d.Label = list[0].label
		}
	} else {
		r.give(d, list, l.facts)
	}
	d.Evidence = append(d.Evidence, urgent...)
}

// give makes the best candidate the owner.
func (r *Router) give(d *sekretariat.Decision, list []candidate, f Facts) {
	best := list[0]
	d.Label, d.Forward, d.Rule = best.label, best.forward, best.reasons[0].rule
	d.Department, d.Instead = r.centre.Substitute(best.department, f.Now)
	d.Confidence = confidence(list, 0)
	for _, re := range best.reasons {
		d.Evidence = appendEvidence(d.Evidence, re.evidence)
	}
	for _, c := range best.copies {
		to, _ := r.centre.Substitute(c, f.Now)
		if to != d.Department && !slices.Contains(d.Copies, to) {
			d.Copies = append(d.Copies, to)
		}
	}
}

// candidates adds up the points of each target, best first: by priority of the
// rules, then by points, then by id so that equal letters get equal decisions.
func (r *Router) candidates(reasons []reason, unit string) []candidate {
	by := map[target]*candidate{}
	labels := map[place]float64{}
	for _, re := range reasons {
		if re.place == (place{}) {
			continue // raises the urgency only
		}
		t, copies, unmapped := r.resolve(re.place, unit)
		c := by[t]
		if c == nil {
			c = &candidate{target: t}
			by[t] = c
		}
		c.points += re.points
		c.priority = max(c.priority, re.priority)
		c.reasons = append(c.reasons, re)
		labels[re.place] += re.points
		if s := labels[re.place]; re.place.label != "" && s > c.strength {
			c.label, c.strength, c.copies, c.unmapped = re.place.label, s, copies, unmapped
		}
	}
	list := make([]candidate, 0, len(by))
	for _, c := range by {
		slices.SortStableFunc(c.reasons, func(a, b reason) int {
			return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(b.points, a.points))
		})
		list = append(list, *c)
	}
	slices.SortFunc(list, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(b.points, a.points),
			cmp.Compare(a.department, b.department), cmp.Compare(a.forward, b.forward))
	})
	return safetyFirst(list)
}

// safetyFirst moves violence to the front when it is nearly there.
func safetyFirst(list []candidate) []candidate {
	i := slices.IndexFunc(list, func(c candidate) bool { return c.label == violence })
	if i > 0 && list[i].priority == list[0].priority && list[i].points >= (1-safetyShare)*list[0].points {
		first := list[i]
		list = slices.Insert(slices.Delete(list, i, i+1), 0, first)
	}
	return list
}

// resolve maps a place to a department or authority of the centre.
func (r *Router) resolve(p place, unit string) (t target, copies []sekretariat.DepartmentID, unmapped bool) {
	if p.label == "" {
		return target{department: p.department}, nil, false
	}
	to, ok := r.centre.Labels[p.label]
	if !ok {
		return target{department: sekretariat.Sekretariat}, nil, p.label != string(sekretariat.Sekretariat)
	}
	if to.Forward != "" { // art. 65 KPA: the sekretariat passes it on
		return target{department: sekretariat.Sekretariat, forward: to.Forward}, to.Copies, false
	}
	if d := to.ByUnit[unit]; d != "" {
		return target{department: d}, to.Copies, false
	}
	return target{department: to.Department}, to.Copies, false
}

// unsure returns the code of why nobody but the sekretariat should have the
// letter, "" if the best candidate should.
func unsure(list []candidate, c content, reading sekretariat.Reading) string {
	switch {
	case len(list) == 0 || list[0].points < leastPoints:
		switch {
		case encrypted(reading):
			return becauseEncrypted
		case reading.Outcome == sekretariat.ReadUnreadable || c.empty():
			return becauseUnreadable
		case len(list) == 0:
			return becauseNothing
		}
		return becauseWeak
	case list[0].unmapped:
		return becauseUnmapped
	case list[0].label != violence && len(list) > 1 && list[1].priority == list[0].priority &&
		list[0].points-list[1].points < equalShare*list[0].points:
		return becauseEqual
	}
	return ""
}

// encrypted tells whether the reader met something locked.
func encrypted(r sekretariat.Reading) bool {
	return slices.ContainsFunc(r.Findings, func(f sekretariat.Finding) bool { // "encrypted", "smime-encrypted", …
		return strings.Contains(f.Code, "encrypted")
	})
}

// confidence is the chance that the points alone give, shared with the
// competitors.
func confidence(list []candidate, i int) float64 {
	sum := 0.0
	for _, c := range list {
		sum += c.points
	}
	if sum == 0 {
		return 0
	}
	share := list[i].points / sum
	return math.Round(1000*share*(1-math.Exp(-list[i].points))) / 1000
}

func suggestions(list []candidate) []sekretariat.Suggestion {
	var out []sekretariat.Suggestion
	for i, c := range list[:min(len(list), maxSuggestions)] {
		out = append(out, sekretariat.Suggestion{Department: c.department, Label: c.label, Score: confidence(list, i)})
	}
	return out
}

var levels = map[sekretariat.Urgency]int{sekretariat.Normal: 0, sekretariat.Urgent: 1, sekretariat.Danger: 2}

// appendEvidence appends what is new, up to maxEvidence.
func appendEvidence(list, more []sekretariat.Evidence) []sekretariat.Evidence {
	for _, e := range more {
		if len(list) < maxEvidence && !slices.Contains(list, e) {
			list = append(list, e)
		}
	}
	return list
}
