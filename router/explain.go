package router

import (
	"fmt"
	"slices"
	"strings"

	"sekretariat"
)

// fallbackText says why the sekretariat keeps a letter.
var fallbackText = map[string]string{
	becauseNothing:    "żadna reguła nie rozpoznała, czego pismo dotyczy",
	becauseWeak:       "za mało wskazuje na którykolwiek dział",
	becauseEqual:      "dwa działy pasują tak samo",
	becauseUnreadable: "pisma nie udało się odczytać",
	becauseEncrypted:  "pismo jest zaszyfrowane",
	becauseUnmapped:   "sprawa nie ma działu w konfiguracji ośrodka",
	becauseProof:      "dowód bez sprawy: nie wiadomo, do której sprawy należy",
	becauseSuggest:    "w tym ośrodku rozdział podpowiada, a decyduje człowiek",
}

// ruleText is the "because" of decisions that no configured rule makes.
var ruleText = map[string]string{
	ruleCase:    "pismo powołuje znak sprawy tego działu",
	ruleNamed:   "pismo wymienia nazwę działu",
	ruleAccount: "tędy wpływają pisma do tego działu",
	ruleAuto:    "to wiadomość wysłana automatycznie",
	RuleSheet:   "pismo zeskanowano za kartą rozdzielającą tego działu",
	ruleModel:   "pismo jest podobne do tych, które należą do tego działu",
	RuleAbout:   "to dowód do pisma, które ma ten dział",
	ruleClosed:  "pismo ma oznaczenie korespondencji zastrzeżonej",
}

// fieldText introduces the terms of one field of evidence.
var fieldText = map[string]string{
	"box": "pojemnik", "account": "konto", "recipient": "adresat", "sender": "nadawca", "case": "znak sprawy",
	"form": "formularz", "subject": "w temacie wystąpiło", "text": "w treści wystąpiło",
}

// fieldOrder is the order in which evidence is told.
var fieldOrder = []string{"case", "form", "subject", "text", "sender", "recipient", "box", "account"}

// Explain tells a decision in plain Polish, for the clerk: where, by which rule,
// because of what, and who else was considered. It uses only the decision and
// the configuration, never the letter, so it holds no personal data.
func (r *Router) Explain(d sekretariat.Decision) string {
	var b strings.Builder
	b.WriteString(urgencyText(d))
	switch {
	case d.Rule == ruleFallback || d.Rule == ruleSuggest:
		fmt.Fprintf(&b, "Pozostaje w: %s — %s.", r.name(d.Department), fallbackOf(d))
	case d.Forward != "":
		fmt.Fprintf(&b, "Do przekazania do: %s (%s), zajmie się tym %s — %s.", r.authority(d.Forward), r.basis(d.Forward), r.name(d.Department), r.why(d))
	default:
		fmt.Fprintf(&b, "Skierowano do: %s%s — %s.", r.name(d.Department), r.instead(d), r.why(d))
	}
	b.WriteString(r.competitor(d))
	return b.String()
}

func urgencyText(d sekretariat.Decision) string {
	word := ""
	switch d.Urgency {
	case sekretariat.Urgent:
		word = "Pilne"
	case sekretariat.Danger:
		word = "Zagrożenie"
	default:
		return ""
	}
	if i := slices.IndexFunc(d.Evidence, func(e sekretariat.Evidence) bool { return e.Field == "urgency" && e.Term != ruleLearned }); i >= 0 {
		return fmt.Sprintf("%s (wystąpiło „%s”). ", word, show(d.Evidence[i].Term))
	}
	return word + ". "
}

func fallbackOf(d sekretariat.Decision) string {
	for _, e := range d.Evidence {
		if t, ok := fallbackText[e.Term]; ok && e.Field == "fallback" {
			return t
		}
	}
	return "router nie jest pewien"
}

// why names the rule, its reason and the evidence.
func (r *Router) why(d sekretariat.Decision) string {
	text := ruleText[d.Rule]
	if rule, ok := r.byID[d.Rule]; ok {
		text = rule.Because
	}
	if text == "" { // a rule of an older configuration, or a person
		text = "decyzja z reguły, której już nie ma"
	}
	out := fmt.Sprintf("reguła „%s”: %s", d.Rule, text)
	if d.Rule == ruleModel {
		if slices.ContainsFunc(d.Evidence, func(e sekretariat.Evidence) bool { return e.Field == fieldTaught }) {
			text = "tak pracownicy ośrodka kierowali podobne pisma"
		}
		out = fmt.Sprintf("%s (pewność %.0f %%, przewaga %.0f p.p.)", text, min(99, 100*d.Confidence), min(99, 100*d.Margin))
	}
	for _, field := range fieldOrder {
		var terms []string
		for _, e := range d.Evidence {
			if e.Field == field {
				terms = append(terms, "„"+show(e.Term)+"”")
			}
		}
		if len(terms) > 0 {
			out += fmt.Sprintf("; %s %s", fieldText[field], strings.Join(terms, ", "))
		}
	}
	return out
}

// show writes a configured phrase for people: without the signs of its syntax.
func show(term string) string {
	return strings.Join(strings.Fields(strings.NewReplacer("*", "…", `"`, "", "...", "…").Replace(term)), " ")
}

func (r *Router) instead(d sekretariat.Decision) string {
	if d.Instead == "" {
		return ""
	}
	return fmt.Sprintf(" (zastępuje dział: %s, który jest teraz zawieszony)", r.name(d.Instead))
}

// competitor names who else was considered.
func (r *Router) competitor(d sekretariat.Decision) string {
	var names []string
	for _, s := range d.Suggestions {
		n := r.suggested(s)
		if s.Label == d.Label && d.Label != "" || n == r.name(d.Department) && d.Forward == "" ||
			n == r.name(d.Instead) || slices.Contains(names, n) {
			continue
		}
		names = append(names, n)
	}
	switch {
	case len(names) == 0:
		return ""
	case d.Rule == ruleFallback || d.Rule == ruleSuggest:
		return fmt.Sprintf(" Do rozważenia: %s.", strings.Join(names, ", "))
	}
	return fmt.Sprintf(" Drugi możliwy dział: %s.", names[0])
}

// suggested names the department of a suggestion, or the authority that its
// label is forwarded to.
func (r *Router) suggested(s sekretariat.Suggestion) string {
	if to := r.centre.Labels[s.Label]; to.Forward != "" && s.Department == sekretariat.Sekretariat {
		return r.authority(to.Forward)
	}
	return r.name(s.Department)
}

func (r *Router) name(id sekretariat.DepartmentID) string {
	if d, ok := r.centre.DepartmentByID(id); ok && d.Name != "" {
		return d.Name
	}
	return string(id)
}

func (r *Router) authority(id string) string {
	for _, a := range r.centre.Authorities {
		if a.ID == id {
			return a.Name
		}
	}
	return id
}

// basis is the legal basis of forwarding.
func (r *Router) basis(id string) string {
	for _, a := range r.centre.Authorities {
		if a.ID == id && a.Basis != "" {
			return a.Basis
		}
	}
	return "art. 65 § 1 KPA"
}
