package email

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"

	"sekretariat"
	"sekretariat/ingest/email/oauth"
)

// gate lets one login at a time through, and remembers a refusal so that the
// same password is not presented over and over: hosters ban for that.
type gate struct {
	free     chan struct{} // holds one token while a login is under way
	refusals int
	mark     string    // stands for what was refused
	until    time.Time // not before
}

// closed tells how long the gate stays shut for what mark stands for.
func (g *gate) closed(mark string) time.Duration {
	if g.refusals == 0 || mark != g.mark {
		return 0
	}
	return time.Until(g.until)
}

func (g *gate) refused(mark string, limits [2]time.Duration) {
	g.refusals++
	g.mark = mark
	g.until = time.Now().Add(jitter(min(limits[0]<<min(g.refusals, 20), limits[1])))
}

// connect opens a session. After a refused login it waits, up to 15 minutes
// (rule P10), or until somebody has put another password or token in place.
func (c *Channel) connect(ctx context.Context) (*session, error) {
	select {
	case c.gate.free <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-c.gate.free }()
	for {
		password, mark, err := c.credentials()
		if err != nil {
			return nil, err
		}
		if left := c.gate.closed(mark); left > 0 {
			if wait(ctx, min(left, c.tune.password)); ctx.Err() != nil {
				return nil, ctx.Err()
			}
			continue
		}
		s, err := c.enter(ctx, password)
		switch code := codeOf(err, codeConnect); {
		case err == nil:
			c.gate.refusals = 0
		case code == codeLogin || code == codeToken:
			c.gate.refused(mark, c.tune.refused)
		}
		return s, err
	}
}

// credentials returns the password, "" with tokens, and what stands for what a
// person can change.
func (c *Channel) credentials() (password, mark string, err error) {
	if c.opt.Tokens != nil {
		return "", c.opt.Tokens.Mark(), nil
	}
	password, err = c.opt.Password()
	if err != nil {
		return "", "", wrap(codePassword, "password of the mailbox", err)
	}
	return password, string(sekretariat.DigestOf([]byte(password))), nil
}

// enter opens a session with the password or an access token. A token that has
// been at hand for a while may have been taken back: then a new one is tried.
func (c *Channel) enter(ctx context.Context, password string) (*session, error) {
	if c.opt.Tokens == nil {
		return c.open(ctx, password)
	}
	for {
		token, err := c.opt.Tokens.Token(ctx)
		if errors.Is(err, oauth.ErrRefused) {
			return nil, wrap(codeToken, "access token", err)
		}
		if err != nil {
			return nil, wrap(codeProvider, "access token", err)
		}
		s, err := c.open(ctx, token)
		if codeOf(err, codeConnect) != codeLogin {
			return s, err
		}
		if !c.opt.Tokens.Forget(token) {
			return nil, &fault{codeToken, err}
		}
	}
}

// login presents the password. What the server answers tells a wrong password
// from a server that cannot just now.
func (c *Channel) login(client *imapclient.Client, caps imap.CapSet, password string) error {
	user := c.opt.Mailbox.User
	var err error
	switch {
	case c.opt.Mailbox.Auth == "xoauth2":
		err = client.Authenticate(&xoauth2{user: user, token: password})
	case c.opt.Mailbox.Auth == "oauthbearer":
		err = client.Authenticate(&oauthBearer{user: user, token: password})
	case c.opt.Mailbox.Auth == "plain" && caps.Has(imap.AuthCap(sasl.Plain)):
		err = client.Authenticate(sasl.NewPlainClient("", user, password))
	case caps.Has(imap.CapLoginDisabled):
		return trouble(codeConnect, errors.New("log in: the server refuses LOGIN without encryption; set tls to implicit or starttls"))
	default:
		err = client.Login(user, password).Wait()
	}
	var no *imap.Error
	if !errors.As(err, &no) {
		return wrap(codeConnect, "log in", err)
	}
	switch no.Code {
	case imap.ResponseCodeUnavailable, imap.ResponseCodeServerBug, imap.ResponseCodeInUse:
		return wrap(codeConnect, "log in", err)
	case imap.ResponseCodeLimit:
		return wrap(codeLimit, "log in", err)
	}
	if no.Type == imap.StatusResponseTypeBye || strings.Contains(strings.ToLower(no.Text), "connections") {
		return wrap(codeLimit, "log in", err)
	}
	return wrap(codeLogin, "log in", err)
}

// xoauth2 is the SASL mechanism of Exchange Online and Gmail, which go-sasl
// lacks (https://developers.google.com/gmail/imap/xoauth2-protocol).
type xoauth2 struct{ user, token string }

func (x *xoauth2) Start() (string, []byte, error) {
	return "XOAUTH2", []byte("user=" + x.user + "\x01auth=Bearer " + x.token + "\x01\x01"), nil
}

// Next answers the server's description of a refusal with nothing, upon which
// it sends the NO.
func (x *xoauth2) Next([]byte) ([]byte, error) { return []byte{}, nil }

// oauthBearer is RFC 7628. go-sasl's client gives up when the server describes
// a refusal, and leaves the exchange unfinished.
type oauthBearer struct{ user, token string }

func (o *oauthBearer) Start() (string, []byte, error) {
	user := strings.NewReplacer("=", "=3D", ",", "=2C").Replace(o.user) // saslname, RFC 5801, 4
	return "OAUTHBEARER", []byte("n,a=" + user + ",\x01auth=Bearer " + o.token + "\x01\x01"), nil
}

// Next answers the description of a refusal as RFC 7628, 3.2.3, wants it.
func (o *oauthBearer) Next([]byte) ([]byte, error) { return []byte{1}, nil }
