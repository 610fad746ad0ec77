package index

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"pgregory.net/rapid"

	"sekretariat"
	"sekretariat/ledger"
)

// clerk sees the register; dps is a department.
var (
	clerk = sekretariat.Principal{ID: "k", Centre: centre, Register: true}
	dps   = sekretariat.Principal{ID: "d", Centre: centre, Departments: []sekretariat.DepartmentID{"dps"}}
)

// mailed registers a letter with its thread and gives it to a department.
func (s *story) mailed(th sekretariat.Thread, to sekretariat.DepartmentID, closed bool) sekretariat.LetterID {
	a := s.arrive(sekretariat.KindMail)
	n := sekretariat.Number{Series: "rpw", Year: 2026, N: s.n}
	s.register(a, 1, n, s.sort(a, sekretariat.SortedLetter{}))
	id := sekretariat.NewLetterID(a.Submission, 1)
	s.add(ledger.Letter, sekretariat.EventRead, string(a.Submission), 0, sekretariat.ReadData{
		Letter: id, Number: n, Reading: sekretariat.ObjectRef{Key: "k", SHA256: "d"}, Reader: "mail-1", Outcome: sekretariat.ReadOK, Thread: &th,
	})
	s.add(ledger.Letter, sekretariat.EventRouted, string(a.Submission), 1, sekretariat.RoutedData{
		Letter: id, Number: n, Revision: 1, Decision: sekretariat.Decision{Department: to, Rule: "r", Urgency: sekretariat.Normal}, Closed: closed,
	})
	return id
}

// fresh opens an empty index and applies events to it.
func fresh(t testing.TB, path string, events []ledger.Stored) *Index {
	x, err := Open(context.Background(), path, centre, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.Close() })
	fill(t, x, events)
	return x
}

// fill empties an index and applies events to it.
func fill(t testing.TB, x *Index, events []ledger.Stored) {
	err := x.create(context.Background())
	var w *writer
	if err == nil {
		w, err = x.newWriter(context.Background())
	}
	if err == nil {
		err = w.begin()
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if err := w.apply(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.commit(); err != nil {
		t.Fatal(err)
	}
	w.close()
}

func matter(t testing.TB, x *Index, who sekretariat.Principal, id sekretariat.LetterID) []sekretariat.LetterID {
	t.Helper()
	rows, err := x.Matter(context.Background(), who, id)
	if err != nil {
		t.Fatal(err)
	}
	var out []sekretariat.LetterID
	for _, r := range rows {
		out = append(out, r.Letter)
	}
	return out
}

func TestSenderAndReferenceJoinLetters(t *testing.T) {
	s := newStory(t)
	first := s.mailed(sekretariat.Thread{Sender: "jan", Message: "m1"}, "dps", false)
	answer := s.mailed(sekretariat.Thread{Sender: "jan", Message: "m2", References: []sekretariat.Digest{"m1"}}, "dps", false)
	toOurs := s.mailed(sekretariat.Thread{Sender: "jan", Message: "m3", Own: []sekretariat.LetterID{first}}, "dps", false)
	stranger := s.mailed(sekretariat.Thread{Sender: "ola", Message: "m4", References: []sekretariat.Digest{"m1"}, Own: []sekretariat.LetterID{first}}, "dps", false)
	sameSender := s.mailed(sekretariat.Thread{Sender: "jan", Message: "m5", References: []sekretariat.Digest{"m99"}}, "dps", false)
	sameID := s.mailed(sekretariat.Thread{Sender: "ewa", Message: "m1"}, "dps", false)
	nameless := s.mailed(sekretariat.Thread{Message: "m6", References: []sekretariat.Digest{"m1"}}, "dps", false)
	x := fresh(t, filepath.Join(t.TempDir(), "x"), s.events)
	if got := matter(t, x, clerk, first); !slices.Equal(got, []sekretariat.LetterID{answer, toOurs}) {
		t.Errorf("matter of the first letter is %v, want the answer and the answer to our notice", got)
	}
	if got := matter(t, x, clerk, toOurs); !slices.Equal(got, []sekretariat.LetterID{first, answer}) {
		t.Errorf("from the other end it is %v", got)
	}
	for name, id := range map[string]sekretariat.LetterID{
		"a stranger who refers to it": stranger, "the same sender who refers to something else": sameSender, "the same id, another sender": sameID, "a mail without a sender": nameless,
	} {
		if got := matter(t, x, clerk, id); len(got) != 0 {
			t.Errorf("%s is joined with %v", name, got)
		}
	}
}

// A letter that others must not see is not betrayed by the matter it belongs to.
func TestMatterShowsOnlyWhatMayBeSeen(t *testing.T) {
	s := newStory(t)
	open := s.mailed(sekretariat.Thread{Sender: "jan", Message: "m1"}, "dps", false)
	closed := s.mailed(sekretariat.Thread{Sender: "jan", Message: "m2", References: []sekretariat.Digest{"m1"}}, "przemoc", true)
	x := fresh(t, filepath.Join(t.TempDir(), "x"), s.events)
	for _, who := range []sekretariat.Principal{clerk, dps} {
		if got := matter(t, x, who, open); len(got) != 0 {
			t.Errorf("%s sees %v, the closed letter %s is there", who.ID, got, closed)
		}
		if _, err := x.Matter(t.Context(), who, closed); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s asks for the matter of a closed letter: %v", who.ID, err)
		}
		if _, err := x.Receipts(t.Context(), who, closed); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s asks for the receipts of a closed letter: %v", who.ID, err)
		}
	}
}

