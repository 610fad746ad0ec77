package model

import (
	"cmp"
	_ "embed"
	"fmt"
	"math"
	"slices"
	"strings"

	"sekretariat/extract/polish"
)

//go:embed concepts.txt
var conceptsFile string

// concepts finds the concepts of concepts.txt.
type concepts struct {
	names   []string
	of      []int // phrase → concept
	matcher *polish.Matcher
}

var conceptFinder = mustConcepts(conceptsFile)

// mustConcepts compiles the built-in list; a mistake in it is found by the
// first test that imports this package.
func mustConcepts(file string) *concepts {
	c, err := readConcepts(file)
	if err != nil {
		panic(err)
	}
	return c
}

func readConcepts(file string) (*concepts, error) {
	c := &concepts{}
	var phrases []polish.Phrase
	for line := range strings.Lines(file) {
		name, list, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		c.names = append(c.names, name)
		seen := map[string]bool{}
		for s := range strings.SplitSeq(list, ",") {
			p, err := polish.ParsePhrase(strings.TrimSpace(s))
			if err != nil {
				return nil, fmt.Errorf("concept %s: %w", name, err)
			}
			if !seen[p.Key()] {
				seen[p.Key()] = true
				phrases, c.of = append(phrases, p), append(c.of, len(c.names)-1)
			}
		}
	}
	c.matcher = polish.NewMatcher(phrases)
	return c, nil
}

// running finds concepts word by word: what is found in a beginning of a letter
// never depends on what follows.
type running struct {
	*concepts
	seen  []bool       // by phrase
	terms []int        // phrases seen, by concept
	hits  []polish.Hit // of the text that is read, by their ends
}

func (c *concepts) running() running {
	return running{concepts: c, seen: make([]bool, len(c.of)), terms: make([]int, len(c.names))}
}

// begin goes on with another text.
func (r *running) begin(t polish.Text) {
	r.hits = r.hits[:0]
	r.matcher.Match(t, func(h polish.Hit) {
		if !r.seen[h.Phrase] {
			r.hits = append(r.hits, h)
		}
	})
	slices.SortStableFunc(r.hits, func(a, b polish.Hit) int { return cmp.Compare(a.End, b.End) })
}

// word emits the concepts whose words end with the one at i, and which concepts
// they join.
func (r *running) word(i int, add sink) {
	for len(r.hits) > 0 && r.hits[0].End <= i+1 {
		h := r.hits[0]
		r.hits = r.hits[1:]
		if r.seen[h.Phrase] {
			continue
		}
		r.seen[h.Phrase] = true
		r.found(r.of[h.Phrase], add)
	}
}

func (r *running) found(concept int, add sink) {
	r.terms[concept]++
	n := r.terms[concept]
	if n > 1 {
		add(famConcept, hash('n', r.names[concept]), float32(math.Log(float64(n)/float64(n-1))))
		return
	}
	add(famConcept, hash('n', r.names[concept]), 1)
	for other := range r.terms {
		if other != concept && r.terms[other] > 0 {
			add(famConcepts, hash('N', r.names[min(concept, other)], r.names[max(concept, other)]), 1)
		}
	}
}
