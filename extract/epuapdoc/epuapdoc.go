// Package epuapdoc reads documents that came through ePUAP: the general
// letters (forms 4566 and 1410), the envelope podpisanyPlik, receipts (UPP,
// UPD) and any other form by the blocks that all forms share. It takes out
// subject, text, senders, recipients, attachments, and says what the signatures
// are worth; whatever a document does to be unreadable, the answer is a
// Reading that says so.
package epuapdoc

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"sekretariat"
	"sekretariat/extract/trust"
	"sekretariat/extract/xmlsec"
)

// Name is what a Reading of this package says in its field Reader. It changes
// whenever the same document would be read differently.
const Name = "epuap-5"

// The codes of the findings of this reader.
const (
	FindingDTD        = "xml-dtd"       // a document type declaration: never interpreted
	FindingMalformed  = "xml-malformed" // not well-formed: cut off, damaged, or no XML at all
	FindingEncoding   = "xml-encoding"  // unknown encoding, or octets that are not in it
	FindingLimit      = "xml-limit"     // too deep, too many elements, too large
	FindingUnknown    = "form-unknown"  // not a Dokument: read as plain text
	FindingConflict   = "sender-conflict"
	FindingNoSender   = "no-sender"
	FindingRemote     = "attachment-remote"   // lies in the platform's file repository; Detail: its id
	FindingRemoteOdd  = "attachment-link"     // a link elsewhere than ePUAP: never followed; Detail: the link
	FindingBase64     = "attachment-base64"   // the content is not base64
	FindingCoding     = "attachment-encoding" // an encoding other than base64 and URI; Detail: it
	FindingNoName     = "attachment-no-name"
	FindingNoContent  = "attachment-no-content" // announced, and nothing came with it; Detail: its name
	FindingPartsLimit = "parts-limit"           // more attachments than are listed
	FindingTextCut    = "text-cut"              // more text than the limit
)

// Limits of one document.
const (
	maxDocument = 96 << 20 // octets
	maxKept     = 8 << 20  // octets of text other than attachments
	maxParties  = 100
	maxField    = 1000 // characters of a name, a title, an id
	maxLevels   = 4    // letters within letters
	maxOpened   = 16   // attachments opened as letters
)

// The namespaces that decide.
const (
	spaceUPO    = "http://crd.gov.pl/xml/schematy/UPO/" // of 2008/05/09 and whatever follows it
	spaceCommon = "http://crd.gov.pl/xml/schematy/"     // of all shared blocks
	envelope    = "/podpisanyPlik/"                     // end of the namespace of the envelope
)

// Options are what is known beside the document.
type Options struct {
	// Source is what the channel knows of it (Manifest.Source of ingest/epuap).
	Source map[string]string
	// Trust is what the office trusts; nil: nothing.
	Trust *trust.List
	// At is when the document was surely there, for the validity of
	// certificates; zero = now.
	At time.Time
}

// Read reads one document. The error is one of body or of ctx; a bad document
// is a Reading with findings.
func Read(ctx context.Context, body sekretariat.Body, o Options) (sekretariat.Reading, error) {
	r := sekretariat.Reading{Reader: Name, Format: "application/xml", Outcome: sekretariat.ReadOK}
	if o.At.IsZero() {
		o.At = time.Now()
	}
	source := o.Source
	d := &document{ctx: ctx, body: body, o: o, r: &r}
	err := d.read()
	switch {
	case ctx.Err() != nil:
		return sekretariat.Reading{}, ctx.Err()
	case err == nil:
	case refusal(err) != "":
		r.Outcome = sekretariat.ReadUnreadable
		d.find(refusal(err), "", "")
	default:
		return sekretariat.Reading{}, err
	}
	d.senders()
	if r.Subject == "" {
		r.Subject = field(source["nazwaPliku"])
	}
	r.Sent = sent(source)
	r.MessageID = field(source["identyfikatorDokumentu"])
	return r, nil
}

