// Package trust answers one question about a certificate: does the office
// trust it, and as what. The answer rests only on what the administrator
// configured: pinned certificates of single signers (Profil Zaufany, the
// platform), and authorities that issue certificates to persons and
// organisations (qualified, personal). Nothing is fetched from a network:
// revocation is not checked, and whoever shows a result says so.
package trust

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Role is what a certificate is trusted as.
type Role string

// The roles. The zero value means: not trusted as anything.
const (
	ProfilZaufany Role = "profil-zaufany" // the platform signs for a person whom it names
	Qualified     Role = "qualified"      // eIDAS: qualified signatures and seals
	Personal      Role = "personal"       // podpis osobisty of the identity card
	Platform      Role = "platform"       // seals of ePUAP: UPP, UPD
)

// Entry is one trusted certificate.
type Entry struct {
	Role Role      `json:"role"`
	DER  []byte    `json:"der"`
	From time.Time `json:"from"` // trusted from; zero = always
	To   time.Time `json:"to"`   // trusted before; zero = always
}

// List is what an office trusts. The nil List trusts nothing. It is safe for
// concurrent use.
type List struct {
	entries []Entry
	pins    map[[32]byte]*Entry
	roots   map[Role]*x509.CertPool
	spans   map[span]*Entry // of authorities
}

// span names an authority in one role.
type span struct {
	role Role
	sum  [32]byte
}

// New makes a list. A certificate of an authority is trusted to issue
// certificates of the role; any other stands for itself alone.
func New(entries []Entry) (*List, error) {
	l := &List{entries: entries, pins: map[[32]byte]*Entry{}, roots: map[Role]*x509.CertPool{}, spans: map[span]*Entry{}}
	for i := range entries {
		e := &entries[i]
		c, err := x509.ParseCertificate(e.DER)
		if err != nil {
			return nil, fmt.Errorf("trusted certificate %d: %w", i+1, err)
		}
		sum := sha256.Sum256(c.Raw)
		if !c.IsCA {
			l.pins[sum] = e
			continue
		}
		if l.roots[e.Role] == nil {
			l.roots[e.Role] = x509.NewCertPool()
		}
		l.roots[e.Role].AddCert(c)
		l.spans[span{e.Role, sum}] = e
	}
	return l, nil
}

// Empty tells whether nothing is trusted: then nobody configured it.
func (l *List) Empty() bool { return l == nil || len(l.entries) == 0 }

// MarshalJSON is the form in which a list travels to reading processes.
func (l *List) MarshalJSON() ([]byte, error) { return json.Marshal(l.entries) }

// Parse reads what MarshalJSON wrote.
func Parse(raw []byte) (*List, error) {
	var entries []Entry
	if err := json.Unmarshal(raw, &entries); err != nil {
		return nil, fmt.Errorf("list of trusted certificates: %w", err)
	}
	return New(entries)
}

// Standing is how a certificate stands at a time.
type Standing string

// The standings.
const (
	Trusted   Standing = "trusted"
	Unknown   Standing = "unknown"   // nobody on the list issued it
	Expired   Standing = "expired"   // issued by somebody on the list, no longer valid
	NotYet    Standing = "not-yet"   // issued by somebody on the list, not valid yet
	Withdrawn Standing = "withdrawn" // on the list, but not for this time
)

// Judge says as what a signer's certificate was trusted at a time. others are
// further certificates that came with it. A pin counts before any authority,
// so that what an authority issued for another purpose can be named.
func (l *List) Judge(leaf *x509.Certificate, others []*x509.Certificate, at time.Time) (Role, Standing) {
	if l == nil {
		return "", Unknown
	}
	if e := l.pins[sha256.Sum256(leaf.Raw)]; e != nil {
		return e.Role, e.standing(leaf, at)
	}
	if leaf.IsCA || leaf.KeyUsage != 0 && leaf.KeyUsage&(x509.KeyUsageContentCommitment|x509.KeyUsageDigitalSignature) == 0 {
		return "", Unknown // an authority signs certificates, not letters
	}
	for _, role := range []Role{Qualified, Personal, ProfilZaufany, Platform} {
		if e := l.issuer(role, leaf, others, at); e != nil {
			return role, e.standing(leaf, at)
		}
	}
	return "", Unknown
}

// issuer finds the authority of a role at the end of the certificate's chain.
func (l *List) issuer(role Role, leaf *x509.Certificate, others []*x509.Certificate, at time.Time) *Entry {
	if l.roots[role] == nil {
		return nil
	}
	between := x509.NewCertPool()
	for _, c := range others {
		between.AddCert(c)
	}
	// Validity in time is a question of its own: the chain is looked at in the
	// life of the certificate.
	switch {
	case at.After(leaf.NotAfter):
		at = leaf.NotAfter
	case at.Before(leaf.NotBefore):
		at = leaf.NotBefore
	}
	chains, err := understood(leaf).Verify(x509.VerifyOptions{
		Roots: l.roots[role], Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return nil
	}
	for _, chain := range chains {
		if e := l.spans[span{role, sha256.Sum256(chain[len(chain)-1].Raw)}]; e != nil {
			return e
		}
	}
	return nil
}

// statements is the extension qcStatements (RFC 3739 §3.2.6), which qualified
// certificates may mark critical and which package xades reads.
var statements = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 3}

// understood is the certificate without the critical extensions that we
// understand and crypto/x509 does not.
func understood(c *x509.Certificate) *x509.Certificate {
	if len(c.UnhandledCriticalExtensions) == 0 {
		return c
	}
	copied := *c
	copied.UnhandledCriticalExtensions = slices.DeleteFunc(slices.Clone(c.UnhandledCriticalExtensions), statements.Equal)
	return &copied
}

func (e *Entry) standing(leaf *x509.Certificate, at time.Time) Standing {
	switch {
	case at.After(leaf.NotAfter):
		return Expired
	case at.Before(leaf.NotBefore):
		return NotYet
	case !e.From.IsZero() && at.Before(e.From), !e.To.IsZero() && !at.Before(e.To):
		return Withdrawn
	}
	return Trusted
}
