// Package lmtp is the door at which a mail server hands mail over, by LMTP (RFC
// 2033) or SMTP. The server is told 250 only when the mail is durable here, and
// keeps it in its queue until then: 4xx says "later" whenever something of ours
// is away, 552 that a mail is over the hard limit. A recipient is an address of
// a configured mailbox, and a mail has the same identity as by IMAP, so that
// one that comes by both doors of a mailbox is one submission.
package lmtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/rs/zerolog"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/ingest"
)

// Account is one mailbox that the door takes mail for.
type Account struct {
	Centre  sekretariat.CentreID
	Mailbox configs.Mailbox
}

// Options make a door.
type Options struct {
	Door     configs.MailDoor
	Accounts []Account
	Receiver ingest.Receiver
	Clock    sekretariat.Clock // default: the system's
	Logger   zerolog.Logger
	MaxSize  int64 // octets of one mail, default 2 GiB
}

// Server is the door, with a listener for each protocol that is configured.
type Server struct {
	o         Options
	accounts  map[string]*Account // by address in lower case
	allow     []netip.Prefix
	listeners []net.Listener
	servers   []*smtp.Server
	life      context.Context // ends with Run
	end       context.CancelFunc
	patience  time.Duration // longest wait until a mail is durable
	copies    chan struct{} // room for mails held in memory for several accounts
	room      time.Duration // longest wait for that
	key       keyPair
}

// Bounds of the door. A mail server waits 10 minutes for the last answer (RFC
// 5321, 4.5.3.2.6); it is told to come again well before.
const (
	maxConnections = 100
	maxLine        = 8 << 20 // octets of one line; RFC 5321 allows 998, and some mails hold 10 MB in one
	maxRecipients  = 100
	maxCopy        = 8 << 20 // octets of a mail that is held for several accounts
	maxCopies      = 4
	silence        = 5 * time.Minute // RFC 5321, 4.5.3.2.7
	patience       = 4 * time.Minute
	stopTime       = 5 * time.Second
)

// New checks the options and opens the listeners.
func New(o Options) (*Server, error) {
	if o.Clock == nil {
		o.Clock = sekretariat.SystemClock
	}
	if o.MaxSize <= 0 {
		o.MaxSize = 2 << 30
	}
	if o.Receiver == nil {
		return nil, errors.New("mail door: a receiver is needed")
	}
	s := &Server{o: o, accounts: map[string]*Account{}, patience: patience, room: patience / 8, copies: make(chan struct{}, maxCopies)}
	s.life, s.end = context.WithCancel(context.Background())
	if err := s.know(); err != nil {
		return nil, err
	}
	for _, n := range o.Door.Allow {
		p, err := netip.ParsePrefix(n)
		if err != nil {
			return nil, fmt.Errorf("mail_door.allow: %w", err)
		}
		s.allow = append(s.allow, p.Masked())
	}
	if len(s.allow) == 0 {
		s.allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	}
	if o.Door.Cert != "" {
		if _, err := s.certificate(nil); err != nil {
			return nil, err
		}
	}
	err := errors.Join(s.listen(o.Door.LMTP, true), s.listen(o.Door.SMTP, false))
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// know makes the directory of addresses.
func (s *Server) know() error {
	for i := range s.o.Accounts {
		a := &s.o.Accounts[i]
		for _, address := range a.Mailbox.Addresses() {
			address = strings.ToLower(address)
			if b := s.accounts[address]; b != nil && b != a {
				return fmt.Errorf("mail door: mailboxes %s/%s and %s/%s have an address in common: mail for it can belong to one only",
					b.Centre, b.Mailbox.ID, a.Centre, a.Mailbox.ID)
			}
			s.accounts[address] = a
		}
	}
	return nil
}

// account finds the mailbox of an address. What follows a plus sign is the
// sender's note to himself (RFC 5233).
func (s *Server) account(address string) *Account {
	address = strings.ToLower(address)
	if a := s.accounts[address]; a != nil {
		return a
	}
	at := strings.LastIndexByte(address, '@')
	plus := strings.IndexByte(address, '+')
	if plus < 0 || plus > at {
		return nil
	}
	return s.accounts[address[:plus]+address[at:]]
}

// listen opens one listener; addr "" is none.
func (s *Server) listen(addr string, lmtp bool) error {
	if addr == "" {
		return nil
	}
	network := "tcp"
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr = "unix", path
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a process that died
			return fmt.Errorf("mail door: %w", err)
		}
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		return fmt.Errorf("mail door: %w; set mail_door in the installation file", err)
	}
	if network == "unix" {
		if err := os.Chmod(addr, 0o660); err != nil {
			return errors.Join(fmt.Errorf("mail door: %w", err), l.Close())
		}
	}
	srv := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return s.session(c, lmtp) }))
	srv.LMTP, srv.Domain, srv.MaxRecipients, srv.EnableSMTPUTF8 = lmtp, s.name(), maxRecipients, true
	// MaxMessageBytes stays 0: go-smtp would stop reading a mail that is too
	// large in its middle and take the rest for commands. See session.Mail.
	srv.MaxLineLength = maxLine
	srv.ErrorLog = quietly{s.o.Logger}
	if s.o.Door.Cert != "" {
		srv.TLSConfig = &tls.Config{GetCertificate: s.certificate, MinVersion: tls.VersionTLS12}
	}
	s.listeners = append(s.listeners, &patientListener{netutil.LimitListener(l, maxConnections)})
	s.servers = append(s.servers, srv)
	s.o.Logger.Info().Str("listener", "mail door").Str("address", l.Addr().String()).Bool("lmtp", lmtp).Msg("listening")
	return nil
}

