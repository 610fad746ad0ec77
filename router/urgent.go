package router

import (
	"slices"

	"sekretariat"
	"sekretariat/extract/polish"
)

// ruleLearned is the evidence of an urgency that the model found.
const ruleLearned = "model"

// urgency finds how soon somebody must read a letter. Listed evidence and the
// model each raise it; nothing lowers it. Listed evidence is looked for line by
// line, in old mails too: what forbids a rule does so only in the same line, so
// that no line can take away what another one says.
func (r *Router) urgency(d *sekretariat.Decision, l *found) {
	d.Urgency = sekretariat.Normal
	raise := func(u sekretariat.Urgency, e sekretariat.Evidence) {
		if levels[u] > levels[d.Urgency] {
			d.Urgency = u
			d.Evidence = []sekretariat.Evidence{e}
		}
	}
	if l.guess == nil { // rules alone: as they stand
		for _, re := range l.reasons {
			if re.urgency != "" {
				raise(re.urgency, sekretariat.Evidence{Field: "urgency", Term: termOf(re)})
			}
		}
		return
	}
	for _, h := range r.alarms(l) {
		raise(h.urgency, sekretariat.Evidence{Field: "urgency", Term: h.term})
	}
	if l.guess.Alarm {
		raise(sekretariat.Urgent, sekretariat.Evidence{Field: "urgency", Term: ruleLearned})
	}
}

func termOf(re reason) string {
	for _, e := range re.evidence {
		if e.Field == "text" || e.Field == "subject" {
			return e.Term
		}
	}
	return re.rule
}

// alarm is listed evidence of urgency found in a letter.
type alarm struct {
	urgency sekretariat.Urgency
	term    string // the rule's own
	rule    string
	line    string // of the letter
}

// alarms looks for the rules that raise the urgency whatever a letter is about.
func (r *Router) alarms(l *found) []alarm {
	var out []alarm
	for _, line := range lines(l.facts.Reading.Subject, l.content.text, l.content.quoted) {
		t := polish.Prepare(line)
		hits := map[int]bool{}
		r.matcher.Match(t, func(h polish.Hit) {
			if r.negative[h.Phrase] || !negation(t.Word(h.Start-1)) {
				hits[h.Phrase] = true
			}
		})
		if len(hits) == 0 {
			continue
		}
		for i := range r.rules {
			if a, ok := r.alarm(&r.rules[i], hits, line); ok {
				out = append(out, a)
			}
		}
	}
	return out
}

// alarm tells whether a rule raises the urgency because of one line.
func (r *Router) alarm(u *rule, hits map[int]bool, line string) (alarm, bool) {
	if u.Urgency == "" || len(u.Labels) > 0 || len(u.Kinds)+len(u.Boxes)+len(u.Accounts)+len(u.From)+len(u.To)+len(u.Cases)+len(u.Forms) > 0 {
		return alarm{}, false
	}
	one := func(list []int) bool { return slices.ContainsFunc(list, func(p int) bool { return hits[p] }) }
	if one(u.not) || len(u.with) > 0 && !one(u.with) {
		return alarm{}, false
	}
	for _, p := range append(slices.Clone(u.text), u.subject...) {
		if hits[p] {
			return alarm{u.Urgency, r.phrases[p], u.ID, line}, true
		}
	}
	return alarm{}, false
}
