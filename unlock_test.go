package sekretariat

import (
	"testing"
	"time"
)

func TestVerdictOfReleasedParts(t *testing.T) {
	scanned := func(infected ...ScannedPart) *Letter {
		return &Letter{Scan: &Scan{ScannedData: ScannedData{Infected: infected}}}
	}
	release := func(l *Letter, path, code, by string, two bool) {
		l.unlocked(UnlockedData{Path: path, Code: code, By: by, Two: two}, time.Time{})
	}
	state := func(l *Letter, want map[string]ScanState) {
		t.Helper()
		for path, s := range want {
			if got := l.Verdict().State(path); got != s {
				t.Errorf("part %q is %s, want %s", path, got, s)
			}
		}
	}
	two := scanned(ScannedPart{"", "A"}, ScannedPart{"2", "A"}, ScannedPart{"3", "B"})
	release(two, "2", "A", "jan", false)
	state(two, map[string]ScanState{"": ScanInfected, "2": ScanClean, "3": ScanInfected})
	release(two, "3", "other", "jan", false) // not what was found
	state(two, map[string]ScanState{"": ScanInfected, "3": ScanInfected})
	release(two, "3", "B", "jan", false)
	state(two, map[string]ScanState{"": ScanClean, "2": ScanClean, "3": ScanClean})

	second := scanned(ScannedPart{"2", "A"})
	release(second, "2", "A", "jan", true)
	release(second, "2", "A", "jan", true) // the same person again
	state(second, map[string]ScanState{"": ScanInfected, "2": ScanInfected})
	release(second, "2", "A", "ewa", true)
	state(second, map[string]ScanState{"": ScanClean, "2": ScanClean})
	if u := second.Unlocked["2"]; u.By != "jan" || u.Second != "ewa" {
		t.Errorf("released by %s and %s", u.By, u.Second)
	}
	// A later scan that finds something else locks it again.
	second.scanned(ScannedData{Revision: 1, Infected: []ScannedPart{{"2", "C"}}}, time.Time{})
	state(second, map[string]ScanState{"": ScanInfected, "2": ScanInfected})

	whole := scanned(ScannedPart{"", "A"})
	release(whole, "2", "A", "jan", false)
	state(whole, map[string]ScanState{"": ScanInfected})
	release(whole, "", "A", "jan", false)
	state(whole, map[string]ScanState{"": ScanClean})
}
