package signed

import (
	"io"
	"net/url"
	"strings"

	"sekretariat/extract/cms"
	"sekretariat/extract/xmlsec"
)

// Limits are the limits of an XML file with signatures; what lies in it as
// base64 is not kept.
var Limits = xmlsec.Limits{Octets: 256 << 20, Text: 8 << 20}

// Reference is what a signature, or the manifest of an ASiC container, says of
// a file that lies elsewhere.
type Reference struct {
	Name   string // last element of the URI, unescaped
	Digest cms.Hash
	Value  []byte
}

// XML is an XML file that holds signatures.
type XML struct {
	Doc        *xmlsec.Document
	Signatures []Signature // without countersignatures
	Objects    int         // files that it holds as base64
}

// Signature is one signature in an XML file, not checked.
type Signature struct {
	Files       []Reference      // what it says of files elsewhere; none for one of what is in the file
	Certificate *cms.Certificate // that it shows, nil if none
}

// ReadXML reads an XML file. Files that it holds (ds:Object with base64) are
// written, decoded, to what object returns for their ordinal, from 1; nil drops
// one. Errors are those of xmlsec, or of the reader.
func ReadXML(r io.Reader, object func(n int) io.Writer) (*XML, error) {
	out := &XML{}
	doc, err := xmlsec.Parse(r, Limits, func(n *xmlsec.Node) io.Writer {
		if coding, _ := n.Attr("", "Encoding"); !n.Is(xmlsec.SpaceDSig, "Object") || !strings.HasSuffix(coding, "base64") {
			return nil
		}
		out.Objects++
		w := io.Discard
		if object != nil {
			if to := object(out.Objects); to != nil {
				w = to
			}
		}
		return xmlsec.NewBase64Writer(w)
	})
	if err != nil {
		return nil, err
	}
	out.Doc = doc
	for _, n := range doc.Signatures() {
		if inside(n) {
			continue // a countersignature signs the signature around it
		}
		out.Signatures = append(out.Signatures, signature(n))
	}
	return out, nil
}

func inside(n *xmlsec.Node) bool {
	for p := n.Parent; p != nil; p = p.Parent {
		if p.Is(xmlsec.SpaceDSig, "Signature") {
			return true
		}
	}
	return false
}

// hashes by the names of XML Signature (RFC 9231).
var hashes = map[string]cms.Hash{
	"http://www.w3.org/2000/09/xmldsig#sha1": cms.SHA1, "http://www.w3.org/2001/04/xmlenc#sha256": cms.SHA256,
	"http://www.w3.org/2001/04/xmldsig-more#sha384": cms.SHA384, "http://www.w3.org/2001/04/xmlenc#sha512": cms.SHA512,
	"http://www.w3.org/2001/04/xmldsig-more#sha224": cms.SHA224,
}

// signature takes apart what a signature says of files elsewhere.
func signature(n *xmlsec.Node) (out Signature) {
	s, err := xmlsec.ParseSignature(n)
	if err != nil {
		return out
	}
	for _, r := range s.References {
		if r.URI == "" || strings.HasPrefix(r.URI, "#") || len(r.Transforms) > 0 {
			continue
		}
		out.Files = append(out.Files, Reference{Name: fileName(r.URI), Digest: hashes[r.Digest], Value: r.Value})
	}
	if len(s.Certificates) > 0 {
		if c, ok := cms.ParseCertificate(s.Certificates[0]); ok {
			out.Certificate = &c
		}
	}
	return out
}

func fileName(uri string) string {
	if s, err := url.PathUnescape(uri); err == nil {
		uri = s
	}
	return uri[strings.LastIndexAny(uri, "/\\")+1:]
}

// Manifest reads what the manifest of an ASiC-E container with CAdES
// signatures says of the files (ETSI EN 319 162-1 §A.4: DataObjectReference);
// empty for any other XML file.
func (x *XML) Manifest() []Reference {
	var out []Reference
	x.Doc.Root.Walk(func(n *xmlsec.Node) bool {
		if n.Name.Local != "DataObjectReference" || len(out) >= 1000 {
			return true
		}
		uri, _ := n.Attr("", "URI")
		method, value := n.Child(xmlsec.SpaceDSig, "DigestMethod"), n.Child(xmlsec.SpaceDSig, "DigestValue")
		if method == nil || value == nil {
			return false
		}
		algorithm, _ := method.Attr("", "Algorithm")
		raw, err := io.ReadAll(io.LimitReader(xmlsec.NewBase64Reader(strings.NewReader(value.Content())), 128))
		if err == nil {
			out = append(out, Reference{Name: fileName(uri), Digest: hashes[algorithm], Value: raw})
		}
		return false
	})
	return out
}
