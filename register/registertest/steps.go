package registertest

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"sekretariat"
	"sekretariat/ledger"
)

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// last returns the last sequence on a submission's subject of LETTER.
func (o *Office) last(s sekretariat.SubmissionID) uint64 {
	o.T.Helper()
	e, err := o.Log.Last(o.T.Context(), ledger.Letter, string(s))
	o.must(err)
	return e.Seq
}

// Tell appends an event on a letter to LETTER.
func (o *Office) Tell(s sekretariat.SubmissionID, typ sekretariat.EventType, rev int, at time.Time, data any) uint64 {
	o.T.Helper()
	return o.Append(ledger.Letter, string(s), o.last(s), typ, string(s), rev, at, data)
}

// Read says that a registered letter was read.
func (o *Office) Read(e sekretariat.Entry, at time.Time) {
	o.T.Helper()
	o.Tell(e.Letter.Submission(), sekretariat.EventRead, e.Letter.Part(), at, sekretariat.ReadData{
		Letter: e.Letter, Number: e.Number, Reader: "mail-1", Outcome: sekretariat.ReadOK,
	})
}

// Route decides on a letter.
func (o *Office) Route(e sekretariat.Entry, rev int, at time.Time, d sekretariat.Decision) {
	o.T.Helper()
	o.Tell(e.Letter.Submission(), sekretariat.EventRouted, 100*e.Letter.Part()+rev, at, sekretariat.RoutedData{
		Letter: e.Letter, Number: e.Number, Revision: rev, Decision: d,
	})
}

// Queue puts a letter into a department's queue.
func (o *Office) Queue(e sekretariat.Entry, rev int, at time.Time, d sekretariat.DepartmentID, isCopy bool) {
	o.T.Helper()
	subject := fmt.Sprintf("%s.normal.%s.%d", d, e.Letter, rev)
	o.Append(ledger.Queue, subject, 0, sekretariat.EventQueued, string(e.Letter), rev, at, sekretariat.QueuedData{
		Letter: e.Letter, Number: e.Number, Department: d, Revision: rev, Copy: isCopy,
	})
}

// Withdraw takes a letter back from a department's queue.
func (o *Office) Withdraw(e sekretariat.Entry, rev int, at time.Time, d sekretariat.DepartmentID) {
	o.T.Helper()
	subject := fmt.Sprintf("%s.urgent.%s.%d", d, e.Letter, rev)
	o.Append(ledger.Queue, subject, 0, sekretariat.EventWithdrawn, string(e.Letter), rev, at, sekretariat.WithdrawnData{
		Letter: e.Letter, Department: d, Revision: rev,
	})
}

// Deliver reads, routes and queues a registered letter.
func (o *Office) Deliver(e sekretariat.Entry, at time.Time, d sekretariat.DepartmentID) {
	o.T.Helper()
	o.Read(e, at)
	o.Route(e, 1, at, sekretariat.Decision{Department: d, Urgency: sekretariat.Normal, Rule: "r"})
	o.Queue(e, 1, at, d, false)
}
