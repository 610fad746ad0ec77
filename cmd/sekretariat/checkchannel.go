package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/ingest"
	"sekretariat/ingest/edelivery"
	"sekretariat/ingest/epuap"
)

// checkTime is how long trying one channel out may take.
const checkTime = 6 * time.Minute

// checkChannel tries a configured channel out without taking anything.
func checkChannel(ctx context.Context, c *cli) error {
	f := c.flags("check-channel")
	var in installationFlags
	in.add(f)
	centre := f.String("centre", "", "centre, when the installation has several")
	args, err := c.parse(f)
	if err != nil {
		return err
	}
	if len(args) != 1 {
		return usagef("name one channel: sekretariat check-channel NAME --config FILE")
	}
	cfg, err := in.load()
	if err != nil {
		return err
	}
	ch, err := checkable(cfg, sekretariat.CentreID(*centre), args[0])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	return printChecks(c.stdout, ch.Check(ctx))
}

// checkable makes the channel of an account so that it can be tried out. The
// name is the account's id, or centre/id as in the log.
func checkable(cfg *configs.Installation, centre sekretariat.CentreID, name string) (ingest.Checkable, error) {
	if c, id, ok := strings.Cut(name, "/"); ok {
		centre, name = sekretariat.CentreID(c), id
	}
	var known []string
	for _, c := range cfg.Profiles {
		if centre != "" && c.ID != centre {
			continue
		}
		for _, a := range checkables(cfg, c) {
			if a.ID != name {
				known = append(known, string(c.ID)+"/"+a.ID)
				continue
			}
			if len(a.Missing) > 0 {
				return nil, fmt.Errorf("kanał „%s” jest wyłączony, bo brakuje: %s. Uzupełnij profil ośrodka", name, strings.Join(a.Missing, ", "))
			}
			return a.make()
		}
	}
	return nil, usagef("there is no channel %q that can be tried; there are: %s", name, strings.Join(known, ", "))
}

// candidate is an account whose channel can be tried out.
type candidate struct {
	configs.Account
	make func() (ingest.Checkable, error)
}

// checkables lists the accounts of a centre that can be tried out, also those
// that are switched off: one tries before one switches on.
func checkables(cfg *configs.Installation, c *configs.Centre) []candidate {
	var out []candidate
	for _, m := range c.Mailboxes {
		if m.Pulled() || !m.Door {
			out = append(out, candidate{m.Account, func() (ingest.Checkable, error) { return triedMailbox(cfg, c.ID, m) }})
		}
	}
	for _, e := range c.EPUAP {
		if e.URL == "" && e.Push {
			continue // the platform calls us: there is nothing to try from here
		}
		out = append(out, candidate{e.Account, func() (ingest.Checkable, error) {
			return epuap.New(epuap.Options{Centre: c.ID, Account: e, Receiver: closedReceiver{}, Clock: sekretariat.SystemClock, Logger: zerolog.Nop()})
		}})
	}
	for _, e := range c.EDelivery {
		out = append(out, candidate{e.Account, func() (ingest.Checkable, error) {
			return edelivery.New(edelivery.Options{Centre: c.ID, Account: e, Receiver: closedReceiver{}, Cursors: noCursors{}, Clock: sekretariat.SystemClock, Logger: zerolog.Nop()})
		}})
	}
	return out
}

// errClosedReceiver: trying a channel out takes nothing in.
var errClosedReceiver = errors.New("nothing is taken in while a channel is tried out")

// closedReceiver is the receiver of a channel that is only tried out.
type closedReceiver struct{}

func (closedReceiver) Take(context.Context, sekretariat.Delivery, io.Reader) (ingest.Ticket, error) {
	return nil, errClosedReceiver
}

func (closedReceiver) Seen(context.Context, sekretariat.CentreID, sekretariat.SeenData) error {
	return errClosedReceiver
}

func (closedReceiver) Park(context.Context, sekretariat.Delivery, sekretariat.ParkReason, string) (sekretariat.Receipt, error) {
	return sekretariat.Receipt{}, errClosedReceiver
}

// verdictWords are what an administrator reads before each step.
var verdictWords = map[ingest.Verdict]string{
	ingest.CheckGood: "[dobrze]   ", ingest.CheckDoubt: "[uwaga]    ", ingest.CheckBad: "[źle]      ", ingest.CheckSkipped: "[pominięto]",
}

// printChecks prints what was found and fails if something is bad.
func printChecks(w io.Writer, checks []ingest.Check) error {
	bad := 0
	for _, k := range checks {
		fmt.Fprintf(w, "%s %s: %s\n", verdictWords[k.Verdict], k.What, oneLine(k.Text, 2000))
		if k.Verdict == ingest.CheckBad {
			bad++
		}
	}
	if bad > 0 {
		return fmt.Errorf("kanał nie zadziała: %d z %d sprawdzeń wypadło źle", bad, len(checks))
	}
	return nil
}
