package lmtp

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"
)

// keyPair is certificate and key, read again when the certificate's file
// changes: renewals need no restart.
type keyPair struct {
	mu      sync.Mutex
	changed time.Time
	pair    *tls.Certificate
}

// certificate fulfils tls.Config.GetCertificate. A pair that cannot be read
// leaves the one before in place.
func (s *Server) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k := &s.key
	k.mu.Lock()
	defer k.mu.Unlock()
	st, err := os.Stat(s.o.Door.Cert)
	if err == nil && k.pair != nil && st.ModTime().Equal(k.changed) {
		return k.pair, nil
	}
	pair, err := s.loadPair()
	switch {
	case err == nil:
		k.pair = pair
		if st != nil {
			k.changed = st.ModTime()
		}
	case k.pair == nil:
		return nil, err
	default:
		s.o.Logger.Error().Err(err).Msg("the mail door's new certificate cannot be used, the old one stays")
	}
	return k.pair, nil
}

func (s *Server) loadPair() (*tls.Certificate, error) {
	cert, err := os.ReadFile(s.o.Door.Cert)
	if err != nil {
		return nil, fmt.Errorf("mail_door.cert: %w", err)
	}
	key, err := s.o.Door.Key.Load()
	if err != nil {
		return nil, fmt.Errorf("mail_door.key: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("mail_door: certificate and key: %w", err)
	}
	return &pair, nil
}
