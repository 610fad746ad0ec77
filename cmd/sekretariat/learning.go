package main

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"sekretariat"
	"sekretariat/pipeline/learning"
)

// teacher teaches a centre's router.
func (h *house) teacher(c *centreHouse) *learning.Teacher {
	return learning.New(learning.Options{Centre: c.cfg, Log: c.log, Vault: h.vault, Router: c.router, Logger: h.log})
}

// learningCommand shows what was taught and what it is good for, and takes a
// letter out of it.
func learningCommand(ctx context.Context, c *cli) error {
	f := c.flags("learning " + c.sub)
	var in centreFlags
	in.add(f)
	letter := f.String("letter", "", "forget: id of the letter")
	asJSON := f.Bool("json", false, "show: print the report as JSON")
	if _, err := c.parse(f); err != nil {
		return err
	}
	if c.sub != "show" && c.sub != "forget" {
		return usagef("say: sekretariat learning show | learning forget --letter ID")
	}
	h, centre, err := in.open(ctx, c)
	if err != nil {
		return err
	}
	defer h.close()
	if c.sub == "forget" {
		id, err := sekretariat.ParseLetterID(*letter)
		if err != nil {
			return usagef("name the letter by its id: --letter …")
		}
		p := h.commands(centre, nil)
		if err := p.Unlearn(ctx, commandLine(centre.cfg.ID), id); err != nil {
			return err
		}
		fmt.Fprintln(c.stdout, "done")
		return nil
	}
	t := h.teacher(centre)
	if err := t.Load(ctx); err != nil {
		return err
	}
	rep := learning.Measure(centre.router, t.Taught())
	if *asJSON {
		return json.NewEncoder(c.stdout).Encode(rep)
	}
	return printLearning(c, centre, rep)
}

func printLearning(c *cli, centre *centreHouse, rep learning.Report) error {
	fmt.Fprintf(c.stdout, "learning: %s; %d examples, of which %d against the shipped model; layer %s\n",
		centre.cfg.Routing.Learning, rep.Examples, rep.Corrections, rep.Version)
	t := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "DEPARTMENT\tMONTH\tLETTERS\tRIGHT BEFORE\tRIGHT AFTER\tRIGHT WHEN SURE\tMODE")
	for _, r := range rep.Rows {
		month, mode := r.Month, ""
		if month == "" {
			month, mode = "all", string(centre.cfg.ModeFor(r.Department, ""))
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%s\t%s\n", r.Department, month, r.Letters,
			precision(r.RightBefore, r.SaidBefore), precision(r.RightAfter, r.SaidAfter), precision(r.SureRight, r.SureSaid), mode)
	}
	return t.Flush()
}

// precision is right of said, in words.
func precision(right, said int) string {
	if said == 0 {
		return "—"
	}
	return fmt.Sprintf("%d of %d (%.0f %%)", right, said, 100*float64(right)/float64(said))
}
