package register

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sekretariat"
	"sekretariat/ledger"
	"sekretariat/storage"
)

// look reads the restored streams for what they know of each letter.
func (r *rebuilder) look(ctx context.Context) error {
	r.v = &verifier{
		o:    VerifyOptions{Centre: r.o.Centre, Series: r.o.Series, Log: r.o.Log, Vault: r.o.Vault, Progress: func(string, int) {}},
		subs: map[subKey]*verified{}, departments: map[sekretariat.DepartmentID]int16{}, hashes: map[ledger.StreamName][]uint64{},
	}
	if err := r.v.letters(ctx); err != nil {
		return err
	}
	return r.v.replay(ctx, ledger.Intake, func(s ledger.Stored) {
		if d, ok := decode[sekretariat.ArrivedData](r.v, s); ok {
			if k, ok := keyOf(d.Submission); ok {
				r.sub(k).announced = true
			}
		}
	})
}

func (r *rebuilder) sub(k subKey) *verified {
	s := r.v.subs[k]
	if s == nil {
		s = &verified{}
		r.v.subs[k] = s
	}
	return s
}

// arrivals announces every manifest that INTAKE does not know. If it was never
// announced at all, its source will deliver it again and be told that it is
// there.
func (r *rebuilder) arrivals(ctx context.Context) error {
	const suffix = ".manifest.json"
	prefix := fmt.Sprintf("c/%s/s/", r.o.Centre)
	var found []sekretariat.ArrivedData
	err := r.o.Vault.Objects().List(ctx, prefix, func(i storage.Info) error {
		_, name, _ := strings.Cut(strings.TrimPrefix(i.Key, prefix), "/")
		id, ok := strings.CutSuffix(name, suffix)
		k, valid := keyOf(sekretariat.SubmissionID(id))
		if !ok || !valid || r.sub(k).announced {
			return nil
		}
		a, err := r.arrival(ctx, sekretariat.SubmissionID(id))
		if errors.Is(err, storage.ErrShredded) || errors.Is(err, storage.ErrDamaged) {
			r.note("arrival", id, "the manifest cannot be opened, the submission stays unannounced: %v", err)
			return nil
		}
		found = append(found, a)
		return err
	})
	if err != nil {
		return fmt.Errorf("look for manifests: %w", err)
	}
	slices.SortFunc(found, func(a, b sekretariat.ArrivedData) int {
		return cmp.Or(a.Received.Compare(b.Received), cmp.Compare(a.Submission, b.Submission))
	})
	for _, a := range found {
		if err := r.append(ctx, ledger.Intake, string(a.Submission), 0, sekretariat.EventArrived, string(a.Submission), a.Received, a); err != nil {
			return err
		}
		k, _ := keyOf(a.Submission)
		r.sub(k).announced = true
		r.derived("arrived", string(a.Submission), "announced from its manifest, received %s", a.Received.Format(sealTime))
	}
	return nil
}

// arrival derives the announcement of a submission from its manifest, as the
// receiver does.
func (r *rebuilder) arrival(ctx context.Context, id sekretariat.SubmissionID) (sekretariat.ArrivedData, error) {
	key := storage.ManifestKey(r.o.Centre, id)
	raw, err := r.o.Vault.ReadAll(ctx, r.o.Centre, id, key, maxManifest)
	if err != nil {
		return sekretariat.ArrivedData{}, fmt.Errorf("manifest of submission %s: %w", id, err)
	}
	var m sekretariat.Manifest
	if err := json.Unmarshal(raw, &m); err != nil || m.Submission != id || m.Centre != r.o.Centre {
		return sekretariat.ArrivedData{}, fmt.Errorf("manifest of submission %s is not one: %w", id, storage.ErrDamaged)
	}
	return m.Arrival(key, sekretariat.DigestOf(raw)), nil
}

func (r *rebuilder) append(ctx context.Context, stream ledger.StreamName, subject string, last uint64, t sekretariat.EventType, about string, at time.Time, data any) error {
	e, err := sekretariat.NewEvent(t, r.o.Centre, "rebuild", about, 0, at, data)
	if err == nil {
		_, err = r.o.Log.Append(ctx, stream, ledger.Record{Subject: subject, LastSeq: last, Event: e})
	}
	if err != nil {
		return fmt.Errorf("derive %s of %s: %w", t, about, err)
	}
	return nil
}

