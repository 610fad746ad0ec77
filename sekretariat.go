// Package sekretariat is the vocabulary of the house: what a delivery, a
// submission, a letter, a register entry, a reading and a decision are, how
// they are named, and who may see them. It does no I/O and imports none of our
// packages; every room imports it.
//
// The way of one letter: a channel hands over a Delivery; its bytes and a
// Manifest are kept below a SubmissionID and announced by one event; the
// submission is sorted into one or more letters; a letter gets a Number in a
// Series of the register; it is read (Reading), routed (Decision) and put into
// the queue of one Department. docs/flow.md tells where each step lives.
package sekretariat

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// CentreID names one welfare centre inside an installation: lower-case
// letters, digits and hyphens, at most 40, as in the name of its profile
// ("zielona-gora"). It is part of object keys and subjects.
type CentreID string

// DepartmentID names one department (queue) of a centre; same alphabet as
// CentreID. Sekretariat is always present.
type DepartmentID string

// Sekretariat is the department that every centre has: the front door and the
// place of every letter that the router is not sure about.
const Sekretariat DepartmentID = "sekretariat"

// SeriesID names one number series of a centre's register ("rpw", "mzon").
type SeriesID string

var slug = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)

// ValidSlug tells whether s may serve as CentreID, DepartmentID, SeriesID or
// as the id of an account, box or unit: such ids become parts of object keys
// and NATS subjects, where dots, blanks and wildcards have a meaning.
func ValidSlug(s string) bool { return slug.MatchString(s) }

// SubmissionID identifies one submission for ever: 64 lower-case hex digits,
// the SHA-256 over what makes a delivery the same delivery. Because it is
// computed from the delivery alone, a repeat finds the first one.
type SubmissionID string

// submissionIDVersion is mixed into every id. Changing it, or the order of the
// fields below, would make every office's mail new again.
const submissionIDVersion = "sekretariat/submission/1"

// NewSubmissionID derives the id from the centre, the kind, the account (the
// configured id of the mailbox, skrytka or box) and the channel's identity
// fields. Each field is prefixed with its length so that no two lists of
// fields can collide.
func NewSubmissionID(centre CentreID, kind Kind, account string, identity ...string) SubmissionID {
	h := sha256.New()
	for _, f := range append([]string{submissionIDVersion, string(centre), string(kind), account}, identity...) {
		fmt.Fprintf(h, "%d:%s,", len(f), f)
	}
	return SubmissionID(hex.EncodeToString(h.Sum(nil)))
}

// ErrBadID is returned by the Parse functions of this file.
var ErrBadID = errors.New("malformed id")

var hex64 = regexp.MustCompile(`^[0-9a-f]{64}$`)

// ParseSubmissionID checks that s has the form of a SubmissionID. It returns
// ErrBadID otherwise.
func ParseSubmissionID(s string) (SubmissionID, error) {
	if !hex64.MatchString(s) {
		return "", fmt.Errorf("submission id %q: %w", s, ErrBadID)
	}
	return SubmissionID(s), nil
}

// LetterID identifies one letter: the submission id, a dot, and the ordinal of
// the letter within its submission, from 1 ("ab…ef.1").
type LetterID string

// NewLetterID joins a submission id and the letter's ordinal (1 for the first
// or only letter).
func NewLetterID(s SubmissionID, part int) LetterID {
	return LetterID(string(s) + "." + strconv.Itoa(part))
}

// ParseLetterID checks the form of a letter id. It returns ErrBadID otherwise.
func ParseLetterID(s string) (LetterID, error) {
	sub, part, ok := strings.Cut(s, ".")
	n, err := strconv.Atoi(part)
	if !ok || err != nil || n < 1 || n > maxParts || strconv.Itoa(n) != part || !hex64.MatchString(sub) {
		return "", fmt.Errorf("letter id %q: %w", s, ErrBadID)
	}
	return LetterID(s), nil
}

// maxParts bounds the letters of one submission; a batch of scans with more
// separators than this is a question to a clerk.
const maxParts = 2000

// Submission returns the submission that the letter belongs to.
func (l LetterID) Submission() SubmissionID {
	s, _, _ := strings.Cut(string(l), ".")
	return SubmissionID(s)
}

// Part returns the ordinal of the letter within its submission, 0 if the id is
// malformed.
func (l LetterID) Part() int {
	_, p, _ := strings.Cut(string(l), ".")
	n, _ := strconv.Atoi(p)
	return n
}

// Digest is a SHA-256 in lower-case hex.
type Digest string

// DigestOf returns the Digest of b.
func DigestOf(b []byte) Digest {
	s := sha256.Sum256(b)
	return Digest(hex.EncodeToString(s[:]))
}
