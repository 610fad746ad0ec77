package storage_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/storage"
)

// gate is a driver that can be shut: then it takes nothing, like a server that
// is away.
type gate struct {
	storage.Store
	shut atomic.Bool
}

var errShut = errors.New("the store is away")

func (g *gate) Put(ctx context.Context, key string, body sekretariat.Body) error {
	if g.shut.Load() {
		return errShut
	}
	return g.Store.Put(ctx, key, body)
}

func (g *gate) PutOnce(ctx context.Context, key string, body sekretariat.Body) error {
	if g.shut.Load() {
		return errShut
	}
	return g.Store.PutOnce(ctx, key, body)
}

func (g *gate) Delete(ctx context.Context, key string) error {
	if g.shut.Load() {
		return errShut
	}
	return g.Store.Delete(ctx, key)
}

// proving is a driver that proves single objects, as s3 does.
type proving struct{ storage.Store }

func (proving) SettleTime() time.Duration { return time.Millisecond }

func (p proving) Sync(ctx context.Context, keys []string) error {
	if keys == nil {
		return errors.New("sync without keys")
	}
	for _, k := range keys {
		if _, err := p.Head(ctx, k); err != nil {
			return err
		}
	}
	return nil
}

// SettleTime passes on what the driver says.
func (g *gate) SettleTime() time.Duration {
	if d, ok := g.Store.(interface{ SettleTime() time.Duration }); ok {
		return d.SettleTime()
	}
	return 0
}

// opened is a Staged with its driver in reach.
type opened struct {
	*storage.Staged
	gate *gate
	root string
}

func reopen(root string, driver storage.Store, o storage.StagedOptions) (*opened, error) {
	g := &gate{Store: driver}
	s, err := storage.OpenStaged(context.Background(), filepath.Join(root, "staging"), g, o)
	return &opened{s, g, root}, err
}

func mustOpen(t testing.TB, root string, driver storage.Store, o storage.StagedOptions) *opened {
	t.Helper()
	o.Logger = zerolog.New(zerolog.NewTestWriter(t))
	s, err := reopen(root, driver, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.abandon() })
	return s
}

// abandon stops without giving the driver anything more, as a crash does.
func (o *opened) abandon() error {
	o.gate.shut.Store(true)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return o.Close(ctx)
}

func item(key, content string) storage.Item {
	return storage.Item{Key: key, Body: storage.Bytes([]byte(content))}
}

func once(key, content string) storage.Item {
	i := item(key, content)
	i.Once = true
	return i
}

func mustPutAll(t testing.TB, s storage.Grouper, items ...storage.Item) {
	t.Helper()
	if err := s.PutAll(context.Background(), items); err != nil {
		t.Fatal(err)
	}
}

// contents reads everything below prefix.
func contents(t testing.TB, s storage.Store) map[string]string {
	t.Helper()
	m := map[string]string{}
	err := s.List(context.Background(), "", func(i storage.Info) error {
		m[i.Key] = string(stored(t, s, i.Key))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func want(t testing.TB, s storage.Store, m map[string]string) {
	t.Helper()
	if got := contents(t, s); !maps.Equal(got, m) {
		t.Fatalf("stored:\n%s\nwant:\n%s", describe(got), describe(m))
	}
}

func describe(m map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&b, "  %s = %.40q (%d)\n", k, m[k], len(m[k]))
	}
	return b.String()
}
