package email

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// session is one logged-in connection: the small part of IMAP that the channel
// uses, with the guards that go-imap lacks. One goroutine uses it.
type session struct {
	client  *imapclient.Client
	wire    *wire
	caps    imap.CapSet
	news    chan struct{} // the server announced messages
	unhook  func() bool
	maxSize int64

	selected  string
	paths     map[string]string // of folders that go by another name here
	junkSeen  bool              // the folder for spam was looked at on this connection
	exists    uint32
	separator string
	prefix    string // of the personal namespace
	named     bool   // separator and prefix are known
	made      bool   // the folder for taken mail was created or found to be there
}

// open connects and logs in. ctx's end cuts the connection at once.
func (c *Channel) open(ctx context.Context, password string) (*session, error) {
	w, conn, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	s := &session{wire: w, news: make(chan struct{}, 1), paths: map[string]string{}, maxSize: c.opt.MaxSize}
	s.unhook = context.AfterFunc(ctx, func() { w.Conn.Close() })
	s.client = imapclient.New(conn, &imapclient.Options{
		UnilateralDataHandler: &imapclient.UnilateralDataHandler{
			Mailbox: func(d *imapclient.UnilateralDataMailbox) {
				if d.NumMessages != nil {
					select {
					case s.news <- struct{}{}:
					default:
					}
				}
			},
		},
	})
	if err := s.call(func() error { return c.begin(s, password) }); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// begin is greeting, login and the capabilities that hold after it.
func (c *Channel) begin(s *session, password string) error {
	err := s.client.WaitGreeting()
	if err != nil {
		var bye *imap.Error
		if errors.As(err, &bye) { // turned away at the door: most often too many connections
			return wrap(codeLimit, "greeting", err)
		}
		return wrap(codeConnect, "greeting", err)
	}
	caps := s.client.Caps()
	if s.client.State() != imap.ConnStateAuthenticated { // PREAUTH
		if err := c.login(s.client, caps, password); err != nil {
			return err
		}
	}
	// Asked for once more: what go-imap knows may still be from before the login.
	s.caps, err = s.client.Capability().Wait()
	return wrap(codeConnect, "ask for capabilities", err)
}

// call runs one command under the watchdog.
func (s *session) call(fn func() error) error {
	s.wire.expect()
	defer s.wire.rest()
	return fn()
}

// close cuts the connection. It does not wait for the server: the raw
// connection goes first, because go-imap's Close waits for its reader.
func (s *session) close() {
	s.unhook()
	s.wire.Conn.Close()
	_ = s.client.Close() // says that the connection was closed, by us
}

// refused tells a server's NO or BAD, after which the connection goes on, from
// a broken connection.
func refused(err error) bool {
	var e *imap.Error
	return errors.As(err, &e) && (e.Type == imap.StatusResponseTypeNo || e.Type == imap.StatusResponseTypeBad)
}

// selectFolder opens a folder. readOnly leaves everything in it as it is.
func (s *session) selectFolder(name string, readOnly bool) (*imap.SelectData, error) {
	path, err := s.path(name)
	if err != nil {
		return nil, err
	}
	s.selected = "" // after a refusal none is (RFC 9051, 6.3.2)
	var data *imap.SelectData
	err = s.call(func() (err error) {
		data, err = s.client.Select(path, &imap.SelectOptions{ReadOnly: readOnly}).Wait()
		return err
	})
	if refused(err) {
		delete(s.paths, name)
		return nil, wrap(codeFolder, "open folder", err)
	}
	if err != nil {
		return nil, wrap(codeConnect, "open folder", err)
	}
	s.selected, s.exists = name, data.NumMessages
	return data, nil
}

// path is the server's name of a folder whose name is written with slashes.
func (s *session) path(name string) (string, error) {
	if strings.EqualFold(name, "INBOX") {
		return "INBOX", nil
	}
	if path := s.paths[name]; path != "" {
		return path, nil
	}
	if !s.named {
		if err := s.call(s.learnNames); err != nil {
			return "", wrap(codeConnect, "ask for the folders' separator", err)
		}
	}
	path := strings.ReplaceAll(name, "/", s.separator)
	if !strings.HasPrefix(path, s.prefix) {
		path = s.prefix + path
	}
	return path, nil
}

// learnNames asks for separator and prefix (RFC 2342; RFC 9051, 6.3.9).
func (s *session) learnNames() error {
	s.separator = "/"
	list := s.client.List("", "", nil)
	for d := list.Next(); d != nil; d = list.Next() {
		if d.Delim != 0 {
			s.separator = string(d.Delim)
		}
	}
	if err := list.Close(); err != nil && !refused(err) {
		return err
	}
	if s.caps.Has(imap.CapNamespace) {
		ns, err := s.client.Namespace().Wait()
		if err != nil && !refused(err) {
			return err
		}
		if err == nil && len(ns.Personal) > 0 {
			s.prefix = ns.Personal[0].Prefix
			if ns.Personal[0].Delim != 0 {
				s.separator = string(ns.Personal[0].Delim)
			}
		}
	}
	s.named = true
	return nil
}

// refresh lets the server announce what is new.
func (s *session) refresh() error {
	select {
	case <-s.news:
	default:
	}
	if err := s.call(func() error { return s.client.Noop().Wait() }); err != nil {
		return wrap(codeConnect, "NOOP", err)
	}
	if m := s.client.Mailbox(); m != nil {
		s.exists = m.NumMessages
	}
	return nil
}

// search returns the UIDs that fit, ascending.
func (s *session) search(c imap.SearchCriteria) ([]imap.UID, error) {
	var opt *imap.SearchOptions
	if s.caps.Has(imap.CapESearch) || s.caps.Has(imap.CapIMAP4rev2) {
		opt = &imap.SearchOptions{ReturnAll: true} // ranges instead of numbers
	}
	var data *imap.SearchData
	err := s.call(func() (err error) {
		data, err = s.client.UIDSearch(&c, opt).Wait()
		return err
	})
	if err != nil {
		return nil, wrap(codeConnect, "SEARCH", err)
	}
	set, _ := data.All.(imap.UIDSet)
	return s.expand(set)
}

// expand lists a set that cannot hold more than the folder does; a set that
// does is the server's mistake or malice.
func (s *session) expand(set imap.UIDSet) ([]imap.UID, error) {
	if m := s.client.Mailbox(); m != nil {
		s.exists = max(s.exists, m.NumMessages)
	}
	room := uint64(s.exists) + 1000 // some may have arrived or gone meanwhile
	var uids []imap.UID
	for _, r := range set {
		if r.Start == 0 || r.Stop < r.Start || uint64(r.Stop-r.Start) >= room {
			return nil, trouble(codeProtocol, fmt.Errorf("SEARCH: the server names messages %d:%d in a folder of %d", r.Start, r.Stop, s.exists))
		}
		room -= uint64(r.Stop-r.Start) + 1
		for u := uint64(r.Start); u <= uint64(r.Stop); u++ {
			uids = append(uids, imap.UID(u))
		}
	}
	slices.Sort(uids)
	return uids, nil
}

// after lists the UIDs above high. "n:*" names the last message even if its
// UID is lower (RFC 9051, 9), so that is dropped.
func (s *session) after(high imap.UID, more imap.SearchCriteria) ([]imap.UID, error) {
	if high == ^imap.UID(0) {
		return nil, nil
	}
	more.UID = []imap.UIDSet{{imap.UIDRange{Start: high + 1}}}
	uids, err := s.search(more)
	return slices.DeleteFunc(uids, func(u imap.UID) bool { return u <= high }), err
}

// among lists those of uids that are there and fit.
func (s *session) among(uids []imap.UID, more imap.SearchCriteria) ([]imap.UID, error) {
	var found []imap.UID
	for part := range slices.Chunk(uids, maxSet) {
		more.UID = []imap.UIDSet{imap.UIDSetNum(part...)}
		some, err := s.search(more)
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
	}
	return found, nil
}

// maxSet is how many UIDs one command names, so that its line stays below the
// 8,192 octets that servers must take (RFC 7162, 4).
const maxSet = 500

// facts are what the server says of a message beside its content.
type facts struct {
	uid     imap.UID
	size    int64     // RFC822.SIZE; exact on most servers
	arrived time.Time // INTERNALDATE, zero if the server has none
}

// facts fetches size and date of messages. Those that are gone are missing.
func (s *session) facts(uids []imap.UID) ([]facts, error) {
	var all []facts
	err := s.call(func() error {
		cmd := s.client.Fetch(imap.UIDSetNum(uids...), &imap.FetchOptions{UID: true, InternalDate: true, RFC822Size: true})
		for m := cmd.Next(); m != nil; m = cmd.Next() {
			var f facts
			for item := m.Next(); item != nil; item = m.Next() {
				switch v := item.(type) {
				case imapclient.FetchItemDataUID:
					f.uid = v.UID
				case imapclient.FetchItemDataInternalDate:
					f.arrived = v.Time
				case imapclient.FetchItemDataRFC822Size:
					f.size = v.Size
				}
			}
			all = append(all, f)
		}
		return cmd.Close()
	})
	slices.SortFunc(all, func(a, b facts) int { return int(int64(a.uid) - int64(b.uid)) })
	return all, wrap(codeProtocol, "fetch sizes and dates", err)
}

// idle waits until the server announces something, somebody wakes it, d has
// passed or ctx ends.
func (s *session) idle(ctx context.Context, d time.Duration, wake <-chan struct{}) error {
	var cmd *imapclient.IdleCommand
	err := s.call(func() (err error) {
		cmd, err = s.client.Idle()
		return err
	})
	if err != nil {
		return wrap(codeConnect, "IDLE", err)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-s.news:
	case <-wake:
	case <-timer.C:
	case <-s.client.Closed():
	case <-ctx.Done():
		return ctx.Err()
	}
	return wrap(codeConnect, "IDLE", s.call(func() error {
		if err := cmd.Close(); err != nil {
			return err
		}
		return cmd.Wait()
	}))
}

// count is how many messages have a UID up to high; ok is false if only a list
// of them all could tell.
func (s *session) count(high imap.UID) (n uint32, ok bool, err error) {
	if !s.caps.Has(imap.CapESearch) && !s.caps.Has(imap.CapIMAP4rev2) {
		return 0, false, nil
	}
	err = s.call(func() error {
		data, err := s.client.UIDSearch(&imap.SearchCriteria{UID: []imap.UIDSet{{imap.UIDRange{Start: 1, Stop: high}}}},
			&imap.SearchOptions{ReturnCount: true}).Wait()
		if err == nil {
			n = data.Count
		}
		return err
	})
	return n, err == nil, wrap(codeConnect, "SEARCH", err)
}
