package sekretariat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// EventType names what happened and the version of its data. A changed meaning
// is a new version; readers know all versions ever written.
type EventType string

// The events. On which stream each one is written, and by whom, stands in
// docs/flow.md; the data types below are in the same order.
const (
	EventArrived    EventType = "arrived.v1"    // INTAKE, receiver
	EventSorted     EventType = "sorted.v1"     // LETTER, sorter
	EventReleased   EventType = "released.v1"   // LETTER, clerk: "to jest pismo"
	EventSplit      EventType = "split.v1"      // LETTER, clerk: further letters split off
	EventCancelled  EventType = "cancelled.v1"  // LETTER, clerk: entry cancelled with a reason
	EventRegistered EventType = "registered.v1" // REGISTER, registrar
	EventRead       EventType = "read.v1"       // LETTER, reader
	EventScanned    EventType = "scanned.v1"    // LETTER, virus scanner
	EventFetched    EventType = "fetched.v1"    // LETTER, fetcher: an attachment that lay at the platform
	EventRouted     EventType = "routed.v1"     // LETTER, router or clerk (re-routing)
	EventTaken      EventType = "taken.v1"      // LETTER, department
	EventDone       EventType = "done.v1"       // LETTER, department
	EventUnlearned  EventType = "unlearned.v1"  // LETTER, clerk: nothing is to be learned from this letter
	EventFailed     EventType = "failed.v1"     // LETTER, any worker: a step failed for good
	EventQueued     EventType = "queued.v1"     // QUEUE, deliverer
	EventHanded     EventType = "handed.v1"     // QUEUE, deliverer: an item without a number, see parking.go
	EventWithdrawn  EventType = "withdrawn.v1"  // QUEUE, deliverer
	EventSeen       EventType = "seen.v1"       // AUDIT, receiver: the same delivery again
	EventConfigured EventType = "configured.v1" // AUDIT, a configuration version became active
	EventAccess     EventType = "access.v1"     // AUDIT: who fetched what, or was refused
	EventGranted    EventType = "granted.v1"    // AUDIT: who was given rights, or lost them
)

// Event is a CloudEvents 1.0 envelope in JSON. It carries ids, digests, times,
// departments, codes and scores, and no personal data (invariant I5).
type Event struct {
	SpecVersion string          `json:"specversion"` // always "1.0"
	ID          string          `json:"id"`          // "<letter or submission>.<type>.<revision>": the same event has the same id
	Source      string          `json:"source"`      // "/<centre>/<role>"
	Type        EventType       `json:"type"`
	Subject     string          `json:"subject"` // letter or submission id
	Time        time.Time       `json:"time"`    // UTC, milliseconds
	ContentType string          `json:"datacontenttype"`
	Data        json.RawMessage `json:"data"`
}

// NewEvent makes an event. subject is a submission or letter id, role the
// worker that writes it, revision distinguishes repeated events of one type on
// one subject (0 for those that happen once).
func NewEvent(t EventType, centre CentreID, role, subject string, revision int, at time.Time, data any) (Event, error) {
	raw, err := json.Marshal(data)
	if err != nil {
		return Event{}, fmt.Errorf("event %s of %s: %w", t, subject, err)
	}
	return Event{
		SpecVersion: "1.0",
		ID:          fmt.Sprintf("%s.%s.%d", subject, t, revision),
		Source:      "/" + string(centre) + "/" + role,
		Type:        t,
		Subject:     subject,
		Time:        at.UTC().Truncate(time.Millisecond),
		ContentType: "application/json",
		Data:        raw,
	}, nil
}

// DataOf decodes the event's data.
func DataOf[T any](e Event) (T, error) {
	var v T
	if err := json.Unmarshal(e.Data, &v); err != nil {
		return v, fmt.Errorf("data of event %s: %w", e.ID, err)
	}
	return v, nil
}

