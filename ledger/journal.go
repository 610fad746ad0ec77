package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"sekretariat"
	"sekretariat/storage"
)

// JournalOptions bound a journal object; zero means the value in brackets.
type JournalOptions struct {
	MaxEvents int           // (1,000)
	MaxAge    time.Duration // of its first event when it is closed (2 s)
}

// journalLease is how long a dead journal worker blocks its successor.
const journalLease = 10 * time.Second

// journal is one running Journal call.
type journal struct {
	g      *centreLog
	s      StreamName
	store  storage.Store
	o      JournalOptions
	cursor string
	pos    journalPos
	rev    uint64 // of the cursor
}

// journalPos is the cursor: where the next object begins and what it follows.
type journalPos struct {
	Next   uint64             `json:"next"`
	First  uint64             `json:"first,omitempty"`  // where the object before begins
	Digest sekretariat.Digest `json:"digest,omitempty"` // of the object before
	Time   time.Time          `json:"time,omitzero"`    // of the event before
}

func journalCursor(c sekretariat.CentreID, s StreamName) string {
	return "journal." + string(c) + "." + strings.ToLower(string(s))
}

// Journal copies every event of a stream into write-once objects until ctx
// ends. One process does so at a time, others wait. It repeats through faults
// of ledger and store; it ends with ErrRewound when the ledger no longer holds
// what is in the journal already, with a *GapError when events are missing,
// and with storage.ErrDamaged when an object is. Those need people.
func (l *Ledger) Journal(ctx context.Context, store storage.Store, c sekretariat.CentreID, s StreamName, o JournalOptions) error {
	l.mu.Lock()
	g := l.centres[c]
	l.mu.Unlock()
	if g == nil {
		return fmt.Errorf("journal of %s: centre %s is not open: %w", s, c, ErrNotFound)
	}
	if _, err := g.name(s); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if o.MaxEvents <= 0 {
		o.MaxEvents = 1000
	}
	if o.MaxAge <= 0 {
		o.MaxAge = 2 * time.Second
	}
	j := &journal{g: g, s: s, store: store, o: o, cursor: journalCursor(c, s)}
	err := l.alone(ctx, j.cursor, journalLease, j.run)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("journal of %s of %s: %w", s, c, err)
}

// fatalToJournal are the errors that repeating does not mend.
func fatalToJournal(err error) bool {
	var gap *GapError
	return errors.Is(err, ErrRewound) || errors.As(err, &gap) || errors.Is(err, storage.ErrDamaged) ||
		errors.Is(err, ErrClosed) || errors.Is(err, ErrConflict)
}

// run works while the lease lasts; each fault starts it again from what is
// stored.
func (j *journal) run(ctx context.Context) error {
	var b backoff
	for {
		err := j.once(ctx)
		if ctx.Err() != nil || fatalToJournal(err) {
			return err
		}
		j.g.l.log.Warn().Err(err).Str("journal", j.cursor).Msg("journal interrupted, going on")
		if err := b.wait(ctx, j.g.l.life); err != nil {
			return err
		}
	}
}

func (j *journal) once(ctx context.Context) error {
	if err := j.find(ctx); err != nil {
		return err
	}
	if err := j.adopt(ctx); err != nil {
		return err
	}
	if err := j.checkTail(ctx); err != nil {
		return err
	}
	r, err := j.g.newReader(j.s, j.pos.Next)
	if err != nil {
		return err
	}
	defer r.close()
	for {
		w, err := j.collect(ctx, r)
		if err != nil {
			return err
		}
		if err := j.put(ctx, w); err != nil {
			return err
		}
	}
}

// find reads the cursor, or looks for the last object when there is none.
func (j *journal) find(ctx context.Context) error {
	v, rev, err := j.g.l.kvGet(ctx, bucketCursors, j.cursor)
	j.rev = rev
	switch {
	case isNotFound(err):
		j.rev = 0
	case err != nil:
		return err
	default:
		if err := json.Unmarshal(v, &j.pos); err != nil {
			return err
		}
		if lost, err := j.lost(ctx); err != nil || !lost {
			return err
		}
		j.g.l.log.Error().Str("journal", j.cursor).Uint64("first", j.pos.First).Msg("the store has lost the end of the journal; it is written again")
	}
	j.pos = journalPos{Next: 1}
	firsts, err := journalFirsts(ctx, j.store, j.g.centre, j.s)
	if err != nil || len(firsts) == 0 {
		return err
	}
	o, err := readJournalObject(ctx, j.store, j.g.centre, j.s, firsts[len(firsts)-1])
	if err != nil {
		return err
	}
	// The stream may have been made again from this journal: the same events at
	// other times.
	if err := j.compare(ctx, o); err != nil {
		return err
	}
	return j.move(ctx, journalPos{Next: o.next(), First: o.head.First, Digest: o.digest})
}

// lost tells whether the object before the cursor, which was there once, is
// gone.
func (j *journal) lost(ctx context.Context) (bool, error) {
	if j.pos.First == 0 {
		return false, nil
	}
	_, err := j.store.Head(ctx, storage.JournalKey(j.g.centre, string(j.s), j.pos.First))
	if errors.Is(err, storage.ErrNotFound) {
		return true, nil
	}
	return false, err
}

