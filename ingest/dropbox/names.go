package dropbox

import (
	"path/filepath"
	"strings"
)

// The folders that the channel makes inside the box folder.
const (
	takenDir = ".taken" // claimed files, each in a folder of its own
	doneDir  = "done"   // taken in, by day; emptied after Box.Keep
	errorDir = "error"  // could not be taken in, by day, with a reason; never emptied
)

// junk are names that operating systems and synchronisation tools leave in
// shared folders (the list of paperless-ngx, plus Windows and NAS leftovers).
var junk = map[string]bool{
	"desktop.ini": true, "thumbs.db": true, "ehthumbs.db": true, "@eadir": true, "__macosx": true,
	"$recycle.bin": true, "system volume information": true, "lost+found": true,
}

// temporary are the endings under which devices and browsers write before they
// rename to the final name.
var temporary = map[string]bool{
	".tmp": true, ".temp": true, ".part": true, ".partial": true, ".filepart": true, ".crdownload": true,
	".download": true, ".swp": true, ".upload": true, ".lock": true, ".lck": true,
}

// ignored tells whether a file of this name is never taken in: it is junk, or
// still carries the temporary name under which it is being written. Should a
// device never rename, the file stays in the folder, where people see it.
func ignored(name string) bool {
	lower := strings.ToLower(name)
	switch {
	case strings.HasPrefix(name, "."), strings.HasPrefix(name, "~"), strings.HasSuffix(name, "~"):
		return true
	case junk[lower], temporary[filepath.Ext(lower)]:
		return true
	}
	return false
}
