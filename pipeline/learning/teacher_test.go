package learning_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/pipeline/learning"
	"sekretariat/pipeline/pasttest"
	"sekretariat/router"
	"sekretariat/router/letters"
)

// data reads letters that the shipped model has not seen.
func data(t testing.TB) []letters.Letter {
	t.Helper()
	root := os.Getenv("SEKRETARIAT_TESTDATA")
	if root == "" {
		root = "../../../shared/testdata"
	}
	list, err := letters.ReadFile(filepath.Join(root, "letters", "letters.jsonl"))
	if err != nil {
		t.Skip("the labelled letters of the test data are missing; set SEKRETARIAT_TESTDATA")
	}
	return list
}

func teacher(o *pasttest.Office, r *router.Router) *learning.Teacher {
	return learning.New(learning.Options{Centre: o.Centre, Log: o.Log, Vault: o.House.Vault, Router: r, Logger: zerolog.Nop()})
}

func load(t *testing.T, o *pasttest.Office, r *router.Router) *learning.Teacher {
	t.Helper()
	teach := teacher(o, r)
	if err := teach.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return teach
}

func version(r *router.Router) string {
	if r.Learned() == nil {
		return ""
	}
	return r.Learned().Version
}

// A centre gives the letters of one department to another one, as its office
// happens to do. After some corrections the router does so too, and is not worse
// with the others.
func TestLearning(t *testing.T) {
	list := data(t)
	o := pasttest.Open(t)
	habit := func(l letters.Letter) sekretariat.DepartmentID {
		if l.Label == "swiadczenia-rodzinne" {
			return "zasilki-stale"
		}
		return o.Centre.Labels[l.Label].Department
	}
	var past, later []letters.Letter
	for i, l := range list {
		if i%2 == 0 {
			past = append(past, l)
		} else {
			later = append(later, l)
		}
	}
	for _, l := range past {
		if id, d := o.Letter(l.Facts(o.Now)); habit(l) != d.Department {
			o.Send(id, habit(l))
		} else {
			o.Append(id, sekretariat.EventTaken, 1, sekretariat.HandlingData{Letter: id, Department: d.Department, Revision: 1})
		}
	}
	right := func(r *router.Router) (shifted, others int) {
		for _, l := range later {
			d := r.Decide(l.Facts(o.Now))
			to := d.Department
			if router.Asks(d) && len(d.Suggestions) > 0 {
				to = d.Suggestions[0].Department
			}
			switch {
			case to != habit(l):
			case l.Label == "swiadczenia-rodzinne":
				shifted++
			default:
				others++
			}
		}
		return shifted, others
	}
	shifted, others := right(o.Router)
	teach := load(t, o, o.Router)
	shiftedAfter, othersAfter := right(o.Router)
	rep := learning.Measure(o.Router, teach.Taught())
	t.Logf("%d examples, %d against the model: letters of the habit right %d → %d, others %d → %d", rep.Examples, rep.Corrections, shifted, shiftedAfter, others, othersAfter)
	if shiftedAfter < shifted+5 {
		t.Errorf("letters of the habit right: %d before, %d after", shifted, shiftedAfter)
	}
	if othersAfter < others-2 {
		t.Errorf("other letters right: %d before, %d after", others, othersAfter)
	}
	again := o.NewRouter()
	load(t, o, again)
	if version(again) != version(o.Router) || version(again) == "" {
		t.Errorf("a rebuilt router learned %q, the first one %q", version(again), version(o.Router))
	}
	for _, l := range later {
		if a, b := o.Router.Decide(l.Facts(o.Now)), again.Decide(l.Facts(o.Now)); a.Department != b.Department || a.Confidence != b.Confidence {
			t.Fatalf("letter %s: %+v and %+v", l.ID, a, b)
		}
	}
}

func text(s string) router.Facts {
	return router.Facts{Arrived: sekretariat.ArrivedLite{Kind: sekretariat.KindMail}, Reading: sekretariat.Reading{Outcome: sekretariat.ReadOK, Subject: "Pismo", Text: s}}
}

const ordinary = "Proszę o wydanie zaświadczenia o pobieraniu zasiłku stałego za zeszły rok, potrzebne do sądu."

