// Package storage keeps objects: every original, manifest, register entry,
// reading, journal. It knows nothing of what they are. One contract, Store,
// has two drivers: dir (plain files on one machine) and s3 (an S3 cluster);
// Staged wraps either with the staging log that makes a put durable before the
// driver is; Vault seals content in encrypted envelopes whose keys lie apart
// and can be shredded. docs/storage.md describes keys and formats.
package storage

import (
	"context"
	"errors"
	"io"
	"time"

	"sekretariat"
)

// The errors that callers distinguish; drivers wrap them with key and action.
var (
	// ErrNotFound: there is no object under the key.
	ErrNotFound = errors.New("no such object")
	// ErrExists: PutOnce found the key taken.
	ErrExists = errors.New("object exists already")
	// ErrDamaged: the stored bytes are not what was put: digest, length or
	// authentication tag do not fit. Never retried; always alarmed.
	ErrDamaged = errors.New("stored object is damaged")
	// ErrTooLarge: a body went over its hard limit.
	ErrTooLarge = errors.New("body is over the limit")
	// ErrShredded: the key of a sealed object was destroyed on purpose.
	ErrShredded = errors.New("key was shredded")
)

// Store is an object store. Keys are slash-separated, ASCII, without "." or
// ".." elements, and no key is a prefix directory of another. All
// implementations pass storetest.Run and are safe for concurrent use.
//
// Errors other than those above are transient unless Permanent says otherwise:
// the caller may repeat the call, every call is idempotent.
type Store interface {
	// Put writes the object, replacing an older one at once and whole: a
	// reader sees the old bytes or the new ones, never a mixture. When it
	// returns nil the object is visible to every reader of the store; whether
	// it survives a power failure is the driver's Durable rule.
	Put(ctx context.Context, key string, body sekretariat.Body) error
	// PutOnce writes the object only if the key is free; of several racing
	// callers exactly one succeeds. Returns ErrExists otherwise.
	PutOnce(ctx context.Context, key string, body sekretariat.Body) error
	// Get opens an object. Returns ErrNotFound.
	Get(ctx context.Context, key string) (Object, error)
	// Head tells size and time without opening. Returns ErrNotFound.
	Head(ctx context.Context, key string) (Info, error)
	// Delete removes an object; a missing one is no error.
	Delete(ctx context.Context, key string) error
	// List calls fn for each object below prefix (a string prefix of the key)
	// in lexical order, until fn returns an error, which List returns.
	List(ctx context.Context, prefix string, fn func(Info) error) error
	// Sync returns when every object put before the call is on stable
	// storage, as far as this driver can know it (dir: fsync; s3: re-read).
	Sync(ctx context.Context, keys []string) error
}

// Object is an opened object, readable at random. Close it.
type Object interface {
	sekretariat.Body
	io.Closer
}

// Info describes one stored object.
type Info struct {
	Key      string
	Size     int64 // stored octets
	Modified time.Time
}

// Item is one object of a group that is made durable together.
type Item struct {
	Key  string
	Body sekretariat.Body
	Once bool // PutOnce semantics
	// Patient: this item may wait a few milliseconds for others to share a
	// flush with. For what many goroutines put one by one.
	Patient bool

	target target // objects, or the wrapped keys that travel with them
}
