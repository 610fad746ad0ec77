package alarm

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/configs"
)

// Climber takes an alarm to its next step; pipeline.Pipeline is one.
type Climber interface {
	Climb(ctx context.Context, id sekretariat.LetterID, d sekretariat.AlarmClimbedData) error
}

// Keeper lets alarms climb that nobody takes. Its timers are the times of
// events: it keeps none of its own.
type Keeper struct {
	Centre  *configs.Centre
	Board   *Board
	Climber Climber
	Clock   sekretariat.Clock
	Logger  zerolog.Logger
	// Tick says when to look; nil: every ten seconds.
	Tick <-chan time.Time
}

// lookEvery is how often the keeper looks.
const lookEvery = 10 * time.Second

// Run follows the alarms until ctx ends. It looks only at a board that has
// caught up with the ledger.
func (k *Keeper) Run(ctx context.Context) error {
	tick := k.Tick
	if tick == nil {
		t := time.NewTicker(lookEvery)
		defer t.Stop()
		tick = t.C
	}
	ctx, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel()
	ready := make(chan struct{})
	caughtUp := sync.OnceFunc(func() { close(ready) })
	watch.Go(func() {
		select {
		case <-ready:
		case <-ctx.Done():
		}
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick:
				k.Look(ctx)
			}
		}
	})
	return k.Board.Follow(ctx, func() error { caughtUp(); return nil })
}

// Look takes every alarm as far as its time has come: after a night without
// power it goes through the steps that were missed, one by one.
func (k *Keeper) Look(ctx context.Context) {
	for _, l := range k.Board.waiting() {
		for step := l.Alarm.Step; step < len(k.Centre.Alarms.Steps); step++ {
			s := k.Centre.Alarms.Steps[step]
			now := k.Clock()
			if now.Before(l.Alarm.Raised.Add(s.After)) {
				break
			}
			err := k.Climber.Climb(ctx, l.ID, sekretariat.AlarmClimbedData{
				Letter: l.ID, Step: step + 1, To: s.To, Nobody: k.Centre.Alarms.Duty == "" && !k.Centre.OpenAt(now),
			})
			if err != nil {
				if !errors.Is(err, context.Canceled) {
					k.Logger.Error().Err(err).Str("letter", string(l.ID)).Msg("an alarm could not climb; trying again")
				}
				break
			}
			k.Logger.Warn().Str("letter", string(l.ID)).Int("step", step+1).Str("to", s.To).Msg("nobody has taken an alarm")
		}
	}
}
