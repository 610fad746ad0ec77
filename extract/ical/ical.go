// Package ical reads what an invitation says (iCalendar, RFC 5545 and iTIP,
// RFC 5546): what, when, where, from whom. It is for people and routing, not
// for a calendar: recurrence is only mentioned.
package ical

import (
	"strings"
	"time"
	"unicode"

	"sekretariat"
)

// Limits of one calendar.
const (
	maxEvents = 20
	maxLine   = 64 << 10 // octets of one unfolded line
	maxField  = 4 << 10  // octets of one value that is kept
	maxGuests = 50
)

// Calendar is what one iCalendar object says.
type Calendar struct {
	Method string // "REQUEST", "CANCEL", "REPLY", "PUBLISH" …, upper case, "" if none
	Events []Event
}

// Event is one event or task.
type Event struct {
	Summary     string
	Description string
	Location    string
	Start, End  Moment
	Organizer   sekretariat.Party
	Attendees   []Attendee
	Repeats     bool
	Cancelled   bool
}

// Attendee is one invited person.
type Attendee struct {
	sekretariat.Party
	Answer string // PARTSTAT, upper case: "ACCEPTED", "DECLINED", "TENTATIVE", "NEEDS-ACTION"
}

// Moment is a time as a calendar gives it.
type Moment struct {
	time.Time        // in Warsaw, when the zone is known
	Day       bool   // a whole day
	Zone      string // a zone that nobody knows: the time is as written
}

// Parse reads a calendar. What it cannot read it leaves out.
func Parse(text string) Calendar {
	p := parser{}
	for line := range unfolded(text) {
		p.line(line)
	}
	return p.cal
}

// unfolded yields the content lines (RFC 5545 §3.1).
func unfolded(text string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		var line strings.Builder
		for raw := range strings.Lines(text) {
			raw = strings.TrimRight(raw, "\r\n")
			if len(raw) > 0 && (raw[0] == ' ' || raw[0] == '\t') {
				if line.Len()+len(raw) < maxLine {
					line.WriteString(raw[1:])
				}
				continue
			}
			if line.Len() > 0 && !yield(line.String()) {
				return
			}
			line.Reset()
			line.WriteString(raw[:min(len(raw), maxLine)])
		}
		if line.Len() > 0 {
			yield(line.String())
		}
	}
}

type parser struct {
	cal   Calendar
	depth int    // components within the current event: alarms
	cur   *Event // nil outside of events
}

func (p *parser) line(line string) {
	name, params, value := split(line)
	switch name {
	case "BEGIN":
		p.begin(strings.ToUpper(value))
	case "END":
		if p.depth > 0 {
			p.depth--
		} else {
			p.cur = nil
		}
	case "METHOD":
		if p.cur == nil && p.cal.Method == "" {
			p.cal.Method = strings.ToUpper(cut(value, 40))
		}
	default:
		if p.cur != nil && p.depth == 0 {
			p.cur.set(name, params, value)
		}
	}
}

func (p *parser) begin(component string) {
	if p.cur != nil {
		p.depth++
		return
	}
	if (component == "VEVENT" || component == "VTODO") && len(p.cal.Events) < maxEvents {
		p.cal.Events = append(p.cal.Events, Event{})
		p.cur = &p.cal.Events[len(p.cal.Events)-1]
	}
}

// split takes a content line apart: name, parameters, value.
func split(line string) (name string, params map[string]string, value string) {
	quoted, start := false, 0
	var words []string
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == ';':
			words = append(words, line[start:i])
			start = i + 1
		case c == ':':
			words = append(words, line[start:i])
			value = line[i+1:]
			i = len(line)
		}
	}
	if len(words) == 0 {
		return "", nil, ""
	}
	params = map[string]string{}
	for _, w := range words[1:] {
		k, v, _ := strings.Cut(w, "=")
		params[strings.ToUpper(k)] = strings.Trim(v, `"`)
	}
	return strings.ToUpper(strings.TrimSpace(words[0])), params, value
}

