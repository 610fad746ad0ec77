package archive

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"sync"

	"github.com/bodgit/sevenzip"
	"github.com/stangelandcl/ppmd"
	"github.com/ulikunitz/xz/lzma"

	"sekretariat"
)

// The methods of 7z whose windows the sender chooses, up to 4 GiB: they are
// registered anew with a bound. The others have small fixed ones.
var bounded = sync.OnceFunc(func() {
	sevenzip.RegisterDecompressor([]byte{0x03, 0x01, 0x01}, lzma1)
	sevenzip.RegisterDecompressor([]byte{0x21}, lzma2)
	sevenzip.RegisterDecompressor([]byte{0x03, 0x04, 0x01}, ppmd7)
	sevenzip.RegisterDecompressor([]byte{0x04, 0xf7, 0x11, 0x01}, zstd7)
})

// walk7z walks through a 7z file. Members are read in their order, for most
// archives are solid.
func walk7z(_ context.Context, body sekretariat.Body, password string, fn Func) error {
	bounded()
	if err := header7zFits(body, password); err != nil {
		return damaged(err)
	}
	z, err := sevenzip.NewReaderWithPassword(body, body.Size(), password)
	if err != nil {
		return damaged(passwordError(err))
	}
	for i, f := range z.File {
		var open io.ReadCloser
		e := Entry{Name: f.Name, Size: int64(f.UncompressedSize), Dir: f.FileInfo().IsDir(), Modified: f.Modified}
		if e.Size < 0 {
			e.Size = -1
		}
		err := fn(e, &lazy{open: func() (io.Reader, error) {
			var err error
			if open, err = f.Open(); err != nil {
				return nil, passwordError(err)
			}
			if f.CRC32 == 0 {
				return asPassword{open}, nil
			}
			return &checksum{r: asPassword{open}, want: f.CRC32, sum: crc32.NewIEEE(), password: func() bool { return password != "" || differs(body, i) }}, nil
		}})
		if open != nil {
			open.Close() // its error is one of the content, which was told
		}
		if err != nil {
			return damaged(err)
		}
	}
	return nil
}

// differs tells whether the content of a member depends on the password. That
// is how stored content under encryption is told from damage: to the library
// an empty password is one like any other.
func differs(body sekretariat.Body, member int) bool {
	var heads [2][]byte
	for i, password := range []string{"", "0"} {
		z, err := sevenzip.NewReaderWithPassword(body, body.Size(), password)
		if err != nil || member >= len(z.File) {
			return false
		}
		r, err := z.File[member].Open()
		if err != nil {
			return false
		}
		heads[i], _ = io.ReadAll(io.LimitReader(r, 64))
		r.Close()
	}
	return !bytes.Equal(heads[0], heads[1])
}

// passwordError recognises what the library says of encrypted archives.
func passwordError(err error) error {
	var re *sevenzip.ReadError
	if errors.As(err, &re) && re.Encrypted {
		return ErrPassword
	}
	return err
}

type asPassword struct{ r io.Reader }

// Read implements io.Reader.
func (a asPassword) Read(p []byte) (int, error) {
	n, err := a.r.Read(p)
	if err != nil && err != io.EOF {
		err = passwordError(err)
	}
	return n, err
}

// stream is a decompressor as sevenzip wants it.
type stream struct {
	io.Reader
	c io.Closer
}

// Close implements io.Closer.
func (s stream) Close() error { return s.c.Close() }

// window is the memory that a dictionary needs: never more than what comes out.
func window(dictionary, unpacked uint64) (int, error) {
	const least = 4 << 10
	need := max(min(dictionary, unpacked), least)
	if need > maxWindow {
		return 0, ErrLimit
	}
	return int(need), nil
}

func one(readers []io.ReadCloser) (io.ReadCloser, error) {
	if len(readers) != 1 {
		return nil, ErrDamaged
	}
	return readers[0], nil
}

func lzma1(props []byte, size uint64, readers []io.ReadCloser) (io.ReadCloser, error) {
	r, err := one(readers)
	if err != nil {
		return nil, err
	}
	if len(props) != 5 {
		return nil, ErrDamaged
	}
	dict, err := window(uint64(binary.LittleEndian.Uint32(props[1:])), size)
	if err != nil {
		return nil, err
	}
	// The reader wants the header of an .lzma file.
	head := binary.LittleEndian.AppendUint32([]byte{props[0]}, uint32(dict))
	head = binary.LittleEndian.AppendUint64(head, size)
	l, err := lzma.ReaderConfig{DictCap: dict}.NewReader(io.MultiReader(&fixed{head}, r))
	return stream{l, r}, err
}

// fixed yields some octets once.
type fixed struct{ b []byte }

// Read implements io.Reader.
func (f *fixed) Read(p []byte) (int, error) {
	if len(f.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, f.b)
	f.b = f.b[n:]
	return n, nil
}

func lzma2(props []byte, size uint64, readers []io.ReadCloser) (io.ReadCloser, error) {
	r, err := one(readers)
	if err != nil {
		return nil, err
	}
	if len(props) != 1 || props[0] > 40 {
		return nil, ErrDamaged
	}
	// The dictionary as Lzma2Dec.c of the LZMA SDK computes it.
	dict, err := window((2|uint64(props[0]&1))<<(props[0]/2+11), size)
	if err != nil {
		return nil, err
	}
	l, err := lzma.Reader2Config{DictCap: dict}.NewReader2(r)
	return stream{l, r}, err
}

func ppmd7(props []byte, size uint64, readers []io.ReadCloser) (io.ReadCloser, error) {
	r, err := one(readers)
	if err != nil {
		return nil, err
	}
	if len(props) != 5 {
		return nil, ErrDamaged
	}
	memory := binary.LittleEndian.Uint32(props[1:])
	if memory > maxWindow {
		return nil, ErrLimit
	}
	p, err := ppmd.NewH7zReader(r, int(props[0]), int(memory), int(size))
	return stream{&p, r}, err
}

func zstd7(_ []byte, _ uint64, readers []io.ReadCloser) (io.ReadCloser, error) {
	r, err := one(readers)
	if err != nil {
		return nil, err
	}
	z, err := newZstd(r)
	return stream{z, r}, err
}
