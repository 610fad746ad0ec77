package pipeline

import (
	"context"
	"errors"
	"io"

	"sekretariat"
	"sekretariat/extract"
	"sekretariat/extract/archive"
	"sekretariat/extract/virus"
)

// ScanBody scans an original as a whole and each part of it that the reading
// lists, members of archives too. Errors are those of the scanner and of ours;
// what is wrong with the content stands in the result.
func ScanBody(ctx context.Context, s *virus.Scanner, parts Parts, r *sekretariat.Reading, digest sekretariat.Digest, body sekretariat.Body) (sekretariat.ScannedData, error) {
	v := &verdicts{ctx: ctx, scanner: s, reading: r, byDigest: map[sekretariat.Digest]verdict{}}
	err := v.scan("", digest, io.NewSectionReader(body, 0, body.Size()))
	if err == nil {
		err = v.parts(parts, body)
	}
	return v.data, err
}

// verdict is what the scanner said of one content.
type verdict struct{ found, unscanned string }

// verdicts gathers what the scanner says of one letter.
type verdicts struct {
	ctx      context.Context
	scanner  *virus.Scanner
	reading  *sekretariat.Reading
	data     sekretariat.ScannedData
	byDigest map[sekretariat.Digest]verdict
}

// parts scans what the reading lists.
func (v *verdicts) parts(open Parts, body sekretariat.Body) error {
	var members []string
	var sealed []sekretariat.Part
	for _, q := range v.reading.Parts {
		switch {
		case q.Fate == FateRemote: // not here; scanned when it is fetched
		case q.SHA256 == "" && q.Fate != scanEncrypted:
			v.unscanned(q.Path, scanUnreadable)
		case q.SHA256 == "":
		case !extract.Stream(v.reading, q):
			members = append(members, q.Path)
		default:
			if err := v.scan(q.Path, q.SHA256, extract.OpenPart(v.reading, body, q)); err != nil {
				return err
			}
		}
		if q.Fate == scanEncrypted {
			sealed = append(sealed, q)
		}
	}
	if err := v.members(open, body, members); err != nil {
		return err
	}
	for _, q := range sealed {
		v.encrypted(q)
	}
	return nil
}

// members scans what lies in archives. A member that kills its reading process
// costs itself; those behind it are taken up again.
func (v *verdicts) members(open Parts, body sekretariat.Body, want []string) error {
	const rounds = 5
	for range rounds {
		if len(want) == 0 {
			return nil
		}
		seen := map[string]bool{}
		err := open.Parts(v.ctx, body, extract.Parts{Reading: *v.reading, Want: want}, func(q sekretariat.Part, content io.Reader) error {
			seen[q.Path] = true
			return v.scan(q.Path, q.SHA256, content)
		})
		if err != nil && (errors.Is(err, virus.ErrDown) || v.ctx.Err() != nil || !ofContent(err)) {
			return err
		}
		var left []string
		for _, path := range want {
			if !seen[path] {
				left = append(left, path)
			}
		}
		want = left
		if err == nil || len(seen) == 0 {
			break
		}
	}
	for _, path := range want {
		v.unscanned(path, scanUnreadable)
	}
	return nil
}

// ofContent tells whether an error lies in the content of an archive, and not
// in our machine: repeating would not mend it.
func ofContent(err error) bool {
	for _, e := range []error{archive.ErrDamaged, archive.ErrLimit, archive.ErrMethod, archive.ErrPassword, extract.ErrNoPart} {
		if errors.Is(err, e) {
			return true
		}
	}
	return extract.IsChildFailure(err)
}

// scan scans one content and notes the verdict. Errors are those of the
// scanner and of ours; what is wrong with the content is a verdict.
func (v *verdicts) scan(path string, digest sekretariat.Digest, content io.Reader) error {
	known, ok := v.byDigest[digest]
	if !ok {
		found, err := v.scanner.Scan(v.ctx, content)
		switch {
		case errors.Is(err, virus.ErrTooLarge):
			known.unscanned = scanSize
		case err != nil && (errors.Is(err, virus.ErrDown) || v.ctx.Err() != nil):
			return err
		case err != nil:
			known.unscanned = scanUnreadable
		}
		known.found = found
		v.byDigest[digest] = known
	}
	v.data.Scanned++
	switch {
	case known.found != "":
		v.data.Infected = v.add(v.data.Infected, path, known.found)
	case known.unscanned != "":
		v.unscanned(path, known.unscanned)
	}
	return nil
}

func (v *verdicts) unscanned(path, code string) {
	v.data.Unscanned = v.add(v.data.Unscanned, path, code)
}

// encrypted notes a part that nobody could look into, and all that hold it,
// unless something worse is known of them already.
func (v *verdicts) encrypted(q sekretariat.Part) {
	for {
		v.unscanned(q.Path, scanEncrypted)
		if q.Path == "" {
			return
		}
		up := sekretariat.Part{}
		for _, p := range v.reading.Parts {
			if p.Path == q.In && q.In != "" {
				up = p
			}
		}
		q = up
	}
}

// add puts a part on a list once. What does not fit is told by All.
func (v *verdicts) add(list []sekretariat.ScannedPart, path, code string) []sekretariat.ScannedPart {
	for _, p := range list {
		if p.Path == path {
			return list
		}
	}
	if len(list) >= sekretariat.MaxScanned {
		v.data.All = true
		return list
	}
	return append(list, sekretariat.ScannedPart{Path: path, Code: code})
}
