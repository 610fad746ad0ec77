package router

import (
	"strings"

	"sekretariat"
	"sekretariat/router/clean"
	"sekretariat/router/contact"
	"sekretariat/router/model"
	"sekretariat/router/terms"
)

// found is a letter with all that is found in it, before anything is decided.
type found struct {
	facts       Facts
	content     content
	reasons     []reason
	contacts    sekretariat.Contacts
	institution bool
	guess       *model.Prediction // nil without a model
	kind        string
	words       map[string]bool // codes of what the letter names, see words.go
	touchy      bool            // the model thinks of violence, whatever was taught
}

// Decide says where a letter goes. It always names exactly one department that
// exists in the centre, and depends on nothing but the facts, the configuration
// and the model.
func (r *Router) Decide(f Facts) sekretariat.Decision { return r.decide(r.read(f)) }

// Advise decides and says all that there is to say about the letter. The advice
// quotes the letter: it belongs into the letter's sealed object.
func (r *Router) Advise(f Facts) sekretariat.Advice {
	l := r.read(f)
	d := r.decide(l)
	return sekretariat.Advice{
		Decision: d, Explanation: r.explainLetter(d, l), Urgency: r.explainUrgency(d, l), Contacts: l.contacts,
		Warnings: r.warnings(d, l), Drafts: r.drafts(d, l),
	}
}

// read finds everything in a letter. Where the writer's own few words do not
// say what he wants, the mail below them is read too (boundary rule R0); where
// they do, nothing below changes it.
func (r *Router) read(f Facts) *found {
	l := r.look(f, contentOf(f.Reading, false))
	if l.content.pointsBack() && (l.guess == nil || l.guess.Labels[0].Chance < r.threshold()) {
		l = r.look(f, contentOf(f.Reading, true))
	}
	l.contacts = contact.Find(contact.Letter{
		Subject: f.Reading.Subject, Parts: clean.Parts{Own: l.content.text, Quoted: l.content.quoted}, Sender: f.Reading.Sender, ReplyTo: f.Reading.ReplyTo,
		Symbols: r.symbolTerms(), Phone: channel(f.Arrived) == "phone",
	})
	return l
}

// look finds what a content says.
func (r *Router) look(f Facts, c content) *found {
	l := &found{facts: f, content: c, institution: institution(f.Reading.Sender), words: wordsOf(c)}
	l.reasons = r.reasons(f, r.find(c))
	if r.model != nil {
		l.guess = r.held(f, c, l.reasons)
		l.kind = l.guess.Kinds[0].Name
	}
	if f.Reading.Auto != "" {
		l.kind = "inne"
	}
	return l
}

// held is what the model says, or what another one that lacked the letter said.
func (r *Router) held(f Facts, c content, reasons []reason) *model.Prediction {
	if f.Held != nil {
		return f.Held
	}
	p := r.model.Predict(r.input(f, c, reasons))
	return &p
}

// decide makes the whole decision of what was found.
func (r *Router) decide(l *found) sekretariat.Decision {
	if isProof(l.facts) {
		d := r.proof(l.facts)
		d.Silent = true // nobody is thanked for a receipt
		return d
	}
	d := sekretariat.Decision{Config: r.centre.Version, Kind: l.kind}
	r.urgency(&d, l)
	if l.guess == nil {
		r.byRules(&d, l, l.reasons)
	} else {
		d.Model = r.model.Version
		r.byModel(&d, l)
	}
	r.bySheet(&d, l)
	if r.closedMail(l) {
		r.close(&d)
	}
	d.Defects = r.defects(l, d)
	if policy := r.centre.PolicyAt(l.facts.Now); has(d.Defects, DefectUnsigned) {
		d.Policy = policy.Policy
	}
	d.Deadlines = r.deadlines(d, l)
	d.Wishes = l.contacts.Wishes
	d.NoContact = contact.None(l.contacts)
	d.Silent = len(d.Wishes) > 0 || d.Closed || d.Urgency == sekretariat.Danger || r.sensitive(d) || l.touchy || l.facts.Reading.Auto != ""
	d.ContactDuty = r.contactDuty(d, l)
	return d
}

// deadlines starts the clocks of the letter on the day that it arrived.
func (r *Router) deadlines(d sekretariat.Decision, l *found) []sekretariat.Deadline {
	if l.facts.Reading.Auto != "" || l.kind == "inne" {
		return nil
	}
	arrived := l.facts.Arrived.At
	if arrived.IsZero() {
		arrived = l.facts.Now
	}
	return terms.For(terms.Facts{
		Kind: l.kind, Label: d.Label, Urgent: d.Urgency != sekretariat.Normal, Institution: l.institution, Forward: d.Forward != "", Words: l.words,
	}, arrived)
}

// sensitive tells whether an answer could betray the writer: violence decided
// or only suggested (rule P6).
func (r *Router) sensitive(d sekretariat.Decision) bool {
	if d.Label == violence {
		return true
	}
	for _, s := range d.Suggestions {
		if s.Label == violence && s.Score >= touchy {
			return true
		}
	}
	return false
}

// contactDuty follows rule P15: natural persons who apply, not institutions,
// invoices, proofs or letters inside a running matter.
func (r *Router) contactDuty(d sekretariat.Decision, l *found) bool {
	return r.centre.Routing.ContactDuty && !l.institution && l.facts.Reading.Auto == "" && l.contacts.Case == "" &&
		(d.Kind == "wniosek" || d.Kind == "odwolanie" || d.Kind == "zapytanie" || d.Kind == "skarga" || d.Kind == "")
}

// closedMail looks for the words of mail that must not be opened (rule P13): in
// the subject, or where an envelope and a heading have them.
func (r *Router) closedMail(l *found) bool {
	head := l.facts.Reading.Subject + "\n" + firstLines(l.content.text, 3)
	return len(r.closedWords) > 0 && anyPhrase(r.closedWords, head)
}

// close gives a letter to the queue of closed mail.
func (r *Router) close(d *sekretariat.Decision) {
	d.Closed, d.Copies = true, nil
	if to := r.centre.Routing.Closed.Department; to != "" {
		d.Department, d.Forward, d.Instead = to, "", ""
	} else {
		d.Department, d.Forward, d.Instead = sekretariat.Sekretariat, "", ""
	}
	d.Rule, d.Evidence = ruleClosed, []sekretariat.Evidence{{Field: "text", Term: "zastrzeżone"}}
}

func firstLines(s string, n int) string {
	var b strings.Builder
	for l := range strings.Lines(s) {
		if strings.TrimSpace(l) == "" {
			continue
		}
		b.WriteString(l[:min(len(l), 200)])
		if n--; n == 0 {
			break
		}
	}
	return b.String()
}

func (r *Router) symbolTerms() []string {
	out := make([]string, len(r.symbols))
	for i, s := range r.symbols {
		out[i] = s.term
	}
	return out
}

func has(list []string, s string) bool {
	for _, have := range list {
		if have == s {
			return true
		}
	}
	return false
}
