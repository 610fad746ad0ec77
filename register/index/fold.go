package index

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"sekretariat"
	"sekretariat/ledger"
)

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
	case sekretariat.EventHanded:
		return with(e, func(d sekretariat.HandedData) error {
			return w.letter(w.queue, d.Letter, d.Revision, string(d.Department), false, millis(e.Time))
		})
	case sekretariat.EventWithdrawn:
		return with(e, func(d sekretariat.WithdrawnData) error {
			return w.letter(w.withdraw, d.Letter, d.Revision, string(d.Department), millis(e.Time))
		})
	case sekretariat.EventAccess:
		return with(e, func(d sekretariat.AccessData) error { return w.access(s, d) })
	case sekretariat.EventConfigured, sekretariat.EventGranted:
		return nil // say nothing of letters
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
	From    string               // a letter in split, a department in routed
	Into    sekretariat.LetterID // in cancelled: the letter it was joined with
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
	var more []int
	switch e.Type {
	case sekretariat.EventSorted:
		s = d.Arrived.Submission
	case sekretariat.EventSplit:
		s, more = sekretariat.LetterID(d.From).Submission(), []int{sekretariat.LetterID(d.From).Part()}
	case sekretariat.EventRegistered:
		return d.Entry.Letter.Submission(), []int{d.Entry.Letter.Part()}, nil
	case sekretariat.EventCancelled:
		if d.Into != "" {
			more = []int{d.Into.Part()}
		}
		return d.Letter.Submission(), append(more, d.Letter.Part()), nil
	default:
		return d.Letter.Submission(), []int{d.Letter.Part()}, nil
	}
	for _, l := range d.Letters {
		more = append(more, l.Part)
	}
	return s, more, nil
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
	return w.hangTogether(e)
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
	switch e.Type {
	case sekretariat.EventReleased:
		r.read = 0 // it will be read as a letter
	case sekretariat.EventReread:
		r.read = max(millis(e.Time), r.read+1) // found by the words of what came later, too
	case sekretariat.EventSorted, sekretariat.EventRead:
		// What was set aside was read when it was sorted.
		if r.read == 0 && (e.Type == sekretariat.EventRead || l.Reading.Key != "") {
			r.read = millis(e.Time)
		}
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
