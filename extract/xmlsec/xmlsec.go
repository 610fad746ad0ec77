// Package xmlsec reads XML that may be hostile and checks what is signed in
// it: a strict, bounded scanner and tree (no DTD, exact namespaces), Canonical
// XML 1.0 and 1.1 and Exclusive Canonical XML, XML signatures as ePUAP letters
// carry them, and WS-Security as the ePUAP services speak it. It knows nothing
// of forms or of what a signature is worth: it says what was signed, by which
// certificate, and whether the numbers are right. It stands on the standard
// library (and the code pages of x/text), because no library at hand verified
// even one of our samples.
package xmlsec

import (
	"errors"
	"fmt"
)

// The kinds of refusal; errors of this package wrap one of them or an error of
// the underlying reader.
var (
	// ErrSyntax: not well-formed XML 1.0 with namespaces.
	ErrSyntax = errors.New("not well-formed XML")
	// ErrDTD: a document type declaration. They are never interpreted: all
	// entity attacks begin there, and no form of ePUAP has one.
	ErrDTD = errors.New("document type declaration refused")
	// ErrLimit: over one of the Limits.
	ErrLimit = errors.New("XML over a limit")
	// ErrEncoding: unknown character encoding, or octets that are not in it.
	ErrEncoding = errors.New("XML encoding refused")
	// ErrUnsupported: an algorithm or transform that is not on our list.
	ErrUnsupported = errors.New("algorithm not supported")
	// ErrTransform is the ErrUnsupported of a reference's transform: it may take
	// anything out of what is signed.
	ErrTransform = fmt.Errorf("transform of a reference: %w", ErrUnsupported)
	// ErrDigest: a reference's digest is not that of the content.
	ErrDigest = errors.New("digest does not fit the content")
	// ErrSignature: the signature value is not right for the certificate.
	ErrSignature = errors.New("signature value does not fit")
	// ErrStructure: a signature or message is not built as it must be.
	ErrStructure = errors.New("signature structure refused")
	// ErrAmbiguous: an id that a signature refers to occurs twice.
	ErrAmbiguous = errors.New("id is not unique")
	// ErrUnsigned: there is no signature where one is looked for.
	ErrUnsigned = errors.New("not signed")
)

// Error is a refusal with its place.
type Error struct {
	Kind    error // one of the Err values
	Offset  int64 // octets of the text in UTF-8 before the place
	Message string
}

func (e *Error) Error() string {
	return fmt.Sprintf("%v at octet %d: %s", e.Kind, e.Offset, e.Message)
}

func (e *Error) Unwrap() error { return e.Kind }

// Limits bound what is read. A zero field means the default.
type Limits struct {
	Octets     int64 // of the input as it comes, default 96 MiB
	Depth      int   // of nested elements, default 256
	Attributes int   // of one element, default 128
	Bindings   int   // namespace declarations in scope, default 256
	Nodes      int   // elements, texts, comments, instructions; default 200,000
	Name       int   // octets of a name, default 1 KiB
	Value      int   // octets of all attributes of an element, of a comment, of an instruction; default 1 MiB
	Text       int64 // octets of text that a tree keeps, default 96 MiB; a Scanner keeps none
}

func (l Limits) withDefaults() Limits {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&l.Depth, 256)
	def(&l.Attributes, 128)
	def(&l.Bindings, 256)
	def(&l.Nodes, 200_000)
	def(&l.Name, 1<<10)
	def(&l.Value, 1<<20)
	if l.Octets == 0 {
		l.Octets = 96 << 20
	}
	if l.Text == 0 {
		l.Text = 96 << 20
	}
	return l
}

// The namespaces that the package itself knows.
const (
	SpaceXML    = "http://www.w3.org/XML/1998/namespace"
	SpaceXMLNS  = "http://www.w3.org/2000/xmlns/"
	SpaceDSig   = "http://www.w3.org/2000/09/xmldsig#"
	SpaceSOAP   = "http://schemas.xmlsoap.org/soap/envelope/"
	SpaceWSSE   = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
	SpaceWSU    = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
	spaceExcC14 = "http://www.w3.org/2001/10/xml-exc-c14n#"
)
