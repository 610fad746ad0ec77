package cms

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"time"

	"sekretariat"
)

// signerInfo is one SignerInfo (RFC 5652 §5.3).
type signerInfo struct {
	issuer, serial []byte // DER, or
	keyID          []byte
	attrs          []byte // signed attributes as they were signed, nil if there are none
	digest         []byte // the message digest among them
	algorithm      string // of the signature, dotted
	params         node
	signature      []byte
}

// Attributes and algorithms by object identifier.
const (
	oidMessageDigest = "1.2.840.113549.1.9.4"
	oidSigningTime   = "1.2.840.113549.1.9.5"
	oidPSS           = "1.2.840.113549.1.1.10"
	oidEd25519       = "1.3.101.112"
)

// signers reads signerInfos.
func signers(set node) []Signer {
	var out []Signer
	for _, n := range set.children {
		if n.is(classUniversal, tagSequence) && len(out) < maxSigners {
			out = append(out, signer(n))
		}
	}
	return out
}

func signer(n node) Signer {
	var s Signer
	i := 0
	if n.child(i).is(classUniversal, tagInteger) { // version
		i++
	}
	sid := n.child(i)
	if sid.is(classContext, 0) {
		s.info.keyID = sid.octets()
	} else {
		s.info.issuer, s.info.serial = sid.child(0).der(), sid.child(1).content
	}
	i++
	s.Digest = hashes[n.child(i).child(0).oid()]
	i++
	if a := n.child(i); a.is(classContext, 0) {
		s.attributes(a)
		i++
	}
	alg := n.child(i)
	s.info.algorithm, s.info.params = alg.child(0).oid(), alg.child(1)
	s.info.signature = n.child(i + 1).octets()
	return s
}

// attributes reads the signed attributes; they were signed as a SET, not under
// the tag they have here (RFC 5652 §5.4).
func (s *Signer) attributes(n node) {
	d := n.der()
	s.info.attrs = append([]byte{0x31}, d[1:]...)
	for _, a := range n.children {
		value := a.child(1).child(0)
		switch a.child(0).oid() {
		case oidMessageDigest:
			s.info.digest = value.octets()
		case oidSigningTime:
			s.At, _ = parseTime(value)
		}
	}
}

// parseTime reads UTCTime and GeneralizedTime.
func parseTime(n node) (time.Time, bool) {
	layouts := map[int][]string{
		tagUTCTime: {"060102150405Z0700", "0601021504Z0700"},
		tagTime:    {"20060102150405Z0700", "20060102150405.999Z0700", "200601021504Z0700"},
	}
	for _, layout := range layouts[n.tag] {
		if t, err := time.Parse(layout, string(n.octets())); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// by tells whether c is the certificate that the signer names.
func (i *signerInfo) by(c *Certificate) bool {
	if i.keyID != nil {
		return len(c.keyID) > 0 && bytes.Equal(i.keyID, c.keyID)
	}
	return len(i.serial) > 0 && bytes.Equal(i.serial, c.serial) && bytes.Equal(i.issuer, c.issuer)
}

// verify compares the content and the signature with what the certificate's
// key makes of them.
func (s *Signer) verify(content Digests) string {
	sum := content.sum(s.Digest)
	if s.info.attrs != nil && sum != nil && s.info.digest != nil && !bytes.Equal(sum, s.info.digest) {
		return sekretariat.VerdictBroken
	}
	if sum == nil || s.Certificate == nil || s.info.attrs != nil && s.info.digest == nil {
		return sekretariat.VerdictUnchecked
	}
	key, err := x509.ParsePKIXPublicKey(s.Certificate.key)
	if err != nil {
		return sekretariat.VerdictUnchecked
	}
	right, able := s.signed(key, sum)
	switch {
	case !able:
		return sekretariat.VerdictUnchecked
	case !right:
		return sekretariat.VerdictBroken
	}
	return sekretariat.VerdictIntact
}

// signed tells whether the key made the signature; able is false when nothing
// here can tell.
func (s *Signer) signed(key any, sum []byte) (right, able bool) {
	name := s.Digest
	if h, ok := hashes[s.info.algorithm]; ok {
		name = h
	}
	if s.info.algorithm == oidPSS {
		name = pssHash(s.info.params)
	}
	h, ok := algorithms[name]
	if !ok || !h.Available() {
		return false, false
	}
	if s.info.attrs != nil {
		if k, isEd := key.(ed25519.PublicKey); isEd && s.info.algorithm == oidEd25519 {
			return ed25519.Verify(k, s.info.attrs, s.info.signature), true
		}
		d := h.New()
		d.Write(s.info.attrs)
		sum = d.Sum(nil)
	}
	switch k := key.(type) {
	case *rsa.PublicKey:
		return verifyRSA(k, h, sum, s.info.signature, s.info.algorithm == oidPSS)
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(k, sum, s.info.signature), true
	}
	return false, false
}

func verifyRSA(k *rsa.PublicKey, h crypto.Hash, sum, signature []byte, pss bool) (right, able bool) {
	const most = 1024 // octets of a modulus: larger ones cost seconds
	if len(sum) != h.Size() || k.Size() > most {
		return false, false
	}
	if k.N.BitLen() < 1024 { // crypto/rsa refuses these, and rightly
		return false, false
	}
	if pss {
		return rsa.VerifyPSS(k, h, sum, signature, nil) == nil, true
	}
	return rsa.VerifyPKCS1v15(k, h, sum, signature) == nil, true
}

// pssHash returns the digest of RSASSA-PSS parameters (RFC 4055 §3.1), SHA-1
// by default.
func pssHash(params node) Hash {
	for _, c := range params.children {
		if c.is(classContext, 0) {
			return hashes[c.child(0).child(0).oid()]
		}
	}
	return SHA1
}
