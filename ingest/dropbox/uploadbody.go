package dropbox

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"path"
	"strings"
	"time"

	"sekretariat"
	"sekretariat/storage"
)

// formOverhead is what a form may carry beside the file: boundaries, headers
// and small fields.
const formOverhead = 64 << 10

// paced sets the deadline of the connection anew for each 64 KiB that came, so
// that a client may be slow but not stand still, nor drip octets.
type paced struct {
	r       io.Reader
	control *http.ResponseController
	stall   time.Duration
	credit  int // octets until the next deadline
}

func (p *paced) Read(b []byte) (int, error) {
	if p.credit <= 0 {
		// Without deadlines (a test without a connection) the server's apply.
		_ = p.control.SetReadDeadline(time.Now().Add(p.stall))
		p.credit = 64 << 10
	}
	n, err := p.r.Read(b)
	p.credit -= n
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = errSlow
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = errTruncated
	}
	return n, err
}

// checkedBody reads the file and hashes it. At its end, before the receiver
// learns of the end, end decides whether the file may be kept: so what is
// refused there is never durable.
type checkedBody struct {
	r     io.Reader
	limit int64 // 0 = none
	end   func(sekretariat.Digest, int64) error
	hash  hash.Hash
	size  int64
	err   error // what ended reading, if not the regular end
	done  bool
}

func (c *checkedBody) Read(b []byte) (int, error) {
	switch {
	case c.err != nil:
		return 0, c.err
	case c.done:
		return 0, io.EOF
	case c.hash == nil:
		c.hash = sha256.New()
	}
	n, err := c.r.Read(b)
	c.hash.Write(b[:n])
	c.size += int64(n)
	switch {
	case c.limit > 0 && c.size > c.limit:
		c.err = errTooLarge
	case err == io.EOF:
		c.err = c.end(sekretariat.Digest(hex.EncodeToString(c.hash.Sum(nil))), c.size)
		c.done = c.err == nil
		if c.done {
			return n, io.EOF
		}
	case err != nil:
		c.err = fmt.Errorf("read the upload: %w", err)
	}
	return n, c.err
}

// form is the one file of a multipart/form-data body.
type form struct {
	parts *multipart.Reader
	file  *multipart.Part
	name  string
}

// maxFields bounds the parts of a form that are not the file.
const maxFields = 16

// openForm finds the file of a form. ok is false if the body is no form.
func openForm(r *http.Request, body io.Reader) (_ *form, ok bool, err error) {
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" || r.Method != http.MethodPost {
		return nil, false, nil // a file of any other type, named or not
	}
	if params["boundary"] == "" {
		return nil, true, &httpError{http.StatusBadRequest, "the form has no boundary"}
	}
	f := &form{parts: multipart.NewReader(body, params["boundary"])}
	part, err := f.next()
	if err == io.EOF {
		return nil, true, &httpError{http.StatusBadRequest, "the form has no file"}
	}
	if err != nil {
		return nil, true, err
	}
	f.file, f.name = part, path.Base("/"+strings.ReplaceAll(part.FileName(), `\`, "/"))
	return f, true, nil
}

// next returns the next part with a file, passing over small fields. io.EOF
// means that the form is complete and has no further one.
func (f *form) next() (*multipart.Part, error) {
	for range maxFields {
		part, err := f.parts.NextRawPart()
		if err == io.EOF {
			return nil, io.EOF
		}
		if err != nil {
			return nil, formError(err)
		}
		if part.FileName() != "" {
			if enc := part.Header.Get("Content-Transfer-Encoding"); enc != "" && !isIdentity(enc) {
				return nil, &httpError{http.StatusUnsupportedMediaType, "send the file of the form without Content-Transfer-Encoding"}
			}
			return part, nil
		}
		n, err := io.Copy(io.Discard, io.LimitReader(part, formOverhead+1))
		if err != nil {
			return nil, formError(err)
		}
		if n > formOverhead {
			return nil, &httpError{http.StatusBadRequest, "a field of the form is too long"}
		}
	}
	return nil, &httpError{http.StatusBadRequest, "the form has too many fields"}
}

// isIdentity tells the transfer encodings that change nothing (RFC 2045, 6.2).
func isIdentity(enc string) bool {
	return strings.EqualFold(enc, "binary") || strings.EqualFold(enc, "8bit") || strings.EqualFold(enc, "7bit")
}

// Read reads the file. Its end is only the end once the rest of the form was
// seen to its last boundary and holds no second file.
func (f *form) Read(b []byte) (int, error) {
	n, err := f.file.Read(b)
	if err == nil {
		return n, nil
	}
	if err != io.EOF {
		return n, formError(err)
	}
	switch _, err := f.next(); {
	case err == io.EOF:
		return n, io.EOF
	case err == nil:
		return n, &httpError{http.StatusBadRequest, "the form has more than one file; send one file per request"}
	default:
		return n, err
	}
}

// formError tells a body that broke off from one that is no form.
func formError(err error) error {
	var h *httpError
	switch {
	case errors.As(err, &h):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errTruncated
	}
	return &httpError{http.StatusBadRequest, "the form cannot be read: the body is malformed or ended early"}
}

// mark remembers for which bytes an idempotency key was used, before the bytes
// are durable: a crash in between lets the same bytes in again, and no others.
// Name and content of the mark are keyed digests.
func (u *upload) mark(ctx context.Context, centre sekretariat.CentreID, box, key string, d sekretariat.Digest) error {
	if key == "" {
		return nil
	}
	object := storage.ConfigKey(centre, "idem/"+u.keyed("key", box, key))
	value := []byte(u.keyed("bytes", box, string(d)))
	err := u.o.Store.PutOnce(ctx, object, storage.Bytes(value))
	if !errors.Is(err, storage.ErrExists) {
		return wrap(err, "keep the idempotency mark")
	}
	old, err := u.o.Store.Get(ctx, object)
	if err != nil {
		return wrap(err, "read the idempotency mark")
	}
	defer old.Close()
	was := make([]byte, len(value))
	if n, err := old.ReadAt(was, 0); n < len(was) || old.Size() != int64(len(was)) {
		return fmt.Errorf("idempotency mark of %d octets: %w", old.Size(), errors.Join(storage.ErrDamaged, err))
	}
	if !hmac.Equal(was, value) {
		return errConflict
	}
	return nil
}

func wrap(err error, what string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// keyed is an HMAC over the fields, each with its length.
func (u *upload) keyed(fields ...string) string {
	h := hmac.New(sha256.New, u.o.IdempotencyKey)
	for _, f := range fields {
		fmt.Fprintf(h, "%d:%s,", len(f), f)
	}
	return hex.EncodeToString(h.Sum(nil))
}
