// Package xades says what the electronic signatures in an XML document are
// worth: whether the numbers are right, what they protect, who signed, and
// whether the office trusts the certificate (XAdES, ETSI EN 319 132-1, as
// Profil Zaufany, qualified providers and the platform itself write it). It
// never calls valid what it did not check, and it says in plain Polish what a
// clerk should know. Revocation is not checked, for that would need a network.
package xades

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"time"

	"sekretariat"
	"sekretariat/extract/trust"
	"sekretariat/extract/xmlsec"
)

// Verdict is what a signature is worth.
type Verdict string

// The verdicts, from the worst on. One that is not Valid proves nothing by
// itself.
const (
	Invalid   Verdict = sekretariat.VerdictInvalid   // wrong, or not checkable
	Partial   Verdict = sekretariat.VerdictPartial   // right, but does not protect the whole document
	Untrusted Verdict = sekretariat.VerdictUntrusted // right, by a certificate that the office does not trust
	Expired   Verdict = sekretariat.VerdictExpired   // right, but the certificate was not valid at the time
	Weak      Verdict = sekretariat.VerdictWeak      // right, but with an algorithm or key that is too weak
	Valid     Verdict = sekretariat.VerdictValid
)

// Type is what kind of signature it is. Of a signature that is not trusted it
// is what it looks like.
type Type string

// The types.
const (
	TypeProfilZaufany Type = "profil-zaufany"
	TypeQualified     Type = "qualified"
	TypePersonal      Type = "personal"
	TypeSeal          Type = "seal"
	TypePlatformSeal  Type = "platform-seal"
	TypeUnknown       Type = "unknown"
)

// Reason is a code of why a signature is not valid.
type Reason string

// The reasons.
const (
	ReasonDigest      Reason = "digest"        // the content was changed after signing
	ReasonValue       Reason = "value"         // the signature value does not fit
	ReasonStructure   Reason = "structure"     // not built as it must be
	ReasonAmbiguous   Reason = "ambiguous"     // an id occurs twice
	ReasonAlgorithm   Reason = "algorithm"     // an algorithm or transform that is not allowed
	ReasonCertificate Reason = "certificate"   // no certificate, or another than the one signed for
	ReasonNoList      Reason = "no-list"       // the office has no list of trusted certificates
	ReasonUnknown     Reason = "unknown-ca"    // nobody on the list issued the certificate
	ReasonExpired     Reason = "expired"       // the certificate had expired
	ReasonNotYet      Reason = "not-yet"       // the certificate was not valid yet
	ReasonWithdrawn   Reason = "withdrawn"     // trusted at another time
	ReasonWeak        Reason = "weak"          // SHA-1, or a key that is too short
	ReasonNobody      Reason = "no-claims"     // Profil Zaufany without a name
	ReasonUncovered   Reason = "uncovered"     // no reference covers the whole document
	ReasonUnsigned    Reason = "no-properties" // the signature does not protect its own data
)

// Result is what one signature is worth.
type Result struct {
	Type    Type
	Verdict Verdict
	Reason  Reason // "" if valid
	Crypto  bool   // every reference and the value are right
	Covers  bool   // a reference protects the whole document
	// Signer is the person or organisation that signed, as the certificate or,
	// under Profil Zaufany, the signed claims name it. Only with Valid it is a
	// fact; Basis is then "signature", else "claim".
	Signer      sekretariat.Party
	Claims      string    // form of the claims: "EPSignature", "PodpisZP", ""
	Time        time.Time // as the signer says, zero if it does not
	Certificate sekretariat.Digest
	Text        string // in plain Polish, for a clerk
}

// Verify checks all signatures of a document; those inside other signatures
// (countersignatures) are left out. open returns a reader of the same octets
// that doc was parsed from. at is when the document is known to have existed.
// The error is one of reading.
func Verify(doc *xmlsec.Document, open func() (io.Reader, error), lim xmlsec.Limits, list *trust.List, at time.Time) ([]Result, error) {
	var checks []*check
	stream := &xmlsec.Stream{}
	for i, n := range doc.Signatures() {
		if nested(n) || len(checks) >= maxSignatures {
			continue
		}
		c := &check{doc: doc, node: n, list: list, at: at}
		c.prepare(stream, i)
		checks = append(checks, c)
	}
	if len(checks) == 0 {
		return nil, nil
	}
	r, err := open()
	if err != nil {
		return nil, err
	}
	if err := stream.Run(r, lim); err != nil {
		return nil, err
	}
	out := make([]Result, 0, len(checks))
	for _, c := range checks {
		out = append(out, c.result())
	}
	return out, nil
}

// maxSignatures bounds the signatures checked in one document.
const maxSignatures = 32

func nested(n *xmlsec.Node) bool {
	for p := n.Parent; p != nil; p = p.Parent {
		if p.Is(xmlsec.SpaceDSig, "Signature") {
			return true
		}
	}
	return false
}

// check is one signature being checked.
type check struct {
	doc  *xmlsec.Document
	node *xmlsec.Node
	list *trust.List
	at   time.Time

	err     error // why it is invalid
	sig     *xmlsec.Signature
	props   properties
	leaf    *x509.Certificate
	others  []*x509.Certificate
	results []func() error // of the references
}

// prepare takes the signature apart and asks for the digests of its references.
func (c *check) prepare(stream *xmlsec.Stream, ordinal int) {
	// What it says of itself is shown even if it turns out wrong.
	c.props = propertiesOf(c.node)
	if c.sig, c.err = xmlsec.ParseSignature(c.node); c.err != nil {
		c.sig = nil
		return
	}
	c.err = c.props.err
	for _, r := range c.sig.References {
		c.results = append(c.results, stream.Add(ordinal, r))
	}
	c.certificates()
}

