package index

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"sekretariat"
)

// ackOf is the state of a letter's acknowledgement.
func ackOf(l *sekretariat.Letter) sekretariat.AckState {
	if l.Ack == nil {
		return ""
	}
	return l.Ack.State
}

// dueOf is when something is to be done about a letter that waits for its hour.
func dueOf(l *sekretariat.Letter) time.Time {
	switch {
	case l.Status == sekretariat.StatusParked:
		return l.Hold
	case l.Ack != nil && l.Ack.State.Open():
		return l.Ack.Due
	}
	return time.Time{}
}

// threadStatements write what joins letters.
type threadStatements struct {
	thread, reference, later, earlier, bad *sql.Stmt
}

// linking joins a letter with another one, found by join, in both directions.
const linking = "INSERT OR IGNORE INTO link(submission, part, other, opart) "

func prepareThreads(ctx context.Context, conn *sql.Conn) (threadStatements, error) {
	var t threadStatements
	for _, s := range []struct {
		to    **sql.Stmt
		query string
	}{
		{&t.thread, "INSERT OR REPLACE INTO thread(submission, part, sender, message) VALUES(?,?,?,?)"},
		{&t.reference, "INSERT OR IGNORE INTO reference(submission, part, message, sender) VALUES(?,?,?,?)"},
		// Letters that came before this one and refer to it, by ?3 its Message-ID
		// or by ?5 its acknowledgement: the streams need not be in order.
		{&t.later, linking + `SELECT ?1, ?2, r.submission, r.part FROM reference r WHERE r.message IN (?3, ?5) AND r.message <> '' AND r.sender = ?4
			UNION SELECT r.submission, r.part, ?1, ?2 FROM reference r WHERE r.message IN (?3, ?5) AND r.message <> '' AND r.sender = ?4`},
		// The letter that ?3 is the Message-ID of, or whose id is ?5 and ?6.
		{&t.earlier, linking + `SELECT ?1, ?2, t.submission, t.part FROM thread t WHERE t.message = ?3 AND t.message <> '' AND t.sender = ?4
			UNION SELECT t.submission, t.part, ?1, ?2 FROM thread t WHERE t.message = ?3 AND t.message <> '' AND t.sender = ?4
			UNION SELECT ?1, ?2, t.submission, t.part FROM thread t WHERE t.submission = ?5 AND t.part = ?6 AND t.sender = ?4
			UNION SELECT t.submission, t.part, ?1, ?2 FROM thread t WHERE t.submission = ?5 AND t.part = ?6 AND t.sender = ?4`},
		{&t.bad, `INSERT INTO contact(digest, code, at) VALUES(?,?,?)
			ON CONFLICT DO UPDATE SET code = excluded.code, at = excluded.at WHERE excluded.at >= contact.at`},
	} {
		var err error
		if *s.to, err = conn.PrepareContext(ctx, s.query); err != nil {
			return t, fmt.Errorf("%s: %w", s.query, err)
		}
	}
	return t, nil
}

// hangTogether notes what an event tells of how letters hang together and of
// contacts.
func (w *writer) hangTogether(e sekretariat.Event) error {
	switch e.Type {
	case sekretariat.EventSorted:
		return with(e, func(d sekretariat.SortedData) error {
			for _, l := range d.Letters {
				if err := w.thread(sekretariat.NewLetterID(d.Arrived.Submission, l.Part), l.Thread); err != nil {
					return err
				}
			}
			return nil
		})
	case sekretariat.EventRead:
		return with(e, func(d sekretariat.ReadData) error { return w.thread(d.Letter, d.Thread) })
	case sekretariat.EventAckFailed:
		return with(e, func(d sekretariat.AckAttemptData) error {
			if !d.Bad {
				return nil
			}
			return w.badContact(d.Contact, d.Code, e.Time)
		})
	case sekretariat.EventAckBounced:
		return with(e, func(d sekretariat.AckBouncedData) error { return w.badContact(d.Contact, d.Status, e.Time) })
	}
	return nil
}

func (w *writer) badContact(d sekretariat.Digest, code string, at time.Time) error {
	if d == "" {
		return nil
	}
	_, err := w.joins.bad.ExecContext(forever, string(d), code, millis(at))
	return err
}

// thread notes a mail and joins it with the letters that it refers to and that
// refer to it. Without a sender nothing is joined.
func (w *writer) thread(id sekretariat.LetterID, t *sekretariat.Thread) error {
	if t == nil || t.Sender == "" {
		return nil
	}
	sub, err := octets(id.Submission())
	if err != nil {
		return unfit{err}
	}
	part, sender := id.Part(), string(t.Sender)
	if _, err := w.joins.thread.ExecContext(forever, sub, part, sender, string(t.Message)); err != nil {
		return err
	}
	refer := func(message string, to []byte, opart int) error {
		if _, err := w.joins.reference.ExecContext(forever, sub, part, message, sender); err != nil {
			return err
		}
		_, err := w.joins.earlier.ExecContext(forever, sub, part, message, sender, to, opart)
		return err
	}
	for i, m := range t.References {
		if i == sekretariat.MaxThreadReferences {
			break
		}
		if m == t.Message {
			continue // a mail that answers itself
		}
		if err := refer(string(m), nil, 0); err != nil {
			return err
		}
	}
	for i, l := range t.Own {
		to, err := octets(l.Submission())
		if err != nil || i == sekretariat.MaxThreadReferences {
			break
		}
		if l == id {
			continue
		}
		if err := refer(string(l), to, l.Part()); err != nil {
			return err
		}
	}
	_, err = w.joins.later.ExecContext(forever, sub, part, string(t.Message), sender, string(id))
	return err
}
