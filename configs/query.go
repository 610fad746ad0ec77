package configs

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"sekretariat"
)

// Labels are the subject matters that the router knows in every centre. A
// centre maps each to a department or to another authority, and may add labels
// of its own together with rules for them.
func Labels() []string {
	return []string{
		"pomoc-srodowiskowa", "asysta-rodzinna", "przemoc", "swietlica-klub-seniora", "uslugi-opiekuncze",
		"zasilki-stale", "bezdomnosc", "swiadczenia-rodzinne", "orzecznictwo", string(sekretariat.Sekretariat),
	}
}

// DepartmentByID returns the department with this id.
func (c *Centre) DepartmentByID(id sekretariat.DepartmentID) (Department, bool) {
	i := slices.IndexFunc(c.Departments, func(d Department) bool { return d.ID == id })
	if i < 0 {
		return Department{}, false
	}
	return c.Departments[i], true
}

// SeriesByID returns the series with this id; the main one for "".
func (c *Centre) SeriesByID(id sekretariat.SeriesID) (Series, bool) {
	if id == "" {
		id = sekretariat.MainSeries
	}
	i := slices.IndexFunc(c.Series, func(s Series) bool { return s.ID == id })
	if i < 0 {
		return Series{}, false
	}
	return c.Series[i], true
}

// MainSeries returns the series of everything that no other series claims.
func (c *Centre) MainSeries() Series {
	s, ok := c.SeriesByID(sekretariat.MainSeries)
	if !ok { // a Centre that was not loaded by this package
		return Series{ID: sekretariat.MainSeries}
	}
	return s
}

// SeriesFor returns the series that a unit feeds at a time (rule P1): the one
// that names the unit or the nearest unit above it and is in force; else the
// main one.
func (c *Centre) SeriesFor(unit string, at time.Time) sekretariat.SeriesID {
	day := sekretariat.Day(at)
	for steps := 0; unit != "" && steps <= len(c.Units); steps++ {
		for _, s := range c.Series {
			if slices.Contains(s.Units, unit) && s.From <= day {
				return s.ID
			}
		}
		unit = c.parent(unit)
	}
	return sekretariat.MainSeries
}

func (c *Centre) parent(unit string) string {
	i := slices.IndexFunc(c.Units, func(u Unit) bool { return u.ID == unit })
	if i < 0 {
		return ""
	}
	return c.Units[i].Parent
}

// FirstNumber is the first number that the series gives in a calendar year: 1
// unless configured, for a centre that changes over in the middle of a year.
func (s Series) FirstNumber(year int) int {
	if n, ok := s.First[year]; ok {
		return n
	}
	return 1
}

// Print returns a number of the series as it is printed on paper.
func (s Series) Print(n sekretariat.Number) string {
	if s.Format == "" || n.IsZero() {
		return n.Printed()
	}
	return strings.NewReplacer("{n}", strconv.Itoa(n.N), "{year}", strconv.Itoa(n.Year)).Replace(s.Format)
}

// Print returns a number as it is printed on paper, in the form configured for
// its series (rule P1).
func (c *Centre) Print(n sekretariat.Number) string {
	s, _ := c.SeriesByID(n.Series) // of a series that was taken out: the customary form
	return s.Print(n)
}

// SeriesOf returns the series that a letter goes into, received at a time: the
// one that its account names, or else that of its unit, as long as it is in
// force; else the main one.
func (c *Centre) SeriesOf(named sekretariat.SeriesID, unit string, at time.Time) sekretariat.SeriesID {
	if s, ok := c.SeriesByID(named); named != "" && ok && s.From <= sekretariat.Day(at) {
		return s.ID
	}
	return c.SeriesFor(unit, at)
}

// Substitute returns the department that takes the letters of dept at a time.
// While dept is suspended that is its substitute (or the substitute's), and
// instead names dept; otherwise instead is "". A chain that leads nowhere ends
// at the sekretariat, which is never suspended.
func (c *Centre) Substitute(dept sekretariat.DepartmentID, at time.Time) (to, instead sekretariat.DepartmentID) {
	day := sekretariat.Day(at)
	to = dept
	for range len(c.Departments) + 1 {
		d, ok := c.DepartmentByID(to)
		if !ok {
			break
		}
		if d.ID != sekretariat.Sekretariat && (day < d.From || d.To != "" && day > d.To) {
			return sekretariat.Sekretariat, dept // not yet, or no more
		}
		i := slices.IndexFunc(d.Suspended, func(s Suspension) bool { return s.From <= day && (s.To == "" || day <= s.To) })
		if i < 0 {
			if to == dept {
				return dept, ""
			}
			return to, dept
		}
		to = d.Suspended[i].Substitute
	}
	if dept == sekretariat.Sekretariat {
		return dept, ""
	}
	return sekretariat.Sekretariat, dept
}

// Email policies: what an application by plain e-mail leads to.
const (
	PolicyAccept = "accept"          // taken as it is
	PolicySign   = "call_to_sign"    // the sender is called to sign it (art. 64 § 2 KPA)
	PolicyInform = "inform_and_keep" // kept; the sender is told the valid ways (art. 63 § 1 KPA)
)

// PolicyAt returns the e-mail policy in force on a day: the latest that has
// begun and not ended. Without any it is PolicyInform, the law since 5 October
// 2021.
func (c *Centre) PolicyAt(at time.Time) EmailPolicy {
	day, best := sekretariat.Day(at), EmailPolicy{Policy: PolicyInform, Basis: "art. 63 § 1 KPA"}
	found := false
	for _, p := range c.EmailPolicy {
		if p.From <= day && (p.To == "" || day <= p.To) && (!found || p.From >= best.From) {
			best, found = p, true
		}
	}
	return best
}

// ModeFor returns what the model may do for letters of a kind to a department.
func (c *Centre) ModeFor(department sekretariat.DepartmentID, kind string) sekretariat.Mode {
	for _, e := range c.Routing.Exceptions {
		if (e.Department == "" || e.Department == department) && (e.Kind == "" || e.Kind == kind) {
			return sekretariat.Mode(e.Mode)
		}
	}
	if c.Routing.Mode == "" {
		return sekretariat.ModeSuggest
	}
	return sekretariat.Mode(c.Routing.Mode)
}

// ContactsOf returns the contacts of a department that are valid on a day: an
// ended number is not shown or printed any more.
func (c *Centre) ContactsOf(d sekretariat.DepartmentID, at time.Time) []Contact {
	day := sekretariat.Day(at)
	var out []Contact
	for _, k := range c.Contacts {
		if slices.Contains(k.Departments, d) && k.From <= day && (k.To == "" || day <= k.To) {
			out = append(out, k)
		}
	}
	return out
}
