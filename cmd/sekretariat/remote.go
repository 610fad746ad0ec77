package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/ingest/epuap"
	"sekretariat/pipeline"
)

// repositories are the file repositories of a centre's accounts, by account. It
// fulfils pipeline.Remote.
type repositories struct {
	byAccount map[string]*epuap.Repository
	limits    map[string]int64
}

// remoteOf makes them; nil if no account has one.
func (s *service) remoteOf(c *configs.Centre, log zerolog.Logger) (pipeline.Remote, error) {
	r := repositories{byAccount: map[string]*epuap.Repository{}, limits: map[string]int64{}}
	for _, e := range c.EPUAP {
		if e.Off || e.Repository == "" || !s.roles.ingest {
			continue
		}
		repo, err := epuap.NewRepository(epuap.Options{Centre: c.ID, Account: e, Clock: sekretariat.SystemClock, Logger: log})
		if err != nil {
			return nil, fmt.Errorf("skrytka %s: %w", e.ID, err)
		}
		r.byAccount[e.ID], r.limits[e.ID] = repo, e.MaxFile
	}
	if len(r.byAccount) == 0 {
		return nil, nil
	}
	return r, nil
}

// Accounts fulfils pipeline.Remote.
func (r repositories) Accounts() []string { return slices.Sorted(maps.Keys(r.byAccount)) }

// Limit fulfils pipeline.Remote.
func (r repositories) Limit(account string) int64 { return r.limits[account] }

// Fetch fulfils pipeline.Remote.
func (r repositories) Fetch(ctx context.Context, account, id string, w io.Writer) error {
	repo := r.byAccount[account]
	if repo == nil {
		return pipeline.ErrRemoteOff
	}
	_, err := repo.Fetch(ctx, id, w)
	switch {
	case errors.Is(err, epuap.ErrGone):
		return fmt.Errorf("%w: %w", pipeline.ErrRemoteGone, err)
	case errors.Is(err, epuap.ErrFileTooLarge):
		return fmt.Errorf("%w: %w", pipeline.ErrRemoteTooLarge, err)
	}
	return err
}
