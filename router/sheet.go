package router

import (
	"slices"

	"sekretariat"
)

// RuleSheet is the rule id of a letter that was scanned behind a separator sheet
// of a department: a person has decided before the scanner did.
const RuleSheet = "karta"

// bySheet gives a letter to the department of its sheet. What the words say
// stays as suggestions, so that the clerk sees where they disagree. A sheet of a
// department that the centre does not have (any more) decides nothing.
func (r *Router) bySheet(d *sekretariat.Decision, l *found) {
	to := l.facts.Arrived.Sheet
	if _, there := r.centre.DepartmentByID(to); !there {
		return
	}
	urgent := slices.DeleteFunc(slices.Clone(d.Evidence), func(e sekretariat.Evidence) bool { return e.Field != "urgency" })
	d.Department, d.Instead = r.centre.Substitute(to, l.facts.Now)
	d.Rule, d.Confidence, d.Margin, d.Forward, d.Copies = RuleSheet, 1, 0, "", nil
	d.Evidence = append([]sekretariat.Evidence{{Field: "sheet", Term: string(to)}}, urgent...)
}
