package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sys/unix"

	"sekretariat"
)

// Grouper is a Store that can make several objects durable together.
type Grouper interface {
	Store
	// PutAll makes the items durable as one group, in order. At the first Once
	// item whose key is taken it stops and returns a *TakenError; the items
	// before it are stored, that one and those after it are not. Any other
	// error means that the outcome is not known: repeat the call.
	PutAll(ctx context.Context, items []Item) error
	// Keys is the store that holds the wrapped keys, apart from the objects.
	Keys() Store
	// TempFolder is where unfinished bodies may lie; it is emptied of
	// left-overs when the store is opened.
	TempFolder() string
}

// TakenError says which item of a group found its key taken. It is an
// ErrExists.
type TakenError struct {
	Index int // in the group
	Key   string
}

func (e *TakenError) Error() string { return fmt.Sprintf("put %s: %v", e.Key, ErrExists) }

// Unwrap makes the error an ErrExists.
func (e *TakenError) Unwrap() error { return ErrExists }

var (
	// ErrInUse: another process uses the staging folder.
	ErrInUse = errors.New("the staging folder is in use by another process")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("the store is closed")
)

// StagedOptions are the options of OpenStaged. The zero value serves one
// process on a dir driver.
type StagedOptions struct {
	// Keys is the driver of the wrapped keys; nil if nothing is sealed. Its
	// puts share the log, and so the flush, with those of the objects.
	Keys Store
	// Shared: other processes write to the same store. Then a put waits for
	// the driver too, and PutOnce is decided by the driver.
	Shared bool
	// MaxPending is how many octets may wait in memory for the driver before
	// puts block, 1 KiB per object included; default 64 MiB.
	MaxPending int64
	// Calm: while puts follow each other more closely than this, and less than
	// half of MaxPending waits, objects stay in the log (10 s at most), and the
	// driver gets them afterwards; 0 = at once. Not for Shared stores.
	Calm time.Duration
	// Workers is how many puts reach the driver at a time; default 4, or 32 if
	// Shared.
	Workers int
	// SegmentSize is the length at which a log file is closed; default 32 MiB.
	SegmentSize int64
	// SegmentAge is the age at which a log file is closed; default 15 s.
	SegmentAge time.Duration
	// Salvage opens a damaged log: what can be read is kept, the damaged file
	// is set aside with the suffix ".damaged". Without it OpenStaged refuses.
	Salvage bool
	Logger  zerolog.Logger
	// Clock is the time; default time.Now.
	Clock func() time.Time
}

func (o *StagedOptions) defaults() {
	if o.MaxPending <= 0 {
		o.MaxPending = 64 << 20
	}
	if o.Workers <= 0 {
		o.Workers = 4
		if o.Shared {
			o.Workers = 32
		}
	}
	if o.SegmentSize <= 0 {
		o.SegmentSize = 32 << 20
	}
	if o.SegmentAge <= 0 {
		o.SegmentAge = 15 * time.Second
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
}

// settler is a driver whose puts cannot be trusted at once: Sync means
// something only that long after the put (s3: many servers do not fsync).
type settler interface{ SettleTime() time.Duration }

// tokenPutter is a driver that writes into each object which put it was. So a
// put can be repeated, and an object that is there can be told from an older
// or newer one. Tokens sort by the time of the put.
type tokenPutter interface {
	PutAs(ctx context.Context, key string, body sekretariat.Body, token string) error
	PutOnceAs(ctx context.Context, key string, body sekretariat.Body, token string) error
	// Prove returns nil if the object under key is whole and was written by
	// the put that token names or a later one; ErrNotFound or ErrDamaged if
	// that put must be repeated.
	Prove(ctx context.Context, key, token string) error
}

// filePutter is a driver that can take over a finished file.
type filePutter interface {
	PutFile(ctx context.Context, key, path string) error
}

// Staged wraps a driver with the staging log: a put is durable when its group
// is in the log, and the driver gets it afterwards. It is safe for concurrent
// use within one process.
type Staged struct {
	folder  string
	drivers [targets]Store
	o       StagedOptions
	settle  time.Duration
	lock    *os.File
	log     zerolog.Logger

	writer *logWriter
	budget *semaphore.Weighted

	mu       sync.Mutex
	reserved map[tkey]chan struct{} // keys of groups on their way into the log
	pending  map[tkey]*waiting      // what the driver does not have yet
	queue    []*waiting
	lastPut  time.Time     // when a group was last accepted
	fresh    map[tkey]bool // keys logged while the keeper repairs, else nil
	items    int           // not yet at the driver
	bytes    int64
	closing  bool
	active   int // calls that are running

	work    *sync.Cond // on mu: queue or groups grew, or stop
	idle    *sync.Cond // on mu: items or active reached 0
	groups  []*group   // shared mode: groups for the driver
	stop    context.Context
	halt    context.CancelFunc
	workers sync.WaitGroup
	keeper  *keeper
	fileNo  atomic.Uint64
}

var _ Grouper = (*Staged)(nil)

// OpenStaged opens the staging folder (created if missing), replays what the
// driver may not have yet, and starts the workers. It returns ErrInUse if
// another process has the folder, and ErrDamaged if acknowledged entries of the
// log cannot be read (see StagedOptions.Salvage). The folder must be on a
// persistent disk and must not move between stores.
func OpenStaged(ctx context.Context, folder string, driver Store, o StagedOptions) (*Staged, error) {
	o.defaults()
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("create staging folder: %w", err)
	}
	lock, err := lockFolder(folder)
	if err != nil {
		return nil, err
	}
	stop, halt := context.WithCancel(context.Background())
	s := &Staged{
		folder: folder, drivers: [targets]Store{driver, o.Keys}, o: o, lock: lock, log: o.Logger,
		budget:   semaphore.NewWeighted(o.MaxPending),
		reserved: map[tkey]chan struct{}{}, pending: map[tkey]*waiting{},
		stop: stop, halt: halt,
	}
	s.work, s.idle = sync.NewCond(&s.mu), sync.NewCond(&s.mu)
	for _, d := range s.drivers {
		if d, ok := d.(settler); ok {
			s.settle = max(s.settle, d.SettleTime())
		}
	}
	s.keeper = newKeeper(s)
	if err := s.start(ctx); err != nil {
		s.shutdown()
		return nil, fmt.Errorf("open staging folder %s: %w", folder, err)
	}
	return s, nil
}

