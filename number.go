package sekretariat

import (
	"fmt"
	"strings"
	"time"
)

// Number is a number in one series and calendar year of the register.
type Number struct {
	Series SeriesID `json:"series"`
	Year   int      `json:"year"`
	N      int      `json:"n"` // from the series' first number, without gaps
}

// IsZero tells whether no number was given yet.
func (n Number) IsZero() bool { return n.N == 0 }

// Identifier returns the form without blanks and without any of \ / * ? : = , ;
// that annex 2 of the instrukcja kancelaryjna asks of an identifier:
// "RPW-2026-000123", in another series "RPW-MZON-2026-000012".
func (n Number) Identifier() string {
	if n.IsZero() {
		return ""
	}
	return fmt.Sprintf("%s-%04d-%06d", seriesPrefix(n.Series, "-"), n.Year, n.N)
}

// Printed returns the customary form on paper: "RPW/123/2026",
// "RPW/MZON/12/2026". A centre may configure another format for printing.
func (n Number) Printed() string {
	if n.IsZero() {
		return ""
	}
	return fmt.Sprintf("%s/%d/%d", seriesPrefix(n.Series, "/"), n.N, n.Year)
}

// MainSeries is the id of the main series of a centre, printed as plain RPW.
const MainSeries SeriesID = "rpw"

func seriesPrefix(s SeriesID, sep string) string {
	if s == MainSeries || s == "" {
		return "RPW"
	}
	return "RPW" + sep + strings.ToUpper(string(s))
}

// Entry is one write-once line of the register: a skeleton without personal
// data, chained by digests. Sender, title and the other annex-2 data live in
// cards.
type Entry struct {
	Version    int       `json:"version"` // EntryVersion
	Centre     CentreID  `json:"centre"`
	Number     Number    `json:"number"`
	Identifier string    `json:"identifier"`
	Letter     LetterID  `json:"letter"`
	Parent     LetterID  `json:"parent,omitempty"` // "wydzielono z …"
	Manifest   Digest    `json:"manifest"`         // of the plain manifest
	Arrived    Arrival   `json:"arrived"`          // data wpływu and its basis
	Received   time.Time `json:"received"`
	Registered time.Time `json:"registered"`
	Previous   Digest    `json:"previous"` // Digest of the entry before; "" for the first of a series
	Digest     Digest    `json:"digest"`   // over all fields above, see register.Seal
}

// EntryVersion is the version of the Entry written by this program.
const EntryVersion = 1
