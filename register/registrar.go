package register

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/ledger"
	"sekretariat/storage"
)

// ErrRewound: the ledger and the write-once entries of a series contradict each
// other: entries are ahead of the ledger, a key holds another entry, or the
// chain is broken. Numbering stops until a person has run verify and rebuild;
// receiving goes on.
var ErrRewound = errors.New("ledger and register entries contradict each other; numbering is stopped: run verify")

// Options are what a Registrar needs.
type Options struct {
	Centre sekretariat.CentreID
	Series sekretariat.SeriesID
	// First is the first number of the series in a year (rule P1), at least 1.
	First  func(year int) int
	Log    ledger.Log
	Store  storage.Store // of entries, which are not sealed
	Clock  sekretariat.Clock
	Logger zerolog.Logger
}

// How many events are worked on together, and how long a failed step waits
// before it is tried again.
const (
	runEvents = 256
	minPause  = 50 * time.Millisecond
	maxPause  = 5 * time.Second
)

// Registrar gives the numbers of one series. Any number of them may run, in
// any number of processes: the lease of the work group makes one of them
// active, the others stand by, and should two believe to be active, the
// condition on the stream's last sequence keeps the numbers gapless all the
// same.
type Registrar struct {
	o Options

	// Touched by one goroutine at a time:
	seq       uint64            // last sequence known of the REGISTER stream
	last      sekretariat.Entry // the entry at seq
	unwritten []sekretariat.Entry

	mu     sync.Mutex
	status Status
}

// Status is what a registrar does.
type Status struct {
	Series sekretariat.SeriesID
	// Ready: ledger and entries were compared and agree, and nothing failed
	// since. A registrar that stands by is ready too.
	Ready bool
	// Err is why it is not ready: an ErrRewound needs a person, anything else
	// is being tried again. nil before the comparison at the start.
	Err        error
	Last       sekretariat.Number // last number that it knows of
	Registered uint64             // letters numbered since the start of the process
}

// Group is the work group on LETTER by which the registrar of a series works;
// ledger.Working tells whether one is alive anywhere.
func Group(s sekretariat.SeriesID) string { return "registrar-" + string(s) }

// NewRegistrar makes the registrar of one series. Run starts it.
func NewRegistrar(o Options) *Registrar {
	if o.Clock == nil {
		o.Clock = sekretariat.SystemClock
	}
	if o.First == nil {
		o.First = func(int) int { return 1 }
	}
	o.Logger = o.Logger.With().Str("part", "registrar").Str("centre", string(o.Centre)).Str("series", string(o.Series)).Logger()
	return &Registrar{o: o, status: Status{Series: o.Series}}
}

// Status tells what the registrar does.
func (r *Registrar) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status
}

func (r *Registrar) ready() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.Ready, r.status.Err, r.status.Last = true, nil, r.last.Number
}

func (r *Registrar) failing(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.Ready, r.status.Err = false, err
}

func (r *Registrar) stream() ledger.StreamName { return ledger.Register(r.o.Series) }

// Run numbers letters until ctx ends, whenever it is this registrar's turn.
// After ErrRewound it gives no numbers any more but returns only when ctx ends,
// so that everything beside it goes on; it then returns that error.
func (r *Registrar) Run(ctx context.Context) error {
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		err := r.work(ctx)
		switch {
		case errors.Is(err, ErrRewound):
			r.o.Logger.Error().Err(err).Msg("numbering is stopped")
			r.failing(err)
			<-ctx.Done()
			return err
		case ctx.Err() != nil:
			return nil
		}
		r.o.Logger.Warn().Err(err).Msg("registrar was interrupted, trying again")
		r.failing(err)
		if wait(ctx, pause) != nil {
			return nil
		}
	}
}

// work compares ledger and entries, then numbers until something fails.
func (r *Registrar) work(ctx context.Context) error {
	if err := r.compare(ctx); err != nil {
		return err
	}
	r.ready()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	err := r.o.Log.WorkInOrder(ctx, ledger.Letter, Group(r.o.Series), ledger.WorkOptions{Concurrency: runEvents},
		func(ctx context.Context, run []ledger.Stored) error {
			err := r.run(ctx, run)
			if errors.Is(err, ErrRewound) {
				end(err) // or the group would try the same run for ever
			}
			return err
		})
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return fmt.Errorf("number the letters of series %s: %w", r.o.Series, err)
}

// run numbers what a run of LETTER events asks for. It tries by itself as long
// as ctx lasts, because later letters wait behind it anyhow; nil means that
// every letter has its number and its entry.
func (r *Registrar) run(ctx context.Context, events []ledger.Stored) error {
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		err := r.try(ctx, events)
		if err == nil || errors.Is(err, ErrRewound) || ctx.Err() != nil {
			if err == nil {
				r.ready()
			}
			return err
		}
		r.o.Logger.Warn().Err(err).Msg("numbering was interrupted, trying again")
		r.failing(err)
		if err := wait(ctx, pause); err != nil {
			return err
		}
	}
}

