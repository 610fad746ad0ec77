package edelivery

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// callbackPath is where the provider's calls for this mailbox come in; a secret
// follows it.
func (c *Channel) callbackPath() string { return "/edelivery/" + c.Name() + "/" }

// minSecret is the least length of a webhook's secret.
const minSecret = 20

func (c *Channel) callbackSecret() (string, error) {
	raw, err := c.o.Account.CallbackSecret.Load()
	if err != nil {
		return "", fmt.Errorf("callback_secret: %w", err)
	}
	s := strings.TrimSpace(string(raw))
	if len(s) < minSecret || url.PathEscape(s) != s {
		return "", errors.New("callback_secret: use at least 20 letters and digits")
	}
	return s, nil
}

// callbackURL is the address that the provider is told.
func (c *Channel) callbackURL() (string, error) {
	secret, err := c.callbackSecret()
	return strings.TrimSuffix(c.o.Account.Callback, "/") + c.callbackPath() + secret, err
}

// Callback returns the path below which the provider calls back, and what
// answers there; "" when the account has no webhook. A call carries no signature
// and may come from anybody: it makes the channel look, and nothing that it says
// is believed.
func (c *Channel) Callback() (path string, h http.Handler) {
	if c.o.Account.Callback == "" {
		return "", nil
	}
	return c.callbackPath(), http.HandlerFunc(c.called)
}

// maxCall bounds what of a call is read, octets.
const maxCall = 64 << 10

func (c *Channel) called(w http.ResponseWriter, r *http.Request) {
	secret, err := c.callbackSecret()
	given := strings.TrimPrefix(r.URL.Path, c.callbackPath())
	if err != nil || r.Method != http.MethodPost || subtle.ConstantTimeCompare([]byte(given), []byte(secret)) != 1 {
		http.NotFound(w, r)
		return
	}
	_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxCall))
	c.Poke()
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"status":"OK","notification":"on"}`) // schema SuccessInfo: "off" would end the calls
}
