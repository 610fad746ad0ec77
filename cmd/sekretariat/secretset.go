package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/term"

	"sekretariat/configs"
	"sekretariat/ingest/email"
)

// maxPassword bounds what is read from standard input.
const maxPassword = 64 << 10

// secretCommand puts a new password of a mailbox, or secret of its OAuth2
// client, into its file: tried first, durable, without a restart (rule P10).
func secretCommand(ctx context.Context, c *cli) error {
	if c.sub != "set" {
		return usagef("say: sekretariat secret set MAILBOX --config FILE")
	}
	f := c.flags("secret set")
	var in installationFlags
	in.add(f)
	centre := f.String("centre", "", "centre, when the installation has several")
	untried := f.Bool("untried", false, "write it without trying it: the mail server cannot be reached now")
	args, err := c.parse(f)
	if err != nil {
		return err
	}
	if len(args) != 1 {
		return usagef("name one mailbox, and give the secret at the terminal or on standard input, never on the command line: sekretariat secret set MAILBOX --config FILE")
	}
	cfg, err := in.load()
	if err != nil {
		return err
	}
	id, m, err := findMailbox(cfg, *centre, args[0])
	if err != nil {
		return err
	}
	target, err := secretOf(m)
	if err != nil {
		return err
	}
	value, err := c.readSecret("New secret of mailbox " + m.ID)
	if err != nil {
		return err
	}
	if !*untried {
		if err := trySecret(ctx, cfg, string(id), m, value); err != nil {
			return fmt.Errorf("nothing was changed: %w", err)
		}
		fmt.Fprintln(c.stdout, "The mail server takes it.")
	}
	if err := configs.ReplaceFile(target.File, append(value, '\n')); err != nil {
		return err
	}
	fmt.Fprintf(c.stdout, "It is in %s. A running service takes it by itself within seconds.\n", target.File)
	return nil
}

// secretOf is the secret by which a mailbox is opened.
func secretOf(m configs.Mailbox) (configs.Secret, error) {
	target, what := m.Password, "password"
	if o := m.OAuth; o != nil {
		target, what = o.ClientSecret, "oauth.client_secret"
		if !o.ServiceAccount.IsZero() {
			target, what = o.ServiceAccount, "oauth.service_account"
		}
	}
	switch {
	case target.Env != "":
		return target, fmt.Errorf("%s of mailbox %s comes from the environment variable %s, which a running service cannot change: use \"file:\" in the configuration", what, m.ID, target.Env)
	case target.File == "":
		return target, fmt.Errorf("%s of mailbox %s is not configured: give it \"file:\" in the configuration", what, m.ID)
	}
	return target, nil
}

// tryTime bounds trying a secret.
const tryTime = 90 * time.Second

// trySecret logs in with a secret that is not in place yet.
func trySecret(ctx context.Context, cfg *configs.Installation, centre string, m configs.Mailbox, value []byte) error {
	if !m.Pulled() {
		return nil // nothing is opened with it
	}
	temp, err := os.CreateTemp("", "sekretariat-secret-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	if _, err := temp.Write(value); err != nil {
		return errors.Join(err, temp.Close())
	}
	if err := temp.Close(); err != nil {
		return err
	}
	ch, err := withSecret(cfg, centre, m, temp.Name())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	return ch.TryLogin(ctx)
}

// withSecret makes the mailbox's channel with its secret in another file.
func withSecret(cfg *configs.Installation, centre string, m configs.Mailbox, file string) (*email.Channel, error) {
	other := configs.Secret{File: file}
	if m.OAuth == nil {
		m.Password = other
	} else {
		o := *m.OAuth
		if o.ServiceAccount.IsZero() {
			o.ClientSecret = other
		} else {
			o.ServiceAccount = other
		}
		m.OAuth = &o
	}
	id, _, err := findMailbox(cfg, centre, m.ID)
	if err != nil {
		return nil, err
	}
	o, err := mailOptions(cfg, id, m, zerolog.Nop())
	if err != nil {
		return nil, err
	}
	o.Receiver, o.Cursors, o.Keeper = closedReceiver{}, noCursors{}, noCursors{}
	return email.New(o)
}

// readSecret asks at the terminal without echo, or reads standard input to its
// end. One line end after it is taken off.
func (c *cli) readSecret(prompt string) ([]byte, error) {
	var value []byte
	var err error
	if f, ok := c.stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprintf(c.stderr, "%s (it is not shown): ", prompt)
		value, err = term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(c.stderr)
	} else {
		value, err = io.ReadAll(io.LimitReader(bufio.NewReader(c.stdin), maxPassword+1))
		value = bytes.TrimSuffix(bytes.TrimSuffix(value, []byte("\n")), []byte("\r"))
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the secret: %w", err)
	case len(value) == 0:
		return nil, usagef("no secret was given: type it, or send it on standard input")
	case len(value) > maxPassword:
		return nil, usagef("the secret has more than %d octets", maxPassword)
	case strings.ContainsAny(string(value), "\r\n") && !bytes.HasPrefix(bytes.TrimSpace(value), []byte("{")):
		return nil, usagef("the secret has several lines: a password has one")
	}
	return value, nil
}
