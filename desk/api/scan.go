package api

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"sekretariat"
	"sekretariat/pipeline"
)

// Part is the JSON of a part of a letter.
type Part struct {
	sekretariat.Part
	Scan   sekretariat.ScanState `json:"scan"`             // whether it may be fetched
	Notice string                `json:"notice,omitempty"` // why not, in Polish
	// Unlocked: a person has called a virus alarm false; not yet in effect
	// while it waits for a second one.
	Unlocked *sekretariat.Unlock `json:"unlocked,omitempty"`
	Virus    string              `json:"virus,omitempty"` // what the scanner had found
}

// OriginalOf is the original of a letter as a part of its own, for a virus
// alarm that none of its files explains; nil if there is none.
func OriginalOf(p *pipeline.Pipeline, l *sekretariat.Letter, parts []Part) *Part {
	if l.Scan.Virus("") == "" || slices.ContainsFunc(parts, func(q Part) bool { return q.Attachment && q.Virus != "" }) {
		return nil
	}
	v := Part{Scan: p.ScanState(l, "")}
	v.released(l)
	return &v
}

// released notes what people said of a virus alarm.
func (v *Part) released(l *sekretariat.Letter) {
	if v.Virus = l.Scan.Virus(v.Path); v.Virus == "" && v.Scan == sekretariat.ScanInfected {
		v.Virus = "?"
	}
	u, there := l.Unlocked[v.Path]
	if !there {
		return
	}
	v.Unlocked = &u
	switch {
	case u.Open && v.Scan.Open():
		v.Notice = "Alarm antywirusowy uznano w urzędzie za fałszywy; plik odblokowano."
	case !u.Open:
		v.Notice += " Jedna osoba uznała alarm za fałszywy; czeka na drugą."
	}
}

// Scan is the JSON of what the virus scanner said of a letter.
type Scan struct {
	State      sekretariat.ScanState `json:"state"`    // of the worst part
	Original   sekretariat.ScanState `json:"original"` // of the original as a whole
	Notice     string                `json:"notice"`   // for the clerk, in Polish
	At         *time.Time            `json:"at,omitempty"`
	Scanner    string                `json:"scanner,omitempty"`
	Signatures *time.Time            `json:"signatures,omitempty"` // when they were made
}

// ScanOf sums up what the virus scanner said of a letter.
func ScanOf(p *pipeline.Pipeline, l *sekretariat.Letter) Scan {
	out := Scan{State: p.ScanState(l, ""), Original: p.ScanState(l, "")}
	if s := l.Verdict(); s != nil {
		out.At, out.Scanner, out.Signatures = &s.At, s.Scanner, s.Signatures
		for _, u := range s.Unscanned {
			if state := s.State(u.Path); out.State.Open() {
				out.State = state
			}
		}
	}
	out.Notice = notice(out.State, l.Verdict().Virus(""))
	return out
}

// notice is what a clerk is told.
func notice(state sekretariat.ScanState, virus string) string {
	switch state {
	case sekretariat.ScanPending:
		return "Niesprawdzone: program antywirusowy jeszcze tego nie obejrzał. Treść pisma jest dostępna, pliki będą po sprawdzeniu."
	case sekretariat.ScanInfected:
		return fmt.Sprintf("Wykryto wirusa (%s). Plik jest zablokowany: nie można go pobrać ani przekazać. Treść pisma i pozostałe pliki są dostępne.", virus)
	case sekretariat.ScanFailed:
		return "Pliku nie dało się sprawdzić programem antywirusowym (jest za duży, uszkodzony albo nie można go rozpakować), dlatego jest zablokowany."
	case sekretariat.ScanEncrypted:
		return "Plik jest zabezpieczony hasłem, więc jego zawartości nie można było sprawdzić programem antywirusowym. Podaj hasło, aby go odczytać."
	case sekretariat.ScanOff:
		return "Niesprawdzone: w tym ośrodku sprawdzanie antywirusowe jest wyłączone."
	}
	return "Sprawdzone programem antywirusowym, nie wykryto wirusów."
}

// lockedError: the part may not leave the house (rule P7).
type lockedError struct {
	State sekretariat.ScanState
	Virus string
}

func (e *lockedError) Error() string { return notice(e.State, e.Virus) }

func (e *lockedError) status() int {
	if e.State == sekretariat.ScanPending {
		return http.StatusTooEarly
	}
	return http.StatusForbidden
}

// locked returns why a part may not be fetched, nil if it may.
func locked(p *pipeline.Pipeline, l *sekretariat.Letter, path string) error {
	if state := p.ScanState(l, path); !state.Open() {
		return &lockedError{state, l.Verdict().Virus(path)}
	}
	return nil
}

// PartsOf lists the parts of a letter with what may be done with them.
func PartsOf(p *pipeline.Pipeline, l *sekretariat.Letter, r *sekretariat.Reading) []Part {
	var out []Part
	for _, q := range r.Parts {
		if q.Fate == pipeline.FateRemote {
			out = append(out, remotePart(q, l))
			continue
		}
		v := Part{Part: q, Scan: p.ScanState(l, q.Path)}
		if v.Scan != sekretariat.ScanClean && v.Scan != sekretariat.ScanOff {
			v.Notice = notice(v.Scan, l.Verdict().Virus(q.Path))
		}
		v.released(l)
		out = append(out, v)
	}
	return out
}
