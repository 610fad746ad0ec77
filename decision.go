package sekretariat

// Urgency is how soon somebody must read a letter.
type Urgency string

// The levels (rule P16). Only a registered rule or a person lowers one.
const (
	Normal Urgency = "normal"
	Urgent Urgency = "urgent" // "pilne": top of the queue
	Danger Urgency = "danger" // "zagrożenie": a named person must take it
)

// Lane is the queue lane of an urgency: clients drain "urgent" first.
func (u Urgency) Lane() string {
	if u == Urgent || u == Danger {
		return "urgent"
	}
	return "normal"
}

// Evidence is one reason of a decision. Term is the configured term that
// matched, never the words of the letter, so that events stay free of personal
// data.
type Evidence struct {
	Field string `json:"field"`          // "box", "recipient", "case", "form", "sender", "subject", "text", "account", "fallback"
	Term  string `json:"term,omitempty"` // the rule's own term
}

// Suggestion is a department that was considered.
type Suggestion struct {
	Department DepartmentID `json:"department"`
	Label      string       `json:"label,omitempty"`
	Score      float64      `json:"score"` // 0..1
}

// Decision is where a letter goes and why. router.Explain makes the Polish
// sentence of it.
type Decision struct {
	Department  DepartmentID   `json:"department"` // the one owner
	Copies      []DepartmentID `json:"copies,omitempty"`
	Label       string         `json:"label,omitempty"`   // subject matter before the centre's mapping
	Forward     string         `json:"forward,omitempty"` // id of another authority (KPA art. 65); owner is then the sekretariat
	Instead     DepartmentID   `json:"instead,omitempty"` // the suspended department that Department stands in for
	Urgency     Urgency        `json:"urgency"`
	Rule        string         `json:"rule"` // id of the deciding rule, "fallback" if none
	Evidence    []Evidence     `json:"evidence,omitempty"`
	Confidence  float64        `json:"confidence"`
	Suggestions []Suggestion   `json:"suggestions,omitempty"`
	Config      int            `json:"config"`          // version of the centre's configuration
	Model       string         `json:"model,omitempty"` // version of the learned model, "" if rules alone decided
}
