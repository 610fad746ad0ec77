package archive

import (
	"archive/zip"
	"bytes"
	"compress/bzip2"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding/charmap"

	"sekretariat"
	"sekretariat/extract/charset"
)

// Methods of compression beyond those of archive/zip (APPNOTE 6.3.10 §4.4.5).
const (
	methodBzip2 = 12
	methodZstd  = 93
	methodAES   = 99 // WinZip AES: the real method stands in the extra field
)

const flagEncrypted = 1 // general purpose bit 0 (APPNOTE §4.4.4)

// walkZIP walks through a ZIP file. Its directory is measured before anything
// is allocated for it.
func walkZIP(ctx context.Context, body sekretariat.Body, password string, fn Func) error {
	more, err := directoryFits(body)
	if err != nil {
		return damaged(err)
	}
	if more {
		return ErrLimit
	}
	z, err := zip.NewReader(body, body.Size())
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return damaged(err)
	}
	label := nameEncoding(z.File)
	for _, f := range z.File {
		e := Entry{
			Name: entryName(f, label), Size: int64(f.UncompressedSize64), Dir: strings.HasSuffix(f.Name, "/") || strings.HasSuffix(f.Name, `\`),
			Encrypted: f.Flags&flagEncrypted != 0, Modified: f.Modified,
		}
		if e.Size < 0 {
			e.Size = -1
		}
		if err := fn(e, &lazy{open: func() (io.Reader, error) { return openZIP(f, password) }}); err != nil {
			return damaged(err)
		}
	}
	return nil
}

// directoryFits tells whether the central directory is longer than is allowed
// (APPNOTE §4.3.12). The counts that a file declares are not believed:
// archive/zip reads on while there are headers.
func directoryFits(body sekretariat.Body) (more bool, err error) {
	end, at, err := endOfDirectory(body)
	if err != nil {
		return false, err
	}
	size, offset := int64(binary.LittleEndian.Uint32(end[12:])), int64(binary.LittleEndian.Uint32(end[16:]))
	if start := at - size; size != 0xffffffff && start >= 0 && start != offset {
		offset = start // something stands before the archive, as archive/zip believes
	}
	var head [46]byte
	for n, from := 0, offset; ; n++ {
		if n > MaxEntries || from-offset > maxDirectory {
			return true, nil
		}
		if _, err := body.ReadAt(head[:], from); err != nil || string(head[:4]) != "PK\x01\x02" {
			return false, nil // archive/zip says what is wrong, if anything is
		}
		le := binary.LittleEndian
		from += int64(len(head)) + int64(le.Uint16(head[28:])) + int64(le.Uint16(head[30:])) + int64(le.Uint16(head[32:]))
	}
}

// endOfDirectory finds the end record (APPNOTE §4.3.16).
func endOfDirectory(body sekretariat.Body) (record []byte, at int64, err error) {
	const size, comment = 22, 1 << 16
	n := min(body.Size(), size+comment)
	tail := make([]byte, n)
	if _, err := body.ReadAt(tail, body.Size()-n); err != nil && err != io.EOF {
		return nil, 0, err
	}
	i := bytes.LastIndex(tail, []byte("PK\x05\x06"))
	if i < 0 || len(tail)-i < size {
		return nil, 0, zip.ErrFormat
	}
	return tail[i : i+size], body.Size() - n + int64(i), nil
}

// nameEncoding guesses the encoding of names that are not UTF-8 from all of
// them together: Windows writes CP852, others windows-1250.
func nameEncoding(files []*zip.File) string {
	const enough = 64 << 10
	var all []byte
	for _, f := range files {
		if f.NonUTF8 && len(all) < enough && !utf8.ValidString(f.Name) {
			all = append(append(all, f.Name...), '\n')
		}
	}
	if len(all) == 0 {
		return ""
	}
	_, r := charset.Decode(all, "")
	return r.Name
}

// extraUnicodePath is the Info-ZIP field with the name in UTF-8 (APPNOTE §4.6.9).
const extraUnicodePath = 0x7075

func entryName(f *zip.File, label string) string {
	name := f.Name
	if f.NonUTF8 {
		if u := extraField(f.Extra, extraUnicodePath); len(u) > 5 && u[0] == 1 &&
			binary.LittleEndian.Uint32(u[1:]) == crc32.ChecksumIEEE([]byte(f.Name)) && utf8.Valid(u[5:]) {
			name = string(u[5:])
		} else if !utf8.ValidString(name) {
			name, _ = charset.Decode([]byte(name), label)
		}
	}
	return strings.ToValidUTF8(strings.ReplaceAll(name, `\`, "/"), "\uFFFD")
}

// extraField finds a field of the extra data (APPNOTE §4.5).
func extraField(extra []byte, id uint16) []byte {
	for len(extra) >= 4 {
		n := int(binary.LittleEndian.Uint16(extra[2:]))
		if len(extra)-4 < n {
			return nil
		}
		if binary.LittleEndian.Uint16(extra) == id {
			return extra[4 : 4+n]
		}
		extra = extra[4+n:]
	}
	return nil
}

// openZIP opens one member.
func openZIP(f *zip.File, password string) (io.Reader, error) {
	if f.Flags&flagEncrypted == 0 && (f.Method == zip.Store || f.Method == zip.Deflate) {
		return f.Open()
	}
	if f.Flags&flagEncrypted == 0 {
		return openPacked(f, "")
	}
	if password == "" {
		return nil, ErrPassword
	}
	for _, p := range spellings(password) {
		r, err := openPacked(f, p)
		if !errors.Is(err, ErrPassword) {
			return r, err
		}
	}
	return nil, ErrPassword
}

// spellings are the octets that a password may stand for: packers take them
// from the system's character set.
func spellings(password string) []string {
	list := []string{password}
	for _, m := range []*charmap.Charmap{charmap.CodePage852, charmap.Windows1250} {
		if s, err := m.NewEncoder().String(password); err == nil && s != password {
			list = append(list, s)
		}
	}
	return list
}

func openPacked(f *zip.File, password string) (io.Reader, error) {
	raw, err := f.OpenRaw()
	if err != nil {
		return nil, err
	}
	method, checked := f.Method, true
	if f.Flags&flagEncrypted != 0 {
		if f.Method == methodAES {
			raw, method, checked, err = openAES(f, raw, password)
		} else {
			raw, err = openCrypto(f, raw, password)
		}
		if err != nil {
			return nil, err
		}
	}
	plain, err := decompress(method, raw)
	if err != nil || !checked {
		return plain, err
	}
	return &checksum{r: plain, want: f.CRC32, sum: crc32.NewIEEE(), password: func() bool { return f.Flags&flagEncrypted != 0 }}, nil
}

func decompress(method uint16, raw io.Reader) (io.Reader, error) {
	switch method {
	case zip.Store:
		return raw, nil
	case zip.Deflate:
		return inflate(raw), nil
	case methodBzip2:
		return bzip2.NewReader(raw), nil
	case methodZstd:
		return newZstd(raw)
	}
	return nil, ErrMethod
}

func newZstd(r io.Reader) (io.Reader, error) {
	return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
}

// checksum compares the CRC-32 at the end. A wrong one on an encrypted member
// means a wrong password more often than damage.
type checksum struct {
	r   io.Reader
	sum interface {
		io.Writer
		Sum32() uint32
	}
	want     uint32
	password func() bool // tells whether a wrong password may be the reason
}

// Read implements io.Reader.
func (c *checksum) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.sum.Write(p[:n])
	switch {
	case err == nil, err == io.EOF && c.sum.Sum32() == c.want:
		return n, err
	case c.password():
		return n, ErrPassword
	case err == io.EOF:
		return n, zip.ErrChecksum
	}
	return n, err
}

// OpenZIP opens a ZIP file whose members are wanted by name, with the limits of
// Walk on its directory. Returns ErrDamaged and ErrLimit.
func OpenZIP(body sekretariat.Body) (*zip.Reader, error) {
	more, err := directoryFits(body)
	if err == nil && more {
		err = ErrLimit
	}
	if err != nil {
		return nil, damaged(err)
	}
	z, err := zip.NewReader(body, body.Size())
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return nil, damaged(err)
	}
	return z, nil
}
