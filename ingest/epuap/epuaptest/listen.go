package epuaptest

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
)

// Server is the platform on a port of this machine.
type Server struct {
	URL  string // of the pull service
	Repo string // URL of the file repository
	Addr string // host:port
	CA   []byte // PEM of the CA of the server's certificate, nil without TLS

	http *http.Server
	done chan struct{}
}

// Start serves plain HTTP on addr, host:port; "" is a free port of 127.0.0.1.
func (p *Platform) Start(addr string) (*Server, error) { return p.start(addr, nil) }

// StartTLS serves HTTPS on addr with a certificate for 127.0.0.1.
func (p *Platform) StartTLS(addr string) (*Server, error) {
	conf, err := p.keys.ca.tls()
	if err != nil {
		return nil, err
	}
	return p.start(addr, conf)
}

func (p *Platform) start(addr string, conf *tls.Config) (*Server, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("simulated ePUAP: %w", err)
	}
	s := &Server{
		Addr: l.Addr().String(), URL: "http://" + l.Addr().String() + Path, Repo: "http://" + l.Addr().String() + RepositoryPath, done: make(chan struct{}),
		http: &http.Server{Handler: p, ErrorLog: log.New(io.Discard, "", 0)},
	}
	if conf != nil {
		l = tls.NewListener(l, conf)
		s.URL, s.Repo = "https://"+s.Addr+Path, "https://"+s.Addr+RepositoryPath
		s.CA = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.keys.ca.cert.Raw})
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
