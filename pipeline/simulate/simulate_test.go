package simulate_test

import (
	"bytes"
	"strings"
	"testing"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/ledger"
	"sekretariat/pipeline/pasttest"
	"sekretariat/pipeline/simulate"
	"sekretariat/router"
)

const (
	shelter = "Szukam noclegu, jestem bezdomny i proszę o miejsce w schronisku dla bezdomnych."
	pension = "Proszę o przyznanie zasiłku stałego, mam orzeczenie o niepełnosprawności i żadnego dochodu."
)

func text(s string) router.Facts {
	return router.Facts{Arrived: sekretariat.ArrivedLite{Kind: sekretariat.KindMail}, Reading: sekretariat.Reading{Outcome: sekretariat.ReadOK, Subject: "Sprawa", Text: s}}
}

func automatic(c *configs.Centre) {
	c.Routing.Mode, c.Routing.Threshold = string(sekretariat.ModeAuto), 0.3
}

func run(t *testing.T, o *pasttest.Office, change func(*configs.Centre)) simulate.Report {
	t.Helper()
	c := *o.Centre
	c.Labels = map[string]configs.To{}
	for l, to := range o.Centre.Labels {
		c.Labels[l] = to
	}
	change(&c)
	r, err := router.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := simulate.Run(t.Context(), simulate.Options{
		Centre: o.Centre.ID, Log: o.Log, Vault: o.House.Vault, Router: r, Who: sekretariat.Principal{ID: "x", Centre: o.Centre.ID, Register: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

func TestSimulate(t *testing.T) {
	o := pasttest.Open(t, automatic)
	first, d := o.Letter(text(shelter))
	if d.Department != "bezdomnosc" {
		t.Fatalf("the shelter letter goes to %s", d.Department)
	}
	o.Letter(text(shelter + " Pilnie."))
	agreed, _ := o.Letter(text(pension))
	o.Send(agreed, "zasilki-stale")
	hidden, _ := o.Letter(text(shelter + " Do rąk własnych."))
	o.Append(hidden, sekretariat.EventRouted, 2, sekretariat.RoutedData{Letter: hidden, Revision: 2, Closed: true, By: "p-1",
		Decision: sekretariat.Decision{Department: "przemoc", Rule: "person"}})
	if err := o.House.Vault.Shred(t.Context(), o.Centre.ID, first.Submission()); err != nil {
		t.Fatal(err)
	}
	before, err := o.Log.State(t.Context(), ledger.Letter)
	if err != nil {
		t.Fatal(err)
	}

	same := run(t, o, func(*configs.Centre) {})
	if same.Letters != 2 || same.Moved != 0 || same.Hidden != 1 || same.Unreadable != 1 || same.AgainstAfter != same.AgainstBefore || len(same.Rows) > same.AgainstAfter {
		t.Errorf("nothing changed, but: %+v", same)
	}
	moved := run(t, o, func(c *configs.Centre) {
		c.Labels["bezdomnosc"] = configs.To{Department: "pomoc-srodowiskowa"}
		c.Labels["zasilki-stale"] = configs.To{Department: "pomoc-srodowiskowa"}
	})
	if moved.Letters != 2 || moved.Moved != 2 || moved.Judged != 1 || moved.AgainstAfter != 1 || len(moved.Rows) != 2 || moved.Moves[0].To != "pomoc-srodowiskowa" {
		t.Errorf("two labels lead elsewhere: %+v", moved)
	}
	for _, row := range moved.Rows {
		if row.Letter == hidden {
			t.Error("the report names a closed letter")
		}
	}
	var csv, plain bytes.Buffer
	if err := moved.CSV(&csv); err != nil {
		t.Fatal(err)
	}
	if err := moved.Print(&plain); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(csv.String(), "\n"); n != 3 || !strings.Contains(plain.String(), "would move") {
		t.Errorf("%d lines of CSV, text %q", n, plain.String())
	}
	after, err := o.Log.State(t.Context(), ledger.Letter)
	if err != nil || after.Last != before.Last {
		t.Errorf("the simulation wrote: %d events before, %d after, %v", before.Last, after.Last, err)
	}
}

// BenchmarkSimulate tells how long a letter takes; 50,000 of them must take less
// than a minute on two cores.
func BenchmarkSimulate(b *testing.B) {
	o := pasttest.Open(b, automatic)
	for i := range 1000 {
		o.Letter(text([]string{shelter, pension}[i%2] + strings.Repeat(" Mieszkam z matką, która choruje, i nie mamy za co kupić leków.", 5)))
	}
	for b.Loop() {
		rep, err := simulate.Run(b.Context(), simulate.Options{
			Centre: o.Centre.ID, Log: o.Log, Vault: o.House.Vault, Router: o.Router, Who: sekretariat.Principal{ID: "x", Centre: o.Centre.ID, Register: true},
		})
		if err != nil || rep.Letters != 1000 {
			b.Fatal(rep.Letters, err)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)*50, "s/50000")
}
