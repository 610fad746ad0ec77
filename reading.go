package sekretariat

import (
	"strings"
	"time"
)

// Outcome is how far reading got.
type Outcome string

// The outcomes of reading. Whatever the outcome, the letter is routed: what
// cannot be read belongs to the sekretariat, with the reason.
const (
	ReadOK         Outcome = "ok"
	ReadPartial    Outcome = "partial"    // some part could not be read, see Findings
	ReadUnreadable Outcome = "unreadable" // nothing beyond the bytes
)

// Limits of a Reading, so that one letter cannot fill memory. Originals are
// never cut.
const (
	MaxText     = 256 << 10 // octets of Text, of a letter and of each part
	MaxParts    = 1000      // parts listed
	MaxFindings = 200
)

// Reading is what could be read of one letter, by the machine, without
// judgement: the input of the router, the source of the register card. It is
// stored sealed, for it holds personal data.
type Reading struct {
	Reader  string  `json:"reader"` // name and version, "mail-1"
	Format  string  `json:"format"` // media type of the original by content
	Outcome Outcome `json:"outcome"`

	Subject    string     `json:"subject,omitempty"`
	Text       string     `json:"text,omitempty"` // the writer's words, best of plain and HTML, UTF-8
	Sender     Party      `json:"sender"`
	ReplyTo    []Party    `json:"replyTo,omitempty"`
	Senders    []Party    `json:"senders,omitempty"`    // all that signatures, account and document name, each with its Basis, when more than one
	Recipients []Party    `json:"recipients,omitempty"` // To and Cc, Adresaci
	Written    string     `json:"written,omitempty"`    // date on the letter, RRRR-MM-DD or partial
	Sent       *time.Time `json:"sent,omitempty"`
	Reference  string     `json:"reference,omitempty"` // the sender's own reference (znak pisma)
	Form       string     `json:"form,omitempty"`      // namespace of an ePUAP form

	MessageID  string            `json:"messageId,omitempty"`
	References []string          `json:"references,omitempty"`
	Auto       string            `json:"auto,omitempty"` // "auto-reply", "bounce", "list", "receipt", …; "" = written by a person
	Headers    map[string]string `json:"headers,omitempty"`
	Report     *Report           `json:"report,omitempty"` // of a bounce or a receipt: what it says of the mail it is about

	Parts      []Part      `json:"parts,omitempty"`
	Pages      []Page      `json:"pages,omitempty"`
	Codes      []Code      `json:"codes,omitempty"`
	Signatures []Signature `json:"signatures,omitempty"`
	Findings   []Finding   `json:"findings,omitempty"`

	CaseNumbers []string `json:"caseNumbers,omitempty"` // znaki spraw in the text, as written
}

// Party is a person or institution as a letter names it.
type Party struct {
	Name         string            `json:"name,omitempty"`
	Organisation bool              `json:"organisation,omitempty"`
	Unit         string            `json:"unit,omitempty"` // of an organisation: "III Wydział Rodzinny"
	GivenName    string            `json:"givenName,omitempty"`
	FamilyName   string            `json:"familyName,omitempty"`
	Email        string            `json:"email,omitempty"`
	Phone        []string          `json:"phone,omitempty"`
	Address      *Address          `json:"address,omitempty"`
	IDs          map[string]string `json:"ids,omitempty"`   // "PESEL", "NIP", "REGON", "KRS", "ePUAP"
	Basis        string            `json:"basis,omitempty"` // what it was taken from: "header", "account", "document", "signature"
}

// Called is what a party is called in lists: its name, else its address.
func (p Party) Called() string {
	for _, s := range []string{p.Name, strings.TrimSpace(p.GivenName + " " + p.FamilyName), p.Email} {
		if s != "" {
			return s
		}
	}
	return ""
}

// Address is a postal address, annex-2 fields 2a to 2g.
type Address struct {
	Postcode string `json:"postcode,omitempty"`
	Town     string `json:"town,omitempty"`
	Street   string `json:"street,omitempty"`
	Building string `json:"building,omitempty"`
	Flat     string `json:"flat,omitempty"`
	POBox    string `json:"poBox,omitempty"`
	Country  string `json:"country,omitempty"`
}

// Part is one part of a letter: a MIME part, an attachment of an ePUAP letter,
// an archive member. Every part is listed with its fate.
//
// A member of an archive names the part that holds it (In, "" when the letter
// itself is the archive) and its place there (Member).
type Part struct {
	Path       string `json:"path"`           // position in the tree, "1.2"
	Name       string `json:"name,omitempty"` // as declared, for display only
	SafeName   string `json:"safeName,omitempty"`
	Remark     string `json:"remark,omitempty"`   // what the writer says of it (ePUAP OpisZalacznika)
	Declared   string `json:"declared,omitempty"` // declared media type
	Type       string `json:"type"`               // media type by content
	Attachment bool   `json:"attachment,omitempty"`
	Size       int64  `json:"size"`   // octets, decoded
	SHA256     Digest `json:"sha256"` // of the decoded octets
	Fate       string `json:"fate"`   // "text", "listed", "read", "opened", "unreadable", "limit", "encrypted" (a password opens it), "secret" (only somebody's key does)
	Charset    string `json:"charset,omitempty"`
	ContentID  string `json:"contentId,omitempty"`
	Encoding   string `json:"encoding,omitempty"` // content transfer encoding
	Offset     int64  `json:"offset,omitempty"`   // of the encoded body in the original
	Length     int64  `json:"length,omitempty"`   // octets, encoded
	In         string `json:"in,omitempty"`       // path of the part that holds it: an archive, a message in an archive
	Member     int    `json:"member,omitempty"`   // ordinal in that archive, from 1; 0 = no member of an archive
	Text       string `json:"text,omitempty"`     // text read from it, when Fate is "read"; sender and subject of an opened message
}

