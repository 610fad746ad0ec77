// Package edoreczenia knows how a message of e-Doręczenia is kept and read. A
// message is many pieces at its provider (metadata, attachments, evidence, an
// archive); the office keeps them as one original, a container that this
// package writes (Writer) and reads (Read). The octets of every foreign piece
// stay as they came, for the provider has sealed them.
package edoreczenia

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"sekretariat"
	"sekretariat/extract/epuapdoc"
	"sekretariat/extract/mail"
	"sekretariat/extract/polish"
	"sekretariat/extract/sniff"
	"sekretariat/extract/trust"
)

// Name is what a Reading of this package says in its field Reader. It changes
// whenever the same container would be read differently.
const Name = "edoreczenia-1"

// AutoReceipt is the value of Reading.Auto for proof of what became of a letter
// that was sent: no new matter, it belongs to that letter's case (rule P11).
const AutoReceipt = "receipt"

// The codes of the findings of this reader.
const (
	FindingContainer = "container-damaged" // not a container, or one of a later program
	FindingMessage   = "message-malformed" // the message's own JSON cannot be read
	FindingHash      = "attachment-hash"   // other octets than the message declares; Detail: the outcome
	FindingSize      = "attachment-size"   // another size than the message declares
	FindingMissing   = "not-handed-over"   // the provider did not hand it over; Detail: what, and its answer
	FindingNoReceipt = "no-receipt-date"   // no proof of receipt yet: the day of receipt is that of storing
	FindingTextCut   = "text-cut"
)

// The keys of Manifest.Source that ingest/edelivery writes and that are not in
// the container: the state of the message in its mailbox when it was taken, and
// what is known of the letter of ours that it is about.
const (
	SourceStatus       = "status"       // of the message in its mailbox, in the provider's words
	SourceClass        = "class"        // of a proof, see the Class constants
	SourceAbout        = "about"        // id of the sent message that it answers or proves
	SourceAboutSubject = "aboutSubject" // its subject
	SourceAboutCase    = "aboutCase"    // its case number
	SourceAboutTo      = "aboutTo"      // its addressee
	SourceEvidence     = "evidenceId"   // of evidence that came after the message it is about: its id
)

// The classes of proof.
const (
	ClassDelivered   = "delivered"   // received by the addressee
	ClassDeemed      = "deemed"      // not collected in time: deemed delivered
	ClassUndelivered = "undelivered" //
	ClassRejected    = "rejected"    // the provider did not send it
	ClassEvidence    = "evidence"    // evidence that came as a message of its own
)

// Limits.
const (
	maxField = 1000 // characters of one line
	maxParty = 100
	maxXML   = 16 // attachments that are read as ePUAP letters
	xmlSize  = 64 << 20
)

// Options say what is known beside the container.
type Options struct {
	// Source is the manifest's Source.
	Source map[string]string
	// Trust is what the office trusts, for signatures of attached letters; nil:
	// nothing.
	Trust *trust.List
	// At is when the message was surely there, for the validity of
	// certificates; zero = now.
	At time.Time
}

// Read reads one container. The error is one of body or of ctx; a container
// that cannot be read is a Reading that says so.
func Read(ctx context.Context, body sekretariat.Body, o Options) (sekretariat.Reading, error) {
	d := &document{ctx: ctx, body: body, o: o, source: o.Source}
	d.r = sekretariat.Reading{Reader: Name, Format: MediaType, Outcome: sekretariat.ReadOK}
	c, err := open(body)
	switch {
	case errors.Is(err, errContainer):
		d.r.Outcome = sekretariat.ReadUnreadable
		d.find(FindingContainer, "", "")
		return d.r, ctx.Err()
	case err != nil:
		return d.r, fmt.Errorf("open a container: %w", err)
	}
	d.c = c
	if d.message, err = ParseMessage(c.message); err != nil {
		d.find(FindingMessage, "", "")
		d.partial()
	}
	d.letter()
	d.parts()
	if err := d.forms(); err != nil {
		return d.r, err
	}
	if c.index.Kind == KindProof {
		d.proof()
	}
	d.r.CaseNumbers = polish.CaseNumbers(strings.Join([]string{
		d.message.Metadata.CaseID, d.source[SourceAboutCase], d.source[SourceAboutSubject],
	}, "\n"))
	return d.r, ctx.Err()
}

