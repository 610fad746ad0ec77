package edeliverytest

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
)

// Server is the platform on a port of this machine.
type Server struct {
	URL      string // base address of the API
	TokenURL string // of the token service
	Audience string // the realm
	CA       []byte // PEM of the server's certificate, nil without TLS

	http *http.Server
	done chan struct{}
}

// Start serves plain HTTP on a free port of 127.0.0.1.
func (p *Platform) Start() (*Server, error) { return p.start(nil, nil) }

// StartTLS serves HTTPS. clients, if not nil, is the certificate that a client
// must present.
func (p *Platform) StartTLS(clients *x509.Certificate) (*Server, error) {
	pair, err := NewPair("ec", p.o.Clock())
	if err != nil {
		return nil, err
	}
	conf, err := pair.tls(clients)
	if err != nil {
		return nil, err
	}
	return p.start(conf, pair.Cert)
}

func (p *Platform) start(conf *tls.Config, ca []byte) (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("simulated e-Doręczenia: %w", err)
	}
	base := "http://" + l.Addr().String()
	if conf != nil {
		l, base = tls.NewListener(l, conf), "https://"+l.Addr().String()
	}
	p.mu.Lock()
	p.base = base
	p.mu.Unlock()
	s := &Server{
		URL: base + pathAPI, TokenURL: base + pathToken, Audience: base + pathRealm, CA: ca, done: make(chan struct{}),
		http: &http.Server{Handler: p, ErrorLog: log.New(io.Discard, "", 0)},
	}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(l) // always ends by Close
	}()
	return s, nil
}

// Close ends the server at once, with all connections, and waits for it.
func (s *Server) Close() error {
	err := s.http.Close()
	<-s.done
	return err
}

// Base tells the platform the address at which it is reached when it is not
// started by itself but serves behind another handler.
func (p *Platform) Base(url string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.base = url
}
