package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/jwt"
	"golang.org/x/sys/unix"

	"sekretariat/configs"
)

// kept is the file of a refresh token.
type kept struct {
	Version int    `json:"version"`
	Refresh string `json:"refresh_token"`
	// Previous is what Refresh replaced, until Refresh has proved itself: the
	// answer that brought it may have been cut off, or the provider rolled back.
	Previous   string    `json:"previous,omitempty"`
	Authorised time.Time `json:"authorised"`       // by a person
	Used       time.Time `json:"used"`             // last, to the day
	Expires    time.Time `json:"expires,omitzero"` // if the provider says so
}

const keptVersion = 1

// ends is when the refresh token ends if it is not used until then.
func (k *kept) ends(provider string) time.Time {
	if !k.Expires.IsZero() {
		return k.Expires
	}
	if life := idleLife[provider]; life > 0 {
		return k.Used.Add(life)
	}
	return time.Time{}
}

func load(path string) (*kept, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: nobody has authorised the program yet; run: sekretariat mailbox authorize", ErrRefused)
	}
	if err != nil {
		return nil, fmt.Errorf("refresh token: %w", err)
	}
	var k kept
	if err := json.Unmarshal(raw, &k); err != nil || k.Version != keptVersion || k.Refresh == "" {
		return nil, fmt.Errorf("%w: %s holds no refresh token of this version; run: sekretariat mailbox authorize", ErrRefused, path)
	}
	return &k, nil
}

func (k *kept) save(path string) error {
	raw, err := json.Marshal(k)
	if err != nil {
		return fmt.Errorf("refresh token: %w", err)
	}
	return configs.ReplaceFile(path, append(raw, '\n'))
}

// refresh gets an access token for the refresh token. One that the provider
// replaces is durable before the access token is used.
func (s *Source) refresh(ctx context.Context) (*oauth2.Token, error) {
	unlock, err := lock(ctx, s.o.File)
	if err != nil {
		return nil, err
	}
	defer unlock()
	k, err := load(s.o.File)
	if u := s.unsaved; u != nil && (err != nil || !k.Authorised.After(u.Authorised)) {
		k, err = u, nil
	}
	if err != nil {
		return nil, err
	}
	c, err := s.config()
	if err != nil {
		return nil, err
	}
	by := k.Refresh
	tok, err := c.TokenSource(ctx, &oauth2.Token{RefreshToken: by}).Token()
	if err = judge(err); errors.Is(err, ErrRefused) && k.Previous != "" {
		by = k.Previous
		var second error
		if tok, second = c.TokenSource(ctx, &oauth2.Token{RefreshToken: by}).Token(); second == nil {
			err = nil
		}
	}
	if err != nil {
		return nil, err
	}
	s.keep(k, by, tok)
	return tok, nil
}

// keep writes down what the answer changed. When that is not possible now, it
// is held and written later: mail goes on meanwhile.
func (s *Source) keep(k *kept, by string, tok *oauth2.Token) {
	now := s.o.Clock()
	next := *k
	switch {
	case tok.RefreshToken != "" && tok.RefreshToken != by:
		next.Refresh, next.Previous = tok.RefreshToken, by
	case by == k.Refresh:
		next.Previous = "" // it has proved itself
	}
	next.learn(tok, now)
	if next == *k && s.unsaved == nil {
		return
	}
	s.unsaved = &next
	s.saveLate()
}

// learn notes the use, to the day, and what the provider says of the end.
func (k *kept) learn(tok *oauth2.Token, now time.Time) {
	if now.Sub(k.Used) > 24*time.Hour || now.Before(k.Used) {
		k.Used = now.UTC()
	}
	if seconds, ok := tok.Extra("refresh_token_expires_in").(float64); ok && seconds > 0 {
		at := now.Add(time.Duration(seconds) * time.Second).UTC().Truncate(time.Minute)
		if d := at.Sub(k.Expires); d > time.Hour || d < -time.Hour { // not written for seconds of difference
			k.Expires = at
		}
	}
}

// saveLate writes what could not be written before.
func (s *Source) saveLate() {
	if s.unsaved == nil {
		return
	}
	if k, err := load(s.o.File); err == nil && k.Authorised.After(s.unsaved.Authorised) {
		s.unsaved = nil // a person authorised anew meanwhile
		return
	}
	if err := s.unsaved.save(s.o.File); err != nil {
		s.o.Logger.Error().Err(err).Msg("a renewed refresh token cannot be written: it is held in memory and tried again; free the disk before the next restart")
		return
	}
	s.unsaved = nil
}

// lock makes the command line and the service take turns.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("refresh token: %w", err)
	}
	if err := configs.KeepOwner(f, path); err != nil {
		return nil, fmt.Errorf("refresh token: %w", errors.Join(err, f.Close()))
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil // which gives the lock back
		}
		if errors.Is(err, unix.EWOULDBLOCK) {
			select {
			case <-time.After(20 * time.Millisecond):
				continue
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
		return nil, fmt.Errorf("refresh token: %w", errors.Join(err, f.Close()))
	}
}

// serviceAccount signs a request in the name of a Google service account that
// may act for the mailbox (domain-wide delegation).
func (s *Source) serviceAccount(ctx context.Context) (*oauth2.Token, error) {
	raw, err := s.o.Config.ServiceAccount.Load()
	if err != nil {
		return nil, fmt.Errorf("oauth.service_account: %w", err)
	}
	var key struct {
		Email    string `json:"client_email"`
		Key      string `json:"private_key"`
		KeyID    string `json:"private_key_id"`
		TokenURL string `json:"token_uri"`
	}
	if err := json.Unmarshal(raw, &key); err != nil || key.Email == "" || key.Key == "" {
		return nil, fmt.Errorf("%w: oauth.service_account is no key file of a service account (JSON)", ErrRefused)
	}
	url := s.endpoint().TokenURL
	if s.o.Config.Provider != "google" && key.TokenURL != "" && s.o.Config.TokenURL == "" {
		url = key.TokenURL
	}
	c := jwt.Config{Email: key.Email, PrivateKey: []byte(key.Key), PrivateKeyID: key.KeyID, Subject: s.o.User, Scopes: s.scopes(), TokenURL: url}
	tok, err := c.TokenSource(ctx).Token()
	return tok, judge(err)
}
