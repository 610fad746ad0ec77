package email

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"sekretariat"
	"sekretariat/ledger"
)

// maxOpen bounds the cursor: with more ranges than this, what is open is not
// listed but read again from the first on.
const maxOpen = 2000

// maxCursorOpen bounds what a cursor that was damaged may ask to hold in memory.
const maxCursorOpen = 1_000_000

// remembered is how many of the newest messages are kept to recognise a server
// that gave their UIDs to others.
const remembered = 32

// cursor is the kept state of one folder. It saves work and decides nothing.
type cursor struct {
	Of       string              `json:"of"` // server, user and cut-off; with others it means nothing
	Version  int                 `json:"version"`
	Validity uint32              `json:"validity"`           // UIDVALIDITY
	High     imap.UID            `json:"high"`               // up to here everything was looked at …
	Open     string              `json:"open,omitempty"`     // … and is settled, but for these ("3:5,9")
	Floor    imap.UID            `json:"floor,omitempty"`    // up to here everything is older than "since"
	Below    uint32              `json:"below,omitempty"`    // messages up to High, where nothing else tells
	Markless bool                `json:"markless,omitempty"` // the server keeps no keyword
	Parked   map[imap.UID]parked `json:"parked,omitempty"`
	Recent   []recent            `json:"recent,omitempty"`
}

// parked is a message that was put before a clerk and stays in the mailbox.
type parked struct {
	Reason sekretariat.ParkReason `json:"reason"`
	At     time.Time              `json:"at"`
}

// recent is what one of the newest messages looked like.
type recent struct {
	UID     imap.UID `json:"uid"`
	Arrived int64    `json:"arrived"` // Unix seconds, 0 if unknown
	Size    int64    `json:"size"`
}

// differs tells whether the server has another message under that UID. The
// size is asked only when there is no date: some servers estimate it.
func (r recent) differs(f facts) bool {
	if r.Arrived != 0 && !f.arrived.IsZero() {
		return r.Arrived != f.arrived.Unix()
	}
	return r.Size != f.size
}

// load reads the cursor. One that cannot be read as such counts as none.
func (f *folder) load(ctx context.Context) error {
	raw, _, err := f.c.opt.Cursors.Cursor(ctx, f.c.cursorName(f.name))
	if err != nil && !errors.Is(err, ledger.ErrNotFound) {
		return wrap(codeStore, "cursor of the folder", err)
	}
	f.loaded = true
	var k cursor
	if len(raw) == 0 {
		return nil
	}
	open, err := decodeCursor(raw, &k)
	if err != nil {
		f.c.log.Warn().Err(err).Msg("cursor is unreadable: the folder is looked through by content")
		return nil
	}
	if k.Of != f.c.cursorOf() {
		f.c.log.Info().Msg("server, user or cut-off day changed: the folder is looked through by content")
		return nil
	}
	f.known = true
	f.validity, f.high, f.floor, f.below, f.markless, f.recent = k.Validity, k.High, k.Floor, k.Below, k.Markless, k.Recent
	for _, u := range open {
		f.open[u] = &doubt{}
	}
	maps.Copy(f.parked, k.Parked)
	return nil
}

// save keeps what is settled.
func (f *folder) save(ctx context.Context) error {
	f.saved = time.Now()
	k := cursor{Of: f.c.cursorOf(), Version: 1, Validity: f.validity, High: f.high, Floor: f.floor, Below: f.below, Markless: f.markless, Parked: f.parked, Recent: f.recent}
	open := imap.UIDSetNum(slices.Sorted(maps.Keys(f.open))...)
	if len(open) > maxOpen {
		k.High, open, k.Recent = min(open[0].Start-1, f.high), nil, nil
	}
	k.Open = open.String()
	raw, err := json.Marshal(k)
	if err != nil {
		return fmt.Errorf("cursor of the folder: %w", err)
	}
	if string(raw) == f.kept {
		return nil
	}
	if err := f.c.opt.Cursors.SetCursor(ctx, f.c.cursorName(f.name), raw); err != nil {
		return wrap(codeStore, "cursor of the folder", err)
	}
	f.kept = string(raw)
	return nil
}

// cursorOf stands for what the cursor depends on, apart from its name.
func (c *Channel) cursorOf() string {
	m := c.opt.Mailbox
	return string(sekretariat.DigestOf([]byte(m.Server + "\n" + m.User + "\n" + m.Since)))[:16]
}

// decodeCursor reads a cursor and lists what was open.
func decodeCursor(raw []byte, k *cursor) ([]imap.UID, error) {
	if err := json.Unmarshal(raw, k); err != nil {
		return nil, err
	}
	if k.Version != 1 {
		return nil, fmt.Errorf("version %d is unknown", k.Version)
	}
	if k.Open == "" {
		return nil, nil
	}
	var open []imap.UID
	for part := range strings.SplitSeq(k.Open, ",") {
		first, last, isRange := strings.Cut(part, ":")
		if !isRange {
			last = first
		}
		a, err1 := strconv.ParseUint(first, 10, 32)
		b, err2 := strconv.ParseUint(last, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		if a == 0 || b < a || b > uint64(k.High) || b-a >= uint64(maxCursorOpen-len(open)) {
			return nil, fmt.Errorf("open messages %s", part)
		}
		for u := a; u <= b; u++ {
			open = append(open, imap.UID(u))
		}
	}
	return open, nil
}
