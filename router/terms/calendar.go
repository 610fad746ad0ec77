// Package terms computes the clocks of the law: days and months as the code of
// administrative procedure counts them (art. 57 KPA), working days by the
// Polish calendar, and which clocks a letter starts. The table deadlines.tsv is
// a default "do weryfikacji": the office's lawyer has the last word.
package terms

import "time"

// Holiday tells whether a day is a public holiday in Poland, Sundays apart
// (ustawa o dniach wolnych od pracy, Dz.U. 1951 nr 4 poz. 28 with changes:
// Epiphany since 2011, Christmas Eve since 2025).
func Holiday(day time.Time) bool {
	y, m, d := day.Date()
	switch {
	case m == time.January && d == 1, m == time.May && (d == 1 || d == 3), m == time.August && d == 15,
		m == time.November && (d == 1 || d == 11), m == time.December && (d == 25 || d == 26):
		return true
	case m == time.January && d == 6:
		return y >= 2011
	case m == time.December && d == 24:
		return y >= 2025
	}
	e := easter(y)
	since := int(date(y, m, d).Sub(e).Hours() / 24)
	return since == 0 || since == 1 || since == 49 || since == 60 // Easter, its Monday, Pentecost, Corpus Christi
}

// WorkingDay tells whether offices work: neither Saturday, Sunday nor holiday.
func WorkingDay(day time.Time) bool {
	w := day.Weekday()
	return w != time.Saturday && w != time.Sunday && !Holiday(day)
}

// easter is Easter Sunday by the method of Meeus, Jones and Butcher.
func easter(y int) time.Time {
	a, b, c := y%19, y/100, y%100
	h := (19*a + b - b/4 - (b-(b+8)/25+1)/3 + 15) % 30
	l := (32 + 2*(b%4) + 2*(c/4) - h - c%4) % 7
	m := (a + 11*h + 22*l) / 451
	n := h + l - 7*m + 114
	return date(y, time.Month(n/31), n%31+1)
}

// date is a calendar day without a clock.
func date(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }

// addWorkdays goes n working days on; the first day is not counted.
func addWorkdays(day time.Time, n int) time.Time {
	for n > 0 {
		day = day.AddDate(0, 0, 1)
		if WorkingDay(day) {
			n--
		}
	}
	return day
}

// addMonths goes n months on to the day of the same number, or to the last day
// of a month that has none (art. 57 § 3 KPA).
func addMonths(day time.Time, n int) time.Time {
	y, m, d := day.Date()
	last := date(y, m+time.Month(n)+1, 0).Day()
	return date(y, m+time.Month(n), min(d, last))
}

// onWorkday moves the end of a term off Saturdays and holidays (art. 57 § 4
// KPA).
func onWorkday(day time.Time) time.Time {
	for !WorkingDay(day) {
		day = day.AddDate(0, 0, 1)
	}
	return day
}
