package sekretariat

// The events of a letter that is read once more: something that belongs to it
// came later (a file that lay at the platform), so there is more to read.
const (
	EventReread  EventType = "reread.v1"  // LETTER, reader: a further reading, which replaces the one before
	EventAdvised EventType = "advised.v1" // LETTER, router: what it says of a further reading without deciding anew
)

// RereadData says where the further reading of a letter lies.
type RereadData struct {
	Letter   LetterID  `json:"letter"`
	Number   Number    `json:"number"`
	Revision int       `json:"revision"` // further readings of this letter, from 1
	Reading  ObjectRef `json:"reading"`
	Reader   string    `json:"reader"`
	Outcome  Outcome   `json:"outcome"`
	// Files is how many files that came later it takes account of.
	Files   int         `json:"files,omitempty"`
	Arrived ArrivedLite `json:"arrived"`
	Closed  bool        `json:"closed,omitempty"`
}

// AdvisedData is what the router says of a letter about which it does not
// decide any more: whose it is stays as it is.
type AdvisedData struct {
	Letter     LetterID     `json:"letter"`
	Revision   int          `json:"revision"`             // of the further reading
	Advice     *ObjectRef   `json:"advice,omitempty"`     // sealed
	Department DepartmentID `json:"department,omitempty"` // where the letter would go by what is known now
}

// reread folds a further reading.
func (l *Letter) reread(d RereadData) {
	if d.Revision <= l.Rereads {
		return
	}
	l.Rereads, l.RereadFiles = d.Revision, max(l.RereadFiles, d.Files)
	l.Reading, l.Outcome = d.Reading, d.Outcome
	l.learn(d.Number)
}

// advised folds what the router says without deciding.
func (l *Letter) advised(d AdvisedData) {
	if d.Advice != nil {
		l.Advice = d.Advice
	}
	l.Advised = max(l.Advised, d.Revision)
	if l.Hint = d.Department; l.Hint == l.Department {
		l.Hint = ""
	}
}
