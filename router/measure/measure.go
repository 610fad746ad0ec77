// Package measure tells how well the router does on labelled letters: each
// figure with its 95 % interval, for whichever fields the letters have.
package measure

import (
	"math"
	"slices"
	"time"

	"sekretariat"
	"sekretariat/router"
	"sekretariat/router/letters"
	"sekretariat/router/model"
)

// Share is a part of a whole.
type Share struct {
	Part int `json:"part"`
	Of   int `json:"of"`
}

func (s *Share) add(yes bool) {
	s.Of++
	if yes {
		s.Part++
	}
}

// Value is the share, 0 for nothing of nothing.
func (s Share) Value() float64 {
	if s.Of == 0 {
		return 0
	}
	return float64(s.Part) / float64(s.Of)
}

// Interval is the 95 % interval by Wilson: right for few letters and for shares
// near one.
func (s Share) Interval() (low, high float64) {
	if s.Of == 0 {
		return 0, 1
	}
	const z = 1.959964
	n, p := float64(s.Of), s.Value()
	middle := (p + z*z/(2*n)) / (1 + z*z/n)
	half := z / (1 + z*z/n) * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	return max(0, middle-half), min(1, middle+half)
}

// Score counts the answers of one kind against the truth.
type Score struct {
	True    int `json:"true"`    // said and right
	False   int `json:"false"`   // said and wrong
	Missing int `json:"missing"` // not said
}

// F1 is the harmonic mean of precision and recall.
func (s Score) F1() float64 {
	if s.True == 0 {
		return 0
	}
	return 2 * float64(s.True) / float64(2*s.True+s.False+s.Missing)
}

// Precision is the share of right ones among those said.
func (s Score) Precision() Share { return Share{s.True, s.True + s.False} }

// Recall is the share of those said among the true ones.
func (s Score) Recall() Share { return Share{s.True, s.True + s.Missing} }

// Point is one point of the curve: when the surest share of the letters is
// decided by the machine.
type Point struct {
	Coverage float64 `json:"coverage"`
	At       float64 `json:"at"` // chance from which it decides
	Right    Share   `json:"right"`
}

// Case is what became of one letter.
type Case struct {
	ID       string               `json:"id"`
	Truth    string               `json:"truth"`
	First    string               `json:"first"`
	Second   string               `json:"second"`
	Decision sekretariat.Decision `json:"decision"`
	right    bool
}

// Report is what Measure found.
type Report struct {
	Letters   int                       `json:"letters"`
	Model     string                    `json:"model"`
	Top1      Share                     `json:"top1"`
	Top2      Share                     `json:"top2"`
	Automatic Share                     `json:"automatic"` // letters that were decided without a person, of all
	Right     Share                     `json:"right"`     // of the automatic ones
	Labels    map[string]Share          `json:"labels"`    // recall by true label
	Confusion map[string]map[string]int `json:"confusion"` // truth → said → letters
	Traits    map[string]Share          `json:"traits"`
	Channels  map[string]Share          `json:"channels"`
	Curve     []Point                   `json:"curve"`
	Urgent    Share                     `json:"urgent"`      // recall
	Alarms    Share                     `json:"falseAlarms"` // of letters that are not urgent
	Dangers   Share                     `json:"dangers"`     // level "zagrożenie", of all letters
	Kind      Share                     `json:"kind"`
	Phone     Share                     `json:"phone"`
	PhoneSaid Share                     `json:"phoneGiven"` // of letters with a phone
	Email     Share                     `json:"email"`
	CaseNo    Share                     `json:"case"`
	CaseSaid  Share                     `json:"caseGiven"`
	Defects   map[string]Score          `json:"defects"`
	Defect    Score                     `json:"defect"` // over all kinds of defects
	Second    Score                     `json:"second"` // second departments
	Took      time.Duration             `json:"took"`
	Cases     []Case                    `json:"cases,omitempty"`
}

// Measure has the router decide every letter. now is the time of the decisions.
func Measure(r *router.Router, list []letters.Letter, now time.Time) Report {
	rep := empty(len(list))
	start := time.Now()
	advice := make([]sekretariat.Advice, len(list))
	for i, l := range list {
		advice[i] = r.Advise(l.Facts(now))
	}
	rep.Took = time.Since(start)
	for i, l := range list {
		rep.add(l, advice[i])
	}
	rep.curve()
	return rep
}

func empty(letters int) Report {
	return Report{
		Letters: letters, Labels: map[string]Share{}, Confusion: map[string]map[string]int{}, Traits: map[string]Share{},
		Channels: map[string]Share{}, Defects: map[string]Score{},
	}
}

// answers are the labels that the router thinks likeliest.
func answers(d sekretariat.Decision) (first, second string) {
	var said []string
	add := func(l string) {
		if l != "" && !slices.Contains(said, l) {
			said = append(said, l)
		}
	}
	if !kept(d) {
		add(d.Label)
		if d.Label == "" {
			add(string(d.Department))
		}
	}
	for _, s := range d.Suggestions {
		l := s.Label
		if l == "" {
			l = string(s.Department)
		}
		add(l)
	}
	add(string(sekretariat.Sekretariat)) // nothing to go by
	add("")
	return said[0], slices.Concat(said[1:], []string{""})[0]
}