// adopt goes past objects that were put before the cursor was moved: by us
// before a crash, or by another worker. Their events must be the ledger's.
func (j *journal) adopt(ctx context.Context) error {
	for {
		o, err := readJournalObject(ctx, j.store, j.g.centre, j.s, j.pos.Next)
		if errors.Is(err, storage.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if o.head.Previous != j.pos.Digest {
			return fmt.Errorf("the journal object from sequence %d does not follow the one before: %w", j.pos.Next, ErrRewound)
		}
		if err := j.compare(ctx, o); err != nil {
			return err
		}
		if err := j.durable(ctx, j.pos.Next); err != nil {
			return err
		}
		if err := j.move(ctx, journalPos{Next: o.next(), First: o.head.First, Digest: o.digest}); err != nil {
			return err
		}
	}
}

// errCompared ends a replay that has seen enough.
var errCompared = errors.New("compared")

// compare checks an object against the ledger.
func (j *journal) compare(ctx context.Context, o *journalObject) error {
	i := 0
	err := j.g.replay(ctx, j.s, o.head.First, func(it item) error {
		if !j.g.journalLine(j.s, it).same(o.lines[i]) {
			return fmt.Errorf("sequence %d is another event in the journal: %w", it.Seq, ErrRewound)
		}
		if i++; i == len(o.lines) {
			return errCompared
		}
		return nil
	})
	if err == nil && i < len(o.lines) {
		return fmt.Errorf("the journal goes to sequence %d, the ledger only to %d: %w", o.next()-1, o.lines[i].Seq-1, ErrRewound)
	}
	if errors.Is(err, errCompared) {
		return nil
	}
	return err
}

// checkTail compares the last event in the journal with the ledger's.
func (j *journal) checkTail(ctx context.Context) error {
	st, err := j.g.State(ctx, j.s)
	if err != nil {
		return err
	}
	last := j.pos.Next - 1
	if st.Last < last {
		return fmt.Errorf("the journal goes to sequence %d, the ledger only to %d: %w", last, st.Last, ErrRewound)
	}
	if j.pos.Time.IsZero() {
		return nil
	}
	stream := streamOf(j.g.centre, j.s)
	m, err := j.g.l.c.get(ctx, stream, msgGet{Seq: last})
	if isNotFound(err) {
		return j.g.l.requireErased(ctx, stream, last, last)
	}
	if err == nil && !m.Time.Equal(j.pos.Time) {
		return fmt.Errorf("sequence %d is another event in the journal: %w", last, ErrRewound)
	}
	return err
}

// collect waits for an event and takes what follows until the object is full
// or old enough.
func (j *journal) collect(ctx context.Context, r *reader) (*journalWriter, error) {
	w, err := newJournalWriter(journalHead{
		Version: journalVersion, Centre: j.g.centre, Stream: j.s, First: j.pos.Next, Previous: j.pos.Digest,
	})
	if err != nil {
		return nil, err
	}
	wait := ctx
	for w.lines < j.o.MaxEvents && w.buf.Len() < journalClose {
		it, err := r.next(wait)
		if err != nil && w.lines > 0 && ctx.Err() == nil && wait.Err() != nil {
			return w, nil // its time is over
		}
		if err != nil {
			return nil, err
		}
		if err := w.add(j.g.journalLine(j.s, it)); err != nil {
			return nil, err
		}
		if w.lines == 1 {
			var cancel context.CancelFunc
			wait, cancel = context.WithTimeout(ctx, j.o.MaxAge)
			defer cancel()
		}
	}
	return w, nil
}

// put stores an object and moves the cursor. The order makes every crash
// harmless: an object is durable before the next one or the cursor follows it.
func (j *journal) put(ctx context.Context, w *journalWriter) error {
	b := w.buf.Bytes()
	err := j.store.PutOnce(ctx, storage.JournalKey(j.g.centre, string(j.s), w.head.First), storage.Bytes(b))
	if errors.Is(err, storage.ErrExists) {
		return fmt.Errorf("another worker has written from sequence %d: %w", w.head.First, errAgain)
	}
	if err != nil {
		return fmt.Errorf("journal object from sequence %d: %w", w.head.First, err)
	}
	if err := j.durable(ctx, w.head.First); err != nil {
		return err
	}
	return j.move(ctx, journalPos{Next: w.last.Seq + 1, First: w.head.First, Digest: sekretariat.DigestOf(b), Time: w.last.Time})
}

// errAgain: look again at what is stored.
var errAgain = errors.New("stored already")

func (j *journal) durable(ctx context.Context, first uint64) error {
	if err := j.store.Sync(ctx, []string{storage.JournalKey(j.g.centre, string(j.s), first)}); err != nil {
		return fmt.Errorf("journal object from sequence %d: %w", first, err)
	}
	return nil
}

func (j *journal) move(ctx context.Context, pos journalPos) error {
	v, err := json.Marshal(pos)
	if err != nil {
		return err
	}
	rev, err := j.g.l.kvPut(ctx, bucketCursors, j.cursor, v, j.rev)
	if err != nil {
		return err
	}
	j.pos, j.rev = pos, rev
	return nil
}

// JournalBehind tells the age of the oldest event that is not in the journal
// yet, 0 when all are. It may be asked in any process.
func (l *Ledger) JournalBehind(ctx context.Context, c sekretariat.CentreID, s StreamName) (time.Duration, error) {
	stream := streamOf(c, s)
	pos, err := l.journalPos(ctx, journalCursor(c, s))
	if err != nil {
		return 0, fmt.Errorf("how far the journal of %s is: %w", stream, err)
	}
	m, err := l.c.get(ctx, stream, msgGet{Seq: pos.Next, Next: prefixOf(c, s) + ">"})
	if isNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("how far the journal of %s is: %w", stream, err)
	}
	return max(0, time.Since(m.Time)), nil
}

// journalPos reads the cursor of a journal; one that is not there is at the
// beginning.
func (l *Ledger) journalPos(ctx context.Context, cursor string) (journalPos, error) {
	pos := journalPos{Next: 1}
	v, _, err := l.kvGet(ctx, bucketCursors, cursor)
	if isNotFound(err) {
		return pos, nil
	}
	if err == nil {
		err = json.Unmarshal(v, &pos)
	}
	return pos, err
}
