package dropbox

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Bounds of what is followed in a TIFF; a file beyond them passes unchecked,
// for it is the reader's job, not the door's, to judge odd files.
const (
	maxPages   = 10_000
	maxEntries = 4096
	maxStrips  = 1 << 16
	maxRead    = 64 << 20 // octets read in all: directories may be made to overlap
)

// The tags that say where a page's image data lie (TIFF 6.0, sections 8, 15).
const (
	tagStripOffsets    = 273
	tagStripByteCounts = 279
	tagTileOffsets     = 324
	tagTileByteCounts  = 325
)

// tiff walks the directories of a TIFF or BigTIFF.
type tiff struct {
	r     io.ReaderAt
	size  int64
	order binary.ByteOrder
	big   bool
	spent int64 // octets read so far
}

// completeTIFF asks that the chain of directories, and every strip or tile
// that they name, stay inside the file.
func completeTIFF(r io.ReaderAt, size int64, head []byte) error {
	t := &tiff{r: r, size: size, order: binary.LittleEndian}
	if head[0] == 'M' {
		t.order = binary.BigEndian
	}
	t.big = head[2] == 43 || head[3] == 43
	first := int64(4)
	if t.big {
		first = 8
	}
	next, err := t.pointer(first)
	if err != nil {
		return err
	}
	if next == 0 {
		return fmt.Errorf("TIFF without a page: %w", errIncomplete)
	}
	seen := map[int64]bool{}
	for page := 0; next != 0 && page < maxPages && !seen[next] && t.spent < maxRead; page++ {
		seen[next] = true
		if next, err = t.directory(next); err != nil {
			return fmt.Errorf("page %d: %w", page+1, err)
		}
	}
	return nil
}

// pointer reads an offset of the variant's width.
func (t *tiff) pointer(off int64) (int64, error) {
	if t.big {
		b, err := readAt(t.r, off, 8)
		if err != nil {
			return 0, err
		}
		return t.inside(t.order.Uint64(b))
	}
	b, err := readAt(t.r, off, 4)
	if err != nil {
		return 0, err
	}
	return t.inside(uint64(t.order.Uint32(b)))
}

func (t *tiff) inside(off uint64) (int64, error) {
	if off > uint64(t.size) {
		return 0, fmt.Errorf("TIFF points to %d of %d octets: %w", off, t.size, errIncomplete)
	}
	return int64(off), nil
}

// directory checks the directory at off and returns the offset of the next.
func (t *tiff) directory(off int64) (int64, error) {
	head, width := int64(2), int64(12)
	if t.big {
		head, width = 8, 20
	}
	b, err := readAt(t.r, off, head)
	if err != nil {
		return 0, err
	}
	n := int64(t.order.Uint16(b))
	if t.big {
		n = int64(min(t.order.Uint64(b), maxEntries+1))
	}
	if n > maxEntries {
		return 0, nil
	}
	t.spent += n * width
	entries, err := readAt(t.r, off+head, n*width)
	if err != nil {
		return 0, err
	}
	places := map[uint16][]uint64{}
	for i := range n {
		e := entries[i*width : (i+1)*width]
		if err := t.entry(e, off+head+i*width, places); err != nil {
			return 0, err
		}
	}
	if err := t.data(places[tagStripOffsets], places[tagStripByteCounts]); err != nil {
		return 0, err
	}
	if err := t.data(places[tagTileOffsets], places[tagTileByteCounts]); err != nil {
		return 0, err
	}
	return t.pointer(off + head + n*width)
}

// widths of the value types of TIFF 6.0 section 2 and BigTIFF.
var widths = map[uint16]int64{1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}

// entry checks that the value of one directory entry lies inside the file and
// keeps it if it says where image data lie.
func (t *tiff) entry(e []byte, at int64, places map[uint16][]uint64) error {
	tag, typ := t.order.Uint16(e), t.order.Uint16(e[2:])
	count, inline, value := uint64(t.order.Uint32(e[4:])), int64(4), at+8
	if t.big {
		count, inline, value = t.order.Uint64(e[4:]), 8, at+12
	}
	width := widths[typ]
	if width == 0 {
		return nil // unknown types are to be skipped (TIFF 6.0 section 2)
	}
	if count > uint64(t.size) {
		return fmt.Errorf("TIFF names %d values: %w", count, errIncomplete)
	}
	length := int64(count) * width
	if length > inline {
		p, err := t.pointer(value)
		if err != nil {
			return err
		}
		value = p
	}
	if value+length > t.size {
		return fmt.Errorf("values of TIFF tag %d end behind the file: %w", tag, errIncomplete)
	}
	switch tag {
	case tagStripOffsets, tagStripByteCounts, tagTileOffsets, tagTileByteCounts:
		if count <= maxStrips && (width == 2 || width == 4 || width == 8) {
			v, err := t.numbers(value, int64(count), width)
			places[tag] = v
			return err
		}
	}
	return nil
}

func (t *tiff) numbers(off, count, width int64) ([]uint64, error) {
	if t.spent += count * width; t.spent > maxRead {
		return nil, nil
	}
	b, err := readAt(t.r, off, count*width)
	if err != nil {
		return nil, err
	}
	v := make([]uint64, count)
	for i := range v {
		p := b[int64(i)*width:]
		switch width {
		case 2:
			v[i] = uint64(t.order.Uint16(p))
		case 4:
			v[i] = uint64(t.order.Uint32(p))
		default:
			v[i] = t.order.Uint64(p)
		}
	}
	return v, nil
}

// data checks that all strips or tiles lie inside the file.
func (t *tiff) data(offsets, counts []uint64) error {
	for i := range min(len(offsets), len(counts)) {
		end := offsets[i] + counts[i]
		if end < offsets[i] || end > uint64(t.size) {
			return fmt.Errorf("image data of the TIFF end at %d of %d octets: %w", end, t.size, errIncomplete)
		}
	}
	return nil
}
