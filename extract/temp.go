package extract

import (
	"fmt"
	"io"
	"os"
)

// Anonymous opens a temporary file without a name: it vanishes with its last
// descriptor, even if the process is killed.
func Anonymous(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "read-*")
	if err != nil {
		return nil, fmt.Errorf("open a temporary file for reading: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, fmt.Errorf("unlink temporary file: %w", err)
	}
	return f, nil
}

// spooled is the content of a part in an anonymous file: readers of archives
// and pictures, and the tools that get it as a descriptor, read at random.
type spooled struct {
	*os.File
	size int64
}

// Size implements sekretariat.Body.
func (s *spooled) Size() int64 { return s.size }

// spool copies r into an anonymous file.
func (d Direct) spool(r io.Reader) (*spooled, error) {
	f, err := Anonymous(d.Temp)
	if err != nil {
		return nil, err
	}
	n, err := io.Copy(f, r)
	if err != nil {
		f.Close()
		return nil, partError{err}
	}
	return &spooled{f, n}, nil
}

// partError is a failure of a part's own content, not of our machine.
type partError struct{ error }

func (e partError) Unwrap() error { return e.error }
