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

// scanLetter opens a letter and scans it. What cannot be opened for good is
// locked for good.
func (p *Pipeline) scanLetter(ctx context.Context, d sekretariat.ReadData) (sekretariat.ScannedData, error) {
	lost := sekretariat.ScannedData{Unscanned: []sekretariat.ScannedPart{{Code: scanUnreadable}}, All: true}
	r, err := LoadReading(ctx, p.o.Vault, p.id, d.Letter.Submission(), d.Reading)
	if hopeless(err) {
		return lost, nil
	}
	if err != nil {
		return lost, err
	}
	m, err := Manifest(ctx, p.o.Vault, p.id, d.Letter.Submission())
	if hopeless(err) {
		return lost, nil
	}
	if err != nil {
		return lost, err
	}
	body, err := p.o.Vault.Open(ctx, p.id, d.Letter.Submission(), m.Original.Key)
	if hopeless(err) {
		return lost, nil
	}
	if err != nil {
		return lost, fmt.Errorf("open original: %w", err)
	}
	defer body.Close()
	return ScanBody(ctx, p.o.Scanner, p.o.Parts, r, m.Original.SHA256, body)
}
