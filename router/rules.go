package router

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"sekretariat/configs"
	"sekretariat/extract/polish"
)

//go:embed rules/*.yaml
var builtin embed.FS

const (
	// defaultWeight is the confidence of a rule that gives none.
	defaultWeight = 0.6
	// maxWeight keeps a single rule from being beyond doubt.
	maxWeight = 0.99
)

// The errors of New.
var (
	ErrNoRuleSet  = errors.New("there is no such built-in rule set")
	ErrReservedID = errors.New("the router itself uses this rule id: choose another")
)

// reserved are the ids of decisions that no configured rule makes.
var reserved = []string{ruleCase, ruleNamed, ruleAccount, ruleAuto, ruleFallback, ruleModel, ruleSuggest, ruleClosed, RuleSheet}

// rule is a compiled configs.Rule. The slices hold phrase indexes.
type rule struct {
	*configs.Rule
	points                   float64 // −ln(1−weight): what the first term is worth
	subject, text, with, not []int
	from, to, cases          []string // folded
}

// collect returns the rules of a centre, most important first: higher priority,
// then more conditions, then the order of the files.
func collect(c *configs.Centre) ([]configs.Rule, error) {
	own := map[string]bool{}
	for _, r := range c.Rules {
		if slices.Contains(reserved, r.ID) {
			return nil, fmt.Errorf("rule %q: %w", r.ID, ErrReservedID)
		}
		own[r.ID] = true
	}
	list := slices.Clone(c.Rules)
	seen := map[string]string{}
	for _, set := range c.RuleSets {
		rules, err := readSet(set)
		if err != nil {
			return nil, err
		}
		for _, r := range rules {
			if other, twice := seen[r.ID]; twice {
				return nil, fmt.Errorf("rule %q is in the sets %s and %s", r.ID, other, set)
			}
			seen[r.ID] = set
			if !own[r.ID] {
				list = append(list, r)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b configs.Rule) int {
		if a.Priority != b.Priority {
			return cmp.Compare(b.Priority, a.Priority)
		}
		return cmp.Compare(conditions(b), conditions(a))
	})
	return list, nil
}

// readSet reads one built-in rule set: all files rules/<set>-*.yaml.
func readSet(set string) ([]configs.Rule, error) {
	files, err := builtin.ReadDir("rules")
	if err != nil {
		return nil, fmt.Errorf("built-in rules: %w", err)
	}
	var all []configs.Rule
	for _, f := range files {
		if !strings.HasPrefix(f.Name(), set+"-") {
			continue
		}
		data, err := builtin.ReadFile("rules/" + f.Name())
		if err != nil {
			return nil, fmt.Errorf("built-in rules: %w", err)
		}
		var file struct {
			Rules []configs.Rule `yaml:"rules"`
		}
		if err := yaml.UnmarshalWithOptions(data, &file, yaml.Strict()); err != nil {
			return nil, fmt.Errorf("built-in rules %s: %w", f.Name(), err)
		}
		all = append(all, file.Rules...)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("rule set %q: %w", set, ErrNoRuleSet)
	}
	return all, nil
}

// conditions counts how many kinds of conditions a rule has: how specific it is.
func conditions(r configs.Rule) (n int) {
	for _, l := range [][]string{r.Kinds, r.Boxes, r.Accounts, r.To, r.From, r.Cases, r.Forms, r.Subject, r.Text, r.With, r.Not, r.Labels} {
		if len(l) > 0 {
			n++
		}
	}
	return n
}

// builder numbers the phrases of all rules; phrases that find the same get one
// number.
type builder struct {
	index    map[string]int
	phrases  []polish.Phrase
	sources  []string
	negative []bool
}

func (b *builder) rule(r configs.Rule) (rule, error) {
	out := rule{Rule: &r, points: points(r.Weight)}
	for _, f := range []struct {
		terms []string
		to    *[]int
	}{{r.Subject, &out.subject}, {r.Text, &out.text}, {r.With, &out.with}, {r.Not, &out.not}} {
		for _, t := range f.terms {
			i, err := b.phrase(t)
			if err != nil {
				return rule{}, err
			}
			if !slices.Contains(*f.to, i) { // another form of the same words adds nothing
				*f.to = append(*f.to, i)
			}
		}
	}
	out.from, out.to, out.cases = foldAll(r.From), foldAll(r.To), foldAll(r.Cases)
	return out, nil
}

func (b *builder) phrase(s string) (int, error) {
	p, err := polish.ParsePhrase(s)
	if err != nil {
		return 0, err
	}
	if i, ok := b.index[p.Key()]; ok {
		return i, nil
	}
	first := polish.Words(s)[0]
	b.index[p.Key()] = len(b.phrases)
	b.phrases, b.sources = append(b.phrases, p), append(b.sources, s)
	b.negative = append(b.negative, negation(first))
	return len(b.phrases) - 1, nil
}

// points turns a weight into points that can be added: the sum of the points of
// several rules stands for the chance that at least one of them is right.
func points(weight float64) float64 {
	if weight == 0 {
		weight = defaultWeight
	}
	return -math.Log(1 - min(weight, maxWeight))
}

func foldAll(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = polish.Fold(s)
	}
	return out
}

// symbolsOf lists the case-number prefixes of the departments, longest first.
func symbolsOf(c *configs.Centre) []symbol {
	var out []symbol
	for _, d := range c.Departments {
		for _, s := range d.Symbol {
			out = append(out, symbol{folded: polish.Fold(s), term: s, department: d.ID})
		}
	}
	slices.SortStableFunc(out, func(a, b symbol) int { return len(b.folded) - len(a.folded) })
	return out
}
