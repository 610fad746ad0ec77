// Package oauthtest is a strict OAuth2 provider for tests: it gives tokens by
// every grant that mailboxes are opened with, replaces refresh tokens at each
// use and takes none of them twice, and tells a mail server whom an access token
// stands for (RFC 7662). What it does not know it refuses and remembers.
package oauthtest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"time"
)

// What the provider knows its client by.
const (
	ClientID     = "klient-1"
	ClientSecret = "tajne haslo+klienta"
	UserCode     = "WXYZ-1234"
)

// Provider is a running provider. Its fields may be changed under Lock.
type Provider struct {
	sync.Mutex
	URL  string
	User string // whom the tokens stand for

	Life         time.Duration // of access tokens; default an hour
	RefreshLife  time.Duration // told with each refresh token; 0: not told
	Status       int           // answered to everything instead, 0: none
	Undecided    int           // so many polls by code find nobody decided yet
	Broken       []string      // what a client did wrong
	Given        int           // access tokens
	Asked        int           // requests
	BeforeAnswer func()        // called when a refresh token was replaced, before the client hears of it

	server  *httptest.Server
	access  map[string]time.Time
	refresh map[string]bool   // good ones
	ever    map[string]bool   // all that were given
	codes   map[string]string // authorization code → challenge
}

// New starts a provider; Close ends it.
func New(user string) *Provider {
	p := &Provider{User: user, Life: time.Hour, access: map[string]time.Time{}, refresh: map[string]bool{}, ever: map[string]bool{}, codes: map[string]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", p.strict(p.giveToken))
	mux.HandleFunc("POST /device", p.strict(p.device))
	mux.HandleFunc("POST /introspect", p.introspect)
	p.server = httptest.NewServer(mux)
	p.URL = p.server.URL
	return p
}

// Close ends the provider.
func (p *Provider) Close() { p.server.Close() }

// Authorise returns a new refresh token, as if a person had authorised.
func (p *Provider) Authorise() string {
	p.Lock()
	defer p.Unlock()
	return p.newRefresh()
}

func (p *Provider) newRefresh() string {
	t := rand.Text()
	p.refresh[t], p.ever[t] = true, true
	return t
}

// Gave tells whether a refresh token was ever given.
func (p *Provider) Gave(refresh string) bool {
	p.Lock()
	defer p.Unlock()
	return p.ever[refresh]
}

// Allow takes a replaced refresh token once more, as Microsoft does.
func (p *Provider) Allow(refresh string) {
	p.Lock()
	defer p.Unlock()
	p.refresh[refresh] = true
}

// Revoke takes everything back.
func (p *Provider) Revoke() {
	p.Lock()
	defer p.Unlock()
	clear(p.access)
	clear(p.refresh)
}

// ForgetAccess takes back the access tokens alone. The caller holds the lock.
func (p *Provider) ForgetAccess() { clear(p.access) }

// Browse is a person who opens the address of authorising and agrees: it
// returns the address that the browser ends at.
func (p *Provider) Browse(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	q := u.Query()
	if q.Get("client_id") != ClientID || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" || q.Get("state") == "" {
		return "", fmt.Errorf("not a request for a code: %s", address)
	}
	p.Lock()
	defer p.Unlock()
	code := rand.Text()
	p.codes[code] = q.Get("code_challenge")
	return q.Get("redirect_uri") + "?" + url.Values{"code": {code}, "state": {q.Get("state")}}.Encode(), nil
}

// strict refuses what is no well-formed request of our client.
func (p *Provider) strict(next func(w http.ResponseWriter, form url.Values)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p.Lock()
		defer p.Unlock()
		p.Asked++
		if p.Status != 0 {
			http.Error(w, "not now", p.Status)
			return
		}
		if err := r.ParseForm(); err != nil || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
			p.refuse(w, "invalid_request", "no form")
			return
		}
		if id, secret, ok := r.BasicAuth(); ok { // RFC 6749, 2.3.1: both are form-encoded
			id, err1 := url.QueryUnescape(id)
			secret, err2 := url.QueryUnescape(secret)
			if err1 != nil || err2 != nil || r.PostForm.Has("client_id") {
				p.wrong(w, "client is named twice or wrongly")
				return
			}
			r.PostForm.Set("client_id", id)
			r.PostForm.Set("client_secret", secret)
		}
		next(w, r.PostForm)
	}
}

