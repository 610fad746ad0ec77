package storage

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Spare segments are files whose blocks were written before. A flush into them
// changes no file system metadata, so it need not wait for the journal: on
// ext4 that makes it four to ten times as fast as a flush of a growing file,
// most of all while the driver makes many small files.
const (
	sparePrefix = "spare-"
	maxSpares   = 2
	// spareAfter is how much a growing segment takes before the log is busy
	// enough to be worth a spare.
	spareAfter = 1 << 20
)

// spareName is a name that no spare has: segment ids begin anew when the log
// was empty.
func (k *keeper) spareName() string {
	return filepath.Join(k.s.folder, fmt.Sprintf("%s%016x.seg", sparePrefix, rand.Uint64()))
}

// takeSpare returns the path of a spare, or "".
func (k *keeper) takeSpare() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := len(k.spares)
	if n == 0 {
		return ""
	}
	path := k.spares[n-1]
	k.spares = k.spares[:n-1]
	return path
}

func (k *keeper) hasSpare() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.spares) > 0
}

// recycle turns a segment that is not needed any more into a spare, if it is
// large enough and there is room for one; else it returns false.
func (k *keeper) recycle(seg *segment) (bool, error) {
	info, err := os.Stat(seg.path)
	if err != nil || seg.damaged || info.Size() < k.s.o.SegmentSize/2 {
		return false, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.spares) >= maxSpares {
		return false, nil
	}
	path := k.spareName()
	if err := os.Rename(seg.path, path); err != nil {
		return false, err
	}
	k.spares = append(k.spares, path)
	return true, nil
}

// wantSpare begins to write a spare, unless there is one or one is being
// written.
func (k *keeper) wantSpare() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.preparing || len(k.spares) > 0 || k.s.stop.Err() != nil {
		return
	}
	k.preparing = true
	k.helpers.Add(1)
	go k.prepare()
}

func (k *keeper) prepare() {
	defer k.helpers.Done()
	path := k.spareName()
	err := k.writeSpare(path)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.preparing = errors.Is(err, unix.ENOSPC) // then not again in this run
	if err != nil {
		_ = os.Remove(path)
		k.s.log.Warn().Err(err).Msg("cannot prepare a staging segment; the log works on without")
		return
	}
	k.spares = append(k.spares, path)
}

// roomForSpare is how many spares' worth of space the disk must have left.
const roomForSpare = 8

func (k *keeper) writeSpare(path string) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(k.s.folder, &fs); err != nil {
		return err
	}
	if int64(fs.Bavail) < roomForSpare*k.s.o.SegmentSize/fs.Bsize {
		return unix.ENOSPC
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	zero := make([]byte, 256<<10)
	for at := int64(0); at < k.s.o.SegmentSize && err == nil; at += int64(len(zero)) {
		if err = k.s.stop.Err(); err == nil {
			_, err = f.Write(zero[:min(int64(len(zero)), k.s.o.SegmentSize-at)])
		}
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// findSpares takes over what an earlier run left; what is too short, or too
// much, is removed.
func (k *keeper) findSpares() error {
	entries, err := os.ReadDir(k.s.folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), sparePrefix) {
			continue
		}
		path := filepath.Join(k.s.folder, e.Name())
		info, err := e.Info()
		if err == nil && len(k.spares) < maxSpares && info.Size() >= k.s.o.SegmentSize/2 {
			k.spares = append(k.spares, path)
			continue
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}
