package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/ingest/email"
	"sekretariat/ingest/email/oauth"
	"sekretariat/ledger"
)

// mailOptions are what every channel of a mailbox has, whether it runs or is
// only tried out.
func mailOptions(cfg *configs.Installation, centre sekretariat.CentreID, m configs.Mailbox, log zerolog.Logger) (email.Options, error) {
	o := email.Options{
		Centre: centre, Mailbox: m, Clock: sekretariat.SystemClock, Logger: log, MaxSize: cfg.Limits.Delivery,
		// Read at each login: a new password needs no restart (rule P10).
		Password: func() (string, error) { return secretText(m.Password) },
	}
	if m.OAuth != nil {
		tokens, err := mailTokens(cfg, centre, m, log)
		if err != nil {
			return o, err
		}
		o.Tokens = tokens
	}
	return o, nil
}

// mailTokens is the access of a mailbox by OAuth2.
func mailTokens(cfg *configs.Installation, centre sekretariat.CentreID, m configs.Mailbox, log zerolog.Logger) (*oauth.Source, error) {
	file := m.OAuth.Token
	if file == "" {
		file = filepath.Join(cfg.Data, folderSecrets, fmt.Sprintf("oauth-%s-%s.json", centre, m.ID))
	}
	return oauth.New(oauth.Options{Config: *m.OAuth, User: m.User, File: file, Clock: sekretariat.SystemClock, Logger: log.With().Str("mailbox", m.ID).Logger()})
}

// triedMailbox makes the channel of a mailbox that takes nothing in.
func triedMailbox(cfg *configs.Installation, centre sekretariat.CentreID, m configs.Mailbox) (*email.Channel, error) {
	o, err := mailOptions(cfg, centre, m, zerolog.Nop())
	if err != nil {
		return nil, err
	}
	o.Receiver, o.Cursors, o.Keeper = closedReceiver{}, noCursors{}, noCursors{}
	return email.New(o)
}

// noCursors remember nothing and keep nothing.
type noCursors struct{}

func (noCursors) Cursor(context.Context, string) ([]byte, uint64, error) {
	return nil, 0, ledger.ErrNotFound
}

func (noCursors) SetCursor(context.Context, string, []byte) error { return errClosedReceiver }

func (noCursors) Safe(context.Context, sekretariat.SubmissionID) (time.Time, error) {
	return time.Time{}, errClosedReceiver
}

// findMailbox finds a mailbox by its id, or centre/id as in the log.
func findMailbox(cfg *configs.Installation, centre, name string) (sekretariat.CentreID, configs.Mailbox, error) {
	if c, id, ok := strings.Cut(name, "/"); ok {
		centre, name = c, id
	}
	var known []string
	for _, c := range cfg.Profiles {
		for _, m := range c.Mailboxes {
			if (centre == "" || string(c.ID) == centre) && m.ID == name {
				return c.ID, m, nil
			}
			known = append(known, string(c.ID)+"/"+m.ID)
		}
	}
	return "", configs.Mailbox{}, usagef("there is no mailbox %q; there are: %s", name, strings.Join(known, ", "))
}

// mailboxCommand looks into a mailbox before it is taken over, and gets the
// right to open it.
func mailboxCommand(ctx context.Context, c *cli) error {
	if c.sub != "dry-run" && c.sub != "authorize" {
		return usagef("say: sekretariat mailbox dry-run|authorize NAME --config FILE")
	}
	f := c.flags("mailbox " + c.sub)
	var in installationFlags
	in.add(f)
	centre := f.String("centre", "", "centre, when the installation has several")
	var since string
	var limit time.Duration
	var asJSON bool
	if c.sub == "dry-run" {
		f.StringVar(&since, "since", "", "count with this cut-off day (2026-01-31) instead of the configuration's")
		f.DurationVar(&limit, "time", time.Minute, "longest time to look")
		f.BoolVar(&asJSON, "json", false, "print JSON")
	}
	args, err := c.parse(f)
	if err != nil {
		return err
	}
	if len(args) != 1 {
		return usagef("name one mailbox: sekretariat mailbox %s NAME --config FILE", c.sub)
	}
	cfg, err := in.load()
	if err != nil {
		return err
	}
	id, m, err := findMailbox(cfg, *centre, args[0])
	if err != nil {
		return err
	}
	if len(m.Missing) > 0 {
		return fmt.Errorf("mailbox %s is not complete yet: %s", m.ID, strings.Join(m.Missing, ", "))
	}
	if c.sub == "authorize" {
		return authorize(ctx, c, cfg, id, m)
	}
	if since != "" {
		m.Since = since
	}
	return dryRun(ctx, c, cfg, id, m, limit, asJSON)
}

