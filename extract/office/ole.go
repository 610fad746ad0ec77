package office

import (
	"encoding/binary"
	"unicode/utf16"

	"sekretariat"
)

// The names of streams in a compound file that tell what it is (MS-CFB 2.6.1).
var oleStreams = map[string]string{
	"WordDocument": TypeDOC, "Workbook": TypeXLS, "Book": TypeXLS, "PowerPoint Document": TypePPT,
	"__properties_version1.0": "application/vnd.ms-outlook", "EncryptedPackage": TypeEncrypted,
}

// TypeEncrypted is an OOXML document under a password: a compound file around
// an encrypted package (MS-OFFCRYPTO 2.3).
const TypeEncrypted = "application/vnd.ms-office-encrypted"

// maxOLE bounds the walk through a directory, entries.
const maxOLE = 20_000

// OLE returns the type of a compound file by the streams in its directory, ""
// if it is none of ours.
func OLE(body sekretariat.Body) string {
	var head [512]byte
	if _, err := body.ReadAt(head[:], 0); err != nil || string(head[:8]) != "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" {
		return ""
	}
	le := binary.LittleEndian
	shift := le.Uint16(head[30:])
	if shift != 9 && shift != 12 {
		return ""
	}
	size := int64(1) << shift
	buf := make([]byte, size)
	sector := le.Uint32(head[48:])
	for n := 0; sector < 0xfffffffa && n < maxOLE; {
		if _, err := body.ReadAt(buf, (int64(sector)+1)*size); err != nil {
			return ""
		}
		for at := 0; at+128 <= len(buf); at, n = at+128, n+1 {
			if typ := oleStreams[oleName(buf[at:at+128])]; typ != "" {
				return typ
			}
		}
		sector = nextSector(body, head[:], sector, size)
	}
	return ""
}

func oleName(entry []byte) string {
	n := int(binary.LittleEndian.Uint16(entry[64:]))
	if n < 2 || n > 64 {
		return ""
	}
	var units []uint16
	for i := 0; i+1 < n-1; i += 2 {
		units = append(units, binary.LittleEndian.Uint16(entry[i:]))
	}
	return string(utf16.Decode(units))
}

// nextSector follows the allocation table as far as the header lists its
// sectors: 109 of them cover files of 6 MB, and directories stand early.
func nextSector(body sekretariat.Body, head []byte, sector uint32, size int64) uint32 {
	const listed, end = 109, 0xfffffffe
	le := binary.LittleEndian
	perTable := uint32(size / 4)
	table := sector / perTable
	if table >= listed {
		return end
	}
	at := le.Uint32(head[76+4*table:])
	var b [4]byte
	if _, err := body.ReadAt(b[:], (int64(at)+1)*size+4*int64(sector%perTable)); err != nil {
		return end
	}
	return le.Uint32(b[:])
}
