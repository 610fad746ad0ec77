// Package dovecottest starts a private Dovecot on loopback: the real IMAP
// server behind tests, demo, bench and crash runs of the mail channel. It runs
// without privileges and keeps its mail as Maildir files, so that thousands of
// messages can be put into a mailbox by writing files.
package dovecottest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Password is the password of every user of a private server.
const Password = "sekret"

// ErrMissing is returned by Start when Dovecot is not installed.
var ErrMissing = errors.New("dovecot is not installed: install the Debian package dovecot-imapd")

// Options say how the server should look.
type Options struct {
	// Dir keeps configuration and mail; it and its parents must be readable
	// for the user "nobody" when the caller is root. "" is a temporary folder
	// that Stop removes.
	Dir string
	// Users of the server, all with Password. Default: "intake".
	Users []string
	// CapabilityOverride, if set, is all that the server admits to be capable
	// of ("IMAP4rev1 UIDPLUS IDLE LITERAL+"). It refuses nothing, it only
	// hides, which is what a client goes by.
	CapabilityOverride string
	// Separator of folder names, default "/".
	Separator string
	// Prefix of the personal namespace, default none ("INBOX." on Courier).
	Prefix string
	// Junk is the folder that the server says is for spam (RFC 6154), "" = none.
	Junk string
	// Introspection is the address where access tokens are looked up (RFC
	// 7662); with it XOAUTH2 and OAUTHBEARER work.
	Introspection string
	// MaxConnections per user, default 50.
	MaxConnections int
}

// Server is a running Dovecot.
type Server struct {
	Addr     string // STARTTLS or plain, 127.0.0.1:port
	TLSAddr  string // implicit TLS, 127.0.0.1:port
	CA       string // file of the CA that signed the certificate, PEM
	bin, dir string
	owned    bool // dir is ours to remove
	uid, gid int
	cmd      *exec.Cmd
	exited   chan struct{}
	opt      Options
}

// Start starts a server and returns when it answers. It returns ErrMissing if
// Dovecot is not installed. ctx bounds the start only.
func Start(ctx context.Context, o Options) (*Server, error) {
	bin, err := find()
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, dir: o.Dir, opt: o.withDefaults(), uid: os.Getuid(), gid: os.Getgid()}
	if s.uid == 0 { // Dovecot refuses mail access to root
		s.uid, s.gid = 65534, 65534
	}
	if err := s.makeDir(); err != nil {
		return nil, err
	}
	for attempt := 0; ; attempt++ {
		err = s.launch(ctx)
		if err == nil {
			return s, nil
		}
		if attempt == 2 || ctx.Err() != nil { // a port may have been taken meanwhile
			return nil, errors.Join(err, s.Stop())
		}
	}
}

func find() (string, error) {
	for _, p := range []string{"dovecot", "/usr/sbin/dovecot"} {
		if bin, err := exec.LookPath(p); err == nil {
			return bin, nil
		}
	}
	return "", ErrMissing
}

func (o Options) withDefaults() Options {
	if len(o.Users) == 0 {
		o.Users = []string{"intake"}
	}
	if o.Separator == "" {
		o.Separator = "/"
	}
	if o.MaxConnections == 0 {
		o.MaxConnections = 50
	}
	return o
}

