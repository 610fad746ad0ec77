// Package oauth gets the access tokens by which a program may read a mailbox of
// Microsoft 365, Google or another provider that takes no passwords: by a
// refresh token that a person gave once (Authorize), or by a right of the
// program's own (client credentials, RFC 6749, 4.4; at Google the signed
// request of a service account, RFC 7523). A refresh token that the provider
// replaces is on the disk before the old one is forgotten, and what ends when
// is told in time: mailboxes that die quietly when a token ends are the
// commonest complaint about programs of this kind.
package oauth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/ingest"
)

// ErrRefused is returned when the provider will not give a token however often
// it is asked: a person has to authorise again, or renew the client's secret.
var ErrRefused = errors.New("the provider refuses")

// Options describe the access to one mailbox.
type Options struct {
	Config configs.OAuth
	User   string            // login name of the mailbox
	File   string            // of the refresh token; flow refresh only
	Clock  sekretariat.Clock // default: the system's
	Logger zerolog.Logger
}

// Source gives access tokens. It is safe for concurrent use.
type Source struct {
	o    Options
	http *http.Client

	mu      sync.Mutex
	token   *oauth2.Token
	unsaved *kept // a replaced refresh token that could not be written yet
}

// early is how long before its end an access token is no longer used.
const early = 2 * time.Minute

// askTime bounds one request to the provider.
const askTime = 30 * time.Second

// New checks the configuration.
func New(o Options) (*Source, error) {
	if o.Clock == nil {
		o.Clock = sekretariat.SystemClock
	}
	if o.Config.Flow != "client" && o.File == "" {
		return nil, errors.New("oauth: a file for the refresh token is needed")
	}
	c, err := client(o.Config.CA)
	if err != nil {
		return nil, err
	}
	return &Source{o: o, http: c}, nil
}

// client speaks to the provider, through the office's proxy if there is one
// (HTTPS_PROXY) and with its CA.
func client(ca string) (*http.Client, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("oauth.ca: %w", err)
		}
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("oauth.ca: %s holds no certificate in PEM form", ca)
		}
		t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{Transport: t, Timeout: askTime}, nil
}

// Token returns an access token that is good for a while. ErrRefused means that
// asking again is of no use.
func (s *Source) Token(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saveLate()
	if s.token != nil && (s.token.Expiry.IsZero() || s.o.Clock().Before(s.token.Expiry.Add(-early))) {
		return s.token.AccessToken, nil
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, s.http)
	tok, err := s.ask(ctx)
	if err != nil {
		return "", err
	}
	s.token = tok
	return tok.AccessToken, nil
}

func (s *Source) ask(ctx context.Context) (*oauth2.Token, error) {
	if s.o.Config.Flow != "client" {
		return s.refresh(ctx)
	}
	if !s.o.Config.ServiceAccount.IsZero() {
		return s.serviceAccount(ctx)
	}
	secret, err := s.o.Config.ClientSecret.Load()
	if err != nil {
		return nil, fmt.Errorf("oauth.client_secret: %w", err)
	}
	e := s.endpoint()
	c := clientcredentials.Config{ClientID: s.o.Config.ClientID, ClientSecret: string(secret), TokenURL: e.TokenURL, Scopes: s.scopes(), AuthStyle: e.AuthStyle}
	tok, err := c.Token(ctx)
	return tok, judge(err)
}

// Forget drops the access token at hand: the mail server refused it. It tells
// whether another one may do better, because this one was not fresh.
func (s *Source) Forget(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token == nil || s.token.AccessToken != token {
		return false
	}
	got := s.token.Expiry.Add(-time.Duration(s.token.ExpiresIn) * time.Second)
	old := s.token.ExpiresIn > 0 && s.o.Clock().Sub(got) > time.Minute
	s.token = nil
	return old
}

// Mark stands for what a person can put in place anew, the refresh token or a
// secret: as long as it is the same, a refusal stays one. It says nothing of
// their content.
func (s *Source) Mark() string {
	var raw []byte
	switch {
	case s.o.Config.Flow != "client":
		k, err := load(s.o.File)
		if err != nil {
			return "none"
		}
		raw = []byte(k.Authorised.UTC().String())
	case !s.o.Config.ServiceAccount.IsZero():
		raw, _ = s.o.Config.ServiceAccount.Load() // Token says why
	default:
		raw, _ = s.o.Config.ClientSecret.Load() // Token says why
	}
	return string(sekretariat.DigestOf(raw))
}

