// Package world is what stands around the program in end-to-end tests: a mail
// server, a simulated ePUAP platform, a box folder, and the program itself as a
// separate process that can be killed.
package world

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sekretariat/configs"
	"sekretariat/ingest/email/dovecottest"
	"sekretariat/ingest/epuap/epuaptest"
)

// Accounts of configs/demo.yaml.
const (
	Mailbox = "intake"
	Skrytka = "/opsprzykladowo/SkrytkaESP"
	entity  = "opsprzykladowo"
)

// World is one test's surroundings.
type World struct {
	Dir      string // short: sockets live below it
	Data     string
	Config   string
	Box      string
	Desk     string // host:port of the desk listener
	Scanners string
	Calls    string // host:port of the callbacks listener
	Dovecot  *dovecottest.Server
	Platform *epuaptest.Platform
	server   *epuaptest.Server
	system   struct{ cert, key []byte }
	bin      string
}

var build struct {
	sync.Once
	bin string
	err error
}

// Binary builds the program once per test process.
func Binary(t testing.TB) string {
	t.Helper()
	build.Do(func() {
		dir, err := os.MkdirTemp("", "sekretariat-bin-")
		if err != nil {
			build.err = err
			return
		}
		build.bin = filepath.Join(dir, "sekretariat")
		cmd := exec.Command("go", "build", "-o", build.bin, "./cmd/sekretariat")
		_, file, _, _ := runtime.Caller(0) // also from a nested module the program is built in its own
		cmd.Dir = filepath.Join(filepath.Dir(file), "..", "..")
		out, err := cmd.CombinedOutput()
		if err != nil {
			build.err = fmt.Errorf("build: %w\n%s", err, out)
		}
	})
	if build.err != nil {
		t.Fatal(build.err)
	}
	return build.bin
}

// New makes a world with an empty installation. adjust may change the demo
// centre's profile.
func New(t testing.TB, adjust func(*configs.Centre)) *World {
	t.Helper()
	dir, err := os.MkdirTemp("", "sek")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	w := &World{Dir: dir, Data: filepath.Join(dir, "data"), Config: filepath.Join(dir, "installation.yaml"), Box: filepath.Join(dir, "box"),
		Desk: freeAddr(t), Scanners: freeAddr(t), Calls: freeAddr(t), bin: Binary(t)}
	if err := os.MkdirAll(w.Box, 0o700); err != nil {
		t.Fatal(err)
	}
	w.Dovecot, err = dovecottest.Start(context.Background(), dovecottest.Options{Users: []string{Mailbox, "second"}})
	if errors.Is(err, dovecottest.ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Dovecot.Stop() })
	w.startPlatform(t)
	w.writeConfig(t, adjust)
	return w
}

// RegisterAll has the mail of machines registered like any other, for tests that
// count every delivery by its number.
func RegisterAll(c *configs.Centre) {
	c.Parking.Off = []string{"auto-reply", "bounce", "receipt", "list", "own-notice", "spam"}
}

func (w *World) startPlatform(t testing.TB) {
	t.Helper()
	var err error
	if w.Platform, err = epuaptest.New(epuaptest.Options{}); err != nil {
		t.Fatal(err)
	}
	w.Platform.AddBox(epuaptest.Box{Entity: entity, Name: "SkrytkaESP", Address: Skrytka})
	if w.system.cert, w.system.key, err = w.Platform.NewSystem(entity); err != nil {
		t.Fatal(err)
	}
	if w.server, err = w.Platform.StartTLS(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.server.Close() })
}

