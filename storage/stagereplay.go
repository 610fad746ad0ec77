package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// logFile is one segment found at the start.
type logFile struct {
	segment
	header segmentHeader
	size   int64
	limit  int64 // by the next segment's header, -1 for the last
}

// check reads the whole log before anything is done with it. It returns the
// segments in order and, for shared mode, how far each finished group came.
func (s *Staged) check() ([]*logFile, map[uint64]int, error) {
	files, lost, err := s.findSegments()
	if err != nil {
		return nil, nil, err
	}
	done := map[uint64]int{}
	referenced := map[uint64]bool{}
	var damage []Damage
	for _, f := range files {
		res, err := s.scanSegment(f, true, func(r found) error {
			if r.Op == opDone {
				done[r.Group] = int(r.Index)
			} else {
				f.entries++
			}
			if r.File != 0 {
				referenced[r.File] = true
				f.files = append(f.files, r.File)
			}
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
		f.length, f.damaged = res.Len, len(res.Damage) > 0
		damage = append(damage, res.Damage...)
		if res.Torn {
			s.log.Warn().Str("segment", filepath.Base(f.path)).Int64("offset", res.Len).
				Msg("staging log ends in an entry that was being written at the crash; nobody was promised it")
		}
	}
	if err := s.judge(damage); err != nil {
		return nil, nil, err
	}
	if lost {
		return files, done, nil // a lost segment may be what refers to a body
	}
	return files, done, s.clean(referenced)
}

// damagedSuffix marks segments that were set aside.
const damagedSuffix = ".damaged"

// doSalvage is what an operator can do about a damaged log.
const doSalvage = "restore the file from a backup, or start once with 'sekretariat serve --salvage' to keep the readable rest, and then run verify"

// judge refuses a damaged log, unless it is to be salvaged.
func (s *Staged) judge(damage []Damage) error {
	for _, d := range damage {
		s.log.Error().Str("segment", d.File).Int64("offset", d.Offset).Str("key", d.Key).Msg("staging log is damaged")
	}
	if len(damage) == 0 || s.o.Salvage {
		return nil
	}
	return fmt.Errorf("%w: %d place(s) in the staging log cannot be read, the first in %s; %s",
		ErrDamaged, len(damage), damage[0], doSalvage)
}

// findSegments lists the segments and checks that they follow each other. lost
// is true when one that is unreadable as a whole, or missing, was passed over to
// salvage the others.
func (s *Staged) findSegments() (files []*logFile, lost bool, err error) {
	paths, err := filepath.Glob(filepath.Join(s.folder, "log-*.seg"))
	if err != nil {
		return nil, false, err
	}
	slices.Sort(paths) // fixed-width hex: by id
	pass := func(err error) error {
		if !s.o.Salvage {
			return fmt.Errorf("%w: %w; %s", ErrDamaged, err, doSalvage)
		}
		s.log.Error().Err(err).Msg("staging log is damaged")
		lost = true
		return nil
	}
	for i, p := range paths {
		f, err := readHeader(p)
		if errors.Is(err, errNoSegment) && i == len(paths)-1 && f.size <= segmentHeaderSize {
			if err := os.Remove(p); err != nil { // the crash came while it was made
				return nil, lost, err
			}
			break
		}
		if err != nil {
			if err := pass(fmt.Errorf("%s: %w", p, err)); err != nil {
				return nil, lost, err
			}
			if err := os.Rename(p, p+damagedSuffix); err != nil {
				return nil, lost, fmt.Errorf("set a damaged segment aside: %w", err)
			}
			continue
		}
		if len(files) > 0 {
			before := files[len(files)-1]
			if before.id+1 == f.id {
				before.limit = int64(f.header.PrevLen)
			} else if err := pass(fmt.Errorf("staging segment %s is missing", segmentName(before.id+1))); err != nil {
				return nil, lost, err
			}
		}
		files = append(files, f)
	}
	return files, lost, nil
}

func readHeader(path string) (*logFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	l := &logFile{size: info.Size(), limit: -1}
	b := make([]byte, segmentHeaderSize)
	n, _ := f.ReadAt(b, 0) // a short one has no valid header
	if l.header, err = parseSegmentHeader(b[:n]); err != nil {
		return l, err
	}
	l.id, l.salt, l.path = l.header.ID, l.header.Salt, path
	if filepath.Base(path) != segmentName(l.id) {
		return l, fmt.Errorf("it holds segment %d: %w", l.id, errNoSegment)
	}
	return l, nil
}

// scanSegment reads one segment file; with bodies it checks their sums too.
func (s *Staged) scanSegment(f *logFile, bodies bool, fn func(found) error) (scan, error) {
	file, err := os.Open(f.path)
	if err != nil {
		return scan{}, err
	}
	defer file.Close()
	r := segmentReader{r: file, size: f.size, limit: f.limit, name: filepath.Base(f.path), fn: fn}
	if bodies {
		r.check = s.fileIntact
	}
	return r.read()
}

// fileIntact checks a body that lies in a file of its own.
func (s *Staged) fileIntact(r record) bool {
	f, err := os.Open(s.bodyPath(r.File))
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() != r.Size {
		return false
	}
	crc, err := fileCRC(f)
	return err == nil && crc == r.CRC
}

// clean removes what crashes left: spools, and bodies that no entry names.
func (s *Staged) clean(referenced map[uint64]bool) error {
	entries, err := os.ReadDir(s.folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		var n uint64
		if _, err := fmt.Sscanf(e.Name(), "body-%016x", &n); err == nil {
			s.fileNo.Store(max(s.fileNo.Load(), n))
			if referenced[n] {
				continue
			}
		} else if !strings.HasPrefix(e.Name(), spoolPrefix) {
			continue
		}
		if err := os.Remove(filepath.Join(s.folder, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// replay gives the driver what it may not have. It returns when all but the
// last of it, within the memory budget, is there; the rest follows in the
// background and is visible to readers already.
func (s *Staged) replay(ctx context.Context, files []*logFile, done map[uint64]int) error {
	for _, f := range files {
		s.keeper.add(&f.segment)
		if err := s.replaySegment(ctx, f, done); err != nil {
			return fmt.Errorf("replay %s: %w", filepath.Base(f.path), err)
		}
		s.mu.Lock()
		f.moved = s.o.Clock()
		s.mu.Unlock()
		s.keeper.close(&f.segment)
	}
	return nil
}

func (s *Staged) replaySegment(ctx context.Context, f *logFile, done map[uint64]int) error {
	file, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer file.Close()
	var g *group
	_, err = s.scanSegment(f, true, func(r found) error {
		n, known := done[r.Group]
		if known && n < int(r.Count) {
			s.mu.Lock()
			f.refuse(r.Group, n)
			s.mu.Unlock()
		}
		if r.Op == opDone || (known && (s.o.Shared || int(r.Index) >= n)) {
			return nil // in shared mode the keeper looks whether the driver still has it
		}
		if r.Index == 0 {
			g = &group{id: r.Group, result: make(chan error, 1)}
		}
		e := &entry{record: r.record, segment: &f.segment, repeated: true}
		e.staged = s.o.Clock()
		e.cost = min(perItem+r.inline(), s.o.MaxPending/int64(r.Count))
		if n := r.inline(); n > 0 {
			e.body = make([]byte, n)
			if _, err := file.ReadAt(e.body, r.At); err != nil {
				return err
			}
		}
		g.entries = append(g.entries, e)
		g.cost += e.cost
		if count := min(int(r.Count), doneOr(done, r)); len(g.entries) < count {
			return nil
		}
		return s.replayGroup(ctx, g)
	})
	return err
}

// doneOr is how many objects of the record's group the driver is to have.
func doneOr(done map[uint64]int, r found) int {
	if n, known := done[r.Group]; known {
		return n
	}
	return int(r.Count)
}

func (s *Staged) replayGroup(ctx context.Context, g *group) error {
	if err := s.budget.Acquire(ctx, g.cost); err != nil {
		return err
	}
	if s.o.Shared {
		for _, e := range g.entries {
			g.keys = append(g.keys, e.tkey())
		}
		slices.SortFunc(g.keys, compareKeys)
		g.keys = slices.Compact(g.keys)
		if err := s.reserve(ctx, g.keys); err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.admit(g)
	s.mu.Unlock()
	s.work.Broadcast()
	return nil
}
