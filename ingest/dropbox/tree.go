package dropbox

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"
	"sync"
	"time"

	"sekretariat"
)

// Tree is what a device sees of its box for a while: the folders that it made
// and the names that it sent, never a content. A file under a temporary name
// waits for its renaming; under any other name closing is the end.
type Tree struct {
	v *Visit

	mu    sync.Mutex
	dirs  map[string]time.Time
	files map[string]*treeFile
}

type treeFile struct {
	in   *Incoming // nil once it is durable
	size int64
	at   time.Time
	open bool
}

// Bounds of a tree.
const (
	maxTreeFiles   = 1000 // names that are remembered
	maxTreeWaiting = 64   // files under temporary names
	maxTreeDirs    = 200
	maxPath        = 1024
)

// ErrNoSuch: there is nothing of that name that the device may see.
var ErrNoSuch = errors.New("no such file")

// ErrNotAllowed: the doors are for putting files in.
var ErrNotAllowed = errors.New("only uploads are allowed here")

// NewTree makes an empty tree.
func (v *Visit) NewTree() *Tree {
	return &Tree{v: v, dirs: map[string]time.Time{"/": v.g.o.Clock()}, files: map[string]*treeFile{}}
}

// On moves a tree to another visit of the same device.
func (t *Tree) On(v *Visit) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.v = v
}

func clean(name string) string {
	return path.Clean("/" + strings.ToValidUTF8(strings.ReplaceAll(name, "\\", "/"), "\ufffd"))
}

// Create begins a file. A name that was sent before begins anew: what was
// durable stays.
func (t *Tree) Create(name string) (*File, error) {
	name = clean(name)
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.files[name]
	switch {
	case name == "/" || len(name) > maxPath:
		return nil, ErrNotAllowed
	case old != nil && old.open:
		return nil, ErrNotAllowed
	case (old == nil || old.in == nil) && t.waiting() >= maxTreeWaiting:
		return nil, ErrSpoolFull
	}
	in, err := t.v.Begin(name)
	if err != nil {
		return nil, err
	}
	if old != nil && old.in != nil {
		old.in.Drop("the device sent another file of the same temporary name")
	}
	t.forget()
	f := &treeFile{in: in, at: t.v.g.o.Clock(), open: true}
	t.files[name] = f
	return &File{Incoming: in, t: t, name: name, f: f}, nil
}

func (t *Tree) waiting() (n int) {
	for _, f := range t.files {
		if f.in != nil {
			n++
		}
	}
	return n
}

// forget makes room among the names that are only remembered.
func (t *Tree) forget() {
	if len(t.files) < maxTreeFiles {
		return
	}
	for name, f := range t.files {
		if f.in == nil {
			delete(t.files, name)
		}
	}
}

// File is one file of a tree that is being written.
type File struct {
	*Incoming
	t    *Tree
	name string
	f    *treeFile
}

// Done ends the writing as the protocol says a whole file ends. Under a final
// name the file is durable when Done returns nil.
func (f *File) Done(ctx context.Context) (sekretariat.Receipt, error) {
	f.t.mu.Lock()
	f.f.open, f.f.size = false, f.Size()
	wait := Temporary(path.Base(f.name)) && f.ok()
	f.t.mu.Unlock()
	if wait {
		return sekretariat.Receipt{}, nil
	}
	r, err := f.Commit(ctx)
	f.t.mu.Lock()
	defer f.t.mu.Unlock()
	if f.f.in = nil; err != nil && f.t.files[f.name] == f.f {
		delete(f.t.files, f.name)
	}
	return r, err
}

func (in *Incoming) ok() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.err == nil
}

// Rename renames a file of this tree. From a temporary to a final name it is
// what makes the file whole: durable when Rename returns nil.
func (t *Tree) Rename(ctx context.Context, from, to string) error {
	from, to = clean(from), clean(to)
	t.mu.Lock()
	f := t.files[from]
	switch {
	case f == nil || f.open:
		t.mu.Unlock()
		return ErrNoSuch
	case to == "/" || len(to) > maxPath:
		t.mu.Unlock()
		return ErrNotAllowed
	}
	if other := t.files[to]; other != nil && other != f && other.in != nil {
		t.mu.Unlock()
		return ErrNotAllowed
	}
	delete(t.files, from)
	t.files[to] = f
	in := f.in
	t.mu.Unlock()
	if in == nil || Temporary(path.Base(to)) {
		return nil
	}
	in.Rename(to)
	_, err := in.Commit(ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.in = nil; err != nil && t.files[to] == f {
		delete(t.files, to)
	}
	return err
}

// Remove takes a file under a temporary name back. What is durable stays, and
// a device that tidies up after itself hears that it is gone.
func (t *Tree) Remove(name string) error {
	name = clean(name)
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.files[name]
	if f == nil || f.open {
		return ErrNoSuch
	}
	if f.in != nil {
		f.in.Drop("the device took it back")
	}
	delete(t.files, name)
	return nil
}

// Mkdir notes a folder, for devices that make one for each day. It has no
// meaning for us.
func (t *Tree) Mkdir(name string) error {
	name = clean(name)
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.dirs) >= maxTreeDirs || len(name) > maxPath {
		return ErrNotAllowed
	}
	t.dirs[name] = t.v.g.o.Clock()
	return nil
}

// Entry is what a device learns of a name.
type Entry struct {
	name string
	size int64
	at   time.Time
	dir  bool
}

// Name, Size, Mode, ModTime, IsDir and Sys implement fs.FileInfo.
func (e Entry) Name() string { return e.name }

// Size is in octets.
func (e Entry) Size() int64 { return e.size }

// Mode lets a device write only.
func (e Entry) Mode() fs.FileMode {
	if e.dir {
		return fs.ModeDir | 0o733
	}
	return 0o200
}

// ModTime is when it was sent.
func (e Entry) ModTime() time.Time { return e.at }

// IsDir tells whether it is a folder.
func (e Entry) IsDir() bool { return e.dir }

// Sys is nothing.
func (e Entry) Sys() any { return nil }

// Stat tells of one name that this device sent.
func (t *Tree) Stat(name string) (Entry, error) {
	name = clean(name)
	t.mu.Lock()
	defer t.mu.Unlock()
	if at, ok := t.dirs[name]; ok {
		return Entry{name: path.Base(name), at: at, dir: true}, nil
	}
	if f, ok := t.files[name]; ok {
		size := f.size
		if f.open {
			size = f.in.Size()
		}
		return Entry{name: path.Base(name), size: size, at: f.at}, nil
	}
	return Entry{}, ErrNoSuch
}

// List tells of the names in a folder that this device sent.
func (t *Tree) List(dir string) []Entry {
	dir = clean(dir)
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []Entry
	for name, f := range t.files {
		if path.Dir(name) == dir {
			out = append(out, Entry{name: path.Base(name), size: f.size, at: f.at})
		}
	}
	for name, at := range t.dirs {
		if name != "/" && path.Dir(name) == dir {
			out = append(out, Entry{name: path.Base(name), at: at, dir: true})
		}
	}
	return out
}

// End gives up what was not closed. A file that was closed whole under a
// temporary name is taken in as it is: the device was told that it arrived, and
// perhaps never renames, or lost the connection before it could.
func (t *Tree) End(ctx context.Context) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.files {
		switch {
		case f.in == nil:
		case f.open:
			f.in.Drop("the connection ended while the file was coming")
		default:
			f.in.Unrenamed()
			_, _ = f.in.Commit(ctx) // it says itself what became of the file
			f.in = nil
		}
	}
}
