package register

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"
	"unicode/utf8"

	"sekretariat"
	"sekretariat/storage"
)

var (
	// ErrCardChanged: somebody else has written a newer revision of the card.
	ErrCardChanged = errors.New("the card was changed by somebody else meanwhile")
	// ErrBadCard: a field of the card is not what annex 2 allows.
	ErrBadCard = errors.New("card is not valid")
)

// maxCard bounds a card, octets of JSON.
const maxCard = 256 << 10

// ReadCard reads revision rev ≥ 1 of a letter's card. It returns
// storage.ErrNotFound when there is none.
func ReadCard(ctx context.Context, v *storage.Vault, centre sekretariat.CentreID, letter sekretariat.LetterID, rev int) (Card, error) {
	raw, err := v.ReadAll(ctx, centre, letter.Submission(), storage.CardKey(centre, letter, rev), maxCard)
	if err != nil {
		return Card{}, fmt.Errorf("read card revision %d: %w", rev, err)
	}
	var c Card
	if err := json.Unmarshal(raw, &c); err != nil {
		return c, fmt.Errorf("read card revision %d: %w", rev, err)
	}
	return c, nil
}

// LatestCard reads the newest revision that people wrote. It returns
// storage.ErrNotFound when nobody has: the card is MachineCard's then.
func LatestCard(ctx context.Context, v *storage.Vault, centre sekretariat.CentreID, letter sekretariat.LetterID) (Card, error) {
	has := func(rev int) (bool, error) {
		_, err := v.Objects().Head(ctx, storage.CardKey(centre, letter, rev))
		if errors.Is(err, storage.ErrNotFound) {
			return false, nil
		}
		return err == nil, err
	}
	first, err := has(1)
	if err != nil {
		return Card{}, fmt.Errorf("look for the card: %w", err)
	}
	if !first {
		return Card{}, fmt.Errorf("card of a letter: %w", storage.ErrNotFound)
	}
	rev, err := lastWhere(1, has)
	if err != nil {
		return Card{}, fmt.Errorf("look for the card: %w", err)
	}
	return ReadCard(ctx, v, centre, letter, rev)
}

// WriteCard stores c as the revision after base, which is the revision that
// the writer has seen (0: the machine's), and returns it as stored. It returns
// ErrCardChanged when base is not the newest one any more, ErrBadCard when a
// field is not valid.
func WriteCard(ctx context.Context, v *storage.Vault, centre sekretariat.CentreID, base int, c Card, by string, at time.Time) (Card, error) {
	c.Version, c.Revision, c.By, c.Written = CardVersion, base+1, by, cut(at)
	if err := c.Check(); err != nil {
		return c, err
	}
	raw, err := json.Marshal(c)
	if err != nil {
		return c, fmt.Errorf("write card: %w", err)
	}
	if len(raw) > maxCard {
		return c, fmt.Errorf("card has %d octets, at most %d: %w", len(raw), maxCard, ErrBadCard)
	}
	if base > 0 { // or a revision from nowhere would hide the ones before
		_, err := v.Objects().Head(ctx, storage.CardKey(centre, c.Letter, base))
		if errors.Is(err, storage.ErrNotFound) {
			return c, fmt.Errorf("write card over revision %d: %w", base, ErrCardChanged)
		}
		if err != nil {
			return c, fmt.Errorf("write card: %w", err)
		}
	}
	err = v.PutOnce(ctx, centre, c.Letter.Submission(), storage.CardKey(centre, c.Letter, c.Revision), storage.Bytes(raw))
	if errors.Is(err, storage.ErrExists) {
		return c, fmt.Errorf("write card over revision %d: %w", base, ErrCardChanged)
	}
	if err != nil {
		return c, fmt.Errorf("write card: %w", err)
	}
	return c, nil
}

// partial is a date of annex 2: a day, a month or a year.
var partial = regexp.MustCompile(`^\d{4}(-\d{2}(-\d{2})?)?$`)

// Check tells whether the values of the card are what annex 2 allows. Required
// fields may be missing, see Missing: a register must not wait for them.
// Returns ErrBadCard.
func (c Card) Check() error {
	bad := func(field string) error { return fmt.Errorf("field %s: %w", field, ErrBadCard) }
	if _, err := sekretariat.ParseLetterID(string(c.Letter)); err != nil {
		return fmt.Errorf("%w: %w", err, ErrBadCard)
	}
	for _, d := range []struct{ field, date string }{{"3", c.Dated}, {"4", c.Posted}, {"5", c.Arrived}} {
		if d.date != "" && !validDate(d.date) {
			return bad(d.field)
		}
	}
	switch {
	case len(c.Arrived) != len(time.DateOnly):
		return bad("5")
	case !c.Written.IsZero() && c.Arrived > sekretariat.Day(c.Written):
		return fmt.Errorf("the day of receipt lies in the future: %w", bad("5")) // rule P2
	case c.Registered.IsZero():
		return bad("6")
	case c.Identifier == "":
		return bad("8")
	case utf8.RuneCountInString(c.Title) > 4*maxTitle:
		return bad("9")
	case utf8.RuneCountInString(c.Foreign) > maxTitle:
		return bad("foreign number")
	case !slices.Contains([]Access{AccessPublic, AccessPartly, AccessClosed}, c.Access):
		return bad("10")
	case c.Attachments != nil && *c.Attachments < 0:
		return bad("11")
	case !slices.Contains(DCMITypes, c.Type):
		return bad("14")
	}
	return nil
}

func validDate(s string) bool {
	if !partial.MatchString(s) {
		return false
	}
	_, err := time.Parse(time.DateOnly[:len(s)], s)
	return err == nil
}
