package main

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"sekretariat"
	"sekretariat/desk/api"
	"sekretariat/pipeline/alarm"
)

// watchAlarms keeps the board of a centre, and where letters are routed lets
// alarms climb.
func (s *service) watchAlarms(ctx context.Context, c *centreHouse) error {
	board := s.boards[c.cfg.ID]
	return s.untilDone(ctx, "alarms", func(ctx context.Context) error {
		if !s.roles.route {
			return board.Follow(ctx, func() error { return nil })
		}
		k := &alarm.Keeper{Centre: c.cfg, Board: board, Climber: s.pipelines[c.cfg.ID], Clock: sekretariat.SystemClock, Logger: s.log}
		return k.Run(ctx)
	})
}

// alarmsCommand lists the dangers that nobody has taken, and takes one.
func alarmsCommand(ctx context.Context, c *cli) error {
	f := c.flags("alarms " + c.sub)
	var in centreFlags
	in.add(f)
	letter := f.String("letter", "", "take: id of the letter")
	by := f.String("by", machineUser(), "take: who answers for it, id of an account of the page")
	asJSON := f.Bool("json", false, "list: print as JSON")
	if _, err := c.parse(f); err != nil {
		return err
	}
	if c.sub != "list" && c.sub != "take" {
		return usagef("say: sekretariat alarms list | alarms take --letter ID")
	}
	h, centre, err := in.open(ctx, c)
	if err != nil {
		return err
	}
	defer h.close()
	who := commandLine(centre.cfg.ID)
	if c.sub == "take" {
		id, err := sekretariat.ParseLetterID(*letter)
		if err != nil {
			return usagef("name the letter by its id: --letter …; `sekretariat alarms list` shows them")
		}
		if who.ID, err = h.answering(ctx, centre, *by); err != nil {
			return err
		}
		p := h.commands(centre, nil)
		if err := p.TakeAlarm(ctx, who, id); err != nil {
			return err
		}
		fmt.Fprintln(c.stdout, "done")
		return nil
	}
	board := alarm.NewBoard(centre.cfg.ID, centre.log)
	if err := board.Load(ctx); err != nil {
		return err
	}
	list := api.Alarms{List: board.List(who), Rates: board.Rates()}
	if *asJSON {
		return json.NewEncoder(c.stdout).Encode(list)
	}
	return printAlarms(c, centre, list)
}

func printAlarms(c *cli, centre *centreHouse, list api.Alarms) error {
	t := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "RAISED\tNUMBER\tDEPARTMENT\tTOLD\tLETTER")
	for _, a := range list.Open {
		told := a.To
		if a.Nobody {
			told += " (nobody on duty)"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", minute(a.Raised), centre.cfg.Print(a.Number), a.Department, told, a.Letter)
	}
	fmt.Fprintf(t, "%d open, and %d on closed letters\n\nMONTH\tLETTERS\tPILNE PER 100\tZAGROŻENIE PER 100\n", len(list.Open), list.Hidden)
	for _, r := range list.Rates {
		urgent, danger := r.Per100()
		fmt.Fprintf(t, "%s\t%d\t%.1f\t%.1f\n", r.Month, r.Letters, urgent, danger)
	}
	return t.Flush()
}
