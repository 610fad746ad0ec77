package sekretariat

import (
	"slices"
	"time"
)

// EventDeadlineStopped ends a clock of a letter. Done ends all of them by
// itself.
const EventDeadlineStopped EventType = "deadline-stopped.v1" // LETTER, a person

// StopReason is why a clock ended.
type StopReason string

// The reasons.
const (
	StopDone        StopReason = "done"        // the department is done with the letter
	StopReply       StopReason = "reply"       // an answer was sent, the writer was contacted
	StopTransferred StopReason = "transferred" // passed on to the competent authority (art. 65 KPA)
	StopWithdrawn   StopReason = "withdrawn"   // the writer took it back
	StopVoid        StopReason = "void"        // a person says that it never applied
)

// StopReasons are those that a person may give.
var StopReasons = []StopReason{StopReply, StopTransferred, StopWithdrawn, StopVoid}

// ContactClock is the code of the contact duty (rule P15) among the clocks of a
// letter; it has no last day.
const ContactClock = "kontakt"

// DeadlineStoppedData ends one clock.
type DeadlineStoppedData struct {
	Letter LetterID   `json:"letter"`
	Code   string     `json:"code"` // of the deadline, or ContactClock
	Why    StopReason `json:"why"`
	By     string     `json:"by"`
}

// Stop is the end of a clock.
type Stop struct {
	Code string
	Why  StopReason
	By   string
	At   time.Time
}

// RunningDeadline is one clock of a letter with its state.
type RunningDeadline struct {
	Deadline
	Stop *Stop // nil: it runs
}

// Late tells whether the clock runs beyond its last day, at a moment.
func (c RunningDeadline) Late(now time.Time) bool {
	return c.Stop == nil && c.Due != "" && Day(now) > c.Due
}

// Clocks are the clocks that the letter started, running ones first.
func (l *Letter) Clocks() []RunningDeadline {
	list := slices.Clone(l.Decision.Deadlines)
	if l.Decision.ContactDuty {
		list = append(list, Deadline{Code: ContactClock, Start: Day(l.Arrived.Arrived.At)})
	}
	out := make([]RunningDeadline, len(list))
	for i, d := range list {
		out[i].Deadline = d
		if k := slices.IndexFunc(l.Stops, func(s Stop) bool { return s.Code == d.Code }); k >= 0 {
			out[i].Stop = &l.Stops[k]
		}
	}
	slices.SortStableFunc(out, func(a, b RunningDeadline) int {
		switch {
		case a.Stop == nil && b.Stop != nil:
			return -1
		case a.Stop != nil && b.Stop == nil:
			return 1
		}
		return 0
	})
	return out
}

// stop ends a clock, once.
func (l *Letter) stop(s Stop) {
	if !slices.ContainsFunc(l.Stops, func(had Stop) bool { return had.Code == s.Code }) {
		l.Stops = append(l.Stops, s)
	}
}

// finish ends every clock that runs: the department is done.
func (l *Letter) finish(by string, at time.Time) {
	for _, c := range l.Clocks() {
		l.stop(Stop{Code: c.Code, Why: StopDone, By: by, At: at})
	}
}

// resume starts the clocks again that being done had ended: somebody else has
// the letter now.
func (l *Letter) resume() {
	l.Stops = slices.DeleteFunc(l.Stops, func(s Stop) bool { return s.Why == StopDone })
}
