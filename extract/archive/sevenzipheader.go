package archive

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"

	"sekretariat"
)

// The library that reads 7z files makes room for as many files, streams and
// digests as a header says there are, before it reads the first: a few octets
// can ask for all memory. So the header is walked through beforehand, as
// 7zFormat.txt of the LZMA SDK describes it, and refused where it says more
// than an office's archive can hold. Nothing is kept but the counts.

// Limits of a 7z header.
const (
	max7zCount   = 100_000 // files, streams, digests, folders
	max7zStreams = 64      // of one folder, as in the SDK (NumCodersStreams_in_Folder_MAX)
	max7zLevels  = 4       // headers packed in headers
)

// Ids of properties (7zFormat.txt).
const (
	id7zEnd, id7zHeader                            = 0x00, 0x01
	id7zMain, id7zFiles                            = 0x04, 0x05
	id7zPack, id7zUnpack, id7zSub                  = 0x06, 0x07, 0x08
	id7zSize, id7zCRC, id7zFolder, id7zUnpackSizes = 0x09, 0x0a, 0x0b, 0x0c
	id7zNumUnpack, id7zEncoded                     = 0x0d, 0x17
)

const aes7z = "\x06\xf1\x07\x01"

var signature7z = []byte("7z\xbc\xaf\x27\x1c")

// header7zFits checks the header of a 7z file. Returns ErrDamaged,
// ErrLimit, ErrMethod, and ErrPassword for a header that is encrypted.
func header7zFits(body sekretariat.Body, password string) error {
	var start [32]byte // signature, version, checksum, then offset, size and checksum of the header
	if _, err := body.ReadAt(start[:], 0); err != nil {
		return err
	}
	if !bytes.HasPrefix(start[:], signature7z) {
		return ErrDamaged // the library would look for it further on
	}
	offset, size := binary.LittleEndian.Uint64(start[12:]), binary.LittleEndian.Uint64(start[20:])
	switch {
	case size > maxDirectory:
		return ErrLimit
	case size == 0 || offset > uint64(body.Size()):
		return ErrDamaged
	}
	header := make([]byte, size)
	if _, err := body.ReadAt(header, int64(offset)+32); err != nil {
		return ErrDamaged
	}
	if crc32.ChecksumIEEE(header) != binary.LittleEndian.Uint32(start[28:]) {
		return ErrDamaged
	}
	return fits7z(body, header, password, max7zLevels)
}

// fits7z checks a header and, where it is packed, the one inside.
func fits7z(body sekretariat.Body, header []byte, password string, levels int) error {
	h := &header7z{rest: header}
	switch h.octet() {
	case id7zHeader:
		h.header()
		return h.err
	case id7zEncoded:
		inner, err := h.unpack(body, password)
		if err != nil || inner == nil {
			return err
		}
		if levels == 0 {
			return ErrLimit
		}
		return fits7z(body, inner, password, levels-1)
	}
	return ErrDamaged
}

// header7z walks through a header; the first error stays.
type header7z struct {
	rest []byte
	err  error

	// Of the streams last described: where they lie and, if it is one folder of
	// one coder, how they are packed.
	position  uint64
	packed    uint64 // octets of the first packed stream
	folders   int
	coders    int // of all folders
	method    []byte
	encrypted bool // by AES
	props     []byte
	outs      []int // unpacked streams of each folder
	unpacked  uint64
}

func (h *header7z) fail(err error) {
	if h.err == nil {
		h.err, h.rest = err, nil
	}
}

func (h *header7z) take(n uint64) []byte {
	if n > uint64(len(h.rest)) {
		h.fail(ErrDamaged)
		return nil
	}
	b := h.rest[:n]
	h.rest = h.rest[n:]
	return b
}

func (h *header7z) octet() byte {
	if b := h.take(1); b != nil {
		return b[0]
	}
	return 0xff // no id
}

// number reads a NUMBER: the leading ones of the first octet say how many follow.
func (h *header7z) number() uint64 {
	first, v := h.octet(), uint64(0)
	for i := range 8 {
		mask := byte(0x80) >> i
		if first&mask == 0 {
			return v | uint64(first&(mask-1))<<(8*i)
		}
		v |= uint64(h.octet()) << (8 * i)
	}
	return v
}

// count is a NUMBER of things that room is made for.
func (h *header7z) count(limit uint64) int {
	n := h.number()
	if n > limit {
		h.fail(ErrLimit)
		return 0
	}
	return int(n)
}

// digests skips the digests of n streams; each takes a bit at least.
func (h *header7z) digests(n int) {
	defined := n
	if h.octet() == 0 {
		defined = 0
		for i, b := 0, h.take(uint64(n+7)/8); i < n && b != nil; i++ {
			defined += int(b[i/8] >> (7 - i%8) & 1)
		}
	}
	h.take(4 * uint64(defined))
}

