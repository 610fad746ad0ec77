package sekretariat

import "time"

// The events of custody: who took paper out of a drop box, when, and how many
// envelopes there were. They lie on AUDIT under the box.
const (
	EventEmptied EventType = "emptied.v1" // AUDIT, clerk: a drop box was emptied
	EventCounted EventType = "counted.v1" // AUDIT, clerk: its envelopes were counted again
)

// EmptiedData records one emptying of a drop box. Who it was stands sealed.
type EmptiedData struct {
	Emptying  string    `json:"emptying"` // "<box>-<ordinal>"
	Box       string    `json:"box"`
	Ordinal   int       `json:"ordinal"`            // emptyings of this box, from 1
	Previous  string    `json:"previous,omitempty"` // the emptying before it
	At        time.Time `json:"at"`                 // when the box was emptied, UTC: the day of receipt of what was in it (rule P2)
	Envelopes int       `json:"envelopes"`
	By        string    `json:"by"`      // principal that recorded it
	Persons   ObjectRef `json:"persons"` // sealed: names of those who emptied it, remarks
	// Intake is the last sequence of INTAKE when it was recorded: its scans, as
	// a rule, come behind it.
	Intake uint64 `json:"intake"`
}

// CountedData corrects the number of envelopes of an emptying.
type CountedData struct {
	Emptying  string    `json:"emptying"`
	Envelopes int       `json:"envelopes"`
	By        string    `json:"by"`
	Reason    ObjectRef `json:"reason"` // sealed: why, in words
}
