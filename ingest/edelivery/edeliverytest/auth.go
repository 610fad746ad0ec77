package edeliverytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"time"
)

// The paths of the simulated provider.
const (
	pathRealm = "/auth/realms/EDOR"
	pathToken = pathRealm + "/protocol/openid-connect/token"
	pathAPI   = "/api/v3"
)

// token is an access token that was given out.
type token struct {
	address string
	until   time.Time
}

// Register lets a system log in with the key of a certificate, as the
// administrator of a mailbox does on the web.
func (p *Platform) Register(address, system string, cert *x509.Certificate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.systems[address+".SYSTEM."+system] = cert
}

// serveToken answers client credentials with a signed assertion.
func (p *Platform) serveToken(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || r.ParseForm() != nil {
		refuse(w, http.StatusBadRequest, "invalid_request")
		return
	}
	client, err := p.assertion(r)
	if err != nil {
		p.blame("token: %v", err)
		refuse(w, http.StatusUnauthorized, "invalid_client")
		return
	}
	address, _, _ := strings.Cut(client, ".SYSTEM.")
	if hint := r.URL.Query().Get("login_hint"); hint != "ADE."+address {
		p.blame("token: login_hint %q", hint)
		refuse(w, http.StatusBadRequest, "invalid_request")
		return
	}
	value := p.newToken(address)
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(encode(map[string]any{"access_token": value, "expires_in": int(p.o.TokenLife.Seconds()), "token_type": "Bearer"}))
}

// newToken makes a token in the form of a JWT, as the real service does.
func (p *Platform) newToken(address string) string {
	now := p.o.Clock()
	claims := encode(map[string]any{
		"iss": p.base + pathRealm, "iat": now.Unix(), "exp": now.Add(p.o.TokenLife).Unix(), "jti": newID(),
		"authorization": map[string]any{"permissions": []any{map[string]any{"rsname": "ADE." + address, "scopes": p.o.Scopes}}},
	})
	signed := b64([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + b64(claims)
	mac := hmac.New(sha256.New, []byte("simulator"))
	mac.Write([]byte(signed))
	value := signed + "." + b64(mac.Sum(nil))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tokens[value] = token{address: address, until: now.Add(p.o.TokenLife)}
	return value
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func refuse(w http.ResponseWriter, status int, why string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(encode(map[string]any{"error": why, "error_description": "opis"}))
}

// assertionClaims are the claims of RFC 7523 §3.
type assertionClaims struct {
	Iss, Sub, Aud, Jti string
	Iat, Nbf, Exp      int64
}

// maxLife is the longest that an assertion may be good for.
const maxLife = 600

// assertion verifies who asks and returns the client id.
func (p *Platform) assertion(r *http.Request) (string, error) {
	f := r.PostForm
	if f.Get("grant_type") != "client_credentials" || f.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
		return "", errors.New("other grant")
	}
	parts := strings.Split(f.Get("client_assertion"), ".")
	if len(parts) != 3 {
		return "", errors.New("no compact JWS")
	}
	var header struct{ Alg, Typ string }
	var c assertionClaims
	for i, into := range []any{&header, &c} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return "", fmt.Errorf("part %d: %w", i, err)
		}
		if err := json.Unmarshal(raw, into); err != nil {
			return "", fmt.Errorf("part %d: %w", i, err)
		}
	}
	if given := f.Get("client_id"); given != "" && given != c.Iss {
		return "", errors.New("client_id is not the issuer")
	}
	if err := p.times(c); err != nil {
		return "", err
	}
	p.mu.Lock()
	cert, used := p.systems[c.Iss], p.jtis[c.Jti]
	p.jtis[c.Jti] = true
	p.mu.Unlock()
	switch {
	case cert == nil || c.Sub != c.Iss:
		return "", fmt.Errorf("unknown system %q", c.Iss)
	case used || c.Jti == "":
		return "", errors.New("the assertion was used before")
	case c.Aud != p.base+pathRealm && c.Aud != p.base+pathToken:
		return "", fmt.Errorf("audience %q", c.Aud)
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return "", fmt.Errorf("signature: %w", err)
	}
	return c.Iss, verify(cert.PublicKey, header.Alg, parts[0]+"."+parts[1], signature)
}

func (p *Platform) times(c assertionClaims) error {
	now := p.o.Clock().Unix()
	switch {
	case c.Exp <= now, c.Nbf > now, c.Iat > now, c.Exp-c.Iat > maxLife:
		return fmt.Errorf("times: now %d, iat %d, nbf %d, exp %d", now, c.Iat, c.Nbf, c.Exp)
	}
	return nil
}

func verify(key crypto.PublicKey, alg, text string, signature []byte) error {
	sum := sha256.Sum256([]byte(text))
	switch k := key.(type) {
	case *rsa.PublicKey:
		if alg != "RS256" {
			return fmt.Errorf("alg %q with an RSA key", alg)
		}
		return rsa.VerifyPKCS1v15(k, crypto.SHA256, sum[:], signature)
	case *ecdsa.PublicKey:
		if alg != "ES256" || len(signature) != 64 {
			return fmt.Errorf("alg %q with an EC key", alg)
		}
		if !ecdsa.Verify(k, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
			return errors.New("wrong signature")
		}
		return nil
	}
	return errors.New("unknown kind of key")
}

// authorize tells the status for a token on a mailbox: 200, 401 or 403.
func (p *Platform) authorize(r *http.Request, address, scope string) int {
	value, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	p.mu.Lock()
	defer p.mu.Unlock()
	t, known := p.tokens[value]
	switch {
	case !ok || !known || !p.o.Clock().Before(t.until):
		return http.StatusUnauthorized
	case t.address != address:
		return http.StatusForbidden
	}
	for _, s := range p.o.Scopes {
		if s == scope {
			return http.StatusOK
		}
	}
	return http.StatusForbidden
}
