package polish

import (
	"errors"
	"fmt"
	"strings"
)

// maxGap is how many words may stand where a phrase has "...". Every gap
// multiplies the work of matching, so maxGaps and maxElements bound a phrase.
const (
	maxGap      = 3
	maxGaps     = 3
	maxElements = 16
)

// The errors of ParsePhrase.
var (
	ErrPhrase     = errors.New("phrase without words")
	ErrLongPhrase = fmt.Errorf("phrase with more than %d words or %d gaps", maxElements, maxGaps)
)

// match says how an element of a phrase is compared with a word.
type match uint8

const (
	byStem   match = iota // same stem
	byWord                // same folded word
	byPrefix              // folded word begins so
)

// element is one word of a phrase.
type element struct {
	how  match
	text string
	gap  bool // up to maxGap words may stand before it
}

// fits tells whether the element matches the word.
func (e element) fits(w *word) bool {
	switch e.how {
	case byWord:
		return w.folded == e.text
	case byPrefix:
		return strings.HasPrefix(w.folded, e.text)
	}
	return w.stem == e.text
}

// Phrase is one or more words to be found in this order. Words are compared by
// stem, so that "zasiłek stały" finds "zasiłku stałego"; "bij*" finds every
// word that begins with "bij"; "\"golf\"" in quotes finds this very form (but
// folded); "..." between words lets up to three others stand there.
type Phrase struct {
	source   string
	elements []element
	anchor   int // the element that is looked up first; no gap lies before it
}

// String returns the phrase as it was written.
func (p Phrase) String() string { return p.source }

// Key is the same for phrases that find the same: "opiekunka" and "opiekunkę".
func (p Phrase) Key() string {
	var b strings.Builder
	for _, e := range p.elements {
		fmt.Fprintf(&b, "%d%t%s ", e.how, e.gap, e.text)
	}
	return b.String()
}

// ParsePhrase compiles a phrase. It returns ErrPhrase when s has no word and
// ErrLongPhrase when it has too many.
func ParsePhrase(s string) (Phrase, error) {
	p := Phrase{source: s}
	quoted, gap := false, false
	for i, segment := range strings.Split(s, `"`) {
		quoted = i%2 == 1
		for _, field := range strings.Fields(strings.ReplaceAll(segment, "…", "...")) {
			if field == "..." {
				gap = len(p.elements) > 0
				continue
			}
			for _, e := range parseField(field, quoted) {
				e.gap, gap = gap, false
				p.elements = append(p.elements, e)
			}
		}
	}
	if quoted && strings.Count(s, `"`)%2 == 1 {
		return p, fmt.Errorf("phrase %q: the quotation mark is not closed", s)
	}
	if len(p.elements) == 0 {
		return p, fmt.Errorf("phrase %q: %w", s, ErrPhrase)
	}
	if len(p.elements) > maxElements || gaps(p.elements) > maxGaps {
		return p, fmt.Errorf("phrase %q: %w", s, ErrLongPhrase)
	}
	p.anchor = chooseAnchor(p.elements)
	return p, nil
}

func gaps(es []element) (n int) {
	for _, e := range es {
		if e.gap {
			n++
		}
	}
	return n
}

// parseField compiles one blank-separated piece of a phrase; "SR-1" gives two
// elements.
func parseField(field string, quoted bool) []element {
	open := strings.HasSuffix(field, "*")
	words := Words(strings.TrimSuffix(field, "*"))
	out := make([]element, len(words))
	for i, w := range words {
		switch {
		case quoted:
			out[i] = element{how: byWord, text: w}
		case open && i == len(words)-1:
			out[i] = element{how: byPrefix, text: w}
		default:
			out[i] = element{how: byStem, text: Stem(w)}
		}
	}
	return out
}

// chooseAnchor picks the longest element before the first gap: the rarest word
// as far as one can tell.
func chooseAnchor(es []element) int {
	best := 0
	for i, e := range es {
		if e.gap {
			break
		}
		if len(e.text) > len(es[best].text) {
			best = i
		}
	}
	return best
}

// word is one word of a prepared text.
type word struct {
	folded, stem string
	ends         bool // a sentence or a line ends behind it
}

