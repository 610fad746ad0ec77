package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"text/tabwriter"

	"sekretariat"
	"sekretariat/register/index"
)

// letterFlags choose a letter of an installation.
type letterFlags struct {
	in             installationFlags
	centre, letter string
}

func (o *letterFlags) add(f *flag.FlagSet) {
	o.in.add(f)
	f.StringVar(&o.centre, "centre", "", "with --letter: centre, when there are several")
	f.StringVar(&o.letter, "letter", "", "show what hangs together with this letter of the installation, instead of a file")
}

// inspectLetter shows what the register knows around a letter: its receipts,
// the other letters of its matter, its acknowledgement. No content.
func inspectLetter(ctx context.Context, c *cli, o letterFlags) error {
	id, err := sekretariat.ParseLetterID(o.letter)
	if err != nil {
		return usagef("%q is no id of a letter; `sekretariat register export` shows them", o.letter)
	}
	h, err := o.in.openFor(ctx, c)
	if err != nil {
		return err
	}
	defer h.close()
	centre, err := h.centre(o.centre)
	if err != nil {
		return err
	}
	ix, cleanup, err := h.freshIndex(ctx, centre)
	if err != nil {
		return err
	}
	defer cleanup()
	err = printAround(ctx, c.stdout, ix, commandLine(centre.cfg.ID), id)
	if errors.Is(err, index.ErrNotFound) {
		return fmt.Errorf("there is no letter %s here, or it is closed", id)
	}
	return err
}

func printAround(ctx context.Context, w io.Writer, ix *index.Index, who sekretariat.Principal, id sekretariat.LetterID) error {
	l, err := ix.Letter(ctx, who, id)
	if err != nil {
		return err
	}
	receipts, err := ix.Receipts(ctx, who, id)
	if err != nil {
		return err
	}
	matter, err := ix.Matter(ctx, who, id)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "letter\t%s\t%s\t%s\t%s\n", l.ID, l.Number.Printed(), l.Status, l.Department)
	if l.Status == sekretariat.StatusParked {
		fmt.Fprintf(t, "parked\t%s\t%s\n", l.Reason, l.Reason.Polish())
	}
	for _, r := range receipts {
		fmt.Fprintf(t, "receipt\t%s\t%s\t%s\tseen again %d times\n", r.Letter, r.Account, minute(r.Arrived.At), r.Repeats)
	}
	for _, r := range matter {
		fmt.Fprintf(t, "same matter\t%s\t%s\t%s\t%s\n", r.Letter, r.Number.Printed(), r.Status, r.Department)
	}
	if l.Ack != nil {
		fmt.Fprintf(t, "acknowledgement\t%s\t%s\t%s\n", l.Ack.State, minute(l.Ack.At), explained(l.Ack.Code))
	}
	for _, f := range l.Failures {
		fmt.Fprintf(t, "failure\t%s\t%s\n", f.Step, f.Code)
	}
	return t.Flush()
}
