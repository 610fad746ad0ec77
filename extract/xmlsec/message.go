package xmlsec

import (
	"bytes"
	"crypto/x509"
	"hash"
	"io"
	"time"
)

// maxHeader bounds what is kept of a SOAP header, octets of text.
const maxHeader = 1 << 20

// Security is what WS-Security (OASIS WSS 1.0, X.509 token profile) says of a
// message. Err is nil only if every reference and the signature value were
// right and the whole Body is signed; then Certificate made the signature.
// Whether that certificate is to be trusted is the caller's question.
type Security struct {
	Certificate *x509.Certificate // of the binary security token, nil without one
	Body        bool              // the Body is signed
	Timestamp   bool              // the wsu:Timestamp is signed
	Created     time.Time         // of the Timestamp, zero if there is none
	Expires     time.Time
	Header      *Node // the SOAP Header, nil without one; signed only as far as references say
	Weak        bool  // SHA-1 is used somewhere
	Err         error // ErrUnsigned, ErrDigest, ErrSignature, ErrStructure, …
}

// ReadMessage reads a SOAP 1.1 message as a stream and checks its signature on
// the way, so that a Body of 100 MB needs no memory. body gets the tokens
// inside the Body (not its own tags); its errors end the reading. The error is
// about the message as such; what is wrong with its signature stands in
// Security.Err, which is complete only when the error is nil.
func ReadMessage(r io.Reader, lim Limits, body func(*Token) error) (Security, error) {
	s, err := NewScanner(r, lim)
	if err != nil {
		return Security{}, err
	}
	m := message{s: s, sec: Security{Err: ErrUnsigned}}
	if err := m.envelope(); err != nil {
		return m.sec, err
	}
	if err := m.body(body); err != nil {
		return m.sec, err
	}
	if m.sec.Err == nil {
		m.sec.Err = m.verify()
	}
	return m.sec, nil
}

// message is one SOAP message on its way through.
type message struct {
	s    *Scanner
	sec  Security
	root *Node      // the Envelope, without its children
	head *Node      // the Header, nil if there is none
	sig  *Signature // of the Header

	bodyRef *Reference // the reference to the Body
	bodyID  string
	c14n    *Canonicalizer // of the Body, while it is read
	digest  hash.Hash
}

// envelope reads up to the start tag of the Body.
func (m *message) envelope() error {
	t, err := m.element()
	if err != nil {
		return err
	}
	if t == nil || t.Name.Space != SpaceSOAP || t.Name.Local != "Envelope" {
		return structure("no SOAP 1.1 envelope")
	}
	m.root = &Node{Kind: Element, Name: t.Name, Attrs: t.Attrs, Declared: t.Declared}
	if t, err = m.element(); err != nil {
		return err
	}
	if t != nil && t.Name.Space == SpaceSOAP && t.Name.Local == "Header" {
		b := builder{s: m.s, left: maxHeader}
		if m.head, err = b.node(t, m.root); err != nil {
			return err
		}
		m.sec.Header = m.head
		if t, err = m.element(); err != nil {
			return err
		}
	}
	if t == nil || t.Name.Space != SpaceSOAP || t.Name.Local != "Body" {
		return structure("no SOAP Body")
	}
	m.sec.Err = m.security(t)
	return nil
}

// element returns the next start tag, nil at an end tag or the end; between
// the parts of an envelope only white space and comments may stand.
func (m *message) element() (*Token, error) {
	for {
		t, err := m.s.Next()
		switch {
		case err == io.EOF:
			return nil, nil
		case err != nil:
			return nil, err
		case t.Kind == Element:
			return t, nil
		case t.Kind == EndElement:
			return nil, nil
		case t.Kind == Text && len(bytes.TrimSpace(t.Data)) > 0:
			return nil, structure("text between the parts of an envelope")
		}
	}
}

// security looks at the header and gets ready for the Body. It returns why the
// message counts as unsigned or wrongly signed, nil if it is to be verified.
func (m *message) security(body *Token) error {
	security, err := only(m.head, SpaceWSSE, "Security")
	if err != nil || security == nil {
		return orUnsigned(err)
	}
	if err := m.timestamp(security); err != nil {
		return err
	}
	node, err := only(security, SpaceDSig, "Signature")
	if err != nil || node == nil {
		return orUnsigned(err)
	}
	if m.sig, err = ParseSignature(node); err != nil {
		return err
	}
	if m.sec.Certificate, err = token(security, m.sig); err != nil {
		return err
	}
	m.sec.Weak = Weak(m.sig.Method)
	m.bodyID, _ = attr(body.Attrs, SpaceWSU, "Id")
	for i, r := range m.sig.References {
		m.sec.Weak = m.sec.Weak || Weak(r.Digest)
		if m.bodyID != "" && r.URI == "#"+m.bodyID {
			m.bodyRef = &m.sig.References[i]
		}
	}
	if m.bodyRef == nil {
		return structure("the Body is not signed")
	}
	return m.digestBody(body)
}

func orUnsigned(err error) error {
	if err != nil {
		return err
	}
	return ErrUnsigned
}

