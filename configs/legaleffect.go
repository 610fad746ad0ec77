package configs

import (
	_ "embed" // the default table
	"fmt"
	"slices"
	"sync"
	"time"

	"sekretariat"
)

// Matter is a kind of matter, as far as the way of sending decides about it.
type Matter string

// The kinds of matters, from the strictest in form on. MatterOther is what none
// of the others is.
const (
	MatterApplication Matter = "podanie"              // KPA art. 63: application, explanation, appeal, grievance
	MatterCourt       Matter = "skarga-sadowa"        // PPSA art. 54: complaint to the administrative court through the body
	MatterComplaint   Matter = "skarga-wniosek"       // KPA section VIII
	MatterPetition    Matter = "petycja"              // ustawa o petycjach
	MatterInformation Matter = "informacja-publiczna" // ustawa o dostępie do informacji publicznej
	MatterPrivacy     Matter = "rodo"                 // GDPR art. 15-22
	MatterOther       Matter = "inne"
)

// Matters are all kinds of matters, in the order in which they are shown.
func Matters() []Matter {
	return []Matter{MatterApplication, MatterCourt, MatterComplaint, MatterPetition, MatterInformation, MatterPrivacy, MatterOther}
}

// Title is the matter in Polish, for a clerk.
func (m Matter) Title() string {
	switch m {
	case MatterApplication:
		return "podanie (wniosek, odwołanie, zażalenie)"
	case MatterCourt:
		return "skarga do sądu administracyjnego"
	case MatterComplaint:
		return "skarga lub wniosek (dział VIII KPA)"
	case MatterPetition:
		return "petycja"
	case MatterInformation:
		return "wniosek o informację publiczną"
	case MatterPrivacy:
		return "żądanie dotyczące danych osobowych (RODO)"
	}
	return "inna sprawa"
}

// The classes of senders that the table tells apart.
const (
	SenderCitizen    = "citizen"     // persons, firms, associations
	SenderPublicBody = "public-body" // offices, courts, other public bodies
)

// What a way of sending is worth for a matter.
const (
	EffectYes    = "effective"   // lodged, if the form is right otherwise
	EffectNo     = "ineffective" // not lodged; the letter is registered and the sender told how to
	EffectAssess = "assess"      // a person has to assess it
)

//go:embed tables/legaleffect.yaml
var legalEffectYAML []byte

// defaultLegalEffect is the table that comes with the program.
var defaultLegalEffect = sync.OnceValue(func() []LegalEffect {
	d, err := parse(legalEffectYAML, "tables/legaleffect.yaml")
	if err != nil {
		panic(fmt.Sprintf("the built-in table of legal effects: %v", err)) // a test reads it
	}
	var table struct {
		LegalEffect []LegalEffect `yaml:"legal_effect"`
	}
	if err := d.decode(&table); err != nil {
		panic(fmt.Sprintf("the built-in table of legal effects: %v", err))
	}
	return table.LegalEffect
})

// unknownEffect is the answer where the table is silent.
var unknownEffect = LegalEffect{
	ID: "brak-w-tabeli", Effect: EffectAssess, Check: true,
	Text: "Tabela nie mówi, czy ten sposób wniesienia jest skuteczny. Skuteczność ocenia pracownik.",
}

// LegalEffectOf says what a letter that came by this kind of channel on the
// day of at counts for in a matter. It is pure: the centre's own lines first,
// then the built-in table; the first line that fits decides. sender is one of
// the Sender constants, "" means citizen.
func (c *Centre) LegalEffectOf(kind sekretariat.Kind, matter Matter, sender string, at time.Time) LegalEffect {
	if sender == "" {
		sender = SenderCitizen
	}
	day := sekretariat.Day(at)
	for _, table := range [][]LegalEffect{c.LegalEffect, defaultLegalEffect()} {
		for _, l := range table {
			if slices.Contains(l.Kinds, kind) && (len(l.Matters) == 0 || slices.Contains(l.Matters, matter)) &&
				(len(l.Senders) == 0 || slices.Contains(l.Senders, sender)) && covers(l.From, l.To, day) {
				return l
			}
		}
	}
	return unknownEffect
}

// covers tells whether a day (RRRR-MM-DD) lies in a span; "" is open.
func covers(from, to, day string) bool { return from <= day && (to == "" || day <= to) }

func (d *document) checkLegalEffect(c *Centre) {
	ids := unique{}
	for i, l := range c.LegalEffect {
		at := path{"legal_effect", i}
		d.slug(at.with("id"), l.ID)
		ids.check(d, at.with("id"), l.ID)
		d.required(at, "text", l.Text)
		d.required(at, "effect", l.Effect)
		d.oneOf(at.with("effect"), l.Effect, EffectYes, EffectNo, EffectAssess)
		d.span(at, l.From, l.To)
		if len(l.Kinds) == 0 {
			d.wrong(at, "\"kinds\" is missing: which channels is the line about?")
		}
		for k, v := range l.Kinds {
			d.oneOf(at.with("kinds", k), string(v), string(sekretariat.KindMail), string(sekretariat.KindEPUAP),
				string(sekretariat.KindEDelivery), string(sekretariat.KindBox), string(sekretariat.KindManual))
		}
		var matters []string
		for _, m := range Matters() {
			matters = append(matters, string(m))
		}
		for k, v := range l.Matters {
			d.oneOf(at.with("matters", k), string(v), matters...)
		}
		for k, v := range l.Senders {
			d.oneOf(at.with("senders", k), v, SenderCitizen, SenderPublicBody)
		}
	}
}

// MatterEffect is what a letter counts for in one kind of matter.
type MatterEffect struct {
	Matter Matter
	Sender string // one of the Sender constants
	LegalEffect
}

// LegalEffects is the part of the table that is shown with a letter: what it
// counts for in each kind of matter if a citizen sent it, and, as its last
// line, if a public body did.
func (c *Centre) LegalEffects(kind sekretariat.Kind, at time.Time) []MatterEffect {
	var out []MatterEffect
	for _, m := range Matters() {
		if m != MatterOther {
			out = append(out, MatterEffect{m, SenderCitizen, c.LegalEffectOf(kind, m, SenderCitizen, at)})
		}
	}
	return append(out, MatterEffect{MatterApplication, SenderPublicBody, c.LegalEffectOf(kind, MatterApplication, SenderPublicBody, at)})
}

// Word is the effect in Polish, for a clerk.
func (l LegalEffect) Word() string {
	word := map[string]string{EffectYes: "skuteczne", EffectNo: "nieskuteczne", EffectAssess: "do oceny"}[l.Effect]
	if l.Check {
		word += " (do weryfikacji)"
	}
	return word
}
