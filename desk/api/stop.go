package api

import (
	"context"
	"time"

	"sekretariat"
)

// Clock is one clock of a letter, as the API tells it.
type Clock struct {
	sekretariat.Deadline
	Stopped string     `json:"stopped,omitempty"` // done, reply, transferred, withdrawn or void; "" = it runs
	At      *time.Time `json:"stoppedAt,omitempty"`
}

func clocksOf(l *sekretariat.Letter) (out []Clock) {
	for _, c := range l.Clocks() {
		k := Clock{Deadline: c.Deadline}
		if c.Stop != nil {
			k.Stopped, k.At = string(c.Stop.Why), &c.Stop.At
		}
		out = append(out, k)
	}
	return out
}

// stopped ends one clock: "code" says which, "reason" why.
func (a *api) stopped(ctx context.Context, c call) error {
	return a.command(c, func(cmd command) error {
		return c.c.Pipeline.StopDeadline(ctx, c.who, c.id, cmd.Code, sekretariat.StopReason(cmd.Reason))
	})
}
