package email

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"
)

// folder is what is known of one folder. It outlives connections; only one
// worker uses it.
type folder struct {
	c    *Channel
	name string
	junk bool   // what the mail server takes for spam
	path string // the server's name of it, when it was found out

	unlistable bool      // the list of folders breaks the connection
	sought     time.Time // when a missing folder was last looked for under other names

	loaded, known bool // the cursor was asked for; it had something
	validity      uint32
	high, floor   imap.UID
	open          map[imap.UID]*doubt // looked at, not settled
	parked        map[imap.UID]parked
	left          map[imap.UID]struct{} // older than "since"
	recent        []recent
	below         uint32

	advanced         bool          // something was settled or found out on this connection
	marked, markless bool          // the server is known to keep our keyword, or not to
	later            int           // so much of that was there when some of it was last tried again
	large            []facts       // put aside until the small ones are safe
	apart            *apart        // fetches very large ones on a connection of its own; nil: none under way
	wake             chan struct{} // a token when apart has a result
	reconciled       time.Time
	confirmed        time.Time
	saved            time.Time
	kept             string // the cursor as it is stored
}

// doubt is what is held against a message that is not settled yet.
type doubt struct {
	part     int // fetched with at most so many others; 0: no limit
	points   int // alone to blame so often
	due      time.Time
	oversize bool
	noHeader bool
	apart    bool // being fetched on another connection
	inline   bool // not to be tried there again
	facts    facts
}

func newFolder(c *Channel, name string) *folder {
	f := &folder{c: c, name: name, wake: make(chan struct{}, 1)}
	f.forget()
	return f
}

// forget drops all that UIDs stand for.
func (f *folder) forget() {
	f.high, f.floor, f.below, f.recent = 0, 0, 0, nil
	f.open, f.parked, f.left = map[imap.UID]*doubt{}, map[imap.UID]parked{}, map[imap.UID]struct{}{}
}

// settle ends our interest in a message: it is durable and confirmed, gone, or
// none of our business.
func (f *folder) settle(uid imap.UID) { delete(f.open, uid) }

// attach opens the folder and finds out whether UIDs still mean what they
// meant. first is true on a new connection.
func (f *folder) attach(ctx context.Context, s *session, first bool) error {
	if !f.loaded {
		if err := f.load(ctx); err != nil {
			return err
		}
	}
	data, err := s.selectFolder(f.name, false)
	if err != nil {
		return err
	}
	switch {
	case !f.known:
		f.known, f.validity = true, data.UIDValidity
	case data.UIDValidity != f.validity:
		f.renumber(data.UIDValidity, "UIDVALIDITY changed")
	case data.UIDNext != 0 && data.UIDNext <= f.high:
		f.renumber(data.UIDValidity, "UIDs were rolled back")
	}
	if !first {
		return nil
	}
	f.reconciled = time.Time{} // what happened meanwhile is unknown
	return f.recognise(s)
}

// blind tells whether the mailbox itself cannot tell what was taken.
func (f *folder) blind() bool {
	after := f.after()
	return after == "keep" || after == "keyword" && f.markless
}

// after is what is done with taken mail. Mail in the folder for spam stays
// there: moving it away would teach the server's filter that spam is none.
func (f *folder) after() string {
	after := f.c.opt.Mailbox.After
	if f.junk && after == "move" {
		return "keyword"
	}
	return after
}

// renumber starts anew: every message is looked at by content again.
func (f *folder) renumber(validity uint32, why string) {
	f.c.log.Warn().Str("why", why).Uint32("before", f.validity).Uint32("now", validity).
		Msg("folder was renumbered: everything in it is read again and recognised by content")
	f.forget()
	f.validity = validity
	f.c.health.update(f.name, func(h *condition) { h.resync, h.renumbered = true, f.c.opt.Clock() })
}