// registrations brings back the registrations that only the entries know, and
// the sortings that only registrations know.
func (r *rebuilder) registrations(ctx context.Context) error {
	for _, series := range r.o.Series {
		var last sekretariat.Entry
		err := r.o.Log.Replay(ctx, ledger.Register(series), 1, func(s ledger.Stored) error {
			d, err := sekretariat.DataOf[sekretariat.RegisteredData](s.Event)
			if err != nil {
				return err
			}
			last = d.Entry
			return errors.Join(r.entryObject(ctx, d.Entry), r.sorted(ctx, d.Entry, d.Arrived))
		})
		if err != nil {
			return fmt.Errorf("read the register of series %s: %w", series, err)
		}
		if err := r.entries(ctx, series, last); err != nil {
			return err
		}
	}
	return nil
}

// entryObject makes sure that the object of an entry that the ledger has is
// there: one that the store has lost is written again.
func (r *rebuilder) entryObject(ctx context.Context, e sekretariat.Entry) error {
	switch err := sameEntry(ctx, r.o.Vault.Objects(), e); {
	case errors.Is(err, ErrOtherEntry), errors.Is(err, storage.ErrDamaged):
		r.note("entry", e.Identifier, "its object holds something else: compare it with the backup, never change an entry by hand")
		return nil
	case !errors.Is(err, storage.ErrNotFound):
		return err
	}
	if err := WriteEntries(ctx, r.o.Vault.Objects(), []sekretariat.Entry{e}); err != nil {
		return err
	}
	r.derived("entry", e.Identifier, "its object was missing and is written again from the ledger")
	return nil
}

// entries appends the registrations of entries that lie beyond the last one of
// the ledger.
func (r *rebuilder) entries(ctx context.Context, series sekretariat.SeriesID, last sekretariat.Entry) error {
	beyond, err := r.beyond(ctx, series, last.Number)
	if err != nil {
		return err
	}
	for _, n := range beyond {
		e, err := ReadEntry(ctx, r.o.Vault.Objects(), r.o.Centre, n)
		if err == nil {
			err = CheckNext(last, e)
		}
		if errors.Is(err, ErrBroken) {
			r.note("entry", n.Identifier(), "does not continue the register, so it and what follows is left out: %v", err)
			return nil
		}
		if err != nil {
			return err
		}
		a, err := r.arrival(ctx, e.Letter.Submission())
		if errors.Is(err, storage.ErrNotFound) || errors.Is(err, storage.ErrShredded) || errors.Is(err, storage.ErrDamaged) {
			// The number stays taken whatever became of the submission.
			r.note("manifest", n.Identifier(), "registered from the entry alone: %v", err)
			a = sekretariat.ArrivedData{Submission: e.Letter.Submission(), Series: series, Manifest: e.Manifest, Arrived: e.Arrived, Received: e.Received}
		} else if err != nil {
			return err
		}
		if err := r.sorted(ctx, e, a); err != nil {
			return err
		}
		l, err := r.place(ctx, e.Letter)
		if err != nil {
			return err
		}
		d := sekretariat.RegisteredData{Entry: e, Arrived: a, Range: l.letter.Range, Closed: l.letter.Closed, Cause: l.seq, Before: l.letter.Revision}
		if err := r.append(ctx, ledger.Register(series), string(e.Letter), 0, sekretariat.EventRegistered, string(e.Letter), e.Registered, d); err != nil {
			return err
		}
		r.derived("registered", e.Identifier, "from its entry, letter %s", e.Letter)
		last = e
	}
	return nil
}

