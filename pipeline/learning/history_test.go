package learning

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sekretariat"
)

var at = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)

func letterID(n int) sekretariat.LetterID {
	return sekretariat.NewLetterID(sekretariat.NewSubmissionID("x", sekretariat.KindMail, "a", fmt.Sprint(n)), 1)
}

func routed(t rapid.TB, id sekretariat.LetterID, revision int, from, to sekretariat.DepartmentID, change ...func(*sekretariat.RoutedData)) sekretariat.Event {
	d := sekretariat.RoutedData{Letter: id, Revision: revision, From: from, By: "p-1", Decision: sekretariat.Decision{Department: to, Rule: rulePerson}}
	for _, f := range change {
		f(&d)
	}
	return event(t, sekretariat.EventRouted, id, revision, d)
}

func event(t rapid.TB, typ sekretariat.EventType, id sekretariat.LetterID, revision int, data any) sekretariat.Event {
	e, err := sekretariat.NewEvent(typ, "x", "test", string(id), revision, at, data)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func fold(t rapid.TB, events ...sekretariat.Event) *History {
	h := NewHistory()
	for i, e := range events {
		if err := h.Apply(uint64(i+1), e); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func TestHistory(t *testing.T) {
	a := letterID(1)
	taken := event(t, sekretariat.EventTaken, a, 2, sekretariat.HandlingData{Letter: a, Department: "b", Revision: 2})
	closed := func(d *sekretariat.RoutedData) { d.Closed = true }
	danger := func(d *sekretariat.RoutedData) { d.Decision.Urgency = sekretariat.Danger }
	router := func(d *sekretariat.RoutedData) { d.By, d.Decision.Rule = "", "model" }
	for name, k := range map[string]struct {
		events []sekretariat.Event
		want   sekretariat.DepartmentID // "" = no example
	}{
		"a re-routing teaches":                     {[]sekretariat.Event{routed(t, a, 2, "a", "b")}, "b"},
		"the last one counts":                      {[]sekretariat.Event{routed(t, a, 2, "a", "b"), routed(t, a, 3, "b", "c")}, "c"},
		"an undone one does not teach":             {[]sekretariat.Event{routed(t, a, 2, "a", "b"), routed(t, a, 3, "b", "a")}, ""},
		"handing back does not teach":              {[]sekretariat.Event{routed(t, a, 2, "a", "b"), routed(t, a, 3, "b", sekretariat.Sekretariat)}, ""},
		"the router itself does not teach":         {[]sekretariat.Event{routed(t, a, 1, "", "b", router)}, ""},
		"taking confirms":                          {[]sekretariat.Event{routed(t, a, 1, "", "b", router), taken}, "b"},
		"closed mail does not teach":               {[]sekretariat.Event{routed(t, a, 2, "a", "b", closed), taken}, ""},
		"what became closed teaches no more":       {[]sekretariat.Event{routed(t, a, 2, "a", "b"), routed(t, a, 3, "b", "c", closed)}, ""},
		"a danger does not teach":                  {[]sekretariat.Event{routed(t, a, 2, "a", "b", danger)}, ""},
		"a cancelled entry does not teach":         {[]sekretariat.Event{routed(t, a, 2, "a", "b"), event(t, sekretariat.EventCancelled, a, 0, sekretariat.CancelledData{Letter: a})}, ""},
		"what a person took out never comes again": {[]sekretariat.Event{routed(t, a, 2, "a", "b"), event(t, sekretariat.EventUnlearned, a, 0, sekretariat.UnlearnedData{Letter: a}), routed(t, a, 3, "b", "c"), taken}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			list := fold(t, k.events...).Examples()
			switch {
			case k.want == "" && len(list) > 0:
				t.Errorf("examples %+v, want none", list)
			case k.want != "" && (len(list) != 1 || list[0].Department != k.want || list[0].Month != "2026-03"):
				t.Errorf("examples %+v, want one for %s", list, k.want)
			}
		})
	}
}

// However the events of letters are cut into runs, the same history gives the
// same examples; and a letter has at most one.
func TestHistoryIsDeterministic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		departments := []sekretariat.DepartmentID{sekretariat.Sekretariat, "a", "b", "c"}
		var events []sekretariat.Event
		for i := range rapid.IntRange(0, 40).Draw(t, "events") {
			id := letterID(rapid.IntRange(1, 4).Draw(t, "letter"))
			to := rapid.SampledFrom(departments).Draw(t, "to")
			switch rapid.IntRange(0, 5).Draw(t, "kind") {
			case 0:
				events = append(events, event(t, sekretariat.EventTaken, id, i, sekretariat.HandlingData{Letter: id, Department: to, Revision: i}))
			case 1:
				events = append(events, event(t, sekretariat.EventUnlearned, id, i, sekretariat.UnlearnedData{Letter: id}))
			default:
				events = append(events, routed(t, id, i, rapid.SampledFrom(departments).Draw(t, "from"), to))
			}
		}
		one := fold(t, events...).Examples()
		h := NewHistory()
		for i, e := range events { // asked on the way, and told again what it knows
			for range rapid.IntRange(1, 2).Draw(t, "times") {
				if err := h.Apply(uint64(i+1), e); err != nil {
					t.Fatal(err)
				}
			}
			if rapid.Bool().Draw(t, "asked") {
				h.Examples()
			}
		}
		two := h.Examples()
		if !slices.Equal(one, two) {
			t.Fatalf("%+v\n%+v", one, two)
		}
		seen := map[sekretariat.LetterID]bool{}
		for _, x := range one {
			if seen[x.Letter] {
				t.Fatalf("letter %s teaches twice", x.Letter)
			}
			seen[x.Letter] = true
		}
	})
}
