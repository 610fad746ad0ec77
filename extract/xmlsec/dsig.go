package xmlsec

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	_ "crypto/sha1" // named by old signatures; its results are marked weak
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/base64"
	"hash"
	"math/big"
	"strings"
)

// Bounds of one signature. A XAdES signature of ePUAP has two references.
const (
	maxReferences = 32
	maxTransforms = 4
)

// digests are the digest algorithms we compute (XML Encryption §5.7, RFC 6931
// §2.1).
var digests = map[string]crypto.Hash{
	"http://www.w3.org/2000/09/xmldsig#sha1":        crypto.SHA1,
	"http://www.w3.org/2001/04/xmlenc#sha256":       crypto.SHA256,
	"http://www.w3.org/2001/04/xmldsig-more#sha384": crypto.SHA384,
	"http://www.w3.org/2001/04/xmlenc#sha512":       crypto.SHA512,
}

type signatureMethod struct {
	hash  crypto.Hash
	ecdsa bool
}

// methods are the signature algorithms we verify (RFC 6931 §2.3).
var methods = map[string]signatureMethod{
	"http://www.w3.org/2000/09/xmldsig#rsa-sha1":          {crypto.SHA1, false},
	"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256":   {crypto.SHA256, false},
	"http://www.w3.org/2001/04/xmldsig-more#rsa-sha384":   {crypto.SHA384, false},
	"http://www.w3.org/2001/04/xmldsig-more#rsa-sha512":   {crypto.SHA512, false},
	"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha1":   {crypto.SHA1, true},
	"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256": {crypto.SHA256, true},
	"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384": {crypto.SHA384, true},
	"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512": {crypto.SHA512, true},
}

const (
	digestSHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
	rsaSHA256    = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"

	transformEnveloped = SpaceDSig + "enveloped-signature"
	transformXPath     = "http://www.w3.org/TR/1999/REC-xpath-19991116"
)

// NewDigest returns the hash of a digest algorithm, or ErrUnsupported.
func NewDigest(algorithm string) (hash.Hash, error) {
	h, ok := digests[algorithm]
	if !ok {
		return nil, &Error{Kind: ErrUnsupported, Message: "digest algorithm"}
	}
	return h.New(), nil
}

// Weak tells whether a digest or signature algorithm rests on SHA-1, so that a
// result with it must not be called valid.
func Weak(algorithm string) bool {
	return digests[algorithm] == crypto.SHA1 || methods[algorithm].hash == crypto.SHA1
}

// VerifyValue checks a signature value over the octets signed. ECDSA values are
// r and s, each as long as the order of the curve (RFC 6931 §2.3.6), not ASN.1.
// Returns ErrUnsupported or ErrSignature.
func VerifyValue(algorithm string, key crypto.PublicKey, signed, value []byte) error {
	m, ok := methods[algorithm]
	if !ok {
		return &Error{Kind: ErrUnsupported, Message: "signature algorithm"}
	}
	h := m.hash.New()
	h.Write(signed)
	sum := h.Sum(nil)
	switch k := key.(type) {
	case *rsa.PublicKey:
		if !m.ecdsa && rsa.VerifyPKCS1v15(k, m.hash, sum, value) == nil {
			return nil
		}
	case *ecdsa.PublicKey:
		size := (k.Params().N.BitLen() + 7) / 8
		if !m.ecdsa || len(value) != 2*size {
			return ErrSignature
		}
		r, s := new(big.Int).SetBytes(value[:size]), new(big.Int).SetBytes(value[size:])
		if ecdsa.Verify(k, sum, r, s) {
			return nil
		}
	default:
		return &Error{Kind: ErrUnsupported, Message: "kind of public key"}
	}
	return ErrSignature
}

// Transform is one transform of a reference.
type Transform struct {
	Method        // Algorithm, and Prefixes of an exclusive canonicalisation
	XPath  string // the expression of an XPath transform, without white space
	node   *Node
}

// Reference is one ds:Reference: what is signed.
type Reference struct {
	ID, URI, Type string
	Transforms    []Transform
	Digest        string // algorithm
	Value         []byte
}

// Signature is one ds:Signature, taken apart but not checked.
type Signature struct {
	Node         *Node
	SignedInfo   *Node
	C14N         Method
	Method       string
	References   []Reference
	Value        []byte
	KeyInfo      *Node    // nil if there is none
	Certificates [][]byte // DER, of KeyInfo/X509Data, in order
}

// ParseSignature takes a ds:Signature element apart, strictly: children in the
// schema's order, each at most once (XML Signature §4). Returns ErrStructure
// or ErrUnsupported.
func ParseSignature(n *Node) (*Signature, error) {
	if !n.Is(SpaceDSig, "Signature") {
		return nil, structure("no ds:Signature")
	}
	parts := n.Elements()
	if len(parts) < 2 || !parts[0].Is(SpaceDSig, "SignedInfo") || !parts[1].Is(SpaceDSig, "SignatureValue") {
		return nil, structure("SignedInfo and SignatureValue expected")
	}
	s := &Signature{Node: n, SignedInfo: parts[0]}
	for i, p := range parts[2:] {
		switch {
		case p.Is(SpaceDSig, "KeyInfo") && i == 0:
			s.KeyInfo = p
		case p.Is(SpaceDSig, "Object"):
		default:
			return nil, structure("unknown part of a signature")
		}
	}
	var err error
	if s.Value, err = decodeBase64(parts[1].Content()); err != nil {
		return nil, structure("SignatureValue is no base64")
	}
	if err := s.signedInfo(); err != nil {
		return nil, err
	}
	return s, s.certificates()
}

