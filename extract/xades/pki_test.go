package xades_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sekretariat/extract/trust"
)

// identity is a certificate with its key, as files for xmlsec1.
type identity struct {
	cert    *x509.Certificate
	key     crypto.Signer
	certPEM string
	keyPEM  string
	issuer  *identity
}

// pki are the certificates of the tests: authorities and signers.
type pki struct {
	pz, foreign, qualified, seal, expired, future, platform, personal, short *identity
	caQ, caForeign                                                           *identity
}

var (
	at       = time.Date(2026, 4, 14, 10, 0, 0, 0, time.UTC)
	thePKI   = sync.OnceValue(makePKI)
	oidGiven = asn1.ObjectIdentifier{2, 5, 4, 42}
	oidSur   = asn1.ObjectIdentifier{2, 5, 4, 4}
)

var serial int64 = 1000

func issue(ca *identity, key crypto.Signer, name string, change func(*x509.Certificate)) *identity {
	serial++
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: at.AddDate(-2, 0, 0), NotAfter: at.AddDate(2, 0, 0), KeyUsage: x509.KeyUsageContentCommitment, BasicConstraintsValid: true,
	}
	if change != nil {
		change(tmpl)
	}
	parent, signer := tmpl, key
	if ca != nil {
		parent, signer = ca.cert, ca.key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), signer)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return &identity{
		cert: cert, key: key, issuer: ca,
		certPEM: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		keyPEM:  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})),
	}
}

func rsaKey(bits int) crypto.Signer {
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return k
}

func person(given, family, serial string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: oidGiven, Value: given}, {Type: oidSur, Value: family}}
		c.Subject.SerialNumber = serial
		c.Subject.CommonName = given + " " + family
	}
}

func makePKI() *pki {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	key, other := rsaKey(2048), rsaKey(2048) // keys take time: signers share one
	authority := func(c *x509.Certificate) {
		c.IsCA, c.KeyUsage, c.NotBefore = true, x509.KeyUsageCertSign, at.AddDate(-20, 0, 0)
	}
	caQ, caForeign := issue(nil, other, "Kwalifikowany CA", authority), issue(nil, rsaKey(2048), "Obcy CA", authority)
	jan := person("Jan", "Łoś", "PNOPL-02041517880")
	return &pki{
		caQ: caQ, caForeign: caForeign,
		pz: issue(nil, key, "Podpis Zaufany", nil), platform: issue(nil, key, "ePUAP UPO", nil),
		foreign:   issue(caForeign, key, "x", jan),
		qualified: issue(caQ, key, "x", jan),
		personal:  issue(caQ, ec, "x", jan),
		short:     issue(caQ, rsaKey(1024), "x", jan),
		seal: issue(caQ, key, "x", func(c *x509.Certificate) {
			c.Subject.Organization = []string{"Fundacja"}
			c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 97}, Value: "VATPL-1234563218"}}
		}),
		expired: issue(caQ, key, "x", func(c *x509.Certificate) {
			jan(c)
			c.NotBefore, c.NotAfter = at.AddDate(-9, 0, 0), at.AddDate(-5, 0, 0)
		}),
		future: issue(caQ, key, "x", func(c *x509.Certificate) { jan(c); c.NotBefore = at.AddDate(1, 0, 0) }),
	}
}

