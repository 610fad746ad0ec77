package desk

import (
	"context"
	"fmt"
	"time"

	"sekretariat"
	"sekretariat/configs"
)

// alarmsView is what a page says of dangers that nobody has taken. It comes
// before everything else: what nobody saw at night is what the day begins with.
type alarmsView struct {
	Open   []dangerView
	Hidden int    // alarms on letters that the person may not see
	Shut   bool   // outside working hours
	Duty   string // who is on duty then, "" = nobody
}

type dangerView struct {
	Letter  sekretariat.LetterID
	Printed string
	Where   string
	Raised  time.Time
	Told    string // who was told last, in words
	Nobody  bool
}

func (d *Desk) alarms(v visit) alarmsView {
	if v.c.Alarms == nil {
		return alarmsView{}
	}
	list := v.c.Alarms.List(v.who)
	out := alarmsView{Hidden: list.Hidden, Shut: !v.c.Config.OpenAt(d.o.Clock()), Duty: v.c.Config.Alarms.Duty}
	for _, a := range list.Open {
		view := dangerView{Letter: a.Letter, Where: departmentName(v.c.Config, a.Department), Raised: a.Raised, Told: alarmWord(a.To), Nobody: a.Nobody}
		if !a.Number.IsZero() {
			view.Printed = v.c.Config.Print(a.Number)
		}
		out.Open = append(out.Open, view)
	}
	return out
}

// alarmWord says who an alarm has climbed to.
func alarmWord(to string) string {
	switch to {
	case configs.AlarmSupervisor:
		return "kierownik"
	case configs.AlarmDirector:
		return "dyrektor"
	case configs.AlarmDuty:
		return "dyżur"
	}
	return to
}

// takeAlarm makes the person answer for a danger.
func (d *Desk) takeAlarm(ctx context.Context, v visit) error {
	l, err := d.load(ctx, v)
	if err != nil {
		return err
	}
	if err := v.c.Pipeline.TakeAlarm(ctx, v.who, l.ID); err != nil {
		return err
	}
	return d.goTo(v, "/pismo/"+string(l.ID))
}

// rateView is one month of alarms in a hundred letters, in words.
type rateView struct {
	Month          string
	Letters        int
	Urgent, Danger string
}

// maxRates bounds the months shown.
const maxRates = 12

func rates(c *Centre) (out []rateView) {
	if c.Alarms == nil {
		return nil
	}
	list := c.Alarms.Rates()
	for _, r := range list[:min(len(list), maxRates)] {
		urgent, danger := r.Per100()
		out = append(out, rateView{r.Month, r.Letters, fmt.Sprintf("%.1f", urgent), fmt.Sprintf("%.1f", danger)})
	}
	return out
}
