package dir

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"sekretariat/storage"
)

// fewKeys is up to how many objects are flushed one by one. Beyond, one
// syncfs(2) is cheaper than an fsync(2) for each.
const fewKeys = 16

// Sync implements storage.Store: afterwards the objects put before the call
// survive a power failure. If the disk fails, it returns ErrDamaged: the
// kernel may have dropped what it could not write, so a second Sync proves
// nothing and the objects must be put again. A key without object is ErrNotFound when keys are
// few; with many keys, or none, the whole file system is flushed and single
// keys are not looked at.
func (d *Driver) Sync(ctx context.Context, keys []string) error {
	if len(keys) == 0 || len(keys) > fewKeys {
		if err := ignoringEINTR(func() error { return unix.Syncfs(d.rootFD) }); err != nil {
			return fmt.Errorf("flush the file system of %s: %w: %w", d.root, storage.ErrDamaged, err)
		}
		return nil
	}
	folders := map[string]bool{}
	for _, key := range keys {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := storage.ValidKey(key); err != nil {
			return err
		}
		if err := fsyncPath(filepath.Join(d.root, key)); err != nil {
			return lost(wrap("sync", key, err))
		}
		for f := parent(key); !folders[f]; f = parent(f) {
			folders[f] = true
		}
	}
	for f := range folders {
		if err := d.syncFolder(f); err != nil {
			return lost(fmt.Errorf("sync folder %s: %w", f, err))
		}
	}
	return nil
}

func lost(err error) error {
	if errors.Is(err, storage.ErrNotFound) {
		return err
	}
	return fmt.Errorf("%w: %w", storage.ErrDamaged, err)
}

func (d *Driver) syncFolder(folder string) error {
	return fsyncPath(filepath.Join(d.root, folder))
}

// syncUp flushes the folder and all above it up to the root.
func (d *Driver) syncUp(folder string) error {
	for {
		if err := d.syncFolder(folder); err != nil || folder == "." {
			return err
		}
		folder = parent(folder)
	}
}

func fsyncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
