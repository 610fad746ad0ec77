package ical

import "strings"

// Text returns what the calendar says, in Polish, an event per paragraph.
func (c Calendar) Text() string {
	var out []string
	for i := range c.Events {
		out = append(out, c.Events[i].text(c.Method))
	}
	return strings.Join(out, "\n\n")
}

// titles of the methods of RFC 5546 §1.4.
var titles = map[string]string{
	"REQUEST": "Zaproszenie", "CANCEL": "Odwołanie spotkania", "REPLY": "Odpowiedź na zaproszenie", "COUNTER": "Propozycja innego terminu",
	"DECLINECOUNTER": "Odmowa innego terminu", "ADD": "Dodatkowy termin",
}

// answers of an invited person.
var answers = map[string]string{"ACCEPTED": "przyjęte", "DECLINED": "odrzucone", "TENTATIVE": "wstępnie przyjęte", "DELEGATED": "przekazane"}

func (e *Event) text(method string) string {
	title := titles[method]
	switch {
	case e.Cancelled:
		title = titles["CANCEL"]
	case title == "":
		title = "Wydarzenie"
	}
	lines := []string{strings.TrimSuffix(title+": "+e.Summary, ": ")}
	add := func(label, value string) {
		if value != "" {
			lines = append(lines, label+": "+value)
		}
	}
	add("Termin", e.when())
	add("Miejsce", e.Location)
	add("Organizator", strings.TrimSpace(e.Organizer.Name+" "+e.Organizer.Email))
	if method == "REPLY" {
		for _, a := range e.Attendees {
			if answer := answers[a.Answer]; answer != "" {
				add("Odpowiedź", strings.TrimSpace(a.Name+" "+a.Email)+" – "+answer)
			}
		}
	}
	add("Opis", e.Description)
	return strings.Join(lines, "\n")
}

// when returns the time of an event: "2026-05-04 10:00–11:30".
func (e *Event) when() string {
	const day, clock = "2006-01-02", "15:04"
	if e.Start.IsZero() {
		return ""
	}
	out := e.Start.Format(day)
	last := e.End
	switch {
	case e.Start.Day:
		if !last.IsZero() {
			last.Time = last.AddDate(0, 0, -1) // the end is the first day after it
		}
		if last.After(e.Start.Time) {
			out += " – " + last.Format(day)
		}
	case last.IsZero():
		out += " " + e.Start.Format(clock)
	case last.Format(day) == e.Start.Format(day):
		out += " " + e.Start.Format(clock) + "–" + last.Format(clock)
	default:
		out += " " + e.Start.Format(clock) + " – " + last.Format(day+" "+clock)
	}
	if e.Start.Zone != "" {
		out += " (czas: " + e.Start.Zone + ")"
	}
	if e.Repeats {
		out += ", powtarzane"
	}
	return out
}
