package register

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"sekretariat"
	"sekretariat/ledger"
)

// letters reads what was decided on each letter.
func (v *verifier) letters(ctx context.Context) error {
	return v.replay(ctx, ledger.Letter, func(s ledger.Stored) {
		switch s.Event.Type {
		case sekretariat.EventSorted:
			if d, ok := decode[sekretariat.SortedData](v, s); ok {
				v.sorted(s, d.Arrived.Submission, d.Letters)
			}
		case sekretariat.EventSplit:
			if d, ok := decode[sekretariat.SplitData](v, s); ok {
				v.parts(s, d.From.Submission(), d.Letters)
			}
		case sekretariat.EventReleased:
			if d, ok := decode[sekretariat.ReleasedData](v, s); ok {
				if l := v.letter(s.Stream, s.Seq, d.Letter); l != nil {
					l.asked, l.parked = true, false
					l.handed(d.Revision, v.department(sekretariat.Sekretariat))
				}
			}
		case sekretariat.EventParked:
			if d, ok := decode[sekretariat.ParkedData](v, s); ok {
				if l := v.letter(s.Stream, s.Seq, d.Letter); l != nil {
					l.handed(d.Revision, v.department(cmp.Or(d.Department, sekretariat.Sekretariat)))
				}
			}
		case sekretariat.EventCancelled:
			if d, ok := decode[sekretariat.CancelledData](v, s); ok {
				if l := v.letter(s.Stream, s.Seq, d.Letter); l != nil {
					l.cancelled = true
				}
			}
		case sekretariat.EventRead:
			if d, ok := decode[sekretariat.ReadData](v, s); ok {
				if l := v.letter(s.Stream, s.Seq, d.Letter); l != nil {
					l.read = true
					v.sameNumber(l, d.Letter, d.Number, s)
				}
			}
		case sekretariat.EventRouted:
			if d, ok := decode[sekretariat.RoutedData](v, s); ok {
				v.routed(s, d)
			}
		}
	})
}

func (v *verifier) sorted(s ledger.Stored, sub sekretariat.SubmissionID, letters []sekretariat.SortedLetter) {
	v.parts(s, sub, letters)
	k, ok := keyOf(sub)
	switch {
	case !ok || len(letters) == 0:
		v.fault("bad-event", fmt.Sprintf("%s %d", s.Stream, s.Seq), doReport, "a sorting without submission or letters")
	case v.subs[k].sorted:
		v.fault("sorted-twice", string(sub), doReport, "the submission was sorted a second time at LETTER %d", s.Seq)
	default:
		v.subs[k].sorted = true
	}
}

func (v *verifier) parts(s ledger.Stored, sub sekretariat.SubmissionID, letters []sekretariat.SortedLetter) {
	for _, sl := range letters {
		l := v.letter(s.Stream, s.Seq, sekretariat.NewLetterID(sub, sl.Part))
		if l == nil || l.asked || l.parked {
			continue // a part that was there stays what it was
		}
		l.asked = sl.Action == sekretariat.ActionRegister
		l.parked = !l.asked
		if l.parked && sl.Department != "" && sl.Department != sekretariat.Sekretariat {
			l.handed(1, v.department(sl.Department))
		}
	}
}

func (v *verifier) routed(s ledger.Stored, d sekretariat.RoutedData) {
	l := v.letter(s.Stream, s.Seq, d.Letter)
	if l == nil {
		return
	}
	v.sameNumber(l, d.Letter, d.Number, s)
	if rev := int32(d.Revision); rev > l.revision {
		l.revision, l.owner, l.decided = rev, v.department(d.Decision.Department), true
	}
}

// handed notes who has a letter without a number, the sekretariat for nobody.
func (l *checked) handed(revision int, to int16) {
	if rev := int32(revision); rev > l.revision {
		l.revision, l.owner = rev, to
	}
}

// sameNumber checks the number that a later event repeats.
func (v *verifier) sameNumber(l *checked, id sekretariat.LetterID, n sekretariat.Number, s ledger.Stored) {
	if n.IsZero() || l.number == 0 {
		return // whether it has one at all is checked at the end
	}
	if has := v.numberOf(l); has != n {
		v.fault("other-number", string(id), doReport, "LETTER %d calls it %s, the register %s", s.Seq, n.Identifier(), has.Identifier())
	}
}

