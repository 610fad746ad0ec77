package router

import (
	"cmp"
	"math"
	"slices"

	"sekretariat"
)

const (
	// ruleModel is the rule id of a decision of the learned model.
	ruleModel = "model"
	// ruleSuggest is the rule id of a letter that a clerk decides on because the
	// model may only suggest there (rule P17).
	ruleSuggest = "podpowiedz"
	ruleClosed  = "zastrzezone"

	// caseSure is how sure the centre's own case number makes. In 180 training
	// letters that quote one it was never another department's.
	caseSure = 0.99
	// accountOdds is how much the place of arrival speaks for its department.
	accountOdds = 2.5
	// dangerSure is how sure the model must be to hand a danger straight to a
	// department: more would cost time, and the sekretariat sees it too.
	dangerSure = 0.5
	// fieldTaught is the evidence of a first place that the centre's people taught.
	fieldTaught = "taught"
	// leastChance is what a further suggestion needs.
	leastChance = 0.02
	// secondTopic is the chance from which another label is a second topic, which
	// only a letter with the case number of another department reaches. A copy in
	// wrong hands is worse than one that a clerk adds: from 0.4 up two of fourteen
	// copies were right in cross-validation.
	secondTopic = 0.9
)

// chance is a place with the chance that the letter belongs there.
type chance struct {
	target
	chance float64
	label  string
	copies []sekretariat.DepartmentID
	lost   bool // the centre maps the label nowhere
}

// byModel decides by the centre's own rules, then by evidence, then by the
// model.
func (r *Router) byModel(d *sekretariat.Decision, l *found) {
	list, taught := r.taught(d, l, r.places(l))
	d.Suggestions = suggestionsOf(list)
	if own := r.ownReasons(l.reasons); len(own) > 0 {
		before := d.Suggestions
		r.byRules(d, l, own)
		if d.Rule != ruleFallback {
			return
		}
		d.Suggestions, d.Evidence = before, nil
	}
	if c, ok := r.byCase(l, list); ok {
		r.hand(d, l, c, ruleCase, caseSure, list)
		return
	}
	if why := r.unread(l); why != "" {
		r.keep(d, why)
		return
	}
	best := list[0]
	d.Margin = round(best.chance - secondChance(list))
	d.Confidence = round(best.chance)
	mode := r.centre.ModeFor(best.department, d.Kind)
	d.Mode = mode
	sure := best.chance >= r.threshold()
	switch {
	case best.lost:
		d.Label = best.label
		r.keep(d, becauseUnmapped)
	case d.Urgency == sekretariat.Danger && best.chance >= dangerSure:
		r.hand(d, l, best, ruleModel, best.chance, list)
	case !sure:
		r.keep(d, becauseWeak)
	case mode != sekretariat.ModeAuto:
		r.keep(d, becauseSuggest)
	default:
		r.hand(d, l, best, ruleModel, best.chance, list)
	}
	if taught && d.Rule != ruleFallback {
		d.Evidence = append([]sekretariat.Evidence{{Field: fieldTaught}}, d.Evidence...)
	}
}

// keep leaves the letter with the sekretariat.
func (r *Router) keep(d *sekretariat.Decision, why string) {
	d.Department, d.Rule = sekretariat.Sekretariat, ruleFallback
	if why == becauseSuggest {
		d.Rule = ruleSuggest
	}
	d.Evidence = append(d.Evidence, sekretariat.Evidence{Field: "fallback", Term: why})
}

