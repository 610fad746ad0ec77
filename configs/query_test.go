package configs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sekretariat"
)

func day(t testing.TB, s string) time.Time {
	t.Helper()
	at, err := time.ParseInLocation("2006-01-02 15:04", s, sekretariat.Warsaw())
	if err != nil {
		t.Fatal(err)
	}
	return at.UTC()
}

func TestSeriesFor(t *testing.T) {
	c := parseGood(t, `
units:
  - { id: ops, name: OPS }
  - { id: mzon, name: MZON, parent: ops }
  - { id: archiwum, name: Archiwum, parent: mzon }
series:
  - { id: rpw }
  - { id: mzon, units: [mzon], from: 2026-01-01, format: "RPW/MZON/{n}/{year}", first: { 2026: 101 } }
`)
	for _, k := range []struct {
		unit, at string
		want     sekretariat.SeriesID
	}{
		{"", "2026-05-01 12:00", "rpw"},
		{"ops", "2026-05-01 12:00", "rpw"},
		{"mzon", "2026-05-01 12:00", "mzon"},
		{"archiwum", "2026-05-01 12:00", "mzon"},
		{"mzon", "2025-12-31 23:59", "rpw"}, // in Warsaw it is still the old year
		{"mzon", "2026-01-01 00:00", "mzon"},
		{"nie-ma", "2026-05-01 12:00", "rpw"},
	} {
		if got := c.SeriesFor(k.unit, day(t, k.at)); got != k.want {
			t.Errorf("SeriesFor(%q, %s) = %s, want %s", k.unit, k.at, got, k.want)
		}
	}
	for _, k := range []struct {
		named    sekretariat.SeriesID
		unit, at string
		want     sekretariat.SeriesID
	}{
		{"mzon", "ops", "2026-01-01 00:00", "mzon"},
		{"mzon", "mzon", "2025-12-31 23:59", "rpw"}, // named, and not in force yet
		{"", "mzon", "2026-05-01 12:00", "mzon"},
		{"rpw", "mzon", "2026-05-01 12:00", "rpw"},
		{"usunieta", "ops", "2026-05-01 12:00", "rpw"}, // taken out of the profile while a letter was on its way
	} {
		if got := c.SeriesOf(k.named, k.unit, day(t, k.at)); got != k.want {
			t.Errorf("SeriesOf(%q, %q, %s) = %s, want %s", k.named, k.unit, k.at, got, k.want)
		}
	}
	if got := c.Print(sekretariat.Number{Series: "mzon", Year: 2026, N: 102}); got != "RPW/MZON/102/2026" {
		t.Errorf("the centre prints %s", got)
	}
	s, ok := c.SeriesByID("mzon")
	if !ok || s.FirstNumber(2026) != 101 || s.FirstNumber(2027) != 1 {
		t.Errorf("first numbers %d, %d", s.FirstNumber(2026), s.FirstNumber(2027))
	}
	if got := s.Print(sekretariat.Number{Series: "mzon", Year: 2026, N: 102}); got != "RPW/MZON/102/2026" {
		t.Errorf("printed %s", got)
	}
	if got := c.MainSeries().Print(sekretariat.Number{Series: "rpw", Year: 2026, N: 7}); got != "RPW/7/2026" {
		t.Errorf("printed %s", got)
	}
}

func TestSubstitute(t *testing.T) {
	c := parseGood(t, `
  - id: klub
    name: Klub
    suspended:
      - { from: 2020-03-12, to: 2020-03-25, substitute: pomoc }
      - { from: 2020-04-01, substitute: swietlica }
  - { id: swietlica, name: Świetlica, suspended: [{ from: 2020-05-01, to: 2020-05-31, substitute: klub }] }
`)
	for _, k := range []struct {
		dept, at, to, instead string
	}{
		{"klub", "2020-03-11 23:59", "klub", ""},
		{"klub", "2020-03-12 00:00", "pomoc", "klub"},
		{"klub", "2020-03-25 23:59", "pomoc", "klub"},
		{"klub", "2020-03-26 00:00", "klub", ""},
		{"klub", "2020-04-15 12:00", "swietlica", "klub"},
		{"klub", "2020-05-15 12:00", "sekretariat", "klub"}, // each stands in for the other
		{"sekretariat", "2020-05-15 12:00", "sekretariat", ""},
		{"nie-ma", "2020-05-15 12:00", "sekretariat", "nie-ma"},
	} {
		to, instead := c.Substitute(sekretariat.DepartmentID(k.dept), day(t, k.at))
		if string(to) != k.to || string(instead) != k.instead {
			t.Errorf("Substitute(%s, %s) = %q, %q, want %q, %q", k.dept, k.at, to, instead, k.to, k.instead)
		}
	}
}

func TestSecrets(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "haslo")
	write(t, file, " z odstępem \r\n")
	if b, err := (Secret{File: file}).Load(); err != nil || string(b) != " z odstępem " {
		t.Errorf("Load = %q, %v", b, err)
	}
	if w := (Secret{File: file}).warning(); w != "" {
		t.Errorf("warning %q for a file with rights 0600", w)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if w := (Secret{File: file}).warning(); !strings.Contains(w, "chmod 600") {
		t.Errorf("warning %q for a file that all can read", w)
	}
	t.Setenv("SEKRETARIAT_TEST_SECRET", "hasło")
	if b, err := (Secret{Env: "SEKRETARIAT_TEST_SECRET"}).Load(); err != nil || string(b) != "hasło" {
		t.Errorf("Load = %q, %v", b, err)
	}
	empty := filepath.Join(dir, "puste")
	write(t, empty, "\n")
	for s, say := range map[Secret]string{
		{}:                                "neither",
		{File: empty}:                     "empty",
		{File: filepath.Join(dir, "nie")}: "chmod 600",
		{Env: "SEKRETARIAT_TEST_NOT_SET"}: "is not set",
	} {
		if _, err := s.Load(); !errors.Is(err, ErrNoSecret) || !strings.Contains(err.Error(), say) {
			t.Errorf("%+v: error %v, want one that says %q", s, err, say)
		}
	}
}
