package epuap

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"sekretariat/extract/xmlsec"
)

// The results of checking the signature of an answer; they stand in the
// manifest under sourceSignature.
const (
	signedPinned   = "pinned"   // right, by a pinned certificate
	signedUnpinned = "unpinned" // right, by a certificate that is not pinned
	signedWeak     = "weak"     // right, but with SHA-1
	signedNot      = "unsigned"
	signedWrong    = "invalid"
)

// verdict says how an answer is signed. Neither the chain nor the time of the
// platform's certificate is checked: it is self-issued on the test platform,
// and the pin says more.
func (c *link) verdict(s xmlsec.Security) string {
	switch {
	case errors.Is(s.Err, xmlsec.ErrUnsigned):
		return signedNot
	case s.Err != nil || !s.Body:
		return signedWrong
	case s.Weak:
		return signedWeak
	case c.pins[sha256.Sum256(s.Certificate.Raw)]:
		return signedPinned
	}
	return signedUnpinned
}

// signerDigest is the SHA-256 of the certificate that came with an answer, what
// an administrator would pin.
func signerDigest(s xmlsec.Security) string {
	if s.Certificate == nil {
		return ""
	}
	sum := sha256.Sum256(s.Certificate.Raw)
	return hex.EncodeToString(sum[:])
}

// trusted applies verify_response to an answer.
func (c *link) trusted(s xmlsec.Security) error {
	v := c.verdict(s)
	mode := c.o.Account.VerifyResponse
	doubtful := v != signedPinned && (len(c.pins) > 0 || v == signedWrong)
	c.status.doubt(mode == "warn" && doubtful)
	if mode == "require" && v != signedPinned {
		return trouble(codeSignature, fmt.Errorf("the answer is %s (certificate %q); if the platform has a new certificate, add its SHA-256 to pins", v, signerDigest(s)))
	}
	return nil
}
