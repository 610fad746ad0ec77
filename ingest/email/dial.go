package email

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"
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
	conn := tls.Client(w, &tls.Config{
		ServerName: host, RootCAs: roots, MinVersion: tls.VersionTLS12,
		// Alone, pins stand in for a CA; crypto/tls calls VerifyConnection all the same.
		InsecureSkipVerify: len(m.Pins) > 0 && m.CA == "",
		VerifyConnection:   func(s tls.ConnectionState) error { return checkPins(m.Pins, s) },
	})
	if err := conn.HandshakeContext(ctx); err != nil {
		code := codeConnect
		var bad *tls.CertificateVerificationError
		switch {
		case errors.Is(err, errPin):
			code = codeCertificate
		case errors.As(err, &bad):
			code = codeCertificate
			if len(bad.UnverifiedCertificates) > 0 { // whoever trusts it writes this into "pins"
				err = fmt.Errorf("%w (SHA-256 %s)", err, digestOf(bad.UnverifiedCertificates[0]))
			}
		}
		return nil, trouble(code, fmt.Errorf("TLS with %s: %w", m.Server, err))
	}
	c.health.certificates(conn.ConnectionState(), m.CA != "")
	return newFilter(conn, greeting), nil
}

// errPin: the server shows another certificate than the configuration names.
var errPin = errors.New("the certificate is none of \"pins\"")

// checkPins compares the server's own certificate with the digests of the
// configuration, if there are any. The error says what to write there.
func checkPins(pins []string, s tls.ConnectionState) error {
	if len(pins) == 0 {
		return nil
	}
	if shown := digestOf(s.PeerCertificates[0]); !slices.Contains(pins, shown) {
		return fmt.Errorf("%w: the server shows %s", errPin, shown)
	}
	return nil
}

func digestOf(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
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
