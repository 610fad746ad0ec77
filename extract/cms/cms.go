// Package cms reads Cryptographic Message Syntax (RFC 5652, formerly PKCS#7):
// the signatures of S/MIME mail and of .p7s, .p7m and .sig files (CAdES). It
// is tolerant where programs are sloppy (BER with indefinite lengths, PEM or
// bare base64 around it, octets after the end, certificates that crypto/x509
// refuses), and bounded: the signed content streams through, of the rest at
// most a mebibyte is kept. It tells whether content is what was signed and
// whether the certificate's key signed it; whether the certificate is to be
// trusted it does not tell.
package cms

import (
	"fmt"
	"io"
	"time"

	"sekretariat"
)

// Type is the content type of a CMS object.
type Type string

// The content types (RFC 5652 §14, RFC 5083, RFC 3274).
const (
	TypeData          Type = "data"
	TypeSigned        Type = "signed-data"
	TypeEnveloped     Type = "enveloped-data" // encrypted
	TypeEncrypted     Type = "encrypted-data"
	TypeAuthEnveloped Type = "authenveloped-data" // encrypted
	TypeDigested      Type = "digested-data"
	TypeCompressed    Type = "compressed-data"
	TypeTimestamp     Type = "timestamp-info" // RFC 3161, as content of signed data
	TypeUnknown       Type = "unknown"
)

// Secret tells whether the content is encrypted.
func (t Type) Secret() bool {
	return t == TypeEnveloped || t == TypeEncrypted || t == TypeAuthEnveloped
}

var types = map[string]Type{
	"1.2.840.113549.1.7.1": TypeData, "1.2.840.113549.1.7.2": TypeSigned, "1.2.840.113549.1.7.3": TypeEnveloped,
	"1.2.840.113549.1.7.5": TypeDigested, "1.2.840.113549.1.7.6": TypeEncrypted,
	"1.2.840.113549.1.9.16.1.23": TypeAuthEnveloped, "1.2.840.113549.1.9.16.1.9": TypeCompressed, "1.2.840.113549.1.9.16.1.4": TypeTimestamp,
}

// Limits of what is kept and looked at.
const (
	maxKept    = 1 << 20 // octets beside the content: certificates, signatures
	maxSigners = 50
	maxCerts   = 100
	maxLevels  = 40     // of nested elements
	maxNodes   = 50_000 // elements in memory at once
)

// Object is what one CMS object says. A broken one has Broken set and holds
// what was read before the break.
type Object struct {
	Type         Type
	Inner        Type // content type of what is signed
	Detached     bool // signed data without its content: the content is elsewhere
	Size         int64
	Certificates []Certificate
	Signers      []Signer
	Broken       string // why reading stopped early, "" if it did not

	digests Digests // of the content inside
}

// Signer is one signature of signed data.
type Signer struct {
	Certificate *Certificate // nil when the object does not hold it
	Digest      Hash         // algorithm of the content's digest
	At          time.Time    // signing time as the signer says, zero if absent

	info signerInfo
}

// Read reads one CMS object to its end. What is signed within it goes to
// content as it streams by (nil to drop it). An error is one of r or of
// content; a broken object is an Object with Broken set.
func Read(r io.Reader, content io.Writer) (*Object, error) {
	var failed error
	d := NewDecoder(func(p []byte) {
		if content != nil && failed == nil {
			_, failed = content.Write(p)
		}
	})
	if _, err := io.Copy(d, r); err != nil {
		return nil, fmt.Errorf("read CMS object: %w", err)
	}
	if failed != nil {
		return nil, fmt.Errorf("write signed content: %w", failed)
	}
	return d.Close(), nil
}

// Digests returns an empty Digests for every algorithm that the signers use:
// write detached content to it, then ask Verify.
func (o *Object) Digests() Digests {
	var names []Hash
	for _, s := range o.Signers {
		names = append(names, s.Digest)
	}
	return NewDigests(names...)
}

// Verify returns the verdict about signer i of o. content is the digest of
// detached content; it is ignored when the object holds its content itself.
func (o *Object) Verify(i int, content Digests) string {
	if !o.Detached {
		content = o.digests
	}
	return o.Signers[i].verify(content)
}

// Signatures returns the signatures of o as a Reading lists them. typ is
// "smime" or "cades", part the path of the part that they belong to, content
// as in Verify.
func (o *Object) Signatures(typ, part string, content Digests) []sekretariat.Signature {
	var out []sekretariat.Signature
	for i := range o.Signers {
		s := sekretariat.Signature{Part: part, Type: typ, Verdict: o.Verify(i, content)}
		if at := o.Signers[i].At; !at.IsZero() {
			at = at.UTC()
			s.At = &at
		}
		if c := o.Signers[i].Certificate; c != nil {
			p := c.Party()
			s.Signer, s.Issuer, s.Qualified = &p, c.Issuer.String(), c.Qualified
		}
		out = append(out, s)
	}
	return out
}
