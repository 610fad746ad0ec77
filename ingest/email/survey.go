package email

import (
	"context"
	"errors"

	"github.com/emersion/go-imap/v2"
)

// FolderSurvey is what a first contact would find in one folder.
type FolderSurvey struct {
	Folder   string
	Messages int    // all that lie there
	Young    int    // of these, not surely older than "since": they would be taken in
	Marked   int    // of these, marked by an earlier installation; taken in all the same
	TooLarge int    // of these, over the limit: they would be parked
	Problem  string // why the folder cannot be opened, "" if it can
}

// Survey logs in and looks, without changing anything, at what Run would take
// in: the dry run before the first contact with an old mailbox. Messages of the
// two days before "since" are counted although Run leaves them alone, because
// a server can only be asked for days in its own zone.
func (c *Channel) Survey(ctx context.Context) ([]FolderSurvey, error) {
	s, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	f := folder{c: c}
	var all []FolderSurvey
	for _, name := range c.folders {
		one := FolderSurvey{Folder: name}
		data, err := s.selectFolder(name, true)
		if err != nil && codeOf(err, codeConnect) != codeFolder {
			return nil, err
		}
		if err != nil {
			one.Problem = err.Error()
			all = append(all, one)
			continue
		}
		one.Messages = int(data.NumMessages)
		young, large, marked := f.sinceCriteria(), f.sinceCriteria(), f.sinceCriteria()
		large.Larger, marked.Flag = c.opt.MaxSize, []imap.Flag{Keyword}
		err = errors.Join(s.tally(young, &one.Young), s.tally(large, &one.TooLarge), s.tally(marked, &one.Marked))
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

func (s *session) tally(c imap.SearchCriteria, n *int) error {
	uids, err := s.search(c)
	*n = len(uids)
	return err
}
