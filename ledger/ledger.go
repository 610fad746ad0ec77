// Package ledger is what has happened, in order: NATS JetStream, embedded or
// external. It opens or connects the server, lays out the streams, appends
// events on conditions, replays them, hands them to workers, keeps leases and
// cursors, copies every event into a write-once journal in the object store,
// and gives department systems their queues and credentials. It knows nothing
// of what the events mean.
package ledger

import (
	"context"
	"errors"
	"time"

	"sekretariat"
)

// StreamName names one stream of one centre.
type StreamName string

// The streams of a centre. REGISTER exists once per number series.
const (
	Intake StreamName = "INTAKE" // subject per submission, must be empty; writer: receiver
	Letter StreamName = "LETTER" // subject per submission; writers name the last sequence they know
	Queue  StreamName = "QUEUE"  // <department>.<lane>.<letter>.<revision>; writer: deliverer
	Audit  StreamName = "AUDIT"
	Dead   StreamName = "DEAD"
)

// Register is the stream of one number series.
func Register(series sekretariat.SeriesID) StreamName {
	return StreamName("REGISTER-" + string(series))
}

// The errors that callers distinguish.
var (
	// ErrConflict: the condition of an append did not hold. Nothing was stored.
	ErrConflict = errors.New("the ledger has moved on")
	// ErrNotFound: no such message, subject or cursor.
	ErrNotFound = errors.New("not in the ledger")
	// ErrLeaseLost: somebody else holds the lease now.
	ErrLeaseLost = errors.New("lease lost")
)

// AnySeq as Record.LastSeq lifts the condition.
const AnySeq = ^uint64(0)

// Record is one event to append. Subject is relative to the stream
// ("<submission>"; for QUEUE "<department>.<lane>.<letter>.<revision>"). The append
// succeeds only if the last sequence on that subject is LastSeq (0: the
// subject must be empty; AnySeq: no condition).
type Record struct {
	Subject string
	LastSeq uint64
	Event   sekretariat.Event
}

// Stored is one event as the ledger holds it.
type Stored struct {
	Stream  StreamName
	Subject string // relative
	Seq     uint64
	Time    time.Time // when the server stored it
	Event   sekretariat.Event
	// Redelivered tells a worker that the event was handed out before: a hint
	// that its work may have been done.
	Redelivered bool
}

// Log is the append and read side of one centre's streams. All methods are
// safe for concurrent use. An acknowledged append is on stable storage.
type Log interface {
	// Append stores one event and returns its sequence. Concurrent calls on a
	// stream are gathered into atomic batches with one fsync, so callers under
	// backlog simply call it from many goroutines. Returns ErrConflict.
	Append(ctx context.Context, stream StreamName, r Record) (uint64, error)
	// AppendAll stores all records in order or none, and only if the last
	// sequence of the whole stream is streamSeq. At most MaxBatch records.
	// Returns the sequence of the first one, or ErrConflict.
	AppendAll(ctx context.Context, stream StreamName, streamSeq uint64, rs []Record) (uint64, error)
	// Last returns the newest event on a subject, read at the leader. Returns
	// ErrNotFound.
	Last(ctx context.Context, stream StreamName, subject string) (Stored, error)
	// Subject returns all events on one subject, oldest first.
	Subject(ctx context.Context, stream StreamName, subject string) ([]Stored, error)
	// Tail returns the newest event of the stream. Returns ErrNotFound when it
	// is empty.
	Tail(ctx context.Context, stream StreamName) (Stored, error)
	// Replay calls fn for each event from sequence from (≥ 1) up to the last
	// one stored when the call began, in order.
	Replay(ctx context.Context, stream StreamName, from uint64, fn func(Stored) error) error
	// Follow is Replay that goes on with new events until ctx ends or fn
	// returns an error. After each run of events that were there already,
	// idle is called, so that a reader can close its transaction.
	Follow(ctx context.Context, stream StreamName, from uint64, fn func(Stored) error, idle func() error) error
	// Work hands events to a work group: each event to one worker, again after
	// a crash or an error, with back-off up to 15 min and without an end.
	// Handlers must be idempotent: after a server crash acknowledged events
	// come again. It returns when ctx ends and all handlers have returned.
	Work(ctx context.Context, stream StreamName, group string, o WorkOptions, h Handler) error
	// WorkInOrder is Work for one worker at a time: events come in stream
	// order in runs of at most o.Concurrency, and the next run only after the
	// handler returned nil for this one.
	WorkInOrder(ctx context.Context, stream StreamName, group string, o WorkOptions, h func(context.Context, []Stored) error) error
	// State tells the stream's first and last sequence and counts.
	State(ctx context.Context, stream StreamName) (StreamState, error)
}

// MaxBatch is how many records AppendAll takes; JetStream allows 1,000.
const MaxBatch = 500

// Handler works on one event. nil acknowledges it; an error wrapped by
// Permanent puts it into DEAD; any other error brings it again later.
type Handler func(ctx context.Context, s Stored) error

// WorkOptions bound a work group.
type WorkOptions struct {
	Concurrency int           // handlers at once in this process (default 64)
	Wait        time.Duration // redelivery when a worker dies (default 60 s); running handlers extend it by themselves
}

// StreamState is what the server says of a stream.
type StreamState struct {
	First, Last, Messages uint64
	Deleted               int // messages missing between First and Last
}

// permanent marks an error that no repetition mends.
type permanent struct {
	error
	code string
}

func (p permanent) Unwrap() error { return p.error }

// Permanent marks err as one that no repetition mends.
func Permanent(err error) error { return PermanentCode("permanent", err) }

// PermanentCode is Permanent with the code under which the event stands among
// the dead letters. Codes are words of the program, never of a letter.
func PermanentCode(code string, err error) error { return permanent{err, code} }

// IsPermanent tells whether err was marked by Permanent.
func IsPermanent(err error) bool { var p permanent; return errors.As(err, &p) }

// codeOf is the code of an error that IsPermanent.
func codeOf(err error) string {
	var p permanent
	errors.As(err, &p)
	return p.code
}