// ArrivedData announces a submission: everything that sorting needs without
// opening the manifest.
type ArrivedData struct {
	Submission  SubmissionID `json:"submission"`
	Kind        Kind         `json:"kind"`
	Door        Door         `json:"door"`
	Account     string       `json:"account"`
	Box         string       `json:"box,omitempty"`
	Unit        string       `json:"unit,omitempty"`
	Department  DepartmentID `json:"department,omitempty"`
	Series      SeriesID     `json:"series"`
	Sheet       DepartmentID `json:"sheet,omitempty"` // see Delivery.Sheet
	Size        int64        `json:"size"`
	ManifestKey string       `json:"manifestKey"`
	Manifest    Digest       `json:"manifest"`
	Content     Digest       `json:"content,omitempty"`
	Arrived     Arrival      `json:"arrived"`
	Received    time.Time    `json:"received"`
	Test        bool         `json:"test,omitempty"`
	Proof       bool         `json:"proof,omitempty"` // of what became of a letter that was sent, see Delivery.Proof
	Junk        bool         `json:"junk,omitempty"`  // the mail server took it for spam: a hint for sorting, no proof
	Pile        SubmissionID `json:"pile,omitempty"`  // see Delivery.Pile
	Emptying    string       `json:"emptying,omitempty"`
	Park        ParkReason   `json:"park,omitempty"` // the receiver asks for parking: the body is a note, see ingest.Receiver.Park
}

// Action is what sorting does with one letter.
type Action string

// The actions of sorting.
const (
	ActionRegister Action = "register"
	ActionPark     Action = "park"
)

// ParkReason is a code; the clerk sees the Polish sentence that belongs to it.
type ParkReason string

// Reasons for parking on the first floor.
const (
	ParkTest      ParkReason = "test"      // the platform marked it as a test
	ParkDuplicate ParkReason = "duplicate" // twin of a registered letter, see Of
	ParkOversize  ParkReason = "oversize"  // over the hard limit; the original waits at its source
	ParkRefused   ParkReason = "refused"   // the source holds something that cannot be taken in
	ParkPackage   ParkReason = "package"   // held letters of a channel, each of which was taken in by itself
	ParkBatch     ParkReason = "batch"     // held several letters between separator sheets, each of which was taken in by itself
	ParkProof     ParkReason = "proof"     // proof of what became of a letter that was sent, where the centre does not number those
)

// SortedLetter is one letter of a submission.
type SortedLetter struct {
	Part   int        `json:"part"` // ordinal from 1
	Series SeriesID   `json:"series"`
	Action Action     `json:"action"`
	Reason ParkReason `json:"reason,omitempty"`
	Of     LetterID   `json:"of,omitempty"`     // the letter this is a twin of
	Parent LetterID   `json:"parent,omitempty"` // the letter this was split from
	Range  string     `json:"range,omitempty"`  // what of the submission it covers: "pages:3-5", "" for all
	Closed bool       `json:"closed,omitempty"`

	// Department gets a parked letter without a number (rules P9 and P11); ""
	// = nobody does, it lies with the sekretariat.
	Department DepartmentID `json:"department,omitempty"`

	Until  *time.Time `json:"until,omitempty"`  // with ParkHold: when it registers itself
	Thread *Thread    `json:"thread,omitempty"` // of a parked mail; a registered one has it in ReadData
	// Reading of a parked mail, so that a clerk can see what was set aside.
	Reading *ObjectRef `json:"reading,omitempty"`
}

// SortedData is the outcome of sorting one submission. The first one stored
// wins.
type SortedData struct {
	Arrived ArrivedData    `json:"arrived"` // repeated, so that LETTER alone tells a letter's story
	Letters []SortedLetter `json:"letters"`
}

// ReleasedData turns a parked letter into one to be registered.
type ReleasedData struct {
	Letter LetterID `json:"letter"`
	By     string   `json:"by"`
	Reason string   `json:"reason"` // a code
	// Withdraw had the item without a number and has it no more, by Revision;
	// 0 and empty, if nobody had it.
	Revision int            `json:"revision,omitempty"`
	Withdraw []DepartmentID `json:"withdraw,omitempty"`
}

// RegisteredData is the register event: the whole entry, and the sequence on
// LETTER of the event that asked for it.
type RegisteredData struct {
	Entry   Entry       `json:"entry"`
	Arrived ArrivedData `json:"arrived"`
	Range   string      `json:"range,omitempty"`
	Closed  bool        `json:"closed,omitempty"`
	Cause   uint64      `json:"cause"`
	// Before is the letter's revision when it asked for its number: 0, unless a
	// department had it without one.
	Before int `json:"before,omitempty"`
}

// ReadData says where the reading of a letter lies.
type ReadData struct {
	Letter  LetterID    `json:"letter"`
	Number  Number      `json:"number"`
	Reading ObjectRef   `json:"reading"`
	Reader  string      `json:"reader"` // name and version: "mail-1"
	Outcome Outcome     `json:"outcome"`
	Arrived ArrivedLite `json:"arrived"`
	Closed  bool        `json:"closed,omitempty"`
	// Decided is the letter's revision before the reading: 0, unless the letter
	// waited too long, a person was quicker, or a department had it without a
	// number.
	Decided int `json:"decided,omitempty"`

	Thread *Thread `json:"thread,omitempty"` // of a mail
}

