package sekretariat

import "time"

// The events of an alarm. A letter of urgency "zagrożenie" raises one by the
// decision that says so; a named person must take it, or it climbs (rule P16).
const (
	EventAlarmClimbed EventType = "alarm-climbed.v1" // LETTER, alarm keeper: nobody has taken it
	EventAlarmTaken   EventType = "alarm-taken.v1"   // LETTER, a person
)

// AlarmClimbedData says who must learn of the alarm next.
type AlarmClimbedData struct {
	Letter LetterID `json:"letter"`
	Step   int      `json:"step"`             // from 1; each one happens once
	To     string   `json:"to"`               // kierownik, dyrektor, dyzur
	Nobody bool     `json:"nobody,omitempty"` // outside working hours, with nobody on duty
}

// AlarmTakenData names the person who answers for the letter now.
type AlarmTakenData struct {
	Letter LetterID `json:"letter"`
	By     string   `json:"by"`
}

// Alarm is the state of a letter's alarm.
type Alarm struct {
	Raised time.Time
	Step   int // 0: only the department knows
	To     string
	Told   time.Time     // of the last step
	Nobody bool          // at the last step nobody was on duty
	Taken  *Confirmation // nil = nobody yet
}

// Open tells whether somebody must still take the alarm.
func (a *Alarm) Open() bool { return a != nil && a.Taken == nil }

// raise begins an alarm; a letter has one.
func (l *Letter) raise(at time.Time) {
	if l.Decision.Urgency == Danger && l.Alarm == nil {
		l.Alarm = &Alarm{Raised: at}
	}
}

func (l *Letter) climbed(d AlarmClimbedData, at time.Time) {
	if l.Alarm.Open() && d.Step == l.Alarm.Step+1 {
		l.Alarm.Step, l.Alarm.To, l.Alarm.Told, l.Alarm.Nobody = d.Step, d.To, at, d.Nobody
	}
}

// answered ends an alarm: somebody has taken it, or the letter itself.
func (l *Letter) answered(by string, at time.Time) {
	if l.Alarm.Open() {
		l.Alarm.Taken = &Confirmation{By: by, At: at}
	}
}
