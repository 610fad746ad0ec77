package s3

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"

	"sekretariat"
	"sekretariat/storage"
)

// The metadata of every object.
const (
	metaDigest = "Sha256" // of the stored octets, hex
	metaToken  = "Put"    // names the put that wrote it
)

// Put implements storage.Store.
func (d *Driver) Put(ctx context.Context, key string, body sekretariat.Body) error {
	return d.put(ctx, key, body, storage.NewPutToken(), false)
}

// PutAs is Put with the token that Prove asks for.
func (d *Driver) PutAs(ctx context.Context, key string, body sekretariat.Body, token string) error {
	return d.put(ctx, key, body, token, false)
}

// PutOnce implements storage.Store.
func (d *Driver) PutOnce(ctx context.Context, key string, body sekretariat.Body) error {
	return d.PutOnceAs(ctx, key, body, storage.NewPutToken())
}

// conflicts is how often a put is repeated that ran into another one in flight
// (409, which Amazon answers instead of deciding).
const conflicts = 20

// lookFirst is the size from which a body is not sent on the off chance.
const lookFirst = 1 << 20

// PutOnceAs is PutOnce that can be repeated with the same token: an object
// that carries the token is our own, from an attempt whose answer was lost.
func (d *Driver) PutOnceAs(ctx context.Context, key string, body sekretariat.Body, token string) error {
	if err := storage.ValidKey(key); err != nil {
		return err
	}
	for attempt := 0; ; attempt++ {
		var err error
		if body.Size() < lookFirst || attempt > 0 {
			if err = d.put(ctx, key, body, token, true); err == nil {
				return nil
			}
		}
		// A refusal, or no answer at all: a server that refuses a large body
		// hangs up in the middle of it.
		mine, there, herr := d.mine(ctx, key, token)
		busy := answer(err).StatusCode == http.StatusConflict
		switch {
		case herr != nil:
			return errors.Join(err, fmt.Errorf("put %s: look whose it is: %w", key, herr))
		case mine:
			return nil
		case there:
			return fmt.Errorf("put %s: %w", key, storage.ErrExists)
		case attempt == conflicts || (err != nil && !busy && !errors.Is(err, storage.ErrExists)):
			return err
		case err == nil:
			continue // it is free: send it
		}
		// In conflict with another put, or deleted meanwhile: free again.
		select {
		case <-time.After(time.Duration(attempt+1) * 10 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("put %s: %w", key, ctx.Err())
		}
	}
}

// mine tells whether the object under key was written by the put that token
// names, and whether there is one at all.
func (d *Driver) mine(ctx context.Context, key, token string) (mine, there bool, err error) {
	info, err := d.core.StatObject(ctx, d.bucket, key, minio.StatObjectOptions{})
	err = wrap("head", key, err)
	if errors.Is(err, storage.ErrNotFound) {
		return false, false, nil
	}
	return info.UserMetadata[metaToken] == token, true, err
}

func (d *Driver) put(ctx context.Context, key string, body sekretariat.Body, token string, once bool) error {
	if err := storage.ValidKey(key); err != nil {
		return err
	}
	sum, err := digest(ctx, io.NewSectionReader(body, 0, body.Size()), body.Size())
	if err != nil {
		return fmt.Errorf("put %s: read body: %w", key, err)
	}
	o := minio.PutObjectOptions{
		UserMetadata: map[string]string{
			"x-amz-checksum-sha256": base64.StdEncoding.EncodeToString(sum),
			metaDigest:              hex.EncodeToString(sum),
			metaToken:               token,
		},
		DisableContentSha256: true, // no signature per chunk: the digest is signed as a whole
	}
	if once {
		o.SetMatchETagExcept("*")
	}
	// A single request whatever the size: minio-go drops the condition when it
	// completes a multipart upload. The digest is part of the signature, which
	// every server checks, and the check sum that it keeps.
	_, err = d.core.PutObject(ctx, d.bucket, key, io.NewSectionReader(body, 0, body.Size()), body.Size(), "", hex.EncodeToString(sum), o)
	return wrap("put", key, err)
}

// digest reads exactly size octets and returns their SHA-256.
func digest(ctx context.Context, r io.Reader, size int64) ([]byte, error) {
	h := sha256.New()
	buf := make([]byte, min(256<<10, size))
	var n int64
	for n < size {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		got, err := r.Read(buf[:min(int64(len(buf)), size-n)])
		h.Write(buf[:got])
		n += int64(got)
		if err != nil && n < size {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return h.Sum(nil), nil
}
