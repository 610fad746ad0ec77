package ledger

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"
)

// ErrInUse: another process works on the data folder.
var ErrInUse = errors.New("the data folder is in use by another process")

// embedded is a NATS server inside this process. It is replaced by a new one
// when its files could not be written and can be again: a server that has met
// a full disk refuses every later write to that stream until it is restarted.
type embedded struct {
	dir, secrets string
	port         int
	log          zerolog.Logger
	lock         *os.File
	sick         chan struct{} // a write failed
	done         chan struct{} // the watcher has ended

	mu     sync.Mutex
	server *server.Server
	ended  chan struct{} // closed by stop
}

// startEmbedded starts a server on the data folder: 127.0.0.1 only, everybody
// authenticated, each write on the disk before it is acknowledged.
func startEmbedded(dir, secrets string, port int, log zerolog.Logger) (*embedded, error) {
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	e := &embedded{
		dir: dir, secrets: secrets, port: port, log: log, lock: lock,
		sick: make(chan struct{}, 1), done: make(chan struct{}), ended: make(chan struct{}),
	}
	if err := e.start(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	go e.watch()
	return e, nil
}

// start starts a server; e.mu is held or nobody else knows e yet.
func (e *embedded) start() error {
	o, err := embeddedOptions(e.dir, e.secrets, e.port)
	if err != nil {
		return err
	}
	s, err := server.NewServer(o)
	if err != nil {
		return fmt.Errorf("embedded NATS: %w", err)
	}
	s.SetLoggerV2(serverLog{e.log.With().Str("part", "nats").Logger(), e.writeFailed}, false, false, false)
	s.Start()
	if !s.ReadyForConnections(2 * time.Minute) {
		s.Shutdown()
		return fmt.Errorf("embedded NATS in %s did not start within 2 minutes; see the log", e.dir)
	}
	if e.port != 0 { // a free one is kept through restarts
		if a, ok := s.Addr().(*net.TCPAddr); ok {
			e.port = a.Port
		}
	}
	e.server = s
	return nil
}

// InProcessConn implements nats.InProcessConnProvider with the server that runs
// now.
func (e *embedded) InProcessConn() (net.Conn, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.server.InProcessConn()
}

// writeFailed notes that the server could not write.
func (e *embedded) writeFailed() {
	select {
	case e.sick <- struct{}{}:
	default:
	}
}

// watch restarts the server after a write has failed, as soon as the disk takes
// writes again.
func (e *embedded) watch() {
	defer close(e.done)
	var last time.Time
	for {
		select {
		case <-e.sick:
		case <-e.ended:
			return
		}
		e.log.Error().Str("dir", e.dir).Msg("the ledger cannot write its files; is the disk full? It goes on by itself when there is room")
		pause := time.Second
		if time.Since(last) < 30*time.Second { // the restart did not help
			pause = 10 * time.Second
		}
		for ok := false; !ok; ok = e.writable() {
			select {
			case <-time.After(pause):
			case <-e.ended:
				return
			}
		}
		last = time.Now()
		e.restart()
	}
}

// writable tells whether the data folder takes a few megabytes.
func (e *embedded) writable() bool {
	f, err := os.CreateTemp(e.dir, ".probe.*")
	if err != nil {
		return false
	}
	_, err = f.Write(make([]byte, 4<<20))
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name())) == nil
}

func (e *embedded) restart() {
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-e.ended:
		return
	default:
	}
	e.server.Shutdown()
	e.server.WaitForShutdown()
	if err := e.start(); err != nil {
		e.log.Error().Err(err).Msg("the ledger's server did not start again")
		e.writeFailed()
		return
	}
	e.log.Info().Msg("the ledger writes again")
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
	if e.port == 0 {
		return ""
	}
	return e.server.ClientURL()
}

func (e *embedded) stop() error {
	close(e.ended)
	<-e.done
	e.mu.Lock()
	defer e.mu.Unlock()
	e.server.Shutdown()
	e.server.WaitForShutdown()
	return e.lock.Close()
}

// serverLog passes the server's messages on. It is also where we learn that a
// write failed: the server answers some requests then with nothing but silence.
type serverLog struct {
	log         zerolog.Logger
	writeFailed func()
}

// Errorf implements server.Logger.
func (s serverLog) Errorf(f string, v ...any) {
	s.log.Error().Msgf(f, v...)
	if low := strings.ToLower(f); strings.Contains(low, "critical write error") || strings.Contains(low, "failed to store a msg") {
		s.writeFailed()
	}
}

// Noticef implements server.Logger, as do those below.
func (s serverLog) Noticef(f string, v ...any) { s.log.Debug().Msgf(f, v...) }

// Warnf passes a warning on.
func (s serverLog) Warnf(f string, v ...any) { s.log.Warn().Msgf(f, v...) }

// Fatalf passes on what the server cannot live with.
func (s serverLog) Fatalf(f string, v ...any) { s.log.Error().Msgf(f, v...) }

// Debugf is not called: the server is told not to.
func (s serverLog) Debugf(f string, v ...any) { s.log.Trace().Msgf(f, v...) }

// Tracef is not called either.
func (s serverLog) Tracef(f string, v ...any) { s.log.Trace().Msgf(f, v...) }
