package model

import (
	"fmt"
	"strings"
	"testing"
)

func builtIn(t testing.TB) *Model {
	t.Helper()
	m, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Names, numbers and addresses leave no trace in a sketch: two letters that
// differ in nothing else have the same one.
func TestSketchKnowsNobody(t *testing.T) {
	m := builtIn(t)
	letter := func(name, surname, street, number, phone string) Input {
		return Input{Channel: "mail", Subject: "Wniosek", Text: fmt.Sprintf(
			"Nazywam się %s %s, mieszkam przy ul. %s %s, PESEL %s1234, telefon %s. Proszę o zasiłek stały.", name, surname, street, number, "900101", phone)}
	}
	a := m.Sketch(letter("Anna", "Kowalska", "Lipowej", "7", "600100200"))
	b := m.Sketch(letter("Maria", "Wiśniewska", "Polnej", "9", "511222333"))
	if fmt.Sprint(a) != fmt.Sprint(b) || len(a) == 0 {
		t.Errorf("the sketches of two persons differ: %d and %d features", len(a), len(b))
	}
	c := m.Sketch(Input{Channel: "mail", Subject: "Wniosek", Text: "Proszę o nocleg w schronisku."})
	if fmt.Sprint(a) == fmt.Sprint(c) {
		t.Error("the sketches of two matters are the same")
	}
}

// What was taught moves a letter like it, and leaves the chances of others
// nearly as they were.
func TestTeach(t *testing.T) {
	m := builtIn(t)
	sketch := func(text string) Sketch { return m.Sketch(Input{Channel: "mail", Text: text}) }
	before := []Scored{{"a>", 0.8}, {"b>", 0.2}}
	var list []Taught
	for i := range 10 {
		list = append(list, Taught{Sketch: sketch("Proszę o miejsce w schronisku, nie mam gdzie spać. " + strings.Repeat("Dziękuję. ", i)), Before: before, Target: "c>"})
		list = append(list, Taught{Sketch: sketch("Wniosek o zasiłek stały z powodu niepełnosprawności."), Before: before, Target: "a>"})
	}
	l := Teach(list, "v")
	if got := l.Apply(sketch("Proszę o miejsce w schronisku, bo nie mam gdzie spać."), before); got[0].Name != "c>" {
		t.Errorf("like what was taught: %+v", got)
	}
	if got := l.Apply(sketch("Zasiłek stały, niepełnosprawność, wniosek."), before); got[0].Name != "a>" {
		t.Errorf("like what was confirmed: %+v", got)
	}
	if a, b := Teach(list, "v"), Teach(list, "v"); fmt.Sprint(a.weights) != fmt.Sprint(b.weights) {
		t.Error("the same lessons give different layers")
	}
	var sum float64
	for _, s := range l.Apply(sketch("Dzień dobry."), append(before, Scored{"d>forward", 0.1})) {
		sum += s.Chance
	}
	if sum < 0.999 || sum > 1.001 {
		t.Errorf("the chances add up to %g", sum)
	}
}

// BenchmarkSketch is what a layer adds to a decision.
func BenchmarkSketch(b *testing.B) {
	m := builtIn(b)
	in := Input{Channel: "mail", Text: strings.Repeat("Proszę o przyznanie zasiłku stałego, mam orzeczenie i nie mam dochodu. ", 12)}
	for b.Loop() {
		m.Sketch(in)
	}
}
