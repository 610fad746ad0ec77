package edelivery

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/extract/edoreczenia"
)

// maxNew bounds what one look collects before it is worked on, so that a full
// mailbox at the first start costs no memory; the rest comes in the next round.
const maxNew = 5000

// item is one message as a list shows it.
type item struct {
	id      string
	label   string // folder it was found in
	class   string // of a proof about a sent message, "" for a message
	piece   string // id of the one piece of evidence that came late, else ""
	message edoreczenia.Message
}

// key names an item within this process.
func (it item) key() string {
	if it.class == "" {
		return it.id
	}
	return it.id + "\x00" + it.class + "\x00" + it.piece
}

// scan looks through a folder, newest first, until everything on a page is
// older than from, and takes what is new. more means that the provider is still
// moving messages into the mailbox, whole that nothing was left for later.
func (c *Channel) scan(ctx context.Context, label string, from time.Time) (more, whole bool, err error) {
	found := finder{c: c, label: label, from: from, seen: map[string]bool{}, ordered: true}
	for offset, pages := 0, 0; pages < maxPages; pages++ {
		p, err := c.list(ctx, label, offset, time.Time{})
		if err != nil {
			return false, false, err
		}
		c.status.change(func() { c.status.coming, c.status.warned = max(c.status.coming, p.ElectronicCount), p.Warning != "" })
		more = more || p.ElectronicCount > 0
		if err := found.page(ctx, p); err != nil {
			return false, false, err
		}
		offset += p.distinct()
		if len(p.Messages) == 0 || found.over || len(found.items) >= maxNew || p.Total != nil && offset >= *p.Total {
			break
		}
	}
	return more, len(found.items) < maxNew, c.work(ctx, found.items)
}

// finder collects what is new in a folder.
type finder struct {
	c       *Channel
	label   string
	from    time.Time
	seen    map[string]bool
	items   []item
	ordered bool      // so far, newer messages came before older ones
	last    time.Time // of the message before
	over    bool      // the rest is older than from
}

// page looks at one page. A provider that does not sort is noticed, and then
// the folder is read to its end.
func (f *finder) page(ctx context.Context, p page) error {
	old := len(p.Messages) > 0
	for _, m := range p.Messages {
		at, dated := edoreczenia.ParseTime(m.Metadata.Timestamp)
		if dated && !f.last.IsZero() && at.After(f.last) {
			f.ordered = false
		}
		if dated {
			f.last = at
		}
		old = old && dated && at.Before(f.from)
		it := item{id: m.Metadata.MessageID, label: f.label, message: m}
		if f.seen[it.id] || !f.c.received(m) {
			continue
		}
		f.seen[it.id] = true
		want, err := f.c.wanted(ctx, it)
		if err != nil {
			return err
		}
		if want {
			f.items = append(f.items, it)
		}
	}
	f.over = old && f.ordered
	return nil
}

// received tells whether a message was sent to the office and is to be taken: not what the
// office sent itself and filed in a folder, and not what came before the day
// from which on messages are taken.
func (c *Channel) received(m edoreczenia.Message) bool {
	own := c.o.Account.Address
	toUs := slices.ContainsFunc(m.Metadata.To, func(a edoreczenia.AddressData) bool { return a.ADE == own })
	if m.Control.Type == typeMass || m.Metadata.From.ADE == own && !toUs {
		return false
	}
	return !c.before(m.Metadata.Timestamp)
}

// before tells whether a time lies before the day from which on messages are
// taken.
func (c *Channel) before(at string) bool {
	since := c.o.Account.Since
	t, ok := edoreczenia.ParseTime(at)
	return since != "" && ok && sekretariat.Day(t) < since
}

// wanted tells whether there is anything to do about a message in a folder.
func (c *Channel) wanted(ctx context.Context, it item) (bool, error) {
	if c.waits(it) {
		return false, nil
	}
	after := c.o.Account.After
	if it.class == "" && (after == configs.AfterDelete || after == configs.AfterMove && it.label == folderInbox) {
		return true, nil // if it is ours already, the source is to be told
	}
	known, err := c.known(ctx, it)
	return !known, err
}

// waits notes that a message in trouble is still there, and tells whether its
// time has not come.
func (c *Channel) waits(it item) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.items[it.key()]
	if t == nil {
		return false
	}
	t.listed, t.item = c.o.Clock(), it
	return c.o.Clock().Before(t.next)
}

// maxTaken bounds the memory of what was taken; the ledger remembers for ever.
const maxTaken = 200_000

// known tells whether a message is ours already.
func (c *Channel) known(ctx context.Context, it item) (bool, error) {
	c.mu.Lock()
	yes := c.taken[it.key()]
	c.mu.Unlock()
	if yes || c.o.Known == nil {
		return yes, nil
	}
	l := letter{kind: edoreczenia.KindMessage, id: it.id, class: it.class, piece: it.piece}
	if it.class != "" {
		l.kind = edoreczenia.KindProof
	}
	yes, err := c.o.Known(ctx, c.submission(&l))
	if err != nil {
		return false, failed(codeStore, err)
	}
	if yes {
		c.remember(it)
	}
	return yes, nil
}

func (c *Channel) remember(it item) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.taken) >= maxTaken {
		clear(c.taken)
	}
	c.taken[it.key()] = true
}

// work takes items, several at a time.
func (c *Channel) work(ctx context.Context, items []item) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(c.tune.parallel)
	for _, it := range items {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error { return c.one(ctx, it) })
	}
	return g.Wait()
}
