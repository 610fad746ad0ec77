package sekretariat

import (
	"errors"
	"fmt"
	"time"
)

// Status is how far a letter has come.
type Status string

// The stages of a letter, in order; parked and cancelled stand aside.
const (
	StatusParked     Status = "parked"
	StatusSorted     Status = "sorted"     // waits for its number
	StatusRegistered Status = "registered" // has its number, waits to be read
	StatusRead       Status = "read"       // waits for a decision
	StatusRouted     Status = "routed"     // in its department's queue
	StatusTaken      Status = "taken"
	StatusDone       Status = "done"
)

// Letter is the present state of one letter, folded from its events.
type Letter struct {
	ID         LetterID
	Centre     CentreID
	Arrived    ArrivedData
	Parent     LetterID
	Range      string
	Series     SeriesID
	Status     Status
	Reason     ParkReason // why it is parked
	Of         LetterID   // the letter it is a twin of
	Closed     bool
	Cancelled  bool
	Number     Number
	Registered time.Time
	Reading    ObjectRef // of the letter; of a parked mail what sorting read, while Reader is ""
	Reader     string
	Outcome    Outcome
	Department DepartmentID // the one owner; the sekretariat until a decision
	Copies     []DepartmentID
	Revision   int // of the last decision or handing over, 0 = none yet
	Decision   Decision
	Advice     *ObjectRef // what the router said about the letter, sealed; nil before the first decision
	Routed     time.Time  // zero = no decision yet
	Failures   []FailedData
	Scan       *Scan                  // what the virus scanner said, nil = not yet
	Scans      int                    // how often it was scanned
	Unlocked   map[string]Unlock      // false virus alarms that people released, by path
	Fetched    map[string]FetchedData // attachments that lay at the platform, by path

	Recognition *RecognitionStatus // how far text recognition is, nil = not begun or nothing to do

	Redated     int          // changes of the day of receipt, see RedatedData
	Rereads     int          // further readings, see RereadData
	RereadFiles int          // files that came later which the last one takes account of
	Advised     int          // the further reading that the router has spoken of
	Hint        DepartmentID // where the router would send it by a further reading; "" = where it is

	Hold time.Time        // parked with ParkHold: when it registers itself
	Junk *Confirmation    // parked: a person said that it is no letter
	Ack  *Acknowledgement // nil = none was thought of

	Alarm *Alarm // nil = it is no danger
	Stops []Stop // clocks that have ended, see Clocks
}

// State is the present state of one submission: all its letters, by part.
type State struct {
	Submission SubmissionID
	Letters    map[int]*Letter
	Applied    int // events folded
}

// ErrOutOfOrder is returned by Apply for an event that cannot follow the state.
var ErrOutOfOrder = errors.New("event does not fit the letter's state")

// Apply folds one event of the LETTER or REGISTER stream into the state. It is
// pure: the same events in the same order give the same state, so pipeline,
// read model and rebuild agree. Folding an event twice changes nothing.
func (s *State) Apply(e Event) error {
	var err error
	switch e.Type {
	case EventSorted:
		err = s.sorted(e)
	case EventReleased:
		err = fold(s, e, func(d ReleasedData) LetterID { return d.Letter }, func(l *Letter, d ReleasedData) { l.release(d) })
	case EventSplit:
		err = s.split(e)
	case EventCancelled:
		err = s.cancelled(e)
	case EventRegistered:
		err = fold(s, e, func(d RegisteredData) LetterID { return d.Entry.Letter }, registered)
	case EventRead:
		err = fold(s, e, func(d ReadData) LetterID { return d.Letter }, func(l *Letter, d ReadData) {
			l.Reading, l.Reader, l.Outcome = d.Reading, d.Reader, d.Outcome
			l.advance(StatusRead)
			l.learn(d.Number)
		})
	case EventRecognised:
		err = fold(s, e, func(d RecognisedData) LetterID { return d.Letter }, func(l *Letter, d RecognisedData) { l.recognised(d, e.Time) })
	case EventScanned:
		err = fold(s, e, func(d ScannedData) LetterID { return d.Letter }, func(l *Letter, d ScannedData) { l.scanned(d, e.Time) })
	case EventUnlocked:
		err = fold(s, e, func(d UnlockedData) LetterID { return d.Letter }, func(l *Letter, d UnlockedData) { l.unlocked(d, e.Time) })
	case EventLocked:
		err = fold(s, e, func(d LockedData) LetterID { return d.Letter }, func(l *Letter, d LockedData) { delete(l.Unlocked, d.Path) })
	case EventFetched:
		err = fold(s, e, func(d FetchedData) LetterID { return d.Letter }, fetched)
	case EventReread:
		err = fold(s, e, func(d RereadData) LetterID { return d.Letter }, func(l *Letter, d RereadData) { l.reread(d) })
	case EventRedated:
		err = fold(s, e, func(d RedatedData) LetterID { return d.Letter }, func(l *Letter, d RedatedData) { l.redated(d) })
	case EventAdvised:
		err = fold(s, e, func(d AdvisedData) LetterID { return d.Letter }, func(l *Letter, d AdvisedData) { l.advised(d) })
	case EventRouted:
		err = fold(s, e, func(d RoutedData) LetterID { return d.Letter }, func(l *Letter, d RoutedData) { l.routed(d, e.Time) })
	case EventTaken, EventDone:
		err = fold(s, e, func(d HandlingData) LetterID { return d.Letter }, func(l *Letter, d HandlingData) {
			l.handled(e.Type, d)
			if d.Revision == l.Revision {
				l.answered(d.By, e.Time)
			}
			if d.Revision == l.Revision && e.Type == EventDone {
				l.finish(d.By, e.Time)
			}
		})
	case EventDeadlineStopped:
		err = fold(s, e, func(d DeadlineStoppedData) LetterID { return d.Letter }, func(l *Letter, d DeadlineStoppedData) {
			l.stop(Stop{Code: d.Code, Why: d.Why, By: d.By, At: e.Time})
		})
	case EventAlarmClimbed:
		err = fold(s, e, func(d AlarmClimbedData) LetterID { return d.Letter }, func(l *Letter, d AlarmClimbedData) { l.climbed(d, e.Time) })
	case EventAlarmTaken:
		err = fold(s, e, func(d AlarmTakenData) LetterID { return d.Letter }, func(l *Letter, d AlarmTakenData) { l.answered(d.By, e.Time) })
	case EventFailed:
		err = fold(s, e, func(d FailedData) LetterID { return d.Letter }, func(l *Letter, d FailedData) { l.fail(d) })
	case EventParked:
		err = fold(s, e, func(d ParkedData) LetterID { return d.Letter }, func(l *Letter, d ParkedData) { l.parked(d) })
	case EventJunkConfirmed:
		err = fold(s, e, func(d JunkConfirmedData) LetterID { return d.Letter }, func(l *Letter, d JunkConfirmedData) {
			if l.Status == StatusParked && l.Junk == nil {
				l.Junk = &Confirmation{By: d.By, At: e.Time}
			}
		})
	case EventAckPlanned, EventAckSuppressed, EventAckSending, EventAckSent, EventAckFailed, EventAckBounced:
		err = s.acknowledged(e)
	}
	if err == nil {
		s.Applied++
	}
	return err
}

