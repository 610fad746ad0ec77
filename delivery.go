package sekretariat

import (
	"io"
	"time"
)

// Kind is what a submission is, whatever door it came through.
type Kind string

// The kinds of submissions.
const (
	KindMail      Kind = "mail"      // an e-mail message, RFC 5322
	KindEPUAP     Kind = "epuap"     // an ePUAP document
	KindEDelivery Kind = "edelivery" // an e-Doręczenia message
	KindBox       Kind = "box"       // a file from a drop box: usually a scan
	KindManual    Kind = "manual"    // post, telephone, in person: typed in by a clerk
)

// Door is the technical way a submission came in. It never takes part in the
// identity of a submission: the same scan by two doors of one box is one.
type Door string

// The doors of the first floor.
const (
	DoorIMAP      Door = "imap"
	DoorLMTP      Door = "lmtp" // a mail server handed it over
	DoorSMTP      Door = "smtp"
	DoorEPUAPPull Door = "epuap-pull"
	DoorEPUAPPush Door = "epuap-push" // the platform called us
	DoorEPUAPFile Door = "epuap-file" // emergency download, through a box
	DoorUAAPI     Door = "ua-api"     // e-Doręczenia, User Agent API
	DoorFolder    Door = "folder"
	DoorHTTP      Door = "http"
	DoorSFTP      Door = "sftp"
	DoorWebDAV    Door = "webdav"
	DoorPost      Door = "post"  // paper, handed in or by post, typed in by a clerk
	DoorPhone     Door = "phone" // a note of a telephone call
	DoorForm      Door = "form"  // a person at the desk, typed in by a clerk
)

// Basis says what the day of receipt (data wpływu) rests on.
type Basis string

// The bases of the day of receipt, by channel (rule P2).
const (
	BasisServerArrival Basis = "server-arrival" // e-mail: INTERNALDATE at first sighting
	BasisUPP           Basis = "upp"            // ePUAP: date of the UPP
	BasisSent          Basis = "sent"           // ePUAP: dataNadania, when no UPP is known
	BasisReceipt       Basis = "receipt"        // e-Doręczenia: receiptDate of the proof of receipt
	BasisMailbox       Basis = "mailbox"        // e-Doręczenia: stored in the mailbox, when no proof of receipt is known
	BasisScanned       Basis = "scanned"        // folder, upload: day of the scan until a person says otherwise
	BasisEmptied       Basis = "emptied"        // drop box: day of emptying
	BasisClerk         Basis = "clerk"          // a person said so, with a reason
)

// Delivery is what a channel hands to the receiver, beside the body itself.
// Everything that decides where a letter belongs (Box, Unit, Department) comes
// from the configured account, never from the file.
type Delivery struct {
	Centre  CentreID
	Kind    Kind
	Door    Door
	Account string // configured id of the mailbox, skrytka or box (a slug)

	Box        string       // drop-box id (a slug), "" elsewhere
	Unit       string       // organisational unit of the account, "" if none
	Department DepartmentID // default department of the account, "" if none
	Series     SeriesID     // series that the account feeds, "" for the centre's main one
	Sheet      DepartmentID // department that a separator sheet before the pages names, "" if none did

	// Identity returns the channel's identity fields. It is called once, after
	// the body was read to its end, because most identities contain a digest
	// of it.
	Identity func(body BodyFacts) []string

	// Content, if not nil, returns the digest under which the same content in
	// another account of the same kind is recognised as a twin (one mail to
	// two mailboxes). Called once after the body was read; "" means: no twins.
	Content func(body BodyFacts) Digest

	Arrived  Arrival
	Pile     SubmissionID // of a letter out of a scanned pile: the pile
	Emptying string       // id of the emptying of the box that it belongs to, "" if none is known
	Sent     time.Time    // as the channel says, zero if unknown
	Test     bool         // marked as a test by the channel (ePUAP czyTestowe)
	// Proof marks proof of what became of a letter that the office sent (rule
	// P11): a kind of its own, no new matter.
	Proof bool
	Junk  bool // it lay in the folder for what the mail server takes for spam

	// Source holds what else the channel knows (sender account, ePUAP id, …).
	// It may hold personal data: it is stored only inside the sealed manifest.
	Source map[string]string

	// MediaType is the type of the body as far as the channel defines it
	// ("message/rfc822"); "" lets the reader find out.
	MediaType string
}

