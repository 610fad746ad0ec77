package edelivery

import (
	"context"
	"math/rand/v2"
	"time"

	"sekretariat/configs"
)

// pokeGap is the least time between two rounds, however often we are called:
// anybody who guesses the webhook's address could call it.
const pokeGap = 2 * time.Second

// comingSoon is how soon to look again while the provider is still moving
// messages into the mailbox.
const comingSoon = 10 * time.Second

// Run fulfils ingest.Channel: it looks for messages, waits, and looks again;
// after trouble it waits longer, up to 15 minutes, or as long as the provider
// asks.
func (c *Channel) Run(ctx context.Context) error {
	defer c.http.CloseIdleConnections()
	for failures := 0; ; {
		began := time.Now()
		soon, err := c.round(ctx)
		if ctx.Err() != nil {
			return nil
		}
		poke := c.poke
		if err != nil {
			failures++
			poke = nil // a call does not shorten the wait after trouble
			c.status.set(codeOf(err))
			c.o.Logger.Warn().Str("channel", c.Name()).Str("code", string(codeOf(err))).Int("failures", failures).Err(err).Msg("e-Doręczenia mailbox not read")
		} else {
			failures = 0
			c.status.set(codeOK)
		}
		if !c.pause(ctx, c.delay(failures, afterOf(err), soon), poke) {
			return nil
		}
		if gap := min(pokeGap, c.o.Account.Poll) - time.Since(began); gap > 0 && !c.pause(ctx, gap, nil) {
			return nil
		}
	}
}

// Poke makes the channel look now. It never blocks.
func (c *Channel) Poke() {
	select {
	case c.poke <- struct{}{}:
	default:
	}
}

// delay is how long to wait before the next round, with jitter, so that many
// mailboxes do not ask in step.
func (c *Channel) delay(failures int, asked time.Duration, soon bool) time.Duration {
	d := c.o.Account.Poll
	switch {
	case failures > 0:
		d = min(d, c.tune.firstBackOff)
		for range failures - 1 {
			if d = 2 * d; d >= c.tune.maxBackOff {
				d = c.tune.maxBackOff
				break
			}
		}
	case soon:
		d = min(d, comingSoon)
	}
	if failures == 0 {
		d = min(d, c.nextItem())
	}
	d = d - d/4 + rand.N(d/4+1)
	return max(d, asked)
}

// nextItem is how long until a message in trouble is to be tried again.
func (c *Channel) nextItem() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, least := c.o.Clock(), time.Duration(1<<62)
	for _, t := range c.items {
		least = min(least, max(t.next.Sub(now), c.tune.firstRetry/10))
	}
	return least
}

// wait waits, until poke if that comes first, and tells whether ctx is alive.
func wait(ctx context.Context, d time.Duration, poke <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-poke:
		return true
	case <-ctx.Done():
		return false
	}
}

// round looks at everything that is due. soon means that more is coming.
func (c *Channel) round(ctx context.Context) (soon bool, err error) {
	if err := c.load(ctx); err != nil {
		return false, err
	}
	began := c.o.Clock()
	all := c.fullDue(began)
	folders, err := c.due(ctx, began, all)
	if err != nil {
		return false, err
	}
	c.status.change(func() { c.status.coming = 0 })
	from := c.cursor.Seen.Add(-c.o.Account.Window)
	if all {
		from = time.Time{}
	}
	complete := true
	for _, label := range folders {
		more, whole, err := c.scan(ctx, label, from)
		if err != nil {
			return false, err
		}
		soon, complete = soon || more, complete && whole
	}
	if len(folders) > 1 && complete {
		c.last.wide = began
	}
	if err := c.retry(ctx, began, all && complete); err != nil {
		return false, err
	}
	if err := c.lookSent(ctx, began); err != nil {
		return false, err
	}
	c.lookMailbox(ctx, began)
	if !complete {
		return true, nil
	}
	if err := c.advance(ctx, began, all); err != nil || !all {
		return soon, err
	}
	// Last, and without a second try: what is late may come a night later, and
	// must not hold up the mailbox of a provider that counts calls.
	if err := c.lookLate(ctx, began, folders); err != nil && ctx.Err() == nil {
		c.o.Logger.Warn().Str("channel", c.Name()).Err(err).Msg("evidence that was made later could not be asked for; it is asked for again the next night")
	}
	return soon, nil
}

// due lists the folders to look into: INBOX always; now and then, and in a full
// look, those that the mailbox's own rules may move messages to, and the TRASH,
// for somebody may have thrown away what we had not seen.
func (c *Channel) due(ctx context.Context, now time.Time, all bool) ([]string, error) {
	out := []string{folderInbox}
	if !all && now.Sub(c.last.wide) < c.tune.wide {
		return out, nil
	}
	more, err := c.folders(ctx)
	if err != nil && codeOf(err) != codeRefused {
		return nil, err
	}
	for _, f := range more {
		if c.o.Account.After != configs.AfterMove || f != c.o.Account.Done {
			out = append(out, f)
		}
	}
	return append(out, folderTrash), nil
}

// lookMailbox asks how full the mailbox is and renews the webhook. Neither
// keeps a letter from coming, so failures are told and nothing more.
func (c *Channel) lookMailbox(ctx context.Context, now time.Time) {
	if now.Sub(c.last.mailbox) >= c.tune.mailbox {
		c.last.mailbox = now
		total, used, err := c.settings(ctx)
		share := -1.0
		if err == nil && total > 0 {
			share = used / total
		}
		c.status.change(func() { c.status.capacity = share })
	}
	if c.o.Account.Callback == "" || now.Sub(c.last.hook) < 24*time.Hour {
		return
	}
	address, err := c.callbackURL()
	if err == nil {
		err = c.subscribe(ctx, address)
	}
	c.status.change(func() { c.status.hook = err != nil })
	if err == nil {
		c.last.hook = now
	} else if ctx.Err() == nil {
		c.last.hook = now.Add(c.tune.mailbox - 24*time.Hour)
		c.o.Logger.Warn().Str("channel", c.Name()).Err(err).Msg("the webhook was not accepted; the mailbox is polled")
	}
}
