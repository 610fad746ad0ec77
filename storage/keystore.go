package storage

import (
	"container/list"
	"context"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"sekretariat"
)

// A wrapped data key, see docs/storage.md: magic, version, kind, office key
// id, nonce, sealed key. A tombstone has the kind and a time instead.
const (
	wrapMagic     = "SKDK"
	wrapVersion   = 1
	wrapKey       = 1
	wrapTombstone = 2
	wrapHeader    = 8
	nonceSize     = 12
	tagSize       = 16
	maxWrapped    = 1 << 10
)

// The cache of unwrapped data keys. The time limit is how long another process
// may still read a submission after it was shredded.
const (
	cachedKeys   = 4096
	cachedKeyAge = time.Minute
)

// KeyStore keeps one data key per submission, wrapped by the office key, in a
// store of its own, so that it can be backed up, and deleted, apart from the
// objects.
type KeyStore struct {
	store  Store
	office *OfficeKeys

	mu    sync.Mutex
	cache map[string]*list.Element
	used  *list.List // most recently used first
}

// dataKey is a submission's key, ready for use.
type dataKey struct {
	name string // under which it is stored
	aead cipher.AEAD
	at   time.Time
}

// NewKeyStore returns the key store over a store that holds nothing else.
func NewKeyStore(store Store, office *OfficeKeys) *KeyStore {
	return &KeyStore{store: store, office: office, cache: map[string]*list.Element{}, used: list.New()}
}

// keyName is where the key of a submission lies.
func keyName(c sekretariat.CentreID, s sekretariat.SubmissionID) (string, error) {
	if !sekretariat.ValidSlug(string(c)) {
		return "", fmt.Errorf("centre id %q: %w", c, ErrBadKey)
	}
	if _, err := sekretariat.ParseSubmissionID(string(s)); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s/%s/%s", c, s[:3], s), nil
}

// load returns the key. It returns ErrNotFound and ErrShredded, and ErrDamaged
// if the wrapped key is not what was stored.
func (k *KeyStore) load(ctx context.Context, name string) (*dataKey, error) {
	if d := k.cached(name); d != nil {
		return d, nil
	}
	b, err := k.read(ctx, name)
	if err != nil {
		return nil, err
	}
	d, err := k.unwrap(name, b)
	if err != nil {
		return nil, fmt.Errorf("data key %s: %w", name, err)
	}
	k.remember(d)
	return d, nil
}

func (k *KeyStore) read(ctx context.Context, name string) ([]byte, error) {
	o, err := k.store.Get(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("data key: %w", err)
	}
	defer o.Close()
	b, err := readObject(o, maxWrapped)
	if errors.Is(err, ErrTooLarge) {
		err = ErrDamaged
	}
	if err != nil {
		return nil, fmt.Errorf("data key %s: %w", name, err)
	}
	return b, nil
}

// create makes a new key and its wrapped form. It is the submission's key only
// once the wrapped form was stored with PutOnce.
func (k *KeyStore) create(name string) (*dataKey, []byte, error) {
	key := make([]byte, keySize)
	rand.Read(key)
	aead, err := newAEAD(key)
	if err != nil {
		return nil, nil, err
	}
	office := k.office.keys[0]
	b := append([]byte(wrapMagic), wrapVersion, wrapKey, byte(len(office.id)), 0)
	b = append(b, office.id...)
	aad := wrapAAD(b, name)
	nonce := make([]byte, nonceSize)
	rand.Read(nonce)
	b = append(b, nonce...)
	b = office.aead.Seal(b, nonce, key, aad)
	return &dataKey{name: name, aead: aead, at: time.Now()}, b, nil
}

// wrapAAD binds a wrapped key to its header and its submission.
func wrapAAD(header []byte, name string) []byte {
	return append(append([]byte("sekretariat/datakey\x00"), header...), name...)
}

func (k *KeyStore) unwrap(name string, b []byte) (*dataKey, error) {
	if len(b) < wrapHeader || string(b[:4]) != wrapMagic || b[4] != wrapVersion {
		return nil, fmt.Errorf("no wrapped key of version %d: %w", wrapVersion, ErrDamaged)
	}
	if b[5] == wrapTombstone {
		return nil, ErrShredded
	}
	n := wrapHeader + int(b[6])
	if b[5] != wrapKey || len(b) != n+nonceSize+keySize+tagSize {
		return nil, fmt.Errorf("wrapped key of %d octets: %w", len(b), ErrDamaged)
	}
	id := string(b[wrapHeader:n])
	office := k.office.find(id)
	if office == nil {
		return nil, fmt.Errorf("office key %q is not in the office key file: add its line", id)
	}
	key, err := office.Open(nil, b[n:n+nonceSize], b[n+nonceSize:], wrapAAD(b[:n], name))
	if err != nil {
		return nil, fmt.Errorf("the office key %q does not open it: %w", id, ErrDamaged)
	}
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	return &dataKey{name: name, aead: aead, at: time.Now()}, nil
}

// shred replaces the key by a tombstone, so that it cannot be made again.
func (k *KeyStore) shred(ctx context.Context, name string) error {
	b := append([]byte(wrapMagic), wrapVersion, wrapTombstone, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(time.Now().Unix()))
	if err := k.store.Put(ctx, name, Bytes(b)); err != nil {
		return fmt.Errorf("shred data key: %w", err)
	}
	k.forget(name)
	return nil
}

func (k *KeyStore) cached(name string) *dataKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	el := k.cache[name]
	if el == nil {
		return nil
	}
	d := el.Value.(*dataKey)
	if time.Since(d.at) > cachedKeyAge {
		k.used.Remove(el)
		delete(k.cache, name)
		return nil
	}
	k.used.MoveToFront(el)
	return d
}

func (k *KeyStore) remember(d *dataKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if el := k.cache[d.name]; el != nil {
		el.Value = d
		k.used.MoveToFront(el)
		return
	}
	k.cache[d.name] = k.used.PushFront(d)
	if k.used.Len() > cachedKeys {
		last := k.used.Back()
		k.used.Remove(last)
		delete(k.cache, last.Value.(*dataKey).name)
	}
}

func (k *KeyStore) forget(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if el := k.cache[name]; el != nil {
		k.used.Remove(el)
		delete(k.cache, name)
	}
}
