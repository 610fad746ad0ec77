package edelivery

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/extract/edoreczenia"
	"sekretariat/ingest"
)

// one takes one message. Trouble with it alone is noted, so that others go on.
func (c *Channel) one(ctx context.Context, it item) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err := c.take(ctx, it)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil:
		c.mu.Lock()
		delete(c.items, it.key())
		c.streak = 0
		c.mu.Unlock()
		return nil
	case !single(err):
		return err
	}
	return c.stumble(ctx, it, err)
}

// take fetches a message, makes it durable and tells the source.
func (c *Channel) take(ctx context.Context, it item) error {
	if c.o.Account.After == configs.AfterMove && it.class == "" {
		known, err := c.known(ctx, it)
		if err != nil {
			return err
		}
		if known {
			return c.again(ctx, it)
		}
	}
	l, err := c.prepare(ctx, it)
	if err != nil || l == nil {
		return err
	}
	receipt, whole, err := c.deliver(ctx, l)
	if err != nil {
		return err
	}
	c.remember(it)
	c.o.Logger.Info().Str("channel", c.Name()).Str("submission", string(receipt.Submission)).Bool("repeat", receipt.Repeat).Msg("e-Doręczenia message taken in")
	return c.confirm(ctx, it, receipt.Original == whole || receipt.Original == "")
}

// again counts a message that lies in the mailbox although it is ours: it is
// new there, or an earlier process died before it could tell the source.
func (c *Channel) again(ctx context.Context, it item) error {
	l := letter{kind: edoreczenia.KindMessage, id: it.id}
	d := sekretariat.SeenData{Submission: c.submission(&l), Door: sekretariat.DoorUAAPI, Account: c.o.Account.ID}
	if err := c.o.Receiver.Seen(ctx, c.o.Centre, d); err != nil {
		return failed(codeStore, fmt.Errorf("count a repeated message: %w", err))
	}
	return c.confirm(ctx, it, true)
}

// prepare asks for everything about a message but its files.
func (c *Channel) prepare(ctx context.Context, it item) (*letter, error) {
	if it.piece != "" {
		return c.prepareLate(ctx, it)
	}
	if it.class != "" {
		return c.prepareProof(ctx, it)
	}
	raw, err := c.get(ctx, it.id, "full")
	if err != nil {
		return nil, err
	}
	m, err := edoreczenia.ParseMessage(raw)
	if err != nil {
		return nil, failed(codeMessage, err)
	}
	if id := m.Metadata.MessageID; id != it.id {
		return nil, failed(codeMessage, errors.New("get message: the answer is another message"))
	}
	if len(m.Attachments) > maxPieces {
		return nil, failed(codeMessage, fmt.Errorf("get message: %d attachments", len(m.Attachments)))
	}
	if m.Control.Type == typeStub {
		return nil, failed(codePending, errStub)
	}
	if m.Control.Type != typeEvidence && c.unproven(m.Metadata) {
		return nil, failed(codePending, errReceipt)
	}
	l := &letter{kind: edoreczenia.KindMessage, id: it.id, message: m, raw: raw}
	if m.Control.Type == typeEvidence {
		l.kind, l.class = edoreczenia.KindProof, edoreczenia.ClassEvidence
	}
	c.recall(it, l)
	if l.evidences, err = c.evidences(ctx, it.id); err != nil && !(lasting(err) && l.again) {
		return nil, err
	}
	if l.sent, err = c.related(ctx, m.Metadata); err != nil && !l.bare && !lasting(err) {
		return nil, err
	}
	return l, nil
}

// errStub: a notice of arrival; its content has not been handed over yet.
var errStub = errors.New("the message is a notice without content")

// errReceipt: the proof of receipt, whose day is the legal one, is made moments
// after the message was stored.
var errReceipt = errors.New("the message has no date of receipt yet")

// unproven tells whether the date of receipt of a message may still come in a
// moment. It is not waited for long: a letter may be urgent.
func (c *Channel) unproven(m edoreczenia.Metadata) bool {
	if _, ok := edoreczenia.ParseTime(m.ReceiptDate); ok {
		return false
	}
	at, ok := edoreczenia.ParseTime(m.Timestamp)
	return ok && c.o.Clock().Sub(at).Abs() < c.tune.receipt
}

// recall takes over from earlier tries how strict to be.
func (c *Channel) recall(it item, l *letter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.items[it.key()]; t != nil {
		l.lenient, l.bare, l.again = t.wrong >= 2, t.tries >= c.tune.patience, t.tries > 0
	}
}

// deliver hands the container to the receiver and waits until it is durable.
// whole is the digest of what was streamed.
func (c *Channel) deliver(ctx context.Context, l *letter) (r sekretariat.Receipt, whole sekretariat.Digest, err error) {
	declared := int64(0)
	for _, a := range l.message.Attachments {
		declared += max(a.File.Metadata.Size, 0)
	}
	if declared > c.o.MaxSize {
		return r, "", failed(codeMessage, ingest.ErrTooLarge)
	}
	body := c.files(ctx, l)
	defer body.Close()
	sum := &counted{Reader: body, hash: sha256.New()}
	ticket, err := c.o.Receiver.Take(ctx, c.delivery(l), sum)
	switch {
	case errors.Is(err, ingest.ErrTooLarge):
		return r, "", failed(codeMessage, err)
	case err != nil:
		return r, "", fmt.Errorf("take a message in: %w", err)
	}
	if r, err = ticket.Wait(ctx); err != nil {
		return r, "", failed(codeStore, fmt.Errorf("take a message in: %w", err))
	}
	return r, sekretariat.Digest(hex.EncodeToString(sum.hash.Sum(nil))), nil
}

