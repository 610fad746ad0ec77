package model

import (
	"cmp"
	"math"
	"slices"
)

// Example is one labelled letter.
type Example struct {
	Input
	Label  string
	Kind   string // "" = not known
	Urgent *bool  // nil = not known
	Weight int    // how often it counts, 0 = once
}

// Card says what a model was made from and how well it did on letters that it
// had not seen (cross-validation). It is part of the model's file.
type Card struct {
	Letters int     `json:"letters"`
	Digest  string  `json:"digest"` // SHA-256 of the letters' files
	Folds   int     `json:"folds"`
	Top1    float64 `json:"top1"` // share of letters whose first label is right
	Top2    float64 `json:"top2"`
	Kind    float64 `json:"kind"`
	Recall  float64 `json:"urgentRecall"`
	Alarms  float64 `json:"falseAlarms"`
}

// TrainOptions steer training.
type TrainOptions struct {
	Folds  int     // of the cross-validation, default 5
	Seeds  int     // fits that are averaged in the end, default 2
	Recall float64 // share of urgent letters that the threshold must find, default 0.95
	Digest string  // of the letters, for the card
}

func (o TrainOptions) withDefaults() TrainOptions {
	if o.Folds == 0 {
		o.Folds = 5
	}
	if o.Seeds == 0 {
		o.Seeds = 2
	}
	if o.Recall == 0 {
		o.Recall = 0.95
	}
	return o
}

// Held is what a model said of a letter that it had not seen.
type Held struct {
	Example int
	Prediction
}

// Train makes a model and returns with it what models that lacked each letter
// said of it.
func Train(list []Example, o TrainOptions) (*Model, []Held) {
	o = o.withDefaults()
	t := newTrainer(list)
	t.plainOutside(o.Folds)
	held := t.crossValidate(o)
	m := t.model(nil, o.Seeds)
	m.calibration.adopt(calibrate(t, held, o.Recall))
	for i := range held {
		t.recalibrate(m, &held[i])
	}
	m.Sure = t.sureAt(held)
	m.Card = t.card(held, o)
	return m, outOf(held)
}

// trainer holds the letters in the forms that fitting needs.
type trainer struct {
	list          []Example
	labels, kinds []string
	label, kind   []int // classes, −1 = not known
	urgent        []int
	outside       []outsider // by fold
	folds         int
}

// outsider tells the labels of a fold's letters, which it has not seen.
type outsider struct {
	numbering
	linear
}

func newTrainer(list []Example) *trainer {
	t := &trainer{list: list}
	class := func(of func(Example) string) (names []string, y []int) {
		for _, e := range list {
			if s := of(e); s != "" && !slices.Contains(names, s) {
				names = append(names, s)
			}
		}
		slices.Sort(names)
		for _, e := range list {
			y = append(y, slices.Index(names, of(e)))
		}
		return names, y
	}
	t.labels, t.label = class(func(e Example) string { return e.Label })
	t.kinds, t.kind = class(func(e Example) string { return e.Kind })
	for _, e := range list {
		u := -1
		if e.Urgent != nil {
			u = 0
			if *e.Urgent {
				u = 1
			}
		}
		t.urgent = append(t.urgent, u)
	}
	return t
}

// fold tells in which fold a letter is held out.
func fold(i, folds int) int { return i % folds }

// fitted are the linear models of one training set.
type fitted struct {
	numbering
	x     []vectors
	index []int // x → list
}

func (t *trainer) set(without func(i int) bool) fitted {
	var f fitted
	var in []Input
	for i, e := range t.list {
		if without == nil || !without(i) {
			for range max(1, e.Weight) {
				in, f.index = append(in, e.Input), append(f.index, i)
			}
		}
	}
	f.numbering = number(rarityOf(in))
	for _, x := range in {
		f.x = append(f.x, f.vectors(x))
	}
	return f
}

func pick[T any](list []T, index []int) []T {
	out := make([]T, len(index))
	for i, k := range index {
		out[i] = list[k]
	}
	return out
}

func textOf(x []vectors) []vector {
	out := make([]vector, len(x))
	for i := range x {
		out[i] = x[i].text
	}
	return out
}

func allOf(x []vectors) []vector {
	out := make([]vector, len(x))
	for i := range x {
		out[i] = x[i].all
	}
	return out
}

// plainOutside makes the models that tell the labels of letters that they have
// not seen: what the urgent head may build on.
func (t *trainer) plainOutside(folds int) {
	t.folds = folds
	for f := range folds {
		s := t.set(func(i int) bool { return fold(i, folds) == f })
		t.outside = append(t.outside, outsider{s.numbering, fit(textOf(s.x), pick(t.label, s.index), len(s.rows), len(t.labels), defaultFit, nil)})
	}
}

