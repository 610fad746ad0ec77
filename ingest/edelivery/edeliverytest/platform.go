// Package edeliverytest simulates a provider of e-Doręczenia: the token service
// and the User Agent API. It is strict: every request is judged by the contract
// (OpenAPI), tokens are given only for right assertions and good for their
// scopes and their time only, and every answer of its own is judged too. And it
// can misbehave, as real ones do: still moving (202), refusing, limiting,
// failing, slow, cut short, with doubled or reordered lists, wrong octets,
// changed messages. Demo and tests run it; nothing of it is in the client.
package edeliverytest

import (
	"crypto/rand"
	"crypto/sha3"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"sekretariat"
)

// MovePath is the JSON pointer by which this simulator moves messages; the
// contract leaves it open.
const MovePath = "/labels/0"

// Options make a platform.
type Options struct {
	Clock    sekretariat.Clock // nil = SystemClock
	Contract *Contract         // nil = OwnContract
	// TokenLife is how long tokens are good for; 0 = 300 s.
	TokenLife time.Duration
	// Scopes of tokens; nil = all four.
	Scopes []string
	// Capacity and Used of mailboxes in MB, 0 = 1000 and 10.
	Capacity, Used int
	// Chaos, if not nil, is asked before each request is answered, with the name
	// of its operation ("get /{eDeliveryAddress}/messages", "token").
	Chaos func(operation string) Fault
	// Delay is how many times a message answers 202 when it is first asked for.
	Delay int
}

// Platform is one provider with its mailboxes. It is safe for concurrent use.
type Platform struct {
	o Options

	mu        sync.Mutex
	mailboxes map[string]*mailbox
	systems   map[string]*x509.Certificate // by client id
	tokens    map[string]token
	jtis      map[string]bool
	wrong     []string // what requests and answers did against the contract
	counts    map[string]int
	base      string // of the running server
}

// mailbox is one ADE.
type mailbox struct {
	address  string
	name     string
	order    []string // ids in the order of arrival
	messages map[string]*Message
	folders  []string // labels of local folders
	coming   int      // electronicCount
	callback map[string]string
}

// Party is a person or institution with an address.
type Party struct {
	ADE                          string
	FirstName, LastName, Company string
	Street, Building, Flat       string
	Postcode, City               string
}

// Attachment is one file of a message.
type Attachment struct {
	ID, Name, Type, Description string
	Content                     []byte
	// Stream, if not nil, is the content instead, of Size octets; its digest is
	// not declared.
	Stream func() io.Reader
	Size   int64
}

// Evidence is one piece of evidence.
type Evidence struct {
	ID, Type string
	Created  time.Time
	Content  []byte

	downloaded bool
}

// Message is one message in a mailbox. Zero times are not told.
type Message struct {
	ID, ThreadID, RefTo, CaseID     string
	Subject, Text                   string
	From                            Party
	To                              []Party
	Type                            string // "" = Message
	Status                          string // "" = Doręczona
	Timestamp, Receipt, Sent, Event time.Time
	Label                           string // "" = INBOX
	Hybrid                          bool
	DaysToReceive                   int
	Attachments                     []Attachment
	Evidences                       []Evidence

	opened  bool
	pending int
	asked   bool
}

// New makes a platform.
func New(o Options) (*Platform, error) {
	if o.Clock == nil {
		o.Clock = sekretariat.SystemClock
	}
	if o.TokenLife == 0 {
		o.TokenLife = 300 * time.Second
	}
	if o.Scopes == nil {
		o.Scopes = []string{"read_messages", "write_messages", "read_settings", "write_settings"}
	}
	if o.Capacity == 0 {
		o.Capacity, o.Used = 1000, 10
	}
	if o.Contract == nil {
		var err error
		if o.Contract, err = OwnContract(); err != nil {
			return nil, err
		}
	}
	return &Platform{
		o: o, mailboxes: map[string]*mailbox{}, systems: map[string]*x509.Certificate{}, tokens: map[string]token{},
		jtis: map[string]bool{}, counts: map[string]int{},
	}, nil
}

// AddMailbox makes a mailbox with local folders.
func (p *Platform) AddMailbox(address, name string, folders ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mailboxes[address] = &mailbox{address: address, name: name, messages: map[string]*Message{}, folders: folders, callback: map[string]string{}}
}

