package alarm_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/ledger"
	"sekretariat/pipeline"
	"sekretariat/pipeline/alarm"
	"sekretariat/pipeline/pasttest"
	"sekretariat/router"
)

type scene struct {
	*pasttest.Office
	pipe *pipeline.Pipeline
	now  time.Time
}

func open(t *testing.T, adjust ...func(*configs.Centre)) *scene {
	s := &scene{Office: pasttest.Open(t, adjust...)}
	s.now = s.Now
	s.pipe = pipeline.New(pipeline.Options{
		Centre: s.Centre, Log: s.Log, Vault: s.House.Vault, Claims: s.House.Ledger, Router: s.Router, Clock: s.clock, Logger: zerolog.Nop(),
	})
	return s
}

func (s *scene) clock() time.Time { return s.now }

// keeper is one that has just started: it knows what the ledger knows.
func (s *scene) keeper() *alarm.Keeper {
	b := alarm.NewBoard(s.Centre.ID, s.Log)
	if err := b.Load(s.T.Context()); err != nil {
		s.T.Fatal(err)
	}
	return &alarm.Keeper{Centre: s.Centre, Board: b, Climber: s.pipe, Clock: s.clock, Logger: zerolog.Nop()}
}

func (s *scene) letter(id sekretariat.LetterID) *sekretariat.Letter {
	state, _, err := pipeline.State(s.T.Context(), s.Log, id.Submission())
	if err != nil {
		s.T.Fatal(err)
	}
	return state.Letters[1]
}

func (s *scene) count(id sekretariat.LetterID, typ sekretariat.EventType) (n int) {
	events, err := s.Log.Subject(s.T.Context(), ledger.Letter, string(id.Submission()))
	if err != nil {
		s.T.Fatal(err)
	}
	for _, e := range events {
		if e.Event.Type == typ {
			n++
		}
	}
	return n
}

func (s *scene) danger() sekretariat.LetterID {
	id, d := s.Letter(router.Facts{Arrived: sekretariat.ArrivedLite{Kind: sekretariat.KindMail}, Reading: sekretariat.Reading{
		Outcome: sekretariat.ReadOK, Subject: "Pomocy", Text: "Mąż mnie bije i grozi, że mnie zabije. Boję się o życie dzieci.",
	}})
	if d.Urgency != sekretariat.Danger {
		s.T.Fatalf("the letter is %q, no danger", d.Urgency)
	}
	return id
}

// Steps happen at their times, each once: over restarts, with two keepers at
// once, and after a night without power.
func TestClimbing(t *testing.T) {
	s := open(t)
	id := s.danger()
	for _, k := range []struct {
		after time.Duration
		step  int
		to    string
	}{
		{0, 0, ""}, {14 * time.Minute, 0, ""}, {15 * time.Minute, 1, configs.AlarmSupervisor}, {29 * time.Minute, 1, configs.AlarmSupervisor},
		{31 * time.Minute, 2, configs.AlarmDirector}, {3 * time.Hour, 3, configs.AlarmDuty}, {30 * time.Hour, 3, configs.AlarmDuty},
	} {
		s.now = s.Now.Add(k.after)
		var g errgroup.Group
		for range 2 {
			keeper := s.keeper()
			g.Go(func() error { keeper.Look(t.Context()); return nil })
		}
		_ = g.Wait() // they return nothing
		if a := s.letter(id).Alarm; a.Step != k.step || a.To != k.to || s.count(id, sekretariat.EventAlarmClimbed) != k.step {
			t.Errorf("after %s: step %d to %q in %d events, want %d to %q", k.after, a.Step, a.To, s.count(id, sekretariat.EventAlarmClimbed), k.step, k.to)
		}
	}
	late := s.danger() // raised at s.Now, thirty hours ago
	s.keeper().Look(t.Context())
	if a := s.letter(late).Alarm; a.Step != 3 || s.count(late, sekretariat.EventAlarmClimbed) != 3 {
		t.Errorf("after a night without power: step %d in %d events", a.Step, s.count(late, sekretariat.EventAlarmClimbed))
	}
}

