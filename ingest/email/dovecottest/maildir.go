package dovecottest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync/atomic"
	"time"
)

// delivered makes the names of files unique in this process.
var delivered atomic.Int64

// folderDir is where a folder lies: Maildir++ below the user's INBOX. name is
// slash-separated without the namespace's prefix.
func (s *Server) folderDir(user, name string) string {
	root := filepath.Join(s.dir, "mail", user)
	if name == "" || strings.EqualFold(name, "INBOX") {
		return root
	}
	return filepath.Join(root, "."+strings.ReplaceAll(name, "/", "."))
}

// Deliver puts a message into a folder as a local delivery agent does: written
// below tmp/, renamed into new/. arrived becomes INTERNALDATE.
func (s *Server) Deliver(user, folder string, message []byte, arrived time.Time) error {
	return s.DeliverFrom(user, folder, bytes.NewReader(message), arrived)
}

// DeliverFrom is Deliver for a message that need not fit into memory.
func (s *Server) DeliverFrom(user, folder string, message io.Reader, arrived time.Time) error {
	dir := s.folderDir(user, folder)
	if err := s.makeMaildir(user, dir); err != nil {
		return err
	}
	n := delivered.Add(1)
	// Dovecot numbers new messages in the order of the names' beginning.
	name := fmt.Sprintf("%d.M%08dP%d.test", time.Now().Unix(), n, os.Getpid())
	tmp := filepath.Join(dir, "tmp", name)
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("deliver: %w", err)
	}
	_, err = io.Copy(f, message)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("deliver: %w", err)
	}
	if err := s.own(tmp, 0o600); err != nil {
		return err
	}
	if err := os.Chtimes(tmp, arrived, arrived); err != nil {
		return fmt.Errorf("deliver: %w", err)
	}
	if err := os.Rename(tmp, filepath.Join(dir, "new", name)); err != nil {
		return fmt.Errorf("deliver: %w", err)
	}
	return nil
}

// makeMaildir makes a Maildir that is not there yet, owned by the server.
func (s *Server) makeMaildir(user, dir string) error {
	there := 0 // the server may be making it just now, one folder after the other
	for _, d := range []string{"cur", "tmp", "new"} {
		if _, err := os.Stat(filepath.Join(dir, d)); err == nil {
			there++
		}
	}
	if there == 3 {
		return nil
	}
	for _, d := range []string{filepath.Join(s.dir, "mail", user), dir,
		filepath.Join(dir, "cur"), filepath.Join(dir, "tmp"), filepath.Join(dir, "new")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return fmt.Errorf("maildir: %w", err)
		}
		if err := s.own(d, 0o700); err != nil {
			return err
		}
	}
	if dir == filepath.Join(s.dir, "mail", user) {
		return nil
	}
	marker := filepath.Join(dir, "maildirfolder") // Maildir++: this is a folder
	if err := os.WriteFile(marker, nil, 0o600); err != nil {
		return fmt.Errorf("maildir: %w", err)
	}
	return s.own(marker, 0o600)
}

// Files returns the paths of the messages in a folder, in order of their
// names. A folder that is not there is empty. While the server renames files,
// one may be missed: ask again when it rests.
func (s *Server) Files(user, folder string) ([]string, error) {
	var paths []string
	for _, sub := range []string{"new", "cur"} {
		dir := filepath.Join(s.folderDir(user, folder), sub)
		entries, err := os.ReadDir(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list folder: %w", err)
		}
		for _, e := range entries {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	sort.Strings(paths)
	return paths, nil
}

// Renumber makes the server forget the UIDs of a folder, as a restore from a
// backup does: the messages get new UIDs from 1, and UIDVALIDITY becomes
// validity. The server is started again for it.
func (s *Server) Renumber(ctx context.Context, user, folder string, validity uint32) error {
	return s.Rewind(ctx, user, folder, validity, nil)
}

// Rewind is Renumber with UIDs from 1 for these files, in this order, and later
// ones for the others. With the present validity it is a server that gives UIDs
// out a second time, against RFC 9051, 2.3.1.1.
func (s *Server) Rewind(ctx context.Context, user, folder string, validity uint32, order []string) error {
	s.kill() // a session that ends would write its own list over ours
	return errors.Join(s.writeUIDList(user, folder, validity, order), s.run(ctx))
}

// writeUIDList replaces dovecot-uidlist and removes the indexes that repeat it.
// order gives UIDs from 1 to these files; the others get theirs from Dovecot.
func (s *Server) writeUIDList(user, folder string, validity uint32, order []string) error {
	dir := s.folderDir(user, folder)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("renumber: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "dovecot.index") || e.Name() == "dovecot-uidlist" {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return fmt.Errorf("renumber: %w", err)
			}
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "3 V%d N%d G%032x\n", validity, len(order)+1, validity)
	for i, p := range order {
		base, _, _ := strings.Cut(filepath.Base(p), ":")
		fmt.Fprintf(&b, "%d :%s\n", i+1, base)
	}
	path := filepath.Join(dir, "dovecot-uidlist")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		return fmt.Errorf("renumber: %w", err)
	}
	return s.own(path, 0o600)
}