// beyond lists the numbers that have entry objects after last, in order.
func (r *rebuilder) beyond(ctx context.Context, series sekretariat.SeriesID, last sekretariat.Number) ([]sekretariat.Number, error) {
	prefix := fmt.Sprintf("c/%s/r/%s/", r.o.Centre, series)
	var out []sekretariat.Number
	err := r.o.Vault.Objects().List(ctx, prefix, func(i storage.Info) error {
		n := sekretariat.Number{Series: series}
		if _, err := fmt.Sscanf(strings.TrimPrefix(i.Key, prefix), "%d/%d.json", &n.Year, &n.N); err != nil || storage.EntryKey(r.o.Centre, n) != i.Key {
			r.note("unknown-object", i.Key, "is no register entry")
			return nil
		}
		if n.Year > last.Year || n.Year == last.Year && n.N > last.N {
			out = append(out, n)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for entries of series %s: %w", series, err)
	}
	slices.SortFunc(out, func(a, b sekretariat.Number) int { return cmp.Or(a.Year-b.Year, a.N-b.N) })
	return out, nil
}

// sorted makes sure that LETTER knows a registered letter as one to be
// registered: that it has a number proves what was decided.
func (r *rebuilder) sorted(ctx context.Context, e sekretariat.Entry, a sekretariat.ArrivedData) error {
	k, ok := keyOf(e.Letter.Submission())
	if !ok {
		return fmt.Errorf("entry %s names no letter: %w", e.Identifier, ErrBroken)
	}
	s := r.sub(k)
	if slices.ContainsFunc(s.letters, func(l checked) bool { return int(l.part) == e.Letter.Part() && l.asked }) {
		return nil
	}
	return r.sort(ctx, s, e, a)
}

// sort appends the event that LETTER lacks of a registered letter.
func (r *rebuilder) sort(ctx context.Context, s *verified, e sekretariat.Entry, a sekretariat.ArrivedData) error {
	id, sub := e.Letter, e.Letter.Submission()
	letters := []sekretariat.SortedLetter{{Part: id.Part(), Series: e.Number.Series, Action: sekretariat.ActionRegister, Parent: e.Parent}}
	parked := slices.ContainsFunc(s.letters, func(l checked) bool { return int(l.part) == id.Part() && l.parked })
	var t sekretariat.EventType
	var data any
	switch {
	case !s.sorted:
		t, data = sekretariat.EventSorted, sekretariat.SortedData{Arrived: a, Letters: letters}
		r.note("sorted", string(sub), "its sorting was lost: whether further letters of it were parked, and whether it was closed, is not known")
	case parked:
		t, data = sekretariat.EventReleased, r.released(s, id)
	default:
		from := e.Parent
		if from == "" {
			from = sekretariat.NewLetterID(sub, int(s.letters[0].part))
		}
		t, data = sekretariat.EventSplit, sekretariat.SplitData{From: from, Letters: letters, By: "rebuild"}
	}
	var last uint64
	if s.sorted {
		p, err := r.o.Log.Last(ctx, ledger.Letter, string(sub))
		if err != nil {
			return err
		}
		last = p.Seq
	}
	if err := r.append(ctx, ledger.Letter, string(sub), last, t, string(id), e.Registered, data); err != nil {
		return err
	}
	r.derived(string(t), string(id), "from its registration as %s", e.Identifier)
	s.sorted = true
	l := r.v.letter(ledger.Letter, 0, id)
	l.asked, l.parked = true, false
	return nil
}

// released makes the release that was lost of a parked letter; whoever had it
// without a number has it no more.
func (r *rebuilder) released(s *verified, id sekretariat.LetterID) sekretariat.ReleasedData {
	d := sekretariat.ReleasedData{Letter: id, By: "rebuild", Reason: "registered"}
	for _, l := range s.letters {
		if int(l.part) == id.Part() && l.revision > 0 && r.v.names[l.owner] != sekretariat.Sekretariat {
			d.Revision, d.Withdraw = int(l.revision)+1, []sekretariat.DepartmentID{r.v.names[l.owner]}
		}
	}
	return d
}

// placed is a letter as LETTER knows it.
type placed struct {
	letter sekretariat.Letter
	seq    uint64 // the last one on the subject
}

// place folds what LETTER has of a letter.
func (r *rebuilder) place(ctx context.Context, id sekretariat.LetterID) (placed, error) {
	events, err := r.o.Log.Subject(ctx, ledger.Letter, string(id.Submission()))
	if err != nil {
		return placed{}, err
	}
	var st sekretariat.State
	var p placed
	for _, s := range events {
		if err := st.Apply(s.Event); err != nil {
			return p, err
		}
		p.seq = s.Seq
	}
	if l := st.Letters[id.Part()]; l != nil {
		p.letter = *l
	}
	return p, nil
}