func (p *Provider) refuse(w http.ResponseWriter, code, why string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": code, "error_description": "AADSTS700082: jan@example.org: " + why})
}

func (p *Provider) wrong(w http.ResponseWriter, format string, args ...any) {
	p.Broken = append(p.Broken, fmt.Sprintf(format, args...))
	p.refuse(w, "invalid_request", "see Broken")
}

func (p *Provider) giveToken(w http.ResponseWriter, f url.Values) {
	grant := f.Get("grant_type")
	if grant != "urn:ietf:params:oauth:grant-type:jwt-bearer" && f.Get("client_id") != ClientID {
		p.wrong(w, "%s: client_id %q", grant, f.Get("client_id"))
		return
	}
	switch grant {
	case "refresh_token":
		old := f.Get("refresh_token")
		if !p.refresh[old] {
			p.refuse(w, "invalid_grant", "token was revoked or replaced")
			return
		}
		delete(p.refresh, old)
		p.give(w, true)
	case "client_credentials":
		if f.Get("client_secret") != ClientSecret {
			p.refuse(w, "invalid_client", "wrong secret")
			return
		}
		p.give(w, false)
	case "urn:ietf:params:oauth:grant-type:device_code":
		switch {
		case f.Get("device_code") != "device-"+UserCode:
			p.wrong(w, "device_code %q", f.Get("device_code"))
		case p.Undecided > 0:
			p.Undecided--
			p.refuse(w, "authorization_pending", "wait")
		default:
			p.give(w, true)
		}
	case "authorization_code":
		sum := sha256.Sum256([]byte(f.Get("code_verifier")))
		if challenge, ok := p.codes[f.Get("code")]; !ok || challenge != base64.RawURLEncoding.EncodeToString(sum[:]) {
			p.refuse(w, "invalid_grant", "wrong code or verifier")
			return
		}
		delete(p.codes, f.Get("code"))
		p.give(w, true)
	case "urn:ietf:params:oauth:grant-type:jwt-bearer":
		p.assertion(w, f.Get("assertion"))
	default:
		p.wrong(w, "grant %q", grant)
	}
}

// assertion looks at who signs for whom; the signature itself is the library's.
func (p *Provider) assertion(w http.ResponseWriter, jwt string) {
	parts := strings.Split(jwt, ".")
	var claims struct{ Iss, Sub, Aud, Scope string }
	if len(parts) == 3 {
		raw, _ := base64.RawURLEncoding.DecodeString(parts[1]) // a broken one has no claims
		_ = json.Unmarshal(raw, &claims)
	}
	if claims.Iss == "" || claims.Sub != p.User || claims.Aud != p.URL+"/token" || claims.Scope == "" {
		p.wrong(w, "assertion of %q for %q to %q", claims.Iss, claims.Sub, claims.Aud)
		return
	}
	p.give(w, false)
}

func (p *Provider) give(w http.ResponseWriter, refresh bool) {
	answer := map[string]any{"token_type": "Bearer", "access_token": rand.Text(), "expires_in": int(p.Life.Seconds())}
	p.access[answer["access_token"].(string)] = time.Now().Add(p.Life)
	p.Given++
	if refresh {
		answer["refresh_token"] = p.newRefresh()
		if p.RefreshLife > 0 {
			answer["refresh_token_expires_in"] = int(p.RefreshLife.Seconds())
		}
		if p.BeforeAnswer != nil {
			p.BeforeAnswer()
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // the client is gone: its test says so
}

func (p *Provider) device(w http.ResponseWriter, f url.Values) {
	if f.Get("client_id") != ClientID {
		p.wrong(w, "device: client_id %q", f.Get("client_id"))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"device_code": "device-" + UserCode, "user_code": UserCode, "verification_uri": p.URL + "/kod", "expires_in": 600, "interval": 1,
	})
}

// introspect is asked by the mail server.
func (p *Provider) introspect(w http.ResponseWriter, r *http.Request) {
	p.Lock()
	defer p.Unlock()
	until, ok := p.access[r.FormValue("token")]
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"active": ok && time.Now().Before(until), "username": p.User, "token_type": "Bearer"})
}
