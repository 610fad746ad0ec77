package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"sekretariat"
	"sekretariat/ingest/epuap"
)

// callRead bounds a call of a platform that sends nothing; handlers of large
// calls give it more time as long as it goes on sending.
const callRead = 2 * time.Minute

// callbacks are the handlers that platforms call, by path.
func (s *service) callbacks() (map[string]http.Handler, error) {
	out := map[string]http.Handler{}
	for _, ch := range s.channels {
		if c, ok := ch.(calledBack); ok {
			if path, h := c.Callback(); path != "" {
				out[path] = h
			}
		}
	}
	for _, c := range s.centres {
		for _, e := range c.cfg.EPUAP {
			if e.Off || !e.Push {
				continue
			}
			log := s.log.With().Str("centre", string(c.cfg.ID)).Logger()
			p, err := epuap.NewPush(epuap.Options{
				Centre: c.cfg.ID, Account: e, Receiver: s.receiver, Clock: sekretariat.SystemClock, Logger: log, Temp: s.folder(folderTemp),
			})
			if err != nil {
				return nil, fmt.Errorf("skrytka %s: %w", e.ID, err)
			}
			out["/epuap/"+string(c.cfg.ID)+"/"+e.ID] = p
		}
	}
	return out, nil
}

// listenCallbacks opens the listener for the platforms if something is behind
// it. It is the only one that is meant to be reached from outside.
func (s *service) listenCallbacks(ctx context.Context, g *errgroup.Group) error {
	handlers, err := s.callbacks()
	if err != nil || len(handlers) == 0 {
		return err
	}
	if s.cfg.Listen.Callbacks == "" {
		s.log.Warn().Int("receivers", len(handlers)).Msg("accounts want to be called by their platforms, but listen.callbacks is off in the installation file")
		return nil
	}
	mux := http.NewServeMux()
	for path, h := range handlers {
		mux.Handle(path, h)
	}
	return s.serveHTTP(ctx, g, "callbacks", s.cfg.Listen.Callbacks, mux, callRead)
}
