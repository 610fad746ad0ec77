package email

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/emersion/go-imap/v2"

	"sekretariat"
	"sekretariat/extract/mail"
)

// Keeper knows what became of submissions.
type Keeper interface {
	// Safe reads what is kept of a submission again and returns when it was
	// received. An error says why its copy in the mailbox must stay: bytes that
	// are missing or damaged, a letter without its entry in the register, or
	// that nothing is known of it.
	Safe(ctx context.Context, id sekretariat.SubmissionID) (received time.Time, err error)
}

// archive deletes taken mail from the mailbox when it has lain there long
// enough. Nothing is deleted but single messages of the folder for taken mail,
// each read once more and found to be one that is kept whole with us. What dies
// in the middle leaves messages that the next look deletes.
type archive struct {
	c        *Channel
	age      time.Duration
	validity uint32
	doubtful map[imap.UID]time.Time // not to be read again before
	lacking  bool                   // it was said that the server cannot do it
}

// Bounds of one look.
const (
	archiveMessages = 2000
	archiveOctets   = 2 << 30
	archiveStep     = 50
	firstArchive    = 5 * time.Minute
)

// runArchive looks now and then until ctx ends. Trouble is no alarm: mail is
// taken in all the same, and the next look repeats it.
func (c *Channel) runArchive(ctx context.Context) {
	a := &archive{c: c, age: time.Duration(c.opt.Mailbox.DeleteAfterDays) * 24 * time.Hour, doubtful: map[imap.UID]time.Time{}}
	wait(ctx, jitter(min(c.tune.archive, firstArchive))) // the mail comes first, where connections are few
	for ctx.Err() == nil {
		n, kept, err := a.look(ctx)
		if err != nil && ctx.Err() == nil {
			c.log.Warn().Err(err).Msg("old taken mail could not be deleted from the mailbox, tried again later")
		}
		if n+kept > 0 {
			c.log.Info().Int("deleted", n).Int("kept", kept).Msg("old taken mail was looked through")
		}
		wait(ctx, jitter(c.tune.archive))
	}
}

// look deletes what may go and counts what was deleted and what had to stay.
func (a *archive) look(ctx context.Context) (deleted, kept int, err error) {
	s, err := a.c.connect(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer s.close()
	if !s.caps.Has(imap.CapUIDPlus) && !s.caps.Has(imap.CapIMAP4rev2) {
		if !a.lacking {
			a.lacking = true
			a.c.log.Warn().Msg("delete_after_days: the mail server lacks UIDPLUS, so nothing is deleted: it could only remove together with our messages whatever others have flagged")
		}
		return 0, 0, nil
	}
	due, err := a.due(s)
	if err != nil {
		return 0, 0, err
	}
	var safe []imap.UID
	octets := int64(0)
	for i, g := range due {
		if i >= archiveMessages || octets > archiveOctets || ctx.Err() != nil {
			break
		}
		octets += g.size
		switch err := a.judge(ctx, s, g); {
		case err == nil:
			safe = append(safe, g.uid)
		case codeOf(err, codeOK) == codeOK: // it stays
			kept++
			a.doubtful[g.uid] = a.c.opt.Clock().Add(24 * time.Hour)
			a.c.log.Warn().Err(err).Uint32("uid", uint32(g.uid)).Msg("an old message stays in the mailbox")
		default:
			if !s.wire.broke() { // not the network: the message; the others come first at the next look
				a.doubtful[g.uid] = a.c.opt.Clock().Add(time.Hour)
			}
			return deleted, kept, err
		}
		if len(safe) == archiveStep {
			if err := a.remove(s, safe); err != nil {
				return deleted, kept, err
			}
			deleted += len(safe)
			safe = nil
		}
	}
	if err := a.remove(s, safe); err != nil {
		return deleted, kept, err
	}
	return deleted + len(safe), kept, nil
}

// due lists the messages that arrived long enough ago; whether they were taken
// as long ago is looked at one by one.
func (a *archive) due(s *session) ([]facts, error) {
	data, err := s.selectFolder(a.c.done, false)
	if codeOf(err, codeOK) == codeFolder {
		return nil, nil // nothing was ever moved there
	}
	if err != nil {
		return nil, err
	}
	if data.UIDValidity != a.validity {
		a.validity = data.UIDValidity
		clear(a.doubtful)
	}
	now := a.c.opt.Clock()
	uids, err := s.search(imap.SearchCriteria{Before: now.Add(-a.age).AddDate(0, 0, 2)}) // days, in the server's zone
	if err != nil {
		return nil, err
	}
	var fresh []imap.UID
	for _, u := range uids {
		if !now.Before(a.doubtful[u]) {
			fresh = append(fresh, u)
		}
	}
	var list []facts
	for len(fresh) > 0 && len(list) < archiveMessages {
		n := min(maxSet, len(fresh))
		some, err := s.facts(fresh[:n])
		if err != nil {
			return nil, err
		}
		for _, g := range some {
			if !g.arrived.After(now.Add(-a.age)) {
				list = append(list, g)
			}
		}
		fresh = fresh[n:]
	}
	return list, nil
}

// judge reads a message and asks whether what it is recognised by is kept. An
// error without a code means that the message stays.
func (a *archive) judge(ctx context.Context, s *session, g facts) error {
	id, err := a.identity(s, g.uid)
	if err != nil {
		return wrap(codeProtocol, "read an old message", err)
	}
	m := a.c.opt.Mailbox
	received, err := a.c.opt.Keeper.Safe(ctx, sekretariat.NewSubmissionID(a.c.opt.Centre, sekretariat.KindMail, m.ID, string(id)))
	if err != nil {
		return fmt.Errorf("its copy with us is not beyond doubt: %w", err)
	}
	if received.Add(a.age).After(a.c.opt.Clock()) {
		return errRecent
	}
	return nil
}

// errRecent is a message that arrived long ago and was taken lately.
var errRecent = fmt.Errorf("it was taken too lately")

// identity is what a message is recognised by.
func (a *archive) identity(s *session, uid imap.UID) (sekretariat.Digest, error) {
	all := s.fetchBodies([]imap.UID{uid})
	defer all.close()
	got, body, err := all.next()
	if err != nil {
		return "", err
	}
	if body == nil || got != uid {
		return "", fmt.Errorf("%w: the server gives no content", errBroken)
	}
	id := &mail.IdentityHasher{}
	if _, err := io.Copy(id, body); err != nil {
		return "", err
	}
	if !body.whole() {
		return "", errShort
	}
	return id.Digest(), nil
}

// remove expunges these very messages.
func (a *archive) remove(s *session, uids []imap.UID) error {
	if len(uids) == 0 {
		return nil
	}
	if err := s.store(uids, imap.FlagDeleted); err != nil {
		return err
	}
	err := s.call(func() error { return s.client.UIDExpunge(imap.UIDSetNum(uids...)).Close() })
	return wrap(codeConnect, "delete old taken mail", err)
}
