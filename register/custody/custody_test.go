package custody_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/ingest"
	"sekretariat/ingest/ingesttest"
	"sekretariat/ledger"
	"sekretariat/register/custody"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// office is a centre with two boxes, and a clock that the test turns.
type office struct {
	*testing.T
	house  *ingesttest.House
	centre sekretariat.CentreID
	book   *custody.Book
	intake *ingest.Intake
	now    time.Time
}

func open(t *testing.T) *office {
	h := ingesttest.NewHouse(t)
	o := &office{T: t, house: h, centre: h.Centre(t), now: sekretariat.SystemClock()}
	log, err := h.Log(o.centre)
	must(t, err)
	o.intake = h.Receiver(t, ingest.Limits{})
	o.book = &custody.Book{
		Centre: &configs.Centre{ID: o.centre, Boxes: []configs.Box{
			{Account: configs.Account{ID: "wejscie"}}, {Account: configs.Account{ID: "filia"}, TwoPersons: true},
		}},
		Log: log, Vault: h.Vault, Clock: func() time.Time { return o.now },
	}
	return o
}

// scan brings one file of a box, as the doors do.
func (o *office) scan(box, text string) { o.scanOf(box, text, "") }

// scanOf is scan for a letter out of a pile.
func (o *office) scanOf(box, text string, pile sekretariat.SubmissionID) sekretariat.SubmissionID {
	o.Helper()
	d := sekretariat.Delivery{
		Centre: o.centre, Kind: sekretariat.KindBox, Door: sekretariat.DoorSFTP, Account: box, Box: box,
		Identity: func(f sekretariat.BodyFacts) []string { return []string{box, string(f.SHA256)} },
		Arrived:  sekretariat.Arrival{At: o.now, Basis: sekretariat.BasisScanned}, Pile: pile,
	}
	e, ok, err := o.book.Current(context.Background(), box, o.now)
	must(o, err)
	if ok {
		d.Arrived, d.Emptying = sekretariat.Arrival{At: e.At, Basis: sekretariat.BasisEmptied}, e.Emptying
	}
	ticket, err := o.intake.Take(context.Background(), d, bytes.NewReader([]byte(text)))
	must(o, err)
	r, err := ticket.Wait(context.Background())
	must(o, err)
	return r.Submission
}

func (o *office) empty(box string, at time.Time, envelopes int, who custody.Persons) (custody.Emptying, error) {
	return o.book.Record(context.Background(), box, at, envelopes, who, "p1")
}

var anna = custody.Persons{First: "Anna Wójcik"}

func TestChain(t *testing.T) {
	o := open(t)
	ctx := context.Background()
	friday := o.now.Add(-72 * time.Hour)
	first, err := o.empty("wejscie", friday, 2, anna)
	must(t, err)
	o.scan("wejscie", "one")
	o.scan("wejscie", "two")
	o.scan("filia", "of another box, never emptied")
	o.now = o.now.Add(time.Minute)
	second, err := o.empty("wejscie", o.now, 3, custody.Persons{First: "Anna Wójcik", Second: "Jan Lis"})
	must(t, err)
	o.now = o.now.Add(time.Minute)
	o.scan("wejscie", "three")
	if first.Emptying != "wejscie-1" || second.Emptying != "wejscie-2" || second.Previous != first.Emptying {
		t.Errorf("first %+v, second %+v", first, second)
	}
	lines, err := o.book.Report(ctx, "wejscie", friday)
	must(t, err)
	if len(lines) != 2 || lines[0].Letters != 2 || lines[0].Question() != "" || lines[1].Letters != 1 || lines[1].Missing() != 2 || lines[1].Question() == "" {
		t.Fatalf("report %+v", lines)
	}
	for _, s := range o.house.Submissions(t, o.centre) {
		if m := s.Manifest; m.Box == "wejscie" && m.Emptying == first.Emptying && (m.Arrived.Basis != sekretariat.BasisEmptied || !m.Arrived.At.Equal(first.At)) {
			t.Errorf("arrived %+v, want the day of emptying", m.Arrived)
		}
	}
	must(t, o.book.Count(ctx, "wejscie", second.Emptying, 1, "dwie koperty były puste", "p2"))
	if lines, err = o.book.Report(ctx, "wejscie", o.now.Add(-time.Hour)); err != nil || len(lines) != 1 || lines[0].Question() != "" || lines[0].Envelopes != 3 {
		t.Errorf("after counting again: %+v, %v", lines, err)
	}
	names, err := o.book.Names(ctx, second)
	if err != nil || names.Second != "Jan Lis" {
		t.Errorf("names %+v, %v", names, err)
	}
}

// Whoever writes an emptying down late finds its scans all the same.
func TestLate(t *testing.T) {
	o := open(t)
	began := o.now
	o.now = o.now.Add(time.Minute)
	o.scan("wejscie", "one")
	o.now = o.now.Add(time.Hour)
	_, err := o.empty("wejscie", began, 1, anna)
	must(t, err)
	lines, err := o.book.Report(context.Background(), "wejscie", began)
	if err != nil || len(lines) != 1 || lines[0].Letters != 1 {
		t.Errorf("report %+v, %v", lines, err)
	}
}

