package edoreczenia

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sekretariat"
)

// The types below are those of the User Agent API's contract (OpenAPI
// uaapi_3.0.8.1.yaml, components/schemas) as far as they are read here; unknown
// keys are ignored. Times are kept as text: what the provider wrote is shown,
// what can be understood is computed with, see ParseTime.

// Message is schema Message.
type Message struct {
	Control     Control      `json:"messageControlData"`
	Metadata    Metadata     `json:"messageMetadata"`
	TextBody    string       `json:"textBody"`
	Attachments []Attachment `json:"attachments"`
}

// Control is schema MessageControlData: the state of a message in its mailbox.
type Control struct {
	Status string  `json:"status"`
	Type   string  `json:"messageType"` // Message, Evidence, Stub, massMessageGrouped
	Labels []Label `json:"labels"`

	DaysToReceive int `json:"daysToReceive"` // until it is deemed delivered
}

// Label is schema Label: the folder of a message.
type Label struct {
	Label    string `json:"label"`
	Location string `json:"messageLocation"`
}

// Metadata is schema MessageMetadata.
type Metadata struct {
	From           AddressData   `json:"from"`
	To             []AddressData `json:"to"`
	Subject        string        `json:"subject"`
	MessageID      string        `json:"messageId"`
	RefToMessageID string        `json:"refToMessageId"`
	ThreadID       string        `json:"threadId"`
	CaseID         string        `json:"caseId"`
	Timestamp      string        `json:"timestamp"`      // stored in the mailbox
	ReceiptDate    string        `json:"receiptDate"`    // of the proof of receipt: the legal one
	SubmissionDate string        `json:"submissionDate"` // M03 of evidence A.1
	EventDate      string        `json:"eventDate"`      // G05 of evidence A.1
	Shipping       string        `json:"shippingService"`
}

// AddressData is schema MessageAddressData.
type AddressData struct {
	ADE         string      `json:"eDeliveryAddress"`
	Address     *Address    `json:"address"`
	Contributor Contributor `json:"contributor"`
}

// Address is schema Address.
type Address struct {
	Country  string `json:"country"`
	Street   string `json:"street"`
	Postcode string `json:"postalCode"`
	City     string `json:"city"`
	Building string `json:"buildingNumber"`
	Flat     string `json:"houseNumber"` // "numer mieszkania"
}

// Contributor is schema Contributor.
type Contributor struct {
	FirstName, LastName               string
	CompanyName, CompanyNameContinued string
}

// Attachment is schema Attachment.
type Attachment struct {
	Order int    `json:"order"`
	ID    string `json:"attachmentId"`
	File  struct {
		Metadata FileMetadata `json:"fileMetadata"`
	} `json:"file"`
}

// FileMetadata is schema FileMetadata.
type FileMetadata struct {
	Filename    string `json:"filename"`
	ContentType string `json:"contentType"`
	Size        int64  `json:"size"`
	Alg         string `json:"alg"`
	Hash        string `json:"hash"`
	Description string `json:"description"`
}

// Evidence is schema Evidence.
type Evidence struct {
	ID        string `json:"evidenceId"`
	MessageID string `json:"messageId"`
	Created   string `json:"createDate"`
	Event     string `json:"eventDate"`
	Type      string `json:"type"` // "BP.OX" or "BPOX": both are in use
	ReasonID  string `json:"reasonId"`

	raw json.RawMessage
}

// EvidenceType is the code of evidence without dots, which is how live systems
// write it.
func (e Evidence) EvidenceType() string { return strings.ReplaceAll(e.Type, ".", "") }

// ParseTime reads a time of the API: RFC 3339; without a zone, which the
// contract does not allow, it is taken as Polish time.
func ParseTime(s string) (time.Time, bool) {
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t.UTC(), true
	}
	if t, err := time.ParseInLocation("2006-01-02T15:04:05.999999999", s, sekretariat.Warsaw()); err == nil {
		return t.UTC(), true
	}
	return time.Time{}, false
}

// errJSON: an answer is not what the contract says.
var errJSON = errors.New("not the JSON of a message")

// ParseMessage reads one message and sorts its attachments.
func ParseMessage(raw []byte) (Message, error) {
	var m Message
	if err := json.Unmarshal(raw, &m); err != nil {
		return m, fmt.Errorf("%w: %w", errJSON, err)
	}
	slices.SortStableFunc(m.Attachments, func(a, b Attachment) int { return cmp.Compare(a.Order, b.Order) })
	return m, nil
}

// MessageDocument is what a container keeps of a message: those keys that
// belong to the message and not to its state in the mailbox, each value octet
// for octet as received. Whether somebody has opened the message in between
// changes nothing.
func MessageDocument(raw []byte, keys ...string) ([]byte, error) {
	return pick(raw, keys)
}

// MessageKeys are the keys kept of a received message.
var MessageKeys = []string{"messageMetadata", "textBody", "attachments"}

// SentKeys are the keys kept of a message that was sent: its metadata only.
var SentKeys = []string{"messageMetadata"}

// pick copies keys of a JSON object in the order given.
func pick(raw []byte, keys []string) ([]byte, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, fmt.Errorf("%w: %w", errJSON, err)
	}
	var b bytes.Buffer
	b.WriteByte('{')
	for _, k := range keys {
		v, ok := all[k]
		if !ok {
			continue
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(k)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errJSON, err)
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(v)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// ParseEvidences reads a list of evidence, oldest first, each piece once.
func ParseEvidences(list []json.RawMessage) ([]Evidence, error) {
	var out []Evidence
	for _, raw := range list {
		e := Evidence{raw: raw}
		if err := json.Unmarshal(raw, &e); err != nil {
			return nil, fmt.Errorf("%w: %w", errJSON, err)
		}
		if e.ID != "" && !slices.ContainsFunc(out, func(o Evidence) bool { return o.ID == e.ID }) {
			out = append(out, e)
		}
	}
	slices.SortStableFunc(out, func(a, b Evidence) int { return cmp.Or(cmp.Compare(a.Created, b.Created), cmp.Compare(a.ID, b.ID)) })
	return out, nil
}

// EvidenceDocument is what a container keeps of the list of evidence: each
// piece as received, without whether it was downloaded before and where.
func EvidenceDocument(list []Evidence) ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('[')
	for i, e := range list {
		var all map[string]json.RawMessage
		if err := json.Unmarshal(e.raw, &all); err != nil {
			return nil, fmt.Errorf("%w: %w", errJSON, err)
		}
		var keys []string
		for k := range all {
			if k != "downloaded" && k != "externalData" {
				keys = append(keys, k)
			}
		}
		slices.Sort(keys)
		one, err := pick(e.raw, keys)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(one)
	}
	b.WriteByte(']')
	return b.Bytes(), nil
}