// only returns the child of that name, nil if there is none, ErrStructure if
// there are several.
func only(n *Node, space, local string) (*Node, error) {
	var found *Node
	if n == nil {
		return nil, nil
	}
	for _, c := range n.Children {
		if c.Is(space, local) {
			if found != nil {
				return nil, structure(local + " occurs twice")
			}
			found = c
		}
	}
	return found, nil
}

func (m *message) timestamp(security *Node) error {
	ts, err := only(security, SpaceWSU, "Timestamp")
	if err != nil || ts == nil {
		return err
	}
	if m.sec.Created, err = time.Parse(time.RFC3339Nano, ts.Child(SpaceWSU, "Created").Content()); err != nil {
		return structure("Timestamp without Created")
	}
	if e := ts.Child(SpaceWSU, "Expires"); e != nil {
		if m.sec.Expires, err = time.Parse(time.RFC3339Nano, e.Content()); err != nil {
			return structure("Expires")
		}
	}
	return nil
}

// token returns the certificate that KeyInfo points to: a
// BinarySecurityToken in the same Security header.
func token(security *Node, sig *Signature) (*x509.Certificate, error) {
	ref, _ := sig.KeyInfo.Child(SpaceWSSE, "SecurityTokenReference").Child(SpaceWSSE, "Reference").Attr("", "URI")
	for _, c := range security.Children {
		id, ok := c.Attr(SpaceWSU, "Id")
		if !ok || !c.Is(SpaceWSSE, "BinarySecurityToken") || "#"+id != ref {
			continue
		}
		if v, _ := c.Attr("", "ValueType"); v != valueTypeX509 {
			return nil, &Error{Kind: ErrUnsupported, Message: "kind of security token"}
		}
		der, err := decodeBase64(c.Content())
		if err != nil {
			return nil, structure("security token is no base64")
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, structure("security token is no certificate")
		}
		return cert, nil
	}
	return nil, structure("no security token for the signature")
}

func (m *message) digestBody(body *Token) error {
	p, err := m.bodyRef.plan()
	if err != nil {
		return err
	}
	if p.enveloped || p.unsigned {
		return &Error{Kind: ErrUnsupported, Message: "transform of the Body"}
	}
	if m.digest, err = NewDigest(m.bodyRef.Digest); err != nil {
		return err
	}
	if m.c14n, err = NewCanonicalizer(m.digest, p.c14n); err != nil {
		return err
	}
	if err := m.c14n.Within(m.root.Declared, [][]Attr{m.root.Attrs}); err != nil {
		return err
	}
	return m.c14n.Token(body)
}

// body reads the Body and what follows.
func (m *message) body(handle func(*Token) error) error {
	depth := m.s.Depth()
	for {
		t, err := m.s.Next()
		if err == io.EOF {
			return structure("the message ends in its Body")
		}
		if err != nil {
			return err
		}
		if err := m.witness(t); err != nil {
			return err
		}
		if m.s.Depth() < depth {
			break
		}
		if handle != nil {
			if err := handle(t); err != nil {
				return err
			}
		}
	}
	if t, err := m.element(); err != nil || t != nil {
		return orTrailing(err)
	}
	if t, err := m.element(); err != nil || t != nil {
		return orTrailing(err)
	}
	return nil
}

func orTrailing(err error) error {
	if err != nil {
		return err
	}
	return structure("something follows the SOAP Body")
}

// witness gives a token of the Body to the digest and watches that no id that
// is signed occurs again inside.
func (m *message) witness(t *Token) error {
	if m.sec.Err != nil {
		return nil
	}
	if t.Kind == Element {
		for _, r := range m.sig.References {
			if len(r.URI) > 1 && hasID(t.Attrs, r.URI[1:]) {
				m.sec.Err = ErrAmbiguous
				return nil
			}
		}
	}
	if err := m.c14n.Token(t); err != nil {
		m.sec.Err = err
	}
	return nil
}

// verify compares all digests and the signature value, once the Body is read.
func (m *message) verify() error {
	if err := m.c14n.Close(); err != nil {
		return err
	}
	if !bytes.Equal(m.digest.Sum(nil), m.bodyRef.Value) {
		return ErrDigest
	}
	// Everything else that is referred to must stand in the header.
	header := &Document{Nodes: []*Node{m.head}, Root: m.head}
	if found, err := header.ByID(m.bodyID); found != nil || err == ErrAmbiguous {
		return ErrAmbiguous
	}
	timestamp := false
	for i := range m.sig.References {
		r := &m.sig.References[i]
		if r == m.bodyRef {
			continue
		}
		if r.URI == "" {
			return &Error{Kind: ErrUnsupported, Message: "reference to the whole message"}
		}
		if err := header.CheckReference(m.sig, *r); err != nil {
			return err
		}
		target, _ := header.Target(*r)
		timestamp = timestamp || target.Is(SpaceWSU, "Timestamp") && target.Parent.Is(SpaceWSSE, "Security") && target.Parent.Parent == m.head
	}
	if err := m.sig.CheckValue(m.sec.Certificate.PublicKey); err != nil {
		return err
	}
	m.sec.Body, m.sec.Timestamp = true, timestamp
	return nil
}
