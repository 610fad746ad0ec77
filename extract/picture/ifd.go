package picture

import (
	"encoding/binary"
	"io"
	"math"
)

// The tags that are read (TIFF 6.0; EXIF 2.32 §§4.6.4, 4.6.3).
const (
	tagWidth       = 0x0100
	tagHeight      = 0x0101
	tagCompression = 0x0103
	tagPhotometric = 0x0106
	tagOrientation = 0x0112
	tagXResolution = 0x011a
	tagYResolution = 0x011b
	tagUnit        = 0x0128
	tagGPS         = 0x8825
)

// Limits of a TIFF structure.
const (
	maxImages  = 1000
	maxEntries = 4096 // of one directory
)

// directory is what one image file directory says.
type directory struct {
	at            int64 // its offset
	width, height int
	orientation   int
	dpi, dpiY     int // across and down
	gps           bool

	compression, photometric int
}

// directories walks the chain of directories of a TIFF structure: the pages of
// a TIFF file, or what EXIF says of a photo. A broken chain ends early.
func directories(r io.ReaderAt, most int) (list []directory) {
	var head [8]byte
	if _, err := r.ReadAt(head[:], 0); err != nil {
		return nil
	}
	var order binary.ByteOrder = binary.LittleEndian
	switch string(head[:4]) {
	case "II*\x00":
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return nil
	}
	seen := map[int64]bool{}
	for at := int64(order.Uint32(head[4:])); at != 0 && !seen[at] && len(list) < most; {
		seen[at] = true
		d, next, ok := readDirectory(r, order, at)
		if !ok {
			break
		}
		list = append(list, d)
		at = next
	}
	return list
}

func readDirectory(r io.ReaderAt, order binary.ByteOrder, at int64) (d directory, next int64, ok bool) {
	d.at = at
	var count [2]byte
	if _, err := r.ReadAt(count[:], at); err != nil {
		return d, 0, false
	}
	n := int(order.Uint16(count[:]))
	if n == 0 || n > maxEntries {
		return d, 0, false
	}
	raw := make([]byte, 12*n+4)
	if k, err := r.ReadAt(raw, at+2); err != nil && k < 12*n {
		return d, 0, false
	}
	unit := 2 // inches, unless it says otherwise
	for i := range n {
		e := raw[12*i : 12*i+12]
		switch order.Uint16(e) {
		case tagWidth:
			d.width = number(order, e)
		case tagHeight:
			d.height = number(order, e)
		case tagCompression:
			d.compression = number(order, e)
		case tagPhotometric:
			d.photometric = number(order, e)
		case tagOrientation:
			if v := number(order, e); v >= 1 && v <= 8 {
				d.orientation = v
			}
		case tagUnit:
			unit = number(order, e)
		case tagXResolution:
			d.dpi = rational(r, order, e)
		case tagYResolution:
			d.dpiY = rational(r, order, e)
		case tagGPS:
			d.gps = true
		}
	}
	switch unit {
	case 1:
		d.dpi, d.dpiY = 0, 0
	case 3: // per centimetre
		d.dpi, d.dpiY = int(math.Round(float64(d.dpi)*2.54)), int(math.Round(float64(d.dpiY)*2.54))
	}
	return d, int64(order.Uint32(raw[12*n:])), true
}

// number is the value of a SHORT or LONG entry.
func number(order binary.ByteOrder, e []byte) int {
	switch order.Uint16(e[2:]) {
	case 3:
		return int(order.Uint16(e[8:]))
	case 4:
		return int(order.Uint32(e[8:]))
	}
	return 0
}

func rational(r io.ReaderAt, order binary.ByteOrder, e []byte) int {
	var b [8]byte
	if order.Uint16(e[2:]) != 5 {
		return 0
	}
	if _, err := r.ReadAt(b[:], int64(order.Uint32(e[8:]))); err != nil {
		return 0
	}
	over, under := order.Uint32(b[:]), order.Uint32(b[4:])
	if under == 0 || over/under > 100_000 {
		return 0
	}
	return int(math.Round(float64(over) / float64(under)))
}
