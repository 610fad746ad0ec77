package dropbox

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
)

// errIncomplete marks a file whose structure shows that its end is missing.
// Such a file may still grow; it is looked at again, see Options.Patience.
var errIncomplete = errors.New("file is not complete")

// window is how much of the head and of the tail of a file the structural
// check reads. Writers put the PDF header into the first kilobyte and the end
// marker into the last (ISO 32000-1, annex H, implementation notes 13 and 18).
const window = 1024

// checkComplete looks at the structure of a file of size octets and returns an
// error wrapping errIncomplete if its end is missing. It looks at content, not
// at the name; the name only tells that a structure was to be expected. Unknown
// formats pass: for them, quietness is all that can be had. Other errors are
// read errors.
func checkComplete(r io.ReaderAt, size int64, name string) error {
	if size == 0 {
		return fmt.Errorf("empty: %w", errIncomplete)
	}
	head, err := readAt(r, 0, min(size, window))
	if err != nil {
		return err
	}
	switch {
	case bytes.Contains(head, []byte("%PDF-")):
		return completePDF(r, size, head)
	case bytes.HasPrefix(head, []byte("\xff\xd8\xff")):
		return completeJPEG(r, size)
	case bytes.HasPrefix(head, []byte("II*\x00")), bytes.HasPrefix(head, []byte("MM\x00*")),
		bytes.HasPrefix(head, []byte("II+\x00")), bytes.HasPrefix(head, []byte("MM\x00+")):
		return completeTIFF(r, size, head)
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return completeZIP(r, size)
	case len(bytes.Trim(head, "\x00")) == 0:
		// Windows sets the length first and writes afterwards: a file of zeros
		// is one whose content is still on its way.
		return fmt.Errorf("begins with zeros only: %w", errIncomplete)
	case structured[strings.ToLower(filepath.Ext(name))]:
		return fmt.Errorf("content does not begin like its name says: %w", errIncomplete)
	}
	return nil
}

// structured are the extensions of the formats that checkComplete knows.
var structured = map[string]bool{
	".pdf": true, ".jpg": true, ".jpeg": true, ".tif": true, ".tiff": true, ".zip": true,
	".docx": true, ".xlsx": true, ".odt": true, ".ods": true, ".asice": true, ".asics": true,
}

// readAt reads n octets at off; a file that ends before is incomplete.
func readAt(r io.ReaderAt, off, n int64) ([]byte, error) {
	if off < 0 || n < 0 {
		return nil, fmt.Errorf("offset outside the file: %w", errIncomplete)
	}
	b := make([]byte, n)
	got, err := r.ReadAt(b, off)
	if int64(got) == n {
		return b, nil
	}
	if err == io.EOF {
		return nil, fmt.Errorf("ends at %d, %d were expected: %w", off+int64(got), off+n, errIncomplete)
	}
	return nil, fmt.Errorf("read at %d: %w", off, err)
}

// tail returns the last n octets, or all of a shorter file.
func tail(r io.ReaderAt, size, n int64) ([]byte, error) {
	n = min(n, size)
	return readAt(r, size-n, n)
}

// completePDF asks for %%EOF in the last kilobyte and for a cross-reference
// table or stream where the last startxref says.
func completePDF(r io.ReaderAt, size int64, head []byte) error {
	end, err := tail(r, size, window)
	if err != nil {
		return err
	}
	eof := bytes.LastIndex(end, []byte("%%EOF"))
	if eof < 0 {
		return fmt.Errorf("no %%%%EOF at the end of the PDF: %w", errIncomplete)
	}
	if l, ok := linearizedLength(head); ok && l > size {
		return fmt.Errorf("linearized PDF of %d octets has only %d: %w", l, size, errIncomplete)
	}
	start := bytes.LastIndex(end[:eof], []byte("startxref"))
	if start < 0 {
		return fmt.Errorf("no startxref at the end of the PDF: %w", errIncomplete)
	}
	off, ok := leadingNumber(end[start+len("startxref") : eof])
	if !ok {
		return fmt.Errorf("startxref of the PDF has no number: %w", errIncomplete)
	}
	// Offsets count from the file's begin or, when something stands before the
	// header, from the header.
	for _, base := range []int64{0, int64(bytes.Index(head, []byte("%PDF-")))} {
		if isXref(r, size, base+off) {
			return nil
		}
	}
	return fmt.Errorf("no cross-reference at %d of the PDF: %w", off, errIncomplete)
}

