package storage

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"sekretariat"
)

// flushBytes is how much one flush gathers at most, beside its first group.
const flushBytes = 4 << 20

// segment is one file of the log.
type segment struct {
	id     uint64
	salt   uint64
	path   string
	length int64        // valid octets; changes only under the writer until closed
	open   atomic.Int64 // objects that the driver does not have yet
	opened time.Time
	moved  time.Time // when the driver took the last one; under Staged.mu
	files  []uint64  // bodies that lie beside it; under Staged.mu
	// entries is how many objects it holds; under Staged.mu until closed.
	entries int
	damaged bool // to be set aside, not deleted
	// partial tells how many objects of a group were taken, of which the
	// driver refused one; under Staged.mu.
	partial map[uint64]int
}

// refuse notes that only the first n objects of a group were taken.
func (seg *segment) refuse(id uint64, n int) {
	if seg.partial == nil {
		seg.partial = map[uint64]int{}
	}
	seg.partial[id] = n
}

// logWriter appends groups to the log. One goroutine writes and flushes; all
// groups that wait while it does so share the next flush.
type logWriter struct {
	s       *Staged
	in      chan *group
	done    chan *group // "done" marks of shared mode: written, not flushed for
	turn    chan bool   // asks to write the marks and to end the segment if it is old, or in any case
	quit    chan struct{}
	ended   chan struct{}
	f       *os.File
	seg     *segment // nil until the next frame
	salt    uint64
	lastID  uint64
	prev    int64 // valid length of segment lastID
	growing bool  // the segment is no spare: its file grows
	frame   []byte
	batch   []*group
	marks   []*group
}

// logEnd is where a log ends: the last segment's id and valid length.
type logEnd struct {
	id     uint64
	length int64
}

func newLogWriter(s *Staged, last logEnd) *logWriter {
	return &logWriter{
		s: s, in: make(chan *group, 512), done: make(chan *group, 512), turn: make(chan bool),
		quit: make(chan struct{}), ended: make(chan struct{}), lastID: last.id, prev: last.length,
	}
}

func (w *logWriter) run() {
	defer close(w.ended)
	for {
		select {
		case g := <-w.in:
			w.gather(g)
			w.flush()
		case g := <-w.done:
			w.marks = append(w.marks, g)
		case now := <-w.turn:
			w.tidy(now)
		case <-w.quit:
			for len(w.done) > 0 {
				w.marks = append(w.marks, <-w.done)
			}
			w.tidy(true)
			return
		}
	}
}

// tidy writes the marks that found no group to travel with, and ends the
// segment if it is old enough or now is true.
func (w *logWriter) tidy(now bool) {
	if len(w.marks) > 0 && w.ready() == nil {
		w.batch = w.batch[:0]
		if err := w.write(); err != nil {
			w.s.log.Warn().Err(err).Msg("staging log cannot note what the object store took; a restart will ask it again")
		}
	}
	if w.seg != nil && (now || w.s.o.Clock().Sub(w.seg.opened) >= w.s.o.SegmentAge) {
		w.rotate()
	}
}

// close ends the writer; groups that wait are not written.
func (w *logWriter) close() {
	close(w.quit)
	<-w.ended
}

// company is how long patient groups wait for others to share a flush with.
const company = 4 * time.Millisecond

// gather collects the groups that are there. If all of them are patient, it
// waits a moment for more; one that is not ends the waiting.
func (w *logWriter) gather(first *group) {
	w.batch = append(w.batch[:0], first)
	var enough <-chan time.Time
	if first.patient {
		enough = time.After(company)
	}
	for size := len(first.buf); size < flushBytes; {
		if enough == nil && len(w.in) == 0 && len(w.done) == 0 {
			return
		}
		select {
		case g := <-w.in:
			w.batch = append(w.batch, g)
			size += len(g.buf)
			if !g.patient {
				enough = nil
			}
		case g := <-w.done:
			w.marks = append(w.marks, g)
		case <-enough:
			enough = nil
		case <-w.quit:
			return
		}
	}
}

// flush writes the batch as one frame and makes it durable.
func (w *logWriter) flush() {
	err := w.ready()
	if err == nil {
		err = w.write()
	}
	if err != nil {
		w.s.log.Error().Err(err).Int("groups", len(w.batch)).Msg("staging log cannot take objects")
		for _, g := range w.batch {
			w.s.refuse(g, err)
		}
		return
	}
	w.s.accept(w.batch, w.seg)
}

// ready makes sure that there is a segment with room.
func (w *logWriter) ready() error {
	if w.seg != nil && w.full() {
		w.rotate()
	}
	if w.seg != nil {
		return nil
	}
	h := segmentHeader{ID: w.lastID + 1, Salt: rand.Uint64(), PrevLen: uint64(w.prev), Created: w.s.o.Clock().UnixNano()}
	path := filepath.Join(w.s.folder, segmentName(h.ID))
	spare := w.s.keeper.takeSpare()
	f, err := createSegment(path, spare, h)
	if err != nil && spare != "" {
		w.s.log.Warn().Err(err).Msg("cannot use a spare staging segment; the log works on without")
		spare = ""
		f, err = createSegment(path, spare, h)
	}
	if err != nil {
		return fmt.Errorf("begin staging segment: %w", err)
	}
	w.f, w.salt, w.lastID, w.growing = f, h.Salt, h.ID, spare == ""
	w.seg = &segment{id: h.ID, salt: h.Salt, path: path, length: segmentHeaderSize, opened: w.s.o.Clock()}
	w.s.keeper.add(w.seg)
	return nil
}