// OpenPart returns the octets of a part. They lie in the container as they are.
func OpenPart(body sekretariat.Body, p sekretariat.Part) io.Reader {
	return io.NewSectionReader(body, p.Offset, p.Length)
}

// document is one container being read.
type document struct {
	ctx     context.Context
	body    sekretariat.Body
	o       Options
	source  map[string]string
	c       *container
	message Message
	r       sekretariat.Reading
}

func (d *document) find(code, part, detail string) {
	if len(d.r.Findings) < sekretariat.MaxFindings {
		d.r.Findings = append(d.r.Findings, sekretariat.Finding{Code: code, Part: part, Detail: line(detail)})
	}
}

func (d *document) partial() {
	if d.r.Outcome == sekretariat.ReadOK {
		d.r.Outcome = sekretariat.ReadPartial
	}
}

// letter takes over what the message says of itself.
func (d *document) letter() {
	m := d.message.Metadata
	d.r.Subject, d.r.Sender = line(m.Subject), party(m.From)
	for _, to := range m.To[:min(len(m.To), maxParty)] {
		d.r.Recipients = append(d.r.Recipients, party(to))
	}
	d.text(d.message.TextBody)
	for _, s := range []string{m.SubmissionDate, m.EventDate} {
		if t, ok := ParseTime(s); ok && d.r.Sent == nil {
			d.r.Sent = &t
		}
	}
	d.r.MessageID, d.r.Reference = line(m.MessageID), line(m.CaseID)
	if late := line(d.source[SourceEvidence]); late != "" { // the letter itself is another one
		d.r.MessageID += "#" + late
	}
	for _, id := range []string{m.RefToMessageID, d.source[SourceAbout], m.ThreadID} {
		if id = line(id); id != "" && id != d.r.MessageID && !contains(d.r.References, id) {
			d.r.References = append(d.r.References, id)
		}
	}
	d.headers(m)
	if _, ok := ParseTime(m.ReceiptDate); !ok && d.c.index.Kind == KindMessage {
		d.find(FindingNoReceipt, "", "")
	}
}

// headers keeps the four dates as the provider wrote them, and what has no
// field of its own.
func (d *document) headers(m Metadata) {
	d.r.Headers = map[string]string{}
	for name, value := range map[string]string{
		"ade": d.c.index.Address, "timestamp": m.Timestamp, "receiptDate": m.ReceiptDate, "submissionDate": m.SubmissionDate,
		"eventDate": m.EventDate, "shippingService": m.Shipping, "threadId": m.ThreadID, "caseId": m.CaseID,
		SourceStatus: d.source[SourceStatus], SourceClass: d.source[SourceClass], SourceAbout: d.source[SourceAbout],
		SourceAboutSubject: d.source[SourceAboutSubject], SourceAboutCase: d.source[SourceAboutCase], SourceAboutTo: d.source[SourceAboutTo],
	} {
		if value = line(value); value != "" {
			d.r.Headers[name] = value
		}
	}
}

// text sets the text, cut to the limit.
func (d *document) text(s string) {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	if len(s) > sekretariat.MaxText {
		s = s[:sekretariat.MaxText]
		d.find(FindingTextCut, "", "")
		d.partial()
	}
	d.r.Text = strings.ToValidUTF8(s, "")
}

// party is a person or institution as the provider names it. The provider has
// verified who owns an address, so this is what the account says.
func party(a AddressData) sekretariat.Party {
	p := sekretariat.Party{Basis: "account"}
	if company := line(a.Contributor.CompanyName + " " + a.Contributor.CompanyNameContinued); company != "" {
		p.Name, p.Organisation = company, true
	} else {
		p.GivenName, p.FamilyName = line(a.Contributor.FirstName), line(a.Contributor.LastName)
		p.Name = strings.TrimSpace(p.GivenName + " " + p.FamilyName)
	}
	if ade := line(a.ADE); ade != "" {
		p.IDs = map[string]string{"ADE": ade}
	}
	if at := a.Address; at != nil {
		p.Address = &sekretariat.Address{
			Postcode: line(at.Postcode), Town: line(at.City), Street: line(at.Street),
			Building: line(at.Building), Flat: line(at.Flat), Country: line(at.Country),
		}
	}
	return p
}

