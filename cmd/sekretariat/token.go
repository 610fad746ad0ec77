package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"sekretariat"
	"sekretariat/desk/api"
	"sekretariat/ledger"
)

// tokenFlags are the flags of token create, revoke and list.
type tokenFlags struct {
	in              centreFlags
	department, box string
	register        bool
	quarantine      bool
	ttl             time.Duration
	creds           string
}

// tokenCommand creates, revokes and lists access tokens. A department's token
// comes with credentials for its NATS queue.
func tokenCommand(ctx context.Context, c *cli) error {
	if c.sub != "create" && c.sub != "revoke" && c.sub != "list" {
		return usagef("say: sekretariat token create|revoke|list")
	}
	f := c.flags("token " + c.sub)
	var o tokenFlags
	o.in.add(f)
	f.StringVar(&o.department, "department", "", "department whose letters and queue the token opens")
	f.StringVar(&o.box, "box", "", "box that the token may upload into")
	f.BoolVar(&o.register, "register", false, "the sekretariat: register and every open letter")
	f.BoolVar(&o.quarantine, "quarantine", false, "with --register: also to call virus alarms false")
	f.DurationVar(&o.ttl, "ttl", 365*24*time.Hour, "how long the token is valid")
	f.StringVar(&o.creds, "creds", "", "file for the credentials of the department's NATS queue")
	rest, err := c.parse(f)
	if err != nil {
		return err
	}
	if c.sub != "revoke" && len(rest) > 0 {
		return usagef("%q is not understood here; see: sekretariat token %s --help", rest[0], c.sub)
	}
	h, centre, err := o.in.open(ctx, c)
	if err != nil {
		return err
	}
	defer h.close()
	tokens := api.NewTokens(h.objects, sekretariat.SystemClock)
	switch c.sub {
	case "create":
		return createToken(ctx, c, h, centre, tokens, o)
	case "revoke":
		return revokeTokens(ctx, c, h, centre, tokens, rest)
	}
	return listTokens(ctx, c, centre, tokens)
}

func createToken(ctx context.Context, c *cli, h *house, centre *centreHouse, tokens *api.Tokens, o tokenFlags) error {
	scopes, err := o.scopes(centre)
	if err != nil {
		return err
	}
	if o.ttl <= 0 {
		return usagef("--ttl %s: a token must be valid for some time, like 720h", o.ttl)
	}
	user := ""
	if o.creds != "" {
		if o.department == "" {
			return usagef("--creds goes with --department: only departments have queues")
		}
		creds, pub, err := h.ledger.IssueDepartment(ctx, centre.cfg.ID, sekretariat.DepartmentID(o.department), "token", o.ttl)
		if err != nil {
			return err
		}
		user = pub
		if err := os.WriteFile(o.creds, creds, 0o600); err != nil {
			return errors.Join(fmt.Errorf("write credentials: %w", err), h.ledger.Revoke(ctx, user))
		}
	}
	plain, tok, err := tokens.Create(ctx, centre.cfg.ID, scopes, o.ttl, user)
	if err != nil {
		if user != "" { // nobody could revoke them later
			err = errors.Join(err, h.ledger.Revoke(ctx, user))
		}
		return err
	}
	grant := sekretariat.GrantedData{Grant: sekretariat.GrantCreated, Token: tok.ID, Scopes: scopes, Expires: tok.Expires}
	if err := centre.granted(ctx, grant); err != nil { // nobody gets a right that is not on record
		return errors.Join(err, endToken(ctx, h, centre, tokens, tok))
	}
	fmt.Fprintln(c.stdout, plain)
	fmt.Fprintf(c.stderr, "Token %s for %s, valid until %s. It is shown only this once; end it with: sekretariat token revoke %s\n",
		tok.ID, strings.Join(scopes, ", "), tok.Expires.Format(time.DateOnly), tok.ID)
	return nil
}

