// Package epuap takes letters out of an ePUAP box (skrytka) in PULL mode: one
// letter at a time is fetched, made durable by the receiver, and only then
// confirmed, which removes it from the platform's queue. SOAP is written by hand; requests are signed by
// WS-Security, answers are checked against pinned certificates. A letter that
// cannot be taken stays on the platform and comes before a clerk.
package epuap

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/extract/xmlsec"
	"sekretariat/ingest"
)

// Defaults.
const (
	DefaultMaxAnswer = 160 << 20       // octets of one answer
	DefaultTimeout   = 5 * time.Minute // without a sign of life: the platform can be slow
	defaultPoll      = time.Minute
	defaultSettle    = time.Minute // the platform can be slow
	firstBackOff     = 5 * time.Second
	maxBackOff       = 15 * time.Minute
)

// Options make a channel.
type Options struct {
	Centre   sekretariat.CentreID
	Account  configs.EPUAP
	Receiver ingest.Receiver
	Clock    sekretariat.Clock // nil = SystemClock
	Logger   zerolog.Logger

	// Certificate and Key are the certificate of the "system" and its private
	// key, PEM. Without them they are read from Account.Cert and Account.Key
	// at each round, so that new ones work without a restart.
	Certificate, Key []byte

	// Temp is the folder for large answers while they are read, "" = the
	// system's. What lies there is encrypted and has no name.
	Temp string
	// MaxAnswer bounds one answer, octets; 0 = DefaultMaxAnswer.
	MaxAnswer int64
	// Timeout is how long the platform may be silent; 0 = DefaultTimeout.
	Timeout time.Duration
}

// Channel is one box. It fulfils ingest.Channel.
type Channel struct {
	link

	// The state of one Run; nothing of it needs to survive.
	head  head // the letter at the head of the queue
	sha2  bool // skrot by SHA-256 is what the platform takes
	fresh bool // no letter was taken yet in this run

	pause, settle func(context.Context, time.Duration) bool
}

// link is what all services of the platform need of one account: how to
// connect, to sign requests, and to judge answers.
type link struct {
	o      Options
	http   *http.Client
	pins   map[[32]byte]bool
	status status
	skew   time.Duration // platform's clock minus ours
}

var _ ingest.Channel = (*Channel)(nil)

// New checks the options and makes a channel; it does not connect. Errors say
// which value of the account is wrong.
func New(o Options) (*Channel, error) {
	a := o.Account
	if o.Receiver == nil || !sekretariat.ValidSlug(string(o.Centre)) || !sekretariat.ValidSlug(a.ID) {
		return nil, fmt.Errorf("epuap account %q: receiver, centre and a valid id are needed", a.ID)
	}
	c := &Channel{pause: wait, settle: wait, link: link{o: o}}
	for name, value := range map[string]string{"address": a.Address, "name": a.Name} {
		if strings.TrimSpace(value) == "" {
			return nil, c.wrong(fmt.Errorf("%q is missing", name))
		}
	}
	if err := checkURL(a.URL); err != nil {
		return nil, c.wrong(fmt.Errorf("url: %w", err))
	}
	c.sha2 = a.Skrot == "sha256"
	return c, c.link.prepare()
}

// wrong says which account an error of the configuration is in.
func (c *link) wrong(err error) error {
	return fmt.Errorf("epuap account %s/%s: %w", c.o.Centre, c.o.Account.ID, err)
}

// prepare checks what all services need and fills in the defaults.
func (c *link) prepare() error {
	if strings.TrimSpace(c.o.Account.Entity) == "" {
		return c.wrong(errors.New("\"entity\" is missing"))
	}
	if err := c.policy(); err != nil {
		return c.wrong(err)
	}
	roots, err := roots(c.o.Account.CA)
	if err != nil {
		return c.wrong(err)
	}
	if c.o.Clock == nil {
		c.o.Clock = sekretariat.SystemClock
	}
	if c.o.Account.Poll <= 0 {
		c.o.Account.Poll = defaultPoll
	}
	if c.o.Account.Settle <= 0 {
		c.o.Account.Settle = defaultSettle
	}
	if c.o.MaxAnswer <= 0 {
		c.o.MaxAnswer = DefaultMaxAnswer
	}
	if c.o.Timeout <= 0 {
		c.o.Timeout = DefaultTimeout
	}
	c.http = newHTTP(roots, c.o.Timeout)
	c.status.clock = c.o.Clock
	return nil
}

// policy reads how answers are to be verified.
func (c *link) policy() error {
	a := &c.o.Account
	c.pins = map[[32]byte]bool{}
	for _, p := range a.Pins {
		b, err := hex.DecodeString(strings.ToLower(strings.ReplaceAll(p, ":", "")))
		if err != nil || len(b) != 32 {
			return fmt.Errorf("pins: %q is no SHA-256 of a certificate (64 hexadecimal digits)", p)
		}
		c.pins[[32]byte(b)] = true
	}
	switch a.VerifyResponse {
	case "":
		a.VerifyResponse = "warn"
		if len(c.pins) > 0 {
			a.VerifyResponse = "require"
		}
	case "warn", "off":
	case "require":
		if len(c.pins) == 0 {
			return errors.New("verify_response: \"require\" needs pins: the SHA-256 of the certificates that may sign answers")
		}
	default:
		return fmt.Errorf("verify_response: %q is none of require, warn, off", a.VerifyResponse)
	}
	switch a.Skrot {
	case "", "sha1", "sha256":
		return nil
	}
	return fmt.Errorf("skrot: %q is none of sha1, sha256", a.Skrot)
}

// checkURL allows plain HTTP only on this machine: the letters are personal
// data, and the signature of a request hides nothing.
func checkURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil {
		return fmt.Errorf("%q is no address of a service", raw)
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()) {
		return nil
	}
	return fmt.Errorf("%q must begin with https://", raw)
}

// roots are the system's CAs and an extra one.
func roots(file string) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if file == "" {
		return pool, nil
	}
	extra, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("ca: %w: give a PEM file that the service may read", err)
	}
	if !pool.AppendCertsFromPEM(extra) {
		return nil, fmt.Errorf("ca: %s holds no certificate in PEM form", file)
	}
	return pool, nil
}

// newHTTP makes the client. Redirects are not followed: a signed request is
// meant for one address.
func newHTTP(roots *x509.CertPool, timeout time.Duration) *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 30 * time.Second}).DialContext,
			TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:   30 * time.Second,
			ResponseHeaderTimeout: timeout,
			IdleConnTimeout:       90 * time.Second,
			MaxIdleConnsPerHost:   2,
			DisableCompression:    true, // the limit counts what comes
		},
	}
}

// signer returns the certificate and key for requests.
func (c *link) signer() (*xmlsec.Signer, error) {
	cert, key := c.o.Certificate, c.o.Key
	var err error
	if cert == nil {
		if cert, err = os.ReadFile(c.o.Account.Cert); err != nil {
			return nil, trouble(codeCertificate, fmt.Errorf("cert: %w: give the certificate of the system in PEM form", err))
		}
	}
	if key == nil {
		if key, err = c.o.Account.Key.Load(); err != nil {
			return nil, trouble(codeCertificate, fmt.Errorf("key of the system: %w", err))
		}
	}
	s, err := xmlsec.NewSigner(cert, key)
	if err != nil {
		return nil, trouble(codeCertificate, err)
	}
	c.status.certificate(s.Certificate.NotBefore, s.Certificate.NotAfter)
	return s, nil
}

// Name fulfils ingest.Channel.
func (c *Channel) Name() string { return string(c.o.Centre) + "/" + c.o.Account.ID }
