package index

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
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
	joins                                threadStatements

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
			arrived, received, sorted, registered, read, routed, revision, content, ack, due, state) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)
			ON CONFLICT(submission, part) DO UPDATE SET series=excluded.series, year=excluded.year, n=excluded.n, status=excluded.status,
			kind=excluded.kind, department=excluded.department, closed=excluded.closed, cancelled=excluded.cancelled, open=excluded.open,
			urgent=excluded.urgent, arrived=excluded.arrived, received=excluded.received, sorted=excluded.sorted,
			registered=excluded.registered, read=excluded.read, routed=excluded.routed, revision=excluded.revision,
			content=excluded.content, ack=excluded.ack, due=excluded.due, state=excluded.state`},
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
	if w.joins, err = prepareThreads(ctx, conn); err != nil {
		conn.Close()
		return nil, err
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
		millis(l.Arrived.Arrived.At), millis(l.Arrived.Received), r.sorted, millis(l.Registered), r.read, millis(l.Routed), l.Revision, string(l.Arrived.Content), string(ackOf(l)), millis(dueOf(l)), state); err != nil {
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