func (s *State) sorted(e Event) error {
	d, err := DataOf[SortedData](e)
	if err != nil || s.Letters != nil {
		return err
	}
	s.Submission, s.Letters = d.Arrived.Submission, map[int]*Letter{}
	for _, sl := range d.Letters {
		s.add(centreOf(e), d.Arrived, sl)
	}
	return nil
}

func (s *State) add(centre CentreID, a ArrivedData, sl SortedLetter) {
	l := &Letter{
		ID: NewLetterID(a.Submission, sl.Part), Centre: centre, Arrived: a, Parent: sl.Parent, Range: sl.Range,
		Series: sl.Series, Status: StatusSorted, Of: sl.Of, Closed: sl.Closed, Department: Sekretariat,
	}
	if sl.Action == ActionPark {
		l.Status, l.Reason = StatusParked, sl.Reason
		if sl.Until != nil {
			l.Hold = *sl.Until
		}
		if sl.Reading != nil {
			l.Reading = *sl.Reading
		}
		if sl.Department != "" && sl.Department != Sekretariat {
			l.Department, l.Revision = sl.Department, 1
		}
	}
	s.Letters[sl.Part] = l
}

// centreOf reads the centre back from the event's source "/<centre>/<role>".
func centreOf(e Event) CentreID {
	for i := 1; i < len(e.Source); i++ {
		if e.Source[i] == '/' {
			return CentreID(e.Source[1:i])
		}
	}
	return ""
}

// fold finds the letter that the event is about and applies f to it.
func fold[T any](s *State, e Event, id func(T) LetterID, f func(*Letter, T)) error {
	d, err := DataOf[T](e)
	if err != nil {
		return err
	}
	l, ok := s.Letters[id(d).Part()]
	if !ok {
		return fmt.Errorf("%s: no letter %s: %w", e.Type, id(d), ErrOutOfOrder)
	}
	f(l, d)
	return nil
}

func registered(l *Letter, d RegisteredData) {
	l.Number, l.Registered = d.Entry.Number, d.Entry.Registered
	l.advance(StatusRegistered)
}

// fetched notes one attachment; the first that could be had stays.
func fetched(l *Letter, d FetchedData) {
	if l.Fetched[d.Part].Object != nil {
		return
	}
	now := map[string]FetchedData{d.Part: d}
	for part, f := range l.Fetched {
		if part != d.Part {
			now[part] = f
		}
	}
	l.Fetched = now // a new one: a letter that was split off may share the old one
}

// Decided tells whether a decision on the letter is in force.
func (l *Letter) Decided() bool { return !l.Routed.IsZero() }

// Handed tells whether a department has the parked letter without a number.
func (l *Letter) Handed() bool {
	return l.Status == StatusParked && l.Revision > 0 && l.Department != Sekretariat
}

// learn fills in the number from an event that repeats it, for a fold over
// LETTER alone.
func (l *Letter) learn(n Number) {
	if l.Number.IsZero() {
		l.Number = n
	}
}

func (l *Letter) routed(d RoutedData, at time.Time) {
	if d.Revision <= l.Revision {
		return
	}
	l.Revision, l.Decision, l.Routed, l.Hint = d.Revision, d.Decision, at, ""
	l.Advised = max(l.Advised, d.Reread)
	if d.Advice != nil {
		l.Advice = d.Advice // stays when people re-route: contacts and warnings are still true
	}
	l.Department, l.Copies, l.Status = d.Decision.Department, d.Decision.Copies, StatusRouted
	l.Closed = l.Closed || d.Closed
	l.learn(d.Number)
	l.raise(at)
	l.resume()
}

func (l *Letter) handled(t EventType, d HandlingData) {
	if d.Revision != l.Revision {
		return // belongs to a decision that is no longer in force
	}
	switch t {
	case EventTaken:
		l.advance(StatusTaken)
	case EventDone:
		l.advance(StatusDone)
	}
}

var order = map[Status]int{StatusParked: 0, StatusSorted: 1, StatusRegistered: 2, StatusRead: 3, StatusRouted: 4, StatusTaken: 5, StatusDone: 6}

// advance moves the status forward, never back.
func (l *Letter) advance(to Status) {
	if order[to] > order[l.Status] {
		l.Status = to
	}
}
