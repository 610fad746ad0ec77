// Package caution knows the words by which a letter asks for more care than the
// router's departments tell: letters that others must not see, and letters
// whose writer could be harmed by an answer in the mailbox. The lists are
// conservative: a word too many costs an acknowledgement or a moment of a
// clerk, a word too few may cost a person's safety.
package caution

import (
	"fmt"

	"sekretariat"
	"sekretariat/extract/polish"
)

// unsafeContact are phrases of letters that are never answered by a machine
// (rule P6): violence, children in danger, whistle-blowers, danger to life, and
// people who say that somebody else reads their mail. For the form of phrases
// see polish.Phrase.
var unsafeContact = []string{
	// violence
	"przemoc*", "bije", "biją", "bił", "biła", "bili", "bicie", "bicia", "bity", "bita", "pobi*", "pobici*", "znęca*", "katuj*", "katował*", "maltret*",
	"gwałt*", "zgwałc*", "molest*", "wykorzyst* seksual*", "niebieska karta", "niebieskie karty", "groźb*", "grozi mi", "grozi nam", "groził*",
	"grozi że", "zabije*", "zabić", "zabiję", "boję się", "boi się", "boimy się", "bałam się", "uciekłam", "uciekłem", "uciec", "ukrywam się", "stalk*", "nęka*",
	"prześladuj*", "prześladował*", "zakaz zbliżania", "oprawc*", "siniak*", "krzywd*", "skrzywdz*", "awantur*", "szarpie", "szarpał*", "dusi", "dusił*", "popchn*",
	"uderzył*", "uderza", "kopie mnie", "kopał*", "wyzywa", "wyzywał*", "poniża*", "agresywn*", "agresj*", "interwencj* policji", "sprawc*", "ofiar*",
	"opuszczenia mieszkania", "obdukcj*", "z nożem", "nożem", "siekier*",
	// children
	"dziecko samo", "dzieci same", "samo w domu", "odebra* dzieck*", "odebra* dzieci", "odbior* dzieci", "zabra* dzieci", "zaniedb*", "małoletni*", "nieletni*",
	"władz* rodzicielsk*", "sąd rodzinny", "kurator*", "piecza zastępcza", "rodzina zastępcza", "asystent rodziny", "głodne dzieci", "dzieci głodne",
	"pijan*", "nietrzeźw*", "alkohol*", "narkoty*", "libacj*",
	// whistle-blowers
	"sygnalist*", "zgłoszenie wewnętrzne", "naruszeni* prawa", "nadużyci*", "korupcj*", "łapówk*", "mobbing*", "anonim*",
	// danger to life
	"samobój*", "odebrać sobie życie", "skończyć ze sobą", "nie chcę żyć", "nie chce żyć", "nie chce mi się żyć", "targn*", "okalecza*", "zagrożenie życia",
	// the mailbox is not the writer's alone
	"nie odpisywać", "nie odpisujcie", "nie odpisuj", "nie odpowiadać", "nie odpowiadajcie", "nie dzwonić", "nie dzwońcie", "nie kontaktować", "nie pisać do mnie",
	"mąż nie wie", "mąż ... nie dowie*", "żona nie wie", "partner nie wie", "matka nie wie", "ojciec nie wie", "nikt nie wie", "nikt nie może", "nikt się nie dowie*",
	"żeby nie wiedział*", "nie może wiedzieć", "nie może się dowiedzieć", "nie dowiedział*", "tajemnic*", "po kryjomu", "ukryciu", "sprawdza mi", "sprawdza mój", "sprawdza moj*",
	"czyta moj*", "czyta mi", "kontroluje mnie", "kontroluje moj*", "podsłuch*", "śledzi mnie", "konkubent*", "konkubin*",
}

// closedMatter are phrases of letters that only their addressee or a named
// commission may see: they are for a person, never for the parking place.
var closedMatter = []string{
	"do rąk własnych", "do rąk", "sygnalist*", "zgłoszenie wewnętrzne", "zgłoszenie naruszenia", "ochrona sygnalistów", "oferta przetargowa", "oferta w postępowaniu",
	"niebieska karta", "niebieskie karty", "klauzula tajności",
}

// List is a compiled list of phrases. It is safe for concurrent use.
type List struct{ matcher *polish.Matcher }

// UnsafeContact is the list of letters that are never answered by a machine,
// with further phrases of the centre.
func UnsafeContact(further []string) (*List, error) { return compile(unsafeContact, further) }

// ClosedMatter is the list of letters that are for one person alone.
func ClosedMatter() (*List, error) { return compile(closedMatter) }

func compile(lists ...[]string) (*List, error) {
	var phrases []polish.Phrase
	for _, list := range lists {
		for _, s := range list {
			p, err := polish.ParsePhrase(s)
			if err != nil {
				return nil, fmt.Errorf("caution: %w", err)
			}
			phrases = append(phrases, p)
		}
	}
	return &List{polish.NewMatcher(phrases)}, nil
}

// Match tells whether any phrase occurs in what was read of a letter: subject,
// text, quotations, attachments, pages.
func (l *List) Match(r *sekretariat.Reading) bool {
	if l.Text(r.Subject) || l.Text(r.Text) {
		return true
	}
	for i := range r.Parts {
		if l.Text(r.Parts[i].Text) {
			return true
		}
	}
	for i := range r.Pages {
		if l.Text(r.Pages[i].Text) {
			return true
		}
	}
	return false
}

// Text tells whether any phrase occurs in a text.
func (l *List) Text(text string) bool {
	if text == "" {
		return false
	}
	found := false
	l.matcher.Match(polish.Prepare(text), func(polish.Hit) { found = true })
	return found
}
