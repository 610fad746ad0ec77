// Package dir keeps objects as plain files on one machine: the key is the path
// below the root. A put writes a temporary file on the same file system and
// renames it, so that readers see an object whole or not at all; it does not
// wait for the disk, because storage.Staged does so once for many objects, and
// Sync flushes later. Options.Durable makes every put wait, for callers
// without a staging log.
package dir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"sekretariat/storage"
)

// tmpName is the folder of unfinished files. No key can name it: elements do
// not begin with a dot.
const tmpName = ".tmp"

// staleAfter is the age at which an unfinished file surely has no writer any
// more.
const staleAfter = time.Hour

// Options are the options of Open.
type Options struct {
	// Durable lets each Put, PutOnce and Delete return only when the disk has
	// it. Off below storage.Staged.
	Durable bool
}

// Driver is a storage.Store of plain files. It is safe for concurrent use,
// also by several processes on one root.
type Driver struct {
	root    string
	rootFD  int // held open: syncfs reports write-back errors since its opening
	tmpFD   int
	durable bool
	known   sync.Map // folders (relative) that exist
	serial  atomic.Uint64
	unique  string
}

var _ storage.Store = (*Driver)(nil)

// Open opens the store below root, which is created if missing. It removes
// unfinished files that are older than an hour.
func Open(root string, o Options) (*Driver, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("object folder: %w", err)
	}
	tmp := filepath.Join(root, tmpName)
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		return nil, fmt.Errorf("create object folder: %w", err)
	}
	d := &Driver{root: root, durable: o.Durable, unique: fmt.Sprintf("%d-%x-", os.Getpid(), time.Now().UnixNano())}
	if d.rootFD, err = unix.Open(root, unix.O_DIRECTORY|unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("open object folder %s: %w", root, err)
	}
	if d.tmpFD, err = unix.Open(tmp, unix.O_DIRECTORY|unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		_ = unix.Close(d.rootFD)
		return nil, fmt.Errorf("open object folder %s: %w", tmp, err)
	}
	d.sweep(tmp)
	return d, nil
}

// Root returns the absolute path of the folder.
func (d *Driver) Root() string { return d.root }

// Close gives the folder handles back. No call may be running.
func (d *Driver) Close() error {
	return errors.Join(unix.Close(d.rootFD), unix.Close(d.tmpFD))
}

// sweep removes what crashed writers left. A failure is harmless: the next
// start sweeps again.
func (d *Driver) sweep(tmp string) {
	entries, err := os.ReadDir(tmp)
	if err != nil {
		return
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > staleAfter {
			_ = os.Remove(filepath.Join(tmp, e.Name()))
		}
	}
}

func (d *Driver) tempName() string {
	return d.unique + strconv.FormatUint(d.serial.Add(1), 36)
}

// Get implements storage.Store.
func (d *Driver) Get(_ context.Context, key string) (storage.Object, error) {
	if err := storage.ValidKey(key); err != nil {
		return nil, err
	}
	f, err := os.Open(filepath.Join(d.root, key))
	if err != nil {
		return nil, wrap("get", key, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = unix.ENOENT
	}
	if err != nil {
		_ = f.Close()
		return nil, wrap("get", key, err)
	}
	return &object{File: f, size: info.Size()}, nil
}

type object struct {
	*os.File
	size int64
}

func (o *object) Size() int64 { return o.size }

// Head implements storage.Store.
func (d *Driver) Head(_ context.Context, key string) (storage.Info, error) {
	if err := storage.ValidKey(key); err != nil {
		return storage.Info{}, err
	}
	var st unix.Stat_t
	err := unix.Fstatat(d.rootFD, key, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		err = unix.ENOENT
	}
	if err != nil {
		return storage.Info{}, wrap("head", key, err)
	}
	return storage.Info{Key: key, Size: st.Size, Modified: time.Unix(st.Mtim.Sec, st.Mtim.Nsec).UTC()}, nil
}

// Delete implements storage.Store. Folders stay.
func (d *Driver) Delete(_ context.Context, key string) error {
	if err := storage.ValidKey(key); err != nil {
		return err
	}
	err := unix.Unlinkat(d.rootFD, key, 0)
	if gone(err) || errors.Is(err, unix.EISDIR) {
		return nil
	}
	if err != nil {
		return wrap("delete", key, err)
	}
	if d.durable {
		return wrap("delete", key, d.syncFolder(parent(key)))
	}
	return nil
}

// wrap names action and key, and turns the system's "no such file" into
// storage.ErrNotFound.
func wrap(action, key string, err error) error {
	if err == nil {
		return nil
	}
	if gone(err) {
		err = storage.ErrNotFound
	}
	return fmt.Errorf("%s %s: %w", action, key, err)
}

// gone tells that there is no such file, or that an element of its path is a
// file: both mean that no object has the key.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR)
}

// parent returns the folder of a key relative to the root, "." for the root.
func parent(key string) string {
	if i := strings.LastIndexByte(key, '/'); i >= 0 {
		return key[:i]
	}
	return "."
}
