package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"golang.org/x/term"

	"sekretariat"
	"sekretariat/desk/people"
)

// userFlags are the flags of user add and the others.
type userFlags struct {
	in                      centreFlags
	name, role, departments string
}

// userCommand makes and changes the accounts of the page.
func userCommand(ctx context.Context, c *cli) error {
	f := c.flags("user " + c.sub)
	var o userFlags
	o.in.add(f)
	f.StringVar(&o.name, "name", "", "name of the person, as colleagues know it")
	f.StringVar(&o.role, "role", "", "roles, comma between: sekretariat, dzial, kierownik, audytor, administrator")
	f.StringVar(&o.departments, "department", "", "departments that the person works for, comma between")
	rest, err := c.parse(f)
	if err != nil {
		return err
	}
	if c.sub != "list" && len(rest) != 1 {
		return usagef("name one login: sekretariat user %s LOGIN", c.sub)
	}
	h, centre, err := o.in.open(ctx, c)
	if err != nil {
		return err
	}
	defer h.close()
	book := people.NewBook(centre.cfg.ID, h.vault, sekretariat.SystemClock)
	switch c.sub {
	case "add":
		err = addUser(ctx, c, book, centre, rest[0], o)
	case "password":
		err = newPassword(ctx, c, book, rest[0])
	case "disable", "enable":
		err = book.Disable(ctx, rest[0], c.sub == "disable")
	case "list":
		err = listUsers(ctx, c, book)
	default:
		err = usagef("say: sekretariat user add|password|disable|enable|list")
	}
	if errors.Is(err, people.ErrNobody) || errors.Is(err, people.ErrTaken) || errors.Is(err, people.ErrInvalid) {
		return usageError{err.Error()}
	}
	return err
}

func addUser(ctx context.Context, c *cli, book *people.Book, centre *centreHouse, login string, o userFlags) error {
	p := people.Person{Login: login, Name: o.name}
	for _, r := range list(o.role) {
		p.Roles = append(p.Roles, people.Role(r))
	}
	for _, d := range list(o.departments) {
		id := sekretariat.DepartmentID(d)
		if _, ok := centre.cfg.DepartmentByID(id); !ok {
			return usagef("this centre has no department %q", d)
		}
		p.Departments = append(p.Departments, id)
	}
	password, err := readPassword(c)
	if err != nil {
		return err
	}
	if p, err = book.Create(ctx, p, password); err != nil {
		return err
	}
	fmt.Fprintf(c.stdout, "account %s made; in events it is %s\n", login, p.ID)
	return nil
}

func newPassword(ctx context.Context, c *cli, book *people.Book, login string) error {
	password, err := readPassword(c)
	if err != nil {
		return err
	}
	return book.SetPassword(ctx, login, password)
}

// readPassword reads from the terminal without showing it, or one line from
// standard input. A flag would stand in the list of processes.
func readPassword(c *cli) (string, error) {
	if fd := int(os.Stdin.Fd()); term.IsTerminal(fd) {
		fmt.Fprint(c.stderr, "password: ")
		raw, err := term.ReadPassword(fd)
		fmt.Fprintln(c.stderr)
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		return string(raw), nil
	}
	line, err := bufio.NewReader(io.LimitReader(os.Stdin, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

func listUsers(ctx context.Context, c *cli, book *people.Book) error {
	all, err := book.List(ctx)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "LOGIN\tNAME\tROLES\tDEPARTMENTS\tSTATE")
	for _, p := range all {
		state := "active"
		if p.Disabled {
			state = "disabled"
		}
		fmt.Fprintf(w, "%s\t%s\t%v\t%v\t%s\n", p.Login, p.Name, p.Roles, p.Departments, state)
	}
	return w.Flush()
}

// list cuts at commas.
func list(s string) []string {
	var out []string
	for v := range strings.SplitSeq(s, ",") {
		if v = strings.TrimSpace(v); v != "" {
			out = append(out, v)
		}
	}
	return out
}