// Which letters are joined does not depend on which was seen first.
func TestThreadsAreJoinedInAnyOrder(t *testing.T) {
	straight, other := fresh(t, filepath.Join(t.TempDir(), "a"), nil), fresh(t, filepath.Join(t.TempDir(), "b"), nil)
	rapid.Check(t, func(rt *rapid.T) {
		s := newStory(t)
		var ids []sekretariat.LetterID
		count := rapid.IntRange(2, 6).Draw(rt, "letters")
		for i := range count {
			th := sekretariat.Thread{
				Sender:  sekretariat.Digest(rapid.SampledFrom([]string{"jan", "ola"}).Draw(rt, "sender")),
				Message: sekretariat.Digest(fmt.Sprint("m", rapid.IntRange(0, count).Draw(rt, "id"))),
			}
			for range rapid.IntRange(0, 2).Draw(rt, "refs") {
				th.References = append(th.References, sekretariat.Digest(fmt.Sprint("m", rapid.IntRange(0, count).Draw(rt, "ref"))))
			}
			if i > 0 && rapid.Bool().Draw(rt, "own") {
				th.Own = []sekretariat.LetterID{ids[rapid.IntRange(0, i-1).Draw(rt, "of")]}
			}
			ids = append(ids, s.mailed(th, "dps", false))
		}
		fill(t, straight, s.events)
		// Letters in another order; the events of one letter keep theirs.
		order := rapid.Permutation(ids).Draw(rt, "order")
		var events []ledger.Stored
		for _, id := range order {
			for _, e := range s.events {
				if sub, _, _ := of(e.Event); e.Event.Subject == string(id.Submission()) || sub == id.Submission() {
					events = append(events, e)
				}
			}
		}
		fill(t, other, events)
		for _, id := range ids {
			a, b := matter(t, straight, clerk, id), matter(t, other, clerk, id)
			slices.Sort(a)
			slices.Sort(b)
			if !slices.Equal(a, b) {
				rt.Fatalf("matter of %s is %v or %v", id, a, b)
			}
			for _, o := range a {
				if back := matter(t, straight, clerk, o); !slices.Contains(back, id) {
					rt.Fatalf("%s has %s in its matter, which has %v", id, o, back)
				}
			}
		}
	})
}

func TestReceiptsOfTwins(t *testing.T) {
	s := newStory(t)
	a, b := s.arriveAt("poczta", "c1"), s.arriveAt("mzon", "c1")
	first := sekretariat.NewLetterID(a.Submission, 1)
	s.sort(a, sekretariat.SortedLetter{})
	s.sort(b, sekretariat.SortedLetter{Action: sekretariat.ActionPark, Reason: sekretariat.ParkDuplicate, Of: first})
	s.add(ledger.Letter, sekretariat.EventRouted, string(a.Submission), 1, sekretariat.RoutedData{
		Letter: first, Number: sekretariat.Number{Series: "rpw", Year: 2026, N: 1}, Revision: 1, Decision: sekretariat.Decision{Department: "dps", Rule: "r"},
	})
	s.add(ledger.Audit, sekretariat.EventSeen, "x", 0, sekretariat.SeenData{Submission: a.Submission})
	x := fresh(t, filepath.Join(t.TempDir(), "x"), s.events)
	for _, who := range []sekretariat.Principal{clerk, dps} {
		got, err := x.Receipts(t.Context(), who, first)
		if err != nil || len(got) != 2 || got[0].Account != "poczta" || got[0].Repeats != 1 || got[1].Account != "mzon" || !got[1].Parked {
			t.Errorf("%s sees receipts %+v, %v; want one of poczta, seen again once, and the parked one of mzon", who.ID, got, err)
		}
	}
	if got, err := x.Receipts(t.Context(), clerk, sekretariat.NewLetterID(b.Submission, 1)); err != nil || len(got) != 2 || got[0].Account != "mzon" {
		t.Errorf("from the twin: %+v, %v", got, err)
	}
}