func (v *verifier) numberOf(l *checked) sekretariat.Number {
	return sekretariat.Number{Series: v.o.Series[l.series], Year: int(l.year), N: int(l.number)}
}

// judge counts one submission and checks its letters, once everything is
// known. received is when it came.
func (v *verifier) judge(id sekretariat.SubmissionID, s *verified, received time.Time) {
	v.report.Arrived++
	if !s.sorted && len(s.letters) == 0 {
		v.report.Waiting.Sorting++
		v.waits(received)
		return
	}
	v.report.Split += max(len(s.letters)-1, 0)
	for i := range s.letters {
		v.judgeLetter(sekretariat.NewLetterID(id, int(s.letters[i].part)), &s.letters[i], received)
	}
}

func (v *verifier) waits(since time.Time) {
	if o := &v.report.Waiting.Oldest; o.IsZero() || since.Before(*o) {
		*o = since
	}
}

func (v *verifier) judgeLetter(id sekretariat.LetterID, l *checked, received time.Time) {
	w := &v.report.Waiting
	switch {
	case !l.asked && !l.parked:
		v.fault("unsorted", string(id), doRebuild, "REGISTER or QUEUE know the letter, LETTER does not")
		if l.number == 0 {
			v.report.Parked++ // somewhere it has to be counted
		} else {
			v.report.Registered++
			w.Reading++
		}
		return
	case l.parked && l.number != 0:
		v.fault("parked-numbered", string(id), doReport, "parked, and registered as %s", v.numberOf(l).Identifier())
	case l.parked:
		v.report.Parked++
		v.onlyHanded(id, l, received, "parked")
		return
	case l.number == 0:
		w.Number++
		v.waits(received)
		v.onlyHanded(id, l, received, "not registered")
		return
	}
	v.report.Registered++
	if l.cancelled {
		v.report.Cancelled++
	}
	switch {
	case l.decided:
		v.owned(id, l, received)
		return
	case l.read:
		w.Decision++
	default:
		w.Reading++
	}
	v.waits(received)
	v.onlyHanded(id, l, received, "not decided on")
}

// onlyHanded checks that nobody has a letter that is not decided on but the
// department that LETTER says has it without a number.
func (v *verifier) onlyHanded(id sekretariat.LetterID, l *checked, received time.Time, why string) {
	holder := l.revision > 0 && l.parked && v.names[l.owner] != sekretariat.Sekretariat
	has, late := false, false
	for _, q := range l.queued {
		switch live := q.revision > q.withdrawn; {
		case live && !q.handed:
			v.fault("queued-early", string(id), doReport, "is %s, and in the queue of %s", why, v.names[q.department])
		case live && q.revision > l.revision:
			v.fault("queued-ahead", string(id), doRebuild, "revision %d is in a queue, LETTER knows %d only", q.revision, l.revision)
		case live && holder && q.department == l.owner && q.revision == l.revision:
			has = true
		case live:
			late = true // its withdrawal, or the newer event, is on its way
		}
	}
	if has {
		v.report.Handed++
	}
	if late || holder && !has {
		v.report.Waiting.Queue++
		v.waits(received)
	}
}

// owned checks that exactly the owner of the decision in force has the letter
// (invariant I4).
func (v *verifier) owned(id sekretariat.LetterID, l *checked, received time.Time) {
	var newest int32 // revision that an owning queue has or had
	for _, q := range l.queued {
		if !q.copy {
			newest = max(newest, q.revision)
		}
	}
	if newest < l.revision {
		v.report.Waiting.Queue++
		v.waits(received)
		return
	}
	if newest > l.revision {
		v.fault("queued-ahead", string(id), doRebuild, "revision %d is in a queue, LETTER knows %d only", newest, l.revision)
	}
	owners := 0
	for _, q := range l.queued {
		if q.copy || q.revision <= q.withdrawn {
			continue
		}
		owners++
		if q.handed {
			v.fault("queued-unnumbered", string(id), doReport, "is registered, and in the queue of %s without its number", v.names[q.department])
		}
		if q.department != l.owner {
			v.fault("wrong-queue", string(id), doReport, "is in the queue of %s, its owner is %s", v.names[q.department], v.names[l.owner])
		}
	}
	if owners != 1 {
		v.fault("owners", string(id), doReport, "is in %d owning queues", owners)
	}
	v.report.Queues[v.names[l.owner]]++
}
