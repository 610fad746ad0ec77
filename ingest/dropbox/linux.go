package dropbox

import (
	"errors"
	"fmt"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// watcher tells that something in a folder may be ready. It is the kernel's
// inotify: exactly one event when a slow writer closes and one when a device
// renames to the final name. It says nothing of what other machines do on a
// network share; those folders are polled.
type watcher struct {
	C    chan struct{} // has a value when there was an event since the last one
	file *os.File
	done chan struct{}
}

// watch begins to watch the folder.
func watch(folder string) (*watcher, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	const events = unix.IN_CLOSE_WRITE | unix.IN_MOVED_TO | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR
	if _, err := unix.InotifyAddWatch(fd, folder, events); err != nil {
		return nil, errors.Join(fmt.Errorf("inotify watch: %w", err), unix.Close(fd))
	}
	w := &watcher{C: make(chan struct{}, 1), file: os.NewFile(uintptr(fd), "inotify"), done: make(chan struct{})}
	go w.run()
	return w, nil
}

// run turns events into one signal: which file it was does not matter, for the
// folder is looked through as a whole. That also covers a queue overflow.
func (w *watcher) run() {
	defer close(w.done)
	buf := make([]byte, 64<<10)
	for {
		if _, err := w.file.Read(buf); err != nil {
			return // closed
		}
		select {
		case w.C <- struct{}{}:
		default:
		}
	}
}

// Close ends the watcher and its goroutine.
func (w *watcher) Close() {
	_ = w.file.Close() // nothing was written
	<-w.done
}

// openForWriting tells whether some process of this machine (Samba, an FTP
// server, a copying program) still has the file open for writing: the kernel
// grants a read lease only if none has (fcntl(2), F_SETLEASE). Where leases
// cannot be had (foreign owner, network file system) the answer is no.
func openForWriting(f *os.File) bool {
	_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
	if err == nil {
		_, _ = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK) // closing releases it too
		return false
	}
	return errors.Is(err, unix.EAGAIN)
}

// openRegular opens a file below root for reading, never through a symbolic
// link and never waiting for the other end of a FIFO.
func openRegular(root *os.Root, name string) (*os.File, os.FileInfo, error) {
	before, err := root.Lstat(name)
	if err != nil {
		return nil, nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("not a regular file: %w", errChanged)
	}
	f, err := root.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !os.SameFile(before, info) {
		err = errChanged // exchanged between the two looks
	}
	if err != nil {
		_ = f.Close() // nothing was read
		return nil, nil, err
	}
	return f, info, nil
}

// renameNew renames within root and never replaces a file. It returns
// os.ErrExist if to is taken and errors.ErrUnsupported if the file system
// cannot promise that (renameat2(2), some network file systems).
func renameNew(root *os.Root, from, to string) error {
	src, err := root.Open(path.Dir(from))
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := root.Open(path.Dir(to))
	if err != nil {
		return err
	}
	defer dst.Close()
	err = unix.Renameat2(int(src.Fd()), path.Base(from), int(dst.Fd()), path.Base(to), unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return errors.ErrUnsupported
	}
	return err
}
