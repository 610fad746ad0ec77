package index

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"sekretariat"
	"sekretariat/ledger"
)

// writer applies events inside one transaction at a time. It keeps folded
// submissions in memory between events, at most cached letters of them.
type writer struct {
	x    *Index
	conn *sql.Conn

	begun, done, undone                  *sql.Stmt
	arrived, sorted, seen, load, save    *sql.Stmt
	uncopy, copy, queue, withdraw, visit *sql.Stmt
	mark, tally                          *sql.Stmt

	known   map[string]*folded // by submission
	letters int                // in known
	dirty   []*row
	marks   map[ledger.StreamName]ledger.Stored // newest applied in this transaction
	tallied map[sort]int                        // changes of the tally in this transaction
}

// cached bounds the folded letters kept in memory.
const cached = 4000

// folded is a submission's state with the rows of its letters.
type folded struct {
	state sekretariat.State
	rows  map[int]*row
}

// row is what a letter's row holds beside the folded letter.
type row struct {
	letter       *sekretariat.Letter
	sorted, read int64
	dirty        bool
	saved        *sort // as what it was tallied last, nil: never
}

// Statements run without a deadline of their own: a context that can end costs
// a goroutine per statement, and a transaction takes milliseconds.
var forever = context.Background()

func (x *Index) newWriter(ctx context.Context) (*writer, error) {
	conn, err := x.write.Conn(ctx)
	if err != nil {
		return nil, err
	}
	w := &writer{x: x, conn: conn, marks: map[ledger.StreamName]ledger.Stored{}, tallied: map[sort]int{}}
	w.forget()
	for _, s := range []struct {
		to    **sql.Stmt
		query string
	}{
		{&w.begun, "BEGIN IMMEDIATE"}, {&w.done, "COMMIT"}, {&w.undone, "ROLLBACK"},
		{&w.arrived, "INSERT INTO submission(id, intake) VALUES(?, 1) ON CONFLICT(id) DO UPDATE SET intake = 1"},
		{&w.sorted, "INSERT INTO submission(id, sorted) VALUES(?, 1) ON CONFLICT(id) DO UPDATE SET sorted = 1"},
		{&w.seen, "INSERT INTO submission(id, seen) VALUES(?, 1) ON CONFLICT(id) DO UPDATE SET seen = seen + 1"},
		{&w.load, "SELECT state, sorted, read FROM letter WHERE submission = ?"},
		{&w.save, `INSERT INTO letter(submission, part, series, year, n, status, kind, department, closed, cancelled, open, urgent,
			arrived, received, sorted, registered, read, routed, revision, state) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)
			ON CONFLICT(submission, part) DO UPDATE SET series=excluded.series, year=excluded.year, n=excluded.n, status=excluded.status,
			kind=excluded.kind, department=excluded.department, closed=excluded.closed, cancelled=excluded.cancelled, open=excluded.open,
			urgent=excluded.urgent, arrived=excluded.arrived, received=excluded.received, sorted=excluded.sorted,
			registered=excluded.registered, read=excluded.read, routed=excluded.routed, revision=excluded.revision, state=excluded.state`},
		{&w.uncopy, "DELETE FROM copy WHERE letter = (SELECT id FROM letter WHERE submission = ? AND part = ?)"},
		{&w.copy, "INSERT OR IGNORE INTO copy(letter, department) SELECT id, ? FROM letter WHERE submission = ? AND part = ?"},
		{&w.queue, `INSERT INTO queue(submission, part, revision, department, copy, queued, withdrawn) VALUES(?,?,?,?,?,?,0)
			ON CONFLICT DO UPDATE SET copy = excluded.copy, queued = excluded.queued`},
		{&w.withdraw, `INSERT INTO queue(submission, part, revision, department, copy, queued, withdrawn) VALUES(?,?,?,?,0,0,?)
			ON CONFLICT DO UPDATE SET withdrawn = excluded.withdrawn`},
		{&w.visit, "INSERT OR REPLACE INTO access(seq, submission, part, principal, action, allowed, at) VALUES(?,?,?,?,?,?,?)"},
		{&w.tally, `INSERT INTO tally(status, department, numbered, closed, cancelled, letters) VALUES(?,?,?,?,?,?)
			ON CONFLICT DO UPDATE SET letters = letters + excluded.letters`},
		{&w.mark, "INSERT INTO stream(name, seq, event) VALUES(?,?,?) ON CONFLICT(name) DO UPDATE SET seq=excluded.seq, event=excluded.event"},
	} {
		if *s.to, err = conn.PrepareContext(ctx, s.query); err != nil {
			conn.Close()
			return nil, fmt.Errorf("%s: %w", s.query, err)
		}
	}
	return w, nil
}

func (w *writer) close() { w.conn.Close() }

func (w *writer) begin() error {
	_, err := w.begun.ExecContext(forever)
	return err
}

