package model

import (
	_ "embed"
	"fmt"
	"math"
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

// find emits the concepts of a text, and which of them come together.
func (c *concepts) find(add sink, texts ...polish.Text) {
	seen := make([]bool, len(c.of))
	terms := make([]int, len(c.names))
	for _, t := range texts {
		c.matcher.Match(t, func(h polish.Hit) {
			if !seen[h.Phrase] {
				seen[h.Phrase] = true
				terms[c.of[h.Phrase]]++
			}
		})
	}
	for i, n := range terms {
		if n == 0 {
			continue
		}
		add(famConcept, hash('n', c.names[i]), float32(1+math.Log(float64(n))))
		for j := range i {
			if terms[j] > 0 {
				add(famConcepts, hash('N', c.names[j], c.names[i]), 1)
			}
		}
	}
}
