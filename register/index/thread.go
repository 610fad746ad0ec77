package index

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"sekretariat"
)

// maxMatter bounds how many letters of one matter are shown.
const maxMatter = 200

// Matter lists the other letters of the matter that a letter belongs to, as far
// as the principal may see them in full, the oldest first: those that it
// answers, those that answer it, and so on. It returns ErrNotFound for a letter
// that the principal may not see.
func (x *Index) Matter(ctx context.Context, p sekretariat.Principal, id sekretariat.LetterID) ([]Row, error) {
	if _, err := x.Letter(ctx, p, id); err != nil {
		return nil, err
	}
	sub, err := octets(id.Submission())
	if err != nil {
		return nil, ErrNotFound
	}
	s := x.see(p)
	q := query{order: "l.received ASC, l.id ASC"}
	q.and(`(l.submission, l.part) IN (WITH RECURSIVE m(s, n) AS (
			SELECT ?, ? UNION SELECT k.other, k.opart FROM m JOIN link k ON k.submission = m.s AND k.part = m.n LIMIT 1000)
		SELECT s, n FROM m)`, sub, id.Part())
	q.and("NOT (l.submission = ? AND l.part = ?)", sub, id.Part())
	q.and(s.full, s.args...)
	return x.rows(ctx, s, q, maxMatter)
}

// Receipt is one arrival of a mail that arrived more than once.
type Receipt struct {
	Letter   sekretariat.LetterID `json:"letter"`
	Account  string               `json:"account"`
	Door     sekretariat.Door     `json:"door"`
	Arrived  sekretariat.Arrival  `json:"arrived"`
	Received time.Time            `json:"received"`
	Parked   bool                 `json:"parked"` // as the twin of the registered one
	// Repeats is how often the source delivered this very one again.
	Repeats int `json:"repeats,omitempty"`
}

// Receipts lists the arrivals of a letter's mail, its own first: the same mail
// to two mailboxes is one matter with two receipts. A parked twin is shown to
// whoever may see the letter; other letters of the same content only to those
// who may see them. It returns ErrNotFound for a letter that the principal may
// not see.
func (x *Index) Receipts(ctx context.Context, p sekretariat.Principal, id sekretariat.LetterID) ([]Receipt, error) {
	l, err := x.Letter(ctx, p, id)
	if err != nil {
		return nil, err
	}
	first := id
	if l.Of != "" {
		first = l.Of
	}
	rows, err := x.read.QueryContext(ctx, `SELECT l.state, COALESCE((SELECT s.seen FROM submission s WHERE s.id = l.submission), 0) FROM letter l
		WHERE l.content = ? AND l.content <> '' AND l.kind = ? ORDER BY l.received, l.id LIMIT ?`, string(l.Arrived.Content), string(l.Arrived.Kind), maxMatter)
	if err != nil {
		return nil, fmt.Errorf("read the index: %w", err)
	}
	defer rows.Close()
	out := []Receipt{{}}
	for rows.Next() {
		var raw []byte
		var seen int
		if err := rows.Scan(&raw, &seen); err != nil {
			return nil, fmt.Errorf("read the index: %w", err)
		}
		var other sekretariat.Letter
		if err := json.Unmarshal(raw, &other); err != nil {
			return nil, fmt.Errorf("read the index: %w", err)
		}
		r := Receipt{Letter: other.ID, Account: other.Arrived.Account, Door: other.Arrived.Door, Arrived: other.Arrived.Arrived,
			Received: other.Arrived.Received, Parked: other.Status == sekretariat.StatusParked, Repeats: seen}
		switch {
		case other.ID == id:
			out[0] = r
		case other.Of == first && other.Reason == sekretariat.ParkDuplicate, sekretariat.MaySee(p, other) == sekretariat.Full:
			out = append(out, r)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the index: %w", err)
	}
	if out[0].Letter == "" { // a letter without a digest of its content has one receipt
		seen, err := x.repeats(ctx, id.Submission())
		out[0] = Receipt{Letter: id, Account: l.Arrived.Account, Door: l.Arrived.Door, Arrived: l.Arrived.Arrived, Received: l.Arrived.Received,
			Parked: l.Status == sekretariat.StatusParked, Repeats: seen}
		return out, err
	}
	return out, nil
}

func (x *Index) repeats(ctx context.Context, s sekretariat.SubmissionID) (int, error) {
	id, err := octets(s)
	if err != nil {
		return 0, ErrNotFound
	}
	var seen int
	err = x.read.QueryRowContext(ctx, "SELECT seen FROM submission WHERE id = ?", id).Scan(&seen)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("read the index: %w", err)
	}
	return seen, nil
}

