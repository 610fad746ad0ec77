package outbox

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"os"
	"regexp"
	"strconv"
	"time"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"sekretariat/configs"
)

// How long the relay may take to greet us, and for one message.
const (
	dialTime    = 30 * time.Second
	messageTime = 2 * time.Minute
)

// relay is the centre's SMTP relay.
type relay struct {
	cfg   configs.SMTP
	hello func() string
}

// connect dials, secures and logs in. Nothing was sent when it fails.
func (r relay) connect(ctx context.Context) (*smtp.Client, error) {
	c, err := r.client()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	s, err := c.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("relay %s: %w", r.cfg.Server, err)
	}
	s.SkipSMTPUTF8(true) // our envelopes and headers are ASCII
	return s, nil
}

func (r relay) client() (*gomail.Client, error) {
	host, port, err := net.SplitHostPort(r.cfg.Server)
	if err != nil {
		return nil, fmt.Errorf("relay %q: %w", r.cfg.Server, err)
	}
	number, err := net.LookupPort("tcp", port)
	if err != nil {
		return nil, fmt.Errorf("relay %q: %w", r.cfg.Server, err)
	}
	trust, err := r.trust(host)
	if err != nil {
		return nil, err
	}
	o := []gomail.Option{
		gomail.WithPort(number), gomail.WithTimeout(dialTime), gomail.WithHELO(r.hello()), gomail.WithTLSConfig(trust),
		gomail.WithoutNoop(), gomail.WithoutSMTPUTF8(),
	}
	switch r.cfg.TLS {
	case "implicit":
		o = append(o, gomail.WithSSL())
	case "none":
		o = append(o, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		o = append(o, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if r.cfg.User != "" {
		password, err := r.cfg.Password.Load()
		if err != nil {
			return nil, fmt.Errorf("password of the relay: %w", err)
		}
		auth := gomail.SMTPAuthAutoDiscover
		if r.cfg.TLS == "none" {
			auth = gomail.SMTPAuthPlainNoEnc // this machine only, see configs
		}
		o = append(o, gomail.WithSMTPAuth(auth), gomail.WithUsername(r.cfg.User), gomail.WithPassword(string(password)))
	}
	return gomail.NewClient(host, o...)
}

func (r relay) trust(host string) (*tls.Config, error) {
	t := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if r.cfg.CA == "" {
		return t, nil
	}
	pem, err := os.ReadFile(r.cfg.CA)
	if err != nil {
		return nil, fmt.Errorf("CA of the relay: %w", err)
	}
	if t.RootCAs, err = x509.SystemCertPool(); err != nil {
		t.RootCAs = x509.NewCertPool()
	}
	if !t.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("CA of the relay: no certificate in %s", r.cfg.CA)
	}
	return t, nil
}

// outcome is what became of one message.
type outcome struct {
	code    string // "" = the relay has it
	again   bool   // certainly not sent: try again later
	bad     bool   // there is no such address
	unknown bool   // the connection ended after the last octet: nobody knows
}

// Codes of outcomes beside "smtp-NNN".
const (
	codeUnknown     = "unknown"
	codeBroken      = "connection" // broken before the message was whole
	codeGaveUp      = "gave-up"
	codeUnreachable = "unreachable"
)

// transmit hands one message to the relay with the null return path (RFC 3834
// §3.3), so that nothing can come of it but silence.
func transmit(s *smtp.Client, to string, message []byte) outcome {
	if err := s.UpdateDeadline(messageTime); err != nil {
		return outcome{code: codeBroken, again: true}
	}
	if err := s.Mail("<>"); err != nil {
		return refused(err, false)
	}
	if err := s.Rcpt("<" + to + ">"); err != nil {
		return refused(err, true)
	}
	w, err := s.Data()
	if err != nil {
		return refused(err, false)
	}
	if _, err := w.Write(message); err != nil {
		return outcome{code: codeBroken, again: true} // without its end the message is none (RFC 5321 §4.1.1.4)
	}
	err = w.Close()
	var answer *textproto.Error
	switch {
	case err == nil:
		return outcome{}
	case errors.As(err, &answer):
		return refused(err, false)
	}
	return outcome{code: codeUnknown, unknown: true}
}

// noAddress is the status of an address that is none (RFC 3463 §3.2). A bare 550
// may as well mean that the relay does not know us.
var noAddress = regexp.MustCompile(`^5\.1\.\d{1,3}\b`)

// refused reads an answer: 4xx means later, 5xx never (RFC 5321 §4.2.1).
func refused(err error, recipient bool) outcome {
	var answer *textproto.Error
	if !errors.As(err, &answer) {
		return outcome{code: codeBroken, again: true}
	}
	o := outcome{code: "smtp-" + strconv.Itoa(answer.Code), again: answer.Code < 500}
	if recipient && !o.again {
		o.bad = noAddress.MatchString(answer.Msg)
	}
	return o
}
