package storage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"

	"sekretariat"
)

// Vault seals what belongs to a submission: every object gets an envelope of
// its own, whose content key is wrapped by the submission's data key, which is
// wrapped by the office key in the key store. It is safe for concurrent use.
type Vault struct {
	objects  Grouper
	keys     *KeyStore
	together bool // keys travel in the groups of objects
}

// SealItem is one object of a Commit: the plain content is either Spool or
// Body.
type SealItem struct {
	Key   string
	Spool *Spool
	Body  sekretariat.Body
	Once  bool // fails with ErrExists if the key is taken

	Patient bool // see Item.Patient
}

// NewVault returns the vault over the objects. If keys lies over
// objects.Keys(), data keys and objects become durable in one group.
func NewVault(objects Grouper, keys *KeyStore) *Vault {
	return &Vault{objects: objects, keys: keys, together: keys.store == objects.Keys()}
}

// Objects is the store below, for what is not sealed: register entries,
// journal, configuration.
func (v *Vault) Objects() Grouper { return v.objects }

// NewSpool returns a spool for a body of at most limit octets.
func (v *Vault) NewSpool(limit int64) (*Spool, error) {
	return newSpool(v.objects.TempFolder(), limit)
}

// Put seals and stores one object, replacing an older one.
func (v *Vault) Put(ctx context.Context, c sekretariat.CentreID, s sekretariat.SubmissionID, key string, body sekretariat.Body) error {
	return v.Commit(ctx, c, s, []SealItem{{Key: key, Body: body}})
}

// PutOnce seals and stores one object if the key is free, and returns
// ErrExists otherwise.
func (v *Vault) PutOnce(ctx context.Context, c sekretariat.CentreID, s sekretariat.SubmissionID, key string, body sekretariat.Body) error {
	return v.Commit(ctx, c, s, []SealItem{{Key: key, Body: body, Once: true}})
}

// Commit makes the submission's data key, if it has none, and all items
// durable as one group, in order. At the first Once item whose key is taken it
// stops with a *TakenError (an ErrExists); the items before it are stored. It
// returns ErrShredded if the submission was shredded. After any other error it
// may be repeated with the same spools.
func (v *Vault) Commit(ctx context.Context, c sekretariat.CentreID, s sekretariat.SubmissionID, items []SealItem) error {
	name, err := keyName(c, s)
	if err != nil {
		return err
	}
	bodies, done, err := v.bodies(items)
	defer done()
	if err != nil {
		return err
	}
	// A first put of a submission mostly finds no key: then looking for one
	// would be a request in vain.
	look := !slices.ContainsFunc(items, func(it SealItem) bool { return it.Once })
	for ; ; look = true {
		d, wrapped, err := v.dataKey(ctx, name, look)
		if err != nil {
			return err
		}
		err = v.commit(ctx, d, wrapped, items, bodies)
		var taken *TakenError
		if wrapped != nil && errors.As(err, &taken) && taken.Index < 0 {
			continue // somebody else was first with the key: use theirs
		}
		if err == nil || taken != nil {
			v.keys.remember(d)
		}
		return err
	}
}

// dataKey returns the submission's key, or a new one with its wrapped form
// that must be stored with it.
func (v *Vault) dataKey(ctx context.Context, name string, look bool) (*dataKey, []byte, error) {
	if !look {
		if d := v.keys.cached(name); d != nil {
			return d, nil, nil
		}
		return v.keys.create(name)
	}
	d, err := v.keys.load(ctx, name)
	if !errors.Is(err, ErrNotFound) {
		return d, nil, err
	}
	return v.keys.create(name)
}

// bodies spools plain bodies, so that they are sealed once even if the data
// key changes. done discards those spools.
func (v *Vault) bodies(items []SealItem) (spools []*Spool, done func(), err error) {
	var own []*Spool
	done = func() {
		for _, sp := range own {
			sp.Discard()
		}
	}
	for _, it := range items {
		sp := it.Spool
		if sp == nil {
			if sp, err = spoolBody(v.objects.TempFolder(), it.Body); err != nil {
				return nil, done, fmt.Errorf("seal %s: %w", it.Key, err)
			}
			own = append(own, sp)
		}
		spools = append(spools, sp)
	}
	return spools, done, nil
}

