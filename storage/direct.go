package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// Direct is a Grouper without a staging log, for one-off commands: every put
// goes to the driver at once, and is as durable as the driver makes it.
type Direct struct {
	Store
	keys Store
	temp string
}

var _ Grouper = (*Direct)(nil)

// NewDirect returns a Grouper over the drivers of objects and wrapped keys.
// Large bodies are spooled below temp, which is created when it is needed; ""
// means the system's folder.
func NewDirect(objects, keys Store, temp string) *Direct {
	if temp == "" {
		temp = os.TempDir()
	}
	return &Direct{Store: objects, keys: keys, temp: temp}
}

// Keys implements Grouper.
func (d *Direct) Keys() Store { return d.keys }

// TempFolder implements Grouper.
func (d *Direct) TempFolder() string { return d.temp }

// PutAll implements Grouper, one item after the other.
func (d *Direct) PutAll(ctx context.Context, items []Item) error {
	for i, it := range items {
		s := d.Store
		if it.target == keysTarget {
			s = d.keys
		}
		put := s.Put
		if it.Once {
			put = s.PutOnce
		}
		err := put(ctx, it.Key, it.Body)
		if errors.Is(err, ErrExists) {
			return &TakenError{Index: i, Key: it.Key}
		}
		if err != nil {
			return fmt.Errorf("item %d of %d: %w", i+1, len(items), err)
		}
	}
	return nil
}