// recognise looks whether the newest messages are still the same ones. A server
// restored from a backup may give out UIDs a second time without changing
// UIDVALIDITY, against RFC 9051, 2.3.1.1.
func (f *folder) recognise(s *session) error {
	if len(f.recent) == 0 {
		return nil
	}
	uids := make([]imap.UID, 0, len(f.recent))
	for _, r := range f.recent {
		uids = append(uids, r.UID)
	}
	old := f.recent
	f.recent = nil // not asked again should the server fall over it
	found, err := s.facts(uids)
	if err != nil {
		return err
	}
	f.recent = old
	for _, g := range found {
		i := slices.IndexFunc(old, func(r recent) bool { return r.UID == g.uid })
		if i >= 0 && old[i].differs(g) {
			f.renumber(f.validity, "a UID names another message")
			return nil
		}
	}
	if len(found) == 0 && f.blind() && f.below > 0 {
		f.renumber(f.validity, "the newest messages are all gone")
	}
	return nil
}

// remember keeps what the newest messages look like.
func (f *folder) remember(list []facts) {
	for _, g := range list {
		r := recent{UID: g.uid, Size: g.size}
		if !g.arrived.IsZero() {
			r.Arrived = g.arrived.Unix()
		}
		f.recent = append(slices.DeleteFunc(f.recent, func(o recent) bool { return o.UID == g.uid }), r)
	}
	slices.SortFunc(f.recent, func(a, b recent) int { return int(int64(a.UID) - int64(b.UID)) })
	f.recent = slices.Clone(f.recent[max(0, len(f.recent)-remembered):])
}

// news lists the messages that were never looked at, ascending, and the UID up
// to which that is all.
func (f *folder) news(s *session) ([]imap.UID, imap.UID, error) {
	uids, err := s.after(f.high, imap.SearchCriteria{})
	if err != nil || len(uids) == 0 {
		return nil, f.high, err
	}
	top := uids[len(uids)-1]
	if f.c.since.IsZero() || len(uids) <= maxSet {
		return uids, top, nil
	}
	// An old mailbox: let the server leave out what is too old, once.
	young, err := s.after(f.high, f.sinceCriteria())
	if err != nil {
		return nil, f.high, err
	}
	young = slices.DeleteFunc(young, func(u imap.UID) bool { return u > top })
	if f.high == 0 {
		f.floor = top
		if len(young) > 0 {
			f.floor = young[0] - 1
		}
	}
	return young, top, nil
}

// sinceCriteria is wider by two days than the cut-off, for the server compares
// days in a zone of its own; the exact time is looked at afterwards.
func (f *folder) sinceCriteria() imap.SearchCriteria {
	if f.c.since.IsZero() {
		return imap.SearchCriteria{}
	}
	return imap.SearchCriteria{Since: f.c.since.AddDate(0, 0, -2)}
}

// round takes in all that there is. again asks for another round at once.
func (f *folder) round(ctx context.Context, s *session) (again bool, err error) {
	if err := s.refresh(); err != nil {
		return false, err
	}
	if err := f.checkCount(s); err != nil {
		return false, err
	}
	fl := f.newFlight(ctx, f.c.tune.window)
	defer fl.close()
	if err := f.takeAll(ctx, s, fl); err != nil {
		return false, err
	}
	lost := fl.drain()
	if err := f.confirm(s, fl.ready()); err != nil {
		return false, err
	}
	if lost != nil {
		return false, wrap(codeStore, "make mail durable", lost)
	}
	if time.Since(f.reconciled) >= f.c.tune.reconcile {
		if again, err = f.reconcile(s); err != nil {
			return false, err
		}
		if f.reconciled = time.Now(); f.later > 0 {
			f.reconciled = time.Time{} // go on as long as that helps
		}
	}
	if err := f.recount(s); err != nil {
		return false, err
	}
	if err := f.save(ctx); err != nil {
		return false, err
	}
	if !again {
		f.c.health.fine(f.name, len(f.open), len(f.parked))
	}
	return again, nil
}

