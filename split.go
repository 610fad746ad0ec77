package sekretariat

import (
	"fmt"
	"slices"
	"strings"
)

// SplitData adds letters that were split off From; the registrar numbers them
// in order (rule P3).
type SplitData struct {
	From    LetterID       `json:"from"`
	Letters []SortedLetter `json:"letters"`
	By      string         `json:"by"`

	// Rest is what From covers from now on, "" = what it did; Reading is what
	// was read of that, and takes the place of the reading before. Rereads are
	// the further readings of From until then.
	Rest    string     `json:"rest,omitempty"`
	Reading *ObjectRef `json:"reading,omitempty"`
	Rereads int        `json:"rereads,omitempty"`
	Reason  *ObjectRef `json:"reason,omitempty"` // in words, sealed
}

// CancelledData cancels a register entry; the number stays taken.
type CancelledData struct {
	Letter LetterID `json:"letter"`
	By     string   `json:"by"`
	Reason string   `json:"reason"` // a code

	// Into is the letter of the same submission that takes over what the
	// cancelled one covered (rule P3); Range and Reading are then those of Into.
	Into    LetterID   `json:"into,omitempty"`
	Range   string     `json:"range,omitempty"`
	Reading *ObjectRef `json:"reading,omitempty"`
	Rereads int        `json:"rereads,omitempty"` // of Into until then
	Note    *ObjectRef `json:"note,omitempty"`    // the reason in words, sealed
}

// CancelledJoined is the Reason of an entry whose letter was joined with
// another.
const CancelledJoined = "joined"

// RangeText stands, in a Range of parts, for the message itself.
const RangeText = "text"

const rangeParts = "parts:"

// PartsRange is the Range of a letter that covers some parts of its submission,
// by their paths, and with text the message itself: "parts:text,2,3.1".
func PartsRange(paths []string, text bool) string {
	list := slices.Clone(paths)
	slices.Sort(list)
	if list = slices.Compact(list); text {
		list = append([]string{RangeText}, list...)
	}
	return rangeParts + strings.Join(list, ",")
}

// ParsePartsRange takes such a Range apart; ok is false for any other.
func ParsePartsRange(r string) (paths []string, text, ok bool) {
	list, ok := strings.CutPrefix(r, rangeParts)
	if !ok {
		return nil, false, false
	}
	for p := range strings.SplitSeq(list, ",") {
		switch p {
		case "":
		case RangeText:
			text = true
		default:
			paths = append(paths, p)
		}
	}
	return paths, text, true
}

func (s *State) split(e Event) error {
	d, err := DataOf[SplitData](e)
	if err != nil {
		return err
	}
	from, ok := s.Letters[d.From.Part()]
	if !ok {
		return fmt.Errorf("%s: no letter %s: %w", e.Type, d.From, ErrOutOfOrder)
	}
	fresh := false
	for _, sl := range d.Letters {
		if _, there := s.Letters[sl.Part]; !there {
			s.add(from.Centre, from.Arrived, sl)
			s.Letters[sl.Part].Fetched = from.Fetched // never changed once it stands in two letters, see fetched
			fresh = true
		}
	}
	if fresh {
		from.covers(d.Rest, d.Reading)
	}
	return nil
}

// cancelled folds the end of an entry, and what its letter was joined with.
func (s *State) cancelled(e Event) error {
	d, err := DataOf[CancelledData](e)
	if err != nil {
		return err
	}
	l, ok := s.Letters[d.Letter.Part()]
	if !ok {
		return fmt.Errorf("%s: no letter %s: %w", e.Type, d.Letter, ErrOutOfOrder)
	}
	if l.Cancelled {
		return nil
	}
	l.Cancelled = true
	if into := s.Letters[d.Into.Part()]; d.Into != "" && into != nil {
		l.Of = d.Into
		into.covers(d.Range, d.Reading)
	}
	return nil
}

// covers says what of its submission the letter is from now on.
func (l *Letter) covers(span string, reading *ObjectRef) {
	if reading == nil {
		return
	}
	l.Range, l.Reading, l.Advice = span, *reading, nil // the advice spoke of what is no longer in it
}
