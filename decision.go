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
	Margin      float64        `json:"margin,omitempty"` // how far the first place is ahead of the second, 0..1
	Mode        Mode           `json:"mode,omitempty"`   // whether the model may decide here (rule P17)
	Config      int            `json:"config"`           // version of the centre's configuration
	Model       string         `json:"model,omitempty"`  // version of the learned model, "" if rules alone decided

	Kind        string     `json:"kind,omitempty"`        // "wniosek", "odwolanie", "skarga", …
	Defects     []string   `json:"defects,omitempty"`     // formal defects, gravest first, see router.Defect…
	Policy      string     `json:"policy,omitempty"`      // e-mail policy that applies: "accept", "call_to_sign", "inform_and_keep"
	Deadlines   []Deadline `json:"deadlines,omitempty"`   // clocks that this letter starts
	Wishes      []string   `json:"wishes,omitempty"`      // safe-contact wishes, codes of router/contact
	Silent      bool       `json:"silent,omitempty"`      // no automatic answer of any kind may leave (rule P6, safe contact)
	NoContact   bool       `json:"noContact,omitempty"`   // the letter names no way to the writer
	ContactDuty bool       `json:"contactDuty,omitempty"` // somebody must contact the writer (rule P15)
	Closed      bool       `json:"closed,omitempty"`      // words of closed mail: only the owning queue sees it (rule P13)
}

// Mode says what the model may do in a centre.
type Mode string

// The modes (rule P17): suggest to a clerk, or put into the queue itself.
const (
	ModeSuggest Mode = "podpowiedz"
	ModeAuto    Mode = "automat"
)

// Deadline is one clock of the law that a letter starts.
type Deadline struct {
	Code  string `json:"code"`  // of the table of deadlines, "kpa133"
	Start string `json:"start"` // RRRR-MM-DD, the day of the event; it is not counted
	Due   string `json:"due"`   // RRRR-MM-DD, the last day; "" when the law says "at once"
}

// Advice is all that the router has to say about a letter, for the people who
// work on it. It quotes the letter and is therefore sealed beside it; events
// carry the Decision alone.
type Advice struct {
	Decision    Decision `json:"decision"`
	Explanation string   `json:"explanation"`       // one or two Polish sentences: where to and why
	Urgency     string   `json:"urgency,omitempty"` // one Polish sentence: why urgent, "" when not
	Contacts    Contacts `json:"contacts"`
	Warnings    []string `json:"warnings,omitempty"` // Polish, for the clerk: safe contact, no contact, formal defects
	Drafts      []Draft  `json:"drafts,omitempty"`   // Polish letters ready for a person to check and send
}

// Contacts are the ways to the writer that a letter names, normalised.
type Contacts struct {
	Phone   string   `json:"phone,omitempty"`   // nine digits, or "+49…" from abroad: the one that the writer wants used
	Phones  []string `json:"phones,omitempty"`  // all that the letter names
	Email   string   `json:"email,omitempty"`   // where an answer should go, "" if nowhere
	Address string   `json:"address,omitempty"` // street with number, postcode with town, as far as given
	PESEL   string   `json:"pesel,omitempty"`   // masked: "*******1234"
	Case    string   `json:"case,omitempty"`    // the centre's own case number, clean
	Wishes  []string `json:"wishes,omitempty"`  // what the writer asks not to do, codes
}

// Draft is a letter that the program prepared. Nothing sends it by itself.
type Draft struct {
	Kind string `json:"kind"` // "kpa65" (notice of forwarding), "kpa64" (call to sign), "kpa63" (information), …
	To   string `json:"to"`   // whom it is for
	Text string `json:"text"` // Polish
}

// Above tells whether u is more urgent than o.
func (u Urgency) Above(o Urgency) bool { return u.rank() > o.rank() }

func (u Urgency) rank() int {
	switch u {
	case Danger:
		return 2
	case Urgent:
		return 1
	}
	return 0
}
