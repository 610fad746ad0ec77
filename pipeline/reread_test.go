package pipeline_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/ledger"
	"sekretariat/pipeline"
)

// withEPUAP gives the office a skrytka.
func withEPUAP(c *configs.Centre) {
	c.EPUAP = []configs.EPUAP{{Account: configs.Account{ID: "esp"}}}
}

// later makes an office whose letters refer to files that come only when they
// are let.
func later(t *testing.T, files map[string]string) (*office, *platform) {
	o := open(t, nil, withEPUAP)
	remote := &platform{files: files, asked: map[string]int{}, wait: make(chan struct{})}
	o.connect(remote)
	o.run()
	return o, remote
}

// A file that comes later is read, and what it says counts: a letter that
// nobody has decided about goes on, urgency rises, and the words are found.
func TestFilesThatComeLaterAreRead(t *testing.T) {
	o, remote := later(t, map[string]string{"1": "szukam noclegu", "2": "mąż bije dzieci", "3": "bez znaczenia"})
	first := o.letterWith("esp", "pismo", [2]string{"1", ""}, [2]string{"3", ""})
	l := o.await(first, "a decision", routed)
	if l.Department != sekretariat.Sekretariat {
		t.Fatalf("decided %+v", l.Decision)
	}
	danger := o.letterWith("esp", "nocleg", [2]string{"2", ""})
	o.await(danger, "a decision", routed)
	close(remote.wait)
	l = o.await(first, "the second decision", func(l *sekretariat.Letter) bool {
		return l.RereadFiles == 2 && l.Department == "bezdomnosc" && l.Advised == l.Rereads
	})
	reading, err := pipeline.LoadReading(t.Context(), o.house.Vault, o.cfg.ID, first.Submission(), l.Reading)
	if err != nil || len(reading.Parts) != 2 || reading.Parts[0].Text != "szukam noclegu\n" || reading.Parts[0].Fate != pipeline.FateRemote || reading.Parts[1].Text != "bez znaczenia\n" {
		t.Errorf("the reading is %+v, %v", reading, err)
	}
	l = o.await(danger, "the danger", func(l *sekretariat.Letter) bool { return l.Revision == 2 })
	if l.Decision.Urgency != sekretariat.Danger || l.Department != "bezdomnosc" {
		t.Errorf("decided %+v", l.Decision)
	}
	await := func(want string) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); !slices.Contains(o.queueOf("bezdomnosc"), want); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("the queue has %v, not %s", o.queueOf("bezdomnosc"), want)
			}
		}
	}
	await("queued.v1 " + string(danger) + " 2")
	await(fmt.Sprintf("queued.v1 %s %d", first, o.await(first, "", routed).Revision))
	// Everything again, as after a crash: nothing changes.
	before := o.events(first)
	err = o.log.Replay(t.Context(), ledger.Letter, 1, func(s ledger.Stored) error {
		if err := pipeline.Handle(o.pipe, t.Context(), s); err != nil {
			return err
		}
		return pipeline.HandleReread(o.pipe, t.Context(), s)
	})
	if err != nil {
		t.Fatal(err)
	}
	if after := o.events(first); after != before {
		t.Errorf("%d events became %d", before, after)
	}
	o.verified()
}

