// Package sftpdoor is the SFTP door of the drop boxes (draft-ietf-secsh-filexfer-02,
// which is what devices speak). It can be uploaded to and nothing else: nobody
// reads a file there, and a device sees only the names that it sent in this very
// connection. A file is closed, or renamed to its final name, with success only
// when it is durable; whatever a broken connection left is nothing.
package sftpdoor

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/pkg/sftp"
	"github.com/rs/zerolog"
	"golang.org/x/crypto/ssh"
	"golang.org/x/net/netutil"

	"sekretariat"
	"sekretariat/ingest/dropbox"
)

// Options make a door.
type Options struct {
	Gate     *dropbox.Gate
	Listener net.Listener
	HostKeys []ssh.Signer
	// Old also offers what devices of before 2016 need.
	Old         bool
	Connections int           // at once (default 64)
	Idle        time.Duration // a connection on which nothing moves ends (default 2 min)
	Session     time.Duration // longest connection (default 4 h)
	Logger      zerolog.Logger
}

// Server is the door.
type Server struct {
	o       Options
	config  *ssh.ServerConfig
	mu      sync.Mutex
	conns   map[net.Conn]bool
	running sync.WaitGroup
}

// Bounds of a connection.
const (
	handshakeTime = 30 * time.Second
	maxTries      = 4
	maxChannels   = 4
)

// New makes the door over an open listener.
func New(o Options) (*Server, error) {
	if o.Gate == nil || o.Listener == nil || len(o.HostKeys) == 0 {
		return nil, errors.New("SFTP door: Gate, Listener and HostKeys are needed")
	}
	if o.Connections == 0 {
		o.Connections = 64
	}
	if o.Idle == 0 {
		o.Idle = 2 * time.Minute
	}
	if o.Session == 0 {
		o.Session = 4 * time.Hour
	}
	s := &Server{o: o, conns: map[net.Conn]bool{}}
	s.config = &ssh.ServerConfig{
		MaxAuthTries: maxTries, ServerVersion: "SSH-2.0-sekretariat",
		PasswordCallback: s.password, PublicKeyCallback: s.key,
	}
	if o.Old {
		s.config.KeyExchanges = append(ssh.SupportedAlgorithms().KeyExchanges, ssh.InsecureAlgorithms().KeyExchanges...)
		s.config.Ciphers = append(ssh.SupportedAlgorithms().Ciphers, ssh.InsecureAlgorithms().Ciphers...)
		s.config.MACs = append(ssh.SupportedAlgorithms().MACs, ssh.InsecureAlgorithms().MACs...)
	}
	for _, k := range o.HostKeys {
		s.config.AddHostKey(k)
	}
	return s, nil
}

// the connection's device, between sign-in and session.
const extraUser = "device"

func (s *Server) password(c ssh.ConnMetadata, pass []byte) (*ssh.Permissions, error) {
	if _, err := s.o.Gate.Check(sekretariat.DoorSFTP, c.User(), string(pass), dropbox.AddressOf(c.RemoteAddr())); err != nil {
		return nil, err
	}
	return &ssh.Permissions{Extensions: map[string]string{extraUser: c.User()}}, nil
}

// key asks whether a public key is one of the device's; whether the device has
// the private half, ssh finds out afterwards. A key that is not ours is no
// attempt at guessing: clients offer all they have.
func (s *Server) key(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	d, err := s.o.Gate.Find(sekretariat.DoorSFTP, c.User(), dropbox.AddressOf(c.RemoteAddr()))
	if err != nil {
		return nil, err
	}
	for _, line := range d.Keys {
		k, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err == nil && bytes.Equal(k.Marshal(), key.Marshal()) {
			return &ssh.Permissions{Extensions: map[string]string{extraUser: c.User()}}, nil
		}
	}
	return nil, dropbox.ErrSignIn
}

// Run lets devices in until ctx ends. Uploads that are under way then break;
// their devices repeat them.
func (s *Server) Run(ctx context.Context) error {
	l := netutil.LimitListener(s.o.Listener, s.o.Connections)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		_ = l.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		for c := range s.conns {
			_ = c.Close()
		}
	})
	defer stop()
	defer s.running.Wait()
	for {
		c, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil { // no file descriptors left: the door waits, the rest of the service goes on
			s.o.Logger.Warn().Err(err).Msg("SFTP: no connection can be accepted; trying again")
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
			continue
		}
		s.running.Go(func() { s.serve(ctx, c) })
	}
}

