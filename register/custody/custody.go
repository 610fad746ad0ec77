// Package custody keeps the chain of hands of paper from the drop boxes: box →
// emptying (who, when, how many envelopes) → files that were scanned → letters.
// An emptying is an event on AUDIT and a sealed object with the names of people;
// the files of a box belong to the last emptying before they were scanned. What
// does not fit the number of envelopes is an open question until somebody has
// counted again.
package custody

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/ledger"
	"sekretariat/storage"
)

// Book is the custody of one centre. What it remembers is only a copy of the
// ledger, so every process of an installation knows the same.
type Book struct {
	Centre *configs.Centre
	Log    ledger.Log
	Vault  *storage.Vault
	Clock  sekretariat.Clock

	mu    sync.Mutex
	known map[string]history // by box
}

// history is what the ledger tells of a box up to a sequence.
type history struct {
	all []Emptying
	seq uint64
}

// ErrInvalid: a field is wrong; the message says which, in Polish, for the form.
var ErrInvalid = errors.New("nie zapisano")

// Emptying is one emptying of a box.
type Emptying struct {
	sekretariat.EmptiedData
	Counted  int       // envelopes by the last count
	Recorded time.Time // when it was written down
}

// Persons are the people of an emptying, sealed.
type Persons struct {
	First  string `json:"first"`
	Second string `json:"second,omitempty"`
	Remark string `json:"remark,omitempty"`
	// Salt keeps the digest in the event from telling who it was to somebody who
	// tries the names of all that work there (invariant I5).
	Salt string `json:"salt"`
}

// maxEnvelopes bounds a count; a larger one is a typing error. maxText is for
// names and remarks, octets.
const (
	maxEnvelopes = 5000
	maxText      = 500
)

func subject(box string) string { return "box." + box }

// Record writes down that a box was emptied. at lies neither in the future nor
// before the emptying before it. Returns ErrInvalid.
func (b *Book) Record(ctx context.Context, box string, at time.Time, envelopes int, who Persons, by string) (Emptying, error) {
	c, err := b.box(box)
	if err != nil {
		return Emptying{}, err
	}
	who.First, who.Second, who.Remark = strings.TrimSpace(who.First), strings.TrimSpace(who.Second), strings.TrimSpace(who.Remark)
	who.Salt = rand.Text()
	now := b.Clock()
	switch {
	case at.After(now):
		return Emptying{}, fmt.Errorf("%w: opróżnienie nie może być w przyszłości", ErrInvalid)
	case envelopes < 0 || envelopes > maxEnvelopes:
		return Emptying{}, fmt.Errorf("%w: liczba kopert musi być od 0 do %d", ErrInvalid, maxEnvelopes)
	case who.First == "":
		return Emptying{}, fmt.Errorf("%w: wpisz, kto opróżnił skrzynkę", ErrInvalid)
	case c.TwoPersons && (who.Second == "" || strings.EqualFold(who.First, who.Second)):
		return Emptying{}, fmt.Errorf("%w: tę skrzynkę opróżniają dwie osoby, wpisz obie", ErrInvalid)
	case max(len(who.First), len(who.Second), len(who.Remark)) > maxText:
		return Emptying{}, fmt.Errorf("%w: tekst jest za długi", ErrInvalid)
	}
	return b.record(ctx, sekretariat.EmptiedData{Box: box, At: at.UTC().Truncate(time.Millisecond), Envelopes: envelopes, By: by}, who)
}

func (b *Book) box(id string) (configs.Box, error) {
	i := slices.IndexFunc(b.Centre.Boxes, func(x configs.Box) bool { return x.ID == id })
	if i < 0 {
		return configs.Box{}, fmt.Errorf("%w: nie ma skrzynki „%s”", ErrInvalid, id)
	}
	return b.Centre.Boxes[i], nil
}

// record appends behind the last emptying that it knows, again if somebody was
// quicker.
func (b *Book) record(ctx context.Context, d sekretariat.EmptiedData, who Persons) (Emptying, error) {
	for {
		all, seq, err := b.of(ctx, d.Box)
		if err != nil {
			return Emptying{}, err
		}
		d.Ordinal, d.Previous = len(all)+1, ""
		if len(all) > 0 {
			last := all[len(all)-1]
			if !d.At.After(last.At) {
				return Emptying{}, fmt.Errorf("%w: skrzynka była już opróżniona później (%s)", ErrInvalid, last.At.In(sekretariat.Warsaw()).Format("02.01.2006, 15:04"))
			}
			d.Previous = last.Emptying
		}
		d.Emptying = fmt.Sprintf("%s-%d", d.Box, d.Ordinal)
		if tail, err := b.Log.Tail(ctx, ledger.Intake); err == nil {
			d.Intake = tail.Seq
		} else if !errors.Is(err, ledger.ErrNotFound) {
			return Emptying{}, fmt.Errorf("record an emptying: %w", err)
		}
		if d.Persons, err = b.seal(ctx, d.Emptying, who); err != nil {
			return Emptying{}, err
		}
		at, err := b.append(ctx, sekretariat.EventEmptied, d.Box, seq, len(all), d)
		if errors.Is(err, ledger.ErrConflict) {
			continue
		}
		if err != nil {
			return Emptying{}, fmt.Errorf("record an emptying: %w", err)
		}
		return Emptying{EmptiedData: d, Counted: d.Envelopes, Recorded: at}, nil
	}
}

// append writes an event of a box behind sequence seq; n tells its id apart.
func (b *Book) append(ctx context.Context, t sekretariat.EventType, box string, seq uint64, n int, data any) (time.Time, error) {
	e, err := sekretariat.NewEvent(t, b.Centre.ID, "custody", subject(box), n, b.Clock(), data)
	if err != nil {
		return time.Time{}, err
	}
	_, err = b.Log.Append(ctx, ledger.Audit, ledger.Record{Subject: subject(box), LastSeq: seq, Event: e})
	return e.Time, err
}

