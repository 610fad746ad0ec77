package contact

import (
	"slices"

	"sekretariat/extract/polish"
)

// Wish is something that the writer asks not to do, or to do in no other way. A
// letter with one gets no automatic answer, and the clerk sees a warning.
type Wish string

// The wishes.
const (
	NoCalls  Wish = "nie-dzwonic"        // do not telephone
	NoMail   Wish = "nie-pisac-na-mail"  // do not answer by e-mail
	NoPost   Wish = "nie-pisac-na-adres" // send nothing to the home address
	NoVisit  Wish = "nie-przychodzic"    // do not come to the home
	OnlyHere Wish = "tylko-wskazany"     // only this way, or only at these hours
)

// Text is the wish as the clerk reads it.
func (w Wish) Text() string { return wishTexts[w] }

var wishTexts = map[Wish]string{
	NoCalls:  "nie dzwonić",
	NoMail:   "nie odpisywać na adres e-mail",
	NoPost:   "nie wysyłać listów na adres domowy",
	NoVisit:  "nie przychodzić bez uzgodnienia",
	OnlyHere: "kontakt tylko w sposób wskazany w piśmie",
}

// wishPhrases are how people say it. "..." stands for up to three words.
var wishPhrases = map[Wish][]string{
	NoCalls: {
		"nie dzwonić", "nie dzwońcie", "nie oddzwaniać", "nie oddzwaniajcie", "oddzwaniać nie wolno", "nie telefonować", "nie wydzwaniać", "żadnych telefonów", "telefon on ... trzyma",
		"czyta mi ... telefon", "sprawdza mi telefon", "sprawdza ... telefon", "telefon ... kontroluje", "nikt ... nie dzwoni", "bez telefonów", "nie nagrywać",
	},
	NoMail: {
		"nie odpisywać", "nie odpisujcie", "nie pisać na mail*", "nie pisać na maila", "nie odpowiadać na mail*", "on czyta maile", "czyta moją pocztę", "czyta ... maila", "dostęp do ... maila",
		"dostęp do ... poczty", "nie na ten adres", "nie na mail*", "nie odpowiadać na ten", "nic nie pisać",
	},
	NoPost: {
		"nie wysyłać listów", "listów ... nie wysyłać", "nie przysyłać listów", "nie przysyłać ... pism", "nie wysyłać ... pism", "nie pisać na adres domowy", "na adres domowy ... nie", "nie na adres domowy",
		"nie wysyłać ... na adres", "nie wysyłać korespondencji", "nie ... na dawny adres", "nie pisać na adres", "nie wysyłać nic", "nic nie wysyłać", "nie wysyłać pocztą", "nie ujawniać ... adresu",
		"nie do domu", "adres ... zastrzeżony", "proszę nie ujawniać", "nie podawać ... adresu", "chronionym adresem", "nie pisać na dom",
	},
	NoVisit: {
		"nie przychodzić", "nie przychodźcie", "nie przyjeżdżać", "nie wchodzić", "nie pukać", "bez uprzedzenia", "nie nachodzić",
	},
	OnlyHere: {
		"tylko na ten adres", "tylko na ten mail", "tylko na tego mail*", "tylko na mój adres", "tylko na podany", "tylko na ten numer", "tylko sms*", "wyłącznie na ten", "wyłącznie sms*", "tylko przez",
		"tylko pod ... numer", "wyłącznie przez", "tylko w godzinach", "tylko między", "tylko wtorki", "tylko wieczorem", "tylko rano", "tylko do godziny", "kontakt tylko", "dzwonić tylko", "pisać tylko",
		"odpisać tylko", "odpowiadać tylko", "wyłącznie ... mail*", "żadnych sms*", "nie sms*", "bezpieczny kontakt", "w pracy nie odbieram",
	},
}

type wishMatcher struct {
	m      *polish.Matcher
	wishes []Wish
}

var wishFinder = newWishMatcher()

func newWishMatcher() wishMatcher {
	var w wishMatcher
	var phrases []polish.Phrase
	for _, wish := range []Wish{NoCalls, NoMail, NoPost, NoVisit, OnlyHere} {
		for _, s := range wishPhrases[wish] {
			p, err := polish.ParsePhrase(s)
			if err != nil {
				continue // the test of this package parses them all
			}
			phrases, w.wishes = append(phrases, p), append(w.wishes, wish)
		}
	}
	w.m = polish.NewMatcher(phrases)
	return w
}

// wishes lists what the writer asks, each once, in the order of the constants.
func wishes(own string) []string {
	found := map[Wish]bool{}
	wishFinder.m.Match(polish.Prepare(own), func(h polish.Hit) { found[wishFinder.wishes[h.Phrase]] = true })
	var out []string
	for _, w := range []Wish{NoCalls, NoMail, NoPost, NoVisit, OnlyHere} {
		if found[w] {
			out = append(out, string(w))
		}
	}
	return out
}

func (c *found) has(w Wish) bool { return slices.Contains(c.Wishes, string(w)) }
