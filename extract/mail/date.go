package mail

import (
	"strconv"
	"strings"
	"time"
	"unicode"
)

// maxDate bounds the Date field that is looked at, octets.
const maxDate = 200

// parseDate reads a Date field (RFC 5322 §3.3) and whatever else of day,
// month, year, time and zone can be recognised: English and Polish month
// names, ISO 8601, asctime, missing seconds, zones by name. A date without a
// zone is taken as UTC.
func parseDate(raw []byte) (time.Time, bool) {
	var d dateParts
	for _, word := range dateWords(oneLine(decodeWords(raw[:min(len(raw), maxDate)]))) {
		d.word(word)
	}
	return d.time()
}

// dateWords splits a date at white space, commas and comments.
func dateWords(s string) []string {
	for i := strings.IndexByte(s, '('); i >= 0; i = strings.IndexByte(s, '(') {
		s = s[:i] + " " + s[i+commentEnd([]byte(s[i:])):]
	}
	// ISO 8601 joins date and time with a T.
	if i := strings.IndexByte(s, 'T'); i > 7 && i+1 < len(s) && isDigit(s[i-1]) && isDigit(s[i+1]) {
		s = s[:i] + " " + s[i+1:]
	}
	return strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || r == ',' || r == ';' })
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// dateParts collects what the words of a date say.
type dateParts struct {
	day, month, year  int
	hour, minute, sec int
	clock, zoned      bool
	offset            int // seconds east of Greenwich
	pm, am            bool
}

func (d *dateParts) word(w string) {
	switch {
	case strings.Count(w, ":") >= 1 && isDigit(w[0]) && !d.clock:
		d.time24(w)
	case (w[0] == '+' || w[0] == '-') && d.clock:
		d.zoneDigits(w)
	case isDigit(w[0]) && strings.ContainsAny(w[1:], "-./"):
		d.joined(w)
	case isDigit(w[0]):
		d.number(w)
	default:
		d.name(strings.ToLower(strings.Trim(w, ".")))
	}
}

// time24 reads "9:12", "09:12:44.123+01:00".
func (d *dateParts) time24(w string) {
	if i := strings.IndexAny(w, "+-Z"); i > 0 {
		if w[i] == 'Z' {
			d.zoned = true
		} else {
			d.zoneDigits(w[i:])
		}
		w = w[:i]
	}
	parts := strings.Split(w, ":")
	if len(parts) < 2 {
		return
	}
	d.hour, d.minute = leading(parts[0]), leading(parts[1])
	if len(parts) > 2 {
		d.sec = leading(parts[2])
	}
	d.clock = true
}

func (d *dateParts) zoneDigits(w string) {
	digits := strings.ReplaceAll(w[1:], ":", "")
	n := leading(digits)
	switch len(digits) {
	case 1, 2:
		d.offset = n * 3600
	case 3, 4:
		d.offset = n/100*3600 + n%100*60
	default:
		return
	}
	if d.offset > 14*3600 {
		d.offset = 0
	}
	if w[0] == '-' {
		d.offset = -d.offset
	}
	d.zoned = true
}

// joined reads "2020-11-16", "16.11.2020", "16-Nov-2020".
func (d *dateParts) joined(w string) {
	parts := strings.FieldsFunc(w, func(r rune) bool { return r == '-' || r == '.' || r == '/' })
	if len(parts) != 3 {
		if len(parts) == 1 {
			d.number(parts[0])
		}
		return
	}
	if len(parts[0]) == 4 {
		d.year, d.month, d.day = leading(parts[0]), leading(parts[1]), leading(parts[2])
		return
	}
	d.day, d.month, d.year = leading(parts[0]), leading(parts[1]), century(parts[2])
	if !isDigit(parts[1][0]) {
		d.name(strings.ToLower(parts[1]))
	}
}

func (d *dateParts) number(w string) {
	n := leading(w)
	switch {
	case d.day == 0 && len(w) <= 2:
		d.day = n
	case d.year == 0:
		d.year = century(w)
	}
}

// century widens years of two and three digits (RFC 5322 §4.3).
func century(w string) int {
	n := leading(w)
	switch {
	case len(w) == 2 && n < 50:
		return n + 2000
	case len(w) <= 3 && len(w) > 1:
		return n + 1900
	}
	return n
}

// leading returns the number that s begins with, -1 if it begins with none.
func leading(s string) int {
	i := 0
	for i < len(s) && i < 9 && isDigit(s[i]) {
		i++
	}
	n, err := strconv.Atoi(s[:i])
	if err != nil {
		return -1
	}
	return n
}

// months by the letters that tell them apart, English and Polish.
var months = []struct {
	prefix string
	month  int
}{
	{"jan", 1}, {"feb", 2}, {"mar", 3}, {"apr", 4}, {"may", 5}, {"jun", 6}, {"jul", 7}, {"aug", 8}, {"sep", 9}, {"oct", 10}, {"nov", 11}, {"dec", 12},
	{"sty", 1}, {"lut", 2}, {"kwi", 4}, {"maj", 5}, {"cze", 6}, {"lip", 7}, {"sie", 8}, {"wrz", 9}, {"paź", 10}, {"paz", 10}, {"lis", 11}, {"gru", 12},
}

// zones by name, seconds east of Greenwich (RFC 5322 §4.3 and what Polish
// servers write).
var zones = map[string]int{
	"z": 0, "ut": 0, "utc": 0, "gmt": 0, "wet": 0, "bst": 3600, "west": 3600, "cet": 3600, "met": 3600, "mez": 3600,
	"cest": 7200, "mest": 7200, "mesz": 7200, "eet": 7200, "eest": 10800, "msk": 10800, "jst": 32400,
	"est": -18000, "edt": -14400, "cst": -21600, "cdt": -18000, "mst": -25200, "mdt": -21600, "pst": -28800, "pdt": -25200,
}

func (d *dateParts) name(w string) {
	if w == "am" || w == "pm" {
		d.am, d.pm = w == "am", w == "pm"
		return
	}
	if offset, ok := zones[strings.TrimRight(w, "0123456789+-:")]; ok && d.clock && !d.zoned {
		d.offset, d.zoned = offset, true
		return
	}
	for _, m := range months {
		if strings.HasPrefix(w, m.prefix) && d.month <= 0 {
			d.month = m.month
			return
		}
	}
}

func (d *dateParts) time() (time.Time, bool) {
	switch {
	case d.pm && d.hour < 12:
		d.hour += 12
	case d.am && d.hour == 12:
		d.hour = 0
	}
	if d.day < 1 || d.day > 31 || d.month < 1 || d.month > 12 || d.year < 1900 || d.year >= 2200 ||
		d.hour < 0 || d.hour > 23 || d.minute < 0 || d.minute > 59 || d.sec < 0 || d.sec > 60 {
		return time.Time{}, false
	}
	t := time.Date(d.year, time.Month(d.month), d.day, d.hour, d.minute, d.sec, 0, time.FixedZone("", d.offset))
	return t, t.Day() == d.day || d.sec == 60
}