// full tells whether the segment has its length, or grows although there is a
// spare that does not.
func (w *logWriter) full() bool {
	if w.growing && w.seg.length >= min(spareAfter, w.s.o.SegmentSize/2) {
		if w.s.keeper.hasSpare() {
			return true
		}
		w.s.keeper.wantSpare()
	}
	return w.seg.length >= w.s.o.SegmentSize
}

func segmentName(id uint64) string { return fmt.Sprintf("log-%016x.seg", id) }

// createSegment makes the file, out of a spare if there is one, and its name
// durable before anything is promised in it.
func createSegment(path, spare string, h segmentHeader) (*os.File, error) {
	from, flags := path, os.O_CREATE|os.O_RDWR|os.O_TRUNC
	if spare != "" {
		from, flags = spare, os.O_RDWR
	}
	f, err := os.OpenFile(from, flags, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = f.WriteAt(h.encode(), 0)
	if err == nil {
		err = f.Sync()
	}
	if err == nil && spare != "" {
		if err = os.Rename(spare, path); err == nil {
			from = path
		}
	}
	if err == nil {
		err = syncFolder(filepath.Dir(path))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(from))
	}
	return f, nil
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// write appends the frame. After an error the segment ends before the frame:
// what of it reached the disk was promised to nobody.
func (w *logWriter) write() error {
	frame := append(w.frame[:0], make([]byte, frameHeaderSize)...)
	for _, g := range w.marks {
		frame = appendRecord(frame, record{Op: opDone, Group: g.id, Index: uint16(g.applied), Count: uint16(len(g.entries))})
	}
	for _, g := range w.batch {
		frame = append(frame, g.buf...)
	}
	putFrameHeader(frame, w.salt, w.seg.length)
	_, err := w.f.WriteAt(frame, w.seg.length)
	if err == nil {
		err = fdatasync(w.f)
	}
	if cap(frame) <= 2*flushBytes {
		w.frame = frame
	}
	if err != nil {
		w.abandon()
		return fmt.Errorf("write staging log: %w", err)
	}
	w.seg.length += int64(len(frame))
	w.marks = w.marks[:0]
	return nil
}

func fdatasync(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// abandon ends the segment at its last good octet. After a failed flush the
// kernel may have dropped pages that it now calls clean, so the file is never
// written again; the next segment's header says where this one ends.
func (w *logWriter) abandon() {
	var zero [frameHeaderSize]byte
	_, err := w.f.WriteAt(zero[:], w.seg.length)
	if w.growing {
		err = w.f.Truncate(w.seg.length)
	}
	if err != nil {
		w.s.log.Warn().Err(err).Str("segment", filepath.Base(w.seg.path)).Msg("cannot cut the staging log back; its unacknowledged end will be ignored")
	}
	w.rotate()
}

// rotate closes the segment; the next one begins with the next frame.
func (w *logWriter) rotate() {
	if w.seg == nil {
		return
	}
	_ = w.f.Close() // everything promised was flushed
	w.prev = w.seg.length
	w.s.keeper.close(w.seg)
	w.seg, w.f = nil, nil
}

// stageFile brings a large body into a file of its own, durable with its name.
func (s *Staged) stageFile(number uint64, body sekretariat.Body) (crc uint32, err error) {
	path := s.bodyPath(number)
	defer func() {
		if err != nil {
			_ = os.Remove(path)
			err = fmt.Errorf("stage large body: %w", err)
		}
	}()
	f, err := s.bodyFile(path, body)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if crc, err = fileCRC(f); err != nil {
		return 0, err
	}
	if err := f.Sync(); err != nil {
		return 0, err
	}
	return crc, syncFolder(s.folder)
}

func (s *Staged) bodyPath(number uint64) string {
	return filepath.Join(s.folder, fmt.Sprintf("body-%016x", number))
}

// bodyFile links a sealed spool of this folder, and copies any other body.
func (s *Staged) bodyFile(path string, body sekretariat.Body) (*os.File, error) {
	if sf, ok := body.(*sealedFile); ok && os.Link(sf.f.Name(), path) == nil {
		sf.linked = true
		return os.OpenFile(path, os.O_RDWR, 0)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	n, err := io.Copy(f, io.NewSectionReader(body, 0, body.Size()))
	if err == nil && n != body.Size() {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func fileCRC(f *os.File) (uint32, error) {
	h := crc32.New(castagnoli)
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	_, err = io.CopyBuffer(h, io.NewSectionReader(f, 0, info.Size()), make([]byte, 256<<10))
	return h.Sum32(), err
}

// dropFiles removes the body files of a group that was not accepted.
func (s *Staged) dropFiles(g *group) {
	for _, e := range g.entries {
		if e.File != 0 {
			_ = os.Remove(s.bodyPath(e.File)) // a left-over goes at the next start
		}
	}
}
