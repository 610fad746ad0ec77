package archive_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/encoding/charmap"

	"sekretariat/extract/archive"
	"sekretariat/extract/archive/archivetest"
)

var files = []archivetest.File{
	{Name: "wniosek o zasiłek.txt", Content: []byte(strings.Repeat("Proszę o przyznanie zasiłku.\n", 200))},
	{Name: "skany/losowe.bin", Content: noise(100_000)},
	{Name: "skany/pusty.txt"},
}

func noise(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// unpack reads a whole archive.
func unpack(t testing.TB, raw []byte, typ, password string) (map[string][]byte, error) {
	t.Helper()
	out := map[string][]byte{}
	err := archive.Walk(context.Background(), bytes.NewReader(raw), typ, password, func(e archive.Entry, r io.Reader) error {
		if e.Dir {
			return nil
		}
		b, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if e.Size >= 0 && e.Size != int64(len(b)) {
			return fmt.Errorf("%s: declared %d octets, got %d", e.Name, e.Size, len(b))
		}
		out[strings.TrimPrefix(e.Name, "./")] = b
		return nil
	})
	return out, err
}

func wantFiles(t *testing.T, got map[string][]byte, err error, want []archivetest.File) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Errorf("%d members, want %d", len(got), len(want))
	}
	for _, f := range want {
		if b, ok := got[f.Name]; !ok || !bytes.Equal(b, f.Content) {
			t.Errorf("member %q: there %v, %d octets, want %d", f.Name, ok, len(b), len(f.Content))
		}
	}
}