func (s *Server) name() string {
	if s.o.Door.Name != "" {
		return s.o.Door.Name
	}
	if name, err := os.Hostname(); err == nil && name != "" {
		return name
	}
	return "localhost"
}

// Addrs are where the door listens, LMTP first.
func (s *Server) Addrs() []net.Addr {
	var list []net.Addr
	for _, l := range s.listeners {
		list = append(list, l.Addr())
	}
	return list
}

// Run takes mail in until ctx ends. What is in the middle then is not confirmed,
// and the mail server brings it again.
func (s *Server) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for i, srv := range s.servers {
		g.Go(func() error {
			if err := srv.Serve(s.listeners[i]); err != nil && !errors.Is(err, smtp.ErrServerClosed) && ctx.Err() == nil {
				return fmt.Errorf("mail door: %w", err)
			}
			return nil
		})
	}
	g.Go(func() error {
		<-ctx.Done()
		return s.close()
	})
	return g.Wait()
}

// close lets mails that are being taken come to their end for a moment.
func (s *Server) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	var all sync.WaitGroup
	for _, srv := range s.servers {
		all.Go(func() {
			if srv.Shutdown(ctx) != nil {
				_ = srv.Close() // the connections that are left are cut
			}
		})
	}
	all.Wait()
	s.end()
	for _, l := range s.listeners {
		_ = l.Close() // closed already, unless Run was never called
	}
	return nil
}

// allowed tells whether a peer may hand mail over; a Unix socket has rights of
// its own.
func (s *Server) allowed(peer net.Addr) bool {
	tcp, ok := peer.(*net.TCPAddr)
	if !ok {
		return peer.Network() == "unix"
	}
	ip, ok := netip.AddrFromSlice(tcp.IP)
	if !ok {
		return false
	}
	for _, p := range s.allow {
		if p.Contains(ip.Unmap()) {
			return true
		}
	}
	return false
}

// quietly passes the library's complaints on without what they are about.
type quietly struct{ log zerolog.Logger }

func (q quietly) Printf(string, ...any) { q.log.Warn().Msg("mail door: a connection ended badly") }
func (q quietly) Println(...any)        { q.log.Warn().Msg("mail door: a connection ended badly") }

// patientListener makes connections that end after a long silence, however long
// a mail takes.
type patientListener struct{ net.Listener }

func (l *patientListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &patientConn{Conn: c}, nil
}

type patientConn struct {
	net.Conn
	over atomic.Bool // the peer sends no more
}

func (c *patientConn) Read(p []byte) (int, error) {
	err := c.Conn.SetReadDeadline(time.Now().Add(silence))
	n := 0
	if err == nil {
		n, err = c.Conn.Read(p)
	}
	if err != nil {
		c.over.Store(true)
	}
	return n, err
}

// over tells whether a connection has ended, also below TLS.
func over(c net.Conn) bool {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = t.NetConn()
	}
	p, ok := c.(*patientConn)
	return ok && p.over.Load()
}

func (c *patientConn) Write(p []byte) (int, error) {
	if err := c.Conn.SetWriteDeadline(time.Now().Add(silence)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}
