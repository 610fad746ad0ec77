package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"

	"sekretariat"
	"sekretariat/extract"
	"sekretariat/extract/virus"
	"sekretariat/ledger"
)

// Parts delivers the content of parts out of a child process; extract.Pool
// does.
type Parts interface {
	Parts(ctx context.Context, body sekretariat.Body, ask extract.Parts, fn func(sekretariat.Part, io.Reader) error) error
}

// scanners is how many letters are scanned at once: a work group of its own, so
// that a slow scanner holds up nothing else (rule P7).
const scanners = 4

// The codes of what could not be scanned.
const (
	scanSize       = "size"       // larger than the scanner takes
	scanEncrypted  = "encrypted"  // nobody can look inside without the password
	scanUnreadable = "unreadable" // it cannot be taken out of what holds it
)

// scan has the parts of one letter looked at by the virus scanner and notes
// what it said. While the scanner is down the letter waits here, and its parts
// stay locked.
func (p *Pipeline) scan(ctx context.Context, s ledger.Stored) error {
	if s.Event.Type != sekretariat.EventRead {
		return nil
	}
	d, err := sekretariat.DataOf[sekretariat.ReadData](s.Event)
	if err != nil {
		return ledger.Permanent(err)
	}
	if s.Redelivered {
		state, _, err := State(ctx, p.o.Log, d.Letter.Submission())
		if l := state.Letters[d.Letter.Part()]; err == nil && l != nil && l.Scan != nil {
			return nil
		}
	}
	var data sekretariat.ScannedData
	for {
		version, err := p.scanner.wait(ctx)
		if err != nil {
			return err
		}
		data, err = p.scanLetter(ctx, d)
		data.Letter, data.Scanner, data.Database, data.Signatures = d.Letter, version.Program, version.Database, version.Made
		if err == nil {
			break
		}
		if !errors.Is(err, virus.ErrDown) || !p.scanner.lost(ctx, err) {
			return fmt.Errorf("scan letter %s for viruses: %w", d.Letter, err)
		}
	}
	if len(data.Infected) > 0 {
		p.o.Logger.Warn().Str("letter", string(d.Letter)).Int("parts", len(data.Infected)).Str("found", data.Infected[0].Code).
			Msg("a letter holds a virus: the infected parts are locked, the letter goes its way")
	}
	return p.amend(ctx, d.Letter, 0, func(l *sekretariat.Letter) (*sekretariat.Event, error) {
		if l != nil && l.Scan != nil {
			return nil, nil // scanned before a crash, or twice at once
		}
		return p.event(sekretariat.EventScanned, "scan", string(d.Letter), data.Revision, data)
	})
}

// scanLetter scans the original as a whole and each part of it.
func (p *Pipeline) scanLetter(ctx context.Context, d sekretariat.ReadData) (sekretariat.ScannedData, error) {
	v := &verdicts{byDigest: map[sekretariat.Digest]verdict{}}
	r, err := p.loadForScan(ctx, d)
	if hopeless(err) {
		v.data.Unscanned, v.data.All = []sekretariat.ScannedPart{{Code: scanUnreadable}}, true
		return v.data, nil
	}
	if err != nil {
		return v.data, err
	}
	m, err := Manifest(ctx, p.o.Vault, p.id, d.Letter.Submission())
	if err != nil && !hopeless(err) {
		return v.data, err
	}
	body, err := p.o.Vault.Open(ctx, p.id, d.Letter.Submission(), m.Original.Key)
	if hopeless(err) {
		v.data.Unscanned, v.data.All = []sekretariat.ScannedPart{{Code: scanUnreadable}}, true
		return v.data, nil
	}
	if err != nil {
		return v.data, fmt.Errorf("open original: %w", err)
	}
	defer body.Close()
	scan := func(path string, digest sekretariat.Digest, content io.Reader) error {
		return v.scan(ctx, p.o.Scanner, path, digest, content)
	}
	if err := scan("", m.Original.SHA256, io.NewSectionReader(body, 0, body.Size())); err != nil {
		return v.data, err
	}
	err = p.scanParts(ctx, v, r, body, scan)
	return v.data, err
}

func (p *Pipeline) loadForScan(ctx context.Context, d sekretariat.ReadData) (*sekretariat.Reading, error) {
	return LoadReading(ctx, p.o.Vault, p.id, d.Letter.Submission(), d.Reading)
}

// scanParts scans what the reading lists.
func (p *Pipeline) scanParts(ctx context.Context, v *verdicts, r *sekretariat.Reading, body sekretariat.Body,
	scan func(string, sekretariat.Digest, io.Reader) error) error {
	members, sealed := extract.Parts{Reading: *r}, []sekretariat.Part(nil)
	for _, q := range r.Parts {
		switch {
		case q.SHA256 == "" && q.Fate != scanEncrypted:
			v.unscanned(q.Path, scanUnreadable)
		case q.SHA256 == "":
		case !extract.Stream(r, q):
			members.Want = append(members.Want, q.Path)
		default:
			if err := scan(q.Path, q.SHA256, extract.OpenPart(r, body, q)); err != nil {
				return err
			}
		}
		if q.Fate == scanEncrypted {
			sealed = append(sealed, q)
		}
	}
	if err := p.scanMembers(ctx, v, members, body, scan); err != nil {
		return err
	}
	for _, q := range sealed {
		v.encrypted(r, q)
	}
	return nil
}

// scanMembers scans what lies in archives.
func (p *Pipeline) scanMembers(ctx context.Context, v *verdicts, members extract.Parts, body sekretariat.Body,
	scan func(string, sekretariat.Digest, io.Reader) error) error {
	if len(members.Want) == 0 {
		return nil
	}
	seen := map[string]bool{}
	err := p.o.Parts.Parts(ctx, body, members, func(q sekretariat.Part, content io.Reader) error {
		seen[q.Path] = true
		return scan(q.Path, q.SHA256, content)
	})
	if err != nil && (errors.Is(err, virus.ErrDown) || ctx.Err() != nil) {
		return err
	}
	for _, path := range members.Want {
		if !seen[path] { // the child died before it, or the archive broke off
			v.unscanned(path, scanUnreadable)
		}
	}
	return nil
}

// verdict is what the scanner said of one content.
type verdict struct{ found, unscanned string }

// verdicts gathers what the scanner says of one letter.
type verdicts struct {
	data     sekretariat.ScannedData
	byDigest map[sekretariat.Digest]verdict
}

// scan scans one content and notes the verdict. Errors are those of the
// scanner and of ours; what is wrong with the content is a verdict.
func (v *verdicts) scan(ctx context.Context, s *virus.Scanner, path string, digest sekretariat.Digest, content io.Reader) error {
	known, ok := v.byDigest[digest]
	if !ok {
		found, err := s.Scan(ctx, content)
		switch {
		case errors.Is(err, virus.ErrTooLarge):
			known.unscanned = scanSize
		case err != nil && (errors.Is(err, virus.ErrDown) || ctx.Err() != nil):
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
func (v *verdicts) encrypted(r *sekretariat.Reading, q sekretariat.Part) {
	for {
		v.unscanned(q.Path, scanEncrypted)
		if q.Path == "" {
			return
		}
		up := sekretariat.Part{}
		for _, p := range r.Parts {
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
