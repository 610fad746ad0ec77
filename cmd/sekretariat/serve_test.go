package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// logBuffer is a log that may be read while it is written.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// serving is a service that runs in this process.
type serving struct {
	t            *testing.T
	config       string
	desk, health string
	log          logBuffer
	stop         context.CancelFunc
	ended        chan int
}

func startServing(t *testing.T) *serving {
	t.Helper()
	profile, err := os.ReadFile("../../configs/zielona-gora.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, dir, "profil.yaml", string(profile))
	s := &serving{t: t, desk: freeAddr(t), health: freeAddr(t), ended: make(chan int, 1)}
	s.config = write(t, dir, "installation.yaml", fmt.Sprintf("data: data\nlisten: { desk: %q, scanners: off, health: %q }\ncentres: [profil.yaml]\n", s.desk, s.health))
	s.start()
	return s
}

func (s *serving) start(more ...string) {
	s.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	go func() {
		s.ended <- run(ctx, append([]string{"serve", "--config", s.config}, more...), strings.NewReader(""), io.Discard, &s.log)
	}()
	for deadline := time.Now().Add(time.Minute); ; {
		if _, _, code := call(s.t, "ready", "--url", "http://"+s.health); code == 0 {
			return
		}
		if time.Now().After(deadline) {
			stop()
			s.t.Fatalf("the service is not ready:\n%s", &s.log)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (s *serving) get(address, path string) int {
	s.t.Helper()
	resp, err := http.Get("http://" + address + path)
	if err != nil {
		s.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// TestServe starts the service with the profile of a real centre, as the README
// says, and uses the commands beside it.
func TestServe(t *testing.T) {
	s := startServing(t)
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/api/v1/letters/x": 404} {
		if got := s.get(s.health, path); got != want {
			t.Errorf("health listener, %s: HTTP %d, want %d", path, got, want)
		}
	}
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/api/v1/letters/x": 401, "/nothing": 404} {
		if got := s.get(s.desk, path); got != want {
			t.Errorf("desk listener, %s: HTTP %d, want %d", path, got, want)
		}
	}
	if !strings.Contains(s.log.String(), "Nie działa: skrzynka pocztowa „poczta”") {
		t.Errorf("the log does not say what is off:\n%s", &s.log)
	}
	if _, errs, code := call(t, "serve", "--config", s.config); code != 1 || !strings.Contains(errs, "in use by another sekretariat; stop that one first") {
		t.Errorf("a second service: status %d\n%s", code, errs)
	}
	creds := filepath.Join(t.TempDir(), "mzon.creds")
	token, errs, code := call(t, "token", "create", "--config", s.config, "--department", "mzon", "--creds", creds)
	if info, err := os.Stat(creds); code != 0 || !strings.HasPrefix(token, "sek1.zielona-gora.") || err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("token create beside the service: status %d, %v\n%s", code, err, errs)
	}
	if out, errs, code := call(t, "config", "apply", "--config", s.config); code != 0 || !strings.Contains(out, "version 1 is active already") {
		t.Errorf("config apply: status %d\n%s%s", code, out, errs)
	}
	profile := filepath.Join(filepath.Dir(s.config), "profil.yaml")
	raw, err := os.ReadFile(profile)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Dir(profile), "profil.yaml", strings.Replace(string(raw), "town: Zielona Góra", "town: Zielona Gora", 1))
	if out, errs, code := call(t, "config", "apply", "--config", s.config); code != 0 || !strings.Contains(out, "version 2 is active from the next start") {
		t.Errorf("config apply of a changed profile: status %d\n%s%s", code, out, errs)
	}
	out, errs, code := call(t, "verify", "--config", s.config)
	if code != 0 || !strings.Contains(out, "every promise is kept") {
		t.Errorf("verify beside the service: status %d\n%s%s", code, out, errs)
	}
	s.stop()
	if code := <-s.ended; code != 0 {
		t.Errorf("a clean stop ends with status %d\n%s", code, &s.log)
	}
	if strings.Contains(s.log.String(), `"level":"error"`) {
		t.Errorf("errors in the log:\n%s", &s.log)
	}
	// The next start announces version 2; the token and the stop before it hold.
	s.start()
	if out, _, code := call(t, "token", "list", "--config", s.config); code != 0 || strings.Count(out, "department:mzon:read") != 1 {
		t.Errorf("token list: status %d\n%s", code, out)
	}
	s.stop()
	if code := <-s.ended; code != 0 {
		t.Errorf("a second clean stop ends with status %d", code)
	}
	// A staging log that cannot be read needs a person, who has a way out.
	write(t, filepath.Join(filepath.Dir(s.config), "data", "staging"), "log-0000000000000001.seg", strings.Repeat("damaged ", 100))
	if _, errs, code := call(t, "serve", "--config", s.config); code != 1 || !strings.Contains(errs, "serve --salvage") {
		t.Errorf("serve over a damaged staging log: status %d\n%s", code, errs)
	}
	s.start("--salvage")
	s.stop()
	if code := <-s.ended; code != 0 {
		t.Errorf("serve --salvage ends with status %d", code)
	}
	s.start()
	s.stop()
	if code := <-s.ended; code != 0 {
		t.Errorf("the start after it ends with status %d", code)
	}
}
