package dir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"sekretariat"
	"sekretariat/storage"
)

// Put implements storage.Store.
func (d *Driver) Put(ctx context.Context, key string, body sekretariat.Body) error {
	return d.put(ctx, key, body, d.rename)
}

// PutOnce implements storage.Store. link(2) fails if the name is taken, on
// every local file system and between processes.
func (d *Driver) PutOnce(ctx context.Context, key string, body sekretariat.Body) error {
	if _, err := d.Head(ctx, key); err == nil {
		return fmt.Errorf("put %s: %w", key, storage.ErrExists)
	}
	return d.put(ctx, key, body, d.link)
}

// PutFile is Put for a body that is a finished, flushed file which nobody will
// write to again: if the file is on the same file system, only its name is
// added. Otherwise it is copied.
func (d *Driver) PutFile(ctx context.Context, key, path string) error {
	if err := storage.ValidKey(key); err != nil {
		return err
	}
	tmp := d.tempName()
	err := unix.Linkat(unix.AT_FDCWD, path, d.tmpFD, tmp, 0)
	if err == nil {
		return wrap("put", key, d.finish(key, tmp, d.rename))
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	return d.Put(ctx, key, &object{File: f, size: info.Size()})
}

func (d *Driver) put(ctx context.Context, key string, body sekretariat.Body, place func(tmp, key string) error) error {
	if err := storage.ValidKey(key); err != nil {
		return err
	}
	tmp, err := d.write(ctx, body)
	if err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	if err := d.finish(key, tmp, place); err != nil {
		if errors.Is(err, unix.EEXIST) {
			err = storage.ErrExists
		}
		return fmt.Errorf("put %s: %w", key, err)
	}
	return nil
}

// finish gives the temporary file its name, and removes it if that fails.
func (d *Driver) finish(key, tmp string, place func(tmp, key string) error) error {
	err := d.placeIn(key, tmp, place)
	if err != nil {
		_ = unix.Unlinkat(d.tmpFD, tmp, 0)
		return err
	}
	if d.durable {
		return d.syncFolder(parent(key))
	}
	return nil
}

// placeIn makes the key's folder if it is not known to exist. A folder that
// somebody removed meanwhile is made again.
func (d *Driver) placeIn(key, tmp string, place func(tmp, key string) error) error {
	folder := parent(key)
	for again := false; ; again = true {
		if _, ok := d.known.Load(folder); !ok {
			if err := d.makeFolder(folder); err != nil {
				return err
			}
			d.known.Store(folder, true)
		}
		err := place(tmp, key)
		if !errors.Is(err, unix.ENOENT) || again {
			return err
		}
		d.known.Delete(folder)
	}
}

func (d *Driver) makeFolder(folder string) error {
	err := os.MkdirAll(filepath.Join(d.root, folder), 0o700)
	if err == nil && d.durable {
		err = d.syncUp(folder)
	}
	return err
}

func (d *Driver) rename(tmp, key string) error {
	return unix.Renameat(d.tmpFD, tmp, d.rootFD, key)
}

func (d *Driver) link(tmp, key string) error {
	if err := unix.Linkat(d.tmpFD, tmp, d.rootFD, key, 0); err != nil {
		return err
	}
	_ = unix.Unlinkat(d.tmpFD, tmp, 0) // a left-over is swept at a later start
	return nil
}

// copyBuffer is the most that is in memory of one body.
const copyBuffer = 256 << 10

var buffers = sync.Pool{New: func() any { b := make([]byte, copyBuffer); return &b }}

// write stores body in a temporary file. System calls are made directly: this
// runs ten thousand times a second, and os.File would add two calls to five.
func (d *Driver) write(ctx context.Context, body sekretariat.Body) (string, error) {
	tmp := d.tempName()
	fd, err := unix.Openat(d.tmpFD, tmp, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return "", fmt.Errorf("create temporary file: %w", err)
	}
	err = copyTo(ctx, fd, body)
	if err == nil && d.durable {
		err = ignoringEINTR(func() error { return unix.Fsync(fd) })
	}
	if cerr := unix.Close(fd); err == nil {
		err = cerr // some file systems report a full disk only here
	}
	if err != nil {
		_ = unix.Unlinkat(d.tmpFD, tmp, 0)
		return "", err
	}
	return tmp, nil
}

func copyTo(ctx context.Context, fd int, body sekretariat.Body) error {
	bp := buffers.Get().(*[]byte)
	defer buffers.Put(bp)
	size := body.Size()
	for off := int64(0); off < size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := (*bp)[:min(int64(copyBuffer), size-off)]
		n, err := body.ReadAt(part, off)
		if n < len(part) {
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("read body at %d of %d: %w", off+int64(n), size, err)
		}
		if err := writeAll(fd, part); err != nil {
			return err
		}
		off += int64(n)
	}
	return nil
}

func writeAll(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("write temporary file: %w", err)
		}
		b = b[n:]
	}
	return nil
}

func ignoringEINTR(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
