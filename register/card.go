package register

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"sekretariat"
)

// Access is how open a document is (annex 2, field 10).
type Access string

// The values of field 10 as the instrukcja kancelaryjna words them.
const (
	AccessPublic Access = "publiczny - dostępny w całości"
	AccessPartly Access = "publiczny - dostępny częściowo"
	AccessClosed Access = "niepubliczny"
)

// Card holds the metadata of one registered letter: the sixteen groups of
// annex 2, part A, to the instrukcja kancelaryjna (Dz.U. 2011 nr 14 poz. 67).
// It holds personal data and is stored sealed. Revision 0 is what the machine
// knows, see MachineCard; people write revisions from 1. The json names carry
// the number of the field.
type Card struct {
	Version  int                  `json:"version"` // CardVersion
	Letter   sekretariat.LetterID `json:"letter"`
	Revision int                  `json:"revision"`
	By       string               `json:"by,omitempty"` // pseudonymous id of who wrote this revision, "" = the machine
	Written  time.Time            `json:"at,omitzero"`  // when this revision was written, UTC

	Senders     []Sender  `json:"1_senders,omitempty"`            // 1 and 2, the first one is the main one
	Dated       string    `json:"3_dated,omitempty"`              // on the letter, RRRR-MM-DD, RRRR-MM or RRRR
	Posted      string    `json:"4_posted,omitempty"`             // postmark or sending, same form
	Arrived     string    `json:"5_arrived"`                      // data wpływu, RRRR-MM-DD, Polish day
	Registered  time.Time `json:"6_registered"`                   // shown in Polish time
	Kinds       []string  `json:"7_kinds,omitempty"`              // rodzaj dokumentu
	Identifier  string    `json:"8_identifier"`                   // RPW-2026-000123
	Title       string    `json:"9_title,omitempty"`              // short title of the content
	Access      Access    `json:"10_access"`                      //
	Attachments *int      `json:"11_attachments,omitempty"`       // nil: nobody has counted
	Formats     []string  `json:"12_formats,omitempty"`           // media types
	Remarks     []string  `json:"13_remarks,omitempty"`           //
	Type        string    `json:"14_type"`                        // DCMI type
	Delivery    string    `json:"15_delivery,omitempty"`          // sposób dostarczenia
	Reference   string    `json:"16_senders_reference,omitempty"` // znak nadany przez nadawcę

	// Foreign is the number of the letter in another system, where that one
	// keeps the legal register and ours is internal (rule P1).
	Foreign string `json:"foreign_number,omitempty"`
}

// Sender is groups 1 and 2 of annex 2: either Organisation or FamilyName with
// GivenNames, and the address.
type Sender struct {
	Organisation string              `json:"1a_organisation,omitempty"`
	FamilyName   string              `json:"1b_family_name,omitempty"`
	GivenNames   string              `json:"1b_given_names,omitempty"`
	Address      sekretariat.Address `json:"2_address,omitzero"` // 2a to 2g
	Emails       []string            `json:"2h_emails,omitempty"`
}

// CardVersion is the version of the Card written by this program.
const CardVersion = 1

// DCMITypes are the values of field 14.
var DCMITypes = []string{"Dataset", "MovingImage", "PhysicalObject", "Software", "Sound", "StillImage", "Text"}

// deliveries are the machine's words for field 15. How a paper came is known
// to the clerk alone.
var deliveries = map[sekretariat.Kind]string{
	sekretariat.KindMail:      "poczta elektroniczna",
	sekretariat.KindEPUAP:     "elektroniczna skrzynka podawcza",
	sekretariat.KindEDelivery: "adres do doręczeń elektronicznych",
	sekretariat.KindBox:       "skrzynka podawcza",
}

// byHand are the words for what a clerk wrote down, by the way it came.
var byHand = map[string]string{"phone": "telefonicznie", "person": "osobiście", "post": "przesyłka pocztowa"}

func deliveryOf(m sekretariat.Manifest) string {
	if m.Kind == sekretariat.KindManual {
		return byHand[m.Source["way"]]
	}
	return deliveries[m.Kind]
}

// Limits of what the machine takes over into a card; a person may write more.
const (
	maxTitle   = 250 // characters
	maxSenders = 20
)

