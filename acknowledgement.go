package sekretariat

import "time"

// The events of an acknowledgement of receipt (potwierdzenie wpływu). The first
// one is the intent: it and the sealed message are durable before anything is
// sent. "sending" comes right before the first SMTP command that could have an
// effect; if neither "sent" nor "failed" follows it, nobody knows whether the
// message left, and it is not sent again.
const (
	EventAckPlanned    EventType = "ack-planned.v1"    // LETTER, outbox
	EventAckSuppressed EventType = "ack-suppressed.v1" // LETTER, outbox: none is sent, with the reason
	EventAckSending    EventType = "ack-sending.v1"    // LETTER, outbox
	EventAckSent       EventType = "ack-sent.v1"       // LETTER, outbox: the relay has taken it
	EventAckFailed     EventType = "ack-failed.v1"     // LETTER, outbox: refused or given up
	EventAckBounced    EventType = "ack-bounced.v1"    // LETTER, sorter: a bounce of it came back
)

// AckPlannedData is the intent to send.
type AckPlannedData struct {
	Letter  LetterID  `json:"letter"`
	Message ObjectRef `json:"message"` // sealed: envelope and message, as they will be sent
	Contact Digest    `json:"contact"` // keyed digest of the address
	Due     time.Time `json:"due"`     // not before
	Config  int       `json:"config"`  // version of the centre's configuration
}

// AckSuppressedData says why no acknowledgement is sent. Code is a word of the
// program.
type AckSuppressedData struct {
	Letter LetterID `json:"letter"`
	Code   string   `json:"code"`
}

// AckAttemptData is the data of sending, sent and failed.
type AckAttemptData struct {
	Letter  LetterID   `json:"letter"`
	Attempt int        `json:"attempt"`         // from 1
	Code    string     `json:"code,omitempty"`  // failed: "smtp-450", "unknown", …
	Again   *time.Time `json:"again,omitempty"` // failed for now: the next attempt; nil = for good
	Contact Digest     `json:"contact,omitempty"`
	Bad     bool       `json:"bad,omitempty"` // the relay says that there is no such address
}

// AckBouncedData says that a bounce of the acknowledgement arrived: its contact
// is bad from now on.
type AckBouncedData struct {
	Letter  LetterID `json:"letter"`
	Bounce  LetterID `json:"bounce"` // the parked bounce
	Contact Digest   `json:"contact,omitempty"`
	Status  string   `json:"status,omitempty"` // RFC 3463, "5.1.1"
}

// AckState is how far an acknowledgement has come.
type AckState string

// The states of an acknowledgement; "" = none was thought of.
const (
	AckPlanned    AckState = "planned"
	AckSuppressed AckState = "suppressed"
	AckSending    AckState = "sending"
	AckWaiting    AckState = "waiting" // refused for now, see Due
	AckSent       AckState = "sent"
	AckFailed     AckState = "failed" // for good, or nobody knows (code "unknown")
	AckBounced    AckState = "bounced"
)

// Open tells whether something is still to be done.
func (s AckState) Open() bool { return s == AckPlanned || s == AckSending || s == AckWaiting }

// StepAcknowledge is FailedData.Step of an acknowledgement that failed for good.
const StepAcknowledge = "acknowledge"

// Acknowledgement is the present state of a letter's acknowledgement.
type Acknowledgement struct {
	State   AckState  `json:"state"`
	Code    string    `json:"code,omitempty"`
	Attempt int       `json:"attempt,omitempty"`
	Message ObjectRef `json:"message"`
	Contact Digest    `json:"contact,omitempty"`
	Due     time.Time `json:"due"`
	At      time.Time `json:"at"` // of the last event
}

// acknowledged folds the events of an acknowledgement.
func (s *State) acknowledged(e Event) error {
	switch e.Type {
	case EventAckPlanned:
		return fold(s, e, func(d AckPlannedData) LetterID { return d.Letter }, func(l *Letter, d AckPlannedData) {
			if l.Ack == nil {
				l.Ack = &Acknowledgement{State: AckPlanned, Message: d.Message, Contact: d.Contact, Due: d.Due, At: e.Time}
			}
		})
	case EventAckSuppressed:
		return fold(s, e, func(d AckSuppressedData) LetterID { return d.Letter }, func(l *Letter, d AckSuppressedData) {
			a := l.ack()
			if a.State == AckSent || a.State == AckFailed || a.State == AckBounced {
				return
			}
			a.State, a.Code, a.At = AckSuppressed, d.Code, e.Time
		})
	case EventAckBounced:
		return fold(s, e, func(d AckBouncedData) LetterID { return d.Letter }, func(l *Letter, d AckBouncedData) {
			a := l.ack()
			a.State, a.Code, a.At = AckBounced, d.Status, e.Time
		})
	}
	return fold(s, e, func(d AckAttemptData) LetterID { return d.Letter }, func(l *Letter, d AckAttemptData) { l.attempted(e, d) })
}

func (l *Letter) ack() *Acknowledgement {
	if l.Ack == nil {
		l.Ack = &Acknowledgement{}
	}
	return l.Ack
}

func (l *Letter) attempted(e Event, d AckAttemptData) {
	a := l.ack()
	if a.State == AckBounced || d.Attempt < a.Attempt || d.Attempt == a.Attempt && e.Type == EventAckSending {
		return // an older attempt, or the beginning of this one once more
	}
	a.Attempt, a.Code, a.At = d.Attempt, d.Code, e.Time
	switch {
	case e.Type == EventAckSending:
		a.State = AckSending
	case e.Type == EventAckSent:
		a.State = AckSent
	case d.Again != nil:
		a.State, a.Due = AckWaiting, *d.Again
	default:
		a.State = AckFailed
		l.fail(FailedData{Letter: l.ID, Step: StepAcknowledge, Code: d.Code, Event: e.ID})
	}
}

// fail puts a failure on the letter, once.
func (l *Letter) fail(f FailedData) {
	for _, told := range l.Failures {
		if told == f {
			return
		}
	}
	l.Failures = append(l.Failures, f)
}
