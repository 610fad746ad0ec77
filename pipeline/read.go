package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"sekretariat"
	"sekretariat/extract"
	"sekretariat/ingest/dropbox"
	"sekretariat/ledger"
	"sekretariat/storage"
)

// maxManifest bounds the manifests that are read back; they are ours.
const maxManifest = 1 << 20

// MaxReading bounds a stored reading.
const MaxReading = 64 << 20

// read has one registered letter read and keeps the reading.
func (p *Pipeline) read(ctx context.Context, s ledger.Stored) error {
	if s.Event.Type != sekretariat.EventRegistered {
		return nil
	}
	d, err := sekretariat.DataOf[sekretariat.RegisteredData](s.Event)
	if err != nil {
		return ledger.Permanent(err)
	}
	id := d.Entry.Letter
	p.tell(Step{Letter: id, Type: sekretariat.EventRegistered, Number: d.Entry.Number, Kind: d.Arrived.Kind})
	if s.Redelivered { // read before the crash? then do not read again
		if state, _, err := State(ctx, p.o.Log, id.Submission()); err == nil {
			if l := state.Letters[id.Part()]; l != nil && l.Reader != "" {
				return nil
			}
		}
	}
	ref, reading, err := p.keepReading(ctx, d)
	if err != nil {
		return err
	}
	return p.amend(ctx, id, d.Cause, func(l *sekretariat.Letter) (*sekretariat.Event, error) {
		if l != nil && l.Reader != "" {
			return nil, nil
		}
		data := sekretariat.ReadData{
			Letter: id, Number: d.Entry.Number, Reading: ref, Reader: reading.Reader, Outcome: reading.Outcome,
			Arrived: lite(d.Arrived), Closed: d.Closed, Decided: d.Before,
		}
		data.Thread = p.thread(d.Arrived, reading)
		if l != nil {
			data.Decided = l.Revision
		}
		return p.event(sekretariat.EventRead, "read", string(id), 0, data)
	})
}

// thread says how a letter hangs together with others.
func (p *Pipeline) thread(a sekretariat.ArrivedData, r *sekretariat.Reading) *sekretariat.Thread {
	switch {
	case p.o.Keys == nil:
	case a.Kind == sekretariat.KindMail:
		return p.o.Keys.Thread(r)
	case a.Kind == sekretariat.KindEPUAP, a.Kind == sekretariat.KindEDelivery:
		return p.o.Keys.Platform(a.Kind, a.Account, r)
	}
	return nil
}

func lite(a sekretariat.ArrivedData) sekretariat.ArrivedLite {
	return sekretariat.ArrivedLite{
		Kind: a.Kind, Door: a.Door, Account: a.Account, Box: a.Box, Unit: a.Unit, Department: a.Department, Sheet: a.Sheet,
		At: a.Arrived.At, Received: a.Received,
	}
}

// keepReading reads the original and seals the reading beside it.
func (p *Pipeline) keepReading(ctx context.Context, d sekretariat.RegisteredData) (sekretariat.ObjectRef, *sekretariat.Reading, error) {
	reading, err := p.readOriginal(ctx, d.Arrived)
	if err != nil {
		return sekretariat.ObjectRef{}, nil, err
	}
	reading = narrow(reading, d.Range)
	ref, err := p.sealReading(ctx, d.Arrived.Submission, reading, fmt.Sprintf("%d.reading.json", d.Entry.Letter.Part()))
	if err != nil {
		return sekretariat.ObjectRef{}, nil, err
	}
	p.recent.put(ref.Key, reading)
	return ref, reading, nil
}

// sealReading keeps a reading beside its submission.
func (p *Pipeline) sealReading(ctx context.Context, s sekretariat.SubmissionID, reading *sekretariat.Reading, name string) (sekretariat.ObjectRef, error) {
	raw, err := json.Marshal(reading)
	if err != nil {
		return sekretariat.ObjectRef{}, ledger.Permanent(fmt.Errorf("encode reading of submission %.12s…: %w", s, err))
	}
	key := storage.DerivedKey(p.id, s, reading.Reader, name)
	// Readings come one by one from a few readers, for many letters at once:
	// they share flushes of the disk.
	item := storage.SealItem{Key: key, Body: bytes.NewReader(raw), Patient: true}
	if err := p.o.Vault.Commit(ctx, p.id, s, []storage.SealItem{item}); err != nil {
		return sekretariat.ObjectRef{}, fmt.Errorf("keep reading of submission %.12s…: %w", s, err)
	}
	return sekretariat.ObjectRef{Key: key, SHA256: sekretariat.DigestOf(raw), Size: int64(len(raw)), MediaType: "application/json"}, nil
}

