// Package cfb reads compound files (MS-CFB), the container of Outlook's .msg
// and of old office formats: a small file system with sectors and chains. It
// reads at random and keeps only the tables, which are bounded by the size of
// the file; a chain that runs in a circle ends.
package cfb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
)

// ErrFormat says that a file is no compound file, or a broken one.
var ErrFormat = errors.New("malformed compound file")

// Limits of one file.
const (
	maxEntries = 50_000
	maxSectors = 4 << 20 // of the file: 2 GiB of the small ones, whose table takes 16 MiB
)

// Special sector numbers (MS-CFB §2.1).
const (
	endOfChain = 0xfffffffe
	maxRegular = 0xfffffffa
	noStream   = 0xffffffff
)

const (
	headerSize = 512
	entrySize  = 128
)

// File is an open compound file.
type File struct {
	r          io.ReaderAt
	size       int64
	sector     int64 // octets
	mini       int64 // octets of a sector of small streams
	cutoff     uint64
	fat        []uint32
	miniFAT    []uint32
	entries    []entry
	miniStream []uint32 // sectors that hold the small streams
}

// entry is one line of the directory.
type entry struct {
	name              string
	kind              byte // 1 storage, 2 stream, 5 root
	left, right, down uint32
	start             uint32
	size              uint64
}

// Open reads the tables of a compound file of size octets. It returns
// ErrFormat if they make no sense, other errors are r's.
func Open(r io.ReaderAt, size int64) (*File, error) {
	var h [headerSize]byte
	if size < headerSize {
		return nil, fmt.Errorf("%w: %d octets", ErrFormat, size)
	}
	if _, err := r.ReadAt(h[:], 0); err != nil {
		return nil, fmt.Errorf("read compound file: %w", err)
	}
	le := binary.LittleEndian
	if le.Uint64(h[:]) != 0xe11ab1a1e011cfd0 {
		return nil, fmt.Errorf("%w: no signature", ErrFormat)
	}
	shift, miniShift := le.Uint16(h[30:]), le.Uint16(h[32:])
	if shift != 9 && shift != 12 || miniShift != 6 {
		return nil, fmt.Errorf("%w: sectors of 2^%d and 2^%d octets", ErrFormat, shift, miniShift)
	}
	f := &File{r: r, size: size, sector: 1 << shift, mini: 1 << miniShift, cutoff: uint64(le.Uint32(h[56:]))}
	if f.count() > maxSectors {
		return nil, fmt.Errorf("%w: %d sectors", ErrFormat, f.count())
	}
	if err := f.readFAT(h[:]); err != nil {
		return nil, err
	}
	if err := f.readDirectory(le.Uint32(h[48:])); err != nil {
		return nil, err
	}
	table, err := f.table(f.chain(le.Uint32(h[60:])))
	if err != nil {
		return nil, err
	}
	f.miniFAT = table
	f.miniStream = f.chain(f.entries[0].start)
	return f, nil
}

// count is how many sectors the file has, the last one perhaps cut off.
func (f *File) count() int64 { return (f.size - 1) / f.sector }

// readSector reads one sector; what lies beyond the end of the file is zero.
func (f *File) readSector(n uint32, b []byte) error {
	off := (int64(n) + 1) * f.sector
	if off >= f.size {
		return fmt.Errorf("%w: sector %d of %d", ErrFormat, n, f.count())
	}
	got, err := f.r.ReadAt(b[:min(f.sector, f.size-off)], off)
	clear(b[got:])
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read compound file: %w", err)
	}
	return nil
}

// readFAT reads the table of sectors, whose own sectors are listed in the
// header and in a chain of further lists (DIFAT).
func (f *File) readFAT(h []byte) error {
	le := binary.LittleEndian
	var sectors []uint32
	for i := 76; i < headerSize; i += 4 {
		sectors = append(sectors, le.Uint32(h[i:]))
	}
	b := make([]byte, f.sector)
	next := le.Uint32(h[68:])
	for range f.count() {
		if next >= maxRegular {
			break
		}
		if err := f.readSector(next, b); err != nil {
			return err
		}
		last := len(b) - 4
		for i := 0; i < last; i += 4 {
			sectors = append(sectors, le.Uint32(b[i:]))
		}
		next = le.Uint32(b[last:])
		if int64(len(sectors)) > f.count()+headerSize {
			break
		}
	}
	var used []uint32
	for _, n := range sectors {
		if n < maxRegular && int64(len(used)) <= f.count() {
			used = append(used, n)
		}
	}
	table, err := f.table(used)
	f.fat = table
	return err
}

// table reads sectors as a list of numbers, no more than the file has sectors
// of any kind.
func (f *File) table(sectors []uint32) ([]uint32, error) {
	per := f.sector / 4
	most := (f.size/f.mini + per) / per
	if int64(len(sectors)) > most {
		sectors = sectors[:most]
	}
	out := make([]uint32, 0, int64(len(sectors))*per)
	b := make([]byte, f.sector)
	for _, n := range sectors {
		if err := f.readSector(n, b); err != nil {
			return nil, err
		}
		for i := 0; i < len(b); i += 4 {
			out = append(out, binary.LittleEndian.Uint32(b[i:]))
		}
	}
	return out, nil
}

// chain follows a chain of sectors; a circle or a wild number ends it.
func (f *File) chain(start uint32) []uint32 { return follow(f.fat, start, f.count()) }

