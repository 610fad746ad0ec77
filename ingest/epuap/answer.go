package epuap

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // the digest that potwierdzOdebranie asks for
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"strings"

	"sekretariat/extract/xmlsec"
)

// spaceObjects is the namespace of all Body elements of the service
// (obiektypk.xsd). Elements inside have none.
const spaceObjects = "http://wsdl.epuap.gov.pl/obiekty/"

// Bounds of what is kept of an answer beside the document.
const (
	maxField = 8 << 10 // octets of one field
	maxExtra = 1 << 20 // octets of daneDodatkowe, base64
	maxDepth = 32
)

// The paths of what an answer may hold (obiektypk.xsd, OdpowiedzPull…Typ).
const (
	pathCode    = "status.kod"
	pathContent = "dokument.zawartosc"
	pathExtra   = "daneDodatkowe"
	pathWaiting = "oczekujace"
	faultCode   = "faultcode"
	faultKod    = "detail.Wyjatek.kod"
)

var fields = map[string]bool{
	pathCode: true, "status.komunikat": true,
	"danePodmiotu.identyfikator": true, "danePodmiotu.typOsoby": true, "danePodmiotu.imieSkrot": true,
	"danePodmiotu.nazwiskoNazwa": true, "danePodmiotu.nip": true, "danePodmiotu.pesel": true,
	"danePodmiotu.regon": true, "danePodmiotu.zgoda": true,
	"daneNadawcy.uzytkownik": true, "daneNadawcy.system": true,
	"dataNadania": true, "nazwaSkrytki": true, "adresSkrytki": true, "adresOdpowiedzi": true, "czyTestowe": true,
	pathExtra: true, "dokument.nazwaPliku": true, "dokument.typPliku": true, pathContent: true,
	pathWaiting: true, faultCode: true, faultKod: true,
}

// answer is what one answer said.
type answer struct {
	element  string // local name of the Body's element, "" for an empty Body
	fields   map[string]string
	content  content
	security xmlsec.Security
	fault    *soapFault
}

// content is what dokument/zawartosc holds; the octets stay in the spool.
type content struct {
	present bool
	size    int64
	sha1    []byte
	sha256  []byte
	bad     error // it is not base64
}

// code tells whether the answer has that kod in its status.
func (a *answer) code(kod string) bool { return strings.TrimSpace(a.fields[pathCode]) == kod }

// errAnswer: the answer is XML, but not one of this service.
var errAnswer = errors.New("the answer is not one of the pull service")

// parse reads an answer and checks its signature. On an error it returns what
// was read before it. "local names, no namespace inside, any prefix" is all
// that is asked of the form: empty answers come in several.
func parse(r io.Reader, limit int64) (*answer, error) {
	p := parser{a: &answer{fields: map[string]string{}}}
	sec, err := xmlsec.ReadMessage(r, xmlsec.Limits{Octets: limit, Depth: maxDepth, Nodes: 100_000, Value: 64 << 10}, p.token)
	p.a.security = sec
	if err != nil {
		return p.a, err
	}
	return p.a, p.finish()
}

type parser struct {
	a    *answer
	call bool     // of the platform to us: see push.go
	path []string // local names below the Body's element
	root bool     // inside the Body's element
	text []byte   // of the field that is open
	over bool     // it is longer than is kept
	b64  *xmlsec.Base64Writer
	sum1 hash.Hash
	sum2 hash.Hash
	leaf string // path of the field that is open
}

func (p *parser) token(t *xmlsec.Token) error {
	switch t.Kind {
	case xmlsec.Element:
		return p.start(t)
	case xmlsec.Text:
		p.data(t.Data)
	case xmlsec.EndElement:
		return p.end()
	}
	return nil
}

func (p *parser) start(t *xmlsec.Token) error {
	if !p.root {
		if p.a.element != "" {
			return errAnswer
		}
		fault := t.Name.Space == xmlsec.SpaceSOAP && t.Name.Local == "Fault"
		if t.Name.Space != spaceObjects && !fault && !p.call {
			return errAnswer
		}
		p.root, p.a.element = true, t.Name.Local
		if p.call && t.Name.Local == elementDocument {
			p.path = append(p.path, "dokument")
		}
		if fault {
			p.a.fault = &soapFault{}
		}
		return nil
	}
	name := t.Name.Local
	if p.call { // a wrapper writes the names of the schema's global elements
		name = lowerFirst(name)
	}
	p.path = append(p.path, name)
	path := strings.Join(p.path, ".")
	if p.leaf != "" {
		return errAnswer // a field with elements inside
	}
	if !fields[path] {
		return nil
	}
	if _, again := p.a.fields[path]; again || path == pathContent && p.a.content.present {
		return errAnswer // two values: whichever we took, somebody else may take the other
	}
	p.leaf, p.text, p.over = path, p.text[:0], false
	if path == pathContent {
		p.a.content.present = true
		p.sum1, p.sum2 = sha1.New(), sha256.New()
		p.b64 = xmlsec.NewBase64Writer(p)
	}
	return nil
}

