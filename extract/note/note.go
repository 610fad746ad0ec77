// Package note is what a clerk writes down of a matter that did not come as a
// file: a telephone call, a person at the desk, a letter by post. The note is
// the submission's original: JSON with fixed names, so that it can be read
// again for ever.
package note

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"sekretariat"
)

// MediaType of a note.
const MediaType = "application/vnd.sekretariat.note+json"

// Reader is the name and version written into readings.
const Reader = "note-1"

// WhyEarlier names, in the headers of a reading, why a day of receipt lies
// before the day on which the clerk wrote it down.
const WhyEarlier = "data-wplywu.powod"

// Version of the notes that this program writes.
const Version = 1

// Way is how the matter came.
type Way string

// The ways. A telephone call becomes an adnotacja (KPA art. 72), a person at the
// desk a protokół (KPA art. 63 § 3).
const (
	Phone  Way = "phone"
	Person Way = "person"
	Post   Way = "post"
)

// Ways in the order in which they are offered.
var Ways = []Way{Phone, Person, Post}

// Polish names the way.
func (w Way) Polish() string {
	switch w {
	case Phone:
		return "rozmowa telefoniczna"
	case Person:
		return "osobiście"
	case Post:
		return "przesyłka pocztowa"
	}
	return string(w)
}

// Note is one of them. Empty fields are unknown; the department fills them in
// later (rule P20).
type Note struct {
	Version  int      `json:"version"`
	Form     string   `json:"form"` // id of the form that it was typed into, a UUID: a form sent twice is one
	Way      Way      `json:"way"`
	Name     string   `json:"name,omitempty"` // who called, came or wrote
	Phone    string   `json:"phone,omitempty"`
	Email    string   `json:"email,omitempty"`
	Address  string   `json:"address,omitempty"`
	Subject  string   `json:"subject"`
	Text     string   `json:"text,omitempty"`
	Day      string   `json:"day"`                // data wpływu, RRRR-MM-DD
	Tracking string   `json:"tracking,omitempty"` // number of a registered letter (R-number)
	Why      string   `json:"why,omitempty"`      // of a day before today: why it is written down only now (rule P2)
	Posted   string   `json:"posted,omitempty"`   // postmark, RRRR-MM-DD
	With     []string `json:"with,omitempty"`     // what came with it: codes of Enclosures
	By       string   `json:"by"`                 // pseudonymous id of the clerk
}

// Enclosures are what a clerk ticks (rule P20), by code.
var Enclosures = map[string]string{
	"originals": "oryginały dokumentów", "money": "pieniądze", "medium": "płyta lub nośnik", "damaged": "uszkodzona koperta",
}

// Limits of what a clerk types, octets.
const (
	maxField = 500
	maxText  = 64 << 10
)

// ErrBad is returned for a note that lacks what every note has, or is too long.
// The message names the field in Polish.
var ErrBad = errors.New("notatka jest niepełna")

// Check tells whether the note can be kept.
func (n Note) Check(today string) error {
	for name, v := range map[string]string{
		"imię i nazwisko": n.Name, "telefon": n.Phone, "e-mail": n.Email, "adres": n.Address, "czego dotyczy": n.Subject, "numer nadania": n.Tracking, "powód wcześniejszej daty": n.Why,
	} {
		if len(v) > maxField || strings.ContainsAny(v, "\r\n\x00") {
			return fmt.Errorf("%w: pole „%s” jest za długie albo ma złamany wiersz", ErrBad, name)
		}
	}
	for _, c := range n.With {
		if _, ok := Enclosures[c]; !ok {
			return fmt.Errorf("%w: nieznany dodatek", ErrBad)
		}
	}
	switch {
	case n.Way != Phone && n.Way != Person && n.Way != Post:
		return fmt.Errorf("%w: wybierz, jak sprawa wpłynęła", ErrBad)
	case strings.TrimSpace(n.Subject) == "":
		return fmt.Errorf("%w: napisz, czego dotyczy", ErrBad)
	case len(n.Text) > maxText:
		return fmt.Errorf("%w: treść jest za długa", ErrBad)
	case !day(n.Day) || n.Day > today:
		return fmt.Errorf("%w: data wpływu nie może być późniejsza niż dziś", ErrBad)
	case n.Day < today && strings.TrimSpace(n.Why) == "":
		return fmt.Errorf("%w: data wpływu jest wcześniejsza niż dziś – podaj powód", ErrBad)
	case n.Posted != "" && (!day(n.Posted) || n.Posted > n.Day):
		return fmt.Errorf("%w: data nadania nie może być późniejsza niż data wpływu", ErrBad)
	case len(n.Form) != 36:
		return fmt.Errorf("%w: formularz bez identyfikatora, otwórz go jeszcze raz", ErrBad)
	}
	return nil
}

func day(s string) bool {
	_, err := time.Parse(time.DateOnly, s)
	return err == nil
}

// Encode writes the note. The same note gives the same octets.
func (n Note) Encode() ([]byte, error) {
	n.Version = Version
	raw, err := json.Marshal(n)
	if err != nil {
		return nil, fmt.Errorf("encode note: %w", err)
	}
	return raw, nil
}

// maxNote bounds a note that is read, octets.
const maxNote = 1 << 20

// Read reads a note. What is none is an unreadable reading, not an error.
func Read(body sekretariat.Body) (sekretariat.Reading, error) {
	r := sekretariat.Reading{Reader: Reader, Format: MediaType, Outcome: sekretariat.ReadOK}
	raw, err := io.ReadAll(io.NewSectionReader(body, 0, min(body.Size(), maxNote+1)))
	if err != nil {
		return r, fmt.Errorf("read note: %w", err)
	}
	var n Note
	if len(raw) > maxNote || json.Unmarshal(raw, &n) != nil || n.Version != Version {
		r.Outcome, r.Findings = sekretariat.ReadUnreadable, []sekretariat.Finding{{Code: "note-broken"}}
		return r, nil
	}
	r.Subject, r.Text, r.Written = n.Subject, n.text(), n.Posted
	if n.Why != "" {
		r.Headers = map[string]string{WhyEarlier: n.Why}
	}
	r.Sender = sekretariat.Party{Name: n.Name, Email: n.Email, Basis: "clerk"}
	if n.Phone != "" {
		r.Sender.Phone = []string{n.Phone}
	}
	return r, nil
}

// text is the note as people read it.
func (n Note) text() string {
	var b strings.Builder
	b.WriteString(strings.TrimSpace(n.Text))
	line := func(name, v string) {
		if v != "" {
			fmt.Fprintf(&b, "\n%s: %s", name, v)
		}
	}
	line("Droga", n.Way.Polish())
	line("Adres", n.Address)
	line("Numer nadania", n.Tracking)
	line("Data nadania", n.Posted)
	for _, c := range n.With {
		line("Dołączono", Enclosures[c])
	}
	return strings.TrimSpace(b.String())
}
