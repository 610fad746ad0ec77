package configs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// maxSecret bounds a secret, in octets: a private key with its chain fits.
const maxSecret = 64 << 10

// ErrNoSecret is returned when a secret is not configured, not there or empty.
var ErrNoSecret = errors.New("no secret")

// IsZero tells whether the secret is not configured at all.
func (s Secret) IsZero() bool { return s.File == "" && s.Env == "" }

// Load reads the secret. It is read anew at each call, so that a changed
// password works without a restart (rule P10). It returns ErrNoSecret, with
// what to do, when there is nothing to read. One line end at the end of a file
// is taken off, for editors add it.
func (s Secret) Load() ([]byte, error) {
	switch {
	case s.File != "":
		return s.loadFile()
	case s.Env != "":
		v := os.Getenv(s.Env)
		if v == "" {
			return nil, fmt.Errorf("environment variable %s is not set: set it, or use \"file:\" instead of \"env:\" in the configuration: %w", s.Env, ErrNoSecret)
		}
		return []byte(v), nil
	}
	return nil, fmt.Errorf("neither \"file:\" nor \"env:\" is given: %w", ErrNoSecret)
}

func (s Secret) loadFile() ([]byte, error) {
	f, err := os.Open(s.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("secret file %s does not exist: create it with the secret as its only content and chmod 600: %w", s.File, ErrNoSecret)
	}
	if err != nil {
		return nil, fmt.Errorf("read secret: %w: let the service's user read the file", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return nil, fmt.Errorf("read secret file %s: %w", s.File, err)
	}
	if len(b) > maxSecret {
		return nil, fmt.Errorf("secret file %s is larger than %d octets: it must hold the secret only", s.File, maxSecret)
	}
	b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
	if len(b) == 0 {
		return nil, fmt.Errorf("secret file %s is empty: write the secret into it: %w", s.File, ErrNoSecret)
	}
	return b, nil
}

// warning tells, in Polish, that others on the machine can read the secret's
// file; "" if not.
func (s Secret) warning() string {
	if s.File == "" {
		return ""
	}
	st, err := os.Stat(s.File)
	if err != nil || st.Mode().Perm()&0o077 == 0 {
		return ""
	}
	return fmt.Sprintf("Plik z hasłem lub kluczem %s mogą czytać inni użytkownicy komputera (prawa %04o): wykonaj chmod 600.", s.File, st.Mode().Perm())
}

// ReplaceFile puts content into the file of a secret so that at any moment, also
// after a power failure, the file holds all of the old or all of the new. A
// file that was there keeps its owner; nobody else may read it.
func ReplaceFile(path string, content []byte) error {
	folder := filepath.Dir(path)
	f, err := os.CreateTemp(folder, ".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write secret file %s: %w", path, err)
	}
	err = errors.Join(KeepOwner(f, path), writeAll(f, content))
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write secret file %s: %w", path, errors.Join(err, os.Remove(f.Name())))
	}
	d, err := os.Open(folder)
	if err != nil {
		return fmt.Errorf("write secret file %s: %w", path, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("write secret file %s: %w", path, err)
	}
	return nil
}

func writeAll(f *os.File, content []byte) error {
	_, err := f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

// KeepOwner gives a file that was just made to whoever has the one at path, or
// the folder: the command that makes it often runs as root, and the service
// does not.
func KeepOwner(f *os.File, path string) error {
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		st, err = os.Stat(filepath.Dir(path))
	}
	if err != nil {
		return err
	}
	if os.Getuid() != 0 {
		return nil // an own file stays one's own
	}
	if owner, ok := st.Sys().(*syscall.Stat_t); ok {
		return f.Chown(int(owner.Uid), int(owner.Gid))
	}
	return nil
}
