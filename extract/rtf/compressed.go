package rtf

import (
	"encoding/binary"
	"errors"
)

// dictionary is what the window of a compressed RTF holds at the begin
// (MS-OXRTFCP §2.1.2.1).
const dictionary = "{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx"

// ErrCompressed says that octets are no compressed RTF.
var ErrCompressed = errors.New("malformed compressed RTF")

// Decompress returns the RTF that a message of Outlook holds compressed
// (MS-OXRTFCP), at most limit octets of it. What was read before a break is
// returned with ErrCompressed.
func Decompress(b []byte, limit int) ([]byte, error) {
	const (
		compressed   = 0x75465a4c // "LZFu"
		uncompressed = 0x414c454d // "MELA"
	)
	if len(b) < 16 {
		return nil, ErrCompressed
	}
	size := int(min(uint32(limit), binary.LittleEndian.Uint32(b[4:])))
	switch binary.LittleEndian.Uint32(b[8:]) {
	case uncompressed:
		return b[16:min(len(b), 16+size)], nil
	case compressed:
		return decompress(b[16:], size)
	}
	return nil, ErrCompressed
}

func decompress(b []byte, size int) ([]byte, error) {
	const window = 4096
	var dict [window]byte
	pos := copy(dict[:], dictionary)
	out := make([]byte, 0, min(size, 16*len(b)))
	put := func(c byte) {
		out = append(out, c)
		dict[pos] = c
		pos = (pos + 1) % window
	}
	for len(b) > 0 {
		control := b[0]
		b = b[1:]
		for bit := 0; bit < 8; bit++ {
			if len(out) >= size {
				return out, nil
			}
			if control&(1<<bit) == 0 {
				if len(b) == 0 {
					return out, ErrCompressed
				}
				put(b[0])
				b = b[1:]
				continue
			}
			if len(b) < 2 {
				return out, ErrCompressed
			}
			token := int(b[0])<<8 | int(b[1])
			b = b[2:]
			from, n := token>>4, token&0xf+2
			if from == pos {
				return out, nil // the end mark
			}
			for i := 0; i < n && len(out) < size; i++ {
				put(dict[(from+i)%window])
			}
		}
	}
	return out, nil
}
