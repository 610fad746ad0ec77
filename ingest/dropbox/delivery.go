package dropbox

import (
	"strings"
	"time"

	"sekretariat"
	"sekretariat/configs"
)

// Keys of Delivery.Source that a box fills.
const (
	SourceName    = "name"    // the original file name, which may name people
	SourceDevice  = "device"  // the device that signed in
	SourceFinding = "finding" // "incomplete", "still-open", "unrenamed": taken in although the file looked unfinished
)

// maxAge is how old the time of a file may be to be believed as the day of the
// scan. Devices whose clock lost power write 1980, 2000 or the day of their
// firmware; a box that nobody emptied for a year is none.
const maxAge = 366 * 24 * time.Hour

// arrival is the day of receipt of a scanned file (rule P2): the day of the
// scan, until a person says otherwise. written is the file's time, used unless
// it lies in the future or more than maxAge back; then it is now.
func arrival(written, now time.Time) sekretariat.Arrival {
	at := written.UTC().Truncate(time.Millisecond)
	if at.After(now) || now.Sub(at) > maxAge {
		at = now
	}
	return sekretariat.Arrival{At: at, Basis: sekretariat.BasisScanned}
}

// delivery is what folder and upload have in common. The identity is the box
// and the bytes, whatever the door and the file name (design, section 6).
// Content stays nil: the same scan in two boxes was put there on purpose.
func delivery(centre sekretariat.CentreID, box configs.Box, door sekretariat.Door, name string, at sekretariat.Arrival) sekretariat.Delivery {
	return sekretariat.Delivery{
		Centre: centre, Kind: sekretariat.KindBox, Door: door, Account: box.ID, Box: box.ID,
		Unit: box.Unit, Department: box.Department, Series: box.Series,
		Identity: func(f sekretariat.BodyFacts) []string { return []string{box.ID, string(f.SHA256)} },
		Arrived:  at,
		Source:   map[string]string{SourceName: strings.ToValidUTF8(name, "\ufffd")},
	}
}
