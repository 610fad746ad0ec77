package router

import (
	"sekretariat/extract/polish"
)

// Words of a letter that start a clock or change what may be done, by code.
var letterWords = map[string][]string{
	"ponaglenie":           {"ponaglenie", "ponaglam", "bezczynność organu", "przewlekłość", "art 37 kpa"},
	"skarga-wsa":           {"wojewódzkiego sądu administracyjnego", "skarga do wsa", "\"wsa\"", "sąd administracyjny"},
	"informacja-publiczna": {"informacji publicznej", "informacja publiczna", "dostępie do informacji", "art 61 konstytucji"},
	"rodo":                 {"\"rodo\"", "art 15 rodo", "art 17 rodo", "kopię moich danych", "kopii moich danych", "usunięcie moich danych", "usunięcia moich danych", "danych osobowych jakie", "inspektora ochrony danych"},
	"petycja":              {"petycja", "petycję", "petycji"},
	"zaswiadczenie":        {"proszę o zaświadczenie", "o wydanie zaświadczenia", "wydanie zaświadczenia", "potrzebuję zaświadczenie", "potrzebuje zaświadczenie", "zaświadczenie że", "potrzebny papier", "potrzebuję papier"},
	"nk-a":                 {"formularz a", "formularza a", "niebieska karta a", "nk a", "formularz nk", "formularz niebieskiej karty", "część a"},
}

// phraseSet finds phrases and says to which code each belongs.
type phraseSet struct {
	matcher *polish.Matcher
	codes   []string
}

var letterWordSet = mustPhrases(letterWords)

// mustPhrases compiles built-in phrases; the first test that imports the package
// finds a mistake in them.
func mustPhrases(list map[string][]string) phraseSet {
	s, err := newPhrases(list)
	if err != nil {
		panic(err)
	}
	return s
}

func newPhrases(list map[string][]string) (phraseSet, error) {
	var s phraseSet
	var phrases []polish.Phrase
	for code, terms := range list {
		for _, t := range terms {
			p, err := polish.ParsePhrase(t)
			if err != nil {
				return s, err
			}
			phrases, s.codes = append(phrases, p), append(s.codes, code)
		}
	}
	s.matcher = polish.NewMatcher(phrases)
	return s, nil
}

func (s phraseSet) find(texts ...polish.Text) map[string]bool {
	found := map[string]bool{}
	for _, t := range texts {
		s.matcher.Match(t, func(h polish.Hit) { found[s.codes[h.Phrase]] = true })
	}
	return found
}

// wordsOf lists the codes of the words that a letter has.
func wordsOf(c content) map[string]bool {
	return letterWordSet.find(append([]polish.Text{c.subject}, c.body...)...)
}

// anyPhrase tells whether one of the phrases occurs in a text.
func anyPhrase(s []polish.Phrase, text string) bool {
	found := false
	polish.NewMatcher(s).Match(polish.Prepare(text), func(polish.Hit) { found = true })
	return found
}
