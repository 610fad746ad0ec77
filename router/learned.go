package router

import (
	"cmp"
	"slices"
	"strings"

	"sekretariat"
	"sekretariat/router/model"
)

// Learn makes decisions from now on heed what the centre's people taught; nil
// forgets it. What was taught chooses between departments and nothing else: it
// never touches urgency, a danger, a letter about violence, or what a rule or
// the centre's own case number decides.
func (r *Router) Learn(l *model.Layer) { r.layer.Store(l) }

// Learned is the layer that decisions heed, nil without one.
func (r *Router) Learned() *model.Layer { return r.layer.Load() }

// CanLearn tells whether there is a model that something could be taught to.
func (r *Router) CanLearn() bool { return r.model != nil }

// Lesson is a letter as the router would learn from it, with the chances that
// it gives each place by itself.
type Lesson struct {
	Sketch model.Sketch
	Before []model.Scored
	// Barred: nobody may teach by this letter (rules P13 and P16): closed
	// mail, a danger, or a letter that may be about violence.
	Barred bool
	places []chance
}

// Lesson reads a letter for learning. It holds no words. Without a model it is
// barred.
func (r *Router) Lesson(f Facts) Lesson {
	if r.model == nil {
		return Lesson{Barred: true}
	}
	l := r.read(f)
	d := sekretariat.Decision{}
	r.urgency(&d, l)
	list := r.places(l)
	return Lesson{
		Sketch: r.sketch(l), Before: scored(list), places: list,
		Barred: d.Urgency == sekretariat.Danger || mayBeViolence(list) || r.closedMail(l) || isProof(f) || r.unread(l) != "",
	}
}

// Shields tells whether letters about violence go to a department, as owner or
// copy.
func (r *Router) Shields(d sekretariat.DepartmentID) bool {
	to := r.centre.Labels[violence]
	for _, unit := range to.ByUnit {
		if unit == d {
			return true
		}
	}
	return d != "" && (to.Department == d || slices.Contains(to.Copies, d))
}

// Place names a department for a layer.
func Place(d sekretariat.DepartmentID) string { return placeOf(target{department: d}) }

func placeOf(t target) string { return string(t.department) + ">" + t.forward }

func (r *Router) sketch(l *found) model.Sketch {
	return r.model.Sketch(r.input(l.facts, l.content, l.reasons)).With(l.guess.Labels, l.guess.Kinds)
}

func scored(list []chance) []model.Scored {
	out := make([]model.Scored, 0, len(list))
	for _, c := range list {
		if !c.lost {
			out = append(out, model.Scored{Name: placeOf(c.target), Chance: c.chance})
		}
	}
	return out
}

// touchy is the chance of violence from which an answer could betray the writer.
const touchy = 0.1

func mayBeViolence(list []chance) bool {
	return slices.ContainsFunc(list, func(c chance) bool { return c.label == violence && c.chance >= touchy })
}

// taught puts the places into the order that the centre's people taught, and
// tells whether the first one changed.
func (r *Router) taught(d *sekretariat.Decision, l *found, list []chance) ([]chance, bool) {
	layer := r.layer.Load()
	l.touchy = mayBeViolence(list)
	if layer == nil || d.Urgency == sekretariat.Danger || list[0].label == violence || list[0].lost {
		return list, false
	}
	d.Model += "+" + layer.Version
	out := r.apply(layer, r.sketch(l), list)
	return out, out[0].target != list[0].target
}

// apply is taught for one layer. Departments that the centre does not have, or
// whose letters are closed, are never added.
func (r *Router) apply(layer *model.Layer, s model.Sketch, list []chance) []chance {
	after := map[string]float64{}
	for _, p := range layer.Apply(s, scored(list)) {
		after[p.Name] = p.Chance
	}
	out := slices.Clone(list)
	for i := range out {
		name := placeOf(out[i].target)
		if chance, ok := after[name]; ok {
			delete(after, name)
			if out[i].label == violence {
				chance = max(chance, out[i].chance) // nothing that was taught hides it
			}
			out[i].chance = chance
		}
	}
	for name, chance := range after {
		id, forward, _ := strings.Cut(name, ">")
		if dep, ok := r.centre.DepartmentByID(sekretariat.DepartmentID(id)); ok && forward == "" && !dep.Closed {
			out = append(out, chanceOf(dep.ID, chance))
		}
	}
	sum := 0.0
	for _, c := range out {
		sum += c.chance
	}
	for i := range out {
		out[i].chance /= sum
	}
	slices.SortStableFunc(out, func(a, b chance) int {
		return cmp.Or(cmp.Compare(b.chance, a.chance), cmp.Compare(placeOf(a.target), placeOf(b.target)))
	})
	return out
}

func chanceOf(d sekretariat.DepartmentID, p float64) chance {
	return chance{target: target{department: d}, chance: p}
}

// First is where a letter would go by the model with a layer, nil = without.
func (r *Router) First(l Lesson, layer *model.Layer) (to sekretariat.DepartmentID, sure bool) {
	list := l.places
	if layer != nil && list[0].label != violence && !list[0].lost {
		list = r.apply(layer, l.Sketch, list)
	}
	return list[0].department, list[0].chance >= r.threshold()
}

// Asks tells whether a decision leaves the letter to a person of the
// sekretariat, with suggestions.
func Asks(d sekretariat.Decision) bool { return d.Rule == ruleFallback || d.Rule == ruleSuggest }
