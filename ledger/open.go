package ledger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/storage"
)

// Options say where the ledger is. With URL it is an external NATS server or
// cluster, otherwise a server inside this process that keeps its files in Dir.
type Options struct {
	// Dir is the data folder of the embedded server; one process at a time.
	Dir string
	// Port of the embedded server on 127.0.0.1, for department clients and the
	// command line: 0 none, -1 any free one (see Ledger.URL).
	Port int

	// URL of the external server ("tls://nats-1:4222,tls://nats-2:4222").
	URL string
	// Credentials is the creds file for URL; by default service.creds in
	// Secrets.
	Credentials string
	// CA is a PEM file with the authority that signed the server's
	// certificate; "" means the system's authorities.
	CA string

	// Secrets is the folder that InitSecrets fills; by default "secrets" below
	// Dir. Embedded: made if missing. External: needed to issue and revoke
	// credentials of departments, otherwise it may stay "".
	Secrets string
	// Replicas of each stream: 1 (default), 3 or 5 on a cluster.
	Replicas int
	// Objects keeps a copy of every claim, from which a ledger that was lost
	// and is empty fills itself; nil: claims live in the ledger alone.
	Objects storage.Store
	Logger  zerolog.Logger
}

// Ledger is an open ledger. All methods are safe for concurrent use.
type Ledger struct {
	c        *conn
	log      zerolog.Logger
	replicas int
	secrets  string
	url      string
	embedded *embedded // nil when external
	o        Options

	life    context.Context // ends when everything was drained
	kill    context.CancelFunc
	closing chan struct{} // closed when Close begins
	mu      sync.Mutex
	closed  bool
	calls   sync.WaitGroup // appends inside
	wg      sync.WaitGroup // goroutines of ours
	centres map[sekretariat.CentreID]*centreLog
}

// Open starts or connects the server and lays out what does not belong to one
// centre. With an external server that is away it waits until ctx ends.
func Open(ctx context.Context, o Options) (*Ledger, error) {
	if (o.Dir == "") == (o.URL == "") {
		return nil, errors.New("ledger: give either a data folder (embedded NATS) or a NATS URL, not both or none")
	}
	l := &Ledger{
		log: o.Logger, o: o, replicas: max(1, o.Replicas), secrets: o.Secrets, url: o.URL,
		closing: make(chan struct{}), centres: map[sekretariat.CentreID]*centreLog{},
	}
	l.life, l.kill = context.WithCancel(context.Background())
	if err := l.dial(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	if err := l.layOut(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// dial brings the connection up.
func (l *Ledger) dial(ctx context.Context) (err error) {
	if l.o.URL == "" {
		err = l.dialEmbedded()
	} else {
		err = l.dialExternal()
	}
	if err != nil {
		return err
	}
	_, err = l.c.connected(ctx)
	if err != nil && l.c.nc.LastError() != nil {
		return fmt.Errorf("%w (last error: %w)", err, l.c.nc.LastError())
	}
	return err
}

func (l *Ledger) dialEmbedded() (err error) {
	if l.secrets == "" {
		l.secrets = filepath.Join(l.o.Dir, "secrets")
	}
	if err := InitSecrets(l.secrets); err != nil {
		return err
	}
	if l.embedded, err = startEmbedded(l.o.Dir, l.secrets, l.o.Port, l.log); err != nil {
		return err
	}
	l.url = l.embedded.url()
	l.c, err = connect(l.life, "", serviceInbox, l.log,
		nats.InProcessServer(l.embedded), nats.UserCredentials(filepath.Join(l.secrets, fileServiceCreds)))
	return err
}

func (l *Ledger) dialExternal() (err error) {
	creds := l.o.Credentials
	if creds == "" && l.secrets != "" {
		creds = filepath.Join(l.secrets, fileServiceCreds)
	}
	if _, err := os.Stat(creds); err != nil {
		return fmt.Errorf("credentials for NATS: %w; run 'sekretariat init' or name the file", err)
	}
	l.c, err = connect(l.life, l.o.URL, serviceInbox, l.log, l.external(creds)...)
	return err
}

// external returns the options for a connection to the external server.
func (l *Ledger) external(creds string) []nats.Option {
	o := []nats.Option{nats.UserCredentials(creds)}
	if l.o.CA != "" {
		o = append(o, nats.RootCAs(l.o.CA))
	}
	return o
}

// URL is where department clients connect; "" when there is no listener.
func (l *Ledger) URL() string { return l.url }

// Ready tells whether the server answers now.
func (l *Ledger) Ready(ctx context.Context) error {
	if err := l.c.api(ctx, "INFO", nil, nil); err != nil {
		return fmt.Errorf("the ledger does not answer: %w", err)
	}
	return nil
}

// newLog makes the Log of a centre, or adds streams to the one there is.
func (l *Ledger) newLog(c sekretariat.CentreID, names []StreamName) *centreLog {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := &centreLog{l: l, centre: c, committers: map[StreamName]*committer{}}
	if old := l.centres[c]; old != nil {
		for n, k := range old.committers {
			g.committers[n] = k
		}
	}
	for _, n := range names {
		if g.committers[n] == nil && !l.closed {
			g.committers[n] = l.newCommitter(streamOf(c, n))
		}
	}
	l.centres[c] = g
	return g
}

// enter counts a call that Close waits for.
func (l *Ledger) enter() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	l.calls.Add(1)
	return nil
}

// closeTimeout bounds how long Close waits for appends on their way.
const closeTimeout = 10 * time.Second

// Close refuses new calls, finishes appends that are on their way, closes the
// connection and stops the embedded server with its files flushed.
func (l *Ledger) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	l.mu.Unlock()

	done := make(chan struct{})
	go func() {
		l.calls.Wait()
		close(l.closing)
		l.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(closeTimeout):
		l.log.Warn().Msg("closing the ledger with appends still unconfirmed")
	}
	var err error
	if l.c != nil && l.c.nc.IsConnected() {
		err = l.c.nc.FlushTimeout(2 * time.Second) // acknowledgements of work
	}
	l.kill()
	<-done
	if l.c != nil {
		l.c.nc.Close()
	}
	if l.embedded != nil {
		err = errors.Join(err, l.embedded.stop())
	}
	return err
}