// errMailbox: there is no such mailbox.
var errMailbox = errors.New("no such mailbox")

// Put lays a message into a mailbox and returns its id. What is not given is
// made up: ids, times, the addressee, evidence of receipt. A message that is
// there already goes back to its folder as it is.
func (p *Platform) Put(address string, m Message) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.mailboxes[address]
	if b == nil {
		return "", fmt.Errorf("%s: %w", address, errMailbox)
	}
	if m.Label == "" {
		m.Label = "INBOX"
	}
	if there := b.messages[m.ID]; there != nil {
		there.Label = m.Label
		return m.ID, nil
	}
	p.complete(b, &m)
	b.messages[m.ID] = &m
	b.order = append(b.order, m.ID)
	return m.ID, nil
}

// complete makes up what is not given.
func (p *Platform) complete(b *mailbox, m *Message) {
	now := p.o.Clock()
	fill := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	fill(&m.ID, newID())
	fill(&m.ThreadID, m.ID)
	fill(&m.Type, "Message")
	fill(&m.Status, "Doręczona")
	if m.Timestamp.IsZero() {
		m.Timestamp = now
	}
	if len(m.To) == 0 && m.Label != "SENT" {
		m.To = []Party{{ADE: b.address, Company: b.name}}
	}
	if m.Label == "SENT" && m.From.ADE == "" {
		m.From = Party{ADE: b.address, Company: b.name}
	}
	if m.Type == "Message" && m.Label != "SENT" && m.Evidences == nil && !m.Receipt.IsZero() {
		m.Evidences = []Evidence{{Type: "BPOX", Content: Proof("BPOX", m.ID), Created: m.Receipt}}
	}
	for i := range m.Attachments {
		fill(&m.Attachments[i].ID, newID())
	}
	for i := range m.Evidences {
		fill(&m.Evidences[i].ID, newID())
	}
	if m.Type == "Message" {
		m.pending = p.o.Delay
	}
}

// Proof is an invented evidence file.
func Proof(kind, messageID string) []byte {
	return fmt.Appendf(nil, `<?xml version="1.0" encoding="UTF-8"?><REMEvidence type="%s"><MessageID>%s</MessageID></REMEvidence>`, kind, messageID)
}

// Change edits a message where it lies.
func (p *Platform) Change(address, id string, edit func(*Message)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b := p.mailboxes[address]; b != nil && b.messages[id] != nil {
		edit(b.messages[id])
		for i := range b.messages[id].Evidences {
			if e := &b.messages[id].Evidences[i]; e.ID == "" {
				e.ID = newID()
			}
		}
	}
}

// Remove takes a message out of its mailbox, as a person on the web does.
func (p *Platform) Remove(address, id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b := p.mailboxes[address]; b != nil {
		delete(b.messages, id)
		b.order = slices.DeleteFunc(b.order, func(o string) bool { return o == id })
	}
}

// Coming sets how many messages the provider says it is still moving.
func (p *Platform) Coming(address string, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mailboxes[address].coming = n
}

// Held returns the ids of the messages that lie in given folders.
func (p *Platform) Held(address string, folders ...string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	b := p.mailboxes[address]
	for _, id := range b.order {
		if slices.Contains(folders, b.messages[id].Label) {
			out = append(out, id)
		}
	}
	return out
}

// Message returns a message as it lies in a mailbox.
func (p *Platform) Message(address, id string) (Message, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.mailboxes[address].messages[id]
	if m == nil {
		return Message{}, false
	}
	return *m, true
}

// Opened tells whether a message counts as read.
func (p *Platform) Opened(address, id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.mailboxes[address].messages[id]
	return m != nil && m.opened
}

// Callback returns the address that the mailbox's webhook was set to.
func (p *Platform) Callback(address string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mailboxes[address].callback["inboxCallbackUrl"]
}

// Wrong returns what requests did against the contract, and answers of the
// platform itself. A test of a client ends with it being empty.
func (p *Platform) Wrong() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.wrong)
}

// Count is how often an operation was asked for.
func (p *Platform) Count(operation string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts[operation]
}

