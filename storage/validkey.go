package storage

import (
	"errors"
	"fmt"
	"strings"
)

// ErrBadKey: the key may not be used in any store.
var ErrBadKey = errors.New("malformed object key")

// The limits of a key, in octets: S3 ends at 1,024, file systems at 255 per
// element; both leave room for a driver's own suffix.
const (
	maxKey     = 900
	maxElement = 200
)

// ValidKey checks that key may name an object in every driver: slash-separated
// elements of printable ASCII without blanks or backslashes, none empty and
// none beginning with a dot (so neither ".", ".." nor a driver's own folders
// can be named). It returns ErrBadKey.
func ValidKey(key string) error {
	if key == "" || len(key) > maxKey {
		return fmt.Errorf("key of %d octets: %w", len(key), ErrBadKey)
	}
	for i := 0; i < len(key); i++ {
		if c := key[i]; c <= ' ' || c >= 0x7f || c == '\\' {
			return fmt.Errorf("key %q: octet %#x: %w", key, c, ErrBadKey)
		}
	}
	for el := range strings.SplitSeq(key, "/") {
		if el == "" || el[0] == '.' || len(el) > maxElement {
			return fmt.Errorf("key %q: element %q: %w", key, el, ErrBadKey)
		}
	}
	return nil
}
