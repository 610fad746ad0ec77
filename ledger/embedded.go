package ledger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"
)

// ErrInUse: another process works on the data folder.
var ErrInUse = errors.New("the data folder is in use by another process")

// embedded is a NATS server inside this process.
type embedded struct {
	server *server.Server
	lock   *os.File
	listen bool
}

// startEmbedded starts a server on the data folder: 127.0.0.1 only, everybody
// authenticated, each write on the disk before it is acknowledged.
func startEmbedded(dir, secrets string, port int, log zerolog.Logger) (*embedded, error) {
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	e := &embedded{lock: lock, listen: port != 0}
	o, err := embeddedOptions(dir, secrets, port)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	if e.server, err = server.NewServer(o); err != nil {
		return nil, errors.Join(fmt.Errorf("embedded NATS: %w", err), lock.Close())
	}
	e.server.SetLoggerV2(serverLog{log.With().Str("part", "nats").Logger()}, false, false, false)
	e.server.Start()
	if !e.server.ReadyForConnections(2 * time.Minute) {
		return nil, errors.Join(fmt.Errorf("embedded NATS in %s did not start within 2 minutes; see the log", dir), e.stop())
	}
	return e, nil
}

func embeddedOptions(dir, secrets string, port int) (*server.Options, error) {
	s, err := readSecrets(secrets)
	if err != nil {
		return nil, err
	}
	operator, err := jwt.DecodeOperatorClaims(s.operatorJWT)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(secrets, fileOperatorJWT), err)
	}
	resolver, err := server.NewDirAccResolver(filepath.Join(dir, "accounts"), 0, 2*time.Minute, server.NoDelete)
	if err != nil {
		return nil, fmt.Errorf("account folder of the embedded NATS: %w", err)
	}
	for pub, token := range s.accountJWTs() {
		// Keeps what is there if that is newer: it holds the revocations.
		if err := resolver.Store(pub, token); err != nil {
			return nil, fmt.Errorf("account of the embedded NATS: %w", err)
		}
	}
	return &server.Options{
		ServerName:       "sekretariat",
		Host:             "127.0.0.1",
		Port:             port,
		DontListen:       port == 0,
		NoSigs:           true,
		MaxPayload:       maxPayload,
		JetStream:        true,
		StoreDir:         dir, // makes dir/jetstream
		SyncAlways:       true,
		TrustedOperators: []*jwt.OperatorClaims{operator},
		SystemAccount:    s.systemPub,
		AccountResolver:  resolver,
		// The server's default is three quarters of what is free at its start,
		// which after a start on a nearly full disk is less than it holds.
		JetStreamMaxStore:  1 << 50,
		JetStreamMaxMemory: 256 << 20,
	}, nil
}

// lockFolder makes the folder and takes it for this process; the lock goes
// with the process, however it ends.
func lockFolder(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data folder of the ledger: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data folder of the ledger: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", dir, ErrInUse), f.Close())
	}
	return f, nil
}

func (e *embedded) url() string {
	if !e.listen {
		return ""
	}
	return e.server.ClientURL()
}

func (e *embedded) stop() error {
	e.server.Shutdown()
	e.server.WaitForShutdown()
	return e.lock.Close()
}

// serverLog passes the server's messages on.
type serverLog struct{ log zerolog.Logger }

func (s serverLog) Noticef(f string, v ...any) { s.log.Debug().Msgf(f, v...) }
func (s serverLog) Warnf(f string, v ...any)   { s.log.Warn().Msgf(f, v...) }
func (s serverLog) Errorf(f string, v ...any)  { s.log.Error().Msgf(f, v...) }
func (s serverLog) Fatalf(f string, v ...any)  { s.log.Error().Msgf(f, v...) }
func (s serverLog) Debugf(f string, v ...any) {
	s.log.Trace().Msg(strings.TrimSpace(fmt.Sprintf(f, v...)))
}
func (s serverLog) Tracef(f string, v ...any) {
	s.log.Trace().Msg(strings.TrimSpace(fmt.Sprintf(f, v...)))
}
