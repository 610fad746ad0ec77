package email

import (
	"slices"

	"github.com/emersion/go-imap/v2"
)

// confirm tells the mailbox that these messages are durable with us: they are
// moved, marked or left. Only messages that were fetched on this very
// connection are confirmed, so that a UID cannot mean another message.
func (f *folder) confirm(s *session, uids []imap.UID) error {
	slices.Sort(uids)
	for part := range slices.Chunk(uids, maxSet) {
		if err := f.confirmSome(s, part); err != nil {
			return err
		}
		for _, u := range part {
			f.settle(u)
		}
		f.advanced = true
	}
	return nil
}

func (f *folder) confirmSome(s *session, uids []imap.UID) error {
	switch f.c.opt.Mailbox.After {
	case "keep":
		return nil
	case "keyword":
		return s.mark(uids, Keyword)
	}
	done, err := s.path(f.c.done)
	if err != nil {
		return err
	}
	err = s.moveRest(uids, done)
	f.c.health.update(f.name, func(h *condition) { h.unmoved, h.done = refused(err), f.c.done })
	if refused(err) {
		f.c.log.Warn().Err(err).Int("messages", len(uids)).Msg("taken mail cannot be moved, it is marked instead")
		return s.mark(uids, Keyword)
	}
	return wrap(codeConnect, "move taken mail", err)
}

// moveRest moves messages, going on with the others when some are gone: a
// server may refuse the whole command then (NO [EXPUNGEISSUED], RFC 5530).
func (s *session) moveRest(uids []imap.UID, folder string) error {
	for {
		err := s.move(uids, folder)
		if !refused(err) {
			return err
		}
		if !s.made { // no such folder yet (TRYCREATE, or a server that does not say why)
			if err := s.create(folder); err != nil {
				return err
			}
			continue
		}
		there, err2 := s.among(uids, imap.SearchCriteria{})
		if err2 != nil || len(there) == 0 {
			return err2
		}
		if len(there) == len(uids) {
			return err
		}
		uids = there
	}
}

// move moves messages, with what the server can do. Without MOVE nothing is
// flagged before COPY said OK, and nothing expunged but these very messages:
// go-imap's own fall-back deletes messages whose COPY was refused.
func (s *session) move(uids []imap.UID, folder string) error {
	set := imap.UIDSetNum(uids...)
	if s.caps.Has(imap.CapMove) || s.caps.Has(imap.CapIMAP4rev2) {
		return s.call(func() error {
			_, err := s.client.Move(set, folder).Wait()
			return err
		})
	}
	uids, err := s.uncopied(uids)
	if err != nil || len(uids) == 0 {
		return err
	}
	set = imap.UIDSetNum(uids...)
	err = s.call(func() error {
		_, err := s.client.Copy(set, folder).Wait()
		return err
	})
	if err != nil {
		return err
	}
	for _, flags := range [][]imap.Flag{{imap.FlagDeleted}, {Keyword}} { // apart: a server may refuse keywords
		if err := s.mark(uids, flags...); err != nil {
			return err
		}
	}
	if !s.caps.Has(imap.CapUIDPlus) {
		return nil // EXPUNGE would remove what others have flagged
	}
	return s.call(func() error { return ignoreRefusal(s.client.UIDExpunge(set).Close()) })
}

// uncopied leaves out messages that were copied and marked in an earlier life
// but could not be expunged, so that a folder read again from the beginning
// does not copy them again.
func (s *session) uncopied(uids []imap.UID) ([]imap.UID, error) {
	if s.caps.Has(imap.CapUIDPlus) {
		return uids, nil
	}
	return s.among(uids, imap.SearchCriteria{NotFlag: []imap.Flag{Keyword}})
}

// mark sets flags. A server that keeps no keywords may refuse: then the cursor
// alone remembers.
func (s *session) mark(uids []imap.UID, flags ...imap.Flag) error {
	err := s.call(func() error {
		return s.client.Store(imap.UIDSetNum(uids...), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: flags}, nil).Close()
	})
	return wrap(codeConnect, "mark taken mail", ignoreRefusal(err))
}

// create makes the folder for taken mail. A refusal is no error: it may be
// there, and if not the move says so.
func (s *session) create(folder string) error {
	s.made = true
	err := s.call(func() error { return ignoreRefusal(s.client.Create(folder, nil).Wait()) })
	if err == nil {
		err = s.call(func() error { return ignoreRefusal(s.client.Subscribe(folder).Wait()) })
	}
	return wrap(codeConnect, "create the folder for taken mail", err)
}

func ignoreRefusal(err error) error {
	if refused(err) {
		return nil
	}
	return err
}
