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

// scan has the parts of letters looked at by the virus scanner: when they are
// read, or when they are set aside, for a clerk looks at those too.
func (p *Pipeline) scan(ctx context.Context, s ledger.Stored) error {
	switch s.Event.Type {
	case sekretariat.EventRead:
		d, err := sekretariat.DataOf[sekretariat.ReadData](s.Event)
		if err != nil {
			return ledger.Permanent(err)
		}
		return p.scanOne(ctx, d.Letter, &d.Reading, s.Redelivered, func(l *sekretariat.Letter) bool { return l.Scan == nil })
	case sekretariat.EventSorted:
		d, err := sekretariat.DataOf[sekretariat.SortedData](s.Event)
		if err != nil {
			return ledger.Permanent(err)
		}
		for _, l := range d.Letters {
			if l.Action != sekretariat.ActionPark || d.Arrived.Park != "" { // those are notes of ours
				continue
			}
			err := p.scanOne(ctx, sekretariat.NewLetterID(d.Arrived.Submission, l.Part), l.Reading, s.Redelivered,
				func(l *sekretariat.Letter) bool { return l.Scan == nil && l.Status == sekretariat.StatusParked })
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// scanOne scans one letter and notes what the scanner said, while it is wanted:
// not after a crash, nor twice at once. While the scanner is down the letter
// waits here, and its parts stay locked. Without a reading the original is
// scanned as a whole.
func (p *Pipeline) scanOne(ctx context.Context, id sekretariat.LetterID, reading *sekretariat.ObjectRef, again bool, wanted func(*sekretariat.Letter) bool) error {
	if again {
		state, _, err := State(ctx, p.o.Log, id.Submission())
		if l := state.Letters[id.Part()]; err == nil && l != nil && !wanted(l) {
			return nil
		}
	}
	var data sekretariat.ScannedData
	for {
		version, err := p.scanner.wait(ctx)
		if err != nil {
			return err
		}
		data, err = p.scanLetter(ctx, id, reading)
		data.Letter, data.Scanner, data.Database, data.Signatures = id, version.Program, version.Database, version.Made
		if err == nil {
			break
		}
		if !errors.Is(err, virus.ErrDown) || !p.scanner.lost(ctx, err) {
			return fmt.Errorf("scan letter %s for viruses: %w", id, err)
		}
	}
	if len(data.Infected) > 0 {
		p.o.Logger.Warn().Str("letter", string(id)).Int("parts", len(data.Infected)).Str("found", data.Infected[0].Code).
			Msg("a letter holds a virus: the infected parts are locked, the letter goes its way")
	}
	return p.amend(ctx, id, 0, func(l *sekretariat.Letter) (*sekretariat.Event, error) {
		if l == nil || !wanted(l) {
			return nil, nil
		}
		data.Revision = l.Scans
		return p.event(sekretariat.EventScanned, "scan", string(id), data.Revision, data)
	})
}

// scanLetter opens a letter and scans it. What cannot be opened for good is
// locked for good.
func (p *Pipeline) scanLetter(ctx context.Context, id sekretariat.LetterID, reading *sekretariat.ObjectRef) (sekretariat.ScannedData, error) {
	lost := sekretariat.ScannedData{Unscanned: []sekretariat.ScannedPart{{Code: scanUnreadable}}, All: true}
	r, err := &sekretariat.Reading{}, error(nil)
	if reading != nil {
		r, err = LoadReading(ctx, p.o.Vault, p.id, id.Submission(), *reading)
	}
	if hopeless(err) {
		return lost, nil
	}
	if err != nil {
		return lost, err
	}
	m, err := Manifest(ctx, p.o.Vault, p.id, id.Submission())
	if hopeless(err) {
		return lost, nil
	}
	if err != nil {
		return lost, err
	}
	body, err := p.o.Vault.Open(ctx, p.id, id.Submission(), m.Original.Key)
	if hopeless(err) {
		return lost, nil
	}
	if err != nil {
		return lost, fmt.Errorf("open original: %w", err)
	}
	defer body.Close()
	return ScanBody(ctx, p.o.Scanner, p.o.Parts, r, m.Original.SHA256, body)
}
