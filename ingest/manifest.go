package ingest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"sekretariat"
	"sekretariat/storage"
)

// Bounds of what a channel may say beside the body. A manifest has room for
// all of it.
const (
	maxManifest    = 1 << 20
	maxSource      = 64      // entries
	maxSourceValue = 8 << 10 // octets; longer values are cut
	maxNote        = 16 << 10
)

// check looks for what every delivery must have. Ids become parts of keys and
// subjects, so they are never taken unseen.
func check(d sekretariat.Delivery) error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for name, id := range map[string]string{"centre": string(d.Centre), "account": d.Account} {
		if !sekretariat.ValidSlug(id) {
			bad("%s %q is not a valid id", name, id)
		}
	}
	for name, id := range map[string]string{"box": d.Box, "unit": d.Unit, "department": string(d.Department), "series": string(d.Series)} {
		if id != "" && !sekretariat.ValidSlug(id) {
			bad("%s %q is not a valid id", name, id)
		}
	}
	if !sekretariat.ValidSlug(string(d.Kind)) || !sekretariat.ValidSlug(string(d.Door)) {
		bad("kind %q or door %q is missing or malformed", d.Kind, d.Door)
	}
	if d.Identity == nil {
		bad("no identity")
	}
	if d.Arrived.At.IsZero() || d.Arrived.Basis == "" {
		bad("no day of receipt or no basis for it")
	}
	if len(d.Source) > maxSource {
		bad("%d source entries, at most %d", len(d.Source), maxSource)
	}
	if len(errs) > 0 {
		return fmt.Errorf("%w: %w", ErrBadDelivery, errors.Join(errs...))
	}
	return nil
}

// describe makes the manifest of a delivery whose body was read.
func (r *Intake) describe(d sekretariat.Delivery, park sekretariat.ParkReason, f sekretariat.BodyFacts) sekretariat.Manifest {
	now := r.o.Clock()
	identity := d.Identity(f)
	if park != "" {
		// A note must never stand in the way of the thing itself, should that
		// be deliverable later: it has another identity.
		identity = append([]string{"parked", string(park)}, identity...)
	}
	id := sekretariat.NewSubmissionID(d.Centre, d.Kind, d.Account, identity...)
	m := sekretariat.Manifest{
		Version: sekretariat.ManifestVersion, Submission: id, Centre: d.Centre, Kind: d.Kind, Door: d.Door,
		Account: d.Account, Box: d.Box, Unit: d.Unit, Department: d.Department, Series: d.Series, Sheet: d.Sheet,
		Original: sekretariat.ObjectRef{
			Key: storage.OriginalKey(d.Centre, id, f.SHA256), SHA256: f.SHA256, Size: f.Size, MediaType: d.MediaType,
		},
		Arrived: d.Arrived, Pile: d.Pile, Emptying: d.Emptying, Received: now, Test: d.Test, Junk: d.Junk, Proof: d.Proof, Park: park, Source: cut(d.Source),
	}
	if d.Content != nil {
		m.Content = d.Content(f)
	}
	m.Arrived.At = m.Arrived.At.UTC()
	if m.Arrived.At.After(now) {
		m.Arrived.At = now // the day of receipt is never in the future (rule P2)
	}
	if !d.Sent.IsZero() {
		sent := d.Sent.UTC()
		m.Sent = &sent
	}
	return m
}

// cut bounds the values of a source.
func cut(source map[string]string) map[string]string {
	out := maps.Clone(source)
	for _, k := range slices.Collect(maps.Keys(out)) {
		if v := out[k]; len(v) > maxSourceValue {
			n := maxSourceValue
			for n > 0 && !utf8.RuneStart(v[n]) {
				n--
			}
			out[k] = v[:n]
		}
	}
	return out
}

// arrived is the event that announces a manifest.
func arrived(k kept) (sekretariat.Event, error) {
	m := k.manifest
	return sekretariat.NewEvent(sekretariat.EventArrived, m.Centre, role, string(m.Submission), 0, m.Received,
		m.Arrival(storage.ManifestKey(m.Centre, m.Submission), sekretariat.DigestOf(k.raw)))
}

// checkNote looks at the text of a parked item.
func checkNote(reason sekretariat.ParkReason, note string) error {
	switch {
	case reason == "":
		return fmt.Errorf("%w: parked without a reason", ErrBadDelivery)
	case strings.TrimSpace(note) == "", len(note) > maxNote, !utf8.ValidString(note):
		return fmt.Errorf("%w: the note of a parked item must be UTF-8 text of at most %d octets", ErrBadDelivery, maxNote)
	}
	return nil
}
