package index

import (
	"strings"

	"sekretariat"
)

// sight is what a principal may see, as SQL over the table letter AS l. It says
// the same as sekretariat.MaySee; TestSightIsMaySee holds the two together.
type sight struct {
	args []any
	full string // condition for Full
	mask string // condition for Masked, given that full does not hold
}

// see translates the rights of a principal. The fragments bind args once each
// time full is used.
func (x *Index) see(p sekretariat.Principal) sight {
	if p.Centre == "" || p.Centre != x.centre {
		return sight{full: "0", mask: "0"}
	}
	s := sight{mask: "0"}
	var either []string
	if len(p.Departments) > 0 {
		in := "(?" + strings.Repeat(",?", len(p.Departments)-1) + ")"
		either = append(either, "(l.department <> '' AND l.department IN "+in+")",
			"(l.closed = 0 AND l.id IN (SELECT letter FROM copy WHERE department IN "+in+"))")
		for range 2 {
			for _, d := range p.Departments {
				s.args = append(s.args, string(d))
			}
		}
	}
	switch {
	case p.Register && p.Closed:
		either, s.args = []string{"1"}, nil
	case p.Register:
		either = append(either, "l.closed = 0")
	}
	if len(either) == 0 {
		either = []string{"0"}
	}
	s.full = "(" + strings.Join(either, " OR ") + ")"
	if p.Register || p.Admin {
		s.mask = "l.n > 0"
	}
	return s
}

// visible is the condition for anything but Hidden.
func (s sight) visible() string { return "(" + s.full + " OR " + s.mask + ")" }

// level is the expression of the View.
func (s sight) level() string {
	return "CASE WHEN " + s.full + " THEN 2 WHEN " + s.mask + " THEN 1 ELSE 0 END"
}