// parts lists the files of the container.
func (d *document) parts() {
	described := map[string]FileMetadata{}
	for _, a := range d.message.Attachments {
		described[a.ID] = a.File.Metadata
	}
	for _, e := range d.c.index.Entries {
		if len(d.r.Parts) >= sekretariat.MaxParts {
			break
		}
		d.part(e, described[e.ID])
	}
	for _, m := range d.c.index.Missing {
		d.find(FindingMissing, "", string(m.Role)+" "+m.Why)
		if m.Role == RoleAttachment {
			d.partial()
		}
	}
}

// part lists one file. Evidence and archives are listed, but they are no
// attachments of the letter.
func (d *document) part(e Entry, file FileMetadata) {
	p := sekretariat.Part{
		Path: strings.NewReplacer("attachments/", "", "evidences/", "dowod.", ".zip", "").Replace(e.Path),
		Name: line(e.Name), Declared: line(e.Type), Type: sniff.Unknown, Attachment: e.Role == RoleAttachment,
		Size: e.Size, SHA256: e.SHA256, Fate: "listed",
	}
	p.Path = strings.TrimLeft(p.Path, "0")
	var err error
	if p.Offset, p.Length, err = d.c.span(e.Path); err != nil || p.Length != e.Size {
		p.Fate, p.Offset, p.Length = "unreadable", 0, 0
		d.find(FindingContainer, p.Path, "")
		d.partial()
	} else {
		head := make([]byte, min(p.Length, sniff.HeadSize))
		if _, err := d.body.ReadAt(head, p.Offset); err == nil || errors.Is(err, io.EOF) {
			p.Type = sniff.Type(head, e.Name)
		}
	}
	p.SafeName = mail.SafeName(e.Name, p.Type, p.Path)
	if e.Hash == HashWrong || e.Hash == HashUnknown {
		d.find(FindingHash, p.Path, e.Hash)
	}
	if e.Declared > 0 && e.Declared != e.Size {
		d.find(FindingSize, p.Path, fmt.Sprintf("%d, %d", e.Declared, e.Size))
	}
	if s := line(file.Description); s != "" {
		d.r.Headers["zalacznik."+p.Path+".opis"] = s
	}
	d.r.Parts = append(d.r.Parts, p)
}

// forms reads attachments that are letters by a form of ePUAP: many citizens
// and offices still attach those. Their text becomes the part's text; their
// signatures are listed.
func (d *document) forms() error {
	opened := 0
	for i := range d.r.Parts {
		p := &d.r.Parts[i]
		if !p.Attachment || p.Type != "application/xml" || p.Fate != "listed" || p.Length > xmlSize || opened >= maxXML {
			continue
		}
		opened++
		sub, err := epuapdoc.Read(d.ctx, io.NewSectionReader(d.body, p.Offset, p.Length), epuapdoc.Options{Trust: d.o.Trust, At: d.o.At})
		if err != nil {
			return err
		}
		if sub.Outcome == sekretariat.ReadUnreadable || sub.Form == "" {
			continue // any XML file may be attached
		}
		d.sign(p.Path, sub.Signatures)
		p.Fate, p.Text = "read", strings.TrimSpace(sub.Subject+"\n\n"+sub.Text)
		if len(p.Text) > sekretariat.MaxText {
			p.Text = strings.ToValidUTF8(p.Text[:sekretariat.MaxText], "")
		}
		if d.r.Form == "" {
			d.r.Form, d.r.Written = sub.Form, sub.Written
		}
	}
	return nil
}

// sign lists the signatures of an attached letter, below its path.
func (d *document) sign(path string, list []sekretariat.Signature) {
	for _, s := range list {
		s.Part = strings.TrimSuffix(path+"."+s.Part, ".")
		inner := strings.Fields(s.Of)
		for i := range inner {
			inner[i] = path + "." + inner[i]
		}
		s.Of = strings.Join(inner, " ")
		d.r.Signatures = append(d.r.Signatures, s)
	}
}

// evidences reads the list of evidence of the container.
func (d *document) evidences() []Evidence {
	var raw []json.RawMessage
	if err := json.Unmarshal(d.c.evidences, &raw); err != nil {
		return nil
	}
	list, err := ParseEvidences(raw)
	if err != nil {
		return nil
	}
	return list
}

// line cleans a value of one line.
func line(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "")), " ")
	if r := []rune(s); len(r) > maxField {
		return string(r[:maxField])
	}
	return s
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}
