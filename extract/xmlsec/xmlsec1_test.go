package xmlsec_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sekretariat/extract/xmlsec"
)

// signWithXmlsec1 signs a template.
func signWithXmlsec1(t *testing.T, template, key, cert string) []byte {
	t.Helper()
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.xml"), filepath.Join(dir, "out.xml")
	if err := os.WriteFile(in, []byte(template), 0o600); err != nil {
		t.Fatal(err)
	}
	msg, err := exec.Command("xmlsec1", "--sign", "--privkey-pem", key+","+cert, "--id-attr:Id", "urn:d:part", "--output", out, in).CombinedOutput()
	if err != nil {
		t.Fatalf("xmlsec1: %v\n%s\n%s", err, msg, template)
	}
	signed, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

const (
	moreNS = "http://www.w3.org/2001/04/xmldsig-more#"
	encNS  = "http://www.w3.org/2001/04/xmlenc#"
)

// document is a template: content that is easy to canonicalise wrongly, a part
// that inherits, and a signature to be filled in.
func document(c14n, method, digest, transforms, partTransforms string) string {
	reference := func(uri, transforms string) string {
		if transforms != "" {
			transforms = "<ds:Transforms>" + transforms + "</ds:Transforms>"
		}
		return `<ds:Reference URI="` + uri + `">` + transforms + `<ds:DigestMethod Algorithm="` + digest + `"/><ds:DigestValue/></ds:Reference>`
	}
	return "<?xml version=\"1.0\"?>\n<?xml-stylesheet type=\"text/xsl\" href=\"x.xsl\"?>\n<!-- before -->\n" +
		`<d:doc xmlns:d="urn:d" xmlns:unused="urn:u" xml:lang="pl"><!-- in --><a xmlns="urn:a" b=" x	y&#9;z ">żółw` + "\r\n" + `&#13;</a>` +
		`<d:part Id="p" xml:space="preserve"> <c/><x xmlns=""/> </d:part>` +
		`<ds:Signature xmlns:ds="` + xmlsec.SpaceDSig + `"><ds:SignedInfo>` + c14n + `<ds:SignatureMethod Algorithm="` + method + `"/>` +
		reference("", transforms) + reference("#p", partTransforms) +
		`</ds:SignedInfo><ds:SignatureValue/><ds:KeyInfo><ds:X509Data><ds:X509Certificate/></ds:X509Data></ds:KeyInfo></ds:Signature></d:doc><!-- after --><?end?>`
}

func algorithm(element, uri, inside string) string {
	return `<ds:` + element + ` Algorithm="` + uri + `">` + inside + `</ds:` + element + `>`
}

// TestSignedByXmlsec1 verifies documents that xmlsec1 signed with every
// algorithm on our list, and refuses them once a letter is changed.
func TestSignedByXmlsec1(t *testing.T) {
	need(t, "xmlsec1", "xmlsec1")
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const (
		prefixes = `<i:InclusiveNamespaces xmlns:i="http://www.w3.org/2001/10/xml-exc-c14n#" PrefixList="unused #default"/>`
		xpath    = `<ds:XPath>not(ancestor-or-self::ds:Signature)</ds:XPath>`
	)
	enveloped := algorithm("Transform", xmlsec.SpaceDSig+"enveloped-signature", "")
	filtered := algorithm("Transform", "http://www.w3.org/TR/1999/REC-xpath-19991116", xpath)
	for i, c := range []struct {
		key            crypto.Signer
		c14n           string
		method, digest string
		whole, part    string
	}{
		{rsaKey, algorithm("CanonicalizationMethod", xmlsec.ExcC14N, ""), moreNS + "rsa-sha256", encNS + "sha256", filtered, algorithm("Transform", xmlsec.ExcC14N, "")},
		{rsaKey, algorithm("CanonicalizationMethod", xmlsec.C14N10, ""), moreNS + "rsa-sha512", encNS + "sha512", enveloped, ""},
		{rsaKey, algorithm("CanonicalizationMethod", xmlsec.C14N11, ""), moreNS + "rsa-sha384", moreNS + "sha384", enveloped + algorithm("Transform", xmlsec.C14N11, ""), algorithm("Transform", xmlsec.C14N11, "")},
		{rsaKey, algorithm("CanonicalizationMethod", xmlsec.ExcC14N, prefixes), moreNS + "rsa-sha256", encNS + "sha256", enveloped + algorithm("Transform", xmlsec.ExcC14N, prefixes), algorithm("Transform", xmlsec.ExcC14N, prefixes)},
		{rsaKey, algorithm("CanonicalizationMethod", xmlsec.C14N10WithComments, ""), xmlsec.SpaceDSig + "rsa-sha1", xmlsec.SpaceDSig + "sha1", filtered + algorithm("Transform", xmlsec.C14N10WithComments, ""), algorithm("Transform", xmlsec.ExcC14NComments, "")},
		{p256, algorithm("CanonicalizationMethod", xmlsec.ExcC14N, ""), moreNS + "ecdsa-sha256", encNS + "sha256", filtered, ""},
		{p521, algorithm("CanonicalizationMethod", xmlsec.C14N11WithComments, ""), moreNS + "ecdsa-sha512", encNS + "sha512", enveloped, algorithm("Transform", xmlsec.C14N11WithComments, "")},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			certPEM, keyPEM := pair(t, c.key)
			dir := t.TempDir()
			for name, b := range map[string][]byte{"cert.pem": certPEM, "key.pem": keyPEM} {
				if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			signed := signWithXmlsec1(t, document(c.c14n, c.method, c.digest, c.whole, c.part), filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.pem"))
			d := mustParse(t, signed)
			s, err := xmlsec.ParseSignature(signatures(d)[0])
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Check(s, c.key.Public()); err != nil {
				t.Errorf("%v:\n%s", err, signed)
			}
			if weak := strings.Contains(c.method, "sha1"); xmlsec.Weak(s.Method) != weak || xmlsec.Weak(s.References[0].Digest) != weak {
				t.Error("SHA-1 is not told apart")
			}
			if err := s.CheckValue(rsaKey.Public()); c.key != rsaKey && err == nil {
				t.Error("a key of another kind verifies")
			}
			changed := mustParse(t, bytes.Replace(signed, []byte("<c/>"), []byte("<C/>"), 1))
			if s, err = xmlsec.ParseSignature(signatures(changed)[0]); err != nil {
				t.Fatal(err)
			}
			if err := changed.Check(s, c.key.Public()); !errors.Is(err, xmlsec.ErrDigest) {
				t.Errorf("changed: %v", err)
			}
		})
	}
}

// TestRefusedSignatures are signatures that are not built as they must be, or
// ask for what we do not do.
func TestRefusedSignatures(t *testing.T) {
	const (
		c14n   = `<ds:CanonicalizationMethod Algorithm="` + xmlsec.ExcC14N + `"/>`
		method = `<ds:SignatureMethod Algorithm="` + moreNS + `rsa-sha256"/>`
		digest = `<ds:DigestMethod Algorithm="` + encNS + `sha256"/><ds:DigestValue>AAAA</ds:DigestValue>`
		ref    = `<ds:Reference URI="">` + digest + `</ds:Reference>`
		value  = `<ds:SignatureValue>AAAA</ds:SignatureValue>`
	)
	info := func(inside string) string { return "<ds:SignedInfo>" + inside + "</ds:SignedInfo>" }
	transform := func(uri, inside string) string {
		return info(c14n + method + `<ds:Reference URI=""><ds:Transforms>` + algorithm("Transform", uri, inside) + `</ds:Transforms>` + digest + `</ds:Reference>`)
	}
	reference := func(uri string) string {
		return info(c14n + method + `<ds:Reference ` + uri + `>` + digest + `</ds:Reference>`)
	}
	for name, c := range map[string]struct {
		inside string
		kind   error
	}{
		"right but for the digest": {info(c14n+method+ref) + value, xmlsec.ErrDigest},
		"no value":                 {info(c14n + method + ref), xmlsec.ErrStructure},
		"two SignedInfo":           {info(c14n+method+ref) + info(c14n+method+ref) + value, xmlsec.ErrStructure},
		"no reference":             {info(c14n+method) + value, xmlsec.ErrStructure},
		"too many references":      {info(c14n+method+strings.Repeat(ref, 40)) + value, xmlsec.ErrStructure},
		"KeyInfo last":             {info(c14n+method+ref) + value + `<ds:Object/><ds:KeyInfo/>`, xmlsec.ErrStructure},
		"value no base64":          {info(c14n+method+ref) + `<ds:SignatureValue>!</ds:SignatureValue>`, xmlsec.ErrStructure},
		"unknown c14n":             {info(`<ds:CanonicalizationMethod Algorithm="urn:x"/>`+method+ref) + value, xmlsec.ErrUnsupported},
		"HMAC length":              {info(c14n+`<ds:SignatureMethod Algorithm="`+moreNS+`rsa-sha256"><ds:HMACOutputLength>0</ds:HMACOutputLength></ds:SignatureMethod>`+ref) + value, xmlsec.ErrUnsupported},
		"XSLT":                     {transform("http://www.w3.org/TR/1999/REC-xslt-19991116", "<x/>") + value, xmlsec.ErrUnsupported},
		"another XPath":            {transform("http://www.w3.org/TR/1999/REC-xpath-19991116", "<ds:XPath>true()</ds:XPath>") + value, xmlsec.ErrUnsupported},
		"XPath of another prefix":  {transform("http://www.w3.org/TR/1999/REC-xpath-19991116", `<ds:XPath xmlns:x="urn:x">not(ancestor-or-self::x:Signature)</ds:XPath>`) + value, xmlsec.ErrUnsupported},
		"XPath twice":              {transform("http://www.w3.org/TR/1999/REC-xpath-19991116", "<ds:XPath/><ds:XPath/>") + value, xmlsec.ErrStructure},
		"no transforms in it":      {info(c14n+method+`<ds:Reference URI=""><ds:Transforms/>`+digest+`</ds:Reference>`) + value, xmlsec.ErrStructure},
		"file":                     {reference(`URI="file:///etc/passwd"`) + value, xmlsec.ErrUnsupported},
		"web":                      {reference(`URI="http://example.com/"`) + value, xmlsec.ErrUnsupported},
		"xpointer":                 {reference(`URI="#xpointer(/)"`) + value, xmlsec.ErrUnsupported},
		"no URI":                   {reference(``) + value, xmlsec.ErrStructure},
		"id that is not there":     {reference(`URI="#none"`) + value, xmlsec.ErrStructure},
		"id twice":                 {reference(`URI="#two"`) + value, xmlsec.ErrAmbiguous},
		"MD5":                      {info(c14n+method+`<ds:Reference URI=""><ds:DigestMethod Algorithm="`+moreNS+`md5"/><ds:DigestValue/></ds:Reference>`) + value, xmlsec.ErrUnsupported},
	} {
		d := mustParse(t, []byte(`<a><b Id="two"/><b ID="two"/><ds:Signature xmlns:ds="`+xmlsec.SpaceDSig+`">`+c.inside+`</ds:Signature></a>`))
		s, err := xmlsec.ParseSignature(signatures(d)[0])
		if err == nil {
			err = d.Check(s, nil)
		}
		if !errors.Is(err, c.kind) {
			t.Errorf("%s: %v, want %v", name, err, c.kind)
		}
	}
	if _, err := xmlsec.ParseSignature(mustParse(t, []byte("<a/>")).Root); !errors.Is(err, xmlsec.ErrStructure) {
		t.Errorf("no signature: %v", err)
	}
}
