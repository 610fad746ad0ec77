package dropbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// maxTracked bounds the files that are watched at once; further ones are seen
// when these are gone.
const maxTracked = 20_000

// sighting is what is known of one file in the folder or in .taken.
type sighting struct {
	path  string // relative to the box folder, with slashes
	info  fs.FileInfo
	since time.Time // unchanged since (monotonic)
	retry time.Time // not looked at before
	tries int       // failures in a row
	broke time.Time // reading failed since, zero if it did not
	busy  bool
	claim string // name of its folder in .taken, from the moment that work begins
	round uint64 // of the scan that saw it last
}

// at is when the file may be worked on, if it does not change before.
func (s *sighting) at(quiet time.Duration) time.Time {
	if at := s.since.Add(quiet); at.After(s.retry) {
		return at
	}
	return s.retry
}

// claimed tells whether the file is in .taken already.
func (s *sighting) claimed() bool { return strings.HasPrefix(s.path, takenDir+"/") }

// unchanged tells whether info is the same file with the same content, as far
// as size and time of writing can tell.
func unchanged(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// scan looks through the folder once and notes which files are ready and when
// the next one may be.
func (f *Folder) scan(root *os.Root) error {
	now := f.looked
	f.round++
	l := listing{f: f, root: root, now: now}
	if err := l.box(); err != nil {
		return err
	}
	if err := l.taken(); err != nil {
		return err
	}
	broken := 0
	f.ready = f.ready[:0]
	for p, s := range f.seen {
		switch {
		case s.busy:
		case s.round != f.round:
			delete(f.seen, p)
			continue
		case s.at(f.o.Box.Quiet).After(now):
			f.lookAt(s.at(f.o.Box.Quiet))
		default:
			f.ready = append(f.ready, s)
		}
		if !s.broke.IsZero() {
			broken++
		}
	}
	slices.SortFunc(f.ready, func(a, b *sighting) int {
		return cmp.Or(a.info.ModTime().Compare(b.info.ModTime()), cmp.Compare(a.path, b.path))
	})
	f.status.count(len(f.seen), l.leftover, broken, f.o.Clock())
	return nil
}

// start begins work on the ready files as long as there are free slots; a
// finished file frees one.
func (f *Folder) start(ctx context.Context, root *os.Root) {
	for len(f.ready) > 0 {
		select {
		case f.slots <- struct{}{}:
		default:
			return
		}
		s := f.ready[0]
		f.ready = f.ready[1:]
		if s.claim == "" {
			s.claim = newClaim(f.o.Clock())
		}
		s.busy, f.claims[s.claim] = true, true
		job := *s
		f.running.Go(func() {
			r := f.handle(ctx, root, job)
			<-f.slots
			f.results <- r
		})
	}
}

// settle notes what became of a file.
func (f *Folder) settle(r result) {
	s := f.seen[r.from]
	s.busy = false
	delete(f.claims, s.claim)
	delete(f.seen, r.from)
	switch r.outcome {
	case finished:
		f.status.mend(faultReceive)
		return
	case gone:
		return
	}
	if r.at == r.from && !s.claimed() {
		s.claim = ""
	}
	s.path = r.at
	f.seen[r.at] = s
	f.again(s, r.outcome)
	f.report(r)
}

// again decides when a file that was not finished is looked at again.
func (f *Folder) again(s *sighting, o outcome) {
	now := time.Now()
	switch o {
	case changed:
		s.since = now // the next scan sees the new size; quietness begins anew in any case
	case unfinished:
		s.retry = now.Add(min(max(now.Sub(s.since), f.o.Box.Quiet), longestBackoff))
		if end := s.since.Add(f.o.Patience); s.retry.After(end) {
			s.retry = end
		}
	default:
		if o == unreadable && s.broke.IsZero() {
			s.broke = now
		}
		s.retry = now.Add(backoff(f.step(), s.tries))
		s.tries++
	}
	f.lookAt(s.at(f.o.Box.Quiet))
}

// listing is one look through the folder.
type listing struct {
	f        *Folder
	root     *os.Root
	now      time.Time
	leftover int
}

// box lists the folder itself. Sub-folders, links and special files are never
// followed; they are counted and shown, so that a scanner that makes folders
// does not lose its letters unseen.
func (l *listing) box() error {
	return readDir(l.root, ".", func(e fs.DirEntry) {
		name := e.Name()
		switch {
		case name == doneDir, name == errorDir:
		case ignored(name):
			l.oldTemporary(e)
		case !e.Type().IsRegular():
			l.leftover++
		default:
			l.see(name, e)
		}
	})
}

// oldTemporary counts temporary files that nobody renames any more. Hidden
// files and those of operating systems are no letters.
func (l *listing) oldTemporary(e fs.DirEntry) {
	name := strings.ToLower(e.Name())
	if strings.HasPrefix(name, ".") || junk[name] || !e.Type().IsRegular() {
		return
	}
	if info, err := e.Info(); err == nil && l.now.Sub(info.ModTime()) > l.f.o.Patience {
		l.leftover++
	}
}

// taken lists what was claimed: files of a crash, and those that failed.
func (l *listing) taken() error {
	return readDir(l.root, takenDir, func(claim fs.DirEntry) {
		if !claim.IsDir() || l.f.claims[claim.Name()] {
			return
		}
		dir := path.Join(takenDir, claim.Name())
		// A claim that vanishes meanwhile was finished by its worker.
		_ = readDir(l.root, dir, func(e fs.DirEntry) {
			if e.Type().IsRegular() {
				l.see(path.Join(dir, e.Name()), e)
				if s := l.f.seen[path.Join(dir, e.Name())]; s != nil {
					s.claim = claim.Name()
				}
			} else {
				l.leftover++
			}
		})
	})
}

// see compares a file with its last sighting.
func (l *listing) see(p string, e fs.DirEntry) {
	info, err := e.Info()
	if err != nil || !info.Mode().IsRegular() {
		return // vanished or exchanged since it was listed; the next scan knows more
	}
	s, ok := l.f.seen[p]
	switch {
	case !ok && len(l.f.seen) >= maxTracked:
		return
	case !ok:
		s = &sighting{path: p, info: info, since: l.now}
		l.f.seen[p] = s
	case !s.busy && !unchanged(s.info, info):
		*s = sighting{path: p, info: info, since: l.now}
	}
	s.round = l.f.round
}

// readDir calls fn for each entry of a folder, a thousand at a time.
func readDir(root *os.Root, dir string, fn func(fs.DirEntry)) error {
	d, err := root.Open(dir)
	if err != nil {
		return fmt.Errorf("list %s: %w", dir, err)
	}
	defer d.Close()
	for {
		entries, err := d.ReadDir(1000)
		for _, e := range entries {
			fn(e)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list %s: %w", dir, err)
		}
	}
}
