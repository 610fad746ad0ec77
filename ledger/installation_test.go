package ledger

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sekretariat"
)

func TestSecretsAreMadeOnceAndPrivate(t *testing.T) {
	d := filepath.Join(t.TempDir(), "secrets")
	var wg sync.WaitGroup
	for range 4 { // two containers that start together
		wg.Go(func() {
			if err := InitSecrets(d); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	before := files(t, d)
	if err := os.Remove(filepath.Join(d, fileServiceCreds)); err != nil { // as after an interruption
		t.Fatal(err)
	}
	if err := InitSecrets(d); err != nil {
		t.Fatal(err)
	}
	after := files(t, d)
	if len(before) != 9 || len(after) != len(before) {
		t.Errorf("%d files, then %d", len(before), len(after))
	}
	for name, content := range before {
		if name != fileServiceCreds && after[name] != content {
			t.Errorf("%s was made anew", name)
		}
	}
	if i, err := os.Stat(d); err != nil || i.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v, %v", i.Mode(), err)
	}
	// All of it still belongs together.
	l := open(t, t.TempDir(), func(o *Options) { o.Secrets = d })
	centre(t, l)
}

func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		i, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if i.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", e.Name(), i.Mode())
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(b)
	}
	return all
}

func TestOneProcessPerFolder(t *testing.T) {
	d := t.TempDir()
	l := open(t, d)
	if _, err := Open(t.Context(), Options{Dir: d, Logger: zerolog.Nop()}); !errors.Is(err, ErrInUse) {
		t.Errorf("a second one: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
	open(t, d)
}

func TestOpenErrors(t *testing.T) {
	for name, o := range map[string]Options{
		"nothing":        {},
		"both":           {Dir: t.TempDir(), URL: "nats://127.0.0.1:1"},
		"no credentials": {URL: "nats://127.0.0.1:1", Secrets: t.TempDir()},
	} {
		o.Logger = zerolog.Nop()
		if _, err := Open(t.Context(), o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	_, err := Open(t.Context(), Options{URL: "nats://127.0.0.1:1", Secrets: t.TempDir(), Logger: zerolog.Nop()})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "sekretariat init") {
		t.Errorf("no credentials: %v", err)
	}
	s := t.TempDir()
	if err := InitSecrets(s); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := Open(ctx, Options{URL: "nats://127.0.0.1:1", Secrets: s, Logger: zerolog.Nop()}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nobody there: %v", err)
	}
}

// Names of one centre cannot become those of another.
func TestStreamNamesDoNotMix(t *testing.T) {
	l := open(t, t.TempDir())
	if _, err := l.Centre(t.Context(), "a", []sekretariat.SeriesID{"b-queue"}); err != nil {
		t.Fatal(err)
	}
	_, err := l.Centre(t.Context(), "a-register-b", nil) // its QUEUE has the same name
	if err == nil || !strings.Contains(err.Error(), "uses this name") {
		t.Errorf("a name taken: %v", err)
	}
	all, err := l.Streams(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, s := range all {
		found = found || s.Name == "SK-A-REGISTER-B-QUEUE" && s.Centre == "a" && s.Stream == "REGISTER-b-queue"
	}
	if !found {
		t.Errorf("streams: %+v", all)
	}
}

func TestClosedLedger(t *testing.T) {
	l := open(t, t.TempDir())
	g := centre(t, l)
	mustAppend(t, g, Letter, rec("a", 0))
	done := make(chan error)
	go func() {
		done <- g.Follow(context.Background(), Letter, 2, func(Stored) error { return nil }, func() error { return nil })
	}()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Append(t.Context(), Letter, rec("b", 0)); !errors.Is(err, ErrClosed) {
		t.Errorf("append: %v", err)
	}
	if _, err := g.Last(t.Context(), Letter, "a"); !errors.Is(err, ErrClosed) {
		t.Errorf("read: %v", err)
	}
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Errorf("follow: %v", err)
	}
}

// An external server: credentials are issued in one process and revoked in
// another, and what was revoked stays out when the server comes back.
func TestExternalCredentials(t *testing.T) {
	s := startServer(t)
	l, g := s.open()
	creds, pub := issue(t, l, benefits)
	queued(t, g, benefits, Normal, "a")
	q := client(t, l, benefits, creds)
	m, err := q.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.restart()
	if err := m.Ack(t.Context()); err != nil {
		t.Log(err) // the server has forgotten that it handed it out, and will again
	}
	queued(t, g, benefits, Urgent, "b")
	for { // the first may come again
		m, err := q.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if m.Lane == Urgent {
			break
		}
	}
	other, _ := s.open()
	if err := other.Revoke(t.Context(), pub); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err := OpenQueue(ctx, QueueOptions{URL: s.url, Credentials: creds, Centre: testCentre, Department: benefits, Logger: zerolog.Nop()})
		if err == nil || ctx.Err() != nil {
			t.Errorf("revoked, but: %v", err)
		}
		cancel()
		s.restart()
	}
	// The server's account folder is lost: the next start of a service brings
	// back what was revoked, for the ledger knows it.
	s.kill()
	if err := os.RemoveAll(filepath.Join(s.dir, "accounts")); err != nil {
		t.Fatal(err)
	}
	s.start()
	if err := l.EnsureQueue(t.Context(), testCentre, benefits); err != nil {
		t.Fatal(err)
	}
	if q, err := OpenQueue(t.Context(), QueueOptions{URL: s.url, Credentials: creds, Centre: testCentre, Department: benefits, Logger: zerolog.Nop()}); err == nil {
		q.Close()
		t.Error("revoked, but let in by a new account folder")
	}
}