// MachineCard makes revision 0 of a letter's card out of what the machine
// knows: how it arrived, its entry, its reading, and the number of the letter
// that it was split off from, if it was (rule P3). It is pure and never guesses:
// what is not there stays empty, and Missing names it. Access is "niepubliczny"
// until a person says otherwise, for a welfare centre's post names people.
func MachineCard(m sekretariat.Manifest, e sekretariat.Entry, r sekretariat.Reading, parent sekretariat.Number) Card {
	c := Card{
		Version: CardVersion, Letter: e.Letter,
		Senders: senders(r), Dated: r.Written,
		Arrived: sekretariat.Day(e.Arrived.At), Registered: e.Registered, Identifier: e.Identifier,
		Title: short(r.Subject, maxTitle), Access: AccessClosed, Type: "Text",
		Delivery: deliveryOf(m), Reference: r.Reference,
	}
	if m.Sent != nil {
		c.Posted = sekretariat.Day(*m.Sent)
	}
	if r.Outcome == sekretariat.ReadOK || r.Outcome == sekretariat.ReadPartial {
		n := 0
		for _, p := range r.Parts {
			if p.Attachment && p.In == "" && p.Member == 0 { // an archive is one, whatever it holds
				n++
			}
		}
		c.Attachments = &n
	}
	if f := r.Format; f != "" {
		c.Formats = []string{f}
	} else if f := m.Original.MediaType; f != "" {
		c.Formats = []string{f}
	}
	if !parent.IsZero() {
		c.Remarks = append(c.Remarks, "Wydzielono z "+parent.Identifier()+".")
	}
	switch r.Outcome {
	case sekretariat.ReadPartial:
		c.Remarks = append(c.Remarks, "Część treści nie dała się odczytać maszynowo; oryginał jest przechowany w całości.")
	case sekretariat.ReadUnreadable:
		c.Remarks = append(c.Remarks, "Treści nie udało się odczytać maszynowo; oryginał jest przechowany w całości.")
	}
	return c
}

func senders(r sekretariat.Reading) []Sender {
	parties := r.Senders
	if len(parties) == 0 {
		parties = []sekretariat.Party{r.Sender}
	}
	var out []Sender
	for _, p := range parties[:min(len(parties), maxSenders)] {
		var s Sender
		switch {
		case p.Organisation:
			s.Organisation = p.Name
		case p.FamilyName != "" || p.GivenName != "":
			s.FamilyName, s.GivenNames = p.FamilyName, p.GivenName
		default:
			// A display name is not taken apart: which word is the surname is
			// for a person to say. It is shown whole until then.
			s.FamilyName = p.Name
		}
		if p.Address != nil {
			s.Address = *p.Address
		}
		if p.Email != "" {
			s.Emails = []string{p.Email}
		}
		if s.known() {
			out = append(out, s)
		}
	}
	return out
}

func (s Sender) known() bool {
	return s.Organisation != "" || s.FamilyName != "" || s.GivenNames != "" || len(s.Emails) > 0 || s.Address != sekretariat.Address{}
}

// short cuts s to n characters at a blank where there is one.
func short(s string, n int) string {
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	cut := string([]rune(s)[:n-1])
	if i := strings.LastIndexByte(cut, ' '); i > len(cut)/2 {
		cut = cut[:i]
	}
	return cut + "…"
}

// Missing lists the required fields of annex 2 that a card does not have yet,
// by their numbers ("1", "2b", "2g", "3", "9"), for the clerk to fill in.
func (c Card) Missing() []string {
	var main Sender
	if len(c.Senders) > 0 {
		main = c.Senders[0]
	}
	required := []struct {
		no    string
		there bool
	}{
		{"1", main.Organisation != "" || main.FamilyName != ""},
		{"2b", main.Address.Town != ""},
		{"2g", main.Address.Country != ""},
		{"3", c.Dated != ""},
		{"5", c.Arrived != ""},
		{"6", !c.Registered.IsZero()},
		{"8", c.Identifier != ""},
		{"9", c.Title != ""},
		{"10", c.Access != ""},
		{"14", slices.Contains(DCMITypes, c.Type)},
	}
	var out []string
	for _, f := range required {
		if !f.there {
			out = append(out, f.no)
		}
	}
	return out
}
