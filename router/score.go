package router

import (
	"slices"
	"strings"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/extract/polish"
)

// Ids of decisions that no configured rule makes.
const (
	ruleCase     = "znak-sprawy" // the centre's own case number
	ruleNamed    = "nazwa-dzialu"
	ruleAccount  = "miejsce-wplywu" // default department of the account or box
	ruleAuto     = "automat"        // nobody wrote it
	ruleFallback = "fallback"
)

// What evidence beside the rules is worth: a quoted case number nearly decides,
// the place of arrival and a name decide only when the content does not.
var (
	casePoints    = points(0.96)
	accountPoints = points(0.40)
	namedPoints   = points(0.30)
	autoPoints    = points(0.85)
	// systemPoints: a system's notice ("auto-generated") may well be about a
	// citizen.
	systemPoints = points(0.45)
)

const (
	// moreTerms is what each further term of a rule adds, in shares of the first.
	moreTerms = 0.5
	maxTerms  = 4
	// subjectFactor: people put into the subject what matters.
	subjectFactor = 1.4
)

// place is what points are given to: a label or directly a department.
type place struct {
	label      string
	department sekretariat.DepartmentID
}

// reason is one rule that holds for a letter.
type reason struct {
	rule     string
	place    place
	priority int
	points   float64
	urgency  sekretariat.Urgency
	evidence []sekretariat.Evidence
}

// Where a phrase was found.
const (
	inSubject = 1 << iota
	inText
)

// find marks where each phrase occurs. A hit that the word before it turns into
// its opposite ("nie bije") does not count.
func (r *Router) find(c content) []uint8 {
	marks := make([]uint8, len(r.phrases))
	look := func(t polish.Text, where uint8) {
		r.matcher.Match(t, func(h polish.Hit) {
			if r.negative[h.Phrase] || !negation(t.Word(h.Start-1)) {
				marks[h.Phrase] |= where
			}
		})
	}
	look(c.subject, inSubject)
	for _, b := range c.body {
		look(b, inText)
	}
	return marks
}

// reasons returns everything that speaks for some place or for urgency, in the
// order of the rules. Rules that depend on the leading label come last.
func (r *Router) reasons(f Facts, marks []uint8) []reason {
	var out []reason
	cases := casePrefixes(f.Reading)
	for i := range r.rules {
		if len(r.rules[i].Labels) == 0 {
			out = r.try(out, &r.rules[i], f, marks, cases)
		}
	}
	out = append(out, r.other(f, marks, cases)...)
	leading := leadingLabels(out)
	for i := range r.rules {
		if slices.ContainsFunc(r.rules[i].Labels, func(l string) bool { return leading[l] }) {
			out = r.try(out, &r.rules[i], f, marks, cases)
		}
	}
	return out
}

// try appends the reason of one rule if all its conditions hold.
func (r *Router) try(out []reason, u *rule, f Facts, marks []uint8, cases []string) []reason {
	if len(u.text) > 0 && !occurs(marks, u.text) || len(u.subject) > 0 && !occurs(marks, u.subject) ||
		len(u.with) > 0 && !occurs(marks, u.with) || occurs(marks, u.not) {
		return out
	}
	ev, ok := channelEvidence(u.Rule, f.Arrived)
	if !ok {
		return out
	}
	for _, c := range []struct {
		field string
		terms []string // as configured
		want  []string // folded
		have  func(want string) bool
	}{
		{"recipient", u.To, u.to, func(w string) bool { return addressed(f.Reading.Recipients, w) }},
		{"sender", u.From, u.from, func(w string) bool { return sentBy(f.Reading.Sender, w) }},
		{"case", u.Cases, u.cases, func(w string) bool { return slices.ContainsFunc(cases, func(c string) bool { return prefixOf(w, c) }) }},
		{"form", u.Forms, u.Forms, func(w string) bool { return f.Reading.Form != "" && strings.HasPrefix(f.Reading.Form, w) }},
	} {
		if len(c.want) == 0 {
			continue
		}
		i := slices.IndexFunc(c.want, c.have)
		if i < 0 {
			return out
		}
		ev = append(ev, sekretariat.Evidence{Field: c.field, Term: c.terms[i]})
	}
	factor := 1.0
	if ev, factor, ok = r.phraseEvidence(ev, u, marks); !ok {
		return out
	}
	return append(out, reason{
		rule: u.ID, place: place{u.Label, u.Department}, priority: u.Priority,
		points: u.points * factor, urgency: u.Urgency, evidence: ev,
	})
}

// phraseEvidence checks the phrases of a rule and says how much more than one
// term it found.
func (r *Router) phraseEvidence(ev []sekretariat.Evidence, u *rule, marks []uint8) ([]sekretariat.Evidence, float64, bool) {
	terms, subject := 0, false
	for _, list := range []struct {
		phrases []int
		where   uint8
	}{{u.subject, inSubject}, {u.text, inSubject | inText}} {
		if len(list.phrases) == 0 {
			continue
		}
		before := terms
		for _, p := range list.phrases {
			hit := marks[p] & list.where
			if hit == 0 {
				continue
			}
			terms++
			e := sekretariat.Evidence{Field: "text", Term: r.phrases[p]}
			if hit&inSubject != 0 {
				e.Field, subject = "subject", true
			}
			ev = append(ev, e)
		}
		if terms == before {
			return nil, 0, false
		}
	}
	factor := 1 + moreTerms*float64(min(max(terms, 1), maxTerms)-1)
	if subject {
		factor *= subjectFactor
	}
	return ev, factor, true
}

