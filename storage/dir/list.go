package dir

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sekretariat/storage"
)

// List implements storage.Store. It holds the names of one folder per level in
// memory, never more.
func (d *Driver) List(ctx context.Context, prefix string, fn func(storage.Info) error) error {
	folder := ""
	if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
		folder = prefix[:i+1]
		if err := storage.ValidKey(folder + "x"); err != nil {
			return err
		}
	}
	return d.walk(ctx, folder, prefix, fn)
}

// walk visits the folder (relative, "" or ending in a slash) in the order of
// the full keys: a folder sorts as its name with a slash, so "a.b" comes
// before "a/b".
func (d *Driver) walk(ctx context.Context, folder, prefix string, fn func(storage.Info) error) error {
	names, err := d.names(folder)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		key := folder + name
		if strings.HasSuffix(name, "/") {
			if strings.HasPrefix(key, prefix) || strings.HasPrefix(prefix, key) {
				if err := d.walk(ctx, key, prefix, fn); err != nil {
					return err
				}
			}
			continue
		}
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		var st unix.Stat_t
		err := unix.Fstatat(d.rootFD, key, &st, unix.AT_SYMLINK_NOFOLLOW)
		if gone(err) {
			continue // deleted since the folder was read
		}
		if err != nil {
			return fmt.Errorf("list %s: %w", key, err)
		}
		if st.Mode&unix.S_IFMT != unix.S_IFREG {
			continue
		}
		info := storage.Info{Key: key, Size: st.Size, Modified: time.Unix(st.Mtim.Sec, st.Mtim.Nsec).UTC()}
		if err := fn(info); err != nil {
			return err
		}
	}
	return nil
}

func (d *Driver) names(folder string) ([]string, error) {
	f, err := os.Open(filepath.Join(d.root, folder))
	if gone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", folder, err)
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	if gone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", folder, err)
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		name := e.Name()
		if name[0] == '.' {
			continue
		}
		if e.IsDir() {
			name += "/"
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}
