package sekretariat

// EventRedated changes the day of receipt of a letter (rule P2). The entry in
// the register keeps what was known when the number was given.
const EventRedated EventType = "redated.v1" // LETTER, worker: a proof says more; or a person, with a reason

// What a change of the day of receipt rests on.
const (
	RedatedByUPP    = "upp"    // the platform's UPP
	RedatedByPerson = "person" // a person said so, with a reason in words
)

// RedatedData says when a letter arrived by what is known now.
type RedatedData struct {
	Letter   LetterID   `json:"letter"`
	Revision int        `json:"revision"` // changes of this letter's day of receipt, from 1
	Arrived  Arrival    `json:"arrived"`
	Before   Arrival    `json:"before"`
	Code     string     `json:"code"`             // why
	Proof    LetterID   `json:"proof,omitempty"`  // what it rests on
	By       string     `json:"by,omitempty"`     // principal; "" = the machine
	Reason   *ObjectRef `json:"reason,omitempty"` // of a person, in words, sealed

	// Deadlines take the place of those of the decision in force, counted from
	// the new day; Advice is what the router says of it, sealed.
	Deadlines []Deadline `json:"deadlines"`
	Advice    *ObjectRef `json:"advice,omitempty"`
}

// redated folds a change of the day of receipt.
func (l *Letter) redated(d RedatedData) {
	if d.Revision <= l.Redated {
		return
	}
	l.Redated, l.Arrived.Arrived, l.Decision.Deadlines = d.Revision, d.Arrived, d.Deadlines
	if d.Advice != nil {
		l.Advice = d.Advice
	}
}