func structure(message string) error { return &Error{Kind: ErrStructure, Message: message} }

func (s *Signature) signedInfo() error {
	parts := s.SignedInfo.Elements()
	if len(parts) < 3 || len(parts) > 2+maxReferences ||
		!parts[0].Is(SpaceDSig, "CanonicalizationMethod") || !parts[1].Is(SpaceDSig, "SignatureMethod") {
		return structure("SignedInfo")
	}
	var err error
	if s.C14N, err = method(parts[0]); err != nil {
		return err
	}
	if !s.C14N.valid() {
		return &Error{Kind: ErrUnsupported, Message: "canonicalisation of SignedInfo"}
	}
	s.Method, _ = parts[1].Attr("", "Algorithm")
	if len(parts[1].Elements()) > 0 {
		return &Error{Kind: ErrUnsupported, Message: "parameters of the signature method"}
	}
	for _, p := range parts[2:] {
		r, err := reference(p)
		if err != nil {
			return err
		}
		s.References = append(s.References, r)
	}
	return nil
}

func (s *Signature) certificates() error {
	if s.KeyInfo == nil {
		return nil
	}
	for _, data := range s.KeyInfo.Elements() {
		if !data.Is(SpaceDSig, "X509Data") {
			continue
		}
		for _, c := range data.Elements() {
			if !c.Is(SpaceDSig, "X509Certificate") {
				continue
			}
			der, err := decodeBase64(c.Content())
			if err != nil || len(s.Certificates) >= maxReferences {
				return structure("X509Certificate")
			}
			s.Certificates = append(s.Certificates, der)
		}
	}
	return nil
}

// method reads an element with an Algorithm and perhaps InclusiveNamespaces.
func method(n *Node) (Method, error) {
	m := Method{}
	m.Algorithm, _ = n.Attr("", "Algorithm")
	for _, e := range n.Elements() {
		if !e.Is(spaceExcC14, "InclusiveNamespaces") || !strings.HasPrefix(m.Algorithm, spaceExcC14) {
			return m, &Error{Kind: ErrUnsupported, Message: "parameter of an algorithm"}
		}
		list, _ := e.Attr("", "PrefixList")
		m.Prefixes = append(m.Prefixes, strings.Fields(list)...)
	}
	if len(m.Prefixes) > 64 {
		return m, structure("PrefixList too long")
	}
	return m, nil
}

func reference(n *Node) (Reference, error) {
	r := Reference{}
	parts := n.Elements()
	if !n.Is(SpaceDSig, "Reference") || len(parts) < 2 {
		return r, structure("Reference")
	}
	var ok bool
	if r.URI, ok = n.Attr("", "URI"); !ok {
		return r, structure("Reference without URI")
	}
	r.ID, _ = n.Attr("", "Id")
	r.Type, _ = n.Attr("", "Type")
	if parts[0].Is(SpaceDSig, "Transforms") {
		if err := r.transforms(parts[0].Elements()); err != nil {
			return r, err
		}
		parts = parts[1:]
	}
	if len(parts) != 2 || !parts[0].Is(SpaceDSig, "DigestMethod") || !parts[1].Is(SpaceDSig, "DigestValue") {
		return r, structure("Reference")
	}
	r.Digest, _ = parts[0].Attr("", "Algorithm")
	var err error
	if r.Value, err = decodeBase64(parts[1].Content()); err != nil {
		return r, structure("DigestValue is no base64")
	}
	return r, nil
}

func (r *Reference) transforms(nodes []*Node) error {
	if len(nodes) == 0 || len(nodes) > maxTransforms {
		return structure("number of transforms")
	}
	for _, n := range nodes {
		if !n.Is(SpaceDSig, "Transform") {
			return structure("Transform")
		}
		t := Transform{node: n}
		if a, _ := n.Attr("", "Algorithm"); a == transformXPath {
			x := n.Elements()
			if len(x) != 1 || !x[0].Is(SpaceDSig, "XPath") {
				return structure("XPath transform")
			}
			t.Algorithm, t.XPath, t.node = a, strings.Join(strings.Fields(x[0].Content()), ""), x[0]
		} else {
			var err error
			if t.Method, err = method(n); err != nil {
				return err
			}
		}
		r.Transforms = append(r.Transforms, t)
	}
	return nil
}

// CheckValue checks the signature value over SignedInfo with a key. Returns
// ErrSignature or ErrUnsupported.
func (s *Signature) CheckValue(key crypto.PublicKey) error {
	var b bytes.Buffer
	if err := s.SignedInfo.Canonical(&b, s.C14N, nil); err != nil {
		return err
	}
	return VerifyValue(s.Method, key, b.Bytes(), s.Value)
}

// Check checks every reference and the value. It says nothing of trust, of
// time or of whether the references cover what they should.
func (d *Document) Check(s *Signature, key crypto.PublicKey) error {
	for _, r := range s.References {
		if err := d.CheckReference(s, r); err != nil {
			return err
		}
	}
	return s.CheckValue(key)
}

// decodeBase64 decodes a short text at once.
func decodeBase64(text string) ([]byte, error) {
	var d base64Decoder
	out, err := d.decode(make([]byte, 0, len(text)*3/4), []byte(text))
	if err != nil {
		return nil, err
	}
	return d.finish(out)
}

// encodeBase64 is the form in which we write digests and keys.
func encodeBase64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