// Write takes the decoded octets of the document.
func (p *parser) Write(b []byte) (int, error) {
	p.sum1.Write(b)
	p.sum2.Write(b)
	p.a.content.size += int64(len(b))
	return len(b), nil
}

func (p *parser) data(b []byte) {
	switch p.leaf {
	case "":
	case pathContent:
		if p.a.content.bad == nil {
			_, p.a.content.bad = p.b64.Write(b)
		}
	default:
		limit := maxField
		if p.leaf == pathExtra {
			limit = maxExtra
		}
		if len(p.text)+len(b) > limit {
			p.over = true
			b = b[:max(0, limit-len(p.text))]
		}
		p.text = append(p.text, b...)
	}
}

func (p *parser) end() error {
	if len(p.path) == 0 {
		p.root = false
		return nil
	}
	p.path = p.path[:len(p.path)-1]
	if p.leaf == "" {
		return nil
	}
	if p.leaf == pathContent {
		if p.a.content.bad == nil {
			p.a.content.bad = p.b64.Close()
		}
		p.a.content.sha1, p.a.content.sha256 = p.sum1.Sum(nil), p.sum2.Sum(nil)
	} else if !p.over || p.leaf != pathExtra {
		p.a.fields[p.leaf] = strings.ToValidUTF8(string(bytes.TrimSpace(p.text)), "")
	} else {
		p.a.fields[p.leaf] = "" // cut base64 is of no use
	}
	p.leaf = ""
	return nil
}

// finish fills in the fault.
func (p *parser) finish() error {
	f := p.a.fault
	if f == nil {
		return nil
	}
	f.name(p.a.fields[faultCode], p.a.fields[faultKod])
	return nil
}

// name fills the codes of a fault in.
func (f *soapFault) name(faultcode, kod string) {
	if _, local, ok := strings.Cut(faultcode, ":"); ok {
		faultcode = local
	}
	f.faultcode, f.kod = printable(faultcode), printable(kod)
	switch f.faultcode {
	// OASIS WSS 1.0 §12, and MessageExpired of 1.1.
	case "UnsupportedSecurityToken", "UnsupportedAlgorithm", "InvalidSecurity", "InvalidSecurityToken",
		"FailedAuthentication", "FailedCheck", "SecurityTokenUnavailable", "MessageExpired":
		f.security = true
	}
}

// printable keeps a code fit for logs.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r > ' ' && r < 0x7F {
			return r
		}
		return -1
	}, s)
	return s[:min(len(s), 60)]
}

// document returns the decoded octets of zawartosc of a message that parse
// accepted: of an answer of the pull service, or of a call of the platform.
func document(r io.Reader, limit int64) (io.Reader, error) {
	s, err := xmlsec.NewScanner(r, xmlsec.Limits{Octets: limit, Depth: maxDepth, Nodes: 100_000})
	if err != nil {
		return nil, err
	}
	var open []string
	for {
		t, err := s.Next()
		if err == io.EOF {
			err = errAnswer
		}
		if err != nil {
			return nil, err
		}
		switch t.Kind {
		case xmlsec.EndElement:
			open = open[:len(open)-1]
		case xmlsec.Element:
			open = append(open, t.Name.Local)
			if open[len(open)-1] == "zawartosc" && (len(open) == 5 && lowerFirst(open[3]) == "dokument" || len(open) == 4 && open[2] == elementDocument) && open[1] == "Body" {
				return xmlsec.NewBase64Reader(s.TextReader()), nil
			}
		}
	}
}

// documentID is the platform's id of the letter: the last
// IdentyfikatorDokumentu in daneDodatkowe, "" if none.
func documentID(extra string) string {
	if extra == "" {
		return ""
	}
	d, err := xmlsec.Parse(xmlsec.NewBase64Reader(strings.NewReader(extra)), xmlsec.Limits{Octets: maxExtra, Nodes: 10_000}, nil)
	if err != nil {
		return ""
	}
	id := ""
	d.Root.Walk(func(n *xmlsec.Node) bool {
		if n.Kind == xmlsec.Element && n.Name.Local == "IdentyfikatorDokumentu" {
			id = strings.TrimSpace(n.Content())
		}
		return true
	})
	return id[:min(len(id), maxField)]
}

// lowerFirst writes the names of global elements as their local twins are.
func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
