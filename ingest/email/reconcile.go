package email

import (
	"errors"
	"maps"
	"slices"

	"github.com/emersion/go-imap/v2"

	"sekretariat"
)

// reconcile compares mailbox and ledger: what lies in the folder and is not
// marked must be open, parked, or older than "since". Anything else is looked
// at once more. After "keep", and where no keyword is kept, the mailbox knows nothing of what was taken, and
// checkCount and recognise stand in.
func (f *folder) reconcile(s *session) (again bool, err error) {
	if err := errors.Join(f.revisitParked(s), f.checkQuota(s)); err != nil {
		return false, err
	}
	if f.blind() || f.high <= f.floor {
		return false, nil
	}
	c := f.sinceCriteria()
	c.UID = []imap.UIDSet{{imap.UIDRange{Start: f.floor + 1, Stop: f.high}}}
	c.NotFlag = f.marks()
	found, err := s.search(c)
	if err != nil {
		return false, err
	}
	missed := f.reopen(found)
	if missed > 0 {
		f.c.log.Warn().Int("messages", missed).Msg("the folder holds mail that was thought to be settled: it is looked at again")
		f.c.health.update(f.name, func(h *condition) { h.waiting = missed })
	}
	if f.after() == "move" {
		n, err := f.moveLater(s, c)
		return missed+n > 0, err
	}
	return missed > 0, nil
}

// reopen counts and opens the messages that are not accounted for.
func (f *folder) reopen(uids []imap.UID) (n int) {
	for _, u := range uids {
		_, old := f.left[u]
		_, isParked := f.parked[u]
		if f.open[u] == nil && !old && !isParked {
			f.open[u] = &doubt{}
			n++
		}
	}
	return n
}

// moveLater tries again with messages that were marked because they could not
// be moved, or that an earlier configuration marked: a few, and all when that
// goes well. They are read once more, for a mark proves nothing.
func (f *folder) moveLater(s *session, c imap.SearchCriteria) (int, error) {
	c.Flag, c.NotFlag = []imap.Flag{Keyword}, []imap.Flag{imap.FlagDeleted}
	found, err := s.search(c)
	if err != nil {
		return 0, err
	}
	if len(found) == 0 || f.later > 0 && len(found) >= f.later { // none, or it did not help
		f.later = 0
		return 0, nil
	}
	f.later = len(found)
	return f.reopen(found[:min(len(found), f.c.tune.step)]), nil
}

// revisitParked forgets parked messages that somebody took away, and tries
// those again that the server could not hand over.
func (f *folder) revisitParked(s *session) error {
	if len(f.parked) == 0 {
		return nil
	}
	there, err := s.among(slices.Sorted(maps.Keys(f.parked)), imap.SearchCriteria{})
	if err != nil {
		return err
	}
	now := f.c.opt.Clock()
	maps.DeleteFunc(f.parked, func(u imap.UID, p parked) bool {
		if !slices.Contains(there, u) {
			return true
		}
		if p.Reason == sekretariat.ParkRefused && now.Sub(p.At) >= f.c.tune.repark {
			f.open[u] = &doubt{points: pointsBare}
			return true
		}
		return false
	})
	return nil
}

// checkCount finds messages that appeared below the highest UID, where there
// can be none, when the mailbox itself cannot tell (see blind).
func (f *folder) checkCount(s *session) error {
	if !f.blind() || f.high == 0 || f.below == 0 {
		return nil
	}
	n, ok, err := s.count(f.high)
	if err == nil && ok && n > f.below {
		f.renumber(f.validity, "messages appeared among those already read")
	}
	return err
}

// recount notes how many messages were looked at and are still there.
func (f *folder) recount(s *session) error {
	if !f.blind() || f.high == 0 {
		return nil
	}
	n, ok, err := s.count(f.high)
	if ok {
		f.below = n
	}
	return err
}

// checkQuota finds out how full the mailbox is: a full one turns senders away,
// and nobody here would know (rule P10).
func (f *folder) checkQuota(s *session) error {
	if !s.caps.Has(imap.CapQuota) {
		return nil
	}
	path, err := s.path(f.name)
	if err != nil {
		return err
	}
	full := 0
	err = s.call(func() error {
		roots, err := s.client.GetQuotaRoot(path).Wait()
		for _, root := range roots {
			for _, r := range root.Resources {
				if r.Limit > 0 {
					full = max(full, int(r.Usage*100/r.Limit))
				}
			}
		}
		return ignoreRefusal(err)
	})
	f.c.health.update(f.name, func(h *condition) {
		if full >= fullWarning && h.full < fullWarning {
			h.fullSince = f.c.opt.Clock()
		}
		h.full = full
	})
	return wrap(codeConnect, "ask how full the mailbox is", err)
}
