package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"sekretariat"
	"sekretariat/storage"
)

// Claims are kept twice, for they cannot be derived: which twin was first, whose
// credentials were revoked. The bucket decides who was first; the object store
// has a copy of each, so that a ledger that is lost and made again does not
// forget them (invariant I6). A claim that is repeated after a crash between the
// two writes its copy then.

// mirrorPrefix is where the copies lie.
const mirrorPrefix = "i/claims/"

// mirrored is one copy.
type mirrored struct {
	Key   string `json:"key"`
	Value []byte `json:"value"`
}

func mirrorKey(key string) string {
	return mirrorPrefix + string(sekretariat.DigestOf([]byte(key))) + ".json"
}

// mirror keeps a copy of a claim. The first one stands, as in the bucket.
func (l *Ledger) mirror(ctx context.Context, key string, value []byte) error {
	if l.o.Objects == nil {
		return nil
	}
	raw, err := json.Marshal(mirrored{key, value})
	if err != nil {
		return fmt.Errorf("encode the copy of claim %s: %w", key, err)
	}
	if err := l.o.Objects.PutOnce(ctx, mirrorKey(key), bytes.NewReader(raw)); err != nil && !errors.Is(err, storage.ErrExists) {
		return fmt.Errorf("keep the copy of claim %s: %w", key, err)
	}
	return nil
}

// keyRestored says that the bucket has what the copies have. A bucket without
// it is new, or its filling was interrupted.
const keyRestored = "restored"

// restoreClaims fills a new bucket from the copies.
func (l *Ledger) restoreClaims(ctx context.Context) error {
	if l.o.Objects == nil {
		return nil
	}
	_, _, err := l.kvGet(ctx, bucketClaims, keyRestored)
	if !isNotFound(err) {
		return err
	}
	n := 0
	err = l.o.Objects.List(ctx, mirrorPrefix, func(i storage.Info) error {
		m, err := l.readMirror(ctx, i.Key)
		if err != nil {
			return err
		}
		if _, err := l.kvPut(ctx, bucketClaims, m.Key, m.Value, 0); err != nil && !errors.Is(err, ErrConflict) {
			return err
		}
		n++
		return nil
	})
	if err != nil {
		return fmt.Errorf("restore claims from their copies: %w", err)
	}
	if n > 0 {
		l.log.Warn().Int("claims", n).Msg("the ledger had lost its claims; they are restored from their copies")
	}
	if _, err := l.kvPut(ctx, bucketClaims, keyRestored, []byte("yes"), 0); err != nil && !errors.Is(err, ErrConflict) {
		return err
	}
	return nil
}

// maxMirrored bounds a copy that is read, octets.
const maxMirrored = maxPayload

func (l *Ledger) readMirror(ctx context.Context, key string) (mirrored, error) {
	var m mirrored
	o, err := l.o.Objects.Get(ctx, key)
	if err != nil {
		return m, err
	}
	defer o.Close()
	raw, err := io.ReadAll(io.NewSectionReader(o, 0, min(o.Size(), 2*maxMirrored)))
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(raw, &m); err != nil || mirrorKey(m.Key) != key {
		return m, fmt.Errorf("copy of a claim %s: %w", key, storage.ErrDamaged)
	}
	return m, nil
}
