package router

import (
	"fmt"
	"strings"
	"unicode"

	"sekretariat"
	"sekretariat/extract/polish"
	"sekretariat/router/contact"
	"sekretariat/router/terms"
)

// maxQuote bounds a quotation from the letter in an explanation, in octets.
const maxQuote = 160

// explainLetter is Explain with the words of the letter that decided.
func (r *Router) explainLetter(d sekretariat.Decision, l *found) string {
	text := r.Explain(d)
	if l.guess == nil || d.Rule != ruleModel && d.Rule != ruleFallback && d.Rule != ruleSuggest || len(l.guess.Words) == 0 {
		return text
	}
	quoted := make([]string, len(l.guess.Words))
	for i, w := range l.guess.Words {
		quoted[i] = "„" + asWritten(w, l.content.subjectText+"\n"+l.content.text) + "”"
	}
	return text + " Najwięcej ważyły słowa: " + strings.Join(quoted, ", ") + "."
}

// asWritten finds a folded word in a text and returns it as it stands there.
func asWritten(folded, text string) string {
	for w := range strings.FieldsFuncSeq(text, func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsDigit(c) }) {
		if polish.Fold(w) == folded {
			return strings.ToLower(w)
		}
	}
	return folded
}

// explainUrgency says why a letter is urgent, with the line that says so.
func (r *Router) explainUrgency(d sekretariat.Decision, l *found) string {
	if d.Urgency == sekretariat.Normal {
		return ""
	}
	word := "Pilne"
	if d.Urgency == sekretariat.Danger {
		word = "Zagrożenie"
	}
	if l.guess != nil {
		for _, a := range r.alarms(l) {
			if a.urgency == d.Urgency {
				return fmt.Sprintf("%s: %s – w piśmie: „%s”.", word, r.byID[a.rule].Because, quote(a.line, a.term))
			}
		}
		return fmt.Sprintf("%s: pismo jest podobne do tych, które trzeba przeczytać tego samego dnia (ocena %.0f %%).", word, 100*l.guess.Urgent)
	}
	return strings.TrimSpace(urgencyText(d))
}

// quote cuts a line around its beginning so that a clerk sees what it says.
func quote(line, _ string) string {
	s := strings.Join(strings.Fields(line), " ")
	if len(s) <= maxQuote {
		return s
	}
	s = s[:maxQuote]
	if i := strings.LastIndexByte(s, ' '); i > 0 {
		s = s[:i]
	}
	return s + "…"
}

// warnings are what the clerk must see beside the letter.
func (r *Router) warnings(d sekretariat.Decision, l *found) []string {
	var out []string
	if len(d.Wishes) > 0 {
		texts := make([]string, len(d.Wishes))
		for i, w := range d.Wishes {
			texts[i] = contact.Wish(w).Text()
		}
		out = append(out, "Uwaga na kontakt: "+strings.Join(texts, "; ")+".")
	}
	if d.NoContact {
		out = append(out, "Nie podano kontaktu.")
	}
	for _, defect := range d.Defects {
		out = append(out, "Brak formalny: "+defectText[defect]+".")
	}
	for _, t := range d.Deadlines {
		out = append(out, "Termin: "+terms.Text(t)+".")
	}
	if d.Closed {
		out = append(out, "Korespondencja zastrzeżona: widzi ją tylko dział, który ją ma.")
	}
	return out
}