// badContactFor is how long a contact stays bad: mailboxes come back.
const badContactFor = 180 * 24 * time.Hour

// BadContact tells whether mail to a contact, by its keyed digest, came back
// within the last half year, and with which code.
func (x *Index) BadContact(ctx context.Context, d sekretariat.Digest, now time.Time) (code string, bad bool, err error) {
	if d == "" {
		return "", false, nil
	}
	err = x.read.QueryRowContext(ctx, "SELECT code FROM contact WHERE digest = ? AND at > ?", string(d), now.Add(-badContactFor).UnixMilli()).Scan(&code)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("read the index: %w", err)
	}
	return code, true, nil
}

// SenderBad tells whether mail to the sender of a letter came back. The
// principal must be one who may see the letter: ErrNotFound.
func (x *Index) SenderBad(ctx context.Context, p sekretariat.Principal, id sekretariat.LetterID, now time.Time) (bool, error) {
	if _, err := x.Letter(ctx, p, id); err != nil {
		return false, err
	}
	sub, err := octets(id.Submission())
	if err != nil {
		return false, ErrNotFound
	}
	var sender string
	err = x.read.QueryRowContext(ctx, "SELECT sender FROM thread WHERE submission = ? AND part = ?", sub, id.Part()).Scan(&sender)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the index: %w", err)
	}
	_, bad, err := x.BadContact(ctx, sekretariat.Digest(sender), now)
	return bad, err
}

// HeldDue lists the letters that are held "do oceny" and whose hour has come.
func (x *Index) HeldDue(ctx context.Context, now time.Time) ([]sekretariat.LetterID, error) {
	return x.ids(ctx, "SELECT submission, part FROM letter l WHERE status = 'parked' AND due > 0 AND due <= ? ORDER BY due, id LIMIT ?", now.UnixMilli(), MaxLimit)
}

// AckDue lists the letters whose acknowledgement is due, or has been on its way
// for so long that its sender must have died.
func (x *Index) AckDue(ctx context.Context, now time.Time) ([]sekretariat.LetterID, error) {
	return x.ids(ctx, "SELECT submission, part FROM letter l WHERE ack IN ('planned', 'waiting', 'sending') AND due <= ? ORDER BY due, id LIMIT ?", now.UnixMilli(), MaxLimit)
}

func (x *Index) ids(ctx context.Context, statement string, args ...any) ([]sekretariat.LetterID, error) {
	rows, err := x.read.QueryContext(ctx, statement, args...)
	if err != nil {
		return nil, fmt.Errorf("read the index: %w", err)
	}
	defer rows.Close()
	var out []sekretariat.LetterID
	for rows.Next() {
		var sub []byte
		var part int
		if err := rows.Scan(&sub, &part); err != nil {
			return nil, fmt.Errorf("read the index: %w", err)
		}
		out = append(out, sekretariat.NewLetterID(sekretariat.SubmissionID(fmt.Sprintf("%x", sub)), part))
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the index: %w", err)
	}
	return out, nil
}

// Outbox lists the letters with an acknowledgement in one of the states, by
// state and then the oldest first; with none, those that are not sent and not
// suppressed. Letters that the principal may not see are left out.
func (x *Index) Outbox(ctx context.Context, p sekretariat.Principal, states []sekretariat.AckState, page Page) ([]Row, string, error) {
	if len(states) == 0 {
		states = []sekretariat.AckState{sekretariat.AckPlanned, sekretariat.AckSending, sekretariat.AckWaiting, sekretariat.AckFailed, sekretariat.AckBounced}
	}
	s := x.see(p)
	q := query{order: "l.id ASC"}
	in := ""
	var args []any
	for i, st := range states {
		if i > 0 {
			in += ","
		}
		in, args = in+"?", append(args, string(st))
	}
	q.and("l.ack <> '' AND l.ack IN ("+in+")", args...)
	q.and(s.full, s.args...)
	if page.After != "" {
		m, err := parseMark(page.After, 1)
		if err != nil {
			return nil, "", err
		}
		q.and("l.id > ?", m.int(0))
	}
	rows, last, err := x.scan(ctx, s, q, page.limit())
	if err != nil || len(rows) < page.limit() {
		return rows, "", err
	}
	return rows, newMarkString(fmt.Sprint(last.id)), nil
}
