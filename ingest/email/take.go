package email

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/emersion/go-imap/v2"

	"sekretariat"
	"sekretariat/extract/mail"
	"sekretariat/ingest"
)

// What is held against a message whose fetching fails: a broken connection may
// be chance, an answer that cannot be read is not. After some points only the
// content is asked for, after more the message is parked.
const (
	pointsCut    = 1
	pointsBroken = 2
	pointsBare   = 4
	pointsPark   = 6
)

// errBroken is an answer that is wrong in itself, not just cut off.
var errBroken = errors.New("the answer is broken")

// errAgain ends a connection on purpose; nothing is held against anybody.
var errAgain = errors.New("the rest of an answer was not wanted")

// takePart fetches sizes and dates of a few messages and then the contents of
// those that are not large.
func (f *folder) takePart(ctx context.Context, s *session, fl *flight, uids []imap.UID) error {
	list, err := s.facts(uids)
	if err == nil {
		err = f.vanished(s, uids, list)
	}
	if err != nil {
		f.suspect(ctx, s, uids, err)
		return err
	}
	f.remember(list)
	return f.take(ctx, s, fl, f.sift(list))
}

// suspect draws the conclusion from a failure: next time these messages are
// fetched in smaller parts; a single one is to blame.
func (f *folder) suspect(ctx context.Context, s *session, uids []imap.UID, err error) {
	if ctx.Err() != nil || errors.Is(err, errAgain) || codeOf(err, codeConnect) == codeStore {
		return
	}
	if !s.wire.broke() { // go-imap gave the connection up: it could not read the answer
		err = fmt.Errorf("%w: %w", errBroken, err)
	}
	if len(uids) == 1 {
		f.blame(uids[0], err)
		return
	}
	for _, u := range uids {
		if d := f.open[u]; d != nil {
			d.part = max(1, len(uids)/8)
		}
	}
	f.advanced = true
}

// blame holds a failure against one message.
func (f *folder) blame(uid imap.UID, err error) {
	d := f.open[uid]
	if d == nil {
		return
	}
	points := pointsCut
	if refused(err) || errors.Is(err, errBroken) {
		points = pointsBroken
		f.advanced = true
	}
	d.points += points
	d.due = f.c.opt.Clock().Add(min(f.c.tune.retry[0]<<d.points, f.c.tune.retry[1]))
	f.c.log.Warn().Err(err).Uint32("uid", uint32(uid)).Int("points", d.points).Msg("a message cannot be fetched, the others go on")
}

// vanished settles messages that are gone: others read, move and delete mail
// meanwhile. One that is there but of which the server says nothing is in doubt.
func (f *folder) vanished(s *session, uids []imap.UID, list []facts) error {
	if len(list) >= len(uids) {
		return nil
	}
	missing := slices.DeleteFunc(slices.Clone(uids), func(u imap.UID) bool {
		return slices.ContainsFunc(list, func(g facts) bool { return g.uid == u })
	})
	return f.missing(s, missing)
}

func (f *folder) missing(s *session, uids []imap.UID) error {
	there, err := s.among(uids, imap.SearchCriteria{})
	if err != nil {
		return err
	}
	for _, u := range uids {
		if slices.Contains(there, u) {
			f.blame(u, fmt.Errorf("%w: the server says nothing of the message", errBroken))
		} else {
			f.settle(u)
		}
	}
	return nil
}

// sift leaves out what is older than "since", puts what is too large before a
// clerk and what is large aside.
func (f *folder) sift(list []facts) []facts {
	var now []facts
	for _, g := range list {
		d := f.open[g.uid]
		switch {
		case d == nil:
		case f.tooOld(g):
			f.left[g.uid] = struct{}{}
			f.settle(g.uid)
		case g.size > f.c.opt.MaxSize:
			d.oversize, d.facts = true, g
		case g.size > f.c.tune.large:
			d.facts = g
			f.large = append(f.large, g)
		default:
			d.facts = g
			now = append(now, g)
		}
	}
	return now
}