// commit stores one group. The index of its TakenError is that of items, -1
// for the data key.
func (v *Vault) commit(ctx context.Context, d *dataKey, wrapped []byte, items []SealItem, spools []*Spool) error {
	group := make([]Item, 0, len(items)+1)
	extra := 0
	if wrapped != nil {
		if v.together {
			group = append(group, Item{Key: d.name, Body: Bytes(wrapped), Once: true, target: keysTarget})
			extra = 1
		} else if err := v.keys.store.PutOnce(ctx, d.name, Bytes(wrapped)); errors.Is(err, ErrExists) {
			return &TakenError{Index: -1, Key: d.name}
		} else if err != nil {
			return err
		}
	}
	for i, it := range items {
		b, err := spools[i].sealFor(d, it.Key)
		if err != nil {
			return fmt.Errorf("seal %s: %w", it.Key, err)
		}
		group = append(group, Item{Key: it.Key, Body: b, Once: it.Once, Patient: it.Patient})
	}
	err := v.objects.PutAll(ctx, group)
	var taken *TakenError
	if errors.As(err, &taken) {
		return &TakenError{Index: taken.Index - extra, Key: taken.Key}
	}
	return err
}

// Open opens a sealed object for random access to its plain content. It
// returns ErrNotFound, ErrShredded, and ErrDamaged, also from reads, if the
// object is not what was stored under this key for this submission.
func (v *Vault) Open(ctx context.Context, c sekretariat.CentreID, s sekretariat.SubmissionID, key string) (Object, error) {
	name, err := keyName(c, s)
	if err != nil {
		return nil, err
	}
	sealed, err := v.objects.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	d, err := v.keys.load(ctx, name)
	if errors.Is(err, ErrNotFound) {
		err = fmt.Errorf("open %s: its data key is missing: %w", key, ErrDamaged)
	}
	if err != nil {
		return nil, errors.Join(err, sealed.Close())
	}
	o, err := openEnvelope(d, key, sealed)
	if err != nil {
		return nil, err
	}
	if err := o.checkEmpty(); err != nil {
		return nil, errors.Join(err, o.Close())
	}
	return o, nil
}

// ReadAll reads the plain content of an object of at most limit octets, and
// returns ErrTooLarge for a larger one.
func (v *Vault) ReadAll(ctx context.Context, c sekretariat.CentreID, s sekretariat.SubmissionID, key string, limit int64) ([]byte, error) {
	o, err := v.Open(ctx, c, s, key)
	if err != nil {
		return nil, err
	}
	defer o.Close()
	b, err := readObject(o, limit)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	return b, nil
}

// Check reads an object to its end and returns the digest and size of its
// plain content, or ErrDamaged.
func (v *Vault) Check(ctx context.Context, c sekretariat.CentreID, s sekretariat.SubmissionID, key string) (sekretariat.BodyFacts, error) {
	o, err := v.Open(ctx, c, s, key)
	if err != nil {
		return sekretariat.BodyFacts{}, err
	}
	defer o.Close()
	h := sha256.New()
	buf := make([]byte, chunkSize)
	for off := int64(0); off < o.Size(); off += chunkSize {
		if err := ctx.Err(); err != nil {
			return sekretariat.BodyFacts{}, err
		}
		n, err := o.ReadAt(buf[:min(chunkSize, o.Size()-off)], off)
		if err != nil && !errors.Is(err, io.EOF) {
			return sekretariat.BodyFacts{}, err
		}
		h.Write(buf[:n])
	}
	return sekretariat.BodyFacts{SHA256: sekretariat.Digest(hex.EncodeToString(h.Sum(nil))), Size: o.Size()}, nil
}

// Shred destroys the submission's data key: none of its objects can be read
// again, and no new ones stored. Other processes may still read it for a
// minute; copies of the key in backups of the key store outlive it until those
// are destroyed.
func (v *Vault) Shred(ctx context.Context, c sekretariat.CentreID, s sekretariat.SubmissionID) error {
	name, err := keyName(c, s)
	if err != nil {
		return err
	}
	return v.keys.shred(ctx, name)
}

// Shredded tells whether the submission was shredded. It returns ErrNotFound
// if it never had a key.
func (v *Vault) Shredded(ctx context.Context, c sekretariat.CentreID, s sekretariat.SubmissionID) (bool, error) {
	name, err := keyName(c, s)
	if err != nil {
		return false, err
	}
	b, err := v.keys.read(ctx, name)
	if err != nil {
		return false, err
	}
	if _, err := v.keys.unwrap(name, b); errors.Is(err, ErrShredded) {
		return true, nil
	} else if err != nil {
		return false, err
	}
	return false, nil
}
