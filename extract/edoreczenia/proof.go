package edoreczenia

import (
	"fmt"
	"strings"
	"time"

	"sekretariat"
)

// titles name a proof by its class, for the clerk.
var titles = map[string]string{
	ClassDelivered:   "Dowód doręczenia",
	ClassDeemed:      "Dowód: pismo uznane za doręczone (nie odebrano w terminie)",
	ClassUndelivered: "Zwrot: pismo niedoręczone",
	ClassRejected:    "Zwrot: pismo odrzucone przez operatora",
	ClassEvidence:    "Dowód z e-Doręczeń",
}

// evidenceNames are what the codes of evidence mean (annex to the UA API,
// "Typ potwierdzenia - kod").
var evidenceNames = map[string]string{
	"A1": "przyjęcie przesyłki", "A2": "odmowa przyjęcia przesyłki", "B1": "przekazanie do operatora adresata",
	"B2": "odmowa przekazania", "B3": "błąd przekazania", "D1": "gotowość do odbioru", "D2": "błąd udostępnienia", "D3": "zawiadomienie adresata",
	"E1": "przekazanie do skrzynki", "E2": "błąd przekazania do skrzynki", "BPWX": "dowód wysłania (XML)", "BPWP": "dowód wysłania (PDF)",
	"BPOX": "dowód otrzymania (XML)", "BPOP": "dowód otrzymania (PDF)", "HDW": "odmowa przyjęcia przesyłki hybrydowej",
	"HPN": "nadanie przesyłki hybrydowej", "HEPO": "elektroniczne potwierdzenie odbioru przesyłki hybrydowej",
}

// proof turns the reading into one of proof: who received our letter and when.
// The subject of that letter is shown, but it is no matter of today.
func (d *document) proof() {
	m := d.message.Metadata
	d.r.Auto = AutoReceipt
	about := line(d.source[SourceAboutSubject])
	if about == "" {
		about = line(m.Subject)
	}
	title := titles[d.source[SourceClass]]
	if title == "" {
		title = titles[ClassEvidence]
	}
	d.r.Subject = line(strings.TrimSuffix(title+": "+about, ": "))
	var b strings.Builder
	say := func(label, value string) {
		if value = line(value); value != "" {
			fmt.Fprintf(&b, "%s: %s\n", label, value)
		}
	}
	say("Pismo", about)
	say("Znak sprawy", firstOf(d.source[SourceAboutCase], m.CaseID))
	for _, to := range m.To[:min(len(m.To), maxParty)] {
		say("Adresat", Describe(to))
	}
	say("Wysłano", moment(firstOf(m.SubmissionDate, m.EventDate)))
	say("Doręczono", moment(m.ReceiptDate))
	say("Stan w skrzynce", d.source[SourceStatus])
	for _, e := range d.evidences() {
		say("Dowód "+e.EvidenceType(), strings.TrimPrefix(evidenceNames[e.EvidenceType()]+", "+moment(firstOf(e.Event, e.Created)), ", "))
	}
	d.text(b.String())
}

// Describe names a person or institution in one line, with its address.
func Describe(a AddressData) string {
	p := party(a)
	return strings.TrimSpace(p.Name + " " + p.IDs["ADE"])
}

func firstOf(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}

// moment writes a time of the API as an office does; what is not understood is
// shown as it is.
func moment(s string) string {
	t, ok := ParseTime(s)
	if !ok {
		return s
	}
	return t.In(sekretariat.Warsaw()).Format("02.01.2006 " + time.TimeOnly)
}
