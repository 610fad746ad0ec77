package epuap

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // part of what is known of a document
	"crypto/sha256"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"sekretariat/extract/xmlsec"
)

// callParser reads the Body of a call. With DokumentAny the XML stands in it:
// its canonical form becomes the document, for the octets as the sender wrote
// them are lost, and with them what a signature over the prolog covers.
type callParser struct {
	parser
	temp  string
	limit int64

	inline *spool
	c14n   *xmlsec.Canonicalizer
	depth  int // below DokumentAny
	done   bool
}

func (c *callParser) token(t *xmlsec.Token) error {
	if c.inline == nil && !c.root && t.Kind == xmlsec.Element && t.Name.Local == elementInline && c.a.element == "" {
		c.a.element = elementInline
		c.inline = newSpool(c.temp, c.limit)
		c.a.content.present = true
		c.sum1, c.sum2 = sha1.New(), sha256.New() //nolint:gosec // see above
		var err error
		if c.c14n, err = xmlsec.NewCanonicalizer(io.MultiWriter(c.inline, &c.parser), xmlsec.Method{Algorithm: xmlsec.C14N10}); err != nil {
			return err
		}
		// Names that it declares for the document are part of it, its own is not.
		around := slices.DeleteFunc(slices.Clone(t.Declared), func(b xmlsec.Binding) bool { return strings.HasPrefix(b.Space, spaceObjects) })
		return c.c14n.Within(around, nil)
	}
	if c.inline == nil {
		return c.parser.token(t)
	}
	switch t.Kind {
	case xmlsec.Element:
		if c.depth == 0 && c.done {
			return errAnswer // two documents
		}
		c.depth++
	case xmlsec.EndElement:
		if c.depth == 0 {
			return nil // of DokumentAny itself
		}
		c.depth--
		c.done = c.done || c.depth == 0
	case xmlsec.Text:
		if c.depth == 0 {
			if len(bytes.TrimSpace(t.Data)) > 0 {
				return errAnswer
			}
			return nil
		}
	default:
		if c.depth == 0 {
			return nil
		}
	}
	return c.c14n.Token(t)
}

// finishInline completes what is known of an inline document.
func (c *callParser) finishInline() error {
	if c.inline == nil {
		return nil
	}
	if err := c.c14n.Close(); err != nil {
		if errors.Is(err, errTooLong) {
			return &rejection{"soapenv:Client", "the document is too large"}
		}
		return err
	}
	c.a.content.sha1, c.a.content.sha256 = c.sum1.Sum(nil), c.sum2.Sum(nil)
	return nil
}

// faultBody is the content of a Body that refuses a call.
func faultBody(r *rejection) string {
	var text bytes.Buffer
	_ = xml.EscapeText(&text, []byte(r.text)) // a Buffer takes everything
	return fmt.Sprintf(`<soapenv:Fault xmlns:wsse="%s" xmlns:wsu="%s"><faultcode>%s</faultcode><faultstring>%s</faultstring></soapenv:Fault>`,
		xmlsec.SpaceWSSE, xmlsec.SpaceWSU, r.code, text.String())
}
