package epuap

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
)

// spoolMemory is how much of an answer is kept in memory, octets. Nearly all
// letters fit.
const spoolMemory = 1 << 20

// errTooLong: the answer is over its limit; the spool holds its beginning.
var errTooLong = errors.New("answer is over the limit")

// spool holds one answer, so that it can be read twice: once to check and
// measure it, once to hand the document over. What does not fit into memory
// lies in a file without a name, encrypted with a key that is nowhere else
// (rule P28).
type spool struct {
	dir   string
	limit int64
	size  int64
	mem   []byte
	file  *os.File
	block cipher.Block
	out   cipher.Stream
	seal  [32 << 10]byte // for sealing what is written
}

func newSpool(dir string, limit int64) *spool { return &spool{dir: dir, limit: limit} }

// Write adds to the answer. Returns errTooLong at the limit.
func (s *spool) Write(p []byte) (int, error) {
	fits := p[:min(int64(len(p)), s.limit-s.size)]
	if err := s.add(fits); err != nil {
		return 0, err
	}
	s.size += int64(len(fits))
	if len(fits) < len(p) {
		return len(fits), errTooLong
	}
	return len(p), nil
}

func (s *spool) add(p []byte) error {
	if s.file == nil && len(s.mem)+len(p) <= spoolMemory {
		s.mem = append(s.mem, p...)
		return nil
	}
	if s.file == nil {
		if err := s.open(); err != nil {
			return err
		}
	}
	for len(p) > 0 {
		sealed := s.seal[:min(len(p), len(s.seal))]
		s.out.XORKeyStream(sealed, p[:len(sealed)])
		if _, err := s.file.Write(sealed); err != nil {
			return fmt.Errorf("spool an answer: %w", err)
		}
		p = p[len(sealed):]
	}
	return nil
}

func (s *spool) open() error {
	var key [32]byte
	if _, err := rand.Read(key[:]); err != nil {
		return fmt.Errorf("key of a spool: %w", err)
	}
	var err error
	if s.block, err = aes.NewCipher(key[:]); err != nil {
		return fmt.Errorf("key of a spool: %w", err)
	}
	if s.file, err = os.CreateTemp(s.dir, "epuap-*"); err != nil {
		return fmt.Errorf("open a spool: %w", err)
	}
	if err := os.Remove(s.file.Name()); err != nil {
		return fmt.Errorf("unlink a spool: %w", err)
	}
	s.out = s.stream()
	return nil
}

// stream is the key stream from the beginning. The key is used for one file
// only, so the counter may begin at zero.
func (s *spool) stream() cipher.Stream {
	return cipher.NewCTR(s.block, make([]byte, aes.BlockSize))
}

// reader reads the answer from its beginning.
func (s *spool) reader() io.Reader {
	if s.file == nil {
		return bytes.NewReader(s.mem)
	}
	mem := bytes.NewReader(s.mem)
	rest := io.NewSectionReader(s.file, 0, s.size-int64(len(s.mem)))
	return io.MultiReader(mem, &cipher.StreamReader{S: s.stream(), R: rest})
}

func (s *spool) close() {
	if s != nil && s.file != nil {
		s.file.Close()
	}
}
