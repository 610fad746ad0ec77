package pipeline_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/ledger"
	"sekretariat/pipeline"
	"sekretariat/register"
)

// handed makes an office with one item that a rule of the centre parks.
func handed(t *testing.T, to sekretariat.DepartmentID) (*office, *sekretariat.Letter) {
	o := open(t, nil, func(c *configs.Centre) {
		c.Parking.Rules = []configs.NotRegistered{{ID: "biuletyn", Category: "informacyjne", From: []string{"@gazeta.example"}, Department: to}}
	})
	o.run()
	l := o.settled(o.take("a", "From: a@gazeta.example\r\nSubject: Biuletyn\r\n\r\nszukam noclegu"))
	if l.Status != sekretariat.StatusParked {
		t.Fatalf("the item is %s", l.Status)
	}
	return o, l
}

// verified runs verify until nothing is on its way, and returns the report.
func (o *office) verified() *register.Report {
	o.t.Helper()
	r, err := register.Verify(o.t.Context(), register.VerifyOptions{Centre: o.cfg.ID, Series: []sekretariat.SeriesID{"rpw"}, Log: o.log, Vault: o.house.Vault})
	if err != nil {
		o.t.Fatal(err)
	}
	for _, f := range r.Faults {
		o.t.Errorf("verify: %s %s: %s", f.Code, f.ID, f.What)
	}
	return r
}

// A person gives an item to a department without a number; it reaches the queue
// once, moves, is taken back, and becomes a letter under a higher revision
// (rules P4 and P9).
func TestHandedWithoutANumber(t *testing.T) {
	o, l := handed(t, "")
	id, clerk := l.ID, o.clerk()
	park := func(reason sekretariat.ParkReason, to sekretariat.DepartmentID) {
		t.Helper()
		for range 2 { // a command sent twice is one
			if err := o.pipe.Park(t.Context(), clerk, id, reason, to); err != nil {
				t.Fatal(err)
			}
		}
	}
	park(sekretariat.ParkWorking, "bezdomnosc")
	o.awaitQueue("bezdomnosc", "handed.v1 "+string(id)+" 1")
	if _, err := o.pipe.Open(t.Context(), o.who("bezdomnosc"), id); err != nil {
		t.Errorf("the department cannot open what it was given: %v", err)
	}
	if r := o.verified(); r.Handed != 1 || r.Parked != 1 || r.Waiting.Queue != 0 {
		t.Errorf("verify counts %d handed of %d parked, %d on their way", r.Handed, r.Parked, r.Waiting.Queue)
	}
	park(sekretariat.ParkInternal, "bezdomnosc")
	o.awaitQueue("bezdomnosc", "handed.v1 "+string(id)+" 1", "handed.v1 "+string(id)+" 2")
	park(sekretariat.ParkInternal, "przemoc")
	o.awaitQueue("bezdomnosc", "handed.v1 "+string(id)+" 1", "handed.v1 "+string(id)+" 2", "withdrawn.v1 "+string(id)+" 3")
	o.awaitQueue("przemoc", "handed.v1 "+string(id)+" 3")
	if _, err := o.pipe.Letter(t.Context(), o.who("bezdomnosc"), id); err == nil {
		t.Error("the former department still sees it")
	}
	for _, do := range []func(context.Context, sekretariat.Principal, sekretariat.LetterID, int) error{o.pipe.Take, o.pipe.Done} {
		if err := do(t.Context(), o.who("przemoc"), id, 3); err == nil {
			t.Error("what has no number was taken or done like a letter")
		}
	}
	if err := o.pipe.Release(t.Context(), clerk, id); err != nil {
		t.Fatal(err)
	}
	got := o.await(id, "a decision", (*sekretariat.Letter).Decided)
	if got.Department != "bezdomnosc" || got.Revision != 5 || got.Number.N != 1 {
		t.Errorf("released, it went to %s by revision %d with number %d", got.Department, got.Revision, got.Number.N)
	}
	o.awaitQueue("przemoc", "handed.v1 "+string(id)+" 3", "withdrawn.v1 "+string(id)+" 4")
	o.awaitQueue("bezdomnosc", "handed.v1 "+string(id)+" 1", "handed.v1 "+string(id)+" 2", "withdrawn.v1 "+string(id)+" 3", "queued.v1 "+string(id)+" 5")
	if r := o.verified(); r.Handed != 0 || r.Registered != 1 || r.Queues["bezdomnosc"] != 1 {
		t.Errorf("verify counts %d handed, %d registered, queues %v", r.Handed, r.Registered, r.Queues)
	}
}

// Sorting itself hands over where a rule says so; a second run of every step,
// as after a crash, adds nothing.
func TestHandedBySorting(t *testing.T) {
	o, l := handed(t, "bezdomnosc")
	o.awaitQueue("bezdomnosc", "handed.v1 "+string(l.ID)+" 1")
	if err := o.pipe.Park(t.Context(), o.clerk(), l.ID, sekretariat.ParkInformational, ""); err != nil {
		t.Fatal(err)
	}
	want := []string{"handed.v1 " + string(l.ID) + " 1", "withdrawn.v1 " + string(l.ID) + " 2"}
	o.awaitQueue("bezdomnosc", want...)
	err := o.log.Replay(t.Context(), ledger.Letter, 1, func(s ledger.Stored) error { return pipeline.Handle(o.pipe, t.Context(), s) })
	if err != nil {
		t.Fatal(err)
	}
	o.awaitQueue("bezdomnosc", want...)
	o.verified()
	err = o.log.Replay(t.Context(), ledger.Queue, 1, func(s ledger.Stored) error {
		if s.Event.Type != sekretariat.EventHanded {
			return nil
		}
		d, err := sekretariat.DataOf[sekretariat.HandedData](s.Event)
		if d.Letter != l.ID || d.Reason != sekretariat.ParkInformational || d.Received.IsZero() || d.Content == "" || strings.Contains(string(s.Event.Data), "number") {
			return fmt.Errorf("the department reads %s", s.Event.Data)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
