package index

import (
	"fmt"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/ledger"
)

const centre sekretariat.CentreID = "zielona-gora"

var began = time.Date(2026, 1, 2, 8, 0, 0, 0, time.UTC)

// story makes the events of a centre's letters, as the workers would write
// them, with the sequences that a ledger would give.
type story struct {
	t      testing.TB
	seq    map[ledger.StreamName]uint64
	events []ledger.Stored
	n      int
	now    time.Time
}

func newStory(t testing.TB) *story {
	return &story{t: t, seq: map[ledger.StreamName]uint64{}, now: began}
}

func (s *story) add(stream ledger.StreamName, typ sekretariat.EventType, subject string, rev int, data any) uint64 {
	s.t.Helper()
	s.now = s.now.Add(time.Second)
	e, err := sekretariat.NewEvent(typ, centre, "test", subject, rev, s.now, data)
	if err != nil {
		s.t.Fatal(err)
	}
	s.seq[stream]++
	s.events = append(s.events, ledger.Stored{Stream: stream, Subject: subject, Seq: s.seq[stream], Time: s.now, Event: e})
	return s.seq[stream]
}

func (s *story) arrive(kind sekretariat.Kind) sekretariat.ArrivedData {
	s.n++
	sub := sekretariat.NewSubmissionID(centre, kind, "poczta", fmt.Sprint(s.n))
	a := sekretariat.ArrivedData{
		Submission: sub, Kind: kind, Door: sekretariat.DoorIMAP, Account: "poczta", Series: "rpw", Size: 1000,
		ManifestKey: "m", Manifest: sekretariat.DigestOf([]byte(sub)),
		Arrived:  sekretariat.Arrival{At: s.now.Add(-time.Hour), Basis: sekretariat.BasisServerArrival},
		Received: s.now,
	}
	s.add(ledger.Intake, sekretariat.EventArrived, string(sub), 0, a)
	return a
}

func (s *story) sort(a sekretariat.ArrivedData, letters ...sekretariat.SortedLetter) uint64 {
	for i := range letters {
		letters[i].Part = i + 1
		if letters[i].Action == "" {
			letters[i].Action = sekretariat.ActionRegister
		}
		letters[i].Series = a.Series
	}
	return s.add(ledger.Letter, sekretariat.EventSorted, string(a.Submission), 0, sekretariat.SortedData{Arrived: a, Letters: letters})
}

func (s *story) register(a sekretariat.ArrivedData, part int, n sekretariat.Number, cause uint64) {
	id := sekretariat.NewLetterID(a.Submission, part)
	e := sekretariat.Entry{Version: 1, Centre: centre, Number: n, Identifier: n.Identifier(), Letter: id, Manifest: a.Manifest,
		Arrived: a.Arrived, Received: a.Received, Registered: s.now}
	s.add(ledger.Register(n.Series), sekretariat.EventRegistered, string(id), 0, sekretariat.RegisteredData{Entry: e, Arrived: a, Cause: cause})
}

func (s *story) read(a sekretariat.ArrivedData, part int) {
	id := sekretariat.NewLetterID(a.Submission, part)
	s.add(ledger.Letter, sekretariat.EventRead, string(a.Submission), part, sekretariat.ReadData{
		Letter: id, Reading: sekretariat.ObjectRef{Key: "k", SHA256: "d"}, Reader: "mail-1", Outcome: sekretariat.ReadOK,
	})
}

func (s *story) route(a sekretariat.ArrivedData, part, rev int, closed bool, d sekretariat.Decision) {
	s.add(ledger.Letter, sekretariat.EventRouted, string(a.Submission), part*100+rev, sekretariat.RoutedData{
		Letter: sekretariat.NewLetterID(a.Submission, part), Revision: rev, Decision: d, Closed: closed,
	})
}

func (s *story) queue(a sekretariat.ArrivedData, part, rev int, dept sekretariat.DepartmentID, isCopy bool) {
	id := sekretariat.NewLetterID(a.Submission, part)
	s.add(ledger.Queue, sekretariat.EventQueued, fmt.Sprintf("%s.normal.%s.%d", dept, id, rev), rev,
		sekretariat.QueuedData{Letter: id, Department: dept, Revision: rev, Copy: isCopy})
}

// whole is one letter all the way into the queue of a department.
func (s *story) whole(n int, dept sekretariat.DepartmentID) sekretariat.ArrivedData {
	a := s.arrive(sekretariat.KindMail)
	cause := s.sort(a, sekretariat.SortedLetter{})
	s.register(a, 1, sekretariat.Number{Series: "rpw", Year: 2026, N: n}, cause)
	s.read(a, 1)
	s.route(a, 1, 1, false, sekretariat.Decision{Department: dept, Urgency: sekretariat.Normal, Rule: "r"})
	s.queue(a, 1, 1, dept, false)
	return a
}

func openAt(t testing.TB, path string) *Index {
	t.Helper()
	x, err := Open(t.Context(), path, centre, zerolog.New(zerolog.NewTestWriter(t)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return x
}

// apply writes events as Project does, in transactions of n.
func apply(t testing.TB, x *Index, events []ledger.Stored, n int) {
	t.Helper()
	w, err := x.newWriter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	for len(events) > 0 {
		k := min(n, len(events))
		if err := w.begin(); err != nil {
			t.Fatal(err)
		}
		for _, s := range events[:k] {
			if err := w.apply(s); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.commit(); err != nil {
			t.Fatal(err)
		}
		events = events[k:]
	}
}

var everything = sekretariat.Principal{ID: "test", Centre: centre, Register: true, Closed: true}
