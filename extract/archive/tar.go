package archive

import (
	"archive/tar"
	"bufio"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"strings"

	"sekretariat"
)

func walkTar(_ context.Context, body sekretariat.Body, _ string, fn Func) error {
	return eachTar(section(body), fn)
}

func eachTar(r io.Reader, fn Func) error {
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return damaged(err)
		}
		if h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeDir {
			continue // links and devices hold nothing
		}
		e := Entry{Name: strings.ToValidUTF8(h.Name, "\uFFFD"), Size: h.Size, Dir: h.Typeflag == tar.TypeDir, Modified: h.ModTime}
		if err := fn(e, &lazy{open: func() (io.Reader, error) { return t, nil }}); err != nil {
			return damaged(err)
		}
	}
}

// walkGzip and walkBzip2 see one member, or the members of a tar inside.
func walkGzip(_ context.Context, body sekretariat.Body, _ string, fn Func) error {
	z, err := gzip.NewReader(section(body))
	if err != nil {
		return damaged(err)
	}
	return compressed(z, Entry{Name: strings.ToValidUTF8(z.Name, "\uFFFD"), Size: -1, Modified: z.ModTime}, fn)
}

func walkBzip2(_ context.Context, body sekretariat.Body, _ string, fn Func) error {
	return compressed(bzip2.NewReader(section(body)), Entry{Size: -1}, fn)
}

func compressed(r io.Reader, e Entry, fn Func) error {
	const block, magic = 512, 257
	b := bufio.NewReaderSize(r, 4096)
	if head, _ := b.Peek(block); len(head) == block && string(head[magic:magic+5]) == "ustar" {
		return eachTar(b, fn)
	}
	return damaged(fn(e, &lazy{open: func() (io.Reader, error) { return b, nil }}))
}
