package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"sekretariat"
	"sekretariat/desk"
	"sekretariat/desk/api"
	"sekretariat/desk/people"
	"sekretariat/pipeline/outbox"
)

// deskHandler is what the desk's listener answers: page, API, health.
func (s *service) deskHandler(ctx context.Context, g *errgroup.Group) (http.Handler, error) {
	var centres []desk.Centre
	apis := map[sekretariat.CentreID]api.Centre{}
	for _, c := range s.centres {
		apis[c.cfg.ID] = api.Centre{
			Pipeline: s.pipelines[c.cfg.ID], Log: c.log, Vault: s.vault, Index: s.indexes[c.cfg.ID], Alarms: s.boards[c.cfg.ID], Explain: c.router.Explain, Why: outbox.Polish, Print: c.cfg.Print, Config: c.cfg,
		}
		centres = append(centres, desk.Centre{
			Config: c.cfg, Pipeline: s.pipelines[c.cfg.ID], Log: c.log, Vault: s.vault, Index: s.indexes[c.cfg.ID], Explain: c.router.Explain, Why: outbox.Polish,
			Alarms: s.boards[c.cfg.ID], Teacher: s.teachers[c.cfg.ID],
			People: people.NewBook(c.cfg.ID, s.vault, sekretariat.SystemClock),
		})
	}
	page, err := desk.New(desk.Options{
		Centres: centres, Health: s.channelStates, Receiver: s.receiver, Clock: sekretariat.SystemClock, Logger: s.log.With().Str("room", "desk").Logger(),
	})
	if err != nil {
		return nil, err
	}
	g.Go(func() error { // before the ledger closes
		<-ctx.Done()
		page.Close()
		return nil
	})
	g.Go(func() error { s.sweepSessions(ctx, centres); return nil })
	mux := http.NewServeMux()
	mux.Handle("/", page)
	mux.Handle("/api/v1/", api.New(api.Options{
		Centres: apis, Tokens: s.tokens, Session: page.WhoIs, Parts: s.parts, Health: s.channelStates, Clock: sekretariat.SystemClock, Logger: s.log,
	}))
	health := s.healthHandler()
	mux.Handle("GET /healthz", health)
	mux.Handle("GET /readyz", health)
	return mux, nil
}

// sweepEvery is how often sessions that have ended are deleted.
const sweepEvery = time.Hour

func (s *service) sweepSessions(ctx context.Context, centres []desk.Centre) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, c := range centres {
			if err := c.People.Sweep(ctx); err != nil && !errors.Is(err, context.Canceled) {
				s.log.Error().Err(err).Str("centre", string(c.Config.ID)).Msg("old sessions could not be deleted; trying again in an hour")
			}
		}
	}
}