// Outside working hours with nobody on duty the step says so.
func TestNobodyOnDuty(t *testing.T) {
	for name, k := range map[string]struct {
		duty   string
		hour   int
		nobody bool
	}{"day": {"", 10, false}, "night": {"", 22, true}, "night with duty": {"600 000 000", 22, false}} {
		t.Run(name, func(t *testing.T) {
			s := open(t, func(c *configs.Centre) {
				c.Alarms.Duty = k.duty
				c.Hours = []configs.Hours{{Days: "mon-sun", Periods: []string{"07:00-15:00"}}}
			})
			s.Now = time.Date(2026, 3, 2, k.hour, 0, 0, 0, sekretariat.Warsaw())
			id := s.danger()
			s.now = s.Now.Add(20 * time.Minute)
			keeper := s.keeper()
			keeper.Look(t.Context())
			if a := s.letter(id).Alarm; a.Step != 1 || a.Nobody != k.nobody {
				t.Errorf("step %d, nobody on duty: %v, want %v", a.Step, a.Nobody, k.nobody)
			}
		})
	}
}

// A named person takes an alarm, once; who may not see the letter cannot, and is
// told no more than that there is one.
func TestTaking(t *testing.T) {
	s := open(t)
	id := s.danger()
	department := s.letter(id).Department
	team := sekretariat.Principal{ID: "p-team", Centre: s.Centre.ID, Departments: []sekretariat.DepartmentID{department}}
	other := sekretariat.Principal{ID: "p-other", Centre: s.Centre.ID, Departments: []sekretariat.DepartmentID{"zasilki-stale"}}
	clerk := sekretariat.Principal{ID: "p-clerk", Centre: s.Centre.ID, Register: true}
	s.Append(id, sekretariat.EventRouted, 2, sekretariat.RoutedData{Letter: id, Number: s.letter(id).Number, Revision: 2, Closed: true, By: "p-clerk",
		Decision: sekretariat.Decision{Department: department, Urgency: sekretariat.Danger, Rule: pipeline.RulePerson}})
	s.now = s.Now.Add(16 * time.Minute)
	k := s.keeper()
	k.Look(t.Context())
	k = s.keeper()
	for _, c := range []struct {
		who          sekretariat.Principal
		open, hidden int
	}{{team, 1, 0}, {other, 0, 0}, {clerk, 0, 1}} {
		if l := k.Board.List(c.who); len(l.Open) != c.open || l.Hidden != c.hidden {
			t.Errorf("%s sees %+v", c.who.ID, l)
		}
	}
	for _, who := range []sekretariat.Principal{other, clerk} {
		if err := s.pipe.TakeAlarm(t.Context(), who, id); err == nil {
			t.Errorf("%s takes the alarm of a closed letter", who.ID)
		}
	}
	for range 2 {
		if err := s.pipe.TakeAlarm(t.Context(), team, id); err != nil {
			t.Fatal(err)
		}
	}
	s.now = s.Now.Add(5 * time.Hour)
	s.keeper().Look(t.Context())
	if a := s.letter(id).Alarm; a.Taken == nil || a.Taken.By != "p-team" || a.Step != 1 || s.count(id, sekretariat.EventAlarmTaken) != 1 {
		t.Errorf("after taking: %+v", a)
	}
	if l := s.keeper().Board.List(team); len(l.Open) != 0 {
		t.Errorf("a taken alarm is still open: %+v", l)
	}
	if r := s.keeper().Board.Rates(); len(r) != 1 || r[0].Letters != 1 || r[0].Danger != 1 {
		t.Errorf("rates %+v", r)
	}
}

// Taking the letter is taking its alarm; a re-routing later rings no more.
func TestTakingTheLetter(t *testing.T) {
	s := open(t)
	id := s.danger()
	l := s.letter(id)
	s.Append(id, sekretariat.EventTaken, 1, sekretariat.HandlingData{Letter: id, Department: l.Department, Revision: 1, By: "p-1"})
	s.Send(id, "bezdomnosc")
	s.now = s.Now.Add(5 * time.Hour)
	k := s.keeper()
	k.Look(t.Context())
	if a := s.letter(id).Alarm; a.Taken == nil || a.Step != 0 {
		t.Errorf("alarm %+v", a)
	}
	if n := fmt.Sprint(k.Board.List(sekretariat.Principal{Centre: s.Centre.ID, Register: true}).Open); n != "[]" {
		t.Errorf("open: %s", n)
	}
}