// plain are the chances of a letter's labels by its running text, or by the
// beginning of it.
func (t *trainer) plain(i int, in Input) []float32 {
	o := t.outside[fold(i, t.folds)]
	p := o.scores(o.vectors(in).text)
	softmax(p)
	return p
}

// urgentWeight is how much worse it is to overlook an urgent letter than to
// read another one today.
var urgentWeight = []float32{1, 2}

// stackScale lets the few chances of labels weigh against the many words.
const stackScale = 3

// model fits all heads on the letters that remain.
func (t *trainer) model(without func(i int) bool, seeds int) *Model {
	s := t.set(without)
	all, text, size := allOf(s.x), textOf(s.x), len(s.rows)
	o := defaultFit
	label := fitMean(all, pick(t.label, s.index), size, len(t.labels), o, nil, seeds)
	plain := fit(text, pick(t.label, s.index), size, len(t.labels), o, nil)
	kind := fitMean(all, pick(t.kind, s.index), size, len(t.kinds), o, evenly(pick(t.kind, s.index), len(t.kinds)), seeds)
	// At first the urgent head learns from whole letters; then each letter is
	// what its most urgent beginning says, as it will be when the head is asked.
	var m *Model
	beginnings := make([]Input, len(s.index))
	for i, k := range s.index {
		beginnings[i] = t.list[k].Input
	}
	for round := range urgentRounds {
		u := fitMean(t.stacked(s, beginnings, text, round == 0), pick(t.urgent, s.index), size+len(t.labels), 2, o, urgentWeight, seeds)
		m = assemble(t.labels, t.kinds, s.numbering, label, plain, u, kind)
		m.Stack = make([]float32, len(t.labels))
		for k := range m.Stack {
			m.Stack[k] = stackScale * (u.w[2*(size+k)+1] - u.w[2*(size+k)])
		}
		if round+1 < urgentRounds {
			for i := range beginnings {
				beginnings[i].words = max(1, m.strongest(beginnings[i].full()))
			}
		}
	}
	return m
}

// evenly weighs classes by the root of their rarity: questions are far commoner
// among the training letters than in a real office, appeals far rarer.
func evenly(y []int, classes int) []float32 {
	n := make([]float32, classes)
	for _, c := range y {
		if c >= 0 {
			n[c]++
		}
	}
	out := make([]float32, classes)
	for c := range out {
		out[c] = sqrt(float32(len(y)) / (float32(classes) * max(n[c], 1)))
	}
	return out
}

// urgentRounds is how often the urgent head is fitted.
const urgentRounds = 2

// stacked are the features of running text together with the chances of the
// labels.
func (t *trainer) stacked(s fitted, in []Input, text []vector, whole bool) []vector {
	out := make([]vector, len(in))
	for i, x := range in {
		v := text[i]
		if !whole {
			v = s.vectors(x).text
		}
		out[i] = slices.Clone(v)
		for k, c := range t.plain(s.index[i], x) {
			out[i] = append(out[i], feature{uint32(len(s.rows) + k), c * stackScale})
		}
	}
	return out
}

// fitMean averages fits that differ in chance only: their common errors remain,
// their private ones grow small.
func fitMean(x []vector, y []int, features, classes int, o FitOptions, weigh []float32, seeds int) linear {
	mean := fit(x, y, features, classes, o, weigh)
	for s := 1; s < seeds; s++ {
		o.Seed++
		l := fit(x, y, features, classes, o, weigh)
		for i, w := range l.w {
			mean.w[i] += w
		}
		for i, b := range l.bias {
			mean.bias[i] += b
		}
	}
	for i := range mean.w {
		mean.w[i] /= float32(seeds)
	}
	for i := range mean.bias {
		mean.bias[i] /= float32(seeds)
	}
	return mean
}

// heldOut is what a fold's model said, before calibration.
type heldOut struct {
	Held
	urgent float32
	labels []float32 // chances at temperature 1, in the order of the names
	kinds  []float32
}

func outOf(list []heldOut) []Held {
	out := make([]Held, len(list))
	for i := range list {
		out[i] = list[i].Held
	}
	return out
}

