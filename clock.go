package sekretariat

import (
	"sync"
	"time"
	_ "time/tzdata" // offices run on machines without a zone database
)

// Clock tells the time. There is one in the program, and tests replace it.
type Clock func() time.Time

// SystemClock is the Clock of production: UTC, cut to milliseconds, which is
// what events carry.
func SystemClock() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// Warsaw is the zone of the register: years and days of receipt are Polish
// calendar days whatever the machine's zone is.
var Warsaw = sync.OnceValue(func() *time.Location {
	loc, err := time.LoadLocation("Europe/Warsaw")
	if err != nil { // cannot happen: time/tzdata is compiled in
		panic(err)
	}
	return loc
})

// Day returns the Polish calendar day of t as RRRR-MM-DD.
func Day(t time.Time) string { return t.In(Warsaw()).Format(time.DateOnly) }

// MomentOf is when something happened of which only the Polish day is known,
// RRRR-MM-DD: now, if that is today, else noon, which no change of the clock moves
// into another day. The error is that of time.Parse.
func MomentOf(day string, now time.Time) (time.Time, error) {
	t, err := time.ParseInLocation(time.DateOnly, day, Warsaw())
	if err != nil {
		return t, err
	}
	if day == Day(now) {
		return now.UTC().Truncate(time.Millisecond), nil
	}
	return t.Add(12 * time.Hour).UTC(), nil
}

// RegisterTime returns the time of the next registration: now, but never
// before the last entry, so that a clock stepped back over New Year cannot
// re-open a closed year.
func RegisterTime(now, last time.Time) time.Time {
	if last.After(now) {
		return last
	}
	return now
}

// RegisterYear is the calendar year of t in Poland.
func RegisterYear(t time.Time) int { return t.In(Warsaw()).Year() }
