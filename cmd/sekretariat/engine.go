package main

import (
	"context"
	"time"
)

// engineCalm is how long after the start the PDF engine is compiled: whatever
// waited for the service goes first.
const engineCalm = 15 * time.Second

// warmEngine compiles the PDF engine, unless that was done in an earlier run,
// so that the first scan need not wait some seconds for it.
func (s *service) warmEngine(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(engineCalm):
	}
	if err := s.scans.WarmPages(ctx, s.folder(folderEngine)); err != nil && ctx.Err() == nil {
		s.log.Warn().Err(err).Msg("the PDF engine could not be compiled ahead; the first scan waits for it")
	}
}