func (t *trainer) crossValidate(o TrainOptions) []heldOut {
	out := make([]heldOut, len(t.list))
	for f := range o.Folds {
		m := t.model(func(i int) bool { return fold(i, o.Folds) == f }, 1)
		for i, e := range t.list {
			if fold(i, o.Folds) == f {
				p := m.Predict(e.Input)
				out[i] = heldOut{Held: Held{i, p}, urgent: float32(math.Log(p.Urgent / (1 - p.Urgent))), labels: inOrder(m.Labels, p.Labels), kinds: inOrder(m.Kinds, p.Kinds)}
			}
		}
	}
	return out
}

func inOrder(names []string, list []Scored) []float32 {
	out := make([]float32, len(names))
	for _, s := range list {
		out[slices.Index(names, s.Name)] = float32(s.Chance)
	}
	return out
}

// recalibrate applies the final calibration to what a fold's model said.
func (t *trainer) recalibrate(m *Model, h *heldOut) {
	logits := func(p []float32) []float32 {
		out := make([]float32, len(p))
		for i, c := range p {
			out[i] = float32(math.Log(float64(c) + 1e-12))
		}
		return out
	}
	h.Labels = chances(t.labels, logits(h.labels), m.Temperature)
	h.Kinds = chances(t.kinds, logits(h.kinds), m.KindTemp)
	h.Urgent = logistic(h.urgent * m.UrgentUnit)
	h.Alarm = h.urgent >= m.UrgentAt
}

// adopt takes what calibration fitted and keeps the stack of the weights.
func (c *calibration) adopt(fitted calibration) {
	fitted.Stack, fitted.StackBias = c.Stack, c.StackBias
	*c = fitted
}

// calibrate fits temperatures and the threshold of urgency.
func calibrate(t *trainer, held []heldOut, recall float64) calibration {
	c := calibration{UrgentUnit: 1}
	c.Temperature = temperature(held, t.label, func(h heldOut) []float32 { return h.labels })
	c.KindTemp = temperature(held, t.kind, func(h heldOut) []float32 { return h.kinds })
	var scores []float32
	for i, h := range held {
		if t.urgent[i] == 1 {
			scores = append(scores, h.urgent)
		}
	}
	if len(scores) > 0 {
		slices.Sort(scores)
		c.UrgentAt = scores[int(float64(len(scores))*(1-recall))]
	}
	return c
}

// temperature finds by how much scores must be divided for chances to be true.
func temperature(held []heldOut, y []int, of func(heldOut) []float32) float32 {
	best, least := float32(1), math.Inf(1)
	for temp := float32(0.2); temp < 3; temp *= 1.04 {
		loss := 0.0
		for i, h := range held {
			if y[i] < 0 {
				continue
			}
			p := slices.Clone(of(h))
			for k := range p {
				p[k] = float32(math.Log(float64(p[k])+1e-12)) / temp
			}
			softmax(p)
			loss -= math.Log(float64(p[y[i]]) + 1e-9)
		}
		if loss < least {
			best, least = temp, loss
		}
	}
	return best
}

// sureShare is how many of the letters that the model decides alone must be
// right.
const sureShare = 0.98

// sureAt finds the chance from which the share is right.
func (t *trainer) sureAt(held []heldOut) float64 {
	order := slices.Clone(held)
	slices.SortFunc(order, func(a, b heldOut) int { return cmp.Compare(b.Labels[0].Chance, a.Labels[0].Chance) })
	right, at := 0, 1.0
	for n, h := range order {
		if h.Labels[0].Name == t.list[h.Example].Label {
			right++
		}
		if float64(right) >= sureShare*float64(n+1) {
			at = h.Labels[0].Chance
		}
	}
	return at
}

func (t *trainer) card(held []heldOut, o TrainOptions) Card {
	c := Card{Letters: len(t.list), Digest: o.Digest, Folds: o.Folds}
	first, second, kinds, urgent, found, calm, alarms := 0, 0, 0, 0, 0, 0, 0
	for i, h := range held {
		switch t.list[i].Label {
		case h.Labels[0].Name:
			first++
		case h.Labels[1].Name:
			second++
		}
		if t.kind[i] >= 0 {
			kinds++
			if h.Kinds[0].Name == t.list[i].Kind {
				c.Kind++
			}
		}
		switch {
		case t.urgent[i] == 1:
			urgent++
			if h.Alarm {
				found++
			}
		case t.urgent[i] == 0:
			calm++
			if h.Alarm {
				alarms++
			}
		}
	}
	c.Top1 = float64(first) / float64(max(len(held), 1)) // summed as counts: shares of one letter round
	c.Top2 = float64(first+second) / float64(max(len(held), 1))
	c.Kind /= float64(max(kinds, 1))
	c.Recall = float64(found) / float64(max(urgent, 1))
	c.Alarms = float64(alarms) / float64(max(calm, 1))
	return c
}
