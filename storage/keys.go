package storage

import (
	"fmt"

	"sekretariat"
)

// The object keys, fixed from the first commit: flat, so that no letter makes a
// directory; without dates, so that a repeat finds them; no key a prefix of
// another. See docs/storage.md.

func submission(c sekretariat.CentreID, s sekretariat.SubmissionID) string {
	return fmt.Sprintf("c/%s/s/%s/%s.", c, s[:3], s)
}

// ManifestKey is where the manifest of a submission lies.
func ManifestKey(c sekretariat.CentreID, s sekretariat.SubmissionID) string {
	return submission(c, s) + "manifest.json"
}

// OriginalKey is where original bytes with this plain digest lie.
func OriginalKey(c sekretariat.CentreID, s sekretariat.SubmissionID, d sekretariat.Digest) string {
	return submission(c, s) + "o." + string(d)
}

// DerivedKey is where something a reader made of the submission lies; name
// tells parts apart ("1.reading.json").
func DerivedKey(c sekretariat.CentreID, s sekretariat.SubmissionID, reader, name string) string {
	return submission(c, s) + "d." + reader + "." + name
}

// CardKey is where revision rev of the register card of a letter lies. Revision
// 0 is what the machine knew; it is part of the reading. People write from 1.
func CardKey(c sekretariat.CentreID, l sekretariat.LetterID, rev int) string {
	return fmt.Sprintf("%scard.%d.%d.json", submission(c, l.Submission()), l.Part(), rev)
}

// SubmissionPrefix is the common prefix of all objects of a submission.
func SubmissionPrefix(c sekretariat.CentreID, s sekretariat.SubmissionID) string {
	return submission(c, s)
}

// EntryKey is where a register entry lies.
func EntryKey(c sekretariat.CentreID, n sekretariat.Number) string {
	return fmt.Sprintf("c/%s/r/%s/%04d/%d.json", c, n.Series, n.Year, n.N)
}

// JournalKey is where the journal object of a stream that begins at sequence
// first lies.
func JournalKey(c sekretariat.CentreID, stream string, first uint64) string {
	return fmt.Sprintf("c/%s/j/%s/%016d.jsonl", c, stream, first)
}

// JournalPrefix is the prefix of all journal objects of a stream.
func JournalPrefix(c sekretariat.CentreID, stream string) string {
	return fmt.Sprintf("c/%s/j/%s/", c, stream)
}

// ConfigKey is where configuration objects of a centre lie: versions of the
// configuration, tokens, idempotency marks.
func ConfigKey(c sekretariat.CentreID, name string) string {
	return fmt.Sprintf("c/%s/k/%s", c, name)
}
