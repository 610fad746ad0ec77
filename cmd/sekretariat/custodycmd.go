package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"sekretariat"
	"sekretariat/register/custody"
)

// bookOf is the custody of a centre.
func (h *house) bookOf(c *centreHouse) *custody.Book {
	return &custody.Book{Centre: c.cfg, Log: c.log, Vault: h.vault, Clock: sekretariat.SystemClock}
}

// emptied tells the doors of a box which emptying a scan belongs to. Trouble
// with asking never holds a scan up: the report finds it by its time.
func (s *service) emptied(ctx context.Context, centre sekretariat.CentreID, box string, at time.Time) (sekretariat.Arrival, string, bool) {
	for _, c := range s.centres {
		if c.cfg.ID != centre {
			continue
		}
		e, ok, err := s.bookOf(c).Current(ctx, box, at)
		if err != nil {
			s.log.Warn().Err(err).Str("box", box).Msg("the emptying of a box cannot be asked for; its scan counts as arrived when it was scanned")
			return sekretariat.Arrival{}, "", false
		}
		return sekretariat.Arrival{At: e.At, Basis: sekretariat.BasisEmptied}, e.Emptying, ok
	}
	return sekretariat.Arrival{}, "", false
}

// boxFlags are the flags of box emptied, counted and report.
type boxFlags struct {
	in                      centreFlags
	at, format              string
	first, second, remark   string
	emptying, reason, since string
	envelopes               int
}

// boxCommand keeps the custody of a drop box: who emptied it, with how many
// envelopes, and what became of them. It shows no names of senders.
func boxCommand(ctx context.Context, c *cli) error {
	f := c.flags("box " + c.sub)
	var o boxFlags
	o.in.add(f)
	f.StringVar(&o.at, "at", "", "emptied: when, 2006-01-02T15:04 in Polish time; default now")
	f.IntVar(&o.envelopes, "envelopes", -1, "emptied, counted: how many envelopes there are")
	f.StringVar(&o.first, "by", "", "emptied: who emptied it")
	f.StringVar(&o.second, "with", "", "emptied: the second person")
	f.StringVar(&o.remark, "remark", "", "emptied: anything unusual")
	f.StringVar(&o.emptying, "emptying", "", "counted: id of the emptying, as the report shows it")
	f.StringVar(&o.reason, "reason", "", "counted: why the number was wrong")
	f.StringVar(&o.since, "since", "", "report: from this day, 2006-01-02; default a week ago")
	f.StringVar(&o.format, "format", "text", "report: text or csv")
	args, err := c.parse(f)
	if err != nil {
		return err
	}
	if len(args) != 1 {
		return usagef("name one box: sekretariat box %s BOX", c.sub)
	}
	h, centre, err := o.in.open(ctx, c)
	if err != nil {
		return err
	}
	defer h.close()
	book, by := h.bookOf(centre), commandLine(centre.cfg.ID).ID
	switch c.sub {
	case "emptied":
		return boxEmptied(ctx, c, book, args[0], o, by)
	case "counted":
		if o.emptying == "" || o.envelopes < 0 {
			return usagef("say which emptying and how many: --emptying ID --envelopes N --reason WHY")
		}
		if err := book.Count(ctx, args[0], o.emptying, o.envelopes, o.reason, by); err != nil {
			return err
		}
		fmt.Fprintln(c.stdout, "done")
		return nil
	case "report":
		return boxReport(ctx, c, book, args[0], o)
	}
	return usagef("say: sekretariat box emptied|counted|report BOX")
}

func boxEmptied(ctx context.Context, c *cli, book *custody.Book, box string, o boxFlags, by string) error {
	at := sekretariat.SystemClock()
	if o.at != "" {
		var err error
		if at, err = time.ParseInLocation("2006-01-02T15:04", o.at, sekretariat.Warsaw()); err != nil {
			return usagef("--at %q is no time: write 2006-01-02T15:04", o.at)
		}
	}
	if o.envelopes < 0 {
		return usagef("say how many envelopes there were: --envelopes N (0 if none)")
	}
	e, err := book.Record(ctx, box, at, o.envelopes, custody.Persons{First: o.first, Second: o.second, Remark: o.remark}, by)
	if err != nil {
		return err
	}
	fmt.Fprintln(c.stdout, e.Emptying)
	return nil
}

func boxReport(ctx context.Context, c *cli, book *custody.Book, box string, o boxFlags) error {
	since := sekretariat.SystemClock().AddDate(0, 0, -7)
	if o.since != "" {
		var err error
		if since, err = time.ParseInLocation(time.DateOnly, o.since, sekretariat.Warsaw()); err != nil {
			return usagef("--since %q is no day: write 2006-01-02", o.since)
		}
	}
	lines, err := book.Report(ctx, box, since)
	if err != nil {
		return err
	}
	head := []string{"OPRÓŻNIENIE", "KIEDY", "KTO", "KOPERT", "PISM", "PLIKÓW", "RÓŻNICA", "NUMERY"}
	rows := [][]string{head}
	for _, l := range lines {
		row, err := reportRow(ctx, book, l)
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	return writeRows(c.stdout, rows, o.format == "csv")
}

func reportRow(ctx context.Context, book *custody.Book, l custody.Line) ([]string, error) {
	who, err := book.Names(ctx, l.Emptying)
	if err != nil {
		return nil, err
	}
	names := who.First
	if who.Second != "" {
		names += ", " + who.Second
	}
	var numbers []string
	for _, b := range l.Batches {
		for _, n := range b.Numbers {
			numbers = append(numbers, n.Identifier())
		}
	}
	return []string{
		l.EmptiedData.Emptying, minute(l.At), names, strconv.Itoa(l.Counted), strconv.Itoa(l.Letters), strconv.Itoa(len(l.Batches)),
		l.Question(), strings.Join(numbers, " "),
	}, nil
}

// writeRows writes a table for people, or CSV with semicolons as Polish
// spreadsheets expect it. Fields that a spreadsheet would take for a formula are
// marked as text.
func writeRows(w io.Writer, rows [][]string, asCSV bool) error {
	if !asCSV {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, r := range rows {
			fmt.Fprintln(t, strings.Join(r, "\t"))
		}
		return t.Flush()
	}
	c := csv.NewWriter(w)
	c.Comma, c.UseCRLF = ';', true
	for _, r := range rows {
		for i, field := range r {
			if field != "" && strings.ContainsRune("=+-@\t\r", rune(field[0])) {
				r[i] = "'" + field
			}
		}
		if err := c.Write(r); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
	}
	c.Flush()
	return c.Error()
}
