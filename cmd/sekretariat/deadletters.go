package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"sekretariat"
	"sekretariat/ledger"
	"sekretariat/pipeline"
)

// Dead letters are events that a worker of ours, or a department's system,
// could not work on. Each is put before a clerk on its letter; none stays a
// line in a log.

// followDead looks after the dead events of one centre's workers. What was told
// before is told once, so it begins at the beginning after each start; such
// events are rare.
func (s *service) followDead(ctx context.Context, c *centreHouse) error {
	return s.untilDone(ctx, "dead letters", func(ctx context.Context) error {
		return c.log.Follow(ctx, ledger.Dead, 1, func(st ledger.Stored) error {
			d, err := sekretariat.DataOf[ledger.DeadData](st.Event)
			if err != nil {
				return err
			}
			s.log.Error().Str("group", d.Group).Str("stream", string(d.Stream)).Uint64("seq", d.Seq).Str("code", d.Code).Msg("an event cannot be worked on")
			if d.Event == nil {
				return nil // unreadable: it names no letter; verify names it
			}
			return s.tellFailure(ctx, c, *d.Event, d.Group, d.Code)
		}, func() error { return nil })
	})
}

// cursorAdvisories is how far the advisories of the server were told.
const cursorAdvisories = "advisories"

// followAdvisories looks after queue events that a department's system was
// given too often or has refused.
func (s *service) followAdvisories(ctx context.Context) error {
	return s.untilDone(ctx, "advisories", func(ctx context.Context) error {
		from := uint64(1)
		raw, _, err := s.ledger.Cursor(ctx, cursorAdvisories)
		if err == nil {
			from, err = strconv.ParseUint(string(raw), 10, 64)
		}
		if err != nil && !errors.Is(err, ledger.ErrNotFound) {
			return fmt.Errorf("cursor of the advisories: %w", err)
		}
		return s.ledger.FollowAdvisories(ctx, from, func(a ledger.Advisory) error {
			for _, c := range s.centres {
				if a.Stream != ledger.QueueStream(c.cfg.ID) {
					continue
				}
				if err := s.tellAdvisory(ctx, c, a); err != nil {
					return err
				}
			}
			return s.ledger.SetCursor(ctx, cursorAdvisories, strconv.AppendUint(nil, a.Seq+1, 10))
		})
	})
}

// errFound ends a replay at the one event that was looked for.
var errFound = errors.New("found")

func (s *service) tellAdvisory(ctx context.Context, c *centreHouse, a ledger.Advisory) error {
	code := "delivered-too-often"
	if a.Terminated {
		code = "refused"
	}
	s.log.Error().Str("consumer", a.Consumer).Uint64("seq", a.StreamSeq).Str("code", code).Msg("a department's system cannot work on a letter")
	var event sekretariat.Event
	found := false
	err := c.log.Replay(ctx, ledger.Queue, a.StreamSeq, func(st ledger.Stored) error {
		event, found = st.Event, st.Seq == a.StreamSeq
		return errFound
	})
	if !errors.Is(err, errFound) || !found {
		if errors.Is(err, errFound) {
			err = nil // the event was erased
		}
		return err
	}
	return s.tellFailure(ctx, c, event, "queue", code)
}

func (s *service) tellFailure(ctx context.Context, c *centreHouse, e sekretariat.Event, step, code string) error {
	id, err := pipeline.LetterOf(e)
	if err == nil {
		err = s.pipelines[c.cfg.ID].Failed(ctx, sekretariat.FailedData{Letter: id, Step: step, Code: code, Event: e.ID})
	}
	if pipeline.Hopeless(err) {
		s.log.Error().Err(err).Str("event", e.ID).Msg("a failed event belongs to no letter; run `sekretariat verify`")
		return nil
	}
	return err
}