// kept tells whether the letter was left to a person.
func kept(d sekretariat.Decision) bool {
	return slices.Contains([]string{"fallback", "podpowiedz"}, d.Rule)
}

func (r *Report) add(l letters.Letter, a sekretariat.Advice) {
	d := a.Decision
	r.Model = d.Model
	if l.Label != "" {
		r.label(l, d)
	}
	if l.Urgent != nil && !l.UrgentEither {
		alarm := d.Urgency != sekretariat.Normal
		if *l.Urgent {
			r.Urgent.add(alarm)
		} else {
			r.Alarms.add(alarm)
		}
	}
	r.Dangers.add(d.Urgency == sekretariat.Danger)
	if l.Kind != "" {
		r.Kind.add(l.Kind == d.Kind)
	}
	equal := func(all, given *Share, want *string, got string) {
		if want != nil {
			all.add(*want == got)
			if *want != "" {
				given.add(*want == got)
			}
		}
	}
	equal(&r.Phone, &r.PhoneSaid, l.Phone, a.Contacts.Phone)
	equal(&r.Email, new(Share), l.Email, a.Contacts.Email)
	equal(&r.CaseNo, &r.CaseSaid, l.Case, a.Contacts.Case)
	if l.Defect != nil {
		r.defect(l, d)
	}
}

func (r *Report) label(l letters.Letter, d sekretariat.Decision) {
	first, second := answers(d)
	c := Case{ID: l.ID, Truth: l.Label, First: first, Second: second, Decision: d, right: l.Right(first)}
	r.Cases = append(r.Cases, c)
	r.Top1.add(c.right)
	r.Top2.add(c.right || l.Right(second))
	r.Automatic.add(!kept(d))
	if !kept(d) {
		r.Right.add(c.right)
	}
	count(r.Labels, l.Label, c.right)
	count(r.Channels, l.Channel, c.right)
	for _, t := range l.Traits {
		count(r.Traits, t, c.right)
	}
	said := first
	if c.right {
		said = l.Label
	}
	if r.Confusion[l.Label] == nil {
		r.Confusion[l.Label] = map[string]int{}
	}
	r.Confusion[l.Label][said]++
	if l.Secondary != nil && c.right && !kept(d) {
		for _, copied := range d.Copies {
			if slices.Contains(l.Secondary, string(copied)) {
				r.Second.True++
			} else {
				r.Second.False++
			}
		}
		for _, s := range l.Secondary {
			if !slices.Contains(d.Copies, sekretariat.DepartmentID(s)) {
				r.Second.Missing++
			}
		}
	}
}

func count(m map[string]Share, key string, yes bool) {
	s := m[key]
	s.add(yes)
	m[key] = s
}

// defect compares the gravest defect found with the letter's.
func (r *Report) defect(l letters.Letter, d sekretariat.Decision) {
	got := ""
	if len(d.Defects) > 0 {
		got = d.Defects[0]
	}
	want := *l.Defect
	if l.DefectAlso != nil && got == *l.DefectAlso {
		want = got
	}
	if got == want {
		if got != "" {
			r.Defect.True++
			r.score(got, func(s *Score) { s.True++ })
		}
		return
	}
	if got != "" {
		r.Defect.False++
		r.score(got, func(s *Score) { s.False++ })
	}
	if want != "" {
		r.Defect.Missing++
		r.score(want, func(s *Score) { s.Missing++ })
	}
}

func (r *Report) score(defect string, f func(*Score)) {
	s := r.Defects[defect]
	f(&s)
	r.Defects[defect] = s
}

// curve shows how right the surest letters are.
func (r *Report) curve() {
	order := slices.Clone(r.Cases)
	slices.SortStableFunc(order, func(a, b Case) int {
		switch {
		case a.Decision.Confidence > b.Decision.Confidence:
			return -1
		case a.Decision.Confidence < b.Decision.Confidence:
			return 1
		}
		return 0
	})
	var s Share
	for i, c := range order {
		s.add(c.right)
		for tenth := 1; tenth <= 20; tenth++ {
			if i+1 == (len(order)*tenth+19)/20 {
				r.Curve = append(r.Curve, Point{float64(tenth) / 20, c.Decision.Confidence, s})
			}
		}
	}
}

// Held has the router decide letters by what models that had not seen them
// said: cross-validation of the whole decision. held belongs to the letters of
// list, in their order.
func Held(r *router.Router, list []letters.Letter, held []model.Held, now time.Time) Report {
	rep := empty(len(held))
	for _, h := range held {
		l := list[h.Example]
		f := l.Facts(now)
		f.Held = &h.Prediction
		rep.add(l, r.Advise(f))
	}
	rep.Model = "cross-validation"
	rep.curve()
	return rep
}