// ScannedData is what the virus scanner says of a letter. It never holds a
// letter up: registration, reading and routing do not wait for it (rule P7).
// What is in neither list was found clean.
type ScannedData struct {
	Letter     LetterID      `json:"letter"`
	Revision   int           `json:"revision"`             // scans of this letter before this one: one that was parked is scanned again once it is read as a letter
	Scanner    string        `json:"scanner"`              // name and version: "ClamAV 1.4.6"
	Database   int           `json:"database,omitempty"`   // version of the signatures, 0 = it does not say
	Signatures *time.Time    `json:"signatures,omitempty"` // when they were made
	Scanned    int           `json:"scanned"`              // parts looked into, the original among them
	Infected   []ScannedPart `json:"infected,omitempty"`
	Unscanned  []ScannedPart `json:"unscanned,omitempty"`
	// All: there is more to tell than fits here; every part is locked.
	All bool `json:"all,omitempty"`
}

// ScannedPart is one part that is locked, by its path; "" is the original as a
// whole.
type ScannedPart struct {
	Path string `json:"path"`
	// Code is the scanner's name of what it found or, in Unscanned, why the
	// part could not be looked into: "size", "encrypted", "unreadable".
	Code string `json:"code"`
}

// MaxScanned bounds each list of ScannedData.
const MaxScanned = 200

// FetchedData says what became of an attachment that a letter only referred to,
// and that lay at the platform (ePUAP file repository).
type FetchedData struct {
	Letter LetterID   `json:"letter"`
	Part   string     `json:"part"`             // path in the reading
	Object *ObjectRef `json:"object,omitempty"` // where it lies now, nil: it could not be had
	// Code says why it could not be had ("gone", "too-large"), or what is odd
	// about it ("digest-differs": not the file that the letter names).
	Code string    `json:"code,omitempty"`
	Scan ScanState `json:"scan,omitempty"` // of the object, by the virus scanner; "" = the centre scans nothing
}

// ArrivedLite is what routing needs to know of the arrival.
type ArrivedLite struct {
	Kind       Kind         `json:"kind"`
	Door       Door         `json:"door"`
	Account    string       `json:"account"`
	Box        string       `json:"box,omitempty"`
	Unit       string       `json:"unit,omitempty"`
	Department DepartmentID `json:"department,omitempty"`
	Sheet      DepartmentID `json:"sheet,omitempty"` // see Delivery.Sheet
	At         time.Time    `json:"at"`
	Received   time.Time    `json:"received"`
}

// RoutedData is a decision in force from now on. Revision counts from 1 what
// changes who has the letter: decisions, and before its registration handing it
// over without a number and taking it back.
type RoutedData struct {
	Letter   LetterID     `json:"letter"`
	Number   Number       `json:"number"`
	Revision int          `json:"revision"`
	Decision Decision     `json:"decision"`
	From     DepartmentID `json:"from,omitempty"` // owner before, on re-routing
	// Withdraw are the departments that had the letter, as owner or copy, and
	// have it no more (rule P4).
	Withdraw []DepartmentID `json:"withdraw,omitempty"`
	By       string         `json:"by,omitempty"` // principal on re-routing; "" = the router
	Reason   *ObjectRef     `json:"reason,omitempty"`
	Advice   *ObjectRef     `json:"advice,omitempty"` // the sealed Advice, when the router decided
	Reread   int            `json:"reread,omitempty"` // the further reading that it follows from, see RereadData
	Closed   bool           `json:"closed,omitempty"`
	Received time.Time      `json:"received"`
}

// HandlingData is the data of taken and done. Handing back is a re-routing to
// the sekretariat.
type HandlingData struct {
	Letter     LetterID     `json:"letter"`
	Department DepartmentID `json:"department"`
	Revision   int          `json:"revision"` // of the decision it belongs to
	By         string       `json:"by"`
}

// UnlearnedData takes a letter out of what the router learns from, for good.
type UnlearnedData struct {
	Letter LetterID `json:"letter"`
	By     string   `json:"by"`
}

// FailedData tells a clerk that a step of a letter failed for good.
type FailedData struct {
	Letter LetterID `json:"letter"`
	Step   string   `json:"step"`  // work group, or "queue" for a department's system
	Code   string   `json:"code"`  // why
	Event  string   `json:"event"` // id of the event that could not be worked on
}

