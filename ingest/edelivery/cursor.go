package edelivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"sekretariat"
	"sekretariat/ledger"
)

// cursor is how far the mailbox was looked through. It saves work and decides
// nothing.
type cursor struct {
	Version int       `json:"version"`
	Of      string    `json:"of"`   // the mailbox it speaks of
	Seen    time.Time `json:"seen"` // begin of the last complete look
	Full    time.Time `json:"full"` // begin of the last complete look into all folders
}

func (c *Channel) cursorName() string { return "edelivery/" + c.Name() }

// load reads the cursor. One that cannot be read as such counts as none.
func (c *Channel) load(ctx context.Context) error {
	if c.loaded {
		return nil
	}
	raw, _, err := c.o.Cursors.Cursor(ctx, c.cursorName())
	if err != nil && !errors.Is(err, ledger.ErrNotFound) {
		return failed(codeStore, fmt.Errorf("cursor of the mailbox: %w", err))
	}
	var k cursor
	if json.Unmarshal(raw, &k) == nil && k.Version == 1 && k.Of == c.o.Account.Address && !k.Seen.After(c.o.Clock()) {
		c.cursor = k
	}
	c.loaded = true
	return nil
}

// advance notes a complete look.
func (c *Channel) advance(ctx context.Context, began time.Time, all bool) error {
	c.cursor.Version, c.cursor.Of, c.cursor.Seen = 1, c.o.Account.Address, began
	if all {
		c.cursor.Full = began
	}
	if !all && began.Sub(c.saved) < c.tune.save {
		return nil
	}
	raw, err := json.Marshal(c.cursor)
	if err != nil {
		return fmt.Errorf("cursor of the mailbox: %w", err)
	}
	if err := c.o.Cursors.SetCursor(ctx, c.cursorName(), raw); err != nil {
		return failed(codeStore, fmt.Errorf("cursor of the mailbox: %w", err))
	}
	c.saved = began
	return nil
}

// fullDue tells whether all folders are to be looked through in full: at the
// first start, and once a night.
func (c *Channel) fullDue(now time.Time) bool {
	last := c.cursor.Full
	if last.IsZero() || c.cursor.Seen.IsZero() {
		return true
	}
	at, err := time.Parse("15:04", c.o.Account.Full)
	if err != nil {
		at = time.Date(0, 1, 1, 2, 30, 0, 0, time.UTC)
	}
	local := last.In(sekretariat.Warsaw())
	next := time.Date(local.Year(), local.Month(), local.Day(), at.Hour(), at.Minute(), 0, 0, sekretariat.Warsaw())
	if !next.After(last) {
		next = next.AddDate(0, 0, 1)
	}
	return !now.Before(next)
}
