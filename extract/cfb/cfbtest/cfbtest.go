// Package cfbtest writes compound files for tests: the simplest form that
// MS-CFB allows, with 512-octet sectors.
package cfbtest

import (
	"encoding/binary"
	"slices"
	"unicode/utf16"
)

// Storage is a folder to be written.
type Storage struct {
	Streams  map[string][]byte
	Storages map[string]*Storage
}

// New returns an empty storage.
func New() *Storage { return &Storage{Streams: map[string][]byte{}, Storages: map[string]*Storage{}} }

// Sub returns the storage of that name within s, made if it is not there.
func (s *Storage) Sub(name string) *Storage {
	if s.Storages[name] == nil {
		s.Storages[name] = New()
	}
	return s.Storages[name]
}

const (
	sector  = 512
	mini    = 64
	cutoff  = 4096
	free    = 0xffffffff
	end     = 0xfffffffe
	fatSect = 0xfffffffd
)

// writer lays out one file: streams, small streams, directory, tables.
type writer struct {
	body    []byte // sectors after the header
	fat     []uint32
	small   []byte
	miniFAT []uint32
	entries []entry
}

type entry struct {
	name        string
	kind        byte
	down, right uint32
	start       uint32
	size        int
}

// Bytes returns the file whose root is s.
func Bytes(s *Storage) []byte {
	w := &writer{}
	w.entries = append(w.entries, entry{name: "Root Entry", kind: 5, down: free, right: free})
	w.children(0, s)
	w.entries[0].start, w.entries[0].size = w.chain(w.small), len(w.small)
	miniStart := w.chain(words(w.miniFAT))
	dirStart := w.chain(w.directory())
	return w.file(dirStart, miniStart)
}

// children adds what is in a storage; siblings form a list to the right.
func (w *writer) children(parent int, s *Storage) {
	var names []string
	for name := range s.Streams {
		names = append(names, name)
	}
	for name := range s.Storages {
		names = append(names, name)
	}
	slices.Sort(names)
	last := -1
	for _, name := range names {
		i := len(w.entries)
		w.entries = append(w.entries, entry{name: name, down: free, right: free})
		if last < 0 {
			w.entries[parent].down = uint32(i)
		} else {
			w.entries[last].right = uint32(i)
		}
		last = i
		if sub, ok := s.Storages[name]; ok {
			w.entries[i].kind = 1
			w.children(i, sub)
			continue
		}
		b := s.Streams[name]
		w.entries[i].kind, w.entries[i].size = 2, len(b)
		if len(b) >= cutoff {
			w.entries[i].start = w.chain(b)
		} else {
			w.entries[i].start = w.miniChain(b)
		}
	}
}

// chain writes octets into sectors and returns the first one.
func (w *writer) chain(b []byte) uint32 {
	return link(&w.fat, &w.body, b, sector)
}

func (w *writer) miniChain(b []byte) uint32 { return link(&w.miniFAT, &w.small, b, mini) }

func link(table *[]uint32, out *[]byte, b []byte, unit int) uint32 {
	if len(b) == 0 {
		return end
	}
	first := uint32(len(*table))
	for len(b) > 0 {
		n := min(unit, len(b))
		*out = append(append(*out, b[:n]...), make([]byte, unit-n)...)
		b = b[n:]
		*table = append(*table, uint32(len(*table))+1)
	}
	(*table)[len(*table)-1] = end
	return first
}

func words(v []uint32) []byte {
	var out []byte
	for _, n := range v {
		out = binary.LittleEndian.AppendUint32(out, n)
	}
	return out
}

func (w *writer) directory() []byte {
	var out []byte
	for _, e := range w.entries {
		b := make([]byte, 128)
		units := utf16.Encode([]rune(e.name))
		for i, u := range units {
			binary.LittleEndian.PutUint16(b[2*i:], u)
		}
		binary.LittleEndian.PutUint16(b[64:], uint16(2*len(units)+2))
		b[66], b[67] = e.kind, 1
		binary.LittleEndian.PutUint32(b[68:], free)
		binary.LittleEndian.PutUint32(b[72:], e.right)
		binary.LittleEndian.PutUint32(b[76:], e.down)
		binary.LittleEndian.PutUint32(b[116:], e.start)
		binary.LittleEndian.PutUint64(b[120:], uint64(e.size))
		out = append(out, b...)
	}
	return out
}

// file puts header, sectors and the table of sectors together. The table lists
// its own sectors too; up to 109 of them fit into the header.
func (w *writer) file(dirStart, miniStart uint32) []byte {
	const per = sector / 4
	n := 0
	for n*per < len(w.fat)+n {
		n++
	}
	var list []uint32
	for range n {
		list = append(list, uint32(len(w.fat)))
		w.fat = append(w.fat, fatSect)
	}
	for len(w.fat) < n*per {
		w.fat = append(w.fat, free)
	}
	h := make([]byte, sector)
	le := binary.LittleEndian
	le.PutUint64(h, 0xe11ab1a1e011cfd0)
	le.PutUint16(h[24:], 0x3e)
	le.PutUint16(h[26:], 3)
	le.PutUint16(h[28:], 0xfffe)
	le.PutUint16(h[30:], 9)
	le.PutUint16(h[32:], 6)
	le.PutUint32(h[44:], uint32(n))
	le.PutUint32(h[48:], dirStart)
	le.PutUint32(h[56:], cutoff)
	le.PutUint32(h[60:], miniStart)
	le.PutUint32(h[64:], uint32((len(w.miniFAT)+per-1)/per))
	le.PutUint32(h[68:], end)
	for i := range 109 {
		v := uint32(free)
		if i < len(list) {
			v = list[i]
		}
		le.PutUint32(h[76+4*i:], v)
	}
	return append(append(h, w.body...), words(w.fat)...)
}