func (s *story) arriveAt(account, content string) sekretariat.ArrivedData {
	s.n++
	sub := sekretariat.NewSubmissionID(centre, sekretariat.KindMail, account, fmt.Sprint(s.n))
	a := sekretariat.ArrivedData{Submission: sub, Kind: sekretariat.KindMail, Door: sekretariat.DoorIMAP, Account: account, Series: "rpw",
		Manifest: sekretariat.DigestOf([]byte(sub)), Content: sekretariat.Digest(content), Received: s.now,
		Arrived: sekretariat.Arrival{At: s.now, Basis: sekretariat.BasisServerArrival}}
	s.add(ledger.Intake, sekretariat.EventArrived, string(sub), 0, a)
	return a
}

func TestBadContactsFade(t *testing.T) {
	s := newStory(t)
	id := s.mailed(sekretariat.Thread{Sender: "jan", Message: "m1"}, "dps", false)
	s.add(ledger.Letter, sekretariat.EventAckFailed, string(id.Submission()), 1,
		sekretariat.AckAttemptData{Letter: id, Attempt: 1, Code: "smtp-550", Contact: "jan", Bad: true})
	s.add(ledger.Letter, sekretariat.EventAckFailed, string(id.Submission()), 2,
		sekretariat.AckAttemptData{Letter: id, Attempt: 2, Code: "smtp-554", Contact: "ola"})
	x := fresh(t, filepath.Join(t.TempDir(), "x"), s.events)
	for _, c := range []struct {
		contact sekretariat.Digest
		after   time.Duration
		bad     bool
	}{{"jan", time.Hour, true}, {"ola", time.Hour, false}, {"", time.Hour, false}, {"jan", 200 * 24 * time.Hour, false}} {
		if _, bad, err := x.BadContact(t.Context(), c.contact, s.now.Add(c.after)); err != nil || bad != c.bad {
			t.Errorf("contact %q after %s: bad %v, %v; want %v", c.contact, c.after, bad, err, c.bad)
		}
	}
	if bad, err := x.SenderBad(t.Context(), dps, id, s.now); err != nil || !bad {
		t.Errorf("the letter's sender is bad: %v, %v", bad, err)
	}
}

func TestWhatIsDue(t *testing.T) {
	s := newStory(t)
	hour := s.now.Add(24 * time.Hour)
	held := s.arrive(sekretariat.KindMail)
	s.sort(held, sekretariat.SortedLetter{Action: sekretariat.ActionPark, Reason: sekretariat.ParkHold, Until: &hour})
	planned := s.mailed(sekretariat.Thread{Sender: "jan"}, "dps", false)
	s.add(ledger.Letter, sekretariat.EventAckPlanned, string(planned.Submission()), 0, sekretariat.AckPlannedData{Letter: planned, Due: hour})
	x := fresh(t, filepath.Join(t.TempDir(), "x"), s.events)
	for _, c := range []struct {
		at   time.Time
		want int
	}{{hour.Add(-time.Second), 0}, {hour, 1}} {
		h, err := x.HeldDue(t.Context(), c.at)
		a, err2 := x.AckDue(t.Context(), c.at)
		if err != nil || err2 != nil || len(h) != c.want || len(a) != c.want {
			t.Errorf("at %s: held %v, acknowledgements %v (%v, %v); want %d of each", c.at, h, a, err, err2, c.want)
		}
	}
	rows, _, err := x.Outbox(t.Context(), clerk, nil, Page{})
	if err != nil || len(rows) != 1 || rows[0].Letter != planned || rows[0].Ack.State != sekretariat.AckPlanned {
		t.Errorf("outbox %+v, %v", rows, err)
	}
	if rows, _, err := x.Outbox(t.Context(), sekretariat.Principal{Centre: centre, Departments: []sekretariat.DepartmentID{"inny"}}, nil, Page{}); err != nil || len(rows) != 0 {
		t.Errorf("a foreign department sees the outbox: %v, %v", rows, err)
	}
}
