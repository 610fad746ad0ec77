package email

import (
	"errors"
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
		f.c.health.flowing(f.name)
	}
	return nil
}

func (f *folder) confirmSome(s *session, uids []imap.UID) error {
	switch f.after() {
	case "keep":
		return nil
	case "keyword":
		return f.mark(s, uids)
	}
	done, err := s.path(f.c.done)
	if err != nil {
		return err
	}
	err = f.moveRest(s, uids, done)
	f.c.health.update(f.name, func(h *condition) { h.unmoved, h.done = refused(err), f.c.done })
	if refused(err) {
		f.c.log.Warn().Err(err).Int("messages", len(uids)).Msg("taken mail cannot be moved, it is marked instead")
		return f.mark(s, uids)
	}
	return wrap(codeConnect, "move taken mail", err)
}

// moveRest moves messages, going on with the others when some are gone: a
// server may refuse the whole command then (NO [EXPUNGEISSUED], RFC 5530).
func (f *folder) moveRest(s *session, uids []imap.UID, done string) error {
	for {
		err := f.move(s, uids, done)
		if !refused(err) {
			return err
		}
		if !s.made { // no such folder yet (TRYCREATE, or a server that does not say why)
			if err := s.create(done); err != nil {
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
func (f *folder) move(s *session, uids []imap.UID, done string) error {
	if s.caps.Has(imap.CapMove) || s.caps.Has(imap.CapIMAP4rev2) {
		return s.call(func() error {
			_, err := s.client.Move(imap.UIDSetNum(uids...), done).Wait()
			return err
		})
	}
	uids, err := f.uncopied(s, uids)
	if err != nil || len(uids) == 0 {
		return err
	}
	set := imap.UIDSetNum(uids...)
	err = s.call(func() error {
		_, err := s.client.Copy(set, done).Wait()
		return err
	})
	if err != nil {
		return err
	}
	if err := errors.Join(s.store(uids, imap.FlagDeleted), f.mark(s, uids)); err != nil {
		return err
	}
	if !s.caps.Has(imap.CapUIDPlus) {
		return nil // EXPUNGE would remove what others have flagged
	}
	return s.call(func() error { return ignoreRefusal(s.client.UIDExpunge(set).Close()) })
}

// uncopied leaves out messages that were copied and marked in an earlier life
// but could not be expunged, so that a folder read again from the beginning
// does not copy them again.
func (f *folder) uncopied(s *session, uids []imap.UID) ([]imap.UID, error) {
	if s.caps.Has(imap.CapUIDPlus) {
		return uids, nil
	}
	return s.among(uids, imap.SearchCriteria{NotFlag: f.marks()})
}

// marks are the flags of messages that were confirmed and still lie there.
func (f *folder) marks() []imap.Flag {
	if f.markless && f.after() == "move" {
		return []imap.Flag{imap.FlagDeleted}
	}
	return []imap.Flag{Keyword}
}

// mark sets our keyword, and finds out once whether the server keeps it. If it
// does not, the cursor alone remembers what was taken.
func (f *folder) mark(s *session, uids []imap.UID) error {
	if f.markless {
		return nil
	}
	if err := s.store(uids, Keyword); err != nil || f.marked {
		return err
	}
	there, err := s.among(uids, imap.SearchCriteria{})
	if err != nil || len(there) == 0 {
		return err
	}
	marked, err := s.among(there, imap.SearchCriteria{Flag: []imap.Flag{Keyword}})
	f.marked = len(marked) > 0
	f.markless = err == nil && !f.marked
	return err
}

// store sets flags. A server may refuse to.
func (s *session) store(uids []imap.UID, flags ...imap.Flag) error {
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
