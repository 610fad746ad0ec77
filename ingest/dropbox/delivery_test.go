package dropbox

import (
	"testing"
	"time"

	"sekretariat"
)

func TestArrival(t *testing.T) {
	now := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct{ written, want time.Time }{
		"now":                 {now, now},
		"yesterday":           {now.Add(-24 * time.Hour), now.Add(-24 * time.Hour)},
		"part of a second":    {now.Add(-1500 * time.Microsecond), now.Add(-2 * time.Millisecond)},
		"future":              {now.Add(time.Minute), now},
		"clock without power": {time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC), now},
		"never set":           {time.Time{}, now},
		"another zone":        {time.Date(2026, 11, 20, 8, 0, 0, 0, sekretariat.Warsaw()), now.Add(-2 * time.Hour)},
	} {
		a := arrival(c.written, now)
		if !a.At.Equal(c.want) || a.At.Location() != time.UTC || a.Basis != sekretariat.BasisScanned {
			t.Errorf("%s: %+v, want %s", name, a, c.want)
		}
	}
}
