package archive_test

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"runtime"
	"testing"

	"sekretariat/extract/archive"
	"sekretariat/extract/archive/archivetest"
)

// Archives of many files, as their tool writes them, pass the look at the
// header: packed, as it is, encrypted, solid and not.
func TestSevenZipOfManyFiles(t *testing.T) {
	var files []archivetest.File
	for i := range 3000 {
		f := archivetest.File{Name: fmt.Sprintf("katalog %d/plik ż %d.txt", i%7, i)}
		if i%3 != 0 {
			f.Content = fmt.Appendf(nil, "treść %d", i)
		}
		files = append(files, f)
	}
	for name, c := range map[string]struct {
		options  []string
		password string
		want     error
	}{
		"packed header":    {nil, "", nil},
		"plain header":     {[]string{"-mhc=off"}, "", nil},
		"not solid":        {[]string{"-ms=off"}, "", nil},
		"encrypted header": {[]string{"-mhe=on", "-ptajne"}, "tajne", nil},
		"without password": {[]string{"-mhe=on", "-ptajne"}, "", archive.ErrPassword},
		"encrypted files":  {[]string{"-ptajne"}, "tajne", nil},
	} {
		n := 0
		err := archive.Walk(t.Context(), bytes.NewReader(archivetest.SevenZip(t, c.options, files...)), archive.Type7z, c.password, func(e archive.Entry, _ io.Reader) error {
			if !e.Dir {
				n++
			}
			return nil
		})
		if !errors.Is(err, c.want) || c.want == nil && n != len(files) {
			t.Errorf("%s: %d files, %v", name, n, err)
		}
	}
}

// file7z is a 7z file with right checksums.
func file7z(packed, header []byte) []byte {
	tail := binary.LittleEndian.AppendUint64(nil, uint64(len(packed)))
	tail = binary.LittleEndian.AppendUint64(tail, uint64(len(header)))
	tail = binary.LittleEndian.AppendUint32(tail, crc32.ChecksumIEEE(header))
	b := append([]byte("7z\xbc\xaf\x27\x1c\x00\x04"), binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(tail))...)
	return append(append(append(b, tail...), packed...), header...)
}

// A header that declares five million files is refused before room is made for
// them, however it is packed.
func TestSevenZipHeaderThatLies(t *testing.T) {
	inner := []byte{1, 5, 0xe0, 0x40, 0x4b, 0x4c, 0, 0, 0}
	var d bytes.Buffer
	w, err := flate.NewWriter(&d, 9)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(inner); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	n := byte(len(inner))
	for name, raw := range map[string][]byte{
		"plain":    file7z(nil, inner),
		"copy":     file7z(inner, []byte{0x17, 6, 0, 1, 9, n, 0, 7, 0xb, 1, 0, 1, 1, 0, 0xc, n, 0, 0}),
		"deflate":  file7z(d.Bytes(), []byte{0x17, 6, 0, 1, 9, byte(d.Len()), 0, 7, 0xb, 1, 0, 1, 3, 4, 1, 8, 0xc, n, 0, 0}),
		"two copy": file7z(inner, []byte{0x17, 6, 0, 1, 9, n, 0, 7, 0xb, 1, 0, 2, 1, 0, 1, 0, 0, 1, 0xc, n, n, 0, 0}),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := archive.Walk(t.Context(), bytes.NewReader(raw), archive.Type7z, "", func(archive.Entry, io.Reader) error { return nil })
		runtime.ReadMemStats(&after)
		if err == nil || after.TotalAlloc-before.TotalAlloc > 16<<20 {
			t.Errorf("%s: %d MB for %d octets, %v", name, (after.TotalAlloc-before.TotalAlloc)>>20, len(raw), err)
		}
	}
}

// FuzzSevenZipHeader: no header asks for more memory than an archive may have,
// whatever it declares.
func FuzzSevenZipHeader(f *testing.F) {
	small := []archivetest.File{{Name: "a/ż.txt", Content: []byte("abc")}, {Name: "b"}}
	for _, options := range [][]string{nil, {"-mhc=off"}, {"-ms=off"}, {"-ptajne", "-mhe=on"}} {
		f.Add(archivetest.SevenZip(f, options, small...))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_ = archive.Walk(t.Context(), bytes.NewReader(archivetest.Sealed7z(raw)), archive.Type7z, "tajne", func(archive.Entry, io.Reader) error { return nil })
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 512<<20 {
			t.Errorf("%d octets allocated for a file of %d", n, len(raw))
		}
	})
}