// Report is what a bounce, a delivery receipt (RFC 3464) or a read receipt
// (RFC 8098) says of the mail that it is about.
type Report struct {
	Kind            string            `json:"kind"`                 // report-type: "delivery-status", "disposition-notification", "feedback-report"; "text" when only its words tell
	Action          string            `json:"action,omitempty"`     // the worst of all recipients: "failed", "delayed", "delivered", "relayed", "expanded"; of a disposition "displayed", "deleted" …
	OriginalID      string            `json:"originalId,omitempty"` // Message-ID of the mail it is about
	OriginalSubject string            `json:"originalSubject,omitempty"`
	Envelope        string            `json:"envelope,omitempty"` // Original-Envelope-Id: what the sender gave as ENVID (RFC 3461)
	Recipients      []ReportRecipient `json:"recipients,omitempty"`
}

// MaxReportRecipients bounds the recipients of a Report.
const MaxReportRecipients = 200

// ReportRecipient is what a Report says of one recipient.
type ReportRecipient struct {
	Address    string `json:"address"`
	Original   string `json:"original,omitempty"`   // the address as the sender wrote it, if it was forwarded
	Action     string `json:"action,omitempty"`     // as in Report
	Status     string `json:"status,omitempty"`     // enhanced status code (RFC 3463): "5.1.1"
	Diagnostic string `json:"diagnostic,omitempty"` // words of the server that refused
}

// Page is one page of a scan.
type Page struct {
	Part   string `json:"part,omitempty"` // path of the part that it is a page of, "" = the letter
	Number int    `json:"number"`         // from 1, within its part
	Width  int    `json:"width,omitempty"`
	Height int    `json:"height,omitempty"`
	DPI    int    `json:"dpi,omitempty"`
	DPIY   int    `json:"dpiY,omitempty"` // down the page, where it differs from DPI: a fax
	// Orientation says how to turn the picture so that it stands upright, as
	// in EXIF (2.32 §4.6.4, tag 274): 1 to 8, 0 = not said. Width and Height
	// are those of the picture as stored, before turning.
	Orientation int  `json:"orientation,omitempty"`
	Blank       bool `json:"blank,omitempty"`
	// Of a page that went through text recognition, see RecognisedPage.
	Turn       int      `json:"turn,omitempty"`
	Faults     []string `json:"faults,omitempty"`
	Confidence int      `json:"confidence,omitempty"`
	Text       string   `json:"text,omitempty"`
}

// Code is a barcode or QR code found on a page.
type Code struct {
	Page   int    `json:"page"`
	Symbol string `json:"symbol"` // "qr", "code128", "patch-t"
	Value  string `json:"value"`
}

// The verdicts of a Signature. Only with VerdictValid was it checked who signed;
// intact and broken say nothing of whether the certificate is to be trusted.
const (
	VerdictUnchecked = "unchecked" // not verified, or nothing here can verify it
	VerdictIntact    = "intact"    // what was signed is unchanged, and the key of the certificate shown signed it
	VerdictBroken    = "broken"    // changed after signing, or not signed by that key

	VerdictValid     = "valid"     // right in every respect, by a certificate that the office trusts
	VerdictWeak      = "weak"      // right, but with an algorithm or key that is too weak
	VerdictExpired   = "expired"   // right, but the certificate was not valid at the time
	VerdictUntrusted = "untrusted" // right, by a certificate that the office does not trust
	VerdictPartial   = "partial"   // right, but does not protect the whole document
	VerdictInvalid   = "invalid"   // wrong, or not checkable
)

// Signature is one electronic signature found in or beside a letter.
type Signature struct {
	Part      string     `json:"part,omitempty"`    // path of the part it belongs to, "" = the letter
	Type      string     `json:"type"`              // "xades", "pades", "cades", "asic-s", "asic-e", "smime", "pgp", …
	Verdict   string     `json:"verdict"`           // see the Verdict constants
	Of        string     `json:"of,omitempty"`      // paths of the parts that it signs, separated by blanks, when they are known
	Pairing   string     `json:"pairing,omitempty"` // what ties it to them: "digest", "content" (they are inside), or "name" alone
	Signer    *Party     `json:"signer,omitempty"`
	Issuer    string     `json:"issuer,omitempty"`    // of the certificate, as it names itself
	Qualified bool       `json:"qualified,omitempty"` // the certificate calls itself qualified (eIDAS, ETSI EN 319 412-5); not examined
	At        *time.Time `json:"at,omitempty"`        // as the signer says

	// Of a checked signature. Only a signature whose Verdict is "valid" says
	// who signed; of any other, Signer is a claim.
	Kind        string `json:"kind,omitempty"`        // "profil-zaufany", "qualified", "personal", "seal", "platform-seal", "unknown"
	Crypto      string `json:"crypto,omitempty"`      // "valid" if all digests and the value are right, else "invalid"
	Covers      bool   `json:"covers,omitempty"`      // it protects the whole document
	Reason      string `json:"reason,omitempty"`      // code of why it is not valid
	Claims      string `json:"claims,omitempty"`      // form of the claims under Profil Zaufany: "EPSignature", "PodpisZP"
	Certificate Digest `json:"certificate,omitempty"` // of the signer's certificate, DER
	Text        string `json:"text,omitempty"`        // in plain Polish: "podpis zaufany: Jan Kowalski, ważny"
}

// Finding is something about a letter that a clerk or the router should know.
// Code is from a fixed list, Detail may hold personal data.
type Finding struct {
	Code   string `json:"code"`
	Part   string `json:"part,omitempty"`
	Detail string `json:"detail,omitempty"`
}
