// Package model is the learned part of the router: linear classifiers over the
// words of a letter, trained on labelled letters, in pure Go. It knows texts,
// labels and chances; it knows no centre, no department, and nothing of who
// wrote (rule P17): names are taken out before a word is looked at.
//
// What a letter is about, what kind of letter it is and whether it is urgent
// are read from the same features by different heads. The urgent head looks at
// every beginning of a letter, sentence by sentence, and keeps the strongest:
// what is added behind never lowers it.
package model

import (
	"maps"
	"math"
	"slices"
	"strings"

	"sekretariat/extract/polish"
)

// Input is what a prediction is made from.
type Input struct {
	Channel     string // mail, epuap, edelivery, box, post, phone
	Institution bool   // an office, company or other organisation writes
	Subject     string
	Text        string // the writer's own words
	Quoted      string // older mails in the letter: they count for urgency alone
	// Marks are facts that the rules found, as words: "rule=x", "case=przemoc".
	Marks []string
	// Points are what the rules give to each label.
	Points map[string]float64

	words int // only the first so many words of Text, 0 = all
}

// full is the input with all its words.
func (in Input) full() Input {
	in.words = 0
	return in
}

// Families of features. Each is brought to length one and then weighed, so that
// a long letter does not drown in its letters.
const (
	famWord = iota
	famStem
	famPrefix
	famPair
	famSkip
	famChar
	famSubject
	famConcept
	famConcepts
	textFamilies // the families up to here come from running text, word by word
	famStart     = iota - 1
	famMark
	families
)

// familyWeight is how much each family counts, chosen by cross-validation.
var familyWeight = [families]float32{
	famWord: 0.8, famStem: 1, famPrefix: 0.8, famPair: 0.8, famSkip: 0.5, famChar: 1.2, famSubject: 0.5,
	famStart: 0.6, famConcept: 0.5, famConcepts: 0.5, famMark: 0.6,
}

// counted tells whether the values of a family are counts as they are; the
// others grow with the logarithm, count by rarity and are brought to length one.
func counted(family int) bool { return family == famMark || family == famConcept }

const (
	// maxTokens bounds the words that are looked at.
	maxTokens = 4000
	// startTokens is how many words the beginning of a letter has.
	startTokens = 25
	// rowBits is the size of the table. Features that share a row are told apart
	// no more, which hardly matters with 2^18 rows for about 10^5 features.
	rowBits = 18
	rows    = 1 << rowBits
	rowMask = rows - 1
)

const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

// hash is FNV-1a over a family and the pieces of a feature, mixed so that every
// bit depends on all.
func hash(family byte, pieces ...string) uint32 {
	h := uint64(fnvOffset)
	h = (h ^ uint64(family)) * fnvPrime
	for _, p := range pieces {
		for i := 0; i < len(p); i++ {
			h = (h ^ uint64(p[i])) * fnvPrime
		}
		h = (h ^ 0x1f) * fnvPrime
	}
	h ^= h >> 32
	h *= 0x9e3779b97f4a7c15
	return uint32(h>>20) & rowMask
}

// tokens are the words of a text without what points at a person.
type tokens struct {
	words, stems []string
	text         polish.Text
	ends         []bool // a sentence or line ends behind the word
}

// first returns the first n words.
func (t tokens) first(n int) tokens {
	n = min(n, len(t.words))
	t.words, t.stems, t.ends = t.words[:n], t.stems[:n], t.ends[:n]
	return t
}

// The words that stand for what was taken out.
const (
	maskedName   = "@imie"
	maskedNumber = "@liczba"
)

// maskWords takes names and long numbers out of a text.
func maskWords(text string) tokens {
	t := polish.Prepare(text)
	n := min(t.Len(), maxTokens)
	out := tokens{words: make([]string, n), stems: make([]string, n), text: t, ends: make([]bool, n)}
	for i := range n {
		w, s := t.Word(i), t.Stem(i)
		switch {
		case digits(w) > 3:
			w, s = maskedNumber, maskedNumber
		case polish.GivenName(w), i > 0 && out.words[i-1] == maskedName && surname(w):
			w, s = maskedName, maskedName
		}
		out.words[i], out.stems[i], out.ends[i] = w, s, t.EndsSentence(i) || i == n-1
	}
	return out
}

