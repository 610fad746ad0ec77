package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
)

// aSegment returns a well-formed segment of two frames, three groups.
func aSegment() []byte {
	h := segmentHeader{ID: 1, Salt: 42}
	b := h.encode()
	frame := func(records ...[]byte) {
		f := make([]byte, frameHeaderSize)
		for _, r := range records {
			f = append(f, r...)
		}
		putFrameHeader(f, h.Salt, int64(len(b)))
		b = append(b, f...)
	}
	one := func(r record, body string) []byte {
		r.Size, r.CRC = int64(len(body)), crcOf([]byte(body))
		return append(appendRecord(nil, r), body...)
	}
	frame(one(record{Op: opPut, Group: 7, Index: 0, Count: 2, Key: "a/1"}, "first"),
		one(record{Op: opOnce, Target: keysTarget, Group: 7, Index: 1, Count: 2, Key: "a/2"}, ""))
	frame(appendRecord(nil, record{Op: opDone, Group: 7, Index: 2, Count: 2}),
		one(record{Op: opDelete, Group: 8, Count: 1, Key: "a/1"}, ""),
		appendRecord(nil, record{Op: opPut, Group: 9, Count: 1, Key: "a/3", Size: 1 << 30, File: 5}))
	return b
}

func readAll(b []byte, limit int64) ([]found, scan, error) {
	var all []found
	r := segmentReader{r: bytes.NewReader(b), size: int64(len(b)), limit: limit, name: "test",
		check: func(record) bool { return true }, fn: func(f found) error { all = append(all, f); return nil }}
	res, err := r.read()
	return all, res, err
}

func TestSegmentRoundTrip(t *testing.T) {
	b := aSegment()
	all, res, err := readAll(b, -1)
	if err != nil || len(res.Damage) != 0 || res.Torn || res.Len != int64(len(b)) || len(all) != 5 {
		t.Fatalf("%d records, %+v, %v", len(all), res, err)
	}
	if all[0].Key != "a/1" || all[0].Size != 5 || all[1].Target != keysTarget || all[2].Op != opDone || all[4].File != 5 {
		t.Errorf("%+v", all)
	}
	if got := string(b[all[0].At : all[0].At+5]); got != "first" {
		t.Errorf("body %q", got)
	}
}

// resum makes the check sums of b fit, as far as b looks like a segment, so
// that the fuzzer gets behind them.
func resum(b []byte) []byte {
	b = bytes.Clone(b)
	if len(b) < segmentHeaderSize {
		return b
	}
	copy(b, segmentMagic)
	binary.LittleEndian.PutUint32(b[44:], crcOf(b[:44]))
	salt := binary.LittleEndian.Uint64(b[16:])
	for at := segmentHeaderSize; at+frameHeaderSize <= len(b); {
		n := int(binary.LittleEndian.Uint32(b[at+4:]))
		if binary.LittleEndian.Uint32(b[at:]) != frameMagic || n > len(b)-at-frameHeaderSize {
			break
		}
		frame := b[at : at+frameHeaderSize+n]
		putFrameHeader(frame, salt, int64(at))
		at += len(frame)
		for p := frame[frameHeaderSize:]; len(p) >= recordHeaderSize; {
			used := recordHeaderSize + int(binary.LittleEndian.Uint16(p[20:])) + int(binary.LittleEndian.Uint16(p[22:]))
			if used > len(p) {
				break
			}
			size := binary.LittleEndian.Uint64(p[24:])
			if size <= uint64(len(p)-used) {
				binary.LittleEndian.PutUint32(p[32:], crcOf(p[used:used+int(size)]))
			}
			binary.LittleEndian.PutUint32(p[36:], recordSum(p[:used]))
			if p = p[used:]; size <= uint64(len(p)) {
				p = p[size:]
			}
		}
	}
	return b
}

// Whatever the file holds: no panic, no record outside it, none that this
// program would not write, and the same again when the result is taken for the
// length.
func FuzzSegment(f *testing.F) {
	good := aSegment()
	f.Add(good, int64(-1))
	f.Add(good[:len(good)-7], int64(-1))
	f.Add(good, int64(len(good)))
	f.Add(append(bytes.Clone(good), make([]byte, 500)...), int64(-1))
	f.Add(append(bytes.Clone(good), good...), int64(len(good)))
	flipped := bytes.Clone(good)
	flipped[100] ^= 1
	f.Add(flipped, int64(-1))
	f.Fuzz(func(t *testing.T, b []byte, limit int64) {
		if limit < -1 {
			limit = -1
		}
		b = resum(b)
		all, res, err := readAll(b, limit)
		if err != nil {
			if !errors.Is(err, errNoSegment) {
				t.Fatalf("unexpected error: %v", err)
			}
			return
		}
		if res.Len > int64(len(b)) || res.Len < segmentHeaderSize {
			t.Fatalf("length %d of %d", res.Len, len(b))
		}
		for _, r := range all {
			if !r.sane() || r.At < segmentHeaderSize || r.At+r.inline() > int64(len(b)) {
				t.Fatalf("record %+v", r)
			}
		}
		again, second, err := readAll(b, res.Len)
		if err != nil || second.Len != res.Len || len(again) > len(all) {
			t.Fatalf("read again up to %d: %d records for %d, %+v, %v", res.Len, len(again), len(all), second, err)
		}
	})
}

func FuzzRecord(f *testing.F) {
	f.Add(appendRecord(nil, record{Op: opPut, Group: 1, Count: 1, Key: "a/b", Size: 3}))
	f.Add(appendRecord(nil, record{Op: opOnce, Group: 1, Count: 1, Key: "a/b", Size: 3, File: 9}))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, n, err := parseRecord(b)
		if err != nil {
			return
		}
		if back := appendRecord(nil, r); !bytes.Equal(back, b[:n]) {
			t.Fatalf("%x read as %+v, written as %x", b[:n], r, back)
		}
	})
}

// Whatever is stored, the opener gives the true content or an error.
func FuzzOpenEnvelope(f *testing.F) {
	aead, err := newAEAD(make([]byte, keySize))
	if err != nil {
		f.Fatal(err)
	}
	d := &dataKey{name: "test", aead: aead}
	plain := bytes.Repeat([]byte("content "), chunkSize/4)
	for _, n := range []int{0, 10, 1000, chunkSize + 1} {
		s, err := newSealer()
		if err != nil {
			f.Fatal(err)
		}
		body := s.finish(s.write(nil, plain[:n]))
		f.Add(append(s.header(d, "a/key"), body...), 0, byte(0))
		f.Add(append(s.header(d, "a/key"), body...), 20, byte(1))
	}
	f.Fuzz(func(t *testing.T, b []byte, at int, flip byte) {
		b = bytes.Clone(b)
		if len(b) > 0 && at >= 0 {
			b[at%len(b)] ^= flip
		}
		o, err := openEnvelope(d, "a/key", memoryBody{bytes.NewReader(b)})
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatalf("unexpected error: %v", err)
			}
			return
		}
		got, err := io.ReadAll(io.NewSectionReader(o, 0, o.Size()))
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatalf("unexpected error: %v", err)
		}
		if !bytes.HasPrefix(plain, got) {
			t.Fatalf("false content of %d octets", len(got))
		}
	})
}
