package edelivery

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

const (
	// assertionBack is how far iat and nbf lie back, against clocks that differ.
	assertionBack = time.Minute
	// assertionLife is how long a signed assertion is good for.
	assertionLife = 5 * time.Minute
	// tokenEarly is how long before its end a token is renewed.
	tokenEarly = 30 * time.Second
	// maxToken bounds the answer of the token service, octets.
	maxToken = 256 << 10
	// assertionType is the client_assertion_type of RFC 7523 §2.2.
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

// tokens gets access tokens and gives one to all workers of the mailbox until
// it is about to end.
type tokens struct {
	c     *Channel
	mu    sync.Mutex
	value string
	renew time.Time
}

// get returns a token that is good for a while.
func (t *tokens) get(ctx context.Context) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.value != "" && t.c.o.Clock().Before(t.renew) {
		return t.value, nil
	}
	a, err := t.c.token(ctx)
	if err != nil {
		return "", err
	}
	life := time.Duration(a.ExpiresIn) * time.Second
	now := t.c.o.Clock()
	t.value, t.renew = a.AccessToken, now.Add(max(life-tokenEarly, life/2))
	t.c.status.token(now.Add(life), claimsOf(a.AccessToken).rights(t.c.o.Account.Address))
	return t.value, nil
}

// drop forgets a token that the API refused, unless another worker has got a
// new one meanwhile.
func (t *tokens) drop(value string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.value == value {
		t.value = ""
	}
}

// tokenAnswer is the answer of the token service (RFC 6749 §5.1, §5.2).
type tokenAnswer struct {
	AccessToken string `json:"access_token"`
	ExpiresIn   int64  `json:"expires_in"` // seconds
	Error       string `json:"error"`
}

// token asks the token service for a token: client credentials with a signed
// assertion (RFC 6749 §4.4, RFC 7523 §2.2).
func (c *Channel) token(ctx context.Context) (tokenAnswer, error) {
	var a tokenAnswer
	pair, err := c.keys()
	if err != nil {
		return a, err
	}
	assertion, err := c.assertion(pair)
	if err != nil {
		return a, failed(codeCertificate, err)
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_assertion_type": {assertionType}, "client_assertion": {assertion}}
	if c.o.Account.SendClientID {
		form.Set("client_id", c.o.Account.ClientID)
	}
	ctx, _, stop := watch(ctx, c.o.Timeout)
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.tokenURL(), strings.NewReader(form.Encode()))
	if err != nil {
		return a, failed(codeConnect, fmt.Errorf("token: %w", err))
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return a, failed(codeConnect, fmt.Errorf("token: %w", cause(ctx, withoutURL(err))))
	}
	defer resp.Body.Close()
	c.clocks(resp)
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxToken))
	if err != nil {
		return a, failed(codeConnect, fmt.Errorf("token: the answer broke off: %w", cause(ctx, err)))
	}
	bad := json.Unmarshal(raw, &a)
	if resp.StatusCode != http.StatusOK {
		return a, tokenRefused(resp, a.Error)
	}
	if bad != nil || a.AccessToken == "" || len(a.AccessToken) > maxToken || strings.ContainsAny(a.AccessToken, " \r\n") {
		return a, failed(codePlatform, errors.New("token: the answer holds no access_token"))
	}
	a.ExpiresIn = min(max(a.ExpiresIn, 1), 24*3600)
	return a, nil
}

func tokenRefused(resp *http.Response, why string) error {
	e := &httpError{name: "token", status: resp.StatusCode, code: wordOnly(why)}
	f := &fault{code: codeLogin, after: retryAfter(resp), err: e}
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		f.code = codeMoved
	case resp.StatusCode == http.StatusTooManyRequests:
		f.code = codeLimit
	case resp.StatusCode >= 500, resp.StatusCode == http.StatusNotFound:
		f.code = codePlatform
	}
	return f
}

func (c *Channel) tokenURL() string {
	a := c.o.Account
	if a.LoginHint != nil && !*a.LoginHint {
		return a.TokenURL
	}
	sep := "?"
	if strings.Contains(a.TokenURL, "?") {
		sep = "&"
	}
	return a.TokenURL + sep + "login_hint=" + url.QueryEscape("ADE."+a.Address)
}

