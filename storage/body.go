package storage

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"sekretariat"
)

// Bytes is a Body that lies in memory. The slice must not change afterwards.
func Bytes(b []byte) sekretariat.Body { return memoryBody{bytes.NewReader(b)} }

type memoryBody struct{ *bytes.Reader }

func (memoryBody) Close() error { return nil }

// readFull reads all of body into dst, which has the body's size.
func readFull(dst []byte, body sekretariat.Body) error {
	n, err := body.ReadAt(dst, 0)
	if n == len(dst) && (err == nil || errors.Is(err, io.EOF)) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read body: %d of %d octets: %w", n, len(dst), err)
}

// readObject reads the whole object, of at most limit octets. It returns
// ErrTooLarge for a larger one.
func readObject(o Object, limit int64) ([]byte, error) {
	if o.Size() > limit {
		return nil, fmt.Errorf("%d octets, at most %d: %w", o.Size(), limit, ErrTooLarge)
	}
	b := make([]byte, o.Size())
	if err := readFull(b, o); err != nil {
		return nil, err
	}
	return b, nil
}
