package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"sekretariat"
)

// layOut creates what belongs to the installation and not to one centre.
func (l *Ledger) layOut(ctx context.Context) error {
	for _, b := range []string{bucketLeases, bucketCursors, bucketClaims} {
		if err := l.ensureStream(ctx, bucketConfig(b, l.replicas)); err != nil {
			return err
		}
	}
	if err := l.restoreClaims(ctx); err != nil {
		return err
	}
	if err := l.ensureStream(ctx, advisoryConfig(l.replicas)); err != nil {
		return err
	}
	if l.embedded != nil {
		return l.freeOwnLeases(ctx)
	}
	return nil
}

// freeOwnLeases releases what an earlier process with this data folder held: it
// is gone, for we hold the folder's lock.
func (l *Ledger) freeOwnLeases(ctx context.Context) error {
	return l.kvEach(ctx, bucketLeases, ">", func(key string, value []byte, rev uint64) error {
		var v leaseValue
		if json.Unmarshal(value, &v) != nil || !v.Embedded || v.Holder == "" {
			return nil
		}
		free, err := json.Marshal(leaseValue{TTL: v.TTL})
		if err != nil {
			return err
		}
		if _, err := l.kvPut(ctx, bucketLeases, key, free, rev); err != nil && !errors.Is(err, ErrConflict) {
			return err
		}
		return nil
	})
}

func erasedKey(stream string, seq uint64) string { return fmt.Sprintf("erased.%s.%d", stream, seq) }

// Erase removes one event for good, for accidents only (the ledger holds no
// personal data). The erasure is recorded first, under a reason code, so that
// readers do not take the missing sequence for damage.
func (l *Ledger) Erase(ctx context.Context, c sekretariat.CentreID, s StreamName, seq uint64, reason string) error {
	stream := streamOf(c, s)
	if _, err := l.claim(ctx, erasedKey(stream, seq), []byte(reason)); err != nil {
		return fmt.Errorf("recording the erasure of %s %d: %w", stream, seq, err)
	}
	err := l.c.api(ctx, "STREAM.MSG.DELETE."+stream, map[string]any{"seq": seq}, nil)
	if err == nil {
		return nil
	}
	if _, gerr := l.c.get(ctx, stream, msgGet{Seq: seq}); isNotFound(gerr) {
		return nil // the repeat of a call
	}
	return fmt.Errorf("erasing %s %d: %w", stream, seq, err)
}

// requireErased checks that each missing sequence was erased on purpose, and
// returns a *GapError that names those that were not.
func (l *Ledger) requireErased(ctx context.Context, stream string, first, last uint64) error {
	for seq := first; seq <= last; seq++ {
		_, _, err := l.kvGet(ctx, bucketClaims, erasedKey(stream, seq))
		if isNotFound(err) {
			return &GapError{Stream: stream, First: seq, Last: last}
		}
		if err != nil {
			return err
		}
	}
	return nil
}
