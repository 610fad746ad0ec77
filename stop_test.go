package sekretariat

import (
	"testing"
	"time"
)

func TestClocks(t *testing.T) {
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	id := NewLetterID(NewSubmissionID("x", KindMail, "a", "1"), 1)
	var s State
	apply := func(typ EventType, revision int, data any) *Letter {
		t.Helper()
		e, err := NewEvent(typ, "x", "test", string(id), revision, at, data)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Apply(e); err != nil {
			t.Fatal(err)
		}
		return s.Letters[1]
	}
	apply(EventSorted, 0, SortedData{Arrived: ArrivedData{Submission: id.Submission(), Arrived: Arrival{At: at}}, Letters: []SortedLetter{{Part: 1, Action: ActionRegister}}})
	decision := Decision{Department: "a", ContactDuty: true, Deadlines: []Deadline{{Code: "kpa35", Start: "2026-03-02", Due: "2026-04-01"}, {Code: "kpa65", Start: "2026-03-02"}}}
	l := apply(EventRouted, 1, RoutedData{Letter: id, Revision: 1, Decision: decision})
	running := func(l *Letter) (n int) {
		for _, c := range l.Clocks() {
			if c.Stop == nil {
				n++
			}
		}
		return n
	}
	if running(l) != 3 || l.Clocks()[0].Late(at) || !l.Clocks()[0].Late(at.AddDate(0, 0, 31)) {
		t.Errorf("clocks %+v", l.Clocks())
	}
	for range 2 {
		l = apply(EventDeadlineStopped, 0, DeadlineStoppedData{Letter: id, Code: "kpa65", Why: StopTransferred, By: "p-1"})
	}
	if running(l) != 2 || l.Clocks()[2].Stop.Why != StopTransferred || len(l.Stops) != 1 {
		t.Errorf("one is stopped: %+v", l.Clocks())
	}
	l = apply(EventDone, 1, HandlingData{Letter: id, Department: "a", Revision: 1, By: "p-2"})
	if running(l) != 0 || len(l.Stops) != 3 {
		t.Errorf("done: %+v", l.Clocks())
	}
	l = apply(EventRouted, 2, RoutedData{Letter: id, Revision: 2, Decision: decision, By: "p-1"})
	if running(l) != 2 {
		t.Errorf("sent on after all: %+v", l.Clocks())
	}
}
