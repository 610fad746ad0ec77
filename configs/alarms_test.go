package configs_test

import (
	"testing"
	"time"

	"sekretariat"
	"sekretariat/configs"
)

func TestOpenAt(t *testing.T) {
	c := &configs.Centre{Hours: []configs.Hours{
		{Days: "mon,wed-fri", Periods: []string{"07:00-11:00", "12:00-15:00"}},
		{Days: "sat", Periods: []string{"09:00-10:00"}, From: "2026-07-01"},
	}}
	for at, want := range map[string]bool{
		"2026-03-02 07:00": true, "2026-03-02 11:00": false, "2026-03-02 12:30": true, "2026-03-02 15:00": false, // Monday
		"2026-03-03 08:00": false, "2026-03-04 08:00": true, "2026-03-06 14:59": true, "2026-03-08 08:00": false,
		"2026-06-27 09:30": false, "2026-07-04 09:30": true,
	} {
		moment, err := time.ParseInLocation("2006-01-02 15:04", at, sekretariat.Warsaw())
		if err != nil {
			t.Fatal(err)
		}
		if got := c.OpenAt(moment); got != want {
			t.Errorf("%s: open %v, want %v", at, got, want)
		}
	}
	if none := (&configs.Centre{}); none.OpenAt(time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)) || !none.OpenAt(time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)) {
		t.Error("a centre without hours is not open on usual days")
	}
}
