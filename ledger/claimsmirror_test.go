package ledger

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sekretariat/storage/dir"
)

// A ledger whose files are lost does not forget who was first and whose
// credentials were revoked, even if filling it is interrupted.
func TestClaimsOutliveTheLedger(t *testing.T) {
	objects, err := dir.Open(t.TempDir(), dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	home, secrets := filepath.Join(t.TempDir(), "nats"), t.TempDir()
	with := func(o *Options) { o.Port, o.Secrets, o.Objects = -1, secrets, objects }
	l := open(t, home, with)
	centre(t, l)
	revoked, pub := issue(t, l, benefits)
	valid, _ := issue(t, l, benefits)
	if err := l.Revoke(t.Context(), pub); err != nil {
		t.Fatal(err)
	}
	if w, err := l.Claim(t.Context(), "twin.a", []byte("first")); err != nil || string(w) != "first" {
		t.Fatalf("claim: %q, %v", w, err)
	}
	for _, interrupted := range []bool{false, true} {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(home); err != nil {
			t.Fatal(err)
		}
		if interrupted { // it dies with the bucket made and nothing in it
			half := open(t, home, with, func(o *Options) { o.Objects = nil })
			if err := half.Close(); err != nil {
				t.Fatal(err)
			}
		}
		l = open(t, home, with)
		centre(t, l)
		if err := l.EnsureQueue(t.Context(), testCentre, benefits); err != nil {
			t.Fatal(err)
		}
		if w, err := l.Claim(t.Context(), "twin.a", []byte("second")); err != nil || string(w) != "first" {
			t.Errorf("claim after the loss: %q, %v", w, err)
		}
		if err := opens(t, l, revoked); !errors.Is(err, ErrRefused) {
			t.Errorf("revoked credentials after the loss: %v", err)
		}
		if err := opens(t, l, valid); err != nil {
			t.Errorf("valid credentials after the loss: %v", err)
		}
	}
}

func opens(t *testing.T, l *Ledger, creds []byte) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	q, err := OpenQueue(ctx, QueueOptions{URL: l.URL(), Credentials: creds, Centre: testCentre, Department: benefits, Logger: zerolog.Nop()})
	if err == nil {
		q.Close()
	}
	return err
}

// A claim whose copy could not be written says so, and writes it when it is
// repeated.
func TestClaimWritesItsCopyLater(t *testing.T) {
	folder := t.TempDir()
	objects, err := dir.Open(folder, dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l := open(t, t.TempDir(), func(o *Options) { o.Objects = objects })
	blocked := filepath.Join(folder, "i")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil { // a file where the folder is to be
		t.Fatal(err)
	}
	if _, err := l.Claim(t.Context(), "twin.b", []byte("first")); err == nil {
		t.Error("a claim without its copy is said to be kept")
	}
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	if w, err := l.Claim(t.Context(), "twin.b", []byte("second")); err != nil || string(w) != "first" {
		t.Errorf("repeated claim: %q, %v", w, err)
	}
	m, err := l.readMirror(t.Context(), mirrorKey(appKey("twin.b")))
	if err != nil || string(m.Value) != "first" {
		t.Errorf("copy of the claim: %q, %v", m.Value, err)
	}
}