// list is what the office of the tests trusts.
func (p *pki) list(t testing.TB) *trust.List {
	t.Helper()
	l, err := trust.New([]trust.Entry{
		{Role: trust.ProfilZaufany, DER: p.pz.cert.Raw}, {Role: trust.Platform, DER: p.platform.cert.Raw}, {Role: trust.Qualified, DER: p.caQ.cert.Raw},
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// form is how a document is signed; the zero value is the way of Profil Zaufany.
type form struct {
	by         *identity
	transform  string // of the reference to the document
	uri        string // of it, default ""
	method     string
	digest     string
	claims     string // the ClaimedRole
	noProps    bool   // without the reference to SignedProperties
	certDigest string // instead of the right one
	object     string // a further ds:Object
	body       string // instead of the letter's content
	chain      bool   // with the issuer's certificate
}

const (
	dsig     = "http://www.w3.org/2000/09/xmldsig#"
	xpathURI = "http://www.w3.org/TR/1999/REC-xpath-19991116"
	excC14N  = "http://www.w3.org/2001/10/xml-exc-c14n#"
	sha256ID = "http://www.w3.org/2001/04/xmlenc#sha256"
	rsa256   = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
	epClaim  = `<pz:EPSignature xmlns:pz="http://crd.gov.pl/xml/schematy/podpis_zaufany/"><pz:NaturalPerson><pz:CurrentFamilyName>KOWALSKA</pz:CurrentFamilyName><pz:FirstName>WANDA</pz:FirstName><pz:PersonalIdentifier>02041517880</pz:PersonalIdentifier></pz:NaturalPerson></pz:EPSignature>`
)

func transformXPath(expression string) string {
	return `<ds:Transform Algorithm="` + xpathURI + `"><ds:XPath xmlns:ds="` + dsig + `" xmlns:w="urn:form">` + expression + `</ds:XPath></ds:Transform>`
}

func or(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// template is the unsigned document.
func (f form) template() string {
	sum := sha256.Sum256(f.by.cert.Raw)
	reference := func(attrs, transform string) string {
		return `<ds:Reference ` + attrs + `><ds:Transforms>` + transform + `</ds:Transforms><ds:DigestMethod Algorithm="` + or(f.digest, sha256ID) + `"/><ds:DigestValue/></ds:Reference>`
	}
	refs := reference(`URI="`+f.uri+`"`, or(f.transform, transformXPath("not(ancestor-or-self::ds:Signature)")))
	if !f.noProps {
		refs += reference(`Type="http://uri.etsi.org/01903#SignedProperties" URI="#props"`, `<ds:Transform Algorithm="`+excC14N+`"/>`)
	}
	certs := cut(f.by.certPEM)
	if f.chain {
		certs += `</ds:X509Certificate><ds:X509Certificate>` + cut(f.by.issuer.certPEM)
	}
	return `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<?xml-stylesheet type="text/xsl" href="styl.xsl"?>` + "\n" +
		`<w:Dokument xmlns:w="urn:form" Id="root"><w:TrescDokumentu Id="tresc">` + or(f.body, `<w:Tytul>Wniosek</w:Tytul><w:Kwota>100,00</w:Kwota>`) + `</w:TrescDokumentu>` +
		`<ds:Signature xmlns:ds="` + dsig + `" Id="sig"><ds:SignedInfo><ds:CanonicalizationMethod Algorithm="` + excC14N + `"/><ds:SignatureMethod Algorithm="` + or(f.method, rsa256) + `"/>` +
		refs + `</ds:SignedInfo><ds:SignatureValue/><ds:KeyInfo><ds:X509Data><ds:X509Certificate>` + certs + `</ds:X509Certificate></ds:X509Data></ds:KeyInfo>` +
		`<ds:Object><xades:QualifyingProperties xmlns:xades="http://uri.etsi.org/01903/v1.3.2#" Target="#sig"><xades:SignedProperties Id="props"><xades:SignedSignatureProperties>` +
		`<xades:SigningTime>2026-04-14T09:00:00Z</xades:SigningTime><xades:SigningCertificate><xades:Cert><xades:CertDigest><ds:DigestMethod Algorithm="` + sha256ID + `"/><ds:DigestValue>` +
		or(f.certDigest, base64.StdEncoding.EncodeToString(sum[:])) + `</ds:DigestValue></xades:CertDigest></xades:Cert></xades:SigningCertificate>` +
		`<xades:SignerRole><xades:ClaimedRoles><xades:ClaimedRole>` + f.claims + `</xades:ClaimedRole></xades:ClaimedRoles></xades:SignerRole>` +
		`</xades:SignedSignatureProperties></xades:SignedProperties></xades:QualifyingProperties></ds:Object>` + f.object + `</ds:Signature></w:Dokument>`
}

func cut(pemText string) string {
	lines := strings.Split(strings.TrimSpace(pemText), "\n")
	return strings.Join(lines[1:len(lines)-1], "\n")
}

var idAttrs = []string{"--id-attr:Id", "http://uri.etsi.org/01903/v1.3.2#:SignedProperties", "--id-attr:Id", "urn:form:Dokument", "--id-attr:Id", "urn:form:TrescDokumentu"}

// need skips the test without the Debian tool.
func need(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("xmlsec1"); err != nil {
		t.Skip("xmlsec1 is missing: apt-get install xmlsec1")
	}
}

// sign has xmlsec1 fill the template in.
func (f form) sign(t testing.TB) string {
	t.Helper()
	return f.signTemplate(t, f.template())
}

// signTemplate signs the last signature of a document that is not signed yet.
func (f form) signTemplate(t testing.TB, template string) string {
	t.Helper()
	need(t)
	dir := t.TempDir()
	write(t, dir, "key.pem", f.by.keyPEM)
	write(t, dir, "in.xml", template)
	args := append([]string{"--sign", "--privkey-pem", filepath.Join(dir, "key.pem"), "--node-xpath", "/*/*[local-name()='Signature'][not(*[local-name()='SignatureValue']/text())]", "--output", filepath.Join(dir, "out.xml")}, idAttrs...)
	if msg, err := exec.Command("xmlsec1", append(args, filepath.Join(dir, "in.xml"))...).CombinedOutput(); err != nil {
		t.Fatalf("xmlsec1: %v\n%s\n%s", err, msg, template)
	}
	out, err := os.ReadFile(filepath.Join(dir, "out.xml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func write(t testing.TB, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// xmlsec1Accepts asks the independent checker about the numbers alone.
func xmlsec1Accepts(t testing.TB, doc string, by *identity) bool {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "cert.pem", by.certPEM)
	write(t, dir, "doc.xml", doc)
	args := append([]string{"--verify", "--pubkey-cert-pem", filepath.Join(dir, "cert.pem")}, idAttrs...)
	return exec.Command("xmlsec1", append(args, filepath.Join(dir, "doc.xml"))...).Run() == nil
}