// take fetches contents and hands them to the receiver.
func (f *folder) take(ctx context.Context, s *session, fl *flight, list []facts) error {
	if len(list) == 0 {
		return nil
	}
	wanted := map[imap.UID]facts{}
	var uids []imap.UID
	for _, g := range list {
		wanted[g.uid] = g
		uids = append(uids, g.uid)
	}
	err := f.stream(ctx, s, fl, uids, wanted)
	left := slices.Sorted(maps.Keys(wanted))
	if err == nil && len(left) > 0 {
		err = f.missing(s, left)
	}
	if err != nil {
		f.suspect(ctx, s, left, err)
	}
	return err
}

// stream takes messages in as they come and removes them from wanted.
func (f *folder) stream(ctx context.Context, s *session, fl *flight, uids []imap.UID, wanted map[imap.UID]facts) error {
	all := s.fetchBodies(uids)
	defer all.close()
	for {
		uid, body, err := all.next()
		if err != nil || uid == 0 {
			return wrap(codeProtocol, "fetch mail", err)
		}
		g, ok := wanted[uid]
		if body == nil || !ok {
			if body != nil {
				return trouble(codeProtocol, errors.New("fetch mail: the server sends a message that was not asked for"))
			}
			continue
		}
		if err := f.takeOne(ctx, fl, g, body); err != nil {
			return err
		}
		delete(wanted, uid)
	}
}

// takeOne hands one message to the receiver.
func (f *folder) takeOne(ctx context.Context, fl *flight, g facts, body *body) error {
	size := max(g.size, body.literal.Size())
	fl.admit(size)
	id := &mail.IdentityHasher{}
	ticket, err := f.c.opt.Receiver.Take(ctx, f.delivery(g, id), id.Reader(body))
	if err == nil && !body.whole() {
		err = errors.New("the receiver did not read to the end")
	}
	if err == nil {
		fl.add(airborne{g.uid, size, ticket})
		return nil
	}
	fl.forget(size)
	switch {
	case errors.Is(err, ingest.ErrTooLarge):
		d := f.open[g.uid]
		d.oversize, d.facts = true, g
		d.facts.size = max(g.size, body.literal.Size())
		if body.whole() {
			return nil
		}
		return trouble(codeConnect, errAgain)
	case body.err != nil && !body.whole():
		return wrap(codeProtocol, "fetch mail", body.err)
	}
	return wrap(codeStore, "take mail in", err)
}

// delivery describes one message. What it is recognised by is its content
// alone; the day of receipt is the server's (rule P2), never in the future.
func (f *folder) delivery(g facts, id *mail.IdentityHasher) sekretariat.Delivery {
	m := f.c.opt.Mailbox
	return sekretariat.Delivery{
		Centre: f.c.opt.Centre, Kind: sekretariat.KindMail, Door: sekretariat.DoorIMAP,
		Account: m.ID, Unit: m.Unit, Department: m.Department, Series: m.Series,
		Identity:  func(sekretariat.BodyFacts) []string { return []string{string(id.Digest())} },
		Content:   func(sekretariat.BodyFacts) sekretariat.Digest { return id.Digest() },
		Arrived:   sekretariat.Arrival{At: f.arrival(g), Basis: sekretariat.BasisServerArrival},
		MediaType: "message/rfc822", Junk: f.junk,
		Source: map[string]string{
			"mailbox": m.Address, "folder": f.place(),
			"uidvalidity": strconv.FormatUint(uint64(f.validity), 10), "uid": strconv.FormatUint(uint64(g.uid), 10),
		},
	}
}

// arrival is INTERNALDATE; now, if the server has none or one to come.
func (f *folder) arrival(g facts) time.Time {
	now := f.c.opt.Clock()
	if g.arrived.IsZero() || g.arrived.After(now) {
		return now
	}
	return g.arrived.UTC()
}

// takeAlone tries one message that made trouble: by itself, in the end without
// asking for anything but its content, then parks it.
func (f *folder) takeAlone(ctx context.Context, s *session, fl *flight, uid imap.UID) error {
	d := f.open[uid]
	if d.oversize || d.points >= pointsPark {
		return f.park(ctx, s, uid, d)
	}
	if d.points < pointsBare {
		return f.takePart(ctx, s, fl, []imap.UID{uid})
	}
	g := d.facts
	g.uid = uid
	return wrap(codeProtocol, "content alone", f.take(ctx, s, fl, []facts{g}))
}
