package archivetest

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// Sealed7z sets the checksums of a 7z file as its octets now ask for, so that a
// changed header is read and not refused for its checksum.
func Sealed7z(raw []byte) []byte {
	out := bytes.Clone(raw)
	if len(out) < 33 {
		return out
	}
	offset, size := binary.LittleEndian.Uint64(out[12:]), binary.LittleEndian.Uint64(out[20:])
	if room := uint64(len(out) - 32); offset <= room && size <= room-offset {
		binary.LittleEndian.PutUint32(out[28:], crc32.ChecksumIEEE(out[32+offset:32+offset+size]))
	}
	binary.LittleEndian.PutUint32(out[8:], crc32.ChecksumIEEE(out[12:32]))
	return out
}
