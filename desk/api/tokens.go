package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"sekretariat"
	"sekretariat/storage"
)

// Token is what is stored of an access token: never the token itself, only its
// digest, as the name of the object.
type Token struct {
	ID      string    `json:"id"` // public, for lists and the audit trail
	Scopes  []string  `json:"scopes"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	// NATSUser is the public key of the queue user that was issued with the
	// token and is revoked with it; "" if none.
	NATSUser string `json:"natsUser,omitempty"`
}

// Scopes of tokens.
const (
	scopeDepartment = "department:" // department:<id>:read — queue and letters of one department
	scopeBox        = "box:"        // box:<id>:upload — put files into one box
	ScopeQuarantine = "quarantine"  // with register: to call virus alarms false
	ScopeRegister   = "register"    // the sekretariat: register and every open letter
)

// DepartmentScope is the scope of a department system.
func DepartmentScope(d sekretariat.DepartmentID) string { return scopeDepartment + string(d) + ":read" }

// BoxScope is the scope of a scanner or an upload script.
func BoxScope(box string) string { return scopeBox + box + ":upload" }

// The errors of tokens.
var (
	// ErrToken: unknown, expired, revoked or malformed. They all answer alike.
	ErrToken = errors.New("token is not valid")
)

// Tokens issues and checks access tokens. They lie as objects, so that every
// desk of an installation knows the same ones, and so that deleting one ends it
// at once, everywhere.
type Tokens struct {
	store storage.Store
	clock sekretariat.Clock
}

// NewTokens keeps tokens in store.
func NewTokens(store storage.Store, clock sekretariat.Clock) *Tokens {
	return &Tokens{store: store, clock: clock}
}

// tokenPrefix marks our tokens, so that secret scanners recognise a leaked one.
const tokenPrefix = "sek1"

// Create issues a token for a centre and returns its only readable copy.
func (t *Tokens) Create(ctx context.Context, centre sekretariat.CentreID, scopes []string, ttl time.Duration, natsUser string) (string, Token, error) {
	var secret [32]byte
	rand.Read(secret[:])
	plain := strings.Join([]string{tokenPrefix, string(centre), base64.RawURLEncoding.EncodeToString(secret[:])}, ".")
	now := t.clock()
	tok := Token{ID: tokenDigest(plain)[:12], Scopes: scopes, Created: now, Expires: now.Add(ttl), NATSUser: natsUser}
	raw, err := json.MarshalIndent(tok, "", "  ")
	if err != nil {
		return "", tok, fmt.Errorf("encode token: %w", err)
	}
	if err := t.store.PutOnce(ctx, tokenKey(centre, tokenDigest(plain)), bytes.NewReader(raw)); err != nil {
		return "", tok, fmt.Errorf("keep token %s: %w", tok.ID, err)
	}
	return plain, tok, nil
}

// Check returns centre and token for what a caller presents. Returns ErrToken.
func (t *Tokens) Check(ctx context.Context, plain string) (sekretariat.CentreID, Token, error) {
	parts := strings.Split(plain, ".")
	if len(parts) != 3 || parts[0] != tokenPrefix || !sekretariat.ValidSlug(parts[1]) || len(plain) > 200 {
		return "", Token{}, ErrToken
	}
	centre := sekretariat.CentreID(parts[1])
	tok, err := t.load(ctx, tokenKey(centre, tokenDigest(plain)))
	if errors.Is(err, storage.ErrNotFound) {
		return "", tok, ErrToken
	}
	if err != nil {
		return "", tok, err
	}
	if t.clock().After(tok.Expires) {
		return "", tok, ErrToken
	}
	return centre, tok, nil
}

// List returns the tokens of a centre.
func (t *Tokens) List(ctx context.Context, centre sekretariat.CentreID) ([]Token, error) {
	var out []Token
	err := t.store.List(ctx, tokenKey(centre, ""), func(i storage.Info) error {
		tok, err := t.load(ctx, i.Key)
		if err == nil {
			out = append(out, tok)
		}
		return err
	})
	return out, err
}

// Find returns the token with this public id. Returns ErrToken if there is none.
func (t *Tokens) Find(ctx context.Context, centre sekretariat.CentreID, id string) (Token, error) {
	tok, _, err := t.find(ctx, centre, id)
	return tok, err
}

// Revoke ends the token with this public id at once. End its queue user
// before: a token that is gone cannot be found again. Returns ErrToken.
func (t *Tokens) Revoke(ctx context.Context, centre sekretariat.CentreID, id string) error {
	_, key, err := t.find(ctx, centre, id)
	if err != nil {
		return err
	}
	return t.store.Delete(ctx, key)
}

func (t *Tokens) find(ctx context.Context, centre sekretariat.CentreID, id string) (found Token, key string, err error) {
	err = t.store.List(ctx, tokenKey(centre, ""), func(i storage.Info) error {
		tok, err := t.load(ctx, i.Key)
		if err == nil && tok.ID == id {
			found, key = tok, i.Key
		}
		return err
	})
	if err == nil && key == "" {
		err = fmt.Errorf("no token %q in centre %s: %w", id, centre, ErrToken)
	}
	return found, key, err
}

func (t *Tokens) load(ctx context.Context, key string) (Token, error) {
	var tok Token
	o, err := t.store.Get(ctx, key)
	if err != nil {
		return tok, err
	}
	defer o.Close()
	raw, err := io.ReadAll(io.NewSectionReader(o, 0, min(o.Size(), 1<<16)))
	if err != nil {
		return tok, fmt.Errorf("read token: %w", err)
	}
	if err := json.Unmarshal(raw, &tok); err != nil {
		return tok, fmt.Errorf("read token: %w: %w", storage.ErrDamaged, err)
	}
	return tok, nil
}

// Principal is what the bearer of a token may see.
func (t Token) Principal(centre sekretariat.CentreID) sekretariat.Principal {
	p := sekretariat.Principal{ID: "token:" + t.ID, Centre: centre, Register: slices.Contains(t.Scopes, ScopeRegister)}
	for _, s := range t.Scopes {
		if d, ok := between(s, scopeDepartment, ":read"); ok {
			p.Departments = append(p.Departments, sekretariat.DepartmentID(d))
		}
	}
	if p.Register {
		p.Quarantine = slices.Contains(t.Scopes, ScopeQuarantine)
		p.Departments = append(p.Departments, sekretariat.Sekretariat)
	}
	return p
}

// Box returns the box that the token may upload into, "" if none.
func (t Token) Box() string {
	for _, s := range t.Scopes {
		if b, ok := between(s, scopeBox, ":upload"); ok {
			return b
		}
	}
	return ""
}

func between(s, before, after string) (string, bool) {
	s, ok := strings.CutPrefix(s, before)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(s, after)
}

func tokenKey(c sekretariat.CentreID, digest string) string {
	key := storage.ConfigKey(c, "token/"+digest)
	if digest != "" {
		key += ".json"
	}
	return key
}

func tokenDigest(plain string) string {
	d := sha256.Sum256([]byte(plain))
	return hex.EncodeToString(d[:])
}
