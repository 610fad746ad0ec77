// Package router decides where a letter goes, as an experienced secretary
// would: a pure function of a reading, of what is known of its arrival, of the
// centre's configuration and of a learned model. The centre's own rules go
// first, then evidence (its own case number), then the model, which also weighs
// what the built-in rules find; where it is not sure, the sekretariat keeps the
// letter with the best suggestions. Without a model the rules decide alone:
// they give points to subject matters (labels) and departments, and the best
// place gets the letter unless it is too weak or has an equal. Urgency is found
// beside that and only ever raised. Every decision explains itself in plain
// Polish. The router knows neither where letters come from nor where they go.
package router

import (
	"fmt"
	"sync/atomic"
	"time"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/extract/polish"
	"sekretariat/router/model"
)

// Facts are the input of a decision.
type Facts struct {
	Arrived sekretariat.ArrivedLite
	Reading sekretariat.Reading
	Now     time.Time // for suspensions and validity
	// Held is said in place of the router's own model, nil = ask that one:
	// cross-validation asks what would be decided about a letter that the model
	// has not seen.
	Held *model.Prediction
}

// Router decides by one version of a centre's configuration. It is safe for
// concurrent use and never changes, but for what the centre's people teach, see
// Learn.
type Router struct {
	centre   *configs.Centre
	rules    []rule
	byID     map[string]*configs.Rule
	matcher  *polish.Matcher
	phrases  []string // as configured, by the matcher's index
	negative []bool   // the phrase itself begins with a negation
	named    []naming // departments that letters name
	symbols  []symbol // case-number prefixes, longest first

	own         map[string]bool // ids of the centre's own rules
	closedWords []polish.Phrase // rule P13
	model       *model.Model    // nil: rules alone decide
	layer       atomic.Pointer[model.Layer]
}

// naming is a phrase that names a department.
type naming struct {
	phrase     int
	department sekretariat.DepartmentID
	term       string
}

// symbol is the folded case-number prefix of a department.
type symbol struct {
	folded, term string
	department   sekretariat.DepartmentID
}

// New compiles the rules of a centre: the built-in sets that it uses and its
// own, which replace built-in ones of the same id. The error names the rule and
// the term that cannot be used. Unless the centre has turned it off, the model
// that ships with the program takes part.
func New(c *configs.Centre) (*Router, error) {
	if c.Routing.Model == "off" {
		return NewWith(c, nil)
	}
	m, err := model.Default()
	if err != nil {
		return nil, fmt.Errorf("router of centre %s: %w", c.ID, err)
	}
	return NewWith(c, m)
}

// NewWith is New with a model of choice, or with none.
func NewWith(c *configs.Centre, m *model.Model) (*Router, error) {
	r := &Router{centre: c, byID: map[string]*configs.Rule{}, own: map[string]bool{}, model: m}
	for _, rule := range c.Rules {
		r.own[rule.ID] = true
	}
	for _, s := range c.Routing.Closed.Words {
		p, err := polish.ParsePhrase(s)
		if err != nil {
			return nil, fmt.Errorf("closed words of centre %s: %w", c.ID, err)
		}
		r.closedWords = append(r.closedWords, p)
	}
	list, err := collect(c)
	if err != nil {
		return nil, fmt.Errorf("rules of centre %s: %w", c.ID, err)
	}
	b := &builder{index: map[string]int{}}
	for i := range list {
		compiled, err := b.rule(list[i])
		if err != nil {
			return nil, fmt.Errorf("rules of centre %s: rule %q: %w", c.ID, list[i].ID, err)
		}
		r.rules = append(r.rules, compiled)
		r.byID[list[i].ID] = &list[i]
	}
	if err := r.nameDepartments(b); err != nil {
		return nil, err
	}
	r.symbols = symbolsOf(c)
	r.matcher = polish.NewMatcher(b.phrases)
	r.phrases, r.negative = b.sources, b.negative
	return r, nil
}

// nameDepartments lets the name of a department in a letter count (boundary
// rule R3: it decides only when the content does not).
func (r *Router) nameDepartments(b *builder) error {
	for _, d := range r.centre.Departments {
		if len(polish.Words(d.Name)) < 2 {
			continue // "Sekretariat", "MZON": too short to be a name in a text
		}
		known := len(b.phrases)
		i, err := b.phrase(d.Name)
		if err != nil {
			return fmt.Errorf("name of department %s: %w", d.ID, err)
		}
		if i < known {
			continue // a rule counts these words already
		}
		r.named = append(r.named, naming{phrase: i, department: d.ID, term: d.Name})
	}
	return nil
}