// errCertificate: no usable certificate, or not the one that was signed for.
var errCertificate = errors.New("certificate of the signature")

// certificates finds the signer's: the one that SigningCertificate names, the
// first one without it.
func (c *check) certificates() {
	for _, der := range c.sig.Certificates {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			continue
		}
		c.others = append(c.others, cert)
	}
	named := c.props.certificate
	for i, cert := range c.others {
		if named == nil && i == 0 || named != nil && named.is(cert) {
			c.leaf = cert
			return
		}
	}
	if len(c.others) > 0 {
		c.leaf = c.others[0] // to show who it claims to be
	}
	if c.err == nil {
		c.err = errCertificate
	}
}

// result draws the conclusion, once the references are known.
func (c *check) result() Result {
	r := Result{Claims: c.props.claims, Time: c.props.time, Type: TypeUnknown}
	if c.leaf != nil {
		sum := sha256.Sum256(c.leaf.Raw)
		r.Certificate = sekretariat.Digest(hex.EncodeToString(sum[:]))
	}
	role, standing := c.identify(&r)
	r.Covers = c.covers()
	if err := c.numbers(); err != nil {
		r.Verdict, r.Reason = Invalid, reasonOf(err)
	} else {
		r.Crypto = !c.unknown()
		r.Verdict, r.Reason = c.worth(r.Covers, role, standing)
	}
	r.Signer.Basis = "claim"
	if r.Verdict == Valid {
		r.Signer.Basis = "signature"
	}
	r.Text = text(r)
	return r
}

// worth judges a signature whose numbers are right.
func (c *check) worth(covers bool, role trust.Role, s trust.Standing) (Verdict, Reason) {
	switch {
	case !covers && c.transformed():
		return Partial, ReasonAlgorithm
	case !covers:
		return Partial, ReasonUncovered
	case !c.propertiesSigned():
		return Partial, ReasonUnsigned
	case s == trust.Unknown && c.list.Empty():
		return Untrusted, ReasonNoList
	case s == trust.Unknown:
		return Untrusted, ReasonUnknown
	case s == trust.Withdrawn:
		return Untrusted, ReasonWithdrawn
	case s == trust.Expired:
		return Expired, ReasonExpired
	case s == trust.NotYet:
		return Expired, ReasonNotYet
	case c.weak():
		return Weak, ReasonWeak
	case role == trust.ProfilZaufany && c.props.person.Name == "":
		return Untrusted, ReasonNobody
	}
	return Valid, ""
}

// numbers checks every reference and the signature value. A reference with a
// transform that we do not apply is passed over, unless another one covers the
// document: what such a signature protects is not known.
func (c *check) numbers() error {
	if c.err != nil {
		return c.err
	}
	for _, result := range c.results {
		if err := result(); err != nil && (c.covers() || !errors.Is(err, xmlsec.ErrTransform)) {
			return err
		}
	}
	return c.sig.CheckValue(c.leaf.PublicKey)
}

func reasonOf(err error) Reason {
	for kind, reason := range map[error]Reason{
		errCertificate: ReasonCertificate, xmlsec.ErrDigest: ReasonDigest, xmlsec.ErrSignature: ReasonValue,
		xmlsec.ErrAmbiguous: ReasonAmbiguous, xmlsec.ErrUnsupported: ReasonAlgorithm,
	} {
		if errors.Is(err, kind) {
			return reason
		}
	}
	return ReasonStructure
}

// covers tells whether a reference protects the whole document: the document
// node, or its root element, which must not be a signature itself.
func (c *check) covers() bool {
	if c.sig == nil || c.doc.Root.Is(xmlsec.SpaceDSig, "Signature") {
		return false
	}
	for i, r := range c.sig.References {
		target, err := c.doc.Target(r)
		if err == nil && (target == nil || target == c.doc.Root) && !r.Filtered() && !errors.Is(c.results[i](), xmlsec.ErrUnsupported) {
			return true
		}
	}
	return false
}

// transformed tells whether a reference has a transform that we do not apply,
// or one that takes away what it likes.
func (c *check) transformed() bool {
	if slices.ContainsFunc(c.sig.References, func(r xmlsec.Reference) bool { return r.Filtered() }) {
		return true
	}
	return slices.ContainsFunc(c.results, func(result func() error) bool { return errors.Is(result(), xmlsec.ErrTransform) })
}

// unknown tells whether a reference was passed over: nobody knows whether its
// digest is right.
func (c *check) unknown() bool {
	return slices.ContainsFunc(c.results, func(result func() error) bool { return result() != nil })
}

// propertiesSigned tells whether a reference protects the SignedProperties of
// this signature, which name certificate, time and person.
func (c *check) propertiesSigned() bool {
	for _, r := range c.sig.References {
		if target, err := c.doc.Target(r); err == nil && target != nil && target == c.props.node {
			return true
		}
	}
	return false
}

// weak tells whether SHA-1 or a short key is used anywhere.
func (c *check) weak() bool {
	if xmlsec.Weak(c.sig.Method) || c.props.certificate != nil && xmlsec.Weak(c.props.certificate.algorithm) {
		return true
	}
	for _, r := range c.sig.References {
		if xmlsec.Weak(r.Digest) {
			return true
		}
	}
	switch k := c.leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() < minRSA
	case *ecdsa.PublicKey:
		return k.Params().N.BitLen() < minEC
	}
	return false
}

// The shortest keys that ETSI TS 119 312 still allows, in bits.
const (
	minRSA = 1900
	minEC  = 256
)