// Providers let refresh tokens lapse that were not used for so long: Microsoft
// 90 days (Entra, "Refresh tokens in the Microsoft identity platform"), Google
// half a year ("Refresh token expiration").
var idleLife = map[string]time.Duration{"microsoft": 90 * 24 * time.Hour, "google": 180 * 24 * time.Hour}

// Expires tells what ends when.
func (s *Source) Expires() []ingest.Expiry {
	var list []ingest.Expiry
	now := s.o.Clock()
	if s.o.Config.Flow != "client" {
		if k, err := load(s.o.File); err == nil {
			if at := k.ends(s.o.Config.Provider); !at.IsZero() {
				list = append(list, ingest.NewExpiry("token", time.Time{}, at, now))
			}
		}
	}
	if day, err := time.ParseInLocation(time.DateOnly, s.o.Config.SecretExpires, sekretariat.Warsaw()); err == nil {
		list = append(list, ingest.NewExpiry("client-secret", time.Time{}, day.AddDate(0, 0, 1), now))
	}
	return list
}

// endpoint is where the provider is asked. Addresses of the configuration come
// before those that are known.
func (s *Source) endpoint() oauth2.Endpoint {
	c := s.o.Config
	e := oauth2.Endpoint{AuthStyle: oauth2.AuthStyleInParams}
	switch c.Provider {
	case "microsoft":
		base := "https://login.microsoftonline.com/" + c.Tenant + "/oauth2/v2.0/"
		e.TokenURL, e.DeviceAuthURL, e.AuthURL = base+"token", base+"devicecode", base+"authorize"
	case "google": // whose codes for devices do not open mailboxes
		e.TokenURL, e.AuthURL = "https://oauth2.googleapis.com/token", "https://accounts.google.com/o/oauth2/v2/auth"
	default:
		if !c.ClientSecret.IsZero() {
			e.AuthStyle = oauth2.AuthStyleAutoDetect
		}
	}
	for _, over := range []struct {
		to *string
		by string
	}{{&e.TokenURL, c.TokenURL}, {&e.DeviceAuthURL, c.DeviceURL}, {&e.AuthURL, c.AuthURL}} {
		if over.by != "" {
			*over.to = over.by
		}
	}
	return e
}

func (s *Source) scopes() []string {
	c := s.o.Config
	switch {
	case len(c.Scopes) > 0:
		return c.Scopes
	case c.Provider == "microsoft" && c.Flow == "client":
		return []string{"https://outlook.office365.com/.default"}
	case c.Provider == "microsoft":
		return []string{"https://outlook.office.com/IMAP.AccessAsUser.All", "offline_access"}
	case c.Provider == "google":
		return []string{"https://mail.google.com/"}
	}
	return nil
}

// config is the client as the library wants it.
func (s *Source) config() (*oauth2.Config, error) {
	c := &oauth2.Config{ClientID: s.o.Config.ClientID, Endpoint: s.endpoint(), Scopes: s.scopes()}
	if s.o.Config.ClientSecret.IsZero() {
		return c, nil
	}
	secret, err := s.o.Config.ClientSecret.Load()
	if err != nil {
		return nil, fmt.Errorf("oauth.client_secret: %w", err)
	}
	c.ClientSecret = string(secret)
	return c, nil
}

// judge tells a refusal from trouble on the way. What the provider says in
// words is left out: it may name the person.
func judge(err error) error {
	var re *oauth2.RetrieveError
	if !errors.As(err, &re) {
		if err == nil {
			return nil
		}
		return fmt.Errorf("ask the provider for a token: %w", err)
	}
	status := 0
	if re.Response != nil {
		status = re.Response.StatusCode
	}
	if re.ErrorCode == "" { // the library does not look into every answer
		var said struct {
			Code string `json:"error"`
		}
		if json.Unmarshal(re.Body, &said) == nil {
			re.ErrorCode = said.Code
		}
	}
	said := re.ErrorCode + number(re.ErrorDescription)
	switch {
	case status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout,
		re.ErrorCode == "temporarily_unavailable", re.ErrorCode == "server_error", re.ErrorCode == "":
		return fmt.Errorf("ask the provider for a token: it answers %d %.60q", status, said)
	}
	return fmt.Errorf("%w to give a token: %.60q", ErrRefused, said)
}

// number finds Microsoft's number of an error, "AADSTS700082".
func number(text string) string {
	at := strings.Index(text, "AADSTS")
	if at < 0 {
		return ""
	}
	end := at + len("AADSTS")
	for end < len(text) && end < at+16 && text[end] >= '0' && text[end] <= '9' {
		end++
	}
	return " " + text[at:end]
}
