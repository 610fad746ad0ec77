package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"sekretariat"
	"sekretariat/extract"
	"sekretariat/pipeline"
	"sekretariat/register/index"
)

// pieceFlags collects --off 2,3 --off text,4.
type pieceFlags []pipeline.Piece

// String implements flag.Value.
func (p *pieceFlags) String() string { return "" }

// Set implements flag.Value.
func (p *pieceFlags) Set(v string) error {
	paths, text, _ := sekretariat.ParsePartsRange("parts:" + v)
	if len(paths) == 0 {
		return fmt.Errorf("name files by their paths, for example 2,3")
	}
	*p = append(*p, pipeline.Piece{Parts: paths, Text: text})
	return nil
}

// letterCommand splits and joins letters and corrects the day of receipt. It
// works on ids and paths and shows no content: whoever runs commands has no right
// to that (rule P5).
func letterCommand(ctx context.Context, c *cli) error {
	f := c.flags("letter " + c.sub)
	var in centreFlags
	in.add(f)
	var off pieceFlags
	letter := f.String("letter", "", "id of the letter")
	into := f.String("into", "", "join: id of the letter that takes it over")
	day := f.String("day", "", "received: day of receipt, RRRR-MM-DD")
	reason := f.String("reason", "", "why, in words; kept with the letter, sealed")
	f.Var(&off, "off", "split: files of one new letter by their paths, and the message itself by the word text (2,3 or text,4); repeat it for each new letter")
	if err := c.parseOnly(f); err != nil {
		return err
	}
	id, err := sekretariat.ParseLetterID(*letter)
	if err != nil {
		return usagef("name the letter by its id: --letter …; `sekretariat register export` shows them")
	}
	h, centre, err := in.open(ctx, c)
	if err != nil {
		return err
	}
	defer h.close()
	pool, err := readPool(c, extract.PoolOptions{})
	if err != nil {
		return err
	}
	defer pool.Close()
	p := h.commands(centre, pool)
	who := commandLine(centre.cfg.ID)
	l, err := p.Letter(ctx, who, id)
	if err != nil {
		return err
	}
	switch c.sub {
	case "split":
		ids, err := p.Split(ctx, who, id, l.Revision, off, *reason)
		for _, n := range ids {
			fmt.Fprintln(c.stdout, n)
		}
		return err
	case "join":
		to, err := sekretariat.ParseLetterID(*into)
		if err != nil {
			return usagef("name the letter that takes it over: --into ID")
		}
		return p.Join(ctx, who, id, l.Revision, to, *reason)
	case "received":
		return p.Redate(ctx, who, id, l.Redated, strings.TrimSpace(*day), *reason)
	}
	return usagef("say: sekretariat letter split|join|received")
}

// backdatedList lists letters whose day of receipt lies before that of their
// registration, with what the day rests on (rule P2). The words of people are
// shown on the page, to those who may read them.
func backdatedList(ctx context.Context, c *cli) error {
	f := c.flags("register backdated")
	var in installationFlags
	in.add(f)
	name := f.String("centre", "", "centre, when there are several")
	from := f.String("from", "", "data wpływu from, RRRR-MM-DD")
	to := f.String("to", "", "data wpływu to, RRRR-MM-DD")
	if err := c.parseOnly(f); err != nil {
		return err
	}
	h, err := in.openFor(ctx, c)
	if err != nil {
		return err
	}
	defer h.close()
	centre, err := h.centre(*name)
	if err != nil {
		return err
	}
	return printBackdated(ctx, c, h, centre, *from, *to)
}

func printBackdated(ctx context.Context, c *cli, h *house, centre *centreHouse, from, to string) error {
	ix, cleanup, err := h.freshIndex(ctx, centre)
	if err != nil {
		return err
	}
	defer cleanup()
	t := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NUMBER\tRECEIVED\tREGISTERED\tBASIS\tCHANGED\tLETTER")
	n, err := eachRow(func(page index.Page) ([]index.Row, string, error) {
		return ix.Register(ctx, commandLine(centre.cfg.ID), index.Filter{From: from, To: to, Backdated: true}, page)
	}, func(r index.Row) {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\n", centre.cfg.Print(r.Number), sekretariat.Day(r.Arrived), sekretariat.Day(r.Registered), r.Basis, r.Redated, r.Letter)
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(t, "%d back-dated\n", n)
	return t.Flush()
}
