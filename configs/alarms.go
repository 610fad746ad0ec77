package configs

import (
	"slices"
	"strings"
	"time"

	"sekretariat"
)

// Alarms says who must learn of a danger that nobody has taken (rule P16). The
// department of the letter knows at once.
type Alarms struct {
	// Steps are who is told next, and when; default kierownik after 15m, dyrektor after 30m, dyzur after 1h. [] = nobody.
	Steps  []AlarmStep `yaml:"steps"`
	Duty   string      `yaml:"duty"`   // on-duty contact outside working hours, name or telephone, for the page; without it nobody is on duty then
	Crisis []string    `yaml:"crisis"` // crisis numbers beside 112, with what they are, for acknowledgements outside working hours
}

// AlarmStep is one step of an alarm that nobody has taken.
type AlarmStep struct {
	To    string        `yaml:"to"`    // kierownik, dyrektor or dyzur
	After time.Duration `yaml:"after"` // since the alarm was raised; each step later than the one before
}

// The people that an alarm climbs to.
const (
	AlarmSupervisor = "kierownik"
	AlarmDirector   = "dyrektor"
	AlarmDuty       = "dyzur"
)

func (c *Centre) defaultAlarms() {
	if c.Alarms.Steps == nil {
		c.Alarms.Steps = []AlarmStep{{AlarmSupervisor, 15 * time.Minute}, {AlarmDirector, 30 * time.Minute}, {AlarmDuty, time.Hour}}
	}
}

func (d *document) checkAlarms(a Alarms) {
	last := time.Duration(0)
	for i, s := range a.Steps {
		at := path{"alarms", "steps", i}
		d.oneOf(at.with("to"), s.To, AlarmSupervisor, AlarmDirector, AlarmDuty)
		if s.After <= last {
			d.wrong(at.with("after"), "%s is not later than the step before", s.After)
		}
		last = s.After
	}
	for i, s := range a.Crisis {
		if strings.TrimSpace(s) == "" || len(s) > 200 || strings.ContainsAny(s, "\r\n") {
			d.wrong(path{"alarms", "crisis", i}, "write one line: the number and what it is")
		}
	}
}

// usualHours are the working hours of a centre that has given none.
var usualHours = []Hours{{Days: "mon-fri", Periods: []string{"07:30-15:30"}}}

// OpenAt tells whether a moment lies in the centre's working hours. It knows no
// holidays.
func (c *Centre) OpenAt(at time.Time) bool {
	at = at.In(sekretariat.Warsaw())
	day, clock := at.Format(time.DateOnly), at.Format("15:04")
	list := c.Hours
	if len(list) == 0 {
		list = usualHours
	}
	return slices.ContainsFunc(list, func(h Hours) bool {
		return h.From <= day && (h.To == "" || day <= h.To) && onDay(h.Days, at.Weekday()) &&
			slices.ContainsFunc(h.Periods, func(p string) bool {
				begin, end, _ := strings.Cut(p, "-")
				return begin <= clock && clock < end
			})
	})
}

// onDay tells whether a checked list of days has a day.
func onDay(days string, day time.Weekday) bool {
	n := (int(day) + 6) % len(dayNames) // they begin with Monday
	for part := range strings.SplitSeq(days, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		a := slices.Index(dayNames, from)
		b := a
		if isRange {
			b = slices.Index(dayNames, to)
		}
		if a <= n && n <= b {
			return true
		}
	}
	return false
}
