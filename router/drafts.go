package router

import (
	"fmt"
	"strings"

	"sekretariat"
	"sekretariat/configs"
)

// drafts are the letters that the program prepares. A person checks and sends
// them; a letter that must stay silent gets none to its writer.
func (r *Router) drafts(d sekretariat.Decision, l *found) []sekretariat.Draft {
	var out []sekretariat.Draft
	if d.Forward != "" {
		out = append(out, r.forwarding(d, l))
		if !d.Silent {
			out = append(out, r.notice(d, l))
		}
	}
	if !d.Silent && has(d.Defects, DefectUnsigned) {
		out = append(out, r.emailAnswer(d, l)...)
	}
	return out
}

// forwarding is the letter to the other authority (art. 65 § 1 KPA).
func (r *Router) forwarding(d sekretariat.Decision, l *found) sekretariat.Draft {
	a := r.authorityOf(d.Forward)
	text := fmt.Sprintf("%s\n\n%s\n%s\n\nNa podstawie %s przekazuję według właściwości pismo, które wpłynęło do nas %s i dotyczy sprawy należącej do zadań adresata.\n"+
		"Data wpływu pisma do %s jest datą jego złożenia (art. 65 § 2 KPA). O przekazaniu zawiadomiono nadawcę.\n\nZałącznik: pismo z załącznikami",
		r.centre.Name, a.Name, a.Address, r.basis(d.Forward), r.day(l), r.centre.Name)
	return sekretariat.Draft{Kind: "kpa65-przekazanie", To: a.Name, Text: tidy(text)}
}

// notice tells the sender that the letter was passed on, with the reason.
func (r *Router) notice(d sekretariat.Decision, l *found) sekretariat.Draft {
	a := r.authorityOf(d.Forward)
	text := fmt.Sprintf("Szanowna Pani / Szanowny Panie,\n\ninformujemy, że pismo, które wpłynęło do nas %s, przekazaliśmy na podstawie %s do: %s%s.\n"+
		"%s nie zajmuje się sprawami tego rodzaju; właściwy jest wskazany organ i tam prosimy kierować pytania.\n"+
		"Pismo uważa się za złożone w terminie, jeżeli wpłynęło do nas przed jego upływem (art. 65 § 2 KPA).\n\n%s",
		r.day(l), r.basis(d.Forward), a.Name, where(a), r.centre.Name, r.centre.Name)
	return sekretariat.Draft{Kind: "kpa65-zawiadomienie", To: "nadawca", Text: text}
}

// where is how to reach an authority, as far as known.
func where(a configs.Authority) string {
	var out string
	for _, s := range []struct{ before, value string }{{", ", a.Address}, {", tel. ", a.Phone}} {
		if s.value != "" && s.value != "unknown" {
			out += s.before + s.value
		}
	}
	return out
}

// emailAnswer follows the centre's e-mail policy of the day. "accept" needs no
// answer.
func (r *Router) emailAnswer(d sekretariat.Decision, l *found) []sekretariat.Draft {
	switch d.Policy {
	case configs.PolicySign:
		return []sekretariat.Draft{{Kind: "kpa64-wezwanie", To: "nadawca", Text: fmt.Sprintf(
			"Szanowna Pani / Szanowny Panie,\n\n%s otrzymaliśmy Państwa wiadomość e-mail, która wygląda na podanie, lecz nie ma podpisu.\n"+
				"Na podstawie art. 64 § 2 KPA wzywamy do podpisania podania w terminie 7 dni od otrzymania tego wezwania: własnoręcznie (osobiście, pocztą, do skrzynki podawczej) "+
				"albo elektronicznie (ePUAP, e-Doręczenia). Podanie niepodpisane w terminie pozostawimy bez rozpoznania.\n"+
				"W sprawach pilnych prosimy o telefon: pomocy udzielamy także z urzędu.\n\n%s", r.day(l), r.centre.Name)}}
	case configs.PolicyInform:
		return []sekretariat.Draft{{Kind: "kpa63-informacja", To: "nadawca", Text: fmt.Sprintf(
			"Szanowna Pani / Szanowny Panie,\n\n%s otrzymaliśmy Państwa wiadomość e-mail i przekazaliśmy ją do właściwego działu.\n"+
				"Podanie wysłane na zwykły adres e-mail nie rozpoczyna postępowania (art. 63 § 1 KPA). Aby je rozpocząć, prosimy złożyć podanie: przez e-Doręczenia lub ePUAP, "+
				"pocztą, osobiście albo do skrzynki podawczej.\n"+
				"W sprawach pilnych prosimy o telefon: pomocy udzielamy także z urzędu.\n\n%s", r.day(l), r.centre.Name)}}
	}
	return nil
}

// day is when the letter arrived, in the Polish way.
func (r *Router) day(l *found) string {
	at := l.facts.Arrived.At
	if at.IsZero() {
		at = l.facts.Now
	}
	return at.In(sekretariat.Warsaw()).Format("02.01.2006")
}

func (r *Router) authorityOf(id string) configs.Authority {
	for _, a := range r.centre.Authorities {
		if a.ID == id {
			return a
		}
	}
	return configs.Authority{ID: id, Name: id}
}

// tidy drops lines that lack their value.
func tidy(s string) string {
	return strings.NewReplacer("\nunknown\n", "\n", "\n\n\n", "\n\n").Replace(s)
}