func TestFormats(t *testing.T) {
	const zipType, sevenType = archive.TypeZIP, archive.Type7z
	for _, c := range []struct {
		name, typ, password string
		args                []string
	}{
		{"zip", zipType, "", []string{"-tzip"}},
		{"zip bzip2", zipType, "", []string{"-tzip", "-mm=BZip2"}},
		{"zip ZipCrypto", zipType, "tajne haslo", []string{"-tzip", "-mem=ZipCrypto", "-ptajne haslo"}},
		{"zip AES-128", zipType, "tajne", []string{"-tzip", "-mem=AES128", "-ptajne"}},
		{"zip AES-256", zipType, "tajne 2", []string{"-tzip", "-mem=AES256", "-ptajne 2"}},
		{"zip AES-256 stored", zipType, "tajne", []string{"-tzip", "-mem=AES256", "-mx=0", "-ptajne"}},
		{"7z", sevenType, "", nil},
		{"7z LZMA", sevenType, "", []string{"-m0=LZMA"}},
		{"7z PPMd", sevenType, "", []string{"-m0=PPMd"}},
		{"7z bzip2", sevenType, "", []string{"-m0=BZip2"}},
		{"7z not solid", sevenType, "", []string{"-ms=off"}},
		{"7z AES", sevenType, "zażółć gęślą", []string{"-pzażółć gęślą"}},
		{"7z AES, names too", sevenType, "tajne", []string{"-ptajne", "-mhe=on"}},
		{"7z AES stored", sevenType, "tajne", []string{"-ptajne", "-mx=0"}},
		{"tar", archive.TypeTar, "", []string{"-ttar"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw := archivetest.SevenZip(t, c.args, files...)
			got, err := unpack(t, raw, c.typ, c.password)
			wantFiles(t, got, err, files)
			if c.password == "" {
				return
			}
			for _, wrong := range []string{"", "nie to", "TAJNE"} {
				if _, err := unpack(t, raw, c.typ, wrong); !errors.Is(err, archive.ErrPassword) {
					t.Errorf("password %q: %v, want ErrPassword", wrong, err)
				}
			}
		})
	}
	t.Run("rar", func(t *testing.T) {
		stored := []archivetest.File{{Name: "a.txt", Content: []byte("Wniosek")}, {Name: "b.bin", Content: noise(5000)}}
		got, err := unpack(t, archivetest.RAR(stored...), archive.TypeRAR, "")
		wantFiles(t, got, err, stored)
	})
	t.Run("tar.gz", func(t *testing.T) {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		w := tar.NewWriter(z)
		for _, f := range files {
			err := errors.Join(w.WriteHeader(&tar.Header{Name: f.Name, Mode: 0o600, Size: int64(len(f.Content))}), second(w.Write(f.Content)))
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(w.Close(), z.Close()); err != nil {
			t.Fatal(err)
		}
		got, err := unpack(t, b.Bytes(), archive.TypeGzip, "")
		wantFiles(t, got, err, files)
	})
	t.Run("gz", func(t *testing.T) {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		z.Name = "list.txt"
		if err := errors.Join(second(z.Write(files[0].Content)), z.Close()); err != nil {
			t.Fatal(err)
		}
		got, err := unpack(t, b.Bytes(), archive.TypeGzip, "")
		wantFiles(t, got, err, []archivetest.File{{Name: "list.txt", Content: files[0].Content}})
	})
}

func second(_ int, err error) error { return err }

// Names that are not UTF-8: what Windows and old packers write.
func TestForeignNames(t *testing.T) {
	for _, m := range []*charmap.Charmap{charmap.CodePage852, charmap.Windows1250} {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		want := []string{"Załącznik_ąśź.pdf", "Źródła dochodów.docx", "zaświadczenie.jpg"}
		for _, n := range want {
			name, err := m.NewEncoder().String(n)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := z.CreateHeader(&zip.FileHeader{Name: name, NonUTF8: true}); err != nil {
				t.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		var got []string
		err := archive.Walk(t.Context(), bytes.NewReader(b.Bytes()), archive.TypeZIP, "", func(e archive.Entry, _ io.Reader) error {
			got = append(got, e.Name)
			return nil
		})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%v: %q, %v", m, got, err)
		}
	}
}

// A directory of many members is refused before memory is spent on it.
func TestTooManyMembers(t *testing.T) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := range archive.MaxEntries + 1 {
		if _, err := z.Create(fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	raw := b.Bytes()
	binary.LittleEndian.PutUint16(raw[len(raw)-12:], 3) // a count that lies
	binary.LittleEndian.PutUint16(raw[len(raw)-14:], 3)
	if _, err := unpack(t, raw, archive.TypeZIP, ""); !errors.Is(err, archive.ErrLimit) {
		t.Errorf("%v, want ErrLimit", err)
	}
}

func TestDamagedArchives(t *testing.T) {
	for typ, raw := range map[string][]byte{
		archive.TypeZIP: archivetest.ZIP(t, files...), archive.Type7z: archivetest.SevenZip(t, nil, files...),
		archive.TypeRAR: archivetest.RAR(files[:2]...), archive.TypeTar: archivetest.SevenZip(t, []string{"-ttar"}, files...),
	} {
		if _, err := unpack(t, raw[:len(raw)/2], typ, ""); !errors.Is(err, archive.ErrDamaged) {
			t.Errorf("%s cut in half: %v, want ErrDamaged", typ, err)
		}
	}
	if _, err := unpack(t, []byte("PK\x03\x04 nothing"), archive.TypeZIP, ""); !errors.Is(err, archive.ErrDamaged) {
		t.Errorf("no ZIP: %v", err)
	}
	if _, err := unpack(t, nil, "application/x-arj", ""); !errors.Is(err, archive.ErrMethod) {
		t.Errorf("unknown type: %v", err)
	}
}

// A window of gigabytes is not allocated for a small archive.
func TestWindowOf7z(t *testing.T) {
	raw := archivetest.SevenZip(t, []string{"-m0=LZMA2:d=1g"}, files...)
	got, err := unpack(t, raw, archive.Type7z, "")
	wantFiles(t, got, err, files)
}

// The caller's own error comes back as it is, and ends the walk.
func TestCallersError(t *testing.T) {
	mine := errors.New("mine")
	for typ, raw := range map[string][]byte{
		archive.TypeZIP: archivetest.ZIP(t, files...), archive.Type7z: archivetest.SevenZip(t, nil, files...), archive.TypeRAR: archivetest.RAR(files[:2]...),
	} {
		n := 0
		err := archive.Walk(t.Context(), bytes.NewReader(raw), typ, "", func(archive.Entry, io.Reader) error { n++; return mine })
		if !errors.Is(err, mine) || errors.Is(err, archive.ErrDamaged) || n != 1 {
			t.Errorf("%s: %v after %d calls", typ, err, n)
		}
	}
}

// Members that nobody reads are skipped; those after them are still right.
func TestSkippedMembers(t *testing.T) {
	for typ, raw := range map[string][]byte{archive.TypeZIP: archivetest.ZIP(t, files...), archive.Type7z: archivetest.SevenZip(t, nil, files...), archive.TypeRAR: archivetest.RAR(files[:2]...)} {
		err := archive.Walk(t.Context(), bytes.NewReader(raw), typ, "", func(e archive.Entry, r io.Reader) error {
			if !strings.HasSuffix(e.Name, "losowe.bin") {
				return nil
			}
			b, err := io.ReadAll(r)
			if err == nil && !bytes.Equal(b, files[1].Content) {
				err = errors.New("other octets")
			}
			return err
		})
		if err != nil {
			t.Errorf("%s: %v", typ, err)
		}
	}
}

// FuzzWalk feeds anything to every reader.
func FuzzWalk(f *testing.F) {
	types := []string{archive.TypeZIP, archive.Type7z, archive.TypeRAR, archive.TypeTar, archive.TypeGzip, archive.TypeBzip2}
	small := []archivetest.File{{Name: "a/ż.txt", Content: []byte("abc")}, {Name: "b", Content: []byte(strings.Repeat("x", 300))}}
	f.Add(uint8(0), archivetest.ZIP(f, small...))
	f.Add(uint8(0), archivetest.SevenZip(f, []string{"-tzip", "-mem=AES256", "-ptajne"}, small...))
	f.Add(uint8(0), archivetest.SevenZip(f, []string{"-tzip", "-mem=ZipCrypto", "-ptajne"}, small...))
	f.Add(uint8(1), archivetest.SevenZip(f, nil, small...))
	f.Add(uint8(1), archivetest.SevenZip(f, []string{"-mhc=off", "-m0=PPMd"}, small...))
	f.Add(uint8(2), archivetest.RAR(small...))
	f.Add(uint8(3), archivetest.SevenZip(f, []string{"-ttar"}, small...))
	f.Fuzz(func(t *testing.T, which uint8, raw []byte) {
		left := int64(1 << 20)
		_ = archive.Walk(t.Context(), bytes.NewReader(raw), types[int(which)%len(types)], "tajne", func(e archive.Entry, r io.Reader) error {
			n, _ := io.Copy(io.Discard, io.LimitReader(r, left))
			if left -= n; left <= 0 {
				return io.ErrShortBuffer
			}
			return nil
		})
	})
}
