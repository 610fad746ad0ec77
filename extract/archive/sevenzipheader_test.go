package archive_test

import (
	"bytes"
	"errors"
	"fmt"
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