func (s *Server) hold(c net.Conn, open bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if open {
		s.conns[c] = true
	} else {
		delete(s.conns, c)
	}
}

// serve works on one connection to its end.
func (s *Server) serve(ctx context.Context, c net.Conn) {
	s.hold(c, true)
	defer s.hold(c, false)
	if ctx.Err() != nil {
		_ = c.Close()
		return
	}
	paced := &paced{Conn: c, idle: s.o.Idle, end: time.Now().Add(handshakeTime)}
	defer paced.Close()
	conn, channels, requests, err := ssh.NewServerConn(paced, s.config)
	if err != nil {
		// Wrong passwords were counted; keys cannot be guessed.
		s.o.Logger.Info().Str("from", dropbox.AddressOf(c.RemoteAddr()).String()).Str("error", err.Error()).Msg("SFTP: no sign-in")
		return
	}
	defer conn.Close()
	paced.until(time.Now().Add(s.o.Session))
	go ssh.DiscardRequests(requests)
	d, err := s.o.Gate.Find(sekretariat.DoorSFTP, conn.Permissions.Extensions[extraUser], dropbox.AddressOf(c.RemoteAddr()))
	if err != nil {
		return
	}
	v, err := s.o.Gate.Enter(d, sekretariat.DoorSFTP)
	if err != nil {
		s.o.Logger.Warn().Str("device", d.User).Msg("SFTP: the device has too many connections")
		return
	}
	defer v.Leave()
	s.sessions(ctx, v, channels)
}

// sessions serves the channels of a connection: SFTP and nothing else.
func (s *Server) sessions(ctx context.Context, v *dropbox.Visit, channels <-chan ssh.NewChannel) {
	var open sync.WaitGroup
	defer open.Wait()
	room := make(chan struct{}, maxChannels)
	for n := range channels {
		if n.ChannelType() != "session" {
			_ = n.Reject(ssh.Prohibited, "only sftp")
			continue
		}
		select {
		case room <- struct{}{}:
		default:
			_ = n.Reject(ssh.ResourceShortage, "too many sessions")
			continue
		}
		ch, requests, err := n.Accept()
		if err != nil {
			<-room
			continue
		}
		open.Go(func() {
			defer func() { <-room }()
			defer ch.Close()
			s.session(ctx, v, ch, requests)
		})
	}
}

// session waits for the request for SFTP; shells and commands are refused.
func (s *Server) session(ctx context.Context, v *dropbox.Visit, ch ssh.Channel, requests <-chan *ssh.Request) {
	for r := range requests {
		isSFTP := r.Type == "subsystem" && len(r.Payload) > 4 && string(r.Payload[4:]) == "sftp"
		if r.WantReply {
			_ = r.Reply(isSFTP, nil)
		}
		if !isSFTP {
			continue
		}
		go ssh.DiscardRequests(requests)
		t := newTree(ctx, v)
		server := sftp.NewRequestServer(ch, sftp.Handlers{FileGet: t, FilePut: t, FileCmd: t, FileList: t})
		_ = server.Serve() // why it ended stands in the log of each file that did not come whole
		t.end()
		_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{0}))
		return
	}
}

// paced ends a connection on which nothing moves, and one that lasts too long.
type paced struct {
	net.Conn
	idle time.Duration
	mu   sync.Mutex
	end  time.Time
}

func (p *paced) until(t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end = t
}

func (p *paced) deadline() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := time.Now().Add(p.idle); t.Before(p.end) {
		return t
	}
	return p.end
}

func (p *paced) Read(b []byte) (int, error) {
	if err := p.Conn.SetReadDeadline(p.deadline()); err != nil {
		return 0, err
	}
	return p.Conn.Read(b)
}

func (p *paced) Write(b []byte) (int, error) {
	if err := p.Conn.SetWriteDeadline(p.deadline()); err != nil {
		return 0, err
	}
	return p.Conn.Write(b)
}
