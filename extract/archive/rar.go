package archive

import (
	"context"
	"errors"
	"io"

	"github.com/nwaples/rardecode/v2"

	"sekretariat"
)

// walkRAR walks through a RAR file of version 1.5 to 5, one volume.
func walkRAR(_ context.Context, body sekretariat.Body, password string, fn Func) error {
	opts := []rardecode.Option{rardecode.MaxDictionarySize(maxWindow)}
	if password != "" {
		opts = append(opts, rardecode.Password(password))
	}
	r, err := rardecode.NewReader(section(body), opts...)
	if err != nil {
		return rarError(err)
	}
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return rarError(err)
		}
		e := Entry{Name: h.Name, Size: h.UnPackedSize, Dir: h.IsDir, Encrypted: h.Encrypted, Modified: h.ModificationTime}
		if h.UnKnownSize || e.Size < 0 {
			e.Size = -1
		}
		missing := h.Encrypted && password == ""
		err = fn(e, &lazy{open: func() (io.Reader, error) {
			if missing {
				return nil, ErrPassword
			}
			return rarBody{r}, nil
		}})
		if err != nil {
			return damaged(err)
		}
	}
}

type rarBody struct{ r io.Reader }

// Read implements io.Reader.
func (b rarBody) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && err != io.EOF {
		err = rarError(err)
	}
	return n, err
}

func rarError(err error) error {
	switch {
	case errors.Is(err, rardecode.ErrArchiveEncrypted), errors.Is(err, rardecode.ErrArchivedFileEncrypted), errors.Is(err, rardecode.ErrBadPassword):
		return ErrPassword
	case errors.Is(err, rardecode.ErrDictionaryTooLarge):
		return ErrLimit
	}
	return damaged(err)
}
