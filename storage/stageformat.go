package storage

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
)

// The staging log's format, see docs/storage.md. All numbers are little-endian.
// A segment is a header and frames; a frame is what one flush made durable and
// holds whole groups; a group is a row of records, one per object.
const (
	segmentMagic = "SKSTAGE1"
	frameMagic   = 0x4d524653 // "SFRM"
	recordMagic  = 0x43455253 // "SREC"

	segmentHeaderSize = 48
	frameHeaderSize   = 32
	recordHeaderSize  = 40

	// maxInline is the largest body in the log itself; larger ones get a file
	// of their own.
	maxInline = 1 << 20
	// maxFrame bounds what a reader believes of a frame's length.
	maxFrame = 64 << 20
	// maxGroup bounds the objects of one group.
	maxGroup = 4096
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func crcOf(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// op is what a record does.
type op uint8

const (
	opPut    op = 1
	opOnce   op = 2
	opDelete op = 3
	opDone   op = 4 // the first Index objects of the group reached the driver; the rest never will
)

// target numbers the stores behind one log.
type target uint8

const (
	objectsTarget target = 0
	keysTarget    target = 1
	targets              = 2
)

// tkey is a key within its target.
type tkey struct {
	t   target
	key string
}

// segmentHeader begins each segment file.
type segmentHeader struct {
	ID      uint64
	Salt    uint64 // random; frames repeat it, so that no letter can contain a frame
	PrevLen uint64 // how much of the segment before is valid, 0 for the first
	Created int64  // Unix nanoseconds
}

func (h segmentHeader) encode() []byte {
	b := make([]byte, segmentHeaderSize)
	copy(b, segmentMagic)
	binary.LittleEndian.PutUint64(b[8:], h.ID)
	binary.LittleEndian.PutUint64(b[16:], h.Salt)
	binary.LittleEndian.PutUint64(b[24:], h.PrevLen)
	binary.LittleEndian.PutUint64(b[32:], uint64(h.Created))
	binary.LittleEndian.PutUint32(b[44:], crcOf(b[:44]))
	return b
}

var errNoSegment = errors.New("no valid segment header")

func parseSegmentHeader(b []byte) (segmentHeader, error) {
	if len(b) < segmentHeaderSize || string(b[:8]) != segmentMagic ||
		binary.LittleEndian.Uint32(b[44:]) != crcOf(b[:44]) {
		return segmentHeader{}, errNoSegment
	}
	return segmentHeader{
		ID:      binary.LittleEndian.Uint64(b[8:]),
		Salt:    binary.LittleEndian.Uint64(b[16:]),
		PrevLen: binary.LittleEndian.Uint64(b[24:]),
		Created: int64(binary.LittleEndian.Uint64(b[32:])),
	}, nil
}

// putFrameHeader writes a frame header into the first frameHeaderSize octets
// of frame, whose rest is the payload.
func putFrameHeader(frame []byte, salt uint64, offset int64) {
	binary.LittleEndian.PutUint32(frame, frameMagic)
	binary.LittleEndian.PutUint32(frame[4:], uint32(len(frame)-frameHeaderSize))
	binary.LittleEndian.PutUint64(frame[8:], salt)
	binary.LittleEndian.PutUint64(frame[16:], uint64(offset))
	binary.LittleEndian.PutUint32(frame[24:], 0)
	binary.LittleEndian.PutUint32(frame[28:], crcOf(frame[:28]))
}

// parseFrameHeader returns the payload length of the frame that stands at
// offset, or false.
func parseFrameHeader(b []byte, salt uint64, offset int64) (int64, bool) {
	if len(b) < frameHeaderSize || binary.LittleEndian.Uint32(b) != frameMagic ||
		binary.LittleEndian.Uint64(b[8:]) != salt || binary.LittleEndian.Uint64(b[16:]) != uint64(offset) ||
		binary.LittleEndian.Uint32(b[28:]) != crcOf(b[:28]) {
		return 0, false
	}
	n := int64(binary.LittleEndian.Uint32(b[4:]))
	return n, n <= maxFrame
}

// record is one object's entry in the log.
type record struct {
	Op     op
	Target target
	Group  uint64 // random, names the group for ever
	Index  uint16 // place in the group
	Count  uint16 // objects in the group
	Key    string
	Size   int64  // of the body
	CRC    uint32 // of the body, Castagnoli
	File   uint64 // number of the body's own file, 0: the body follows the record
}

func (r record) tkey() tkey { return tkey{r.Target, r.Key} }

// inline tells how many octets of body follow the record.
func (r record) inline() int64 {
	if r.File != 0 {
		return 0
	}
	return r.Size
}

// appendRecord appends the record's header; an inline body must follow.
func appendRecord(b []byte, r record) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, recordMagic)
	b = append(b, byte(r.Op), byte(r.Target), 0, 0)
	b = binary.LittleEndian.AppendUint64(b, r.Group)
	b = binary.LittleEndian.AppendUint16(b, r.Index)
	b = binary.LittleEndian.AppendUint16(b, r.Count)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(r.Key)))
	fileField := uint16(0)
	if r.File != 0 {
		fileField = 8
	}
	b = binary.LittleEndian.AppendUint16(b, fileField)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Size))
	b = binary.LittleEndian.AppendUint32(b, r.CRC)
	b = append(b, 0, 0, 0, 0)
	b = append(b, r.Key...)
	if r.File != 0 {
		b = binary.LittleEndian.AppendUint64(b, r.File)
	}
	binary.LittleEndian.PutUint32(b[start+36:], recordSum(b[start:]))
	return b
}

