package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"sekretariat"
	"sekretariat/pipeline/outbox"
	"sekretariat/register/index"
)

// outboxCommand lists acknowledgements and what became of them: by number and
// letter, never by address.
func outboxCommand(ctx context.Context, c *cli) error {
	f := c.flags("outbox " + c.sub)
	var in centreFlags
	in.add(f)
	state := f.String("state", "", "only this state: planned, sending, waiting, sent, failed, bounced, suppressed; default what is not settled")
	if _, err := c.parse(f); err != nil {
		return err
	}
	if c.sub != "list" {
		return usagef("say: sekretariat outbox list")
	}
	h, centre, err := in.open(ctx, c)
	if err != nil {
		return err
	}
	defer h.close()
	return outboxList(ctx, c, h, centre, sekretariat.AckState(*state))
}

func outboxList(ctx context.Context, c *cli, h *house, centre *centreHouse, state sekretariat.AckState) error {
	ix, cleanup, err := h.freshIndex(ctx, centre)
	if err != nil {
		return err
	}
	defer cleanup()
	var states []sekretariat.AckState
	if state != "" {
		states = []sekretariat.AckState{state}
	}
	t := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NUMBER\tSTATE\tATTEMPTS\tSINCE\tNEXT\tCODE\tLETTER")
	n, err := eachRow(func(page index.Page) ([]index.Row, string, error) {
		return ix.Outbox(ctx, commandLine(centre.cfg.ID), states, page)
	}, func(r index.Row) {
		due := ""
		if r.Ack.State.Open() {
			due = minute(r.Ack.Due)
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%s\t%s\n", centre.cfg.Print(r.Number), r.Ack.State, r.Ack.Attempt, minute(r.Ack.At), due, explained(r.Ack.Code), r.Letter)
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(t, "%d acknowledgements\n", n)
	return t.Flush()
}

func explained(code string) string {
	if code == "" {
		return ""
	}
	return code + " (" + outbox.Polish(code) + ")"
}