func (w *writer) rollback() {
	_, _ = w.undone.ExecContext(forever) // the connection goes away next
	w.forget()
}

func (w *writer) forget() {
	w.known, w.letters, w.dirty = map[string]*folded{}, 0, nil
	clear(w.marks)
	clear(w.tallied)
}

// commit writes the changed letters and the marks, and tells who waits.
func (w *writer) commit() error {
	err := w.flush()
	if err == nil {
		_, err = w.done.ExecContext(forever)
	}
	if err != nil {
		w.rollback()
		return err
	}
	for stream, s := range w.marks {
		w.x.mark(stream).set(s.Seq)
	}
	clear(w.marks)
	clear(w.tallied)
	if w.letters > cached || len(w.known) > cached {
		w.forget()
	}
	return nil
}

func (w *writer) flush() error {
	for _, r := range w.dirty {
		if err := w.saveRow(r); err != nil {
			return err
		}
		r.dirty = false
	}
	w.dirty = w.dirty[:0]
	for k, n := range w.tallied {
		if n == 0 {
			continue
		}
		if _, err := w.tally.ExecContext(forever, string(k.status), string(k.department), k.numbered, k.closed, k.cancelled, n); err != nil {
			return err
		}
	}
	for stream, s := range w.marks {
		if _, err := w.mark.ExecContext(forever, string(stream), int64(s.Seq), s.Event.ID); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) saveRow(r *row) error {
	l := r.letter
	state, err := json.Marshal(l)
	if err != nil {
		return err
	}
	id, err := octets(l.ID.Submission())
	if err != nil {
		return err
	}
	now := sortOf(l)
	if r.saved != nil {
		w.tallied[*r.saved]--
	}
	w.tallied[now]++
	r.saved = &now
	if _, err := w.save.ExecContext(forever, id, l.ID.Part(), string(l.Series), l.Number.Year, l.Number.N, string(l.Status),
		string(l.Arrived.Kind), string(l.Department), l.Closed, l.Cancelled, now.open(), l.Decision.Urgency.Lane() == "urgent",
		millis(l.Arrived.Arrived.At), millis(l.Arrived.Received), r.sorted, millis(l.Registered), r.read, millis(l.Routed), l.Revision, state); err != nil {
		return err
	}
	if l.Revision > 1 || len(l.Copies) > 0 {
		return w.saveCopies(id, l)
	}
	return nil
}

func (w *writer) saveCopies(id []byte, l *sekretariat.Letter) error {
	if _, err := w.uncopy.ExecContext(forever, id, l.ID.Part()); err != nil {
		return err
	}
	for _, d := range l.Copies {
		if _, err := w.copy.ExecContext(forever, string(d), id, l.ID.Part()); err != nil {
			return err
		}
	}
	return nil
}

// apply folds one event. An event that does not fit is logged and left out, so
// that one bad event never stops what people see of all others; an error means
// that the database failed.
func (w *writer) apply(s ledger.Stored) error {
	err := w.applyEvent(s)
	var bad unfit
	if errors.As(err, &bad) {
		w.x.skip(s, bad.error)
		err = nil
	}
	if err == nil {
		w.marks[s.Stream] = s
	}
	return err
}

// unfit marks an error of the event, not of the database.
type unfit struct{ error }

func (x *Index) skip(s ledger.Stored, why error) {
	x.log.Error().Err(why).Str("stream", string(s.Stream)).Uint64("seq", s.Seq).Str("type", string(s.Event.Type)).
		Msg("event does not fit and is left out of the index; run verify")
	x.mu.Lock()
	x.skipped++
	x.mu.Unlock()
}

func (w *writer) applyEvent(s ledger.Stored) error {
	e := s.Event
	if !strings.HasPrefix(e.Source, "/"+string(w.x.centre)+"/") {
		return unfit{fmt.Errorf("event %s comes from %q, not from this centre", e.ID, e.Source)}
	}
	switch e.Type {
	case sekretariat.EventArrived:
		return with(e, func(d sekretariat.ArrivedData) error { return w.submission(w.arrived, d.Submission) })
	case sekretariat.EventSeen:
		return with(e, func(d sekretariat.SeenData) error { return w.submission(w.seen, d.Submission) })
	case sekretariat.EventQueued:
		return with(e, func(d sekretariat.QueuedData) error {
			return w.letter(w.queue, d.Letter, d.Revision, string(d.Department), d.Copy, millis(e.Time))
		})
	case sekretariat.EventWithdrawn:
		return with(e, func(d sekretariat.WithdrawnData) error {
			return w.letter(w.withdraw, d.Letter, d.Revision, string(d.Department), millis(e.Time))
		})
	case sekretariat.EventAccess:
		return with(e, func(d sekretariat.AccessData) error { return w.access(s, d) })
	case sekretariat.EventConfigured:
		return nil // says nothing of letters
	}
	return w.fold(e)
}

// with decodes the data of e for f.
func with[T any](e sekretariat.Event, f func(T) error) error {
	d, err := sekretariat.DataOf[T](e)
	if err != nil {
		return unfit{err}
	}
	return f(d)
}

func (w *writer) submission(st *sql.Stmt, s sekretariat.SubmissionID) error {
	id, err := octets(s)
	if err != nil {
		return unfit{err}
	}
	_, err = st.ExecContext(forever, id)
	return err
}

func (w *writer) letter(st *sql.Stmt, l sekretariat.LetterID, args ...any) error {
	id, err := octets(l.Submission())
	if err != nil {
		return unfit{err}
	}
	_, err = st.ExecContext(forever, append([]any{id, l.Part()}, args...)...)
	return err
}

func (w *writer) access(s ledger.Stored, d sekretariat.AccessData) error {
	if d.Letter == "" {
		return nil
	}
	id, err := octets(d.Letter.Submission())
	if err != nil {
		return unfit{err}
	}
	_, err = w.visit.ExecContext(forever, int64(s.Seq), id, d.Letter.Part(), d.Principal, d.Action, d.Allowed, millis(s.Event.Time))
	return err
}

// about is what the data of every event on letters tells of whom it is about.
type about struct {
	Letter  sekretariat.LetterID
	From    string // a letter in split, a department in routed
	Entry   struct{ Letter sekretariat.LetterID }
	Arrived struct{ Submission sekretariat.SubmissionID }
	Letters []struct{ Part int }
}

// of returns the submission and the letters that an event is about.
func of(e sekretariat.Event) (sekretariat.SubmissionID, []int, error) {
	d, err := sekretariat.DataOf[about](e)
	if err != nil {
		return "", nil, err
	}
	var s sekretariat.SubmissionID
	switch e.Type {
	case sekretariat.EventSorted:
		s = d.Arrived.Submission
	case sekretariat.EventSplit:
		s = sekretariat.LetterID(d.From).Submission()
	case sekretariat.EventRegistered:
		return d.Entry.Letter.Submission(), []int{d.Entry.Letter.Part()}, nil
	default:
		return d.Letter.Submission(), []int{d.Letter.Part()}, nil
	}
	parts := make([]int, len(d.Letters))
	for i, l := range d.Letters {
		parts[i] = l.Part
	}
	return s, parts, nil
}

// fold applies an event of LETTER or REGISTER to the state of its submission.
func (w *writer) fold(e sekretariat.Event) error {
	sub, parts, err := of(e)
	if err != nil {
		return unfit{err}
	}
	f, err := w.get(sub)
	if err != nil {
		return err
	}
	if err := f.state.Apply(e); err != nil {
		return unfit{err}
	}
	if e.Type == sekretariat.EventSorted {
		if err := w.submission(w.sorted, sub); err != nil {
			return err
		}
	}
	for _, part := range parts {
		w.touch(f, part, e)
	}
	return nil
}

func (w *writer) touch(f *folded, part int, e sekretariat.Event) {
	l, ok := f.state.Letters[part]
	if !ok {
		return
	}
	r := f.rows[part]
	if r == nil {
		r = &row{letter: l, sorted: millis(e.Time)}
		f.rows[part] = r
		w.letters++
	}
	if e.Type == sekretariat.EventRead && r.read == 0 {
		r.read = millis(e.Time)
	}
	if !r.dirty {
		r.dirty = true
		w.dirty = append(w.dirty, r)
	}
}

// get returns the folded submission, from memory or from the file.
func (w *writer) get(s sekretariat.SubmissionID) (*folded, error) {
	if f, ok := w.known[string(s)]; ok {
		return f, nil
	}
	id, err := octets(s)
	if err != nil {
		return nil, unfit{err}
	}
	rows, err := w.load.QueryContext(forever, id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	f := &folded{state: sekretariat.State{Submission: s}, rows: map[int]*row{}}
	for rows.Next() {
		var raw []byte
		r := &row{letter: &sekretariat.Letter{}}
		if err := rows.Scan(&raw, &r.sorted, &r.read); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(raw, r.letter); err != nil {
			return nil, err
		}
		if f.state.Letters == nil {
			f.state.Letters = map[int]*sekretariat.Letter{}
		}
		saved := sortOf(r.letter)
		r.saved = &saved
		part := r.letter.ID.Part()
		f.rows[part], f.state.Letters[part] = r, r.letter
		w.letters++
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	w.known[string(s)] = f
	return f, nil
}

// octets returns the 32 octets of a submission id.
func octets(s sekretariat.SubmissionID) ([]byte, error) {
	if _, err := sekretariat.ParseSubmissionID(string(s)); err != nil {
		return nil, err
	}
	return hex.DecodeString(string(s))
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
