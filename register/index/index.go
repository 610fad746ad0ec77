// Package index is the read model: what people look at. It follows the streams
// of one centre, folds them with the meaning of sekretariat.State, and answers
// every question for a Principal, filtering inside the query exactly as
// sekretariat.MaySee decides. It is one SQLite file that holds ids, numbers,
// times and departments but no content, and it is disposable: when the file is
// gone it is made again from the ledger.
package index

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/rs/zerolog"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"sekretariat"
	"sekretariat/ledger"
	"sekretariat/storage"
)

// The errors that callers distinguish.
var (
	// ErrNotFound: there is no such letter, or the principal may not know.
	ErrNotFound = errors.New("no such letter")
	// ErrRewound: a stream of the ledger is behind what the index had seen.
	ErrRewound = errors.New("the ledger is behind what was already seen")
)

//go:embed schema.sql
var schema string

// schemaVersion is stored in the file; another one means: make it again.
const schemaVersion = 4

// Index is the read model of one centre. Reads may run at once with each other
// and with one Project.
type Index struct {
	centre sekretariat.CentreID
	path   string
	log    zerolog.Logger

	write *sql.DB // one connection
	read  *sql.DB

	entries storage.Store // see ShowAfter

	mu      sync.Mutex
	marks   map[ledger.StreamName]*mark
	skipped uint64
}

// Open opens the index file of a centre at path, which it makes when it is
// missing and makes again when it is damaged or of another version. The folder
// must exist.
func Open(ctx context.Context, path string, centre sekretariat.CentreID, log zerolog.Logger) (*Index, error) {
	x, err := open(ctx, path, centre, log)
	if err == nil || errors.Is(err, errForeign) || ctx.Err() != nil {
		return x, err
	}
	log.Warn().Err(err).Str("file", filepath.Base(path)).Msg("index cannot be used, making it again")
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("remove unusable index: %w", err)
		}
	}
	return open(ctx, path, centre, log)
}

var (
	errForeign = errors.New("the index belongs to another centre; give every centre a file of its own")
	errVersion = errors.New("the index has another version")
)

func open(ctx context.Context, path string, centre sekretariat.CentreID, log zerolog.Logger) (*Index, error) {
	x := &Index{centre: centre, path: path, log: log, marks: map[ledger.StreamName]*mark{}}
	var err error
	if x.write, err = connect(path, 1); err != nil {
		return nil, err
	}
	if x.read, err = connect(path, 4); err != nil {
		x.write.Close()
		return nil, err
	}
	if err := x.prepare(ctx); err != nil {
		x.Close()
		return nil, fmt.Errorf("open index %s: %w", path, err)
	}
	return x, nil
}

// connect opens the file with a small cache: the whole service has to fit in
// 100 MB. NORMAL in WAL mode cannot damage the file, it can only lose the last
// transactions, which are then applied again.
func connect(path string, conns int) (*sql.DB, error) {
	q := url.Values{"_pragma": {
		"journal_mode(WAL)", "synchronous(NORMAL)", "busy_timeout(10000)", "cache_size(-6000)",
		"wal_autocheckpoint(2000)", "temp_store(MEMORY)", "foreign_keys(OFF)",
	}}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+q.Encode())
	if err != nil {
		return nil, fmt.Errorf("open index %s: %w", path, err)
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

func (x *Index) prepare(ctx context.Context) error {
	var version int
	if err := x.write.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	switch version {
	case 0:
		if err := x.create(ctx); err != nil {
			return err
		}
	case schemaVersion:
	default:
		return errVersion
	}
	var centre string
	if err := x.write.QueryRowContext(ctx, "SELECT value FROM meta WHERE key='centre'").Scan(&centre); err != nil {
		return err
	}
	if centre != string(x.centre) {
		return errForeign
	}
	rows, err := x.write.QueryContext(ctx, "SELECT name, seq FROM stream")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var seq int64
		if err := rows.Scan(&name, &seq); err != nil {
			return err
		}
		x.mark(ledger.StreamName(name)).set(uint64(seq))
	}
	return rows.Err()
}

// create makes all tables, dropping what was there.
func (x *Index) create(ctx context.Context) error {
	tx, err := x.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, statement := range strings.Split(schema, ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", strings.TrimSpace(statement), err)
		}
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO meta(key, value) VALUES('centre', ?)", string(x.centre)); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", schemaVersion)); err != nil {
		return err
	}
	return tx.Commit()
}

// ShowAfter makes Project hold each registration back until the store has its
// entry: only then may the number be shown (the order event, entry, shown is a
// contract). It is to be called before Project; without it numbers show as soon
// as the ledger has them.
func (x *Index) ShowAfter(entries storage.Store) { x.entries = entries }

// Close closes the file. Project must have returned.
func (x *Index) Close() error { return errors.Join(x.read.Close(), x.write.Close()) }

// Applied tells up to which sequence a stream is visible in the index.
func (x *Index) Applied(stream ledger.StreamName) uint64 { return x.mark(stream).get() }

// Skipped counts the events since Open that did not fit and were left out;
// each is logged, and Verify tells what is wrong with them.
func (x *Index) Skipped() uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.skipped
}

// WaitFor returns when the event with sequence seq of a stream is visible, so
// that a person sees the effect of their own command.
func (x *Index) WaitFor(ctx context.Context, stream ledger.StreamName, seq uint64) error {
	if err := x.mark(stream).wait(ctx, seq); err != nil {
		return fmt.Errorf("wait for %s %d in the index: %w", stream, seq, err)
	}
	return nil
}

func (x *Index) mark(stream ledger.StreamName) *mark {
	x.mu.Lock()
	defer x.mu.Unlock()
	m, ok := x.marks[stream]
	if !ok {
		m = newMark()
		x.marks[stream] = m
	}
	return m
}

// mark is a sequence that others can wait for.
type mark struct {
	mu      sync.Mutex
	seq     uint64
	changed chan struct{}
}

func newMark() *mark { return &mark{changed: make(chan struct{})} }

func (m *mark) get() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seq
}

func (m *mark) set(seq uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seq = seq
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *mark) wait(ctx context.Context, seq uint64) error {
	for {
		m.mu.Lock()
		at, changed := m.seq, m.changed
		m.mu.Unlock()
		if at >= seq {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}
