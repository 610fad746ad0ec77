package api

import (
	"context"
	"net/http"

	"sekretariat/pipeline"
	"sekretariat/pipeline/alarm"
)

// Alarms is the answer of GET /api/v1/alarms.
type Alarms struct {
	alarm.List
	Rates []alarm.Rate `json:"rates,omitempty"` // by month; for those who see the register
}

// alarms lists the dangers that nobody has taken, as far as the caller may know
// of them.
func (a *api) alarms(_ context.Context, c call) error {
	if c.c.Alarms == nil {
		return pipeline.ErrNotFound
	}
	out := Alarms{List: c.c.Alarms.List(c.who)}
	if c.who.Register {
		out.Rates = c.c.Alarms.Rates()
	}
	answer(c.w, http.StatusOK, out)
	return nil
}

// alarmTaken makes the caller answer for a danger.
func (a *api) alarmTaken(ctx context.Context, c call) error {
	return a.command(c, func(command) error { return c.c.Pipeline.TakeAlarm(ctx, c.who, c.id) })
}
