package api

import "context"

// unlockPart releases a part, or without a path the original, that the virus
// scanner locked by mistake: POST {"reason": …}.
func (a *api) unlockPart(ctx context.Context, c call) error {
	return a.command(c, func(cmd command) error {
		return c.c.Pipeline.Unlock(ctx, c.who, c.id, c.r.PathValue("path"), cmd.Reason)
	})
}

// lockPart takes that back.
func (a *api) lockPart(ctx context.Context, c call) error {
	return a.command(c, func(cmd command) error {
		return c.c.Pipeline.Lock(ctx, c.who, c.id, c.r.PathValue("path"), cmd.Reason)
	})
}
