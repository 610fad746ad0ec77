// Command sekretariat takes in what citizens send to a welfare centre, registers
// it and puts it into the queue of the right department. One binary holds every
// role and every tool; `sekretariat help` lists them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the linker.
var version = "dev"

// command is one subcommand.
type command struct {
	name, args, help string
	run              func(ctx context.Context, c *cli) error
}

// commands in the order of the help. read-child is not for people.
var commands = []command{
	{"serve", "--config FILE", "run everything, or the roles of the configuration, until SIGTERM", serveAll},
	{"ingest", "--config FILE", "run only the channels (mailboxes, skrytki, boxes)", serveRole("ingest")},
	{"route", "--config FILE | --explain FILE …", "run only sorting, register, reading, routing, journal; with --explain: decide on files and say why", routeFile},
	{"desk", "--config FILE", "run only the API and the read model", serveRole("desk")},
	{"init", "--config FILE | --dir DIR", "write the secrets that an installation needs", initSecrets},
	{"check-config", "FILE …", "check configuration files and say what is not known yet", checkConfig},
	{"config apply", "--config FILE", "store the centre profiles as the active configuration", configApply},
	{"check-channel", "NAME --config FILE", "try a configured channel without taking anything; says what is wrong", checkChannel},
	{"demo", "[--data DIR]", "start everything embedded and send 30 sample letters through real doors", demo},
	{"mailbox dry-run|authorize", "NAME --config FILE", "count what a first contact would take in, changing nothing; get the right to open a mailbox (OAuth2)", mailboxCommand},
	{"secret set", "MAILBOX --config FILE", "try and set a mailbox's password, from the terminal or standard input, without a restart", secretCommand},
	{"queue list|next|watch", "--department X [--exec CMD] [--ack]", "look at or consume a department's queue", queueCommand},
	{"parked list|release|set|confirm-junk", "[--letter ID] [--category C]", "look at mail that was set aside before registration, and decide on it", parkedCommand},
	{"alarms list|take", "[--centre C] [--json] [--letter ID --by ACCOUNT]", "dangers that nobody has taken, alarms in a hundred letters; take one", alarmsCommand},
	{"learning show|forget", "[--centre C] [--json] [--letter ID]", "what people's decisions taught the router, with its precision before and after; take a letter out of it", learningCommand},
	{"simulate", "--config FILE [--model FILE|off] [--format text|csv|json] [--activate]", "what a changed configuration or model would do to the letters that there are, before it is activated", simulateCommand},
	{"outbox list", "[--state S]", "acknowledgements of receipt: what waits, failed, was sent", outboxCommand},
	{"token create|revoke|list", "--centre C [--department X | --box B | --register]", "access tokens of department systems and scanners", tokenCommand},
	{"box emptied|counted|report", "BOX --envelopes N --by NAME", "custody of a drop box: who emptied it when, with how many envelopes, and what became of them", boxCommand},
	{"device password", "", "make the hash of a scanner's password for the configuration; the password comes from the terminal or standard input", deviceCommand},
	{"user add|password|disable|enable|list", "LOGIN --name N --role R [--department X,…]", "accounts of the page; the password comes from the terminal or standard input", userCommand},
	{"inspect", "FILE … [--json] [--trust FILE] [--password-file FILE] [--virus-scan SOCKET] | --letter ID", "show what is read in a mail, letter or scan, without registering it; or what hangs together with a letter", inspect},
	{"eval", "FILE.jsonl … [--errors] [--json]", "measure the router on labelled letters", evalCommand},
	{"train", "--letters DIR --out FILE", "make the router's model from labelled letters, with cross-validation", trainCommand},
	{"verify", "[--deep] [--json]", "check every promise against ledger and objects", verifyCommand},
	{"rebuild", "", "rebuild index and lost streams from objects and journal", rebuildCommand},
	{"letter split|join|received", "--letter ID [--off PATHS …] [--into ID] [--day D] --reason R", "make several letters of one, take one back, correct the day of receipt", letterCommand},
	{"register export", "--format csv|jsonl", "write the register", exportCommand},
	{"register backdated", "[--from D] [--to D]", "letters whose day of receipt lies before that of their registration", backdatedList},
	{"ready", "[--url URL]", "ask a running service whether it can register; for health checks", readyCommand},
	{"bench intake|latency|start|ocr", "", "measure the intake against mbsync, one letter on a quiet system, a start with many letters, or text recognition against OCRmyPDF", benchCommand},
	{"read-child", "", "", readChild},
}

// cli is what a subcommand gets: its arguments and the outside world.
type cli struct {
	args           []string
	sub            string // second word, for "queue list" and the like
	stdin          io.Reader
	stdout, stderr io.Writer
}

// usageError is the operator's mistake: exit status 2, no stack, the way out.
type usageError struct{ msg string }

func (u usageError) Error() string { return u.msg }

func usagef(format string, a ...any) error { return usageError{fmt.Sprintf(format, a...)} }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		help(stdout)
		return 0
	}
	if args[0] == "version" {
		fmt.Fprintln(stdout, version)
		return 0
	}
	cmd, c := find(args)
	if cmd == nil {
		fmt.Fprintf(stderr, "sekretariat: there is no command %q; see: sekretariat help\n", args[0])
		return 2
	}
	c.stdin, c.stdout, c.stderr = stdin, stdout, stderr
	err := cmd.run(ctx, c)
	var usage usageError
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "sekretariat %s: %s\n", cmd.name, usage.msg)
		return 2
	}
	fmt.Fprintf(stderr, "sekretariat %s: %v\n", cmd.name, err)
	return 1
}