// ExpireTokens makes all tokens worthless.
func (p *Platform) ExpireTokens() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.tokens)
}

func (p *Platform) blame(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.wrong) < 100 {
		p.wrong = append(p.wrong, fmt.Sprintf(format, args...))
	}
}

func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// The forms of an answer (schemas of the contract).

// JSON is the message as the API shows it in a format of the contract.
func (m *Message) JSON(format string) map[string]any {
	meta := map[string]any{
		"messageId": m.ID, "threadId": m.ThreadID, "timestamp": stamp(m.Timestamp), "shippingService": "electronic",
	}
	if m.Hybrid {
		meta["shippingService"] = "hybrid"
	}
	if format == "minimal" {
		return map[string]any{"messageMetadata": meta}
	}
	optional(meta, "subject", m.Subject)
	optional(meta, "refToMessageId", m.RefTo)
	optional(meta, "caseId", m.CaseID)
	meta["from"], meta["to"] = m.From.json(), parties(m.To)
	for name, t := range map[string]time.Time{"receiptDate": m.Receipt, "submissionDate": m.Sent, "eventDate": m.Event} {
		if !t.IsZero() {
			meta[name] = stamp(t)
		}
	}
	control := map[string]any{
		"opened": m.opened, "status": m.Status, "messageType": m.Type,
		"labels": []any{map[string]any{"label": m.Label, "messageLocation": m.Label}},
	}
	if m.DaysToReceive > 0 {
		control["daysToReceive"] = m.DaysToReceive
	}
	out := map[string]any{"messageControlData": control, "messageMetadata": meta}
	if format != "metadata" {
		out["textBody"] = m.Text
		var files, evidence []any
		for i, a := range m.Attachments {
			files = append(files, a.json(i))
		}
		for _, e := range m.Evidences {
			evidence = append(evidence, m.EvidenceJSON(e))
		}
		out["attachments"], out["evidences"] = orEmpty(files), orEmpty(evidence)
	}
	return out
}

func orEmpty(l []any) []any {
	if l == nil {
		return []any{}
	}
	return l
}

func optional(m map[string]any, key, v string) {
	if v != "" {
		m[key] = v
	}
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func (q Party) json() map[string]any {
	contributor := map[string]any{}
	optional(contributor, "firstName", q.FirstName)
	optional(contributor, "lastName", q.LastName)
	optional(contributor, "companyName", q.Company)
	out := map[string]any{"contributor": contributor}
	optional(out, "eDeliveryAddress", q.ADE)
	if q.City != "" {
		at := map[string]any{"country": "Polska", "city": q.City, "street": q.Street, "postalCode": q.Postcode}
		optional(at, "buildingNumber", q.Building)
		optional(at, "houseNumber", q.Flat)
		out["address"] = at
	}
	return out
}

func parties(list []Party) []any {
	out := []any{}
	for _, q := range list {
		out = append(out, q.json())
	}
	return out
}

func (a Attachment) json(order int) map[string]any {
	meta := map[string]any{"fileId": a.ID, "filename": a.Name, "contentType": a.Type, "size": a.Size, "description": a.Description}
	if a.Stream == nil {
		meta["size"], meta["alg"], meta["hash"] = len(a.Content), "SHA-3", Hash(a.Content)
	}
	return map[string]any{"order": order, "attachmentId": a.ID, "file": map[string]any{"fileMetadata": meta}}
}

// Hash is the digest of an attachment as the official example writes it: base64
// of the lower-case hexadecimal text of its SHA3-512.
func Hash(content []byte) string {
	sum := sha3.Sum512(content)
	return base64.StdEncoding.EncodeToString([]byte(hex.EncodeToString(sum[:])))
}

// EvidenceJSON is a piece of the message's evidence as the API shows it.
func (m *Message) EvidenceJSON(e Evidence) map[string]any {
	out := map[string]any{
		"evidenceId": e.ID, "messageId": m.ID, "type": e.Type, "downloaded": e.downloaded, "reasonDetails": []any{},
		"createDate": stamp(e.Created), "eventDate": stamp(e.Created), "from": m.From.json(),
	}
	if len(m.To) > 0 {
		out["to"] = m.To[0].json()
	}
	return out
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps of plain values
	}
	return b
}
