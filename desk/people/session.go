package people

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"sekretariat"
	secret "sekretariat/configs/password"
	"sekretariat/storage"
)

// How long a session lasts: a working day, and not through a lunch break on an
// unlocked machine.
const (
	sessionAge  = 12 * time.Hour
	sessionIdle = time.Hour
	sessionStep = 5 * time.Minute // how often the last use is written down
)

// session is what is stored of one: never its token, whose digest names it.
type session struct {
	Person  string    `json:"person"`
	Epoch   int       `json:"epoch"`
	Created time.Time `json:"created"`
	Seen    time.Time `json:"seen"`
}

// The errors of signing in.
var (
	// ErrRefused: login or password is wrong, or the account is closed. They
	// answer alike.
	ErrRefused = errors.New("login or password is wrong")
	// ErrWait: too many attempts; wait some minutes.
	ErrWait = errors.New("too many attempts")
	// ErrNoSession: not signed in, or not any more.
	ErrNoSession = errors.New("not signed in")
)

// SignIn checks login and password and returns the token of a new session.
// from is the caller's address, for the guard. Returns ErrRefused and ErrWait.
func (b *Book) SignIn(ctx context.Context, login, password, from string) (string, Person, error) {
	if !b.guard.allow(login, from) {
		return "", Person{}, ErrWait
	}
	p, err := b.ByLogin(ctx, login)
	if err != nil && !errors.Is(err, ErrNobody) {
		return "", p, err
	}
	phc := p.Password
	if err != nil {
		phc = secret.Nobody()
	}
	if !secret.Matches(phc, password) || err != nil || p.Disabled {
		b.guard.failed(login, from)
		return "", Person{}, ErrRefused
	}
	b.guard.succeeded(login, from)
	var secret [32]byte
	rand.Read(secret[:])
	token := base64.RawURLEncoding.EncodeToString(secret[:])
	now := b.clock()
	return token, p, b.keep(ctx, token, session{Person: p.ID, Epoch: p.Epoch, Created: now, Seen: now})
}

func (b *Book) sessionKey(token string) string {
	return storage.ConfigKey(b.centre, "sessions/"+string(sekretariat.DigestOf([]byte(token))))
}

func (b *Book) keep(ctx context.Context, token string, s session) error {
	raw, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode session: %w", err)
	}
	if err := b.vault.Objects().Put(ctx, b.sessionKey(token), bytes.NewReader(raw)); err != nil {
		return fmt.Errorf("keep session: %w", err)
	}
	return nil
}

// Session returns who a token belongs to. Returns ErrNoSession.
func (b *Book) Session(ctx context.Context, token string) (Person, error) {
	if len(token) != 43 {
		return Person{}, ErrNoSession
	}
	s, err := b.loadSession(ctx, token)
	if err != nil {
		return Person{}, err
	}
	now := b.clock()
	if now.Sub(s.Created) > sessionAge || now.Sub(s.Seen) > sessionIdle {
		return Person{}, errors.Join(ErrNoSession, b.SignOut(ctx, token))
	}
	p, err := b.Get(ctx, s.Person)
	if errors.Is(err, ErrNobody) || err == nil && (p.Disabled || p.Epoch != s.Epoch) {
		return Person{}, ErrNoSession
	}
	if err != nil {
		return Person{}, err
	}
	if now.Sub(s.Seen) > sessionStep {
		s.Seen = now
		err = b.keep(ctx, token, s)
	}
	return p, err
}

func (b *Book) loadSession(ctx context.Context, token string) (session, error) {
	var s session
	o, err := b.vault.Objects().Get(ctx, b.sessionKey(token))
	if errors.Is(err, storage.ErrNotFound) {
		return s, ErrNoSession
	}
	if err != nil {
		return s, fmt.Errorf("look for the session: %w", err)
	}
	defer o.Close()
	if err := json.NewDecoder(io.NewSectionReader(o, 0, min(o.Size(), 4096))).Decode(&s); err != nil {
		return s, fmt.Errorf("look for the session: %w: %w", storage.ErrDamaged, err)
	}
	return s, nil
}

// SignOut ends a session. Ending one that is not there is no error.
func (b *Book) SignOut(ctx context.Context, token string) error {
	err := b.vault.Objects().Delete(ctx, b.sessionKey(token))
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	return err
}

// Sweep deletes sessions that have ended by age.
func (b *Book) Sweep(ctx context.Context) error {
	var old []string
	now := b.clock()
	err := b.vault.Objects().List(ctx, storage.ConfigKey(b.centre, "sessions/"), func(i storage.Info) error {
		o, err := b.vault.Objects().Get(ctx, i.Key)
		if errors.Is(err, storage.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		defer o.Close()
		var s session
		if json.NewDecoder(io.NewSectionReader(o, 0, min(o.Size(), 4096))).Decode(&s) != nil || now.Sub(s.Created) > sessionAge {
			old = append(old, i.Key)
		}
		return nil
	})
	for _, key := range old {
		err = errors.Join(err, b.vault.Objects().Delete(ctx, key))
	}
	return err
}