// A destroyed letter, one that was taken out, and one whose re-routing was
// undone teach nothing any more.
func TestForgetting(t *testing.T) {
	for name, forget := range map[string]func(*pasttest.Office, sekretariat.LetterID, sekretariat.Decision){
		"destroyed": func(o *pasttest.Office, id sekretariat.LetterID, _ sekretariat.Decision) {
			if err := o.House.Vault.Shred(t.Context(), o.Centre.ID, id.Submission()); err != nil {
				t.Fatal(err)
			}
		},
		"taken out": func(o *pasttest.Office, id sekretariat.LetterID, _ sekretariat.Decision) {
			o.Append(id, sekretariat.EventUnlearned, 0, sekretariat.UnlearnedData{Letter: id, By: "p-1"})
		},
		"undone": func(o *pasttest.Office, id sekretariat.LetterID, d sekretariat.Decision) { o.Send(id, d.Department) },
	} {
		t.Run(name, func(t *testing.T) {
			o := pasttest.Open(t)
			id, d := o.Letter(text(ordinary))
			o.Send(id, "bezdomnosc")
			if n := len(load(t, o, o.NewRouter()).Taught()); n != 1 {
				t.Fatalf("%d examples before", n)
			}
			forget(o, id, d)
			r := o.NewRouter()
			teach := load(t, o, r)
			if err := teach.Recheck(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := len(teach.Taught()); n != 0 || r.Learned() != nil {
				t.Errorf("%d examples after, layer %q", n, version(r))
			}
		})
	}
}

// Letters of closed departments, dangers, and what may be about violence never
// teach; nor does a department that the centre no longer has.
func TestWhatNeverTeaches(t *testing.T) {
	o := pasttest.Open(t, func(c *configs.Centre) {
		for i := range c.Departments {
			c.Departments[i].Closed = c.Departments[i].ID == "asysta-rodzinna"
		}
	})
	closed, _ := o.Letter(text(ordinary + " Do rąk własnych."))
	o.Send(closed, "asysta-rodzinna")
	violence, _ := o.Letter(text("Mąż mnie bije i grozi, boję się o dzieci, proszę o niebieską kartę."))
	o.Send(violence, "bezdomnosc")
	gone, _ := o.Letter(text(ordinary))
	o.Send(gone, "dzial-ktorego-nie-ma")
	missed, _ := o.Letter(text(ordinary)) // nothing of it looks like violence; people know better
	o.Send(missed, o.Centre.Labels["przemoc"].Department)
	r := o.NewRouter()
	if list := load(t, o, r).Taught(); len(list) != 0 || r.Learned() != nil {
		t.Errorf("taught: %d examples, first for %s", len(list), list[0].Department)
	}
}

// A running teacher teaches at once.
func TestTeachingAtOnce(t *testing.T) {
	o := pasttest.Open(t)
	ctx, stop := context.WithCancel(t.Context())
	taught, ended := make(chan struct{}, 10), make(chan error, 1)
	teach := learning.New(learning.Options{
		Centre: o.Centre, Log: o.Log, Vault: o.House.Vault, Router: o.Router, Logger: zerolog.Nop(), Watch: func() { taught <- struct{}{} },
	})
	go func() { ended <- teach.Run(ctx) }()
	id, d := o.Letter(text(ordinary))
	o.Send(id, "bezdomnosc")
	<-taught
	if o.Router.Learned() == nil {
		t.Error("the router was taught and knows nothing")
	}
	o.Send(id, d.Department) // undone
	<-taught
	if o.Router.Learned() != nil {
		t.Error("the re-routing was undone and the router still knows it")
	}
	stop()
	<-ended
}

// Teaching is switched off by the configuration.
func TestLearningOff(t *testing.T) {
	o := pasttest.Open(t, func(c *configs.Centre) { c.Routing.Learning = configs.Off })
	ctx, stop := context.WithCancel(t.Context())
	id, _ := o.Letter(text(ordinary))
	o.Send(id, "bezdomnosc")
	stop()
	if err := teacher(o, o.Router).Run(ctx); !errors.Is(err, context.Canceled) || o.Router.Learned() != nil {
		t.Errorf("switched off: %v, layer %q", err, version(o.Router))
	}
}
