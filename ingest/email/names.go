package email

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
)

// What a mailbox may say of its folder for spam, beside a name.
const (
	junkAuto = "auto"
	junkOff  = "off"
)

// junkFolder stands for whichever folder the server uses for spam (RFC 6154).
const junkFolder = `\Junk`

// junkNames are the names of such folders at servers that do not say so:
// Exchange Online in English and Polish, Polish hosters, webmails.
var junkNames = []string{"junk", "spam", "junk email", "junk e-mail", "wiadomości-śmieci", "wiadomości śmieci", "niechciane", "bulk mail"}

// maxFolders bounds a list of folders.
const maxFolders = 10_000

// junkName is the name that the folder for spam goes by here, "" for none.
func (c *Channel) junkName() string {
	switch j := c.opt.Mailbox.Junk; j {
	case junkOff:
		return ""
	case junkAuto:
		return junkFolder
	default:
		return j
	}
}

// place is what people and manifests call the folder.
func (f *folder) place() string {
	if f.path != "" {
		return f.path
	}
	return f.name
}

// lookAtJunk reads the folder for spam now and then, on the connection of the
// folders proper: a letter among the spam is as much a letter, but it can wait
// for some minutes, and many hosters count connections.
func (w *worker) lookAtJunk(ctx context.Context, s *session) (looked bool, err error) {
	if w.junk == nil || s.junkSeen && time.Since(w.junkAt) < w.c.tune.junk {
		return false, nil
	}
	w.junkAt = time.Now()
	there, err := w.junk.findJunk(s)
	if err != nil {
		return false, err
	}
	if !there {
		s.junkSeen = true
		w.c.health.fine(w.junk.name, 0, 0)
		return false, nil
	}
	for again := true; again; {
		again, err = w.visit(ctx, s, w.junk, !s.junkSeen)
		if err != nil {
			return false, err
		}
		s.junkSeen = true
	}
	return true, nil
}

// findJunk finds out which folder that is.
func (f *folder) findJunk(s *session) (bool, error) {
	if f.name != junkFolder || s.paths[f.name] != "" {
		return true, nil
	}
	if f.unlistable {
		return false, nil
	}
	f.unlistable = true // not asked twice should go-imap fall over a name
	all, err := s.list()
	if err != nil {
		return false, err
	}
	f.unlistable = false
	d := f.c.chooseJunk(s, all)
	if d == nil {
		return false, nil
	}
	s.paths[f.name], f.path = d.Mailbox, d.Mailbox
	return true, nil
}

// chooseJunk prefers what the server says to what names look like.
func (c *Channel) chooseJunk(s *session, all []*imap.ListData) *imap.ListData {
	taken := map[string]bool{}
	for _, name := range append(slices.Clone(c.folders), c.done) {
		if path, err := s.path(name); err == nil {
			taken[path] = true
		}
	}
	usable := slices.DeleteFunc(all, func(d *imap.ListData) bool {
		return taken[d.Mailbox] || slices.Contains(d.Attrs, imap.MailboxAttrNoSelect) || slices.Contains(d.Attrs, imap.MailboxAttrNonExistent)
	})
	for _, d := range usable {
		if slices.Contains(d.Attrs, imap.MailboxAttrJunk) {
			return d
		}
	}
	for _, name := range junkNames {
		for _, d := range usable {
			last := d.Mailbox
			if d.Delim != 0 {
				last = last[strings.LastIndex(last, string(d.Delim))+1:]
			}
			if strings.ToLower(last) == name {
				return d
			}
		}
	}
	return nil
}

// list lists all folders.
func (s *session) list() ([]*imap.ListData, error) {
	var opt *imap.ListOptions
	if s.caps.Has(imap.CapSpecialUse) && s.caps.Has(imap.CapListExtended) || s.caps.Has(imap.CapIMAP4rev2) {
		opt = &imap.ListOptions{ReturnSpecialUse: true}
	}
	var all []*imap.ListData
	err := s.call(func() error {
		cmd := s.client.List("", "*", opt)
		for d := cmd.Next(); d != nil; d = cmd.Next() {
			if len(all) < maxFolders {
				all = append(all, d)
			}
		}
		return ignoreRefusal(cmd.Close())
	})
	return all, wrap(codeProtocol, "list the folders", err)
}

// maxStatus bounds how many folders are asked for when one is missing.
const maxStatus = 200

// findRenamed looks for the folder under another name: whoever renames a folder
// keeps its UIDVALIDITY (RFC 9051, 6.3.6). It is only named to the clerk, for a
// copy may have the same.
func (f *folder) findRenamed(s *session) {
	if !f.known || f.unlistable || time.Since(f.sought) < f.c.tune.reconcile {
		return
	}
	f.sought, f.unlistable = time.Now(), true
	all, err := s.list()
	if err != nil {
		return // the connection says so by itself
	}
	f.unlistable = false
	for _, d := range all[:min(len(all), maxStatus)] {
		if slices.Contains(d.Attrs, imap.MailboxAttrNoSelect) || slices.Contains(d.Attrs, imap.MailboxAttrNonExistent) {
			continue
		}
		validity, err := s.validity(d.Mailbox)
		if err != nil {
			return
		}
		if validity == f.validity {
			f.c.health.update(f.name, func(h *condition) { h.renamed = d.Mailbox })
			return
		}
	}
}

func (s *session) validity(path string) (uint32, error) {
	data, err := s.status(path, &imap.StatusOptions{UIDValidity: true})
	if err != nil || data == nil {
		return 0, err
	}
	return data.UIDValidity, nil
}

// status asks for a folder that is not open; nil if the server refuses.
func (s *session) status(path string, what *imap.StatusOptions) (data *imap.StatusData, err error) {
	err = s.call(func() (err error) {
		data, err = s.client.Status(path, what).Wait()
		return ignoreRefusal(err)
	})
	return data, wrap(codeProtocol, "ask for a folder's state", err)
}