// QueuedData is what a department system receives.
type QueuedData struct {
	Letter     LetterID     `json:"letter"`
	Number     Number       `json:"number"`
	Identifier string       `json:"identifier"`
	Printed    string       `json:"printed"`
	Department DepartmentID `json:"department"`
	Urgency    Urgency      `json:"urgency"`
	Revision   int          `json:"revision"`
	Copy       bool         `json:"copy,omitempty"` // for information only
	Received   time.Time    `json:"received"`
	Content    string       `json:"content"` // path on the API: /api/v1/letters/<id>
}

// WithdrawnData tells the former department to delete its copy.
type WithdrawnData struct {
	Letter     LetterID     `json:"letter"`
	Department DepartmentID `json:"department"`
	Revision   int          `json:"revision"` // the withdrawn one
}

// SeenData counts a repeated delivery of a known submission.
type SeenData struct {
	Submission SubmissionID `json:"submission"`
	Door       Door         `json:"door"`
	Account    string       `json:"account"`
	// FromJunk: it was first found among what the mail server takes for spam,
	// and now outside: somebody of the office has moved it.
	FromJunk bool `json:"fromJunk,omitempty"`
}

// AccessData is one line of the audit trail.
type AccessData struct {
	Principal string   `json:"principal"`
	Action    string   `json:"action"`
	Letter    LetterID `json:"letter,omitempty"`
	Allowed   bool     `json:"allowed"`
}

// Grant is what GrantedData tells of.
type Grant string

// The grants.
const (
	GrantCreated Grant = "token-created"
	GrantRevoked Grant = "token-revoked"
	GrantQueue   Grant = "queue-opened" // for one command, on the machine of the service
)

// GrantedData says who got or lost which rights, so that the accesses of a
// token can be told from the trail after it is gone.
type GrantedData struct {
	Grant   Grant     `json:"grant"`
	By      string    `json:"by"`
	Token   string    `json:"token,omitempty"` // public id; accesses name it as "token:<id>"
	Scopes  []string  `json:"scopes"`
	Expires time.Time `json:"expires,omitzero"`
}

// ConfiguredData activates a version of a centre's configuration.
type ConfiguredData struct {
	Version int    `json:"version"`
	Digest  Digest `json:"digest"` // of the stored object
	// By is who activated it: an account of the page, or "uid:<n>" of the machine; "" for the first start, or when only the
	// next start could write the event.
	By string `json:"by,omitempty"`
}

// ParseEvent decodes an event. It knows the form that NewEvent and
// encoding/json give every event of ours and cuts it apart without a decoder:
// each event is decoded by half a dozen readers, and most look only at its
// type. Any other form goes through encoding/json. Whether Data is well formed
// shows when it is decoded.
func ParseEvent(raw []byte) (Event, error) {
	if e, ok := cutEvent(raw); ok {
		return e, nil
	}
	var e Event
	if err := json.Unmarshal(raw, &e); err != nil {
		return e, fmt.Errorf("event: %w", err)
	}
	return e, nil
}

// cutEvent cuts the usual form; ok is false for any other.
func cutEvent(raw []byte) (e Event, ok bool) {
	rest, fields := raw, [7]string{}
	for i, name := range [...]string{`{"specversion":"`, `,"id":"`, `,"source":"`, `,"type":"`, `,"subject":"`, `,"time":"`, `,"datacontenttype":"`} {
		if rest, ok = bytes.CutPrefix(rest, []byte(name)); !ok {
			return e, false
		}
		end := bytes.IndexByte(rest, '"')
		if end < 0 || !plain(rest[:end]) {
			return e, false
		}
		fields[i], rest = string(rest[:end]), rest[end+1:]
	}
	rest, ok = bytes.CutPrefix(rest, []byte(`,"data":`))
	if !ok || len(rest) < 3 || rest[0] != '{' || string(rest[len(rest)-2:]) != "}}" {
		return e, false
	}
	at, err := time.Parse(time.RFC3339Nano, fields[5])
	if err != nil {
		return e, false
	}
	return Event{
		SpecVersion: fields[0], ID: fields[1], Source: fields[2], Type: EventType(fields[3]), Subject: fields[4], Time: at,
		ContentType: fields[6], Data: json.RawMessage(bytes.Clone(rest[:len(rest)-1])),
	}, true
}

// plain tells whether b stands in JSON as it is.
func plain(b []byte) bool {
	for _, c := range b {
		if c < 0x20 || c > 0x7e || c == '\\' {
			return false
		}
	}
	return true
}