func (h *header7z) header() {
	id := h.octet()
	if id == id7zMain {
		h.streams()
		id = h.octet()
	}
	if id != id7zFiles {
		if id != id7zEnd {
			h.fail(ErrDamaged) // what else may stand here no program writes, and the library refuses it
		}
		return
	}
	// Of the files only their number asks for room: each has a name, of two
	// octets at least.
	if n := h.count(max7zCount); 2*n > len(h.rest) {
		h.fail(ErrDamaged)
	}
}

func (h *header7z) streams() {
	id := h.octet()
	if id == id7zPack {
		h.packInfo()
		id = h.octet()
	}
	if id == id7zUnpack {
		h.unpackInfo()
		id = h.octet()
	}
	if id == id7zSub {
		h.subStreams()
		id = h.octet()
	}
	if id != id7zEnd {
		h.fail(ErrDamaged)
	}
}

func (h *header7z) packInfo() {
	h.position = h.number()
	n := h.count(max7zCount)
	id := h.octet()
	if id == id7zSize {
		for i := range n {
			if size := h.number(); i == 0 {
				h.packed = size
			}
			if h.err != nil {
				return
			}
		}
		id = h.octet()
	}
	if id == id7zCRC {
		h.digests(n)
		id = h.octet()
	}
	if id != id7zEnd {
		h.fail(ErrDamaged)
	}
}

func (h *header7z) unpackInfo() {
	if h.octet() != id7zFolder {
		h.fail(ErrDamaged)
		return
	}
	h.folders = h.count(max7zCount)
	if h.octet() != 0 { // described elsewhere: no program writes that
		h.fail(ErrDamaged)
	}
	for range h.folders {
		if h.folder(); h.err != nil {
			return
		}
	}
	if h.octet() != id7zUnpackSizes {
		h.fail(ErrDamaged)
	}
	for _, outs := range h.outs {
		for range outs {
			if h.unpacked = h.number(); h.err != nil {
				return
			}
		}
	}
	id := h.octet()
	if id == id7zCRC {
		h.digests(h.folders)
		id = h.octet()
	}
	if id != id7zEnd {
		h.fail(ErrDamaged)
	}
}

func (h *header7z) folder() {
	ins, outs := 0, 0
	coders := h.count(max7zStreams)
	h.coders += coders
	for range coders {
		kind := h.octet()
		h.method = h.take(uint64(kind & 0x0f))
		h.encrypted = h.encrypted || string(h.method) == aes7z
		in, out := 1, 1
		if kind&0x10 != 0 {
			in, out = h.count(max7zStreams), h.count(max7zStreams)
		}
		h.props = nil
		if kind&0x20 != 0 {
			h.props = h.take(h.number())
		}
		ins, outs = ins+in, outs+out
	}
	if h.err == nil && (outs == 0 || ins < outs || ins > max7zStreams) {
		h.fail(ErrDamaged)
	}
	for range 2 * (outs - 1) {
		h.number()
	}
	if packed := ins - (outs - 1); packed > 1 {
		for range packed {
			h.number()
		}
	}
	h.outs = append(h.outs, outs)
}

func (h *header7z) subStreams() {
	files, id := h.folders, h.octet()
	sizes := 0
	if id == id7zNumUnpack {
		files = 0
		for range h.folders {
			n := h.count(max7zCount)
			files, sizes = files+n, sizes+max(n-1, 0)
			if files > max7zCount {
				h.fail(ErrLimit)
			}
			if h.err != nil {
				return
			}
		}
		id = h.octet()
	}
	if id == id7zSize {
		for range sizes {
			if h.number(); h.err != nil {
				return
			}
		}
		id = h.octet()
	}
	if id == id7zCRC {
		h.digests(files)
		id = h.octet()
	}
	if id != id7zEnd {
		h.fail(ErrDamaged)
	}
}

// unpack returns the header that a packed one describes. It is nil for what is
// encrypted and has a password: only the library opens that, and the memory limit
// of the reading process is the fence.
func (h *header7z) unpack(body sekretariat.Body, password string) ([]byte, error) {
	h.streams()
	switch {
	case h.err != nil:
		return nil, h.err
	case h.folders != 1:
		return nil, ErrDamaged
	case h.encrypted && password == "":
		return nil, ErrPassword
	case h.encrypted:
		return nil, nil
	case h.coders != 1:
		return nil, ErrMethod
	case h.unpacked > maxDirectory:
		return nil, ErrLimit
	case h.position > uint64(body.Size()) || h.packed > uint64(body.Size()):
		return nil, ErrDamaged
	}
	raw := []io.ReadCloser{io.NopCloser(io.NewSectionReader(body, 32+int64(h.position), int64(h.packed)))}
	var r io.ReadCloser
	var err error
	switch string(h.method) {
	case "\x00": // as it is
		r = raw[0]
	case "\x03\x01\x01":
		r, err = lzma1(h.props, h.unpacked, raw)
	case "\x21":
		r, err = lzma2(h.props, h.unpacked, raw)
	default:
		return nil, ErrMethod // 7-Zip packs headers by LZMA alone
	}
	if err != nil {
		return nil, ErrDamaged
	}
	inner := make([]byte, h.unpacked)
	if _, err := io.ReadFull(r, inner); err != nil {
		return nil, ErrDamaged
	}
	return inner, nil
}
