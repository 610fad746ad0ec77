package sekretariat

import (
	"slices"
	"time"
)

// The events of a virus alarm that a person judges to be false.
const (
	EventUnlocked EventType = "unlocked.v1" // LETTER, clerk: this part may be fetched, or a second person agrees
	EventLocked   EventType = "locked.v1"   // LETTER, clerk: taken back, the part is locked again
)

// UnlockedData releases one infected part for what was found in it, and for
// nothing else that a later scan may find.
type UnlockedData struct {
	Letter LetterID   `json:"letter"`
	Path   string     `json:"path"` // "" is the original as a whole
	Code   string     `json:"code"` // what the scanner had found
	By     string     `json:"by"`
	Reason *ObjectRef `json:"reason"`
	// Two: the centre wants a second person to agree, by the same event.
	Two bool `json:"two,omitempty"`
}

// LockedData takes that back.
type LockedData struct {
	Letter LetterID   `json:"letter"`
	Path   string     `json:"path"`
	By     string     `json:"by"`
	Reason *ObjectRef `json:"reason,omitempty"`
}

// Unlock is the release of one infected part.
type Unlock struct {
	Code   string    `json:"code"`
	By     string    `json:"by"`
	At     time.Time `json:"at"`
	Second string    `json:"second,omitempty"` // who agreed
	Open   bool      `json:"open"`             // in effect: nobody else need agree
}

// unlocked folds a release. The same person again is no second one.
func (l *Letter) unlocked(d UnlockedData, at time.Time) {
	before, there := l.Unlocked[d.Path]
	if there && before.Code == d.Code {
		if !before.Open && before.By != d.By {
			before.Second, before.Open = d.By, true
			l.Unlocked[d.Path] = before
		}
		return
	}
	if l.Unlocked == nil {
		l.Unlocked = map[string]Unlock{}
	}
	l.Unlocked[d.Path] = Unlock{Code: d.Code, By: d.By, At: at, Open: !d.Two}
}

// Verdict is what the virus scanner said of the letter, less what people have
// released: all that decides whether a part is locked. nil = not scanned yet.
// The original is open when every part is for which it was locked.
func (l *Letter) Verdict() *Scan {
	if l.Scan == nil || len(l.Unlocked) == 0 {
		return l.Scan
	}
	v := *l.Scan
	v.Infected = slices.DeleteFunc(slices.Clone(v.Infected), func(p ScannedPart) bool {
		u := l.Unlocked[p.Path]
		return u.Open && u.Code == p.Code
	})
	if len(v.Infected) == 1 && v.Infected[0].Path == "" && len(l.Scan.Infected) > 1 {
		v.Infected = nil
	}
	return &v
}