// holder is whose data key seals the words about an emptying.
func (b *Book) holder(emptying string) sekretariat.SubmissionID {
	return sekretariat.NewSubmissionID(b.Centre.ID, "emptying", emptying)
}

func (b *Book) seal(ctx context.Context, emptying string, v any) (sekretariat.ObjectRef, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return sekretariat.ObjectRef{}, fmt.Errorf("seal the names of an emptying: %w", err)
	}
	// The digest in the name keeps two people who record at once apart.
	sum := sekretariat.DigestOf(raw)
	key := storage.ConfigKey(b.Centre.ID, fmt.Sprintf("custody/%s.%s.json", emptying, sum[:16]))
	if err := b.Vault.Put(ctx, b.Centre.ID, b.holder(emptying), key, bytes.NewReader(raw)); err != nil {
		return sekretariat.ObjectRef{}, fmt.Errorf("seal the names of an emptying: %w", err)
	}
	return sekretariat.ObjectRef{Key: key, SHA256: sum, Size: int64(len(raw)), MediaType: "application/json"}, nil
}

// Names opens the names of an emptying.
func (b *Book) Names(ctx context.Context, e Emptying) (Persons, error) {
	var p Persons
	raw, err := b.Vault.ReadAll(ctx, b.Centre.ID, b.holder(e.Emptying), e.Persons.Key, 1<<16)
	if err != nil {
		return p, fmt.Errorf("names of emptying %s: %w", e.Emptying, err)
	}
	if err := json.Unmarshal(raw, &p); err != nil {
		return p, fmt.Errorf("names of emptying %s: %w", e.Emptying, err)
	}
	return p, nil
}

// Of returns the emptyings of a box, oldest first.
func (b *Book) Of(ctx context.Context, box string) ([]Emptying, error) {
	all, _, err := b.of(ctx, box)
	return all, err
}

func (b *Book) of(ctx context.Context, box string) ([]Emptying, uint64, error) {
	last, err := b.Log.Last(ctx, ledger.Audit, subject(box))
	if errors.Is(err, ledger.ErrNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("emptyings of box %s: %w", box, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if h := b.known[box]; h.seq == last.Seq {
		return slices.Clone(h.all), h.seq, nil
	}
	all, seq, err := b.read(ctx, box)
	if err != nil {
		return nil, 0, err
	}
	if b.known == nil {
		b.known = map[string]history{}
	}
	b.known[box] = history{slices.Clone(all), seq}
	return all, seq, nil
}

func (b *Book) read(ctx context.Context, box string) ([]Emptying, uint64, error) {
	events, err := b.Log.Subject(ctx, ledger.Audit, subject(box))
	if err != nil {
		return nil, 0, fmt.Errorf("emptyings of box %s: %w", box, err)
	}
	var all []Emptying
	var seq uint64
	for _, s := range events {
		seq = s.Seq
		switch s.Event.Type {
		case sekretariat.EventEmptied:
			d, err := sekretariat.DataOf[sekretariat.EmptiedData](s.Event)
			if err != nil {
				return nil, 0, err
			}
			all = append(all, Emptying{EmptiedData: d, Counted: d.Envelopes, Recorded: s.Event.Time})
		case sekretariat.EventCounted:
			d, err := sekretariat.DataOf[sekretariat.CountedData](s.Event)
			if err != nil {
				return nil, 0, err
			}
			for i := range all {
				if all[i].Emptying == d.Emptying {
					all[i].Counted = d.Envelopes
				}
			}
		}
	}
	return all, seq, nil
}

// Count corrects the number of envelopes of an emptying, with a reason in
// words, which is kept sealed. Returns ErrInvalid.
func (b *Book) Count(ctx context.Context, box, emptying string, envelopes int, reason, by string) error {
	if reason = strings.TrimSpace(reason); reason == "" || len(reason) > maxText {
		return fmt.Errorf("%w: wpisz powód, najwyżej %d znaków", ErrInvalid, maxText)
	}
	if envelopes < 0 || envelopes > maxEnvelopes {
		return fmt.Errorf("%w: liczba kopert musi być od 0 do %d", ErrInvalid, maxEnvelopes)
	}
	ref, err := b.seal(ctx, emptying, map[string]string{"reason": reason, "salt": rand.Text()})
	if err != nil {
		return err
	}
	for {
		all, seq, err := b.of(ctx, box)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(all, func(e Emptying) bool { return e.Emptying == emptying }) {
			return fmt.Errorf("%w: nie ma opróżnienia „%s”", ErrInvalid, emptying)
		}
		_, err = b.append(ctx, sekretariat.EventCounted, box, seq, int(seq), sekretariat.CountedData{
			Emptying: emptying, Envelopes: envelopes, By: by, Reason: ref,
		})
		if !errors.Is(err, ledger.ErrConflict) {
			return err
		}
	}
}

// Fresh is how long after an emptying a scan is taken to come from it: over a
// weekend and a holiday. Whoever forgets to write an emptying down must not give
// today's letters the day of last week's.
const Fresh = 4 * 24 * time.Hour

// Current is the emptying that a scan of that moment belongs to; ok is false
// when the box was not emptied lately before it.
func (b *Book) Current(ctx context.Context, box string, scanned time.Time) (e Emptying, ok bool, err error) {
	all, err := b.Of(ctx, box)
	for _, x := range all {
		if !x.At.After(scanned) {
			e, ok = x, scanned.Sub(x.At) <= Fresh
		}
	}
	return e, ok, err
}