// Text is a text made ready for matching.
type Text struct{ words []word }

// Prepare folds, splits and stems a text.
func Prepare(text string) Text {
	folded := Fold(text)
	toks := tokens(folded)
	t := Text{words: make([]word, len(toks))}
	for i, k := range toks {
		t.words[i] = word{folded: k.word, stem: Stem(k.word), ends: i+1 == len(toks) || endsSentence(folded[k.end:toks[i+1].start])}
	}
	return t
}

// endsSentence looks at what stands between two words.
func endsSentence(between string) bool {
	return strings.ContainsAny(between, "\n!?;…") || strings.Contains(between, ". ")
}

// Len returns the number of words.
func (t Text) Len() int { return len(t.words) }

// Word returns the folded word at i, "" outside the text.
func (t Text) Word(i int) string {
	if i < 0 || i >= len(t.words) {
		return ""
	}
	return t.words[i].folded
}

// Stem returns the stem of the word at i, "" outside the text.
func (t Text) Stem(i int) string {
	if i < 0 || i >= len(t.words) {
		return ""
	}
	return t.words[i].stem
}

// EndsSentence tells whether a sentence or a line ends behind the word at i.
func (t Text) EndsSentence(i int) bool { return i >= 0 && i < len(t.words) && t.words[i].ends }

// Hit is one place where a phrase matched.
type Hit struct {
	Phrase     int // index in the list given to NewMatcher
	Start, End int // words of the Text, End exclusive
}

// Matcher finds many phrases in one pass over a text. It is safe for concurrent
// use.
type Matcher struct {
	phrases  []Phrase
	stems    map[string][]int32 // anchor stem → phrases
	exact    map[string][]int32
	prefixes map[string][]int32
	lengths  []int // lengths of the prefixes, ascending
}

// NewMatcher prepares the phrases for matching.
func NewMatcher(phrases []Phrase) *Matcher {
	m := &Matcher{phrases: phrases, stems: map[string][]int32{}, exact: map[string][]int32{}, prefixes: map[string][]int32{}}
	seen := map[int]bool{}
	for i, p := range phrases {
		if len(p.elements) == 0 {
			continue // the zero Phrase matches nothing
		}
		a := p.elements[p.anchor]
		switch a.how {
		case byStem:
			m.stems[a.text] = append(m.stems[a.text], int32(i))
		case byWord:
			m.exact[a.text] = append(m.exact[a.text], int32(i))
		case byPrefix:
			m.prefixes[a.text] = append(m.prefixes[a.text], int32(i))
			seen[len(a.text)] = true
		}
	}
	for n := 1; len(m.lengths) < len(seen); n++ {
		if seen[n] {
			m.lengths = append(m.lengths, n)
		}
	}
	return m
}

// Match calls found for every place where a phrase matches, in the order of the
// text.
func (m *Matcher) Match(t Text, found func(Hit)) {
	for i := range t.words {
		w := &t.words[i]
		m.try(m.stems[w.stem], t, i, found)
		if len(m.exact) > 0 {
			m.try(m.exact[w.folded], t, i, found)
		}
		for _, n := range m.lengths {
			if n > len(w.folded) {
				break
			}
			m.try(m.prefixes[w.folded[:n]], t, i, found)
		}
	}
}

// try checks the candidates whose anchor stands at word i.
func (m *Matcher) try(candidates []int32, t Text, i int, found func(Hit)) {
	for _, c := range candidates {
		p := &m.phrases[c]
		start := i - p.anchor
		if start < 0 {
			continue
		}
		if end, ok := matchFrom(p.elements, t.words, start); ok {
			found(Hit{Phrase: int(c), Start: start, End: end})
		}
	}
}

// matchFrom matches the elements from word i on and returns where they end.
func matchFrom(es []element, ws []word, i int) (end int, ok bool) {
	if len(es) == 0 {
		return i, true
	}
	tries := 1
	if es[0].gap {
		tries += maxGap
	}
	for k := i; k < len(ws) && k < i+tries; k++ {
		if !es[0].fits(&ws[k]) {
			continue
		}
		if end, ok = matchFrom(es[1:], ws, k+1); ok {
			return end, true
		}
	}
	return i, false
}