// other is what speaks for a place beside the rules.
func (r *Router) other(f Facts, marks []uint8, cases []string) []reason {
	var out []reason
	if f.Reading.Auto != "" {
		worth := autoPoints
		if f.Reading.Auto == "auto-generated" {
			worth = systemPoints
		}
		out = append(out, reason{rule: ruleAuto, place: place{label: string(sekretariat.Sekretariat)}, points: worth})
	}
	for _, c := range cases {
		if i := slices.IndexFunc(r.symbols, func(s symbol) bool { return prefixOf(s.folded, c) }); i >= 0 {
			s := r.symbols[i]
			out = append(out, reason{
				rule: ruleCase, place: place{department: s.department}, points: casePoints,
				evidence: []sekretariat.Evidence{{Field: "case", Term: s.term}},
			})
			break
		}
	}
	for _, n := range r.named {
		if marks[n.phrase] != 0 {
			out = append(out, reason{
				rule: ruleNamed, place: place{department: n.department}, points: namedPoints,
				evidence: []sekretariat.Evidence{{Field: "text", Term: n.term}},
			})
		}
	}
	if d := f.Arrived.Department; d != "" {
		if _, ok := r.centre.DepartmentByID(d); ok {
			ev := sekretariat.Evidence{Field: "account", Term: f.Arrived.Account}
			if f.Arrived.Box != "" {
				ev = sekretariat.Evidence{Field: "box", Term: f.Arrived.Box}
			}
			out = append(out, reason{
				rule: ruleAccount, place: place{department: d}, points: accountPoints, evidence: []sekretariat.Evidence{ev},
			})
		}
	}
	return out
}

// channelEvidence checks the conditions on the way a letter came.
func channelEvidence(u *configs.Rule, a sekretariat.ArrivedLite) (ev []sekretariat.Evidence, ok bool) {
	if len(u.Kinds) > 0 && !slices.Contains(u.Kinds, string(a.Kind)) {
		return nil, false
	}
	if len(u.Boxes) > 0 {
		if !slices.Contains(u.Boxes, a.Box) {
			return nil, false
		}
		ev = append(ev, sekretariat.Evidence{Field: "box", Term: a.Box})
	}
	if len(u.Accounts) > 0 {
		if !slices.Contains(u.Accounts, a.Account) {
			return nil, false
		}
		ev = append(ev, sekretariat.Evidence{Field: "account", Term: a.Account})
	}
	return ev, true
}

// occurs tells whether one of the phrases occurs.
func occurs(marks []uint8, phrases []int) bool {
	return slices.ContainsFunc(phrases, func(p int) bool { return marks[p] != 0 })
}

// addressed tells whether a recipient's address contains the folded term:
// a whole address, "@mzon" or "mzon@".
func addressed(list []sekretariat.Party, term string) bool {
	return slices.ContainsFunc(list, func(p sekretariat.Party) bool {
		return strings.Contains(polish.Fold(p.Email), term) || strings.Contains(polish.Fold(p.IDs["ePUAP"]), term)
	})
}

// sentBy tells whether the sender is the folded term: a whole address, or with
// "@" in front a domain or one below it.
func sentBy(p sekretariat.Party, term string) bool {
	mail := polish.Fold(p.Email)
	if domain, ok := strings.CutPrefix(term, "@"); ok {
		_, host, _ := strings.Cut(mail, "@")
		return host == domain || strings.HasSuffix(host, "."+domain)
	}
	return mail != "" && mail == term
}

// casePrefixes returns the folded symbols of the case numbers in a reading.
func casePrefixes(r sekretariat.Reading) []string {
	numbers := r.CaseNumbers
	if numbers == nil && r.Reader == "" { // no reader has looked for them
		numbers = polish.CaseNumbers(cut(r.Subject+"\n"+r.Text, maxText))
	}
	out := make([]string, 0, len(numbers))
	for _, n := range numbers {
		out = append(out, polish.Fold(n))
	}
	return out
}

// prefixOf tells whether a folded case number begins with a symbol.
func prefixOf(symbol, number string) bool { return strings.HasPrefix(number, symbol+".") }

// leadingShare is how near to the first label another one must be to lead too.
const leadingShare = 0.6

// leadingLabels are the label with the most points and those near it.
func leadingLabels(list []reason) map[string]bool {
	scores, most := map[string]float64{}, 0.0
	for _, re := range list {
		if re.place.label != "" {
			scores[re.place.label] += re.points
			most = max(most, scores[re.place.label])
		}
	}
	leading := map[string]bool{}
	for l, s := range scores {
		leading[l] = s >= leadingShare*most
	}
	return leading
}
