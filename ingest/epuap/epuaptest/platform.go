// Package epuaptest is a strict simulator of the ePUAP pull service, for tests
// and the demo: boxes with first-in-first-out queues behind the three
// operations of pull.wsdl, WS-Security checked on every request, answers
// signed or not, and every fault that a platform or a network can have, on
// order. Codes and texts of faults are
// invented, for the real ones are not public.
package epuaptest

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // the digest that potwierdzOdebranie asks for
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"sekretariat"
	"sekretariat/extract/xmlsec"
)

// Path is where the pull service answers.
const Path = "/pk_external_ws/services/pull"

// Skrot says which digest potwierdzOdebranie takes.
type Skrot int

// The digests; open clients disagree, so the platform's is not known.
const (
	SHA1 Skrot = iota
	SHA256
	Both
)

// Empty is the form of the answer when the queue is empty.
type Empty int

// The three forms that fit the schema badly in their own way.
const (
	EmptyStatus   Empty = iota // status kod 0 and nothing else
	EmptyElements              // all elements, all empty
	EmptyBody                  // a Body without anything
)

// Signing says how answers are signed.
type Signing int

// The ways of signing.
const (
	Signed      Signing = iota // by the platform's certificate, see Pin
	Unsigned                   //
	WrongSigned                // changed after signing
	OtherSigned                // by a certificate that is not the platform's
)

// Options make a platform.
type Options struct {
	Clock   sekretariat.Clock // nil = SystemClock
	Skrot   Skrot
	Empty   Empty
	Signing Signing
	MTOM    bool // the file repository answers in several parts
	// Confirming, if not nil, is told of each letter just before a confirmation
	// removes it. It must not block.
	Confirming func(Document)
	Keys       *Keys // nil = new ones, which takes a second
}

// Keys are the keys and certificates of a platform; several may share them.
type Keys struct {
	ca            authority
	signer, other *xmlsec.Signer
}

