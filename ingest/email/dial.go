package email

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
)

const dialTimeout = 30 * time.Second

// dial connects, secures the connection and wraps it with watchdog and filter.
// The wire is the connection to close in an emergency.
func (c *Channel) dial(ctx context.Context) (*wire, net.Conn, error) {
	m := c.opt.Mailbox
	host, _, _ := net.SplitHostPort(m.Server) // checked by New
	raw, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", m.Server)
	if err != nil {
		return nil, nil, trouble(codeConnect, fmt.Errorf("connect to %s: %w", m.Server, err))
	}
	w := &wire{Conn: raw, silence: c.tune.silence}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	w.expect()
	conn, err := c.secure(ctx, w, host)
	w.rest()
	if err != nil {
		raw.Close()
		return nil, nil, err
	}
	return w, conn, nil
}

// secure negotiates TLS as configured and returns what go-imap may read.
func (c *Channel) secure(ctx context.Context, w *wire, host string) (net.Conn, error) {
	m := c.opt.Mailbox
	if m.TLS == "none" {
		if a, ok := w.RemoteAddr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
			return nil, trouble(codeConnect, fmt.Errorf("%s is not this machine: tls: none is refused", m.Server))
		}
		return newFilter(w, ""), nil
	}
	roots, err := roots(m.CA)
	if err != nil {
		return nil, trouble(codeCertificate, err)
	}
	greeting := ""
	if m.TLS == "starttls" {
		if err := startTLS(w); err != nil {
			return nil, trouble(codeConnect, fmt.Errorf("STARTTLS with %s: %w", m.Server, err))
		}
		greeting = "* OK secured\r\n" // the server does not greet again
	}
	conn := tls.Client(w, &tls.Config{ServerName: host, RootCAs: roots, MinVersion: tls.VersionTLS12})
	if err := conn.HandshakeContext(ctx); err != nil {
		code := codeConnect
		var bad *tls.CertificateVerificationError
		if errors.As(err, &bad) {
			code = codeCertificate
		}
		return nil, trouble(code, fmt.Errorf("TLS with %s: %w", m.Server, err))
	}
	c.health.certificate(conn.ConnectionState().PeerCertificates[0].NotAfter)
	return newFilter(conn, greeting), nil
}

// roots are the system's CAs and the one of the configuration, read at each
// connection so that a replaced file counts at once.
func roots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil // the system's
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("ca of the mailbox: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca of the mailbox: %s holds no certificate in PEM form", file)
	}
	return pool, nil
}

// startTLS speaks the plain part of a connection by itself, so that nothing
// that was sent before encryption can count as an answer under it (the
// injection of RFC 9051, 11.1; NO STARTTLS, USENIX Security 2021).
func startTLS(w *wire) error {
	in := bufio.NewReaderSize(io.LimitReader(w, 64<<10), 4<<10)
	greeting, err := in.ReadString('\n')
	if err != nil {
		return fmt.Errorf("greeting: %w", err)
	}
	if !strings.HasPrefix(strings.ToUpper(greeting), "* OK") { // PREAUTH cannot be secured, BYE says no
		return fmt.Errorf("greeting is %.60q", greeting)
	}
	if _, err := io.WriteString(w, "a STARTTLS\r\n"); err != nil {
		return err
	}
	for {
		line, err := in.ReadString('\n')
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(line, "* "):
		case !strings.HasPrefix(strings.ToUpper(line), "A OK"):
			return fmt.Errorf("server answers %.60q", line)
		case in.Buffered() > 0:
			return errors.New("server sends on before encryption")
		default:
			return nil
		}
	}
}

// login presents the password. What the server answers tells a wrong password
// from a server that cannot just now.
func (c *Channel) login(client *imapclient.Client, caps imap.CapSet, password string) error {
	user := c.opt.Mailbox.User
	var err error
	switch {
	case c.opt.Mailbox.Auth == "xoauth2":
		err = client.Authenticate(&xoauth2{user: user, token: password})
	case c.opt.Mailbox.Auth == "plain" && caps.Has(imap.AuthCap(sasl.Plain)):
		err = client.Authenticate(sasl.NewPlainClient("", user, password))
	case caps.Has(imap.CapLoginDisabled):
		return trouble(codeConnect, errors.New("log in: the server refuses LOGIN without encryption; set tls to implicit or starttls"))
	default:
		err = client.Login(user, password).Wait()
	}
	var no *imap.Error
	if !errors.As(err, &no) {
		return wrap(codeConnect, "log in", err)
	}
	switch no.Code {
	case imap.ResponseCodeUnavailable, imap.ResponseCodeServerBug, imap.ResponseCodeInUse:
		return wrap(codeConnect, "log in", err)
	case imap.ResponseCodeLimit:
		return wrap(codeLimit, "log in", err)
	}
	if no.Type == imap.StatusResponseTypeBye || strings.Contains(strings.ToLower(no.Text), "connections") {
		return wrap(codeLimit, "log in", err)
	}
	return wrap(codeLogin, "log in", err)
}

// xoauth2 is the SASL mechanism of Exchange Online and Gmail, which go-sasl
// lacks (https://developers.google.com/gmail/imap/xoauth2-protocol).
type xoauth2 struct{ user, token string }

func (x *xoauth2) Start() (string, []byte, error) {
	return "XOAUTH2", []byte("user=" + x.user + "\x01auth=Bearer " + x.token + "\x01\x01"), nil
}

// Next answers the server's description of a refusal with nothing, upon which
// it sends the NO.
func (x *xoauth2) Next([]byte) ([]byte, error) { return []byte{}, nil }
