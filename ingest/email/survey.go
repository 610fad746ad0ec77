package email

import (
	"context"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"

	"sekretariat"
)

// Survey is what a first contact with a mailbox would find.
type Survey struct {
	Folders []FolderSurvey // that Run would read, the folder for spam last
	Others  []OtherFolder  // that it would not
	// Partial says that time was up before everything was looked at; the newest
	// messages of each folder were looked at first.
	Partial bool
}

// FolderSurvey is what lies in one folder.
type FolderSurvey struct {
	Folder   string
	Junk     bool
	Messages int     // all that lie there
	Young    int     // of these, not older than "since": they would be taken in
	Octets   int64   // of these
	Marked   int     // of these, marked by an earlier installation; taken in all the same
	TooLarge int     // of these, over the limit: they would be parked
	Months   []Month // in order
	Problem  string  // why the folder cannot be looked at, "" if it can
}

// Month counts the messages that arrived in one month of Warsaw's calendar.
type Month struct {
	Month  string // 2026-01; "" without a date of arrival
	All    int
	Young  int
	Octets int64 // of the young ones
}

// OtherFolder is a folder that is not read.
type OtherFolder struct {
	Folder   string
	Messages int // -1: the server does not say
}

// Survey logs in and looks, without changing anything, at what Run would take
// in: the dry run before the first contact with an old mailbox. It ends soon
// after the time given, with what it has found until then.
func (c *Channel) Survey(ctx context.Context, limit time.Duration) (*Survey, error) {
	until := time.Now().Add(limit)
	s, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	all := &Survey{}
	for _, f := range c.surveyed() {
		if f.junk {
			if there, err := f.findJunk(s); err != nil {
				return nil, err
			} else if !there {
				continue
			}
		}
		one, partial, err := f.survey(s, until)
		if err != nil {
			return nil, err
		}
		all.Folders = append(all.Folders, one)
		all.Partial = all.Partial || partial
	}
	if all.Partial {
		return all, nil
	}
	return all, c.surveyOthers(s, all, until)
}

func (c *Channel) surveyed() []*folder {
	var list []*folder
	for _, name := range c.folders {
		list = append(list, newFolder(c, name))
	}
	if name := c.junkName(); name != "" {
		f := newFolder(c, name)
		f.junk = true
		list = append(list, f)
	}
	return list
}

// survey looks at one folder, the newest messages first.
func (f *folder) survey(s *session, until time.Time) (one FolderSurvey, partial bool, err error) {
	one = FolderSurvey{Junk: f.junk}
	data, err := s.selectFolder(f.name, true)
	one.Folder = f.place()
	if err != nil {
		if codeOf(err, codeConnect) != codeFolder {
			return one, false, err
		}
		one.Problem = err.Error()
		return one, false, nil
	}
	one.Messages = int(data.NumMessages)
	uids, err := s.search(imap.SearchCriteria{})
	if err != nil {
		return one, false, err
	}
	marked, err := s.search(imap.SearchCriteria{Flag: []imap.Flag{Keyword}})
	if err != nil {
		return one, false, err
	}
	months := map[string]*Month{}
	slices.Reverse(uids)
	for part := range slices.Chunk(uids, maxSet) {
		if time.Now().After(until) {
			partial = true
			break
		}
		list, err := s.facts(part)
		if err != nil {
			return one, false, err
		}
		for _, g := range list {
			f.count(&one, months, g, slices.Contains(marked, g.uid))
		}
	}
	for _, m := range months {
		one.Months = append(one.Months, *m)
	}
	slices.SortFunc(one.Months, func(a, b Month) int {
		if a.Month < b.Month {
			return -1
		}
		return 1
	})
	return one, partial, nil
}

// count adds one message.
func (f *folder) count(one *FolderSurvey, months map[string]*Month, g facts, marked bool) {
	name := ""
	if !g.arrived.IsZero() {
		name = g.arrived.In(sekretariat.Warsaw()).Format("2006-01")
	}
	m := months[name]
	if m == nil {
		m = &Month{Month: name}
		months[name] = m
	}
	m.All++
	if f.tooOld(g) {
		return
	}
	m.Young++
	one.Young++
	m.Octets += g.size
	one.Octets += g.size
	if marked {
		one.Marked++
	}
	if g.size > f.c.opt.MaxSize {
		one.TooLarge++
	}
}

// tooOld tells whether a message arrived before the cut-off day.
func (f *folder) tooOld(g facts) bool {
	return !g.arrived.IsZero() && g.arrived.Before(f.c.since)
}

// surveyOthers lists what would not be read, so that nobody believes that it
// would be.
func (c *Channel) surveyOthers(s *session, all *Survey, until time.Time) error {
	list, err := s.list()
	if err != nil {
		return err
	}
	read := map[string]bool{}
	for _, f := range c.surveyed() {
		if path, err := s.path(f.name); err == nil {
			read[path] = true
		}
	}
	for i, d := range list {
		if read[d.Mailbox] || slices.Contains(d.Attrs, imap.MailboxAttrNoSelect) || slices.Contains(d.Attrs, imap.MailboxAttrNonExistent) {
			continue
		}
		o := OtherFolder{Folder: d.Mailbox, Messages: -1}
		if i < maxStatus && time.Now().Before(until) {
			data, err := s.status(d.Mailbox, &imap.StatusOptions{NumMessages: true})
			if err != nil {
				return err
			}
			if data != nil && data.NumMessages != nil {
				o.Messages = int(*data.NumMessages)
			}
		}
		all.Others = append(all.Others, o)
	}
	return nil
}