func (e *Event) set(name string, params map[string]string, value string) {
	text := func(field *string) {
		if *field == "" {
			*field = unescape(value)
		}
	}
	switch name {
	case "SUMMARY":
		text(&e.Summary)
	case "DESCRIPTION":
		text(&e.Description)
	case "LOCATION":
		text(&e.Location)
	case "DTSTART":
		e.Start = moment(value, params)
	case "DTEND", "DUE":
		e.End = moment(value, params)
	case "DURATION":
		if d, ok := duration(value); ok && e.End.IsZero() && !e.Start.IsZero() {
			e.End = Moment{Time: e.Start.Add(d), Day: e.Start.Day, Zone: e.Start.Zone}
		}
	case "ORGANIZER":
		e.Organizer = party(value, params)
	case "ATTENDEE":
		if len(e.Attendees) < maxGuests {
			e.Attendees = append(e.Attendees, Attendee{party(value, params), strings.ToUpper(cut(params["PARTSTAT"], 40))})
		}
	case "RRULE":
		e.Repeats = true
	case "STATUS":
		e.Cancelled = strings.EqualFold(value, "CANCELLED")
	}
}

// unescape reads a text value (RFC 5545 §3.3.11).
func unescape(s string) string {
	s = strings.NewReplacer(`\n`, "\n", `\N`, "\n", `\,`, ",", `\;`, ";", `\\`, `\`).Replace(cut(s, maxField))
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' {
			return ' '
		}
		return r
	}, s))
}

func cut(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.ToValidUTF8(s, "")
}

func party(value string, params map[string]string) sekretariat.Party {
	addr := strings.TrimSpace(value)
	if len(addr) > 7 && strings.EqualFold(addr[:7], "mailto:") {
		addr = addr[7:]
	}
	p := sekretariat.Party{Name: unescape(params["CN"]), Basis: "document"}
	if strings.Contains(addr, "@") && len(addr) <= 320 && !strings.ContainsAny(addr, " \t<>") {
		p.Email = cut(addr, 320)
	}
	return p
}

// zones are names of Windows for the zones that are met here.
var zones = map[string]string{
	"central european standard time": "Europe/Warsaw", "central europe standard time": "Europe/Budapest", "romance standard time": "Europe/Paris",
	"w. europe standard time": "Europe/Berlin", "gmt standard time": "Europe/London", "fle standard time": "Europe/Kyiv", "utc": "UTC",
	"sarajevo, skopje, warsaw, zagreb": "Europe/Warsaw",
}

// moment reads DATE and DATE-TIME (RFC 5545 §§3.3.4, 3.3.5).
func moment(value string, params map[string]string) Moment {
	value = strings.TrimSpace(value)
	if t, err := time.ParseInLocation("20060102", value, sekretariat.Warsaw()); err == nil {
		return Moment{Time: t, Day: true}
	}
	if t, err := time.Parse("20060102T150405Z", value); err == nil {
		return Moment{Time: t.In(sekretariat.Warsaw())}
	}
	zone, m := params["TZID"], Moment{}
	loc := sekretariat.Warsaw()
	if zone != "" {
		name := zone
		if known, ok := zones[strings.ToLower(zone)]; ok {
			name = known
		}
		l, err := time.LoadLocation(name)
		if err != nil || len(name) > 64 {
			m.Zone = unescape(zone)
		} else {
			loc = l
		}
	}
	t, err := time.ParseInLocation("20060102T150405", value, loc)
	if err != nil {
		return Moment{}
	}
	m.Time = t.In(sekretariat.Warsaw())
	return m
}

// duration reads a DURATION (RFC 5545 §3.3.6).
func duration(s string) (time.Duration, bool) {
	s, ok := strings.CutPrefix(strings.TrimSpace(strings.TrimPrefix(s, "+")), "P")
	if !ok || len(s) > 20 {
		return 0, false
	}
	units := map[rune]time.Duration{'W': 7 * 24 * time.Hour, 'D': 24 * time.Hour, 'H': time.Hour, 'M': time.Minute, 'S': time.Second}
	var d time.Duration
	n := 0
	for _, c := range s {
		switch {
		case c >= '0' && c <= '9' && n < 100_000:
			n = 10*n + int(c-'0')
		case c == 'T':
		case units[c] > 0:
			d += time.Duration(n) * units[c]
			n = 0
		default:
			return 0, false
		}
	}
	return d, true
}