// keys reads certificate and key of the external system.
func (c *Channel) keys() (tls.Certificate, error) {
	cert, key := c.o.Certificate, c.o.Key
	var err error
	if cert == nil {
		if cert, err = os.ReadFile(c.o.Account.Cert); err != nil {
			return tls.Certificate{}, failed(codeCertificate, fmt.Errorf("cert: %w: give the certificate of the external system in PEM form", err))
		}
	}
	if key == nil {
		if key, err = c.o.Account.Key.Load(); err != nil {
			return tls.Certificate{}, failed(codeCertificate, fmt.Errorf("key of the external system: %w", err))
		}
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return tls.Certificate{}, failed(codeCertificate, fmt.Errorf("certificate and key of the external system: %w", err))
	}
	c.status.certificate(pair.Leaf)
	return pair, nil
}

// assertion signs who we are (RFC 7523 §3) as a compact JWS (RFC 7515 §7.1):
// RS256, or ES256 with a key on P-256.
func (c *Channel) assertion(pair tls.Certificate) (string, error) {
	a := c.o.Account
	header := map[string]any{"alg": "RS256", "typ": "JWT"}
	if _, ok := pair.PrivateKey.(*ecdsa.PrivateKey); ok {
		header["alg"] = "ES256"
	}
	if a.X5C {
		var chain []string
		for _, der := range pair.Certificate {
			chain = append(chain, base64.StdEncoding.EncodeToString(der)) // RFC 7515 §4.1.6
		}
		header["x5c"] = chain
	}
	now := c.o.Clock().Add(c.skew())
	claims := map[string]any{
		"iss": a.ClientID, "sub": a.ClientID, "aud": a.Audience, "jti": uuid.NewString(),
		"iat": now.Add(-assertionBack).Unix(), "nbf": now.Add(-assertionBack).Unix(), "exp": now.Add(assertionLife).Unix(),
	}
	var parts [2]string
	for i, v := range []any{header, claims} {
		raw, err := json.Marshal(v)
		if err != nil {
			return "", fmt.Errorf("signed assertion: %w", err)
		}
		parts[i] = base64.RawURLEncoding.EncodeToString(raw)
	}
	signed := parts[0] + "." + parts[1]
	signature, err := sign(pair.PrivateKey, signed)
	if err != nil {
		return "", fmt.Errorf("signed assertion: %w", err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// sign signs as RFC 7518 §3.3 and §3.4 say.
func sign(key crypto.PrivateKey, text string) ([]byte, error) {
	sum := sha256.Sum256([]byte(text))
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, sum[:])
	case *ecdsa.PrivateKey:
		if k.Curve.Params().BitSize != 256 {
			break
		}
		r, s, err := ecdsa.Sign(rand.Reader, k, sum[:])
		if err != nil {
			return nil, err
		}
		out := make([]byte, 64)
		r.FillBytes(out[:32])
		s.FillBytes(out[32:])
		return out, nil
	}
	return nil, errors.New("the key must be RSA or ECDSA on P-256")
}

// claims is what an access token says of our rights; the token is the API's,
// we only look into it to explain a refusal before it comes.
type claims struct {
	Authorization struct {
		Permissions []struct {
			Name   string   `json:"rsname"`
			Scopes []string `json:"scopes"`
		} `json:"permissions"`
	} `json:"authorization"`
}

func claimsOf(token string) (c claims) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(raw, &c) != nil {
		return claims{}
	}
	return c
}

// rights lists the scopes on the mailbox; nil if the token does not say.
func (c claims) rights(address string) []string {
	var out []string
	for _, p := range c.Authorization.Permissions {
		if !strings.HasPrefix(p.Name, "ADE.") { // "ADE.<address>" or "ADE.<id>.INBOX"
			continue
		}
		if strings.HasPrefix(p.Name, "ADE.AE:") && p.Name != "ADE."+address && !strings.HasPrefix(p.Name, "ADE."+address+".") {
			continue // of another mailbox
		}
		if out == nil {
			out = []string{}
		}
		for _, s := range p.Scopes {
			if !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}

// wordOnly keeps an error code and nothing that could be a sentence.
func wordOnly(s string) string {
	if len(s) > 60 || strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-' && r != '.'
	}) {
		return ""
	}
	return s
}
