// Package pasttest lays down letters as an office has them after a while: read,
// decided by the router, some decided anew by people. For the tests of what
// looks back: learning and simulating.
package pasttest

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/ingest/ingesttest"
	"sekretariat/ledger"
	"sekretariat/pipeline"
	"sekretariat/router"
	"sekretariat/storage"
)

// Office is a centre with a past.
type Office struct {
	T      testing.TB
	House  *ingesttest.House
	Centre *configs.Centre
	Log    ledger.Log
	Router *router.Router
	Now    time.Time
	n      int
}

// Open opens an office with the ten departments of the demo centre.
func Open(t testing.TB, adjust ...func(*configs.Centre)) *Office {
	t.Helper()
	c, err := configs.ParseCentre(configs.Demo, "demo.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range adjust {
		f(c)
	}
	o := &Office{T: t, House: ingesttest.NewHouse(t), Centre: c, Now: time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)}
	c.ID = o.House.Centre(t)
	if o.Log, err = o.House.Log(c.ID); err != nil {
		t.Fatal(err)
	}
	o.Router = o.NewRouter()
	return o
}

// NewRouter makes another router of the centre, which was taught nothing.
func (o *Office) NewRouter() *router.Router {
	o.T.Helper()
	r, err := router.New(o.Centre)
	if err != nil {
		o.T.Fatal(err)
	}
	return r
}

// Letter lays down a letter that was read and decided by the router.
func (o *Office) Letter(f router.Facts) (sekretariat.LetterID, sekretariat.Decision) {
	o.T.Helper()
	o.n++
	sub := sekretariat.NewSubmissionID(o.Centre.ID, sekretariat.KindMail, "a", fmt.Sprint(o.n))
	id := sekretariat.NewLetterID(sub, 1)
	number := sekretariat.Number{Series: "rpw", Year: 2026, N: o.n}
	f.Arrived.At, f.Arrived.Received = o.Now, o.Now
	raw, err := json.Marshal(f.Reading)
	o.must(err)
	key := storage.DerivedKey(o.Centre.ID, sub, "test-1", "1.reading.json")
	o.must(o.House.Vault.Commit(o.T.Context(), o.Centre.ID, sub, []storage.SealItem{{Key: key, Body: storage.Bytes(raw), Patient: true}}))
	ref := sekretariat.ObjectRef{Key: key, SHA256: sekretariat.DigestOf(raw), Size: int64(len(raw))}
	d := o.Router.Decide(f)
	o.Append(id, sekretariat.EventSorted, 0, sekretariat.SortedData{
		Arrived: sekretariat.ArrivedData{Submission: sub, Kind: f.Arrived.Kind, Received: o.Now}, Letters: []sekretariat.SortedLetter{{Part: 1, Action: sekretariat.ActionRegister}},
	})
	o.Append(id, sekretariat.EventRead, 0, sekretariat.ReadData{Letter: id, Number: number, Reading: ref, Outcome: f.Reading.Outcome, Arrived: f.Arrived})
	o.Append(id, sekretariat.EventRouted, 1, sekretariat.RoutedData{Letter: id, Number: number, Revision: 1, Decision: d, Closed: d.Closed, Received: o.Now})
	return id, d
}

// Send is a person's decision on a letter.
func (o *Office) Send(id sekretariat.LetterID, to sekretariat.DepartmentID) {
	o.T.Helper()
	state, _, err := pipeline.State(o.T.Context(), o.Log, id.Submission())
	o.must(err)
	l := state.Letters[id.Part()]
	d := l.Decision
	d.Department, d.Rule = to, pipeline.RulePerson
	dep, _ := o.Centre.DepartmentByID(to)
	o.Append(id, sekretariat.EventRouted, l.Revision+1, sekretariat.RoutedData{
		Letter: id, Number: l.Number, Revision: l.Revision + 1, Decision: d, From: l.Department, By: "p-1", Closed: l.Closed || dep.Closed, Received: o.Now,
	})
}

// Append adds an event of a letter.
func (o *Office) Append(id sekretariat.LetterID, t sekretariat.EventType, revision int, data any) {
	o.T.Helper()
	e, err := sekretariat.NewEvent(t, o.Centre.ID, "test", string(id), revision, o.Now, data)
	o.must(err)
	_, err = o.Log.Append(context.WithoutCancel(o.T.Context()), ledger.Letter, ledger.Record{Subject: string(id.Submission()), LastSeq: ledger.AnySeq, Event: e})
	o.must(err)
}

func (o *Office) must(err error) {
	o.T.Helper()
	if err != nil {
		o.T.Fatal(err)
	}
}
