package sekretariat

import "time"

// Scan is what the virus scanner said of a letter last.
type Scan struct {
	At time.Time
	ScannedData
}

// ScanState is what a person may do with one part, as far as viruses go.
type ScanState string

// The states of parts. Only those in ScanClean and ScanEncrypted may leave the
// house; the letter itself and its text always may (rule P7).
const (
	ScanPending   ScanState = "unscanned" // "niesprawdzone": not yet
	ScanClean     ScanState = "clean"
	ScanInfected  ScanState = "infected"
	ScanFailed    ScanState = "unscannable" // cannot be looked into: too large, or not to be unpacked
	ScanEncrypted ScanState = "encrypted"   // clean as it is; what is encrypted in it nobody could look into
	ScanOff       ScanState = "off"         // the centre scans nothing
)

// Open tells whether a part in this state may be fetched and forwarded.
func (s ScanState) Open() bool { return s == ScanClean || s == ScanEncrypted || s == ScanOff }

// codeEncrypted in Unscanned: nobody without the password can look inside.
const codeEncrypted = "encrypted"

// State returns the state of a part; "" is the original as a whole, which holds
// every part.
func (s *Scan) State(path string) ScanState {
	if s == nil {
		return ScanPending
	}
	for _, p := range s.Infected {
		if p.Path == path || path == "" {
			return ScanInfected
		}
	}
	if s.All {
		return ScanFailed
	}
	state := ScanClean
	for _, p := range s.Unscanned {
		switch {
		case p.Path == path && p.Code == codeEncrypted:
			state = ScanEncrypted
		case p.Path == path:
			return ScanFailed
		}
	}
	return state
}

// Virus returns what was found in a part, "" if nothing.
func (s *Scan) Virus(path string) string {
	if s == nil {
		return ""
	}
	for _, p := range s.Infected {
		if p.Path == path || path == "" {
			return p.Code
		}
	}
	return ""
}

// scanned folds a scan. What was scanned while it was parked is locked again
// when it becomes a letter, until its parts are known: see release.
func (l *Letter) scanned(d ScannedData, at time.Time) {
	if d.Revision < l.Scans {
		return
	}
	l.Scan, l.Scans = &Scan{At: at, ScannedData: d}, d.Revision+1
}
