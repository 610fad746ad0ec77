package ical

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func calendar(lines ...string) string {
	return "BEGIN:VCALENDAR\r\n" + strings.Join(lines, "\r\n") + "\r\nEND:VCALENDAR\r\n"
}

func TestText(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"invitation": {calendar(
			"METHOD:REQUEST", "BEGIN:VTIMEZONE", "TZID:Europe/Warsaw", "BEGIN:STANDARD", "DTSTART:16010101T030000", "END:STANDARD", "END:VTIMEZONE",
			"BEGIN:VEVENT", "SUMMARY:Posiedzenie zespołu \\, sala", " nr 2", "DTSTART;TZID=Europe/Warsaw:20260504T100000", "DTEND;TZID=Europe/Warsaw:20260504T113000",
			`ORGANIZER;CN="Nowak; Jan":MAILTO:jan@poczta.example`, "ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:mops@mops.example", "LOCATION:ul. Prosta 1",
			"DESCRIPTION:Proszę o przybycie.\\nZ dokumentami.", "BEGIN:VALARM", "DESCRIPTION:Przypomnienie", "SUMMARY:nie to", "END:VALARM", "END:VEVENT"),
			"Zaproszenie: Posiedzenie zespołu , salanr 2\nTermin: 2026-05-04 10:00–11:30\nMiejsce: ul. Prosta 1\nOrganizator: Nowak; Jan jan@poczta.example\nOpis: Proszę o przybycie.\nZ dokumentami."},
		"UTC and duration": {calendar("BEGIN:VEVENT", "SUMMARY:Wizyta", "DTSTART:20260115T080000Z", "DURATION:PT1H30M", "END:VEVENT"),
			"Wydarzenie: Wizyta\nTermin: 2026-01-15 09:00–10:30"},
		"zone of Windows, over midnight": {calendar("BEGIN:VEVENT", "DTSTART;TZID=Central European Standard Time:20260115T230000", "DTEND;TZID=Central European Standard Time:20260116T010000", "RRULE:FREQ=DAILY", "END:VEVENT"),
			"Wydarzenie\nTermin: 2026-01-15 23:00 – 2026-01-16 01:00, powtarzane"},
		"unknown zone": {calendar("BEGIN:VEVENT", "DTSTART;TZID=Moja strefa:20260115T230000", "END:VEVENT"), "Wydarzenie\nTermin: 2026-01-15 23:00 (czas: Moja strefa)"},
		"days":         {calendar("METHOD:CANCEL", "BEGIN:VEVENT", "SUMMARY:Urlop", "DTSTART;VALUE=DATE:20260501", "DTEND;VALUE=DATE:20260504", "END:VEVENT"), "Odwołanie spotkania: Urlop\nTermin: 2026-05-01 – 2026-05-03"},
		"answer": {calendar("METHOD:REPLY", "BEGIN:VEVENT", "SUMMARY:Wizyta", "ATTENDEE;CN=Ewa;PARTSTAT=DECLINED:mailto:ewa@poczta.example", "END:VEVENT"),
			"Odpowiedź na zaproszenie: Wizyta\nOdpowiedź: Ewa ewa@poczta.example – odrzucone"},
		"nothing": {"to nie kalendarz", ""},
	} {
		if got := Parse(c.in).Text(); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(calendar("METHOD:REQUEST", "BEGIN:VEVENT", "SUMMARY:x", "DTSTART:20260504T100000Z", "DURATION:P1D", "END:VEVENT"))
	f.Fuzz(func(t *testing.T, s string) {
		c := Parse(s)
		if text := c.Text(); !utf8.ValidString(text) && utf8.ValidString(s) || len(c.Events) > maxEvents {
			t.Fatalf("%d events, %q", len(c.Events), text)
		}
	})
}