func TestRefusals(t *testing.T) {
	o := open(t)
	_, err := o.empty("wejscie", o.now, 1, anna)
	must(t, err)
	for what, try := range map[string]func() error{
		"future":       func() error { _, err := o.empty("filia", o.now.Add(time.Second), 1, anna); return err },
		"before last":  func() error { _, err := o.empty("wejscie", o.now.Add(-time.Hour), 1, anna); return err },
		"no name":      func() error { _, err := o.empty("wejscie", o.now, 1, custody.Persons{}); return err },
		"one of two":   func() error { _, err := o.empty("filia", o.now, 1, anna); return err },
		"no such box":  func() error { _, err := o.empty("strych", o.now, 1, anna); return err },
		"many":         func() error { _, err := o.empty("filia", o.now, 1e6, anna); return err },
		"count nobody": func() error { return o.book.Count(context.Background(), "wejscie", "wejscie-9", 1, "x", "p") },
		"no reason":    func() error { return o.book.Count(context.Background(), "wejscie", "wejscie-1", 1, " ", "p") },
	} {
		if err := try(); !errors.Is(err, custody.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Two clerks who record at once make two emptyings in a row, or are told.
func TestTogether(t *testing.T) {
	o := open(t)
	errs := make(chan error, 4)
	for i := range 4 {
		go func() {
			_, err := o.empty("wejscie", o.now.Add(-time.Duration(i)*time.Second), i, anna)
			errs <- err
		}()
	}
	good := 0
	for range 4 {
		if err := <-errs; err == nil {
			good++
		} else if !errors.Is(err, custody.ErrInvalid) {
			t.Error(err)
		}
	}
	all, err := o.book.Of(context.Background(), "wejscie")
	if err != nil || len(all) != good || good < 1 {
		t.Errorf("%d recorded, %d told so, %v", len(all), good, err)
	}
	for i, e := range all {
		if e.Emptying != fmt.Sprintf("wejscie-%d", i+1) {
			t.Errorf("emptying %d is %s", i+1, e.Emptying)
		}
	}
}

// What was scanned after last week's emptying and before today's was written
// down belongs to today's; its day of receipt is asked about.
func TestLateAfterAnother(t *testing.T) {
	o := open(t)
	_, err := o.empty("wejscie", o.now.Add(-24*time.Hour), 0, anna)
	must(t, err)
	today := o.now.Add(-time.Minute)
	o.scan("wejscie", "one")
	o.now = o.now.Add(time.Hour)
	_, err = o.empty("wejscie", today, 1, anna)
	must(t, err)
	lines, err := o.book.Report(context.Background(), "wejscie", today.Add(-48*time.Hour))
	if err != nil || len(lines) != 2 || lines[0].Letters != 0 || lines[1].Letters != 1 || lines[0].Question() != "" {
		t.Errorf("report %+v, %v", lines, err)
	}
	// An emptying of long ago says nothing of today's scans.
	if _, ok, err := o.book.Current(context.Background(), "wejscie", o.now.Add(custody.Fresh+time.Hour)); ok || err != nil {
		t.Errorf("an emptying of long ago is current: %t, %v", ok, err)
	}
}

// The event of an emptying does not tell who it was to somebody who tries names.
func TestNamesCannotBeTried(t *testing.T) {
	o := open(t)
	a, err := o.empty("wejscie", o.now.Add(-time.Hour), 1, anna)
	must(t, err)
	b, err := o.empty("wejscie", o.now, 1, anna)
	must(t, err)
	if a.Persons.SHA256 == b.Persons.SHA256 {
		t.Error("the same name has the same digest")
	}
}

// A pile is one file; its letters are counted, not the pile.
func TestPile(t *testing.T) {
	o := open(t)
	began := o.now
	_, err := o.empty("wejscie", began, 2, anna)
	must(t, err)
	pile := o.scanOf("wejscie", "pile", "")
	e, err := sekretariat.NewEvent(sekretariat.EventSorted, o.centre, "test", string(pile), 0, o.now, sekretariat.SortedData{
		Arrived: sekretariat.ArrivedData{Submission: pile}, Letters: []sekretariat.SortedLetter{{Part: 1, Action: sekretariat.ActionPark, Reason: sekretariat.ParkBatch}},
	})
	must(t, err)
	_, err = o.book.Log.Append(context.Background(), ledger.Letter, ledger.Record{Subject: string(pile), Event: e})
	must(t, err)
	o.scanOf("wejscie", "first of it", pile)
	o.scanOf("wejscie", "second of it", pile)
	lines, err := o.book.Report(context.Background(), "wejscie", began)
	if err != nil || len(lines) != 1 || lines[0].Letters != 2 || len(lines[0].Batches) != 1 || lines[0].Question() != "" {
		t.Errorf("report %+v, %v", lines, err)
	}
}
