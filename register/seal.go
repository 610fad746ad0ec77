package register

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"sekretariat"
)

// sealVersion is mixed into every digest of an entry.
const sealVersion = "sekretariat/entry/1"

// sealTime is how times go into the digest: UTC, always three decimals.
const sealTime = "2006-01-02T15:04:05.000Z"

// ErrBroken is returned when an entry does not fit its own digest or the entry
// before it.
var ErrBroken = errors.New("the chain of entries is broken")

// Seal completes an entry: it cuts its times to milliseconds in UTC, sets
// Previous and computes Digest.
//
// The digest is for ever, so its encoding is fixed here and not left to JSON.
// It is the SHA-256, in lower-case hex, of these fields in this order, each
// written as a netstring (decimal length in octets, colon, octets, comma):
//
//	"sekretariat/entry/1", version, centre, series, year, number, identifier,
//	letter, parent, manifest, arrived.at, arrived.basis, received, registered,
//	previous
//
// Integers are decimal without leading zeros, times are
// "2006-01-02T15:04:05.000Z", absent values are empty strings. Anybody with
// the entry files can check the chain with ten lines of any language.
func Seal(e sekretariat.Entry, previous sekretariat.Digest) sekretariat.Entry {
	e.Previous = previous
	e.Arrived.At = cut(e.Arrived.At)
	e.Received = cut(e.Received)
	e.Registered = cut(e.Registered)
	e.Digest = digest(e)
	return e
}

func cut(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

func digest(e sekretariat.Entry) sekretariat.Digest {
	fields := [...]string{
		sealVersion,
		strconv.Itoa(e.Version), string(e.Centre),
		string(e.Number.Series), strconv.Itoa(e.Number.Year), strconv.Itoa(e.Number.N),
		e.Identifier, string(e.Letter), string(e.Parent), string(e.Manifest),
		e.Arrived.At.UTC().Format(sealTime), string(e.Arrived.Basis),
		e.Received.UTC().Format(sealTime), e.Registered.UTC().Format(sealTime),
		string(e.Previous),
	}
	buf := make([]byte, 0, 768)
	for _, f := range fields {
		buf = strconv.AppendInt(buf, int64(len(f)), 10)
		buf = append(append(append(buf, ':'), f...), ',')
	}
	sum := sha256.Sum256(buf)
	return sekretariat.Digest(hex.EncodeToString(sum[:]))
}

// CheckSeal tells whether an entry fits its own digest. It returns ErrBroken
// otherwise.
func CheckSeal(e sekretariat.Entry) error {
	if e.Version != sekretariat.EntryVersion {
		return fmt.Errorf("entry %s has version %d, this program knows %d: %w", e.Identifier, e.Version, sekretariat.EntryVersion, ErrBroken)
	}
	for _, t := range []time.Time{e.Arrived.At, e.Received, e.Registered} {
		if !t.Equal(cut(t)) {
			return fmt.Errorf("entry %s has a time finer than the seal: %w", e.Identifier, ErrBroken)
		}
	}
	if digest(e) != e.Digest {
		return fmt.Errorf("entry %s does not fit its digest: %w", e.Identifier, ErrBroken)
	}
	return nil
}

// CheckNext tells whether entry e may follow prev in the register of a series:
// its seal holds, it names the digest of prev, and its number is the next one
// (any number may open a year; which one is a matter of configuration). The
// zero Entry as prev stands for the beginning of the series. It returns
// ErrBroken otherwise.
func CheckNext(prev, e sekretariat.Entry) error {
	if err := CheckSeal(e); err != nil {
		return err
	}
	a, b := prev.Number, e.Number
	switch {
	case e.Previous != prev.Digest:
		return fmt.Errorf("entry %s does not name the digest of the entry before it: %w", e.Identifier, ErrBroken)
	case e.Identifier != b.Identifier() || b.N < 1:
		return fmt.Errorf("entry %q does not bear the identifier of its number: %w", e.Identifier, ErrBroken)
	case a.IsZero():
		return nil
	case a.Series != b.Series || b.Year < a.Year || b.Year == a.Year && b.N != a.N+1:
		return fmt.Errorf("entry %s does not follow %s: %w", e.Identifier, prev.Identifier, ErrBroken)
	}
	return nil
}

// EncodeEntry returns the octets of an entry's object: one line of JSON.
func EncodeEntry(e sekretariat.Entry) ([]byte, error) {
	b, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode entry %s: %w", e.Identifier, err)
	}
	return append(b, '\n'), nil
}

// DecodeEntry reads an entry's object and checks its seal. It returns
// ErrBroken when the octets are not an entry or the seal does not hold.
func DecodeEntry(b []byte) (sekretariat.Entry, error) {
	var e sekretariat.Entry
	if err := json.Unmarshal(b, &e); err != nil {
		return e, fmt.Errorf("not an entry (%v): %w", err, ErrBroken)
	}
	return e, CheckSeal(e)
}
