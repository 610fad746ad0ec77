package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"sekretariat"
	"sekretariat/extract/xades"
	"sekretariat/ledger"
	"sekretariat/storage"
)

// uppReaders is how many UPPs are looked at at once.
const uppReaders = 4

// receiptDay sees to it that a letter that came through ePUAP arrived when its
// UPP says (rule P2): "date of the UPP, else of sending". A UPP and its letter
// come in any order, each notes for the other where it is, and whichever is
// second changes the day. By the same notes a proof finds its letter's
// department, see proofOf.
func (p *Pipeline) receiptDay(ctx context.Context, s ledger.Stored) error {
	id, ref, arrived, err := readOfPlatform(s.Event)
	if err != nil {
		return ledger.Permanent(err)
	}
	if id == "" || p.o.Keys == nil {
		return nil
	}
	r, err := LoadReading(ctx, p.o.Vault, p.id, id.Submission(), ref)
	if hopeless(err) {
		return nil
	}
	if err != nil {
		return err
	}
	t := p.o.Keys.Platform(arrived.Kind, arrived.Account, r)
	if t == nil {
		return nil
	}
	if r.Auto != "receipt" {
		return p.dayOf(ctx, t.Message, noteLetter, note{Letter: id})
	}
	at, ok := p.provenDay(r)
	if !ok || len(t.References) == 0 {
		return nil
	}
	return p.dayOf(ctx, t.References[0], noteUPP, note{Letter: id, At: at})
}

// readOfPlatform finds the reading that an event tells of: of a letter through an
// official channel, or of a proof without a number. id is "" for all other
// events.
func readOfPlatform(e sekretariat.Event) (id sekretariat.LetterID, ref sekretariat.ObjectRef, a sekretariat.ArrivedLite, err error) {
	switch e.Type {
	case sekretariat.EventRead:
		d, err := sekretariat.DataOf[sekretariat.ReadData](e)
		if err == nil && official(d.Arrived.Kind) {
			return d.Letter, d.Reading, d.Arrived, nil
		}
		return "", ref, a, err
	case sekretariat.EventSorted:
		d, err := sekretariat.DataOf[sekretariat.SortedData](e)
		if err == nil && official(d.Arrived.Kind) && len(d.Letters) == 1 && d.Letters[0].Reason == sekretariat.ParkProof && d.Letters[0].Reading != nil {
			return sekretariat.NewLetterID(d.Arrived.Submission, 1), *d.Letters[0].Reading, lite(d.Arrived), nil
		}
		return "", ref, a, err
	}
	return "", ref, a, nil
}

func official(k sekretariat.Kind) bool {
	return k == sekretariat.KindEPUAP || k == sekretariat.KindEDelivery
}

// provenDay is the day that a UPP proves. Anybody can send a document that looks
// like one: only the seal of the platform, under a certificate that the office
// trusts, over the whole of it, makes it a proof; and nothing arrives in the
// future.
func (p *Pipeline) provenDay(r *sekretariat.Reading) (time.Time, bool) {
	sealed := slices.ContainsFunc(r.Signatures, func(s sekretariat.Signature) bool {
		return s.Verdict == sekretariat.VerdictValid && s.Kind == string(xades.TypePlatformSeal) && s.Covers
	})
	if !sealed || r.Headers["poswiadczenie"] == "UPD" {
		return time.Time{}, false
	}
	text := r.Headers["poswiadczenie.data"]
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil { // xsd:dateTime without a zone is Polish time
		at, err = time.ParseInLocation("2006-01-02T15:04:05.999999999", text, sekretariat.Warsaw())
	}
	return at.UTC().Truncate(time.Millisecond), err == nil && !at.After(p.o.Clock())
}

// note says where a letter, or the UPP about it, is. It is kept under a keyed
// digest of the platform's id.
type note struct {
	Letter sekretariat.LetterID `json:"letter"`
	At     time.Time            `json:"at,omitzero"` // of a UPP
}

const (
	noteLetter = "letter"
	noteUPP    = "upp"
)

func (p *Pipeline) noteKey(about sekretariat.Digest, what string) string {
	return storage.ConfigKey(p.id, fmt.Sprintf("platform/%s.%s.json", about, what))
}

// dayOf notes one of the two and, if the other is there, changes the day.
func (p *Pipeline) dayOf(ctx context.Context, about sekretariat.Digest, what string, n note) error {
	if about == "" {
		return nil
	}
	raw, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("note about a UPP: %w", err)
	}
	err = p.o.Vault.Objects().PutOnce(ctx, p.noteKey(about, what), storage.Bytes(raw))
	if err != nil && !errors.Is(err, storage.ErrExists) {
		return fmt.Errorf("note about a UPP: %w", err)
	}
	letter, err := p.noted(ctx, about, noteLetter)
	if err != nil || letter.Letter == "" {
		return err
	}
	upp, err := p.noted(ctx, about, noteUPP)
	if err != nil || upp.Letter == "" {
		return err
	}
	return p.redate(ctx, letter.Letter, upp)
}

// noted reads a note; zero if there is none.
func (p *Pipeline) noted(ctx context.Context, about sekretariat.Digest, what string) (n note, err error) {
	o, err := p.o.Vault.Objects().Get(ctx, p.noteKey(about, what))
	if errors.Is(err, storage.ErrNotFound) {
		return n, nil
	}
	if err != nil {
		return n, fmt.Errorf("note about a UPP: %w", err)
	}
	defer o.Close()
	raw, err := io.ReadAll(io.NewSectionReader(o, 0, min(o.Size(), 1<<10)))
	if err == nil {
		err = json.Unmarshal(raw, &n)
	}
	if err != nil {
		return note{}, fmt.Errorf("note about a UPP: %w", err)
	}
	return n, nil
}

// errUndecided: the letter has no decision yet whose deadlines could be counted
// anew; it will have one in a moment.
var errUndecided = errors.New("the letter is not decided yet")

// redate sets the day of receipt by a UPP. What a person has said about it
// stands.
func (p *Pipeline) redate(ctx context.Context, id sekretariat.LetterID, upp note) error {
	state, _, err := State(ctx, p.o.Log, id.Submission())
	if err != nil {
		return err
	}
	l := state.Letters[id.Part()]
	if !redatable(l, upp) {
		return nil
	}
	if !l.Decided() {
		return fmt.Errorf("day of receipt of letter %s: %w", id, errUndecided)
	}
	read := l.Reading
	advice, ref, err := p.adviceAsOf(ctx, l, upp.At)
	if err != nil {
		return err
	}
	return p.amend(ctx, id, 0, func(l *sekretariat.Letter) (*sekretariat.Event, error) {
		if !redatable(l, upp) {
			return nil, nil
		}
		if overtaken(l, read) {
			return nil, errMoved // the event comes again
		}
		return p.event(sekretariat.EventRedated, "route", string(id), l.Redated+1, sekretariat.RedatedData{
			Letter: id, Revision: l.Redated + 1, Arrived: sekretariat.Arrival{At: upp.At, Basis: sekretariat.BasisUPP}, Before: l.Arrived.Arrived,
			Code: sekretariat.RedatedByUPP, Proof: upp.Letter, Deadlines: advice.Decision.Deadlines, Advice: ref,
		})
	})
}

// redatable tells whether a UPP has anything to say about a letter.
func redatable(l *sekretariat.Letter, upp note) bool {
	if l == nil || l.Cancelled || l.Status == sekretariat.StatusParked {
		return false
	}
	switch l.Arrived.Arrived.Basis {
	case sekretariat.BasisSent, sekretariat.BasisServerArrival:
		return l.ID != upp.Letter
	}
	return false
}