// linearizedLength reads /L of a linearization dictionary: the length that the
// file had when it was written. Incremental updates make it longer, never
// shorter.
func linearizedLength(head []byte) (int64, bool) {
	i := bytes.Index(head, []byte("/Linearized"))
	if i < 0 {
		return 0, false
	}
	dict := head[i:]
	if end := bytes.Index(dict, []byte(">>")); end >= 0 {
		dict = dict[:end]
	}
	l := bytes.Index(dict, []byte("/L "))
	if l < 0 {
		return 0, false
	}
	return leadingNumber(dict[l+2:])
}

// leadingNumber parses the decimal number after leading white space.
func leadingNumber(b []byte) (int64, bool) {
	b = bytes.TrimLeft(b, " \t\r\n\x00\f")
	n := 0
	for n < len(b) && b[n] >= '0' && b[n] <= '9' {
		n++
	}
	v, err := strconv.ParseInt(string(b[:n]), 10, 62)
	return v, err == nil
}

// slack is by how much the offsets of careless writers are off.
const slack = 64

// isXref tells whether a cross-reference table ("xref") or stream ("12 0 obj")
// begins at off, or near it.
func isXref(r io.ReaderAt, size, off int64) bool {
	if off <= 0 || off >= size {
		return false
	}
	from := max(0, off-slack)
	b, err := readAt(r, from, min(size-from, 2*slack))
	if err != nil {
		return false
	}
	// The word at the end of the file names the table and is not it.
	b, _, _ = bytes.Cut(b, []byte("startxref"))
	return bytes.Contains(b, []byte("xref")) || bytes.Contains(b, []byte(" obj"))
}

// completeJPEG asks for the end-of-image marker as the last octets, behind
// which some devices pad.
func completeJPEG(r io.ReaderAt, size int64) error {
	end, err := tail(r, size, window)
	if err != nil {
		return err
	}
	if !bytes.HasSuffix(bytes.TrimRight(end, "\x00\r\n "), []byte{0xff, 0xd9}) {
		return fmt.Errorf("no end-of-image marker at the end of the JPEG: %w", errIncomplete)
	}
	return nil
}

// completeZIP asks for an end-of-central-directory record (APPNOTE 4.3.16)
// whose directory lies before it. Its comment can be 64 KiB long.
func completeZIP(r io.ReaderAt, size int64) error {
	const record = 22
	end, err := tail(r, size, record+1<<16)
	if err != nil {
		return err
	}
	i := bytes.LastIndex(end, []byte("PK\x05\x06"))
	if i < 0 || len(end)-i < record {
		return fmt.Errorf("no end of directory in the ZIP: %w", errIncomplete)
	}
	rec := end[i : i+record]
	at := size - int64(len(end)) + int64(i)
	dirSize, dirOff := int64(le32(rec[12:])), int64(le32(rec[16:]))
	if dirOff == 1<<32-1 || dirSize == 1<<32-1 {
		return nil // ZIP64: the real values stand in front of this record, which is there
	}
	if dirOff+dirSize > at {
		return fmt.Errorf("directory of the ZIP is outside the file: %w", errIncomplete)
	}
	if comment := int64(rec[20]) | int64(rec[21])<<8; at+record+comment > size {
		return fmt.Errorf("comment of the ZIP is cut off: %w", errIncomplete)
	}
	return nil
}

func le32(b []byte) uint32 {
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}
