package register

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"

	"sekretariat"
	"sekretariat/ledger"
	"sekretariat/storage"
)

// VerifyOptions say what Verify looks at.
type VerifyOptions struct {
	Centre sekretariat.CentreID
	Series []sekretariat.SeriesID
	// First is the first number of a series in a year; nil means 1 always.
	First func(series sekretariat.SeriesID, year int) int
	Log   ledger.Log
	Vault *storage.Vault
	Deep  bool // also read every original and compare its digest
	// Progress, if not nil, is told now and then how far a step is.
	Progress func(step string, done int)
}

// Verify checks every promise of the house on one centre (invariants
// I1 to I6) from the outside: it trusts the ledger and the objects, each
// against the other, and no worker. It may run beside the service: streams are
// read in the order from effect to cause, so that whatever is met has its
// cause; letters on their way are counted as waiting. It needs about 250
// octets of memory for each letter. An error means that the check itself could
// not be done; broken promises are in the Report.
func Verify(ctx context.Context, o VerifyOptions) (*Report, error) {
	if o.First == nil {
		o.First = func(sekretariat.SeriesID, int) int { return 1 }
	}
	if o.Progress == nil {
		o.Progress = func(string, int) {}
	}
	v := &verifier{
		o: o, subs: map[subKey]*verified{},
		departments: map[sekretariat.DepartmentID]int16{}, hashes: map[ledger.StreamName][]uint64{},
		report: Report{Centre: o.Centre, Deep: o.Deep, Queues: map[sekretariat.DepartmentID]int{}, Faults: []Fault{}, Notes: []Fault{}},
	}
	steps := []func(context.Context) error{v.queue}
	for _, s := range o.Series {
		steps = append(steps, func(ctx context.Context) error { return v.series(ctx, s) })
	}
	for _, step := range append(steps, v.letters, v.audit, v.intake, v.objects, v.journal) {
		if err := step(ctx); err != nil {
			return nil, fmt.Errorf("verify %s: %w", o.Centre, err)
		}
	}
	return &v.report, nil
}

// subKey is the 32 octets of a submission id.
type subKey [32]byte

// verified is what is known of a submission.
type verified struct {
	manifest  [32]byte // digest of the manifest, by the register
	original  uint64   // first half of the digest of the original, by the manifest
	announced bool
	sorted    bool
	letters   []checked // by part, ascending
}

// checked is what is known of a letter.
type checked struct {
	part                           int16
	asked, parked, read, cancelled bool // by LETTER
	decided                        bool // not only handed over without a number
	hasReading                     bool
	series                         int8 // of the number, index in VerifyOptions.Series
	year                           int16
	number                         int32     // 0: none
	revision                       int32     // of the decision or handing over in force
	owner                          int16     // by it
	queued                         []inQueue // by department
}

// inQueue is what QUEUE says of a letter and a department.
type inQueue struct {
	department          int16
	copy                bool
	handed              bool // without a number
	revision, withdrawn int32
}

type verifier struct {
	o           VerifyOptions
	subs        map[subKey]*verified
	departments map[sekretariat.DepartmentID]int16
	names       []sekretariat.DepartmentID
	hashes      map[ledger.StreamName][]uint64

	mu     sync.Mutex // manifests are checked several at a time
	report Report
}

func (v *verifier) fault(code, id, do, format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	add(&v.report.Faults, Fault{Code: code, ID: id, What: fmt.Sprintf(format, args...), Do: do})
}

func (v *verifier) note(code, id, do, format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	add(&v.report.Notes, Fault{Code: code, ID: id, What: fmt.Sprintf(format, args...), Do: do})
}

// What to do about the faults that need the same answer.
const (
	doRebuild = "stop the service, keep a copy of the data folder, run 'sekretariat rebuild'"
	doMend    = doRebuild + ": it writes journal objects again while the ledger has their events; else restore this object from the backup"
	doRestore = "restore this object from the backup"
	doReport  = "keep a copy of the data folder and report this as a defect of the program"
)

func keyOf(s sekretariat.SubmissionID) (subKey, bool) {
	var k subKey
	raw, err := hex.DecodeString(string(s))
	return k, err == nil && copy(k[:], raw) == len(k) && len(raw) == len(k)
}

// letter returns the record of a letter, made if missing; nil if the id is
// malformed.
func (v *verifier) letter(stream ledger.StreamName, seq uint64, id sekretariat.LetterID) *checked {
	k, ok := keyOf(id.Submission())
	if _, err := sekretariat.ParseLetterID(string(id)); err != nil || !ok {
		v.fault("bad-event", fmt.Sprintf("%s %d", stream, seq), doReport, "the event names no letter")
		return nil
	}
	s := v.subs[k]
	if s == nil {
		s = &verified{}
		v.subs[k] = s
	}
	part := int16(id.Part())
	i, found := slices.BinarySearchFunc(s.letters, part, func(c checked, part int16) int { return int(c.part - part) })
	if !found {
		s.letters = slices.Insert(s.letters, i, checked{part: part})
	}
	return &s.letters[i]
}

