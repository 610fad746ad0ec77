package terms

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"sekretariat"
)

// The holidays of three years as the calendars of the ministry print them,
// Sundays apart.
func TestHolidaysOfPublishedYears(t *testing.T) {
	for year, days := range map[int][]string{
		2024: {"01-01", "01-06", "03-31", "04-01", "05-01", "05-03", "05-19", "05-30", "08-15", "11-01", "11-11", "12-25", "12-26"},
		2025: {"01-01", "01-06", "04-20", "04-21", "05-01", "05-03", "06-08", "06-19", "08-15", "11-01", "11-11", "12-24", "12-25", "12-26"},
		2026: {"01-01", "01-06", "04-05", "04-06", "05-01", "05-03", "05-24", "06-04", "08-15", "11-01", "11-11", "12-24", "12-25", "12-26"},
	} {
		want := map[string]bool{}
		for _, d := range days {
			want[d] = true
		}
		for d := date(year, 1, 1); d.Year() == year; d = d.AddDate(0, 0, 1) {
			if Holiday(d) != want[d.Format("01-02")] {
				t.Errorf("%s: holiday %t", d.Format(time.DateOnly), Holiday(d))
			}
		}
	}
	if Holiday(date(2010, 1, 6)) || Holiday(date(2024, 12, 24)) {
		t.Error("Epiphany is free since 2011, Christmas Eve since 2025")
	}
}

func TestDue(t *testing.T) {
	for _, c := range []struct{ code, start, due string }{
		{"kpa133", "2026-05-04", "2026-05-11"},        // a week from Monday
		{"kpa133", "2026-04-29", "2026-05-06"},        // the day of receipt is not counted
		{"kpa133", "2025-12-17", "2025-12-29"},        // ends on Christmas Eve, a holiday since 2025: Monday
		{"kpa133", "2024-12-17", "2024-12-24"},        // still a working day in 2024
		{"kpa237", "2026-01-31", "2026-03-02"},        // no 31 February: the 28th is a Saturday
		{"kpa237", "2026-05-04", "2026-06-05"},        // Corpus Christi on 4 June
		{"udip13", "2026-05-02", "2026-05-18"},        // Saturday to Saturday, moved to Monday
		{"wywiad", "2026-04-30", "2026-05-21"},        // over May Day; 3 May is a Sunday
		{"wywiad_pilny", "2026-04-30", "2026-05-05"},  // Friday is 1 May
		{"petycja", "2026-11-30", "2027-03-01"},       // 28 February 2027 is a Sunday
		{"zon", "2026-02-28T23:30:00Z", "2026-04-01"}, // half past midnight on 1 March in Warsaw
	} {
		start, err := time.Parse(time.RFC3339, c.start)
		if err != nil {
			if start, err = time.ParseInLocation(time.DateOnly, c.start, sekretariat.Warsaw()); err != nil {
				t.Fatal(err)
			}
		}
		term, ok := ByCode(c.code)
		if !ok {
			t.Fatalf("no term %s", c.code)
		}
		if got := term.Due(start).Format(time.DateOnly); got != c.due {
			t.Errorf("%s from %s is due %s, want %s", c.code, c.start, got, c.due)
		}
	}
}

func TestTermsEndOnWorkingDaysAfterTheirStart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := date(2011, 1, 1).AddDate(0, 0, rapid.IntRange(0, 20000).Draw(t, "day"))
		term := rapid.SampledFrom(Table).Draw(t, "term")
		due := term.Due(start)
		if term.Unit != "now" && (!WorkingDay(due) || !due.After(start)) {
			t.Fatalf("%s from %s is due %s", term.Code, start, due)
		}
		if next := term.Due(start.AddDate(0, 0, 1)); next.Before(due) {
			t.Fatalf("%s: a later start is due earlier: %s before %s", term.Code, next, due)
		}
	})
}

func TestFor(t *testing.T) {
	at := date(2026, 5, 4)
	for name, c := range map[string]struct {
		f    Facts
		want []string
	}{
		"application for help": {Facts{Kind: "wniosek", Label: "pomoc-srodowiskowa"}, []string{"wywiad", "kpa35"}},
		"urgent application":   {Facts{Kind: "wniosek", Label: "pomoc-srodowiskowa", Urgent: true}, []string{"wywiad_pilny", "kpa35"}},
		"appeal":               {Facts{Kind: "odwolanie", Label: "zasilki-stale"}, []string{"kpa133"}},
		"appeal, orzeczenie":   {Facts{Kind: "odwolanie", Label: "orzecznictwo"}, []string{"zon_odw"}},
		"complaint":            {Facts{Kind: "skarga", Label: "sekretariat"}, []string{"kpa237"}},
		"complaint elsewhere":  {Facts{Kind: "skarga", Label: "orzecznictwo", Forward: true}, []string{"kpa231"}},
		"other authority":      {Facts{Kind: "wniosek", Label: "orzecznictwo", Forward: true}, []string{"kpa65"}},
		"certificate":          {Facts{Kind: "wniosek", Label: "zasilki-stale", Words: map[string]bool{"zaswiadczenie": true}}, []string{"kpa217"}},
		"court":                {Facts{Kind: "skarga", Words: map[string]bool{"skarga-wsa": true}}, []string{"ppsa54"}},
		"form A":               {Facts{Kind: "zawiadomienie", Label: "przemoc", Urgent: true, Words: map[string]bool{"nk-a": true}}, []string{"nk_grupa", "wywiad_pilny"}},
		"question":             {Facts{Kind: "zapytanie", Label: "orzecznictwo"}, nil},
	} {
		var got []string
		for _, d := range For(c.f, at) {
			got = append(got, d.Code)
			if Text(d) == "" || d.Start != "2026-05-04" {
				t.Errorf("%s: %+v", name, d)
			}
		}
		if len(got) != len(c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s: %v, want %v", name, got, c.want)
			}
		}
	}
}