// hand makes a place the owner.
func (r *Router) hand(d *sekretariat.Decision, l *found, c chance, rule string, sure float64, list []chance) {
	d.Label, d.Forward, d.Rule, d.Confidence = c.label, c.forward, rule, round(sure)
	d.Department, d.Instead = r.centre.Substitute(c.department, l.facts.Now)
	copies := slices.Clone(c.copies)
	for _, other := range list {
		// Where the model may only suggest, it sends no copies either (rule P17).
		if other.label != c.label && other.chance >= secondTopic && other.forward == "" && !other.lost &&
			r.centre.ModeFor(other.department, d.Kind) == sekretariat.ModeAuto {
			copies = append(copies, other.department)
		}
	}
	for _, to := range copies {
		if to, _ = r.centre.Substitute(to, l.facts.Now); to != d.Department && to != sekretariat.Sekretariat && !slices.Contains(d.Copies, to) {
			d.Copies = append(d.Copies, to)
		}
	}
	for _, re := range l.reasons {
		if re.place.label == c.label && c.label != "" || re.place.department != "" && re.place.department == c.department {
			d.Evidence = appendEvidence(d.Evidence, re.evidence)
		}
	}
	if len(d.Evidence) == 0 {
		d.Evidence = []sekretariat.Evidence{{Field: "model", Term: c.label}}
	}
}

// ownReasons are the reasons that the centre's own rules give for a place.
func (r *Router) ownReasons(list []reason) []reason {
	var out []reason
	for _, re := range list {
		if r.own[re.rule] && re.place != (place{}) {
			out = append(out, re)
		}
	}
	return out
}

// places are where the model would send the letter, likeliest first: labels
// that lead to the same department add up, and the place of arrival counts.
func (r *Router) places(l *found) []chance {
	by := map[target]*chance{}
	var list []*chance
	sum := 0.0
	for _, s := range l.guess.Labels {
		t, copies, lost := r.resolve(place{label: s.Name}, r.unitOf(l))
		p := s.Chance
		if d := l.facts.Arrived.Department; d != "" && d == t.department {
			p *= accountOdds
		}
		sum += p
		c := by[t]
		if c == nil || c.lost != lost {
			c = &chance{target: t, label: s.Name, copies: copies, lost: lost}
			by[t] = c
			list = append(list, c)
		}
		c.chance += p
	}
	out := make([]chance, len(list))
	for i, c := range list {
		out[i] = *c
		out[i].chance /= sum
	}
	slices.SortStableFunc(out, func(a, b chance) int { return cmp.Compare(b.chance, a.chance) })
	return violenceFirst(out)
}

// violenceShare is how near violence must be to the first place to go before it
// (boundary rule R1).
const violenceShare = 0.75

func violenceFirst(list []chance) []chance {
	i := slices.IndexFunc(list, func(c chance) bool { return c.label == violence })
	if i > 0 && list[i].chance >= violenceShare*list[0].chance {
		first := list[i]
		list = slices.Insert(slices.Delete(list, i, i+1), 0, first)
	}
	return list
}

// byCase finds the department of the centre's own case number.
func (r *Router) byCase(l *found, list []chance) (chance, bool) {
	i := slices.IndexFunc(l.reasons, func(re reason) bool { return re.rule == ruleCase })
	if i < 0 {
		return chance{}, false
	}
	to := l.reasons[i].place.department
	for _, c := range list {
		if c.department == to && c.forward == "" && !c.lost {
			return c, true
		}
	}
	return chance{target: target{department: to}}, true
}

// unread says why nothing can be made of a letter, "" if something can.
func (r *Router) unread(l *found) string {
	switch {
	case encrypted(l.facts.Reading) && l.content.words() < enoughWords:
		return becauseEncrypted
	case l.content.empty():
		return becauseUnreadable
	}
	return ""
}

// threshold is how sure the model must be in this centre.
func (r *Router) threshold() float64 {
	if r.centre.Routing.Threshold > 0 {
		return r.centre.Routing.Threshold
	}
	return r.model.SureAt()
}

func secondChance(list []chance) float64 {
	if len(list) < 2 {
		return 0
	}
	return list[1].chance
}

func suggestionsOf(list []chance) []sekretariat.Suggestion {
	var out []sekretariat.Suggestion
	for i, c := range list[:min(len(list), maxSuggestions)] {
		if i > 0 && c.chance < leastChance {
			break // nobody would look there, and naming violence silences answers (rule P6)
		}
		out = append(out, sekretariat.Suggestion{Department: c.department, Label: c.label, Score: round(c.chance)})
	}
	return out
}

func round(x float64) float64 { return math.Round(1000*x) / 1000 }