func (s *Staged) start(ctx context.Context) error {
	files, done, err := s.check()
	if err != nil {
		return err
	}
	if err := s.keeper.findSpares(); err != nil {
		return err
	}
	last := logEnd{}
	if n := len(files); n > 0 {
		last = logEnd{files[n-1].id, files[n-1].length}
	}
	s.writer = newLogWriter(s, last)
	for range s.o.Workers {
		s.workers.Add(1)
		go s.worker()
	}
	go s.writer.run()
	go s.keeper.run()
	if err := s.replay(ctx, files, done); err != nil || !s.o.Shared {
		return err
	}
	return s.keeper.restore(ctx, done)
}

// lockFolder takes the folder for this process; the lock ends with it.
func lockFolder(folder string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(folder, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock staging folder: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w; stop that process or give this one a staging folder of its own", folder, ErrInUse)
		}
		return nil, fmt.Errorf("lock staging folder %s: %w", folder, err)
	}
	return f, nil
}

// begin admits a call, unless the store is closing.
func (s *Staged) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return ErrClosed
	}
	s.active++
	return nil
}

func (s *Staged) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active--; s.active == 0 {
		s.idle.Broadcast()
	}
}

// Close refuses new calls, waits until the driver has everything, trims the
// log as far as it may and gives the folder back. If ctx ends first, the rest
// stays in the log for the next start and ctx's error is returned.
func (s *Staged) Close(ctx context.Context) error {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return ErrClosed
	}
	s.closing = true
	s.mu.Unlock()
	err := s.drain(ctx)
	s.shutdown()
	return err
}

func (s *Staged) drain(ctx context.Context) error {
	wake := context.AfterFunc(ctx, func() { s.mu.Lock(); s.idle.Broadcast(); s.mu.Unlock() })
	defer wake()
	s.mu.Lock()
	for s.items+s.active > 0 && ctx.Err() == nil {
		s.idle.Wait()
	}
	left, ended := s.items, s.active == 0
	s.mu.Unlock()
	if left > 0 || !ended {
		return fmt.Errorf("close staging folder: %d objects stay in the log: %w", left, ctx.Err())
	}
	if s.settle > 0 {
		return nil // the next start looks after the rest
	}
	return s.keeper.flush(ctx)
}

// shutdown ends the goroutines, whatever is left.
func (s *Staged) shutdown() {
	s.halt()
	s.mu.Lock()
	s.work.Broadcast()
	for s.active > 0 { // their contexts ended with halt
		s.idle.Wait()
	}
	s.mu.Unlock()
	if s.writer != nil {
		s.writer.close()
		<-s.keeper.done
		s.keeper.helpers.Wait()
	}
	s.workers.Wait()
	_ = s.lock.Close()
}

// Pending tells how many objects, and how many octets of them in memory, have
// not reached the driver yet.
func (s *Staged) Pending() (items int, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.items, s.bytes
}

// TempFolder implements Grouper.
func (s *Staged) TempFolder() string { return s.folder }

// Keys implements Grouper.
func (s *Staged) Keys() Store { return view{s, keysTarget} }

// Put implements Store.
func (s *Staged) Put(ctx context.Context, key string, body sekretariat.Body) error {
	return view{s, objectsTarget}.Put(ctx, key, body)
}

// PutOnce implements Store.
func (s *Staged) PutOnce(ctx context.Context, key string, body sekretariat.Body) error {
	return view{s, objectsTarget}.PutOnce(ctx, key, body)
}

// Get implements Store.
func (s *Staged) Get(ctx context.Context, key string) (Object, error) {
	return view{s, objectsTarget}.Get(ctx, key)
}

// Head implements Store.
func (s *Staged) Head(ctx context.Context, key string) (Info, error) {
	return view{s, objectsTarget}.Head(ctx, key)
}

// Delete implements Store.
func (s *Staged) Delete(ctx context.Context, key string) error {
	return view{s, objectsTarget}.Delete(ctx, key)
}

// List implements Store.
func (s *Staged) List(ctx context.Context, prefix string, fn func(Info) error) error {
	return view{s, objectsTarget}.List(ctx, prefix, fn)
}

// Sync implements Store. What a put has returned from is in the log already,
// so there is nothing to wait for.
func (s *Staged) Sync(ctx context.Context, _ []string) error { return ctx.Err() }
