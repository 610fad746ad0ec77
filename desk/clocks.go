package desk

import (
	"context"
	"time"

	"sekretariat"
	"sekretariat/router/terms"
)

// clockView is one clock of a letter in words.
type clockView struct {
	Code    string
	Text    string
	Late    bool
	Stopped string // why it ended, "" = it runs
	Who     string
	At      time.Time
}

// stopView is one reason to end a clock, as a choice.
type stopView struct {
	Value sekretariat.StopReason
	Text  string
}

var stopWords = map[sekretariat.StopReason]string{
	sekretariat.StopDone: "załatwiono", sekretariat.StopReply: "wysłano odpowiedź albo skontaktowano się", sekretariat.StopTransferred: "przekazano według właściwości",
	sekretariat.StopWithdrawn: "wnoszący wycofał", sekretariat.StopVoid: "nie dotyczy tego pisma",
}

func (d *Desk) clocks(l *sekretariat.Letter, names map[string]string) (out []clockView) {
	for _, c := range l.Clocks() {
		v := clockView{Code: c.Code, Text: terms.Text(c.Deadline), Late: c.Late(d.o.Clock())}
		if c.Code == sekretariat.ContactClock {
			v.Text = "kontakt z osobą, która napisała"
		}
		if c.Stop != nil {
			v.Stopped, v.Who, v.At = stopWords[c.Stop.Why], names[c.Stop.By], c.Stop.At
		}
		out = append(out, v)
	}
	return out
}

func stops() (out []stopView) {
	for _, s := range sekretariat.StopReasons {
		out = append(out, stopView{s, stopWords[s]})
	}
	return out
}

// stopClock ends one clock of a letter.
func (d *Desk) stopClock(ctx context.Context, v visit) error {
	l, err := d.load(ctx, v)
	if err != nil {
		return err
	}
	if _, _, err := form(v); err != nil {
		return err
	}
	if err := v.c.Pipeline.StopDeadline(ctx, v.who, l.ID, v.r.PostForm.Get("termin"), sekretariat.StopReason(v.r.PostForm.Get("dlaczego"))); err != nil {
		return err
	}
	return d.goTo(v, "/pismo/"+string(l.ID))
}