func (o tokenFlags) scopes(centre *centreHouse) ([]string, error) {
	var scopes []string
	if o.department != "" {
		id := sekretariat.DepartmentID(o.department)
		if _, ok := centre.cfg.DepartmentByID(id); !ok {
			return nil, usagef("%s has no department %q; it has: %s", centre.cfg.ID, o.department, departmentList(centre))
		}
		scopes = append(scopes, api.DepartmentScope(id))
	}
	if o.box != "" {
		known := false
		for _, b := range centre.cfg.Boxes {
			known = known || b.ID == o.box
		}
		if !known {
			return nil, usagef("%s has no box %q", centre.cfg.ID, o.box)
		}
		scopes = append(scopes, api.BoxScope(o.box))
	}
	if o.register {
		scopes = append(scopes, api.ScopeRegister)
	}
	if len(scopes) != 1 {
		return nil, usagef("give exactly one of --department, --box, --register: a token opens one thing")
	}
	if o.quarantine {
		if !o.register {
			return nil, usagef("--quarantine goes with --register")
		}
		scopes = append(scopes, api.ScopeQuarantine)
	}
	return scopes, nil
}

func departmentList(c *centreHouse) string {
	var ids []string
	for _, d := range c.cfg.Departments {
		ids = append(ids, string(d.ID))
	}
	return strings.Join(ids, ", ")
}

func revokeTokens(ctx context.Context, c *cli, h *house, centre *centreHouse, tokens *api.Tokens, ids []string) error {
	if len(ids) == 0 {
		return usagef("name the token: sekretariat token revoke ID")
	}
	for _, id := range ids {
		tok, err := tokens.Find(ctx, centre.cfg.ID, id)
		if errors.Is(err, api.ErrToken) {
			return usagef("there is no token %s in %s; see: sekretariat token list", id, centre.cfg.ID)
		}
		if err != nil {
			return err
		}
		if err := endToken(ctx, h, centre, tokens, tok); err != nil {
			return err
		}
		if err := centre.granted(ctx, sekretariat.GrantedData{Grant: sekretariat.GrantRevoked, Token: id, Scopes: tok.Scopes}); err != nil {
			return fmt.Errorf("token %s is revoked: %w", id, err)
		}
		fmt.Fprintf(c.stdout, "Token %s is revoked.\n", id)
	}
	return nil
}

// endToken ends a token and the queue user that was issued with it.
func endToken(ctx context.Context, h *house, centre *centreHouse, tokens *api.Tokens, tok api.Token) error {
	if tok.NATSUser != "" {
		if err := h.ledger.Revoke(ctx, tok.NATSUser); err != nil {
			return fmt.Errorf("revoke the queue credentials of token %s: %w; nothing is revoked yet, repeat the command", tok.ID, err)
		}
	}
	if err := tokens.Revoke(ctx, centre.cfg.ID, tok.ID); err != nil {
		return fmt.Errorf("revoke token %s: %w; repeat the command", tok.ID, err)
	}
	return nil
}

// granted puts on record that somebody at the command line gave or took rights.
func (c *centreHouse) granted(ctx context.Context, d sekretariat.GrantedData) error {
	d.By = commandLine(c.cfg.ID).ID
	at := sekretariat.SystemClock()
	e, err := sekretariat.NewEvent(sekretariat.EventGranted, c.cfg.ID, "command", "granted", int(at.UnixNano()&0x7fffffffffff), at, d)
	if err == nil {
		_, err = c.log.Append(ctx, ledger.Audit, ledger.Record{Subject: "granted", LastSeq: ledger.AnySeq, Event: e})
	}
	if err != nil {
		return fmt.Errorf("write the audit trail: %w", err)
	}
	return nil
}

func listTokens(ctx context.Context, c *cli, centre *centreHouse, tokens *api.Tokens) error {
	list, err := tokens.List(ctx, centre.cfg.ID)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tSCOPE\tCREATED\tEXPIRES\tQUEUE")
	for _, k := range list {
		queue := "no"
		if k.NATSUser != "" {
			queue = "yes"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", k.ID, strings.Join(k.Scopes, ","), k.Created.Format(time.DateOnly), k.Expires.Format(time.DateOnly), queue)
	}
	return t.Flush()
}
