// Package s3 keeps objects in a bucket of an S3-compatible server, by minio-go.
// Every put carries the SHA-256 of the stored octets, which the server checks,
// and keeps it as metadata; Sync reads objects back and compares, because many
// servers acknowledge before the disk has an object. PutOnce is one conditional
// request, never a multipart upload, on whose completion the condition would be
// lost.
package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"sekretariat/storage"
)

// Options say where the bucket is.
type Options struct {
	Endpoint  string // host:port
	Region    string
	Bucket    string // created if missing
	AccessKey string
	SecretKey string
	// PathStyle puts the bucket into the path instead of the host name.
	PathStyle bool
	// Insecure speaks plain HTTP: only on one machine.
	Insecure bool
	// CA is the file of an extra certificate authority, PEM.
	CA string
	// Settle is how long after a put an object is read back; default 60 s.
	Settle time.Duration
}

// settle is how long a server may keep acknowledged objects in memory only.
// Linux writes dirty pages after 30 s at the latest, by default.
const settle = 60 * time.Second

// Driver is a storage.Store in one bucket. It is safe for concurrent use, by
// any number of processes.
type Driver struct {
	core   minio.Core
	bucket string
	settle time.Duration
}

var _ storage.Store = (*Driver)(nil)

// Open connects, creates the bucket if it is missing, and checks that the
// server honours conditional puts, on which exactly-once rests.
func Open(ctx context.Context, o Options) (*Driver, error) {
	transport, err := transport(o)
	if err != nil {
		return nil, err
	}
	lookup := minio.BucketLookupAuto
	if o.PathStyle {
		lookup = minio.BucketLookupPath
	}
	client, err := minio.New(o.Endpoint, &minio.Options{
		Creds:        credentials.NewStaticV4(o.AccessKey, o.SecretKey, ""),
		Secure:       !o.Insecure,
		Region:       o.Region,
		BucketLookup: lookup,
		Transport:    transport,
		MaxRetries:   3, // storage.Staged repeats for longer
	})
	if err != nil {
		return nil, fmt.Errorf("object store %s: %w", o.Endpoint, err)
	}
	d := &Driver{core: minio.Core{Client: client}, bucket: o.Bucket, settle: o.Settle}
	if d.settle <= 0 {
		d.settle = settle
	}
	if err := d.prepare(ctx, o); err != nil {
		return nil, fmt.Errorf("object store %s, bucket %s: %w", o.Endpoint, o.Bucket, err)
	}
	return d, nil
}

func transport(o Options) (*http.Transport, error) {
	t, err := minio.DefaultTransport(!o.Insecure)
	if err != nil {
		return nil, err
	}
	t.MaxIdleConnsPerHost = 64
	if o.CA == "" {
		return t, nil
	}
	pem, err := os.ReadFile(o.CA)
	if err != nil {
		return nil, fmt.Errorf("certificate authority of the object store: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("certificate authority of the object store: no PEM certificate in %s", o.CA)
	}
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	t.TLSClientConfig.RootCAs = pool
	return t, nil
}

func (d *Driver) prepare(ctx context.Context, o Options) error {
	there, err := d.core.BucketExists(ctx, d.bucket)
	if err != nil {
		return fmt.Errorf("look for the bucket: %w", err)
	}
	if !there {
		err := d.core.MakeBucket(ctx, d.bucket, minio.MakeBucketOptions{Region: o.Region})
		if code := answer(err).Code; err != nil && code != "BucketAlreadyOwnedByYou" && code != "BucketAlreadyExists" {
			return fmt.Errorf("create the bucket: %w", err)
		}
	}
	return d.probe(ctx)
}

// ErrUnconditional: the server ignores If-None-Match, so that two processes
// could both win the same key.
var ErrUnconditional = errors.New("the server ignores conditional puts (If-None-Match): use another server")

// probe puts one object twice with the condition that it is not there.
func (d *Driver) probe(ctx context.Context) error {
	key := "probe/" + storage.NewPutToken()
	if err := d.PutOnce(ctx, key, storage.Bytes([]byte("first"))); err != nil {
		return fmt.Errorf("try a conditional put: %w", err)
	}
	err := d.PutOnce(ctx, key, storage.Bytes([]byte("second")))
	if derr := d.Delete(ctx, key); derr != nil {
		return fmt.Errorf("try a conditional put: %w", derr)
	}
	if !errors.Is(err, storage.ErrExists) {
		return errors.Join(ErrUnconditional, err)
	}
	return nil
}

// SettleTime is how long after its put an object is read back.
func (d *Driver) SettleTime() time.Duration { return d.settle }

// Head implements storage.Store.
func (d *Driver) Head(ctx context.Context, key string) (storage.Info, error) {
	if err := storage.ValidKey(key); err != nil {
		return storage.Info{}, err
	}
	info, err := d.core.StatObject(ctx, d.bucket, key, minio.StatObjectOptions{})
	if err != nil {
		return storage.Info{}, wrap("head", key, err)
	}
	return storage.Info{Key: key, Size: info.Size, Modified: info.LastModified.UTC()}, nil
}

// Delete implements storage.Store.
func (d *Driver) Delete(ctx context.Context, key string) error {
	if err := storage.ValidKey(key); err != nil {
		return err
	}
	err := wrap("delete", key, d.core.RemoveObject(ctx, d.bucket, key, minio.RemoveObjectOptions{}))
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	return err
}

// List implements storage.Store. S3 lists in lexical order, a page at a time.
func (d *Driver) List(ctx context.Context, prefix string, fn func(storage.Info) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for o := range d.core.ListObjectsIter(ctx, d.bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if o.Err != nil {
			return fmt.Errorf("list %s: %w", prefix, o.Err)
		}
		if err := fn(storage.Info{Key: o.Key, Size: o.Size, Modified: o.LastModified.UTC()}); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// wrap names action and key, and turns the server's answers into the errors of
// the contract.
func wrap(action, key string, err error) error {
	if err == nil {
		return nil
	}
	switch resp := answer(err); {
	case resp.Code == minio.NoSuchKey || resp.Code == "NotFound":
		err = storage.ErrNotFound
	case resp.Code == minio.PreconditionFailed:
		err = storage.ErrExists
	}
	return fmt.Errorf("%s %s: %w", action, key, err)
}

// answer is the server's error answer in err, empty if it is none.
func answer(err error) minio.ErrorResponse {
	var resp minio.ErrorResponse
	_ = errors.As(err, &resp)
	return resp
}
