package terms

import (
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sekretariat"
)

//go:embed deadlines.tsv
var table string

// Term is one line of the table of deadlines.
type Term struct {
	Code   string
	Matter string // what must be done, Polish
	Amount int
	Unit   string // day, workday, month, now
	From   string // the event that starts it, Polish
	Stops  string // what stops it, Polish
	Basis  string // paragraph of law
	Sure   string // how sure the table is, Polish
}

// Table lists the deadlines in the order of the file.
var Table = mustRead(table)

// mustRead reads the built-in table; the first test that imports the package
// finds a mistake in it.
func mustRead(tsv string) []Term {
	list, err := read(tsv)
	if err != nil {
		panic(err)
	}
	return list
}

func read(tsv string) ([]Term, error) {
	var out []Term
	for i, line := range strings.Split(strings.TrimSpace(tsv), "\n") {
		f := strings.Split(line, "\t")
		if i == 0 {
			continue
		}
		if len(f) != 8 {
			return nil, fmt.Errorf("deadlines, line %d: %d fields, want 8", i+1, len(f))
		}
		n, err := strconv.Atoi(f[2])
		if err != nil || !slices.Contains([]string{"day", "workday", "month", "now"}, f[3]) {
			return nil, fmt.Errorf("deadlines, line %d: amount %q %q", i+1, f[2], f[3])
		}
		out = append(out, Term{f[0], f[1], n, f[3], f[4], f[5], f[6], f[7]})
	}
	return out, nil
}

// ByCode returns a line of the table.
func ByCode(code string) (Term, bool) {
	i := slices.IndexFunc(Table, func(t Term) bool { return t.Code == code })
	if i < 0 {
		return Term{}, false
	}
	return Table[i], true
}

// Due is the last day of a term that starts with an event on a day (Warsaw).
func (t Term) Due(start time.Time) time.Time {
	y, m, d := start.In(sekretariat.Warsaw()).Date()
	day := date(y, m, d)
	switch t.Unit {
	case "workday":
		return addWorkdays(day, t.Amount)
	case "month":
		return onWorkday(addMonths(day, t.Amount))
	case "day":
		return onWorkday(day.AddDate(0, 0, t.Amount))
	}
	return day
}

// Deadline starts the clock.
func (t Term) Deadline(start time.Time) sekretariat.Deadline {
	d := sekretariat.Deadline{Code: t.Code, Start: sekretariat.Day(start)}
	if t.Unit != "now" {
		d.Due = t.Due(start).Format(time.DateOnly)
	}
	return d
}

// Text tells a deadline to a clerk: what, until when, by which law, what stops
// it.
func Text(d sekretariat.Deadline) string {
	t, ok := ByCode(d.Code)
	switch {
	case !ok:
		return d.Code + ": do " + d.Due
	case d.Due == "":
		return fmt.Sprintf("%s – niezwłocznie (%s); kończy: %s", t.Matter, t.Basis, t.Stops)
	}
	return fmt.Sprintf("%s – do %s (%s); kończy: %s", t.Matter, d.Due, t.Basis, t.Stops)
}

// Facts are what the clocks of a letter depend on.
type Facts struct {
	Kind        string // wniosek, odwolanie, …
	Label       string
	Urgent      bool
	Institution bool
	Forward     bool            // the matter belongs to another authority
	Words       map[string]bool // codes of words.go that the letter has
}

// For lists the clocks that a letter starts, most pressing first.
func For(f Facts, arrived time.Time) []sekretariat.Deadline {
	var codes []string
	add := func(when bool, code string) {
		if when && !slices.Contains(codes, code) {
			codes = append(codes, code)
		}
	}
	if f.Forward {
		add(f.Kind == "skarga", "kpa231")
		add(f.Kind != "skarga", "kpa65")
		return deadlines(codes, arrived)
	}
	need := slices.Contains([]string{"pomoc-srodowiskowa", "zasilki-stale", "bezdomnosc", "uslugi-opiekuncze", "asysta-rodzinna"}, f.Label)
	asks := f.Kind == "wniosek" || f.Kind == "zawiadomienie" || f.Kind == "zapytanie"
	add(f.Words["nk-a"] && f.Label == "przemoc", "nk_grupa")
	add(f.Urgent && asks && (need || f.Label == "przemoc"), "wywiad_pilny")
	add(f.Words["ponaglenie"], "kpa37")
	add(f.Words["skarga-wsa"], "ppsa54")
	add(f.Kind == "odwolanie" && f.Label == "orzecznictwo", "zon_odw")
	add(f.Kind == "odwolanie" && f.Label != "orzecznictwo" && !f.Words["skarga-wsa"], "kpa133")
	add(f.Words["informacja-publiczna"], "udip13")
	add(f.Words["rodo"], "rodo12")
	add(f.Words["petycja"], "petycja")
	add(f.Kind == "wniosek" && f.Words["zaswiadczenie"], "kpa217")
	add(f.Kind == "skarga" && !f.Words["skarga-wsa"], "kpa237")
	if f.Kind == "wniosek" && !f.Institution && !f.Words["zaswiadczenie"] {
		add(need && !f.Urgent, "wywiad")
		add(f.Label == "orzecznictwo", "zon")
		add(f.Label != "orzecznictwo" && f.Label != string(sekretariat.Sekretariat), "kpa35")
	}
	return deadlines(codes, arrived)
}

func deadlines(codes []string, arrived time.Time) []sekretariat.Deadline {
	var out []sekretariat.Deadline
	for _, c := range codes {
		if t, ok := ByCode(c); ok {
			out = append(out, t.Deadline(arrived))
		}
	}
	return out
}
