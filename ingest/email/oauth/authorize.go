package oauth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/oauth2"
)

// Person is who authorises the program: somebody at a terminal with a browser
// on whatever machine.
type Person interface {
	// ShowCode asks to open an address and type a code there.
	ShowCode(address, code string)
	// AskForAddress asks to open an address, log in, and give back the address
	// that the browser ends at, which shows nothing.
	AskForAddress(ctx context.Context, open string) (string, error)
}

// redirect is where the browser is sent with the answer. Nothing listens there:
// the person copies the address (RFC 8252, 7.3 allows any port of loopback).
const redirect = "http://127.0.0.1:1/"

// Authorize lets a person give the program its refresh token, by a code (RFC
// 8628) where the provider has that, else through the browser. The token is
// durable when it returns.
func (s *Source) Authorize(ctx context.Context, p Person) error {
	if s.o.Config.Flow == "client" {
		return errors.New("oauth: with \"flow: client\" nobody authorises: the program has its own right, which the administrator of the directory grants")
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, s.http)
	c, err := s.config()
	if err != nil {
		return err
	}
	var tok *oauth2.Token
	switch {
	case c.Endpoint.DeviceAuthURL != "":
		tok, err = s.byCode(ctx, c, p)
	case c.Endpoint.AuthURL != "":
		tok, err = s.byBrowser(ctx, c, p)
	default:
		return errors.New("oauth: give \"device_url\" or \"auth_url\" of the provider")
	}
	if err != nil {
		return err
	}
	if tok.RefreshToken == "" {
		return errors.New("oauth: the provider gave no refresh token: at Microsoft the scope offline_access must be among \"scopes\", at Google the program must be removed from the account's list of applications first")
	}
	s.mu.Lock() // before the file's lock, as Token does
	defer s.mu.Unlock()
	unlock, err := lock(ctx, s.o.File)
	if err != nil {
		return err
	}
	defer unlock()
	now := s.o.Clock().UTC()
	k := &kept{Version: keptVersion, Refresh: tok.RefreshToken, Authorised: now, Used: now}
	k.learn(tok, now)
	if err := k.save(s.o.File); err != nil {
		return err
	}
	s.token, s.unsaved = tok, nil
	return nil
}

func (s *Source) byCode(ctx context.Context, c *oauth2.Config, p Person) (*oauth2.Token, error) {
	d, err := c.DeviceAuth(ctx)
	if err != nil {
		return nil, judge(err)
	}
	p.ShowCode(d.VerificationURI, d.UserCode)
	tok, err := c.DeviceAccessToken(ctx, d)
	return tok, judge(err)
}

func (s *Source) byBrowser(ctx context.Context, c *oauth2.Config, p Person) (*oauth2.Token, error) {
	state, verifier := rand.Text(), oauth2.GenerateVerifier()
	c.RedirectURL = redirect
	open := c.AuthCodeURL(state, oauth2.AccessTypeOffline, oauth2.S256ChallengeOption(verifier),
		oauth2.SetAuthURLParam("prompt", "consent"), oauth2.SetAuthURLParam("login_hint", s.o.User))
	answer, err := p.AskForAddress(ctx, open)
	if err != nil {
		return nil, err
	}
	code, err := codeOf(answer, state)
	if err != nil {
		return nil, err
	}
	tok, err := c.Exchange(ctx, code, oauth2.VerifierOption(verifier))
	return tok, judge(err)
}

// codeOf reads the address that the browser ended at.
func codeOf(address, state string) (string, error) {
	u, err := url.Parse(strings.TrimSpace(address))
	if err != nil {
		return "", errors.New("oauth: that is no address; copy the whole line from the browser's address bar")
	}
	q := u.Query()
	switch {
	case q.Get("error") != "":
		return "", fmt.Errorf("%w: %.60q", ErrRefused, q.Get("error"))
	case subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(state)) != 1:
		return "", errors.New("oauth: the address belongs to another attempt; start again and copy the address that begins with " + redirect)
	case q.Get("code") == "":
		return "", errors.New("oauth: the address holds no code; copy the whole line from the browser's address bar")
	}
	return q.Get("code"), nil
}