// counted digests what the receiver reads.
type counted struct {
	io.Reader
	hash hash.Hash
}

func (r *counted) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.hash.Write(p[:n])
	return n, err
}

// confirm tells the source, if the office wants that. same means that what is
// kept here is what lies there.
func (c *Channel) confirm(ctx context.Context, it item, same bool) error {
	if it.class != "" || it.label == folderSent {
		return nil
	}
	var err error
	switch {
	case c.o.Account.After == configs.AfterMove && it.label == folderInbox:
		err = c.move(ctx, it.id, c.o.Account.Done)
	case c.o.Account.After == configs.AfterDelete && !same:
		// Somebody's evidence would go with it: the provider shows other
		// octets under this id than those that we keep.
		err = failed(codeConfirm, errors.New("the message has changed since it was taken: it is not deleted"))
	case c.o.Account.After == configs.AfterDelete:
		if it.label != folderTrash {
			err = c.move(ctx, it.id, folderTrash)
		}
		if err == nil {
			err = c.remove(ctx, it.id)
		}
	}
	return err
}

// stumble notes trouble with one message and, after a while, puts it before a
// clerk. It returns an error when the trouble is not the message's own.
func (c *Channel) stumble(ctx context.Context, it item, err error) error {
	now := c.o.Clock()
	c.mu.Lock()
	t := c.items[it.key()]
	if t == nil {
		t = &trouble{listed: now}
		c.items[it.key()] = t
	}
	t.item, t.confirm = it, codeOf(err) == codeConfirm
	if errors.Is(err, errOctets) {
		t.wrong++
	}
	if codeOf(err) != codePending {
		t.tries++
	}
	t.next = now.Add(max(c.retryIn(t, err), afterOf(err)))
	told, note, tries := t.told, c.telling(t, err, now), t.tries
	streak := c.unlucky(err)
	c.mu.Unlock()
	c.o.Logger.Warn().Str("channel", c.Name()).Str("code", string(codeOf(err))).Int("tries", tries).Err(err).Msg("a message of e-Doręczenia was not taken yet")
	if streak {
		return errors.Unwrap(err)
	}
	if told || note == "" {
		return nil
	}
	return c.tell(ctx, it, t, note, err)
}

// maxStreak is how many messages may fail one after the other before it is
// taken for the provider's own trouble.
const maxStreak = 10

// unlucky counts failures that look like the provider's. Called with the lock.
func (c *Channel) unlucky(err error) bool {
	inner := errors.Unwrap(err)
	if codeOf(err) != codeMessage || lasting(err) || inner == nil || codeOf(inner) != codeConnect && codeOf(inner) != codePlatform {
		return false
	}
	if c.streak++; c.streak < maxStreak {
		return false
	}
	c.streak = 0
	return true
}

// retryIn is the pause before the next try.
func (c *Channel) retryIn(t *trouble, err error) time.Duration {
	switch {
	case errors.Is(err, ingest.ErrTooLarge):
		return c.tune.oversize
	case codeOf(err) == codePending && !t.told:
		return c.tune.pending
	case codeOf(err) == codePending:
		return c.tune.maxRetry
	case errors.Is(err, errOctets):
		return c.tune.firstRetry
	}
	d := c.tune.firstRetry
	for range t.tries - 1 {
		if d = 2 * d; d >= c.tune.maxRetry {
			return c.tune.maxRetry
		}
	}
	return d
}

// telling is the note to a clerk, "" while it is too early for one.
func (c *Channel) telling(t *trouble, err error, now time.Time) string {
	switch {
	case t.confirm || t.item.class != "":
		return ""
	case errors.Is(err, ingest.ErrTooLarge):
		return noteLarge
	case codeOf(err) == codePending:
		at, ok := edoreczenia.ParseTime(t.item.message.Metadata.Timestamp)
		if ok && now.Sub(at) >= c.tune.stub {
			return noteStub
		}
	case t.tries >= c.tune.patience:
		return noteStuck
	}
	return ""
}

// tell parks a note about a message. What it speaks of can still come in.
func (c *Channel) tell(ctx context.Context, it item, t *trouble, note string, why error) error {
	reason := sekretariat.ParkRefused
	if errors.Is(why, ingest.ErrTooLarge) {
		reason = sekretariat.ParkOversize
	}
	l := &letter{kind: edoreczenia.KindMessage, id: it.id, message: it.message}
	if _, err := c.o.Receiver.Park(ctx, c.delivery(l), reason, c.note(note, it)); err != nil {
		return failed(codeStore, fmt.Errorf("park a note about a message: %w", err))
	}
	c.mu.Lock()
	t.told = true
	c.mu.Unlock()
	return nil
}

// retry tries messages in trouble that the look did not bring up, and, after a
// complete look into all folders, forgets those that are there no more.
func (c *Channel) retry(ctx context.Context, began time.Time, all bool) error {
	var due []item
	var gone []*trouble
	c.mu.Lock()
	for key, t := range c.items {
		switch {
		case all && t.item.class == "" && t.listed.Before(began):
			gone = append(gone, t)
			delete(c.items, key)
		case !c.o.Clock().Before(t.next):
			due = append(due, t.item)
		}
	}
	c.mu.Unlock()
	for _, t := range gone {
		if t.told || t.confirm {
			continue
		}
		if err := c.tell(ctx, t.item, t, noteGone, nil); err != nil {
			return err
		}
	}
	return c.work(ctx, due)
}