func (v *verifier) department(d sekretariat.DepartmentID) int16 {
	i, ok := v.departments[d]
	if !ok {
		i = int16(len(v.names))
		v.departments[d], v.names = i, append(v.names, d)
	}
	return i
}

// missingAtStart tells whether events before the first one were lost, and not
// erased or never acknowledged.
func (v *verifier) missingAtStart(ctx context.Context, stream ledger.StreamName) bool {
	stop := errors.New("first event")
	err := v.o.Log.Replay(ctx, stream, 1, func(ledger.Stored) error { return stop })
	var gap *ledger.GapError
	return errors.As(err, &gap)
}

// replay reads a whole stream, names what is missing in it, and remembers a
// hash of each event for the journal.
func (v *verifier) replay(ctx context.Context, stream ledger.StreamName, fn func(ledger.Stored)) error {
	st, err := v.o.Log.State(ctx, stream)
	if err != nil {
		return err
	}
	if st.Messages > 0 && st.First > 1 && v.missingAtStart(ctx, stream) {
		v.fault("stream-cut", string(stream), doRebuild, "the stream begins at sequence %d", st.First)
	}
	hashes := make([]uint64, 0, st.Last)
	from := max(st.First, 1)
	for from <= st.Last {
		err := v.o.Log.Replay(ctx, stream, from, func(s ledger.Stored) error {
			from = s.Seq + 1
			for uint64(len(hashes)) < s.Seq {
				hashes = append(hashes, 0)
			}
			hashes[s.Seq-1] = hashOf(s)
			fn(s)
			if s.Seq%10000 == 0 {
				v.o.Progress(string(stream), int(s.Seq))
			}
			return nil
		})
		var gap *ledger.GapError
		switch {
		case errors.As(err, &gap):
			v.fault("stream-gap", string(stream), doRebuild, "the events from sequence %d to %d are missing", gap.First, gap.Last)
			from = gap.Last + 1
		case errors.Is(err, ledger.ErrRewound):
			return fmt.Errorf("stream %s changes while it is read: %w", stream, err)
		case err != nil:
			return err
		default:
			from = st.Last + 1
		}
	}
	v.hashes[stream] = hashes
	v.report.Streams = append(v.report.Streams, StreamReport{Stream: stream, Events: uint64(len(hashes))})
	return nil
}

// hashOf tells two events apart. 0 is kept for missing ones.
func hashOf(s ledger.Stored) uint64 {
	h := fnv.New64a()
	for _, part := range []string{s.Subject, s.Event.ID, string(s.Event.Type), s.Event.Time.String(), string(s.Event.Data)} {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	return max(h.Sum64(), 1)
}

// decode reads the data of an event or names it as a fault.
func decode[T any](v *verifier, s ledger.Stored) (T, bool) {
	d, err := sekretariat.DataOf[T](s.Event)
	if err != nil {
		v.fault("bad-event", fmt.Sprintf("%s %d", s.Stream, s.Seq), doReport, "the data of the event cannot be read: %v", err)
	}
	return d, err == nil
}

// audit reads the stream for its gaps and its journal alone.
func (v *verifier) audit(ctx context.Context) error {
	return v.replay(ctx, ledger.Audit, func(ledger.Stored) {})
}

// queue reads who has what.
func (v *verifier) queue(ctx context.Context) error {
	return v.replay(ctx, ledger.Queue, func(s ledger.Stored) {
		switch s.Event.Type {
		case sekretariat.EventQueued:
			if d, ok := decode[sekretariat.QueuedData](v, s); ok {
				v.queued(s, d.Letter, d.Department, d.Revision, inQueue{copy: d.Copy})
			}
		case sekretariat.EventHanded:
			if d, ok := decode[sekretariat.HandedData](v, s); ok {
				v.queued(s, d.Letter, d.Department, d.Revision, inQueue{handed: true})
			}
		case sekretariat.EventWithdrawn:
			if d, ok := decode[sekretariat.WithdrawnData](v, s); ok {
				if l := v.letter(s.Stream, s.Seq, d.Letter); l != nil {
					q := l.in(v.department(d.Department))
					q.withdrawn = max(q.withdrawn, int32(d.Revision))
				}
			}
		}
	})
}

func (v *verifier) queued(s ledger.Stored, id sekretariat.LetterID, to sekretariat.DepartmentID, revision int, how inQueue) {
	l := v.letter(s.Stream, s.Seq, id)
	if l == nil {
		return
	}
	q := l.in(v.department(to))
	switch rev := int32(revision); {
	case rev < 1 || rev == q.revision:
		v.fault("queued-twice", string(id), doReport, "revision %d was queued for %s more than once", revision, to)
	case rev > q.revision:
		q.revision, q.copy, q.handed = rev, how.copy, how.handed
	}
}

// in returns the letter's record of a department.
func (l *checked) in(department int16) *inQueue {
	for i := range l.queued {
		if l.queued[i].department == department {
			return &l.queued[i]
		}
	}
	l.queued = append(l.queued, inQueue{department: department})
	return &l.queued[len(l.queued)-1]
}
