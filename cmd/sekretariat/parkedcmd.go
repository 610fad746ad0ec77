package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"sekretariat"
	"sekretariat/register/index"
)

// parkedFlags are the flags of parked list, release, set and confirm-junk.
type parkedFlags struct {
	in                 centreFlags
	letter             string
	category, division string
}

// parkedCommand looks at what was set aside before it got a number, and decides
// on it. It shows ids and reasons, no content: whoever runs commands has no
// right to that (rule P5).
func parkedCommand(ctx context.Context, c *cli) error {
	f := c.flags("parked " + c.sub)
	var o parkedFlags
	o.in.add(f)
	f.StringVar(&o.letter, "letter", "", "id of the letter, as `parked list` shows it")
	f.StringVar(&o.category, "category", "", "set: robocze, wewnetrzne or informacyjne")
	f.StringVar(&o.division, "department", "", "set: a department that gets it into its queue without a number")
	if _, err := c.parse(f); err != nil {
		return err
	}
	h, centre, err := o.in.open(ctx, c)
	if err != nil {
		return err
	}
	defer h.close()
	if c.sub == "list" {
		return parkedList(ctx, c, h, centre)
	}
	id, err := sekretariat.ParseLetterID(o.letter)
	if err != nil {
		return usagef("name the letter by its id: --letter …; `sekretariat parked list` shows them")
	}
	p := h.commands(centre, nil)
	who := commandLine(centre.cfg.ID)
	switch c.sub {
	case "release":
		err = p.Release(ctx, who, id)
	case "set":
		err = p.Park(ctx, who, id, sekretariat.ParkReason(o.category), sekretariat.DepartmentID(o.division))
	case "confirm-junk":
		err = p.ConfirmJunk(ctx, who, id)
	default:
		return usagef("say: sekretariat parked list|release|set|confirm-junk")
	}
	if err == nil {
		fmt.Fprintln(c.stdout, "done")
	}
	return err
}

func parkedList(ctx context.Context, c *cli, h *house, centre *centreHouse) error {
	ix, cleanup, err := h.freshIndex(ctx, centre)
	if err != nil {
		return err
	}
	defer cleanup()
	t := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ARRIVED\tREASON\tACCOUNT\tUNTIL\tJUNK CONFIRMED\tLETTER")
	n, err := eachRow(func(page index.Page) ([]index.Row, string, error) {
		return ix.Parked(ctx, commandLine(centre.cfg.ID), page)
	},
		func(r index.Row) {
			until, junk := "", ""
			if !r.Hold.IsZero() {
				until = minute(r.Hold)
			}
			if r.Junk != nil {
				junk = minute(r.Junk.At) + " " + r.Junk.By
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", minute(r.Arrived), r.Reason, r.Account, until, junk, r.Letter)
		})
	if err != nil {
		return err
	}
	fmt.Fprintf(t, "%d parked\n", n)
	return t.Flush()
}

// eachRow calls fn for each row of a list, page by page, and counts them.
func eachRow(list func(index.Page) ([]index.Row, string, error), fn func(index.Row)) (n int, err error) {
	for page := (index.Page{}); ; {
		rows, next, err := list(page)
		if err != nil {
			return n, err
		}
		for _, r := range rows {
			fn(r)
			n++
		}
		if page.After = next; next == "" {
			return n, nil
		}
	}
}

// minute writes a time as the office's clock shows it.
func minute(t time.Time) string { return t.In(sekretariat.Warsaw()).Format("2006-01-02 15:04") }