func (w *World) writeConfig(t testing.TB, adjust func(*configs.Centre)) {
	t.Helper()
	file := func(name string) string { return filepath.Join(w.Dir, name) }
	for name, content := range map[string][]byte{
		"imap-password": []byte(dovecottest.Password), "epuap-key.pem": w.system.key, "epuap-cert.pem": w.system.cert, "epuap-ca.pem": w.server.CA, "seed.yaml": configs.Demo,
	} {
		if err := os.WriteFile(file(name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := configs.Load(file("seed.yaml"), configs.LoadOptions{Data: w.Data, Adjust: func(c *configs.Centre) {
		m, e, b := &c.Mailboxes[0], &c.EPUAP[0], &c.Boxes[0]
		m.Server, m.CA, m.User, m.Password = w.Dovecot.TLSAddr, w.Dovecot.CA, Mailbox, configs.Secret{File: file("imap-password")}
		e.Pins, e.Repository, e.Push, e.Settle = []string{w.Platform.Pin()}, w.server.Repo, true, time.Second
		e.URL, e.CA, e.Cert, e.Key, e.Poll = w.server.URL, file("epuap-ca.pem"), file("epuap-cert.pem"), configs.Secret{File: file("epuap-key.pem")}, time.Second
		b.Folder, b.Quiet, b.Poll = w.Box, time.Second, time.Second
		if adjust != nil {
			adjust(c)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	profile, err := configs.Canonical(cfg.Profiles[0])
	if err != nil {
		t.Fatal(err)
	}
	installation := fmt.Sprintf("data: %s\nlisten: { desk: %q, scanners: %q, callbacks: %q }\nlog: { level: info }\ncentres: [demo.yaml]\n", w.Data, w.Desk, w.Scanners, w.Calls)
	for name, content := range map[string][]byte{"demo.yaml": profile, "installation.yaml": []byte(installation)} {
		if err := os.WriteFile(file(name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Service is the running program.
type Service struct {
	cmd  *exec.Cmd
	done chan struct{}
	log  *tail
	err  error
}

// Start starts `sekretariat serve` (or another role) as a process of its own.
func (w *World) Start(t testing.TB, args ...string) *Service {
	t.Helper()
	if len(args) == 0 {
		args = []string{"serve"}
	}
	return w.StartWith(t, w.Config, args...)
}

// StartWith starts the program with another installation file than the world's.
func (w *World) StartWith(t testing.TB, config string, args ...string) *Service {
	t.Helper()
	s := &Service{cmd: exec.Command(w.bin, append(args, "--config", config)...), done: make(chan struct{}), log: &tail{}}
	s.cmd.Stderr, s.cmd.Stdout = s.log, s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.err = s.cmd.Wait(); close(s.done) }()
	t.Cleanup(s.Kill)
	return s
}

// Pid is the process id.
func (s *Service) Pid() int { return s.cmd.Process.Pid }

// Kill is kill -9, as a power cut would do to the process.
func (s *Service) Kill() {
	_ = s.cmd.Process.Kill()
	<-s.done
}

// Stop asks the service to end and returns its exit status.
func (s *Service) Stop(t testing.TB) int {
	t.Helper()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(time.Minute):
		s.Kill()
		t.Errorf("no end after SIGTERM within a minute:\n%s", s.log)
	}
	return s.cmd.ProcessState.ExitCode()
}

// Ended tells whether the service ended by itself.
func (s *Service) Ended() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// Log is the end of what it wrote.
func (s *Service) Log() string { return s.log.String() }

// WaitReady waits until /readyz says that letters can be registered.
func (w *World) WaitReady(t testing.TB, s *Service) {
	t.Helper()
	WaitUntil(t, time.Minute, "the service to be ready", func() bool {
		if s.Ended() {
			t.Fatalf("the service ended: %v\n%s", s.err, s.Log())
		}
		r, err := http.Get("http://" + w.Desk + "/readyz")
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
}

// WaitUntil polls a condition of the outside world.
func WaitUntil(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s in vain for %s", limit, what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Run runs a command of the program to its end.
func (w *World) Run(args ...string) (stdout, stderr string, code int) { return w.RunInput("", args...) }

// RunInput runs a command that reads input.
func (w *World) RunInput(input string, args ...string) (stdout, stderr string, code int) {
	cmd := exec.Command(w.bin, args...)
	cmd.Stdin = strings.NewReader(input)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return out.String(), err.Error(), -1
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// Line is one line of the exported register.
type Line struct {
	Identifier string `json:"identifier"`
	Number     string `json:"number"`
	Letter     string `json:"letter"`
	Submission string `json:"submission"`
	SHA256     string `json:"sha256"`
	Channel    string `json:"channel"`
	Door       string `json:"door"`
	Department string `json:"department"`
	Status     string `json:"status"`
	Queued     string `json:"queued"`
}

// Export returns the register.
func (w *World) Export(t testing.TB) []Line {
	t.Helper()
	out, errs, code := w.Run("register", "export", "--format", "jsonl", "--config", w.Config)
	if code != 0 {
		t.Fatalf("export: %d\n%s", code, errs)
	}
	return Lines(t, out)
}

// Lines reads an exported register.
func Lines(t testing.TB, out string) []Line {
	t.Helper()
	var lines []Line
	sc := bufio.NewScanner(strings.NewReader(out))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var l Line
		if err := json.Unmarshal(sc.Bytes(), &l); err != nil {
			t.Fatalf("export line %q: %v", sc.Text(), err)
		}
		lines = append(lines, l)
	}
	return lines
}

// Verify runs verify and fails the test if it finds a broken promise.
func (w *World) Verify(t testing.TB) string {
	t.Helper()
	out, errs, code := w.Run("verify", "--deep", "--config", w.Config)
	if code != 0 {
		t.Errorf("verify: exit %d\n%s\n%s", code, out, errs)
	}
	return out
}

// tail keeps the end of a log.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (l *tail) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.buf = append(l.buf, p...); len(l.buf) > 64<<10 {
		l.buf = append([]byte(nil), l.buf[len(l.buf)-32<<10:]...)
	}
	return len(p), nil
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.buf)
}