func follow(table []uint32, start uint32, most int64) []uint32 {
	var out []uint32
	for n := start; n < maxRegular && int64(n) < int64(len(table)) && int64(len(out)) < most; n = table[n] {
		out = append(out, n)
	}
	return out
}

func (f *File) readDirectory(start uint32) error {
	b := make([]byte, f.sector)
	for _, n := range f.chain(start) {
		if err := f.readSector(n, b); err != nil {
			return err
		}
		for i := 0; i+entrySize <= len(b) && len(f.entries) < maxEntries; i += entrySize {
			f.entries = append(f.entries, readEntry(b[i:], f.sector))
		}
	}
	if len(f.entries) == 0 || f.entries[0].kind != 5 {
		return fmt.Errorf("%w: no root", ErrFormat)
	}
	return nil
}

func readEntry(b []byte, sector int64) entry {
	le := binary.LittleEndian
	units := make([]uint16, 0, 32)
	for i := 0; i < min(64, int(le.Uint16(b[64:]))-2); i += 2 {
		units = append(units, le.Uint16(b[i:]))
	}
	e := entry{
		name: string(utf16.Decode(units)), kind: b[66], left: le.Uint32(b[68:]), right: le.Uint32(b[72:]), down: le.Uint32(b[76:]),
		start: le.Uint32(b[116:]), size: le.Uint64(b[120:]),
	}
	if sector == headerSize {
		e.size &= 0xffffffff // the upper half may be anything (MS-CFB §2.6.3)
	}
	return e
}

// Storage is one folder of a file.
type Storage struct {
	f *File
	// The names of its children; those of storages end in a slash.
	children map[string]uint32
}

// Root returns the outermost storage.
func (f *File) Root() *Storage { return f.storage(0) }

// storage lists the children of an entry: a tree of siblings.
func (f *File) storage(i uint32) *Storage {
	s := &Storage{f: f, children: map[string]uint32{}}
	seen := map[uint32]bool{}
	todo := []uint32{f.entries[i].down}
	for len(todo) > 0 {
		n := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if n == noStream || int64(n) >= int64(len(f.entries)) || seen[n] {
			continue
		}
		seen[n] = true
		e := f.entries[n]
		name := e.name
		if e.kind == 1 {
			name += "/"
		}
		if e.kind == 1 || e.kind == 2 {
			s.children[name] = n
		}
		todo = append(todo, e.left, e.right)
	}
	return s
}

// Names returns the names of streams and, ending in a slash, storages, in no
// order.
func (s *Storage) Names() []string {
	var out []string
	for name := range s.children {
		out = append(out, name)
	}
	return out
}

// Storage returns a storage within s, nil if there is none of that name.
func (s *Storage) Storage(name string) *Storage {
	i, ok := s.children[strings.TrimSuffix(name, "/")+"/"]
	if !ok {
		return nil
	}
	return s.f.storage(i)
}

// Stream returns a stream within s and its size, nil if there is none of that
// name. What its chain does not hold is an unexpected end.
func (s *Storage) Stream(name string) *io.SectionReader {
	i, ok := s.children[name]
	if !ok || s.f.entries[i].kind != 2 {
		return nil
	}
	return s.f.stream(s.f.entries[i])
}

func (f *File) stream(e entry) *io.SectionReader {
	st := &stream{f: f, unit: f.sector}
	if e.size < f.cutoff {
		st.unit, st.small = f.mini, true
		st.sectors = follow(f.miniFAT, e.start, int64(e.size)/f.mini+1)
	} else {
		st.sectors = follow(f.fat, e.start, min(f.count(), int64(e.size/uint64(f.sector))+1)) //nolint:gosec // cut by count
	}
	size := min(e.size, uint64(int64(len(st.sectors))*st.unit))
	return io.NewSectionReader(st, 0, int64(size)) //nolint:gosec // at most the file's size
}

// stream reads the octets of a chain.
type stream struct {
	f       *File
	unit    int64 // octets of a sector
	small   bool  // its sectors lie in the mini stream
	sectors []uint32
}

// ReadAt implements io.ReaderAt.
func (s *stream) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		i, from := off/s.unit, off%s.unit
		if off < 0 || i >= int64(len(s.sectors)) {
			return n, io.EOF
		}
		// Sectors that follow one another are read at once.
		run := int64(1)
		for i+run < int64(len(s.sectors)) && s.sectors[i+run] == s.sectors[i]+uint32(run) && run*s.unit < int64(len(p)-n) && !s.small {
			run++
		}
		part := p[n:min(int64(len(p)), int64(n)+run*s.unit-from)]
		at := s.place(s.sectors[i])
		if at < 0 {
			return n, io.ErrUnexpectedEOF
		}
		got, err := s.f.r.ReadAt(part[:max(0, min(int64(len(part)), s.f.size-at-from))], at+from)
		n += got
		off += int64(got)
		if got < len(part) {
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return n, err
		}
	}
	return n, nil
}

// place returns where a sector of the chain lies in the file, -1 if nowhere.
func (s *stream) place(n uint32) int64 {
	f := s.f
	if !s.small {
		return (int64(n) + 1) * f.sector
	}
	off := int64(n) * f.mini
	i := off / f.sector
	if i >= int64(len(f.miniStream)) {
		return -1
	}
	return (int64(f.miniStream[i])+1)*f.sector + off%f.sector
}