// refusal returns the finding for a document that the parser refused, "" for
// an error of another kind.
func refusal(err error) string {
	for kind, code := range map[error]string{
		xmlsec.ErrDTD: FindingDTD, xmlsec.ErrSyntax: FindingMalformed,
		xmlsec.ErrEncoding: FindingEncoding, xmlsec.ErrLimit: FindingLimit,
	} {
		if errors.Is(err, kind) {
			return code
		}
	}
	return ""
}

// document is one document being read.
type document struct {
	ctx    context.Context
	body   sekretariat.Body
	o      Options
	r      *sekretariat.Reading
	named  []sekretariat.Party // senders that the document names
	opened int                 // attachments opened as letters
	spoke  []string            // paths of the letters that speak for the document, "" first
}

func (d *document) read() error {
	l, err := d.parse(io.NewSectionReader(d.body, 0, d.body.Size()), "")
	if err != nil {
		return err
	}
	d.r.Form = l.space
	d.header("kodowanie", l.doc.Encoding)
	d.spoke = append(d.spoke, "")
	if err := d.list(l); err != nil {
		return err
	}
	switch {
	case l.root.Name.Local != "Dokument":
		d.find(FindingUnknown, "", l.root.Name.Local)
		d.text(l.rest(l.root))
	case strings.HasPrefix(l.space, spaceUPO) && d.receipt(l):
	default:
		d.letter(l)
	}
	return d.open(l, "", 1)
}

// parse reads one document, the outermost or one in an attachment, whose parts
// are below path.
func (d *document) parse(body io.Reader, path string) (*letter, error) {
	l := &letter{path: path}
	doc, err := xmlsec.Parse(&cancelled{d.ctx, body}, limits, l.divert)
	if err != nil {
		return nil, err
	}
	l.doc, l.root, l.space = doc, doc.Root, doc.Root.Name.Space
	return l, nil
}

// limits of one document.
var limits = xmlsec.Limits{Octets: maxDocument, Text: maxKept}

// cancelled is a reader that ends with its context.
type cancelled struct {
	ctx context.Context
	r   io.Reader
}

func (c *cancelled) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// list adds the attachments and signatures of a letter to the reading.
func (d *document) list(l *letter) error {
	for _, a := range l.attachments {
		if len(d.r.Parts) >= sekretariat.MaxParts {
			d.find(FindingPartsLimit, l.path, "")
			break
		}
		d.attachment(a)
	}
	d.announced(l.root, l.space)
	return d.signatures(l)
}

// find adds a finding.
func (d *document) find(code, part, detail string) {
	if len(d.r.Findings) < sekretariat.MaxFindings {
		d.r.Findings = append(d.r.Findings, sekretariat.Finding{Code: code, Part: part, Detail: field(detail)})
	}
}

// partial notes that some of the document could not be read.
func (d *document) partial() {
	if d.r.Outcome == sekretariat.ReadOK {
		d.r.Outcome = sekretariat.ReadPartial
	}
}

// header keeps a datum that has no field of its own.
func (d *document) header(name, value string) {
	if value = field(value); value == "" {
		return
	}
	if d.r.Headers == nil {
		d.r.Headers = map[string]string{}
	}
	if len(d.r.Headers) < maxParties {
		d.r.Headers[name] = value
	}
}

// text sets the text, cut to the limit.
func (d *document) text(s string) {
	s, cut := cutText(s)
	if cut {
		d.find(FindingTextCut, "", "")
		d.partial()
	}
	d.r.Text = s
}

func cutText(s string) (string, bool) {
	if len(s) <= sekretariat.MaxText {
		return s, false
	}
	return strings.ToValidUTF8(s[:sekretariat.MaxText], ""), true
}

// field cleans a value of one line.
func field(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= maxField {
		return s
	}
	if r := []rune(s); len(r) > maxField {
		return string(r[:maxField])
	}
	return s
}

// sent is when the letter was sent, as the platform says.
func sent(source map[string]string) *time.Time {
	t, err := time.Parse(time.RFC3339Nano, source["dataNadania"])
	if err != nil {
		return nil
	}
	t = t.UTC()
	return &t
}
