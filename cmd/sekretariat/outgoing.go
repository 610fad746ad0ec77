package main

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/pipeline"
	"sekretariat/pipeline/outbox"
)

// checkMail compiles what the profile says of parking and acknowledgements.
func checkMail(c *configs.Centre) error {
	return errors.Join(pipeline.CheckParking(c), outbox.Check(c))
}

// addOutbox adds the outbox of a centre.
func (s *service) addOutbox(c *centreHouse, log zerolog.Logger) error {
	o, err := outbox.New(outbox.Options{
		Centre: c.cfg, Pipeline: s.pipelines[c.cfg.ID], Log: c.log, Vault: s.vault, Claims: s.ledger, Keys: c.keys, Due: s.indexes[c.cfg.ID],
		Alone: func(ctx context.Context, run func(context.Context) error) error {
			return s.alone(ctx, "outbox", "outbox/"+string(c.cfg.ID), run)
		},
		Clock: sekretariat.SystemClock, Logger: log.With().Str("room", "outbox").Logger(),
	})
	if err != nil {
		return err
	}
	s.outboxes = append(s.outboxes, o)
	return nil
}

// heldEvery is how often letters are looked for that were held until an hour.
const heldEvery = 10 * time.Second

// sweepHeld registers letters that were held "do oceny" and whose hour has come
// (rule P9).
func (s *service) sweepHeld(ctx context.Context, c *centreHouse) error {
	tick := time.NewTicker(heldEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		due, err := s.indexes[c.cfg.ID].HeldDue(ctx, sekretariat.SystemClock())
		if err != nil && ctx.Err() == nil {
			s.log.Error().Err(err).Str("centre", string(c.cfg.ID)).Msg("looking for held letters failed; trying again")
		}
		for _, id := range due {
			if err := s.pipelines[c.cfg.ID].ReleaseHeld(ctx, id); err != nil && ctx.Err() == nil {
				// One bad letter must not keep the others waiting.
				s.log.Error().Err(err).Str("letter", string(id)).Msg("a held letter could not be registered; trying again")
			}
		}
	}
}
