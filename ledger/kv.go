package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// The buckets of an installation. They are NATS key-value buckets, so that the
// nats command shows them; we read at the leader and write on conditions.
const (
	bucketLeases  = "SK-LEASES"
	bucketCursors = "SK-CURSORS"
	bucketClaims  = "SK-CLAIMS"
)

func bucketConfig(bucket string, replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              "KV_" + bucket,
		Subjects:          []string{"$KV." + bucket + ".>"},
		Retention:         jetstream.LimitsPolicy,
		Discard:           jetstream.DiscardNew,
		Storage:           jetstream.FileStorage,
		Replicas:          replicas,
		MaxMsgsPerSubject: 1,
		MaxMsgSize:        maxPayload,
		DenyDelete:        true,
		AllowRollup:       true,
	}
}

// kvGet reads a key; ErrNotFound. The revision is the condition of kvPut.
func (l *Ledger) kvGet(ctx context.Context, bucket, key string) ([]byte, uint64, error) {
	m, err := l.c.get(ctx, "KV_"+bucket, msgGet{Last: "$KV." + bucket + "." + key})
	if err != nil {
		return nil, 0, fmt.Errorf("%s %s: %w", bucket, key, err)
	}
	return m.Data, m.Seq, nil
}

// kvPut writes a key if its revision is rev (0: never written; AnySeq: no
// condition); ErrConflict. A lost answer is found out about.
func (l *Ledger) kvPut(ctx context.Context, bucket, key string, value []byte, rev uint64) (uint64, error) {
	subject := "$KV." + bucket + "." + key
	if !validSubject(key) {
		return 0, fmt.Errorf("%s: %q is not a key", bucket, key)
	}
	if err := l.enter(); err != nil {
		return 0, err
	}
	defer l.calls.Done()
	p := newPending(ctx, subject, rev, value)
	var b backoff
	for {
		seq, err := l.c.publish(ctx, []*pending{p}, AnySeq)
		switch {
		case err == nil:
			return seq, nil
		case final(err):
			return 0, fmt.Errorf("%s %s: %w", bucket, key, err)
		case !isConflict(err):
			p.unsure = true
		default:
			if _, rerr := l.c.resolve(ctx, "KV_"+bucket, []*pending{p}); rerr == nil {
				select {
				case o := <-p.done:
					if o.err != nil {
						return 0, fmt.Errorf("%s %s: %w", bucket, key, o.err)
					}
					return o.seq, nil
				default:
				}
			}
		}
		if werr := b.wait(ctx, l.life); werr != nil {
			return 0, fmt.Errorf("%s %s: outcome unknown: %w (last answer: %w)", bucket, key, werr, err)
		}
	}
}

// kvEach calls fn for each key that matches filter, in the order of writing;
// fn may write.
func (l *Ledger) kvEach(ctx context.Context, bucket, filter string, fn func(key string, value []byte, rev uint64) error) error {
	prefix := "$KV." + bucket + "."
	for seq := uint64(1); ; {
		m, err := l.c.get(ctx, "KV_"+bucket, msgGet{Seq: seq, Next: prefix + filter})
		if isNotFound(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", bucket, err)
		}
		if err := fn(strings.TrimPrefix(m.Subject, prefix), m.Data, m.Seq); err != nil {
			return err
		}
		seq = m.Seq + 1
	}
}

// appKey keeps the names that callers choose apart from our own.
func appKey(name string) string { return "app." + name }

// Cursor returns a value kept under a name, and its revision; ErrNotFound.
func (l *Ledger) Cursor(ctx context.Context, name string) ([]byte, uint64, error) {
	return l.kvGet(ctx, bucketCursors, appKey(name))
}

// SetCursor keeps value under a name, over what is there.
func (l *Ledger) SetCursor(ctx context.Context, name string, value []byte) error {
	_, err := l.kvPut(ctx, bucketCursors, appKey(name), value, AnySeq)
	return err
}

// Claim keeps value under a name unless there is one already, and returns the
// one that is there: the first wins for ever.
func (l *Ledger) Claim(ctx context.Context, name string, value []byte) ([]byte, error) {
	return l.claim(ctx, appKey(name), value)
}

func (l *Ledger) claim(ctx context.Context, key string, value []byte) ([]byte, error) {
	_, err := l.kvPut(ctx, bucketClaims, key, value, 0)
	if errors.Is(err, ErrConflict) {
		value, _, err = l.kvGet(ctx, bucketClaims, key)
	}
	if err != nil {
		return nil, err
	}
	return value, l.mirror(ctx, key, value)
}