// takeAll fetches what is open and what is new: the small messages first, then
// the large, and only when those are safe the ones that were part of a failure,
// in smaller and smaller parts, down to the one that is to blame.
func (f *folder) takeAll(ctx context.Context, s *session, fl *flight) error {
	f.large = nil
	f.collectApart()
	fresh := f.openNow(func(d *doubt) bool { return d.points == 0 && d.part == 0 && !d.oversize })
	if err := f.takeParts(ctx, s, fl, fresh, f.c.tune.step); err != nil {
		return err
	}
	news, top, err := f.news(s)
	if err != nil {
		return err
	}
	if n := len(f.open) + len(news); n > 0 {
		f.c.health.update(f.name, func(h *condition) { h.waiting = n })
	}
	if err := f.takeParts(ctx, s, fl, news, f.c.tune.step); err != nil {
		return err
	}
	f.high = max(f.high, top)
	if err := f.takeLarge(ctx, s, fl); err != nil {
		return err
	}
	return f.takeSuspects(ctx, s, fl)
}

// takeLarge fetches what was put aside, one by one; the very large ones
// elsewhere, so that new mail need not wait for them.
func (f *folder) takeLarge(ctx context.Context, s *session, fl *flight) error {
	f.startApart(ctx)
	for len(f.large) > 0 {
		if err := f.confirm(s, fl.ready()); err != nil {
			return err
		}
		g := f.large[0]
		f.large = f.large[1:]
		if err := f.take(ctx, s, fl, []facts{g}); err != nil {
			return err
		}
	}
	return nil
}

func (f *folder) takeSuspects(ctx context.Context, s *session, fl *flight) error {
	now := f.c.opt.Clock()
	suspects := f.openNow(func(d *doubt) bool { return d.points == 0 && d.part > 0 && !d.oversize })
	alone := f.openNow(func(d *doubt) bool { return (d.points > 0 || d.oversize) && !d.due.After(now) })
	if len(suspects)+len(alone) == 0 {
		return nil
	}
	if err := errors.Join(wrap(codeStore, "make mail durable", fl.drain()), f.confirm(s, fl.ready())); err != nil {
		return err
	}
	for len(suspects) > 0 {
		n := min(f.open[suspects[0]].part, len(suspects))
		if err := f.takeParts(ctx, s, fl, suspects[:n], n); err != nil {
			return err
		}
		suspects = suspects[n:]
	}
	for _, u := range alone {
		if err := f.takeAlone(ctx, s, fl, u); err != nil {
			return err
		}
	}
	return f.takeLarge(ctx, s, fl)
}

// takeParts works through a list in parts, confirming meanwhile.
func (f *folder) takeParts(ctx context.Context, s *session, fl *flight, uids []imap.UID, size int) error {
	for part := range slices.Chunk(uids, size) {
		for _, u := range part {
			if f.open[u] == nil {
				f.open[u] = &doubt{}
			}
		}
		f.high = max(f.high, part[len(part)-1])
		if err := f.takePart(ctx, s, fl, part); err != nil {
			return err
		}
		if fl.waiting() >= f.c.tune.confirm || time.Since(f.confirmed) > time.Second {
			if err := f.confirm(s, fl.ready()); err != nil {
				return err
			}
			f.confirmed = time.Now()
		}
		if time.Since(f.saved) > 5*time.Second {
			if err := f.save(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// openNow lists open messages that fit, ascending.
func (f *folder) openNow(fits func(*doubt) bool) []imap.UID {
	var uids []imap.UID
	for u, d := range f.open {
		if !d.apart && fits(d) {
			uids = append(uids, u)
		}
	}
	slices.Sort(uids)
	return uids
}

// nextDue is how long until a message that made trouble is tried again.
func (f *folder) nextDue() time.Duration {
	d := time.Duration(math.MaxInt64)
	now := f.c.opt.Clock()
	for _, o := range f.open {
		if !o.apart {
			d = min(d, max(0, o.due.Sub(now)))
		}
	}
	return d
}