// digits returns how many digits a word has.
func digits(w string) (n int) {
	for i := 0; i < len(w); i++ {
		if '0' <= w[i] && w[i] <= '9' {
			n++
		}
	}
	return n
}

// surnameEndings are endings that mark a surname behind a given name.
var surnameEndings = []string{
	"ski", "ska", "skiego", "skiej", "skiemu", "skim", "cki", "cka", "ckiego", "ckiej", "wicz", "wicza", "czyk", "czyka", "czak", "iak", "iuk", "czuk",
}

func surname(w string) bool {
	for _, e := range surnameEndings {
		if strings.HasSuffix(w, e) {
			return true
		}
	}
	return false
}

// sink takes the features of a letter one by one.
type sink func(family int, row uint32, by float32)

// word emits the features of the word at i, and of its pairs with the two words
// before it.
func (t tokens) word(i int, subject bool, add sink) {
	w, s := t.words[i], t.stems[i]
	add(famWord, hash('w', w), 1)
	add(famStem, hash('s', s), 1)
	if subject {
		add(famSubject, hash('t', s), 1)
	}
	if i > 0 {
		add(famPair, hash('p', t.stems[i-1], s), 1)
	}
	if i > 1 {
		add(famSkip, hash('k', t.stems[i-2], s), 1)
	}
	if w[0] == '@' {
		return
	}
	if len(w) > 4 {
		add(famPrefix, hash('4', w[:4]), 1)
	}
	if len(w) > 5 {
		add(famPrefix, hash('5', w[:5]), 1)
	}
	characters(w, add)
}

// reader emits the features of running text: of the subject, then of the body.
type reader struct {
	add      sink
	text     tokens
	subject  bool
	concepts running
}

func newReader(add sink) *reader { return &reader{add: add, concepts: conceptFinder.running()} }

func (r *reader) begin(t tokens, subject bool) {
	r.text, r.subject = t, subject
	r.concepts.begin(t.text)
}

func (r *reader) word(i int) {
	r.text.word(i, r.subject, r.add)
	r.concepts.word(i, r.add)
}

// characters adds the groups of three to five characters of a word, its ends
// marked.
func characters(w string, add sink) {
	marked := "<" + w + ">"
	for n := 3; n <= 5; n++ {
		for i := 0; i+n <= len(marked); i++ {
			add(famChar, hash('c', marked[i:i+n]), 1)
		}
	}
}

// whole emits what belongs to a letter as a whole.
func (in Input) whole(subject, body tokens, add sink) {
	for _, s := range body.stems[:min(len(body.stems), startTokens)] {
		add(famStart, hash('a', s), 1)
	}
	add(famMark, hash('m', "channel", in.Channel), 1)
	if in.Institution {
		add(famMark, hash('m', "institution"), 1)
	}
	length := min(9, int(math.Log2(float64(len(body.words)+len(subject.words)+1))))
	add(famMark, hash('m', "length", string(rune('0'+length))), 0.5)
	// Words lose the marks that tell a question from a request.
	questions := strings.Count(in.Text, "?")
	add(famMark, hash('m', "questions", string(rune('0'+min(3, questions)))), 1)
	if strings.Contains(in.Subject, "?") {
		add(famMark, hash('m', "asks in the subject"), 1)
	}
	if end := strings.TrimSpace(in.Text); questions > 0 && strings.Contains(end[max(0, len(end)-80):], "?") {
		add(famMark, hash('m', "asks at the end"), 1)
	}
	if strings.Contains(in.Text, "!") {
		add(famMark, hash('m', "exclaims"), 1)
	}
	for _, m := range in.Marks {
		add(famMark, hash('m', m), 1)
	}
	for _, l := range slices.Sorted(maps.Keys(in.Points)) { // in one order, so that training can be repeated
		if p := in.Points[l]; p > 0 {
			add(famMark, hash('m', "points", l), float32(math.Log1p(p)))
		}
	}
}

// each emits all features of a letter.
func (in Input) each(add sink) {
	subject, body := maskWords(in.Subject), maskWords(in.Text)
	if in.words > 0 {
		body = body.first(in.words)
	}
	r := newReader(add)
	r.begin(subject, true)
	for i := range subject.words {
		r.word(i)
	}
	r.begin(body, false)
	for i := range body.words {
		r.word(i)
	}
	in.whole(subject, body, add)
}
