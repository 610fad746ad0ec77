package register

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"sekretariat"
	"sekretariat/storage"
)

// ErrOtherEntry: the key of an entry holds another entry, or damaged octets.
var ErrOtherEntry = errors.New("the key of the register entry holds something else")

// maxEntry bounds what is read as an entry, octets; real ones have below 1 kB.
const maxEntry = 16 << 10

// writeTogether is how many entries are made durable together.
const writeTogether = 256

// grouper is a store that makes several objects durable together.
type grouper interface {
	PutAll(ctx context.Context, items []storage.Item) error
}

// WriteEntries stores entries under their keys, each once and in order. An
// identical entry that is there already is fine; ErrOtherEntry otherwise.
func WriteEntries(ctx context.Context, store storage.Store, entries []sekretariat.Entry) error {
	g, together := store.(grouper)
	for len(entries) > 0 {
		n := 1
		if together {
			n = min(len(entries), writeTogether)
		}
		items, err := entryItems(entries[:n])
		if err != nil {
			return err
		}
		if together {
			err = g.PutAll(ctx, items)
		} else {
			err = store.PutOnce(ctx, items[0].Key, items[0].Body)
		}
		switch {
		case err == nil:
			entries = entries[n:]
		case errors.Is(err, storage.ErrExists):
			// A crash, or another registrar, has written some already.
			if entries, err = unwritten(ctx, store, entries); err != nil {
				return fmt.Errorf("write register entries: %w", err)
			}
		default:
			return fmt.Errorf("write register entries: %w", err)
		}
	}
	return nil
}

func entryItems(entries []sekretariat.Entry) ([]storage.Item, error) {
	items := make([]storage.Item, len(entries))
	for i, e := range entries {
		raw, err := EncodeEntry(e)
		if err != nil {
			return nil, err
		}
		items[i] = storage.Item{Key: storage.EntryKey(e.Centre, e.Number), Body: storage.Bytes(raw), Once: true}
	}
	return items, nil
}

// unwritten returns the entries whose keys are free, having compared all
// others.
func unwritten(ctx context.Context, store storage.Store, entries []sekretariat.Entry) ([]sekretariat.Entry, error) {
	var free []sekretariat.Entry
	for _, e := range entries {
		switch err := sameEntry(ctx, store, e); {
		case errors.Is(err, storage.ErrNotFound):
			free = append(free, e)
		case err != nil:
			return nil, err
		}
	}
	return free, nil
}

// sameEntry compares an entry with what the store holds under its key, octet
// by octet: entries are written by one function.
func sameEntry(ctx context.Context, store storage.Store, e sekretariat.Entry) error {
	want, err := EncodeEntry(e)
	if err != nil {
		return err
	}
	key := storage.EntryKey(e.Centre, e.Number)
	got, err := readSmall(ctx, store, key, maxEntry)
	if errors.Is(err, storage.ErrTooLarge) || err == nil && !bytes.Equal(got, want) {
		return fmt.Errorf("%s: %w", key, ErrOtherEntry)
	}
	return err
}

// ReadEntry reads the entry of a number. It returns storage.ErrNotFound when
// there is none, ErrBroken when it is damaged.
func ReadEntry(ctx context.Context, store storage.Store, centre sekretariat.CentreID, n sekretariat.Number) (sekretariat.Entry, error) {
	raw, err := readSmall(ctx, store, storage.EntryKey(centre, n), maxEntry)
	if errors.Is(err, storage.ErrTooLarge) {
		err = errors.Join(err, ErrBroken)
	}
	if err != nil {
		return sekretariat.Entry{}, err
	}
	return DecodeEntry(raw)
}

// readSmall reads an object of at most limit octets. Returns ErrTooLarge.
func readSmall(ctx context.Context, store storage.Store, key string, limit int64) ([]byte, error) {
	o, err := store.Get(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	defer o.Close()
	if o.Size() > limit {
		return nil, fmt.Errorf("read %s (%d octets): %w", key, o.Size(), storage.ErrTooLarge)
	}
	raw := make([]byte, o.Size())
	if _, err := io.ReadFull(io.NewSectionReader(o, 0, o.Size()), raw); err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	return raw, nil
}

// hasEntry tells whether the store has an entry under a number.
func hasEntry(ctx context.Context, store storage.Store, centre sekretariat.CentreID, n sekretariat.Number) (bool, error) {
	_, err := store.Head(ctx, storage.EntryKey(centre, n))
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for entry %s: %w", n.Identifier(), err)
	}
	return true, nil
}

// lastWhere returns the greatest n ≥ from for which has holds, given that it
// holds for from and for everything up to that n, by doubling and halving.
func lastWhere(from int, has func(n int) (bool, error)) (int, error) {
	low, high := from, 0 // has(low) holds; has(high) does not, once high > 0
	for step := 1; high == 0; step *= 2 {
		ok, err := has(low + step)
		switch {
		case err != nil:
			return 0, err
		case ok:
			low += step
		default:
			high = low + step
		}
	}
	for high-low > 1 {
		mid := low + (high-low)/2
		ok, err := has(mid)
		switch {
		case err != nil:
			return 0, err
		case ok:
			low = mid
		default:
			high = mid
		}
	}
	return low, nil
}
