package desk

import (
	"fmt"
	"net/http"
	"time"

	"sekretariat"
	"sekretariat/register/index"
)

// row is a line of a list with what it is called.
type row struct {
	index.Row
	Printed string // number on paper
	Waits   string // since when it waits, in words
	Where   string // name of the department that has it
	Held    bool   // a decision on it may still be undone
}

// list is a part of a page that renews itself.
type list struct {
	ID, Heading, Empty string
	Rows               []row
	Next               string // mark of the next page, "" at the end
	Path               string // where the list itself is had, without the page
	Departments        bool   // show who has it
	Release            bool   // each can be made a letter here, by one key
}

const pageRows = 50

// rows makes lines of what the read model answers.
func (d *Desk) rows(c *Centre, in []index.Row) []row {
	out := make([]row, len(in))
	now := d.o.Clock()
	for i, r := range in {
		out[i] = row{Row: r, Where: departmentName(c.Config, r.Department), Held: d.held.has(r.Letter)}
		if !r.Number.IsZero() {
			out[i].Printed = c.Config.Print(r.Number)
		}
		if since := latest(r); !since.IsZero() {
			out[i].Waits = waits(now.Sub(since))
		}
	}
	return out
}

func latest(r index.Row) time.Time {
	for _, t := range []time.Time{r.Routed, r.Registered, r.Received} {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}

func senderOf(p sekretariat.Party) string {
	if p.Name != "" && p.Unit != "" {
		return p.Name + ", " + p.Unit
	}
	return p.Called()
}

// waits says a duration as people do.
func waits(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "przed chwilą"
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 24*time.Hour:
		return fmt.Sprintf("%d godz.", int(d.Hours()))
	}
	if n := int(d.Hours()) / 24; n > 1 {
		return fmt.Sprintf("%d dni", n)
	}
	return "1 dzień"
}

// answerList sends the whole page, or the list alone when htmx asks for it.
func (d *Desk) answerList(v visit, name, heading string, data any, lists ...*list) error {
	if want := v.r.Header.Get("HX-Target"); want != "" {
		for _, l := range lists {
			if l.ID == want {
				d.pages.part(v.w, http.StatusOK, name, "lista", l)
				return nil
			}
		}
	}
	return d.show(v, name, heading, data)
}
