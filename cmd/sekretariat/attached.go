package main

import (
	"context"
	"errors"
	"time"

	"sekretariat/storage"
)

// lagging is the object store of a running service seen from another process:
// what the service has acknowledged lies in its staging log first and becomes a
// file a moment later. So an object that is missing is looked for again, until
// everything that was announced before we came must have become files.
type lagging struct {
	storage.Store
	until time.Time
}

// maxLag is how far the files of a service under load may be behind.
const maxLag = 20 * time.Second

func newLagging(s storage.Store) storage.Store { return lagging{s, time.Now().Add(maxLag)} }

// Get implements storage.Store.
func (l lagging) Get(ctx context.Context, key string) (storage.Object, error) {
	return again(ctx, l.until, func() (storage.Object, error) { return l.Store.Get(ctx, key) })
}

// Head implements storage.Store.
func (l lagging) Head(ctx context.Context, key string) (storage.Info, error) {
	return again(ctx, l.until, func() (storage.Info, error) { return l.Store.Head(ctx, key) })
}

func again[T any](ctx context.Context, until time.Time, look func() (T, error)) (T, error) {
	for {
		v, err := look()
		if !errors.Is(err, storage.ErrNotFound) || time.Now().After(until) {
			return v, err
		}
		select {
		case <-ctx.Done():
			return v, err
		case <-time.After(100 * time.Millisecond):
		}
	}
}
