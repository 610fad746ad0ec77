package edelivery

import (
	"crypto/sha3"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"sekretariat/extract/edoreczenia"
)

// errOctets: an attachment has other octets than its message declares.
var errOctets = errors.New("an attachment has other octets than the message declares")

// sum compares an attachment with what its message declares of it. The
// contract says "SHA-3" and the official example is base64 of the lower-case
// hexadecimal text of a SHA3-512; other spellings of a SHA-3 are understood.
type sum struct {
	file     edoreczenia.FileMetadata
	want     []byte    // nil: nothing to compare with
	hash     hash.Hash // nil likewise
	declared bool
}

func newSum(f edoreczenia.FileMetadata) *sum {
	s := &sum{file: f, declared: strings.TrimSpace(f.Hash) != ""}
	for _, want := range spellings(strings.TrimSpace(f.Hash)) {
		if h := sha3Of(len(want)); h != nil {
			s.want, s.hash = want, h
			break
		}
	}
	return s
}

// spellings are the octets that a declared digest may mean.
func spellings(declared string) (out [][]byte) {
	if b, err := hex.DecodeString(declared); err == nil {
		out = append(out, b)
	}
	if b, err := base64.StdEncoding.DecodeString(declared); err == nil {
		if inner, err := hex.DecodeString(string(b)); err == nil {
			out = append(out, inner)
		}
		out = append(out, b)
	}
	return out
}

// sha3Of is the SHA-3 (FIPS 202) with digests of n octets, nil if there is none.
func sha3Of(n int) hash.Hash {
	switch n {
	case 28:
		return sha3.New224()
	case 32:
		return sha3.New256()
	case 48:
		return sha3.New384()
	case 64:
		return sha3.New512()
	}
	return nil
}

// reader passes octets on and digests them.
func (s *sum) reader(r io.Reader) io.Reader {
	if s.hash == nil {
		return r
	}
	return io.TeeReader(r, s.hash)
}

// judge is asked once all octets went by. With lenient, wrong octets are a
// verdict; otherwise they are an error, and the message is fetched again.
func (s *sum) judge(size int64, lenient bool) (string, error) {
	verdict := edoreczenia.HashNone
	switch {
	case s.hash == nil && s.declared:
		verdict = edoreczenia.HashUnknown
	case s.hash != nil && string(s.hash.Sum(nil)) == string(s.want):
		verdict = edoreczenia.HashRight
	case s.hash != nil:
		verdict = edoreczenia.HashWrong
	}
	short := s.file.Size > 0 && s.file.Size != size
	if (verdict == edoreczenia.HashWrong || short && verdict != edoreczenia.HashRight) && !lenient {
		return "", failed(codeMessage, fmt.Errorf("%w (%d octets, %d declared)", errOctets, size, s.file.Size))
	}
	return verdict, nil
}
