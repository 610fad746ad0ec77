package learning

import (
	"cmp"
	"maps"
	"slices"

	"sekretariat"
	"sekretariat/router"
	"sekretariat/router/model"
)

// Row is how well the router chose one department in one month, as people
// decided afterwards: precision is Right of Said. "Before" is the shipped model
// by itself, "after" the model with what was taught before each letter.
type Row struct {
	Department  sekretariat.DepartmentID `json:"department"`
	Month       string                   `json:"month"`   // RRRR-MM; "" = all
	Letters     int                      `json:"letters"` // that people gave it
	SaidBefore  int                      `json:"saidBefore"`
	RightBefore int                      `json:"rightBefore"`
	SaidAfter   int                      `json:"saidAfter"`
	RightAfter  int                      `json:"rightAfter"`
	SureSaid    int                      `json:"sureSaid"` // of SaidAfter those that automat would have sent
	SureRight   int                      `json:"sureRight"`
}

// Report is what was taught and what it is good for.
type Report struct {
	Examples    int    `json:"examples"`
	Corrections int    `json:"corrections"` // against the shipped model
	Version     string `json:"version"`     // of the layer, "" = none
	Rows        []Row  `json:"rows"`        // by department, then month; the sums first
}

// The layer is made anew after so many examples while measuring, and at most so
// often.
const (
	every      = 10
	mostLayers = 30
)

// Measure asks about each example what the router would have said with what it
// had been taught until then: no letter is judged by a router that knows it.
func Measure(r *router.Router, list []Taught) Report {
	rep := Report{Examples: len(list)}
	rows := map[[2]string]*Row{}
	count := func(d sekretariat.DepartmentID, month string, f func(*Row)) {
		for _, m := range []string{"", month} {
			k := [2]string{string(d), m}
			if rows[k] == nil {
				rows[k] = &Row{Department: d, Month: m}
			}
			f(rows[k])
		}
	}
	var layer *model.Layer
	step := max(every, len(list)/mostLayers)
	for i, x := range list {
		if i%step == 0 && i > 0 {
			layer = Layer(r, list[:i])
		}
		before, _ := r.First(x.Lesson, nil)
		after, sure := r.First(x.Lesson, layer)
		if before != x.Department {
			rep.Corrections++
		}
		count(x.Department, x.Month, func(w *Row) { w.Letters++ })
		count(before, x.Month, func(w *Row) { w.SaidBefore++; w.RightBefore += one(before == x.Department) })
		count(after, x.Month, func(w *Row) {
			w.SaidAfter++
			w.RightAfter += one(after == x.Department)
			w.SureSaid += one(sure)
			w.SureRight += one(sure && after == x.Department)
		})
	}
	for _, w := range slices.SortedFunc(maps.Values(rows), func(a, b *Row) int {
		return cmp.Or(cmp.Compare(a.Department, b.Department), cmp.Compare(a.Month, b.Month))
	}) {
		rep.Rows = append(rep.Rows, *w)
	}
	if len(list) > 0 {
		rep.Version = Layer(r, list).Version
	}
	return rep
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
