package sftpdoor

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"github.com/pkg/sftp"

	"sekretariat/ingest/dropbox"
)

// tree answers the requests of one session.
type tree struct {
	ctx context.Context
	t   *dropbox.Tree
}

func newTree(ctx context.Context, v *dropbox.Visit) *tree { return &tree{ctx: ctx, t: v.NewTree()} }

func (t *tree) end() { t.t.End(context.WithoutCancel(t.ctx)) }

// status translates our answers into those of SFTP. Texts reach the device.
func status(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, dropbox.ErrNoSuch):
		return sftp.ErrSSHFxNoSuchFile
	case errors.Is(err, dropbox.ErrNotAllowed):
		return sftp.ErrSSHFxPermissionDenied
	}
	for _, known := range []error{dropbox.ErrUnfinished, dropbox.ErrEmptyFile, dropbox.ErrOverLimit, dropbox.ErrSpoolFull, dropbox.ErrLater} {
		if errors.Is(err, known) {
			return known
		}
	}
	return dropbox.ErrLater
}

// Fileread implements sftp.FileReader: nobody reads here.
func (t *tree) Fileread(*sftp.Request) (io.ReaderAt, error) {
	return nil, sftp.ErrSSHFxPermissionDenied
}

// Filewrite implements sftp.FileWriter. Going on with a file that is there
// would need its begin, which is gone with its connection.
func (t *tree) Filewrite(r *sftp.Request) (io.WriterAt, error) {
	if r.Pflags().Append {
		return nil, sftp.ErrSSHFxOpUnsupported
	}
	f, err := t.t.Create(r.Filepath)
	if err != nil {
		return nil, status(err)
	}
	return &upload{File: f, ctx: t.ctx}, nil
}

// upload is one file that is being written. Close is the client's word that it
// is whole; a lost connection comes as TransferError before it.
type upload struct {
	*dropbox.File
	ctx context.Context
}

// WriteAt implements io.WriterAt.
func (u *upload) WriteAt(p []byte, off int64) (int, error) {
	n, err := u.File.WriteAt(p, off)
	return n, status(err)
}

// TransferError implements sftp.TransferError.
func (u *upload) TransferError(err error) { u.Fail(err) }

// Close implements io.Closer.
func (u *upload) Close() error {
	_, err := u.Done(u.ctx)
	return status(err)
}

// Filecmd implements sftp.FileCmder. Times and rights that a device sets are
// no business of ours, and no reason to fail it.
func (t *tree) Filecmd(r *sftp.Request) error {
	switch r.Method {
	case "Setstat":
		return nil
	case "Rename", "PosixRename":
		return status(t.t.Rename(t.ctx, r.Filepath, r.Target))
	case "Mkdir":
		return status(t.t.Mkdir(r.Filepath))
	case "Remove":
		return status(t.t.Remove(r.Filepath))
	}
	return sftp.ErrSSHFxPermissionDenied
}

// Filelist implements sftp.FileLister.
func (t *tree) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	if r.Method != "List" {
		e, err := t.t.Stat(r.Filepath)
		if err != nil {
			return nil, status(err)
		}
		return listing{e}, nil
	}
	var l listing
	for _, e := range t.t.List(r.Filepath) {
		l = append(l, e)
	}
	return l, nil
}

type listing []fs.FileInfo

// ListAt implements sftp.ListerAt.
func (l listing) ListAt(into []fs.FileInfo, off int64) (int, error) {
	if off >= int64(len(l)) {
		return 0, io.EOF
	}
	n := copy(into, l[off:])
	if n < len(into) {
		return n, io.EOF
	}
	return n, nil
}
