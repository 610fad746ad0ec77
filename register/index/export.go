package index

import (
	"context"
	"database/sql"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"sekretariat"
)

// Format is the format of an export.
type Format string

// The formats.
const (
	// CSV is RFC 4180: commas, CRLF, a header line, UTF-8 without a byte order
	// mark. A spreadsheet that expects semicolons imports it as "text/CSV".
	CSV Format = "csv"
	// JSONLines is one JSON object per line, with the names of the CSV header.
	JSONLines Format = "jsonl"
)

// ErrFormat is returned for an unknown export format.
var ErrFormat = errors.New(`unknown export format, use "csv" or "jsonl"`)

// Original returns the digest of the original bytes of a submission, which the
// index does not hold: it stands in the manifest. "" for a destroyed one.
type Original func(ctx context.Context, s sekretariat.SubmissionID) (sekretariat.Digest, error)

// Print writes a number as the centre prints it.
type Print func(sekretariat.Number) string

// exported is one line of an export. Times are RFC 3339 in UTC, "" = not yet.
// A masked line has identifier, number and day of receipt alone.
type exported struct {
	Identifier string `json:"identifier"`
	Number     string `json:"number"`
	Day        string `json:"day"` // data wpływu, Polish day
	Restricted bool   `json:"restricted"`

	Letter     string `json:"letter"`
	Submission string `json:"submission"`
	SHA256     string `json:"sha256"`
	Channel    string `json:"channel"`
	Door       string `json:"door"`
	Department string `json:"department"`
	Status     string `json:"status"`
	Cancelled  bool   `json:"cancelled"`

	Arrived    string `json:"arrived"`
	Received   string `json:"received"`
	Sorted     string `json:"sorted"`
	Registered string `json:"registered"`
	Read       string `json:"read"`
	Routed     string `json:"routed"`
	Queued     string `json:"queued"`

	Parent string `json:"parent"` // identifier of the letter that it was split off from (rule P3)
}

var header = []string{"identifier", "number", "day", "restricted", "letter", "submission", "sha256", "channel", "door", "department",
	"status", "cancelled", "arrived", "received", "sorted", "registered", "read", "routed", "queued", "parent"}

func (e exported) fields() []string {
	return []string{e.Identifier, e.Number, e.Day, fmt.Sprint(e.Restricted), e.Letter, e.Submission, e.SHA256, e.Channel, e.Door, e.Department,
		e.Status, fmt.Sprint(e.Cancelled), e.Arrived, e.Received, e.Sorted, e.Registered, e.Read, e.Routed, e.Queued, e.Parent}
}

// Export writes the register as far as the principal may see it, the lowest
// number first: what belongs to others is a masked line, so that the series
// stays gapless on paper too (rule P5). It streams; memory does not grow with
// the register.
func (x *Index) Export(ctx context.Context, p sekretariat.Principal, f Filter, w io.Writer, format Format, print Print, original Original) error {
	var put func(exported) error
	flush := func() error { return nil }
	switch format {
	case CSV:
		c := csv.NewWriter(w)
		c.UseCRLF = true
		if err := c.Write(header); err != nil {
			return fmt.Errorf("export the register: %w", err)
		}
		put = func(e exported) error { return c.Write(e.fields()) }
		flush = func() error { c.Flush(); return c.Error() }
	case JSONLines:
		j := json.NewEncoder(w)
		put = func(e exported) error { return j.Encode(e) }
	default:
		return fmt.Errorf("%q: %w", format, ErrFormat)
	}
	f.Oldest = true
	for page := (Page{}); ; {
		rows, next, err := x.Register(ctx, p, f, page)
		if err != nil {
			return fmt.Errorf("export the register: %w", err)
		}
		for _, r := range rows {
			e, err := export(ctx, r, print, original)
			if err == nil && r.View == sekretariat.Full && r.Parent != "" {
				e.Parent, err = x.identifier(ctx, r.Parent)
			}
			if err == nil {
				err = put(e)
			}
			if err != nil {
				return fmt.Errorf("export %s: %w", r.Number.Identifier(), err)
			}
		}
		if err := flush(); err != nil {
			return fmt.Errorf("export the register: %w", err)
		}
		if page.After = next; next == "" {
			return nil
		}
	}
}

func export(ctx context.Context, r Row, print Print, original Original) (exported, error) {
	e := exported{Identifier: r.Number.Identifier(), Number: print(r.Number), Day: sekretariat.Day(r.Arrived)}
	if r.View != sekretariat.Full {
		e.Restricted = true
		return e, nil
	}
	sum, err := original(ctx, r.Letter.Submission())
	if err != nil {
		return e, err
	}
	e.Letter, e.Submission, e.SHA256 = string(r.Letter), string(r.Letter.Submission()), string(sum)
	e.Channel, e.Door, e.Department, e.Status, e.Cancelled = string(r.Kind), string(r.Door), string(r.Department), string(r.Status), r.Cancelled
	for _, t := range []struct {
		to *string
		at time.Time
	}{{&e.Arrived, r.Arrived}, {&e.Received, r.Received}, {&e.Sorted, r.Sorted}, {&e.Registered, r.Registered},
		{&e.Read, r.Read}, {&e.Routed, r.Routed}, {&e.Queued, r.Queued}} {
		if !t.at.IsZero() {
			*t.to = t.at.UTC().Format(time.RFC3339Nano)
		}
	}
	return e, nil
}

// identifier returns the identifier of a letter, "" if it has no number. It is
// shown to whoever may see the letter's child, and tells no more than a masked
// row.
func (x *Index) identifier(ctx context.Context, id sekretariat.LetterID) (string, error) {
	sub, err := octets(id.Submission())
	if err != nil {
		return "", err
	}
	var n sekretariat.Number
	err = x.read.QueryRowContext(ctx, "SELECT series, year, n FROM letter WHERE submission = ? AND part = ?", sub, id.Part()).Scan(&n.Series, &n.Year, &n.N)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return n.Identifier(), err
}