func dryRun(ctx context.Context, c *cli, cfg *configs.Installation, centre sekretariat.CentreID, m configs.Mailbox, limit time.Duration, asJSON bool) error {
	if !m.Pulled() {
		return fmt.Errorf("mailbox %s has no server: the mail door alone feeds it", m.ID)
	}
	ch, err := triedMailbox(cfg, centre, m)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, limit+time.Minute)
	defer cancel()
	s, err := ch.Survey(ctx, limit)
	if err != nil {
		return err
	}
	if asJSON {
		enc := json.NewEncoder(c.stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(s)
	}
	return printSurvey(c.stdout, m, s)
}

// printSurvey prints what a first contact would take in.
func printSurvey(w io.Writer, m configs.Mailbox, s *email.Survey) error {
	cut := "no cut-off day: everything would be taken in"
	if m.Since != "" {
		cut = "cut-off day " + m.Since + ": older mail would be left alone"
	}
	fmt.Fprintf(w, "Mailbox %s, %s. Nothing was changed.\n", m.ID, cut)
	total := 0
	for _, f := range s.Folders {
		what := f.Folder
		if f.Junk {
			what += " (spam: taken in with a mark, left where it is)"
		}
		if f.Problem != "" {
			fmt.Fprintf(w, "\n%s: cannot be opened: %s\n", what, f.Problem)
			continue
		}
		total += f.Young
		fmt.Fprintf(w, "\n%s: %d messages, %d would be taken in (%s); %d too large, they would be parked; %d marked by an earlier installation\n",
			what, f.Messages, f.Young, megabytes(f.Octets), f.TooLarge, f.Marked)
		t := tabwriter.NewWriter(w, 2, 8, 2, ' ', tabwriter.AlignRight)
		for _, month := range f.Months {
			name := month.Month
			if name == "" {
				name = "no date"
			}
			fmt.Fprintf(t, "%s\t%d messages\t%d taken\t%s\t\n", name, month.All, month.Young, megabytes(month.Octets))
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	fmt.Fprintf(w, "\nTogether %d messages would become letters with numbers.\n", total)
	if s.Partial {
		fmt.Fprintln(w, "Time was up: older messages were not counted. Give more with --time 10m.")
	}
	if len(s.Others) > 0 {
		fmt.Fprintln(w, "\nNot read, unless \"folders\" names them:")
		for _, o := range s.Others {
			fmt.Fprintf(w, "  %s (%d)\n", o.Folder, o.Messages)
		}
	}
	return nil
}

func megabytes(octets int64) string { return fmt.Sprintf("%.1f MB", float64(octets)/1e6) }

// authorizeTime is how long a person has to log in at the provider.
const authorizeTime = 20 * time.Minute

// authorize gets the refresh token of a mailbox from a person and tries it.
func authorize(ctx context.Context, c *cli, cfg *configs.Installation, centre sekretariat.CentreID, m configs.Mailbox) error {
	if m.OAuth == nil {
		return fmt.Errorf("mailbox %s uses a password; set it with: sekretariat secret set %s", m.ID, m.ID)
	}
	tokens, err := mailTokens(cfg, centre, m, logger(warnOnly, c.stderr))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, authorizeTime)
	defer cancel()
	if err := tokens.Authorize(ctx, &terminal{c, bufio.NewReader(c.stdin)}); err != nil {
		return err
	}
	ch, err := triedMailbox(cfg, centre, m)
	if err != nil {
		return err
	}
	if err := ch.TryLogin(ctx); err != nil {
		return fmt.Errorf("the provider gave its token, but the mail server does not take it for %s: %w: was it this account that logged in, and is IMAP switched on for it?", m.User, err)
	}
	fmt.Fprintf(c.stdout, "The mailbox can be opened. A running service takes the token by itself.\n")
	for _, e := range tokens.Expires() {
		fmt.Fprintf(c.stdout, "%s: until %s if it is not renewed\n", e.What, e.At.In(sekretariat.Warsaw()).Format("2006-01-02"))
	}
	return nil
}

// terminal is the person at the command line.
type terminal struct {
	c  *cli
	in *bufio.Reader
}

func (t *terminal) ShowCode(address, code string) {
	fmt.Fprintf(t.c.stdout, "Open %s in any browser, log in as the owner of the mailbox and type the code %s\nWaiting for that …\n", address, code)
}

func (t *terminal) AskForAddress(_ context.Context, open string) (string, error) {
	fmt.Fprintf(t.c.stdout, "Open this address in any browser and log in as the owner of the mailbox:\n\n%s\n\nAt the end the browser shows an error, for nobody listens at 127.0.0.1:1. That is right: copy the whole\naddress from its address bar and paste it here:\n", open)
	line, err := t.in.ReadString('\n')
	if err != nil && (!errors.Is(err, io.EOF) || line == "") {
		return "", fmt.Errorf("read the address: %w", err)
	}
	return strings.TrimSpace(line), nil
}
