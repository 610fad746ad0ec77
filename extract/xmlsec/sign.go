package xmlsec

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// The names of the X.509 token profile and of its encoding (OASIS WSS 1.0).
const (
	valueTypeX509  = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#X509v3"
	encodingBase64 = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary"
)

// Signer signs SOAP messages as ePUAP wants them: one signature by an X.509
// token over the Body, Exclusive C14N, SHA-256, RSA.
type Signer struct {
	Certificate *x509.Certificate
	key         *rsa.PrivateKey
}

// NewSigner reads a certificate and its private key, both PEM. The key must
// be RSA and belong to the certificate.
func NewSigner(certificate, key []byte) (*Signer, error) {
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("certificate and key for signing messages: %w", err)
	}
	private, ok := pair.PrivateKey.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("certificate and key for signing messages: the key must be RSA")
	}
	return &Signer{Certificate: pair.Leaf, key: private}, nil
}

// Message wraps the content of a Body (XML that declares its own namespaces)
// into a signed SOAP 1.1 envelope. With a non-zero created the message carries
// a Timestamp from then to lifetime later, signed too.
func (s *Signer) Message(content []byte, created time.Time, lifetime time.Duration) ([]byte, error) {
	id, err := randomID()
	if err != nil {
		return nil, err
	}
	body := fmt.Sprintf(`<soapenv:Body xmlns:soapenv="%s" xmlns:wsu="%s" wsu:Id="id-%s">%s</soapenv:Body>`, SpaceSOAP, SpaceWSU, id, content)
	signed := []string{"id-" + id, body}
	stamp := ""
	if !created.IsZero() {
		stamp = timestamp(id, created, lifetime)
		signed = []string{"TS-" + id, stamp, "id-" + id, body}
	}
	signature, err := s.signature(id, signed)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.Grow(len(body) + 8<<10)
	fmt.Fprintf(&b, `<?xml version="1.0" encoding="UTF-8"?>`+"\n"+`<soapenv:Envelope xmlns:soapenv="%s"><soapenv:Header><wsse:Security xmlns:wsse="%s" soapenv:mustUnderstand="1">`, SpaceSOAP, SpaceWSSE)
	fmt.Fprintf(&b, `<wsse:BinarySecurityToken xmlns:wsu="%s" EncodingType="%s" ValueType="%s" wsu:Id="X509-%s">%s</wsse:BinarySecurityToken>`,
		SpaceWSU, encodingBase64, valueTypeX509, id, encodeBase64(s.Certificate.Raw))
	b.WriteString(signature)
	b.WriteString(stamp)
	b.WriteString(`</wsse:Security></soapenv:Header>`)
	b.WriteString(body)
	b.WriteString(`</soapenv:Envelope>`)
	return b.Bytes(), nil
}

func timestamp(id string, created time.Time, lifetime time.Duration) string {
	const form = "2006-01-02T15:04:05.000Z"
	created = created.UTC()
	return fmt.Sprintf(`<wsu:Timestamp xmlns:wsu="%s" wsu:Id="TS-%s"><wsu:Created>%s</wsu:Created><wsu:Expires>%s</wsu:Expires></wsu:Timestamp>`,
		SpaceWSU, id, created.Format(form), created.Add(lifetime).Format(form))
}

// signature signs pairs of id and element.
func (s *Signer) signature(id string, signed []string) (string, error) {
	var info strings.Builder
	fmt.Fprintf(&info, `<ds:SignedInfo xmlns:ds="%s"><ds:CanonicalizationMethod Algorithm="%s"></ds:CanonicalizationMethod><ds:SignatureMethod Algorithm="%s"></ds:SignatureMethod>`, SpaceDSig, ExcC14N, rsaSHA256)
	for i := 0; i < len(signed); i += 2 {
		h := sha256.New()
		if err := canonical(h, signed[i+1]); err != nil {
			return "", fmt.Errorf("signing a message: %w", err)
		}
		fmt.Fprintf(&info, `<ds:Reference URI="#%s"><ds:Transforms><ds:Transform Algorithm="%s"></ds:Transform></ds:Transforms><ds:DigestMethod Algorithm="%s"></ds:DigestMethod><ds:DigestValue>%s</ds:DigestValue></ds:Reference>`,
			signed[i], ExcC14N, digestSHA256, encodeBase64(h.Sum(nil)))
	}
	info.WriteString(`</ds:SignedInfo>`)
	h := sha256.New()
	if err := canonical(h, info.String()); err != nil {
		return "", fmt.Errorf("signing a message: %w", err)
	}
	value, err := rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, h.Sum(nil))
	if err != nil {
		return "", fmt.Errorf("signing a message: %w", err)
	}
	return fmt.Sprintf(`<ds:Signature xmlns:ds="%s">%s<ds:SignatureValue>%s</ds:SignatureValue><ds:KeyInfo><wsse:SecurityTokenReference><wsse:Reference URI="#X509-%s" ValueType="%s"/></wsse:SecurityTokenReference></ds:KeyInfo></ds:Signature>`,
		SpaceDSig, info.String(), encodeBase64(value), id, valueTypeX509), nil
}

// canonical writes the exclusive canonical form of an element that declares
// its own namespaces.
func canonical(w io.Writer, element string) error {
	lim := Limits{Octets: int64(len(element)) + 1, Nodes: 10_000_000} // our own text
	s, err := NewScanner(strings.NewReader(element), lim)
	if err != nil {
		return err
	}
	c, err := NewCanonicalizer(w, Method{Algorithm: ExcC14N})
	if err != nil {
		return err
	}
	for {
		t, err := s.Next()
		if err == io.EOF {
			return c.Close()
		}
		if err != nil {
			return err
		}
		if err := c.Token(t); err != nil {
			return err
		}
	}
}

// randomID returns an id for one message.
func randomID() (string, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("random id of a message: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}