// Arrival is when a delivery legally arrived.
type Arrival struct {
	At    time.Time `json:"at"`    // UTC
	Basis Basis     `json:"basis"` // what At rests on
}

// BodyFacts is what the receiver knows of a body that it has read to its end.
type BodyFacts struct {
	SHA256 Digest
	Size   int64 // octets
}

// Body is stored or received content that can be read more than once.
type Body interface {
	io.ReaderAt
	Size() int64
}

// Manifest says what arrived, when and from where. It is the first object that
// makes a submission exist; the first one stored under a submission id wins.
// It is stored sealed, for Source may hold personal data.
type Manifest struct {
	Version    int          `json:"version"` // ManifestVersion
	Submission SubmissionID `json:"submission"`
	Centre     CentreID     `json:"centre"`
	Kind       Kind         `json:"kind"`
	Door       Door         `json:"door"`
	Account    string       `json:"account"`
	Box        string       `json:"box,omitempty"`
	Unit       string       `json:"unit,omitempty"`
	Department DepartmentID `json:"department,omitempty"`
	Series     SeriesID     `json:"series,omitempty"`
	Sheet      DepartmentID `json:"sheet,omitempty"` // see Delivery.Sheet

	Original ObjectRef `json:"original"`
	Content  Digest    `json:"content,omitempty"` // see Delivery.Content

	Arrived  Arrival           `json:"arrived"`
	Pile     SubmissionID      `json:"pile,omitempty"`     // see Delivery.Pile
	Emptying string            `json:"emptying,omitempty"` // see Delivery.Emptying
	Received time.Time         `json:"received"`           // when we had all bytes, UTC
	Sent     *time.Time        `json:"sent,omitempty"`
	Test     bool              `json:"test,omitempty"`
	Junk     bool              `json:"junk,omitempty"`  // see Delivery.Junk
	Proof    bool              `json:"proof,omitempty"` // see Delivery.Proof
	Park     ParkReason        `json:"park,omitempty"`  // why the submission is to be parked: its body is a note about something that could not be taken in
	Source   map[string]string `json:"source,omitempty"`
}

// Arrival is what the event that announces the submission says of it; key and
// digest are those of the stored manifest. It follows from the manifest alone,
// so whoever writes it, at any time, writes the same.
func (m Manifest) Arrival(key string, digest Digest) ArrivedData {
	return ArrivedData{
		Submission: m.Submission, Kind: m.Kind, Door: m.Door, Account: m.Account, Box: m.Box, Unit: m.Unit, Department: m.Department,
		Series: m.Series, Sheet: m.Sheet, Size: m.Original.Size, ManifestKey: key, Manifest: digest, Content: m.Content,
		Arrived: m.Arrived, Received: m.Received, Test: m.Test, Junk: m.Junk, Proof: m.Proof, Park: m.Park, Pile: m.Pile, Emptying: m.Emptying,
	}
}

// ManifestVersion is the version of the Manifest written by this program.
const ManifestVersion = 1

// ObjectRef names one stored object and what its plain content must be.
type ObjectRef struct {
	Key       string `json:"key"`
	SHA256    Digest `json:"sha256"` // of the plain content
	Size      int64  `json:"size"`   // of the plain content, octets
	MediaType string `json:"mediaType,omitempty"`
}

// Receipt is the receiver's answer once a delivery is durable and announced.
type Receipt struct {
	Submission SubmissionID
	// Repeat is true when the submission was already there: nothing was
	// stored or announced again, and the source may be confirmed all the same.
	Repeat bool
	// Original is the digest of the bytes that the submission keeps. On a
	// repeat they are the first delivery's.
	Original Digest
	Arrived  Arrival
}