func (r *Registrar) try(ctx context.Context, events []ledger.Stored) error {
	requests, err := r.requests(ctx, events)
	if err != nil {
		return err
	}
	for len(requests) > 0 {
		n := min(len(requests), ledger.MaxBatch)
		if err := r.register(ctx, requests[:n]); err != nil {
			return err
		}
		requests = requests[n:]
	}
	return r.write(ctx)
}

// requests collects who asks for a number, each letter once.
func (r *Registrar) requests(ctx context.Context, events []ledger.Stored) ([]request, error) {
	var out []request
	asked := map[sekretariat.LetterID]bool{}
	for _, s := range events {
		rs, err := r.o.asks(s.Event, s.Seq, func() (*sekretariat.State, error) { return r.state(ctx, s) })
		var failed ledgerError
		if errors.As(err, &failed) {
			return nil, err
		}
		if err != nil {
			// The event itself is wrong: no repetition mends it, and it must
			// not hold up the register. verify names the letter.
			r.o.Logger.Error().Err(err).Uint64("seq", s.Seq).Msg("event asks for a number in a way that cannot be understood")
			continue
		}
		for _, q := range rs {
			if !asked[q.letter] {
				asked[q.letter] = true
				out = append(out, q)
			}
		}
	}
	return out, nil
}

// ledgerError marks an error of reading the ledger, as opposed to one in what
// was read.
type ledgerError struct{ error }

func (e ledgerError) Unwrap() error { return e.error }

// state folds the LETTER events of a submission.
func (r *Registrar) state(ctx context.Context, s ledger.Stored) (*sekretariat.State, error) {
	events, err := r.o.Log.Subject(ctx, ledger.Letter, s.Subject)
	if err != nil {
		return nil, ledgerError{fmt.Errorf("read the story of a letter: %w", err)}
	}
	var st sekretariat.State
	for _, e := range events {
		if e.Seq > s.Seq {
			break
		}
		if err := st.Apply(e.Event); err != nil {
			return nil, err
		}
	}
	return &st, nil
}

// register gives numbers to letters that may have some already.
func (r *Registrar) register(ctx context.Context, rs []request) error {
	for {
		given := r.o.number(r.last, r.o.Clock(), rs)
		records, err := r.records(given)
		if err != nil {
			return err
		}
		first, err := r.o.Log.AppendAll(ctx, r.stream(), r.seq, records)
		switch {
		case err == nil:
			r.took(first, given)
			return r.write(ctx)
		case !errors.Is(err, ledger.ErrConflict):
			// Stored or not: the next try finds out by a conflict.
			return fmt.Errorf("append to the register: %w", err)
		}
		// Another registrar was quicker, an answer was lost, or these events
		// came again after a crash.
		if err := r.catchUp(ctx); err != nil {
			return err
		}
		if rs, err = r.unregistered(ctx, rs); err != nil || len(rs) == 0 {
			return err
		}
	}
}

func (r *Registrar) records(given []sekretariat.RegisteredData) ([]ledger.Record, error) {
	out := make([]ledger.Record, len(given))
	for i, d := range given {
		e, err := sekretariat.NewEvent(sekretariat.EventRegistered, r.o.Centre, "registrar", string(d.Entry.Letter), 0, d.Entry.Registered, d)
		if err != nil {
			return nil, err
		}
		out[i] = ledger.Record{Subject: string(d.Entry.Letter), Event: e}
	}
	return out, nil
}

// took notes what the ledger has taken.
func (r *Registrar) took(first uint64, given []sekretariat.RegisteredData) {
	for _, d := range given {
		r.unwritten = append(r.unwritten, d.Entry)
	}
	r.seq, r.last = first+uint64(len(given))-1, given[len(given)-1].Entry
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.Last, r.status.Registered = r.last.Number, r.status.Registered+uint64(len(given))
}

// unregistered leaves out the letters that have a number.
func (r *Registrar) unregistered(ctx context.Context, rs []request) ([]request, error) {
	var out []request
	for _, q := range rs {
		_, err := r.o.Log.Last(ctx, r.stream(), string(q.letter))
		switch {
		case errors.Is(err, ledger.ErrNotFound):
			out = append(out, q)
		case err != nil:
			return nil, fmt.Errorf("look for the number of a letter: %w", err)
		}
	}
	return out, nil
}

// write stores the entries that the ledger has taken and the store has not.
func (r *Registrar) write(ctx context.Context) error {
	err := WriteEntries(ctx, r.o.Store, r.unwritten)
	if errors.Is(err, ErrOtherEntry) {
		return fmt.Errorf("%w: %w", ErrRewound, err)
	}
	if err == nil {
		r.unwritten = nil
	}
	return err
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