// What a person has decided stays; urgency may rise, the rest is a hint.
func TestFilesThatComeLaterMoveNothingOfAPerson(t *testing.T) {
	o, remote := later(t, map[string]string{"1": "szukam noclegu", "2": "mąż bije dzieci"})
	hinted, raised := o.letterWith("esp", "pismo", [2]string{"1", ""}), o.letterWith("esp", "pismo drugie", [2]string{"2", ""})
	var queue []string
	for _, id := range []sekretariat.LetterID{hinted, raised} {
		o.await(id, "a decision", routed)
		if err := o.pipe.Reroute(t.Context(), o.clerk(), id, 1, "zamkniety", "bo tak"); err != nil {
			t.Fatal(err)
		}
		queue = append(queue, "queued.v1 "+string(id)+" 2")
		o.awaitQueue("zamkniety", queue...)
	}
	close(remote.wait)
	l := o.await(hinted, "a hint", func(l *sekretariat.Letter) bool { return l.Advised == 1 })
	if l.Department != "zamkniety" || l.Hint != "bezdomnosc" || l.Revision != 2 {
		t.Errorf("with %s by revision %d, hint %q", l.Department, l.Revision, l.Hint)
	}
	l = o.await(raised, "its urgency", func(l *sekretariat.Letter) bool { return l.Revision == 3 })
	if l.Department != "zamkniety" || l.Decision.Urgency != sekretariat.Danger || l.Decision.Rule != pipeline.RulePerson || l.Decision.Suggestions[0].Department != "przemoc" {
		t.Errorf("with %s: %+v", l.Department, l.Decision)
	}
	o.awaitQueue("zamkniety", append(queue, "queued.v1 "+string(raised)+" 3")...)
	o.verified()
}

// An account whose repository is configured later gets what its letters have
// referred to until then.
func TestRepositoryConfiguredLater(t *testing.T) {
	o := open(t, nil)
	stop := o.run()
	id := o.letterWith("esp", "pismo", [2]string{"1", ""})
	o.await(id, "a decision", routed)
	stop()
	o.connect(&platform{account: "inna", files: map[string]string{}, asked: map[string]int{}})
	stop = o.run()
	other := o.letterWith("inna", "pismo", [2]string{"2", ""})
	o.await(other, "its attachment", func(l *sekretariat.Letter) bool { return len(l.Fetched) == 1 })
	stop()
	o.connect(&platform{files: map[string]string{"1": "plik 1"}, asked: map[string]int{}})
	o.run()
	l := o.await(id, "its attachment", func(l *sekretariat.Letter) bool { return len(l.Fetched) == 1 })
	if o.content(l, "1") != "plik 1" {
		t.Error("another file")
	}
}

// events counts what is written of a submission.
func (o *office) events(id sekretariat.LetterID) int {
	o.t.Helper()
	events, err := o.log.Subject(o.t.Context(), ledger.Letter, string(id.Submission()))
	if err != nil {
		o.t.Fatal(err)
	}
	return len(events)
}

// Words that must not be opened, found in a scan, hide a letter wherever it lies
// (rule P13): untouched it goes to the closed queue, else it stays with those who
// have it and with nobody else.
func TestClosedByAFurtherReading(t *testing.T) {
	said := sekretariat.Decision{Department: "zamkniety", Closed: true, Silent: true, Rule: "closed"}
	for name, c := range map[string]struct {
		letter sekretariat.Letter
		to     sekretariat.DepartmentID
	}{
		"with the sekretariat": {sekretariat.Letter{Department: sekretariat.Sekretariat, Status: sekretariat.StatusRouted, Decision: sekretariat.Decision{Department: sekretariat.Sekretariat, Rule: "fallback"}}, "zamkniety"},
		"behind a sheet":       {sekretariat.Letter{Department: "bezdomnosc", Status: sekretariat.StatusRouted, Decision: sekretariat.Decision{Department: "bezdomnosc", Rule: "karta"}}, "zamkniety"},
		"sent by a person":     {sekretariat.Letter{Department: "bezdomnosc", Status: sekretariat.StatusRouted, Decision: sekretariat.Decision{Department: "bezdomnosc", Rule: pipeline.RulePerson, Copies: []sekretariat.DepartmentID{"przemoc"}}}, "bezdomnosc"},
		"taken":                {sekretariat.Letter{Department: "bezdomnosc", Status: sekretariat.StatusTaken, Decision: sekretariat.Decision{Department: "bezdomnosc", Rule: "nocleg"}}, "bezdomnosc"},
	} {
		c.letter.Routed = time.Now()
		d, changed := pipeline.Again(&c.letter, said)
		if !changed || !d.Closed || !d.Silent || d.Department != c.to || len(d.Copies) > 0 {
			t.Errorf("%s: changed %t, %+v", name, changed, d)
		}
	}
}
