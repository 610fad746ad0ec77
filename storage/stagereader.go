package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// found is a record with the place of its inline body in the segment.
type found struct {
	record
	At int64 // offset of the body in the segment file
}

// Damage is a place of a staging segment that cannot be read, although what
// stood there had been acknowledged.
type Damage struct {
	File   string
	Offset int64
	Key    string // if it can still be read
}

func (d Damage) String() string {
	if d.Key != "" {
		return fmt.Sprintf("%s at octet %d (object %s)", d.File, d.Offset, d.Key)
	}
	return fmt.Sprintf("%s at octet %d", d.File, d.Offset)
}

// scan is the result of reading one segment.
type scan struct {
	Header segmentHeader
	Len    int64 // up to where the segment is valid
	Torn   bool  // a frame at Len was begun and never acknowledged
	Damage []Damage
}

// segmentReader reads one segment file front to back.
type segmentReader struct {
	r       io.ReaderAt
	size    int64
	limit   int64             // length by the next segment's header, -1 if there is none
	check   func(record) bool // tells whether a body file is intact; nil: bodies are not looked at
	name    string
	fn      func(found) error
	payload []byte
}

// read calls fn for every valid record, in order. Records of one group that is
// not whole are left out. It returns fn's error; damage is part of the result.
func (s *segmentReader) read() (scan, error) {
	var res scan
	head := make([]byte, segmentHeaderSize)
	if _, err := s.r.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return res, fmt.Errorf("read %s: %w", s.name, err)
	}
	h, err := parseSegmentHeader(head)
	if err != nil {
		return res, fmt.Errorf("%s: %w", s.name, err)
	}
	res.Header, res.Len = h, segmentHeaderSize
	end := s.size
	if s.limit >= 0 {
		end = min(end, s.limit)
	}
	for res.Len < end {
		next, err := s.frame(&res, end)
		if err != nil {
			return res, err
		}
		if next < 0 {
			break
		}
		res.Len = next
	}
	s.judgeTail(&res, end)
	return res, nil
}

// judgeTail tells a torn tail, which a crash leaves and nobody was promised,
// from a segment that is shorter than its successor says. What follows the end
// otherwise is the past of a file that was used before.
func (s *segmentReader) judgeTail(res *scan, end int64) {
	if s.limit >= 0 && res.Len < s.limit && len(res.Damage) == 0 {
		res.Damage = append(res.Damage, Damage{File: s.name, Offset: res.Len})
	}
	var head [frameHeaderSize]byte
	if res.Len < end {
		n, _ := s.r.ReadAt(head[:], res.Len) // only for the warning
		res.Torn = n >= 16 && binary.LittleEndian.Uint32(head[:]) == frameMagic && binary.LittleEndian.Uint64(head[8:]) == res.Header.Salt
	}
}

// frame reads the frame at res.Len and returns where the next one begins, or
// -1 if the rest is a torn tail.
func (s *segmentReader) frame(res *scan, end int64) (int64, error) {
	at := res.Len
	n, ok, err := s.frameAt(res.Header.Salt, at, end)
	if err != nil {
		return -1, err
	}
	if !ok {
		next, err := s.nextFrame(res.Header.Salt, at+1, end)
		if err != nil || (next < 0 && s.limit < 0) {
			return -1, err
		}
		res.Damage = append(res.Damage, Damage{File: s.name, Offset: at})
		if next < 0 {
			return end, nil
		}
		return next, nil
	}
	bad, err := s.records(at+frameHeaderSize, n)
	if err != nil {
		return -1, err
	}
	next := at + frameHeaderSize + n
	if len(bad) == 0 {
		return next, nil
	}
	// A frame that is not whole was acknowledged only if another was written
	// after it.
	if s.limit < 0 {
		if after, err := s.nextFrame(res.Header.Salt, next, end); err != nil || after < 0 {
			return -1, err
		}
	}
	res.Damage = append(res.Damage, bad...)
	return next, nil
}

func (s *segmentReader) frameAt(salt uint64, at, end int64) (int64, bool, error) {
	var head [frameHeaderSize]byte
	if at+frameHeaderSize > end {
		return 0, false, nil
	}
	if _, err := s.r.ReadAt(head[:], at); err != nil && !errors.Is(err, io.EOF) {
		return 0, false, fmt.Errorf("read %s: %w", s.name, err)
	}
	n, ok := parseFrameHeader(head[:], salt, at)
	if !ok || at+frameHeaderSize+n > end {
		return 0, false, nil
	}
	return n, true, nil
}

// nextFrame searches for a frame header after damage. A frame names its own
// offset and the segment's salt, so nothing else can be taken for one.
func (s *segmentReader) nextFrame(salt uint64, from, end int64) (int64, error) {
	var magic [4]byte
	binary.LittleEndian.PutUint32(magic[:], frameMagic)
	buf := make([]byte, 256<<10)
	for at := from; at < end; {
		n, err := s.r.ReadAt(buf[:min(int64(len(buf)), end-at)], at)
		if err != nil && !errors.Is(err, io.EOF) {
			return -1, fmt.Errorf("read %s: %w", s.name, err)
		}
		for i := 0; i < n; {
			j := bytes.Index(buf[i:n], magic[:])
			if j < 0 {
				break
			}
			if _, ok, err := s.frameAt(salt, at+int64(i+j), end); err != nil || ok {
				return at + int64(i+j), err
			}
			i += j + 1
		}
		if n < len(buf) {
			return -1, nil
		}
		at += int64(n) - 3 // the magic may lie across
	}
	return -1, nil
}

// records reads the records of one frame's payload and hands the whole groups
// to fn.
func (s *segmentReader) records(at, n int64) ([]Damage, error) {
	if int64(cap(s.payload)) < n {
		s.payload = make([]byte, n)
	}
	p := s.payload[:n]
	if got, err := s.r.ReadAt(p, at); int64(got) < n {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("read %s: %w", s.name, err)
	}
	var bad []Damage
	var group []found
	for off := int64(0); off < n; {
		r, used, err := parseRecord(p[off:])
		if err != nil || off+int64(used)+r.inline() > n {
			return append(bad, Damage{File: s.name, Offset: at + off}), nil
		}
		body := off + int64(used)
		if !s.intact(r, p[body:body+r.inline()]) {
			bad = append(bad, Damage{File: s.name, Offset: at + off, Key: r.Key})
			group = nil
		} else if group = join(group, found{record: r, At: at + body}); len(group) > 0 && group[0].complete(len(group)) {
			for _, f := range group {
				if err := s.fn(f); err != nil {
					return nil, err
				}
			}
			group = nil
		}
		off = body + r.inline()
	}
	return bad, nil
}

// intact checks a record's body.
func (s *segmentReader) intact(r record, inline []byte) bool {
	switch {
	case s.check == nil || r.Op == opDone:
		return true
	case r.File != 0:
		return s.check(r)
	}
	return crcOf(inline) == r.CRC
}

// join appends f if it continues the group, and begins a new one otherwise; a
// record in the middle of a group whose beginning is lost gives none.
func join(group []found, f found) []found {
	if f.Op == opDone {
		return []found{f}
	}
	if len(group) > 0 && f.Group == group[0].Group && f.Count == group[0].Count && int(f.Index) == len(group) {
		return append(group, f)
	}
	if f.Index == 0 {
		return []found{f}
	}
	return nil
}

func (r record) complete(n int) bool { return r.Op == opDone || n == int(r.Count) }