// readOriginal opens manifest and original and reads. What cannot be opened for
// good (damaged, shredded) is a reading that says so: the letter still goes to
// a person.
func (p *Pipeline) readOriginal(ctx context.Context, a sekretariat.ArrivedData) (*sekretariat.Reading, error) {
	if r := p.glanced.take(string(a.Submission)); r != nil {
		return r, nil // sorting has read it to its end a moment ago
	}
	o, err := p.openOriginal(ctx, a.Submission)
	if hopeless(err) {
		return unopened(err), nil
	}
	if err != nil {
		return nil, err
	}
	defer o.body.Close()
	r, err := p.readAll(ctx, a, o, p.o.Reader)
	if hopeless(err) {
		return unopened(err), nil
	}
	return r, err
}

// original is an opened original.
type original struct {
	manifest sekretariat.Manifest
	body     storage.Object
}

func (p *Pipeline) openOriginal(ctx context.Context, s sekretariat.SubmissionID) (original, error) {
	m, err := Manifest(ctx, p.o.Vault, p.id, s)
	if err != nil {
		return original{}, err
	}
	body, err := p.o.Vault.Open(ctx, p.id, s, m.Original.Key)
	if err != nil {
		return original{}, fmt.Errorf("open original of submission %.12s…: %w", s, err)
	}
	return original{m, body}, nil
}

// input is what a reader is given of an original.
func (p *Pipeline) input(a sekretariat.ArrivedData, o original) extract.Input {
	in := extract.Input{
		Kind: o.manifest.Kind, Name: o.manifest.Source[dropbox.SourceName], MediaType: o.manifest.Original.MediaType, Source: o.manifest.Source,
		At: o.manifest.Received, Body: o.body,
	}
	if in.Kind == sekretariat.KindMail {
		in.Headers = p.headers(a.Account)
	}
	return in
}

func (p *Pipeline) readAll(ctx context.Context, a sekretariat.ArrivedData, o original, reader extract.Reader) (*sekretariat.Reading, error) {
	r, err := reader.Read(ctx, p.input(a, o))
	if err != nil {
		return nil, fmt.Errorf("read submission %.12s…: %w", a.Submission, err)
	}
	if odd := o.manifest.Source[dropbox.SourceFinding]; odd != "" { // what the door saw of the file
		r.Findings = append([]sekretariat.Finding{{Code: FindingDoor + odd}}, r.Findings...)
		r.Findings = r.Findings[:min(len(r.Findings), sekretariat.MaxFindings)]
	}
	return &r, nil
}

// FindingDoor begins the codes of what the door of a box saw of a file, see
// dropbox.SourceFinding.
const FindingDoor = "scan-"

// Manifest reads the manifest of a submission.
func Manifest(ctx context.Context, v *storage.Vault, c sekretariat.CentreID, s sekretariat.SubmissionID) (sekretariat.Manifest, error) {
	var m sekretariat.Manifest
	raw, err := v.ReadAll(ctx, c, s, storage.ManifestKey(c, s), maxManifest)
	if err != nil {
		return m, fmt.Errorf("manifest of submission %.12s…: %w", s, err)
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return m, fmt.Errorf("manifest of submission %.12s…: %w: %w", s, storage.ErrDamaged, err)
	}
	return m, nil
}

// hopeless tells whether no repetition will open the object. A missing object
// is not hopeless: it may be on its way to a store shared by several machines.
func hopeless(err error) bool {
	return errors.Is(err, storage.ErrDamaged) || errors.Is(err, storage.ErrShredded)
}

// FindingDamaged marks a letter whose stored bytes cannot be opened.
const FindingDamaged = "stored-object-damaged"

func unopened(err error) *sekretariat.Reading {
	code := FindingDamaged
	if errors.Is(err, storage.ErrShredded) {
		code = "destroyed"
	}
	return &sekretariat.Reading{Reader: "none-1", Outcome: sekretariat.ReadUnreadable, Findings: []sekretariat.Finding{{Code: code}}}
}
