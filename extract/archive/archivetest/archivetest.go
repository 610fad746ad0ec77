// Package archivetest makes archives for tests: with the standard library, with
// the 7z tool, and RAR files by hand, for no free program writes those.
package archivetest

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// File is one member.
type File struct {
	Name    string
	Content []byte
}

// ZIP makes a plain ZIP file.
func ZIP(t testing.TB, files ...File) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range files {
		w, err := z.Create(f.Name)
		if err == nil {
			_, err = w.Write(f.Content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// SevenZip runs the 7z tool of the Debian package 7zip over the files, with its
// arguments ("-tzip", "-mem=AES256", "-pHASLO" …), and returns the archive.
func SevenZip(t testing.TB, args []string, files ...File) []byte {
	t.Helper()
	tool, err := exec.LookPath("7zz")
	if err != nil {
		t.Skip("7zz is not installed (Debian package 7zip)")
	}
	dir := t.TempDir()
	in := filepath.Join(dir, "in")
	for _, f := range files {
		name := filepath.Join(in, f.Name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, f.Content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(dir, "out.archive")
	cmd := exec.Command(tool, append(append([]string{"a", "-bd", "-y"}, args...), out, ".")...)
	cmd.Dir = in
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("7zz: %v\n%s", err, msg)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// RAR makes a RAR 4 file (RAR technote 3.x) whose members are stored.
func RAR(files ...File) []byte {
	b := []byte("Rar!\x1a\x07\x00")
	b = block(b, 0x73, 0, make([]byte, 6))
	for _, f := range files {
		h := binary.LittleEndian.AppendUint32(nil, uint32(len(f.Content)))
		h = binary.LittleEndian.AppendUint32(h, uint32(len(f.Content)))
		h = append(h, 3) // Unix
		h = binary.LittleEndian.AppendUint32(h, crc32.ChecksumIEEE(f.Content))
		h = binary.LittleEndian.AppendUint32(h, 0x5a21a000)
		h = append(h, 29, 0x30) // version 2.9, stored
		h = binary.LittleEndian.AppendUint16(h, uint16(len(f.Name)))
		h = binary.LittleEndian.AppendUint32(h, 0o100644)
		b = block(b, 0x74, 0x8000, append(h, f.Name...))
		b = append(b, f.Content...)
	}
	return block(b, 0x7b, 0x4000, nil)
}

// block appends a RAR 4 block: checksum, type, flags, size, rest.
func block(b []byte, typ byte, flags uint16, rest []byte) []byte {
	h := []byte{typ}
	h = binary.LittleEndian.AppendUint16(h, flags)
	h = binary.LittleEndian.AppendUint16(h, uint16(7+len(rest)))
	h = append(h, rest...)
	b = binary.LittleEndian.AppendUint16(b, uint16(crc32.ChecksumIEEE(h)))
	return append(b, h...)
}

// Stored makes a ZIP file whose members are stored, as ASiC and ODF want their
// first one.
func Stored(t testing.TB, files ...File) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range files {
		w, err := z.CreateRaw(&zip.FileHeader{
			Name: f.Name, CRC32: crc32.ChecksumIEEE(f.Content), CompressedSize64: uint64(len(f.Content)), UncompressedSize64: uint64(len(f.Content)),
		})
		if err == nil {
			_, err = w.Write(f.Content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
