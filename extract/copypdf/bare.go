package copypdf

import "encoding/binary"

// Bare returns a JPEG stream without what is written beside the picture: EXIF
// with the place where a photo was taken, XMP, comments, thumbnails. What says
// how to decode it stays (JFIF, Adobe's transform). nil for what is no JPEG
// stream that can be walked.
func Bare(raw []byte) []byte {
	const soi, sos, app0, app14, app15, comment = 0xd8, 0xda, 0xe0, 0xee, 0xef, 0xfe
	if len(raw) < 4 || raw[0] != 0xff || raw[1] != soi {
		return nil
	}
	out := append(make([]byte, 0, len(raw)), raw[:2]...)
	for at := 2; at+4 <= len(raw) && raw[at] == 0xff; {
		marker := raw[at+1]
		if marker == 0xff { // fill octet
			at++
			continue
		}
		size := int(binary.BigEndian.Uint16(raw[at+2:]))
		if size < 2 || at+2+size > len(raw) {
			return nil
		}
		if marker == sos {
			return append(out, raw[at:]...)
		}
		if marker == comment || marker > app0 && marker <= app15 && marker != app14 {
			at += 2 + size
			continue
		}
		out = append(out, raw[at:at+2+size]...)
		at += 2 + size
	}
	return nil
}