func (s *Server) makeDir() error {
	if s.dir == "" {
		dir, err := os.MkdirTemp("", "dovecot")
		if err != nil {
			return fmt.Errorf("folder for dovecot: %w", err)
		}
		s.dir, s.owned = dir, true
	}
	dir, err := filepath.Abs(s.dir)
	if err != nil {
		return fmt.Errorf("folder for dovecot: %w", err)
	}
	s.dir = dir
	if len(dir) > 60 { // Unix sockets below it: sun_path holds 107 octets
		return fmt.Errorf("folder for dovecot: the path %s is too long for sockets, choose a shorter one", dir)
	}
	for _, d := range []string{"", "run", "mail"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return fmt.Errorf("folder for dovecot: %w", err)
		}
		if err := s.own(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	if err := s.reachable(); err != nil {
		return err
	}
	s.CA = filepath.Join(dir, "ca.pem")
	return s.writeCertificates()
}

// reachable checks that the unprivileged user can walk down to the folder.
func (s *Server) reachable() error {
	if os.Getuid() != 0 {
		return nil
	}
	for d := filepath.Dir(s.dir); ; d = filepath.Dir(d) {
		fi, err := os.Stat(d)
		if err != nil {
			return fmt.Errorf("folder for dovecot: %w", err)
		}
		if fi.Mode().Perm()&0o001 == 0 {
			return fmt.Errorf("folder for dovecot: %s is closed to the user nobody; choose a folder below /tmp or run as an ordinary user", d)
		}
		if d == filepath.Dir(d) {
			return nil
		}
	}
}

// own gives a file or folder to the user that Dovecot runs as.
func (s *Server) own(path string, mode os.FileMode) error {
	if os.Getuid() == 0 {
		if err := os.Chown(path, s.uid, s.gid); err != nil {
			return fmt.Errorf("folder for dovecot: %w", err)
		}
	}
	if err := os.Chmod(path, mode); err != nil {
		return fmt.Errorf("folder for dovecot: %w", err)
	}
	return nil
}

// launch writes the configuration for two free ports and starts the process.
func (s *Server) launch(ctx context.Context) error {
	plain, tls, err := freePorts()
	if err != nil {
		return err
	}
	s.Addr, s.TLSAddr = "127.0.0.1:"+strconv.Itoa(plain), "127.0.0.1:"+strconv.Itoa(tls)
	if err := s.writeConfig(plain, tls); err != nil {
		return err
	}
	return s.run(ctx)
}

// run starts the process with the configuration that is there.
func (s *Server) run(ctx context.Context) error {
	cmd := exec.Command(s.bin, "-F", "-c", filepath.Join(s.dir, "dovecot.conf"))
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if os.Getuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(s.uid), Gid: uint32(s.gid)}
	}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start dovecot: %w", err)
	}
	s.cmd, s.exited = cmd, make(chan struct{})
	go func() {
		_ = cmd.Wait() // an early end is seen by waitReady
		close(s.exited)
	}()
	if err := s.waitReady(ctx); err != nil {
		s.kill()
		return fmt.Errorf("start dovecot: %w: %s", err, strings.TrimSpace(out.String()))
	}
	return nil
}

func freePorts() (int, int, error) {
	var ports [2]int
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, 0, fmt.Errorf("free port for dovecot: %w", err)
		}
		defer l.Close()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports[0], ports[1], nil
}

// waitReady waits for the greeting.
func (s *Server) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if greeted(s.Addr) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no greeting: %w (see %s)", ctx.Err(), filepath.Join(s.dir, "dovecot.log"))
		case <-s.exited:
			return errors.New("it ended at once")
		case <-tick.C:
		}
	}
}

func greeted(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	if c.SetReadDeadline(time.Now().Add(5*time.Second)) != nil {
		return false
	}
	b := make([]byte, 4)
	n, err := c.Read(b)
	return err == nil && strings.HasPrefix(string(b[:n]), "* OK")
}

// Stop ends the server and removes its folder if Start made it.
func (s *Server) Stop() error {
	s.kill()
	if s.owned {
		if err := os.RemoveAll(s.dir); err != nil {
			return fmt.Errorf("folder of dovecot: %w", err)
		}
	}
	return nil
}

// kill asks the process group to end and, after a while, makes it.
func (s *Server) kill() {
	if s.cmd == nil || s.cmd.Process == nil {
		return
	}
	group := -s.cmd.Process.Pid
	_ = syscall.Kill(group, syscall.SIGTERM) // it may have ended already
	select {
	case <-s.exited:
	case <-time.After(5 * time.Second):
	}
	_ = syscall.Kill(group, syscall.SIGKILL) // login processes that outlive the master
	<-s.exited
	s.cmd = nil
}

// Kick cuts all connections of the running server and starts it again on the
// same ports with the same mail, as a hoster's restart does.
func (s *Server) Kick(ctx context.Context) error {
	s.kill()
	return s.run(ctx)
}
