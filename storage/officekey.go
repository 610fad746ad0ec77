package storage

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

const keySize = 32 // AES-256

// OfficeKeys are the keys that wrap the submissions' data keys. The first one
// wraps new data keys; the others still unwrap old ones.
type OfficeKeys struct {
	keys   []officeKey
	oldest []byte // the last one of the file
}

type officeKey struct {
	id   string
	aead cipher.AEAD
}

var officeKeyID = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// CreateOfficeKey writes a new office key with the given id (lower-case
// letters, digits, hyphens) to a file that only its owner can read. An
// existing file is left alone and is an error that is fs.ErrExist.
func CreateOfficeKey(path, id string) error {
	if !officeKeyID.MatchString(id) {
		return fmt.Errorf("office key id %q: use 1-32 lower-case letters, digits and hyphens", id)
	}
	key := make([]byte, keySize)
	rand.Read(key)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("create office key: %w", err)
	}
	_, err = fmt.Fprintf(f, "# Office key: without it nothing that is stored can be read.\n"+
		"# Keep a copy apart from the backups of the objects.\n%s %s\n", id, base64.StdEncoding.EncodeToString(key))
	err = errors.Join(err, f.Sync(), f.Close(), syncFolder(filepath.Dir(path)))
	if err != nil {
		return fmt.Errorf("write office key: %w", err)
	}
	return nil
}

// LoadOfficeKeys reads a file of lines "<id> <key>", the key being 32 octets
// in base64 or hex; "#" begins a comment. A file that others can read is
// refused.
func LoadOfficeKeys(path string) (*OfficeKeys, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("office key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("office key %s can be read by others (mode %#o): run chmod 600 on it", path, info.Mode().Perm())
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("office key: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("office key %s: %w", path, err)
	}
	keys, err := ParseOfficeKeys(b)
	if err != nil {
		return nil, fmt.Errorf("office key %s: %w", path, err)
	}
	return keys, nil
}

// ParseOfficeKeys reads the content of an office key file.
func ParseOfficeKeys(b []byte) (*OfficeKeys, error) {
	o := &OfficeKeys{}
	lines := bufio.NewScanner(bytes.NewReader(b))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if err := o.add(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(o.keys) == 0 {
		return nil, errors.New("no key in it: expected a line \"<id> <32 octets in base64>\"")
	}
	return o, nil
}

func (o *OfficeKeys) add(line string) error {
	f := strings.Fields(line)
	if len(f) != 2 || !officeKeyID.MatchString(f[0]) {
		return errors.New("expected \"<id> <32 octets in base64>\"")
	}
	if o.find(f[0]) != nil {
		return fmt.Errorf("id %q appears twice", f[0])
	}
	key, err := base64.StdEncoding.DecodeString(f[1])
	if len(f[1]) == 2*keySize {
		key, err = hex.DecodeString(f[1])
	}
	if err != nil || len(key) != keySize {
		return fmt.Errorf("key %q is not 32 octets in base64 or hex", f[0])
	}
	aead, err := newAEAD(key)
	if err != nil {
		return err
	}
	o.keys = append(o.keys, officeKey{f[0], aead})
	o.oldest = key
	return nil
}

// Derive returns 32 octets for another purpose than wrapping keys (HKDF,
// RFC 5869): keyed digests that every process of the installation must compute
// alike, for years. It comes from the oldest key of the file, which stays when
// a new one is put before it.
func (o *OfficeKeys) Derive(purpose string) ([]byte, error) {
	b, err := hkdf.Key(sha256.New, o.oldest, nil, "sekretariat/"+purpose, keySize)
	if err != nil {
		return nil, fmt.Errorf("derive key for %s: %w", purpose, err)
	}
	return b, nil
}

func (o *OfficeKeys) find(id string) cipher.AEAD {
	for _, k := range o.keys {
		if k.id == id {
			return k.aead
		}
	}
	return nil
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