// recordSum is the check sum over header, key and file number, without the
// field that holds it.
func recordSum(b []byte) uint32 {
	sum := crc32.Update(0, castagnoli, b[:36])
	return crc32.Update(sum, castagnoli, b[recordHeaderSize:])
}

var errBadRecord = errors.New("malformed record")

// parseRecord reads one record at the start of b and returns how many octets
// it takes without its body.
func parseRecord(b []byte) (record, int, error) {
	if len(b) < recordHeaderSize || binary.LittleEndian.Uint32(b) != recordMagic {
		return record{}, 0, errBadRecord
	}
	keyLen := int(binary.LittleEndian.Uint16(b[20:]))
	fileLen := int(binary.LittleEndian.Uint16(b[22:]))
	n := recordHeaderSize + keyLen + fileLen
	size := binary.LittleEndian.Uint64(b[24:])
	if keyLen > maxKey || (fileLen != 0 && fileLen != 8) || n > len(b) || size > math.MaxInt64 ||
		binary.LittleEndian.Uint32(b[36:]) != recordSum(b[:n]) {
		return record{}, 0, errBadRecord
	}
	r := record{
		Op: op(b[4]), Target: target(b[5]),
		Group: binary.LittleEndian.Uint64(b[8:]),
		Index: binary.LittleEndian.Uint16(b[16:]), Count: binary.LittleEndian.Uint16(b[18:]),
		Key:  string(b[recordHeaderSize : recordHeaderSize+keyLen]),
		Size: int64(size), CRC: binary.LittleEndian.Uint32(b[32:]),
	}
	if fileLen == 8 {
		r.File = binary.LittleEndian.Uint64(b[n-8:])
	}
	if !r.sane() || (fileLen == 8) != (r.File != 0) {
		return record{}, 0, errBadRecord
	}
	return r, n, nil
}

// sane refuses what this program never writes.
func (r record) sane() bool {
	if r.Op == opDone {
		return r.Key == "" && r.Size == 0 && r.Index <= r.Count
	}
	return r.Op >= opPut && r.Op < opDone && r.Target < targets && r.Index < r.Count && ValidKey(r.Key) == nil &&
		(r.File != 0 || r.Size <= maxInline)
}
