package s3

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"sekretariat/storage"
)

// Get implements storage.Store. ctx must live as long as the object is read.
func (d *Driver) Get(ctx context.Context, key string) (storage.Object, error) {
	if err := storage.ValidKey(key); err != nil {
		return nil, err
	}
	body, info, _, err := d.core.GetObject(ctx, d.bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return nil, wrap("get", key, err)
	}
	return &object{d: d, ctx: ctx, key: key, size: info.Size, etag: info.ETag, stream: body}, nil
}

// object reads on in one response as long as it is read in order, and asks
// for another range when it is not.
type object struct {
	d    *Driver
	ctx  context.Context
	key  string
	size int64
	etag string

	mu     sync.Mutex
	stream io.ReadCloser // nil: none
	at     int64         // where stream stands
}

// Size implements storage.Object.
func (o *object) Size() int64 { return o.size }

// Close implements storage.Object.
func (o *object) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.drop()
}

func (o *object) drop() error {
	if o.stream == nil {
		return nil
	}
	err := o.stream.Close()
	o.stream = nil
	return err
}

// ReadAt implements storage.Object. An object that was replaced since Get is
// an error, never a mixture.
func (o *object) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read %s at %d: negative offset", o.key, off)
	}
	if off >= o.size {
		return 0, io.EOF
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	whole := len(p)
	p = p[:min(int64(len(p)), o.size-off)]
	if err := o.seek(off); err != nil {
		return 0, err
	}
	n, err := io.ReadFull(o.stream, p)
	o.at += int64(n)
	if err != nil {
		_ = o.drop() // the next read asks anew
		return n, fmt.Errorf("read %s at %d: %w", o.key, off+int64(n), err)
	}
	if n < whole {
		return n, io.EOF
	}
	return n, nil
}

// skip is how far reading on is cheaper than asking for another range.
const skip = 128 << 10

func (o *object) seek(off int64) error {
	if o.stream != nil && off >= o.at && off-o.at <= skip {
		n, err := io.CopyN(io.Discard, o.stream, off-o.at)
		o.at += n
		if err == nil {
			return nil
		}
	}
	_ = o.drop()
	opts := minio.GetObjectOptions{}
	if err := errors.Join(opts.SetRange(off, o.size-1), opts.SetMatchETag(o.etag)); err != nil {
		return fmt.Errorf("read %s at %d: %w", o.key, off, err)
	}
	body, _, _, err := o.d.core.GetObject(o.ctx, o.d.bucket, o.key, opts)
	if answer(err).Code == minio.PreconditionFailed {
		return fmt.Errorf("read %s at %d: it was replaced since it was opened", o.key, off)
	}
	if err != nil {
		return wrap("read", o.key, err)
	}
	o.stream, o.at = body, off
	return nil
}

// readers is how many objects Sync reads at a time.
const readers = 8

// Sync implements storage.Store: it reads each object back and compares it
// with the digest it was put with. It returns ErrNotFound or ErrDamaged for
// what the server lost.
func (d *Driver) Sync(ctx context.Context, keys []string) error {
	if keys == nil {
		return errors.New("read back: an S3 store can only prove objects by name")
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(readers)
	for _, key := range keys {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error { return d.readBack(ctx, key) })
	}
	return g.Wait()
}

func (d *Driver) readBack(ctx context.Context, key string) error {
	_, err := d.whole(ctx, key)
	return err
}

// whole reads an object to its end, compares it with the digest it was put
// with, and returns its token.
func (d *Driver) whole(ctx context.Context, key string) (token string, err error) {
	if err := storage.ValidKey(key); err != nil {
		return "", err
	}
	body, info, _, err := d.core.GetObject(ctx, d.bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return "", wrap("read back", key, err)
	}
	defer body.Close()
	sum, err := digest(ctx, body, info.Size)
	if err != nil {
		return "", fmt.Errorf("read back %s: %w", key, err)
	}
	if want := info.UserMetadata[metaDigest]; want != hex.EncodeToString(sum) {
		return "", fmt.Errorf("read back %s: digest %x, put with %q: %w", key, sum, want, storage.ErrDamaged)
	}
	return info.UserMetadata[metaToken], nil
}

// Prove returns nil if the object under key is whole and was written by the
// put that token names, or a later one. A server that lost power may come back
// with an older object: that is ErrDamaged, like any other change.
func (d *Driver) Prove(ctx context.Context, key, token string) error {
	got, err := d.whole(ctx, key)
	if err == nil && got < token {
		err = fmt.Errorf("read back %s: it holds the older put %q: %w", key, got, storage.ErrDamaged)
	}
	return err
}