// NewKeys makes keys and certificates that are good for two years from now.
func NewKeys(now time.Time) (*Keys, error) {
	k := &Keys{}
	var err error
	if k.ca, err = newAuthority(now); err != nil {
		return nil, err
	}
	for name, s := range map[string]**xmlsec.Signer{"ePUAP-SYM-WS-Sign": &k.signer, "Ktos Inny": &k.other} {
		cert, key, err := k.ca.issue(name)
		if err != nil {
			return nil, err
		}
		if *s, err = xmlsec.NewSigner(cert, key); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// Box is one skrytka in PULL mode.
type Box struct {
	Entity  string // podmiot
	Name    string // nazwaSkrytki
	Address string // adresSkrytki
}

// Document is one letter in a queue. The zero value of a field is left out or
// empty in the answer.
type Document struct {
	ID       string // the platform's id, given when it is empty
	Content  []byte
	FileName string // default "pismo.xml"
	FileType string // default "application/xml"
	Sent     time.Time
	Test     bool
	ReplyTo  string
	User     string
	Sender   Sender
	Base64   string // sent instead of Content as it is: for damaged letters
	Inline   bool   // pushed as XML in the message, not as a file
}

// Sender is danePodmiotu.
type Sender struct {
	ID, Kind, FirstName, Name, NIP, PESEL, REGON string
}

// Counters is what happened so far.
type Counters struct {
	Requests  map[string]int // by operation, accepted or not
	Served    int            // answers with a document
	Confirmed int            // confirmations that removed one
	Refused   int            // confirmations that did not fit
	Faults    int            // faults by the rules, not the injected ones
}

// Platform is the simulator. It is safe for concurrent use.
type Platform struct {
	keys *Keys

	mu       sync.Mutex
	o        Options
	skew     time.Duration
	systems  map[[32]byte][]string // certificate → entities
	boxes    map[string]*box
	files    map[string]*StoredFile
	script   []*Fault
	counters Counters
	lastID   int
}

type box struct {
	Box
	queue     []Document
	known     map[string]bool // ids ever enqueued
	confirmed []string        // ids, in order
}

// New makes a platform.
func New(o Options) (*Platform, error) {
	if o.Clock == nil {
		o.Clock = sekretariat.SystemClock
	}
	if o.Keys == nil {
		var err error
		if o.Keys, err = NewKeys(o.Clock()); err != nil {
			return nil, err
		}
	}
	return &Platform{
		keys: o.Keys, o: o, systems: map[[32]byte][]string{}, boxes: map[string]*box{}, files: map[string]*StoredFile{},
		counters: Counters{Requests: map[string]int{}}, lastID: 77_000_000,
	}, nil
}

// Pin is the SHA-256 of the certificate that signs answers, in hex.
func (p *Platform) Pin() string {
	sum := sha256.Sum256(p.keys.signer.Certificate.Raw)
	return hex.EncodeToString(sum[:])
}

// NewSystem makes and registers a certificate for an office system that may act
// for these entities. It returns certificate and private key in PEM form.
func (p *Platform) NewSystem(entities ...string) (cert, key []byte, err error) {
	cert, key, err = p.keys.ca.issue("System sekretariatu")
	if err != nil {
		return nil, nil, err
	}
	parsed, err := parseCertificate(cert)
	if err != nil {
		return nil, nil, err
	}
	p.Register(parsed, entities...)
	return cert, key, nil
}

// Register lets the holder of a certificate act for entities; without any the
// certificate is known and may do nothing.
func (p *Platform) Register(cert *x509.Certificate, entities ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.systems[sha256.Sum256(cert.Raw)] = entities
}

// AddBox makes a box.
func (p *Platform) AddBox(b Box) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.boxes[b.Address] = &box{Box: b, known: map[string]bool{}}
}

// errNoBox: there is no box with that address.
var errNoBox = errors.New("no such box")

// Enqueue puts a letter at the end of the queue, also one that was there
// before. It returns the letter's id.
func (p *Platform) Enqueue(address string, d Document) (string, error) {
	return p.enqueue(address, d, false)
}

// EnqueueOnce is Enqueue that does nothing for an id that the box ever had, so
// that a sender may repeat itself after a crash.
func (p *Platform) EnqueueOnce(address string, d Document) (string, error) {
	return p.enqueue(address, d, true)
}

func (p *Platform) enqueue(address string, d Document, once bool) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.boxes[address]
	if b == nil {
		return "", fmt.Errorf("enqueue at %s: %w", address, errNoBox)
	}
	if d.ID == "" {
		p.lastID++
		d.ID = strconv.Itoa(p.lastID)
	}
	if once && b.known[d.ID] {
		return d.ID, nil
	}
	if d.Sent.IsZero() {
		d.Sent = p.now()
	}
	d.Content = bytes.Clone(d.Content)
	b.known[d.ID] = true
	b.queue = append(b.queue, d)
	return d.ID, nil
}

// Last moves the letters with that id to the end of the queue.
func (p *Platform) Last(address, id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b := p.boxes[address]; b != nil {
		slices.SortStableFunc(b.queue, func(x, y Document) int { return is(x.ID == id) - is(y.ID == id) })
	}
}

func is(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Held returns the ids of the letters that wait, in order.
func (p *Platform) Held(address string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var ids []string
	if b := p.boxes[address]; b != nil {
		for _, d := range b.queue {
			ids = append(ids, d.ID)
		}
	}
	return ids
}

// Confirmed returns the ids of the letters that were confirmed, in order.
func (p *Platform) Confirmed(address string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b := p.boxes[address]; b != nil {
		return slices.Clone(b.confirmed)
	}
	return nil
}

// Counters returns what happened so far.
func (p *Platform) Counters() Counters {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.counters
	c.Requests = map[string]int{}
	for op, n := range p.counters.Requests {
		c.Requests[op] = n
	}
	return c
}

// Change changes the options of the running platform.
func (p *Platform) Change(f func(*Options)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.o)
}

// Skew sets the platform's clock apart from the machine's.
func (p *Platform) Skew(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.skew = d
}

// now is the platform's time; mu is held.
func (p *Platform) now() time.Time { return p.o.Clock().Add(p.skew) }

// Fits tells whether skrot names the content.
func (s Skrot) Fits(content []byte, skrot string) bool {
	one, two := sha1.Sum(content), sha256.Sum256(content) //nolint:gosec // see above
	return s != SHA256 && skrot == base64.StdEncoding.EncodeToString(one[:]) ||
		s != SHA1 && skrot == base64.StdEncoding.EncodeToString(two[:])
}
