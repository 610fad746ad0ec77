package xades_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"sekretariat/extract/trust"
	"sekretariat/extract/xades"
	"sekretariat/extract/xmlsec"
)

func verify(t testing.TB, doc string, list *trust.List) []xades.Result {
	t.Helper()
	d, err := xmlsec.Parse(strings.NewReader(doc), xmlsec.Limits{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := xades.Verify(d, func() (io.Reader, error) { return strings.NewReader(doc), nil }, xmlsec.Limits{}, list, at)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestVerdicts signs with xmlsec1 and changes afterwards; xmlsec1 says what it
// thinks of the numbers, and we say what the signature is worth.
func TestVerdicts(t *testing.T) {
	p := thePKI()
	list := p.list(t)
	swap := func(from, to string) func(string) string {
		return func(doc string) string { return strings.Replace(doc, from, to, 1) }
	}
	const fake = `<ds:Object><xades:QualifyingProperties xmlns:xades="http://uri.etsi.org/01903/v1.3.2#" Target="#sig"><xades:SignedProperties><xades:SignedSignatureProperties><xades:SignerRole><xades:ClaimedRoles><xades:ClaimedRole>` +
		`<pz:EPSignature xmlns:pz="http://crd.gov.pl/xml/schematy/podpis_zaufany/"><pz:NaturalPerson><pz:CurrentFamilyName>INNY</pz:CurrentFamilyName><pz:FirstName>KTOS</pz:FirstName></pz:NaturalPerson></pz:EPSignature>` +
		`</xades:ClaimedRole></xades:ClaimedRoles></xades:SignerRole></xades:SignedSignatureProperties></xades:SignedProperties></xades:QualifyingProperties></ds:Object>`
	enveloped := `<ds:Transform Algorithm="` + dsig + `enveloped-signature"/>`
	for name, c := range map[string]struct {
		f       form
		change  func(string) string
		numbers bool // what xmlsec1 says
		verdict xades.Verdict
		kind    xades.Type
		signer  string
		reason  xades.Reason
	}{
		"podpis zaufany":         {form{by: p.pz, claims: epClaim}, nil, true, xades.Valid, xades.TypeProfilZaufany, "WANDA KOWALSKA", ""},
		"qualified":              {form{by: p.qualified, chain: true}, nil, true, xades.Valid, xades.TypeQualified, "Jan Łoś", ""},
		"enveloped":              {form{by: p.qualified, transform: enveloped}, nil, true, xades.Valid, xades.TypeQualified, "Jan Łoś", ""},
		"ECDSA":                  {form{by: p.personal, method: "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"}, nil, true, xades.Valid, xades.TypeQualified, "Jan Łoś", ""},
		"seal":                   {form{by: p.seal}, nil, true, xades.Valid, xades.TypeSeal, "Fundacja", ""},
		"platform":               {form{by: p.platform}, nil, true, xades.Valid, xades.TypePlatformSeal, "ePUAP UPO", ""},
		"root by id":             {form{by: p.qualified, uri: "#root", transform: enveloped}, nil, true, xades.Valid, xades.TypeQualified, "Jan Łoś", ""},
		"comment in a name":      {form{by: p.pz, claims: epClaim}, swap("KOWALSKA<", "KOWAL<!-- x -->SKA<"), true, xades.Valid, xades.TypeProfilZaufany, "WANDA KOWALSKA", ""},
		"line ends":              {form{by: p.pz, claims: epClaim}, func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }, true, xades.Valid, xades.TypeProfilZaufany, "WANDA KOWALSKA", ""},
		"claims of a stranger":   {form{by: p.foreign, claims: epClaim}, nil, true, xades.Untrusted, xades.TypeProfilZaufany, "WANDA KOWALSKA", xades.ReasonUnknown},
		"claims under qualified": {form{by: p.qualified, claims: epClaim}, nil, true, xades.Valid, xades.TypeQualified, "Jan Łoś", ""},
		"stranger":               {form{by: p.foreign}, nil, true, xades.Untrusted, xades.TypeUnknown, "Jan Łoś", xades.ReasonUnknown},
		"authority signs":        {form{by: p.caQ}, nil, true, xades.Untrusted, xades.TypeUnknown, "Kwalifikowany CA", xades.ReasonUnknown},
		"nobody claimed":         {form{by: p.pz}, nil, true, xades.Untrusted, xades.TypeProfilZaufany, "", xades.ReasonNobody},
		"expired":                {form{by: p.expired}, nil, true, xades.Expired, xades.TypeQualified, "Jan Łoś", xades.ReasonExpired},
		"not valid yet":          {form{by: p.future}, nil, true, xades.Expired, xades.TypeQualified, "Jan Łoś", xades.ReasonNotYet},
		"SHA-1 digest":           {form{by: p.qualified, digest: dsig + "sha1"}, nil, true, xades.Weak, xades.TypeQualified, "Jan Łoś", xades.ReasonWeak},
		"SHA-1 signature":        {form{by: p.qualified, method: dsig + "rsa-sha1"}, nil, true, xades.Weak, xades.TypeQualified, "Jan Łoś", xades.ReasonWeak},
		"short key":              {form{by: p.short}, nil, true, xades.Weak, xades.TypeQualified, "Jan Łoś", xades.ReasonWeak},
		"expired and weak":       {form{by: p.expired, digest: dsig + "sha1"}, nil, true, xades.Expired, xades.TypeQualified, "Jan Łoś", xades.ReasonExpired},
		"changed content":        {form{by: p.pz, claims: epClaim}, swap("100,00", "900,00"), false, xades.Invalid, xades.TypeProfilZaufany, "WANDA KOWALSKA", xades.ReasonDigest},
		"changed claims":         {form{by: p.pz, claims: epClaim}, swap("WANDA", "ADAMA"), false, xades.Invalid, xades.TypeProfilZaufany, "ADAMA KOWALSKA", xades.ReasonDigest},
		"changed instruction":    {form{by: p.pz, claims: epClaim}, swap("styl.xsl", "inny.xsl"), false, xades.Invalid, xades.TypeProfilZaufany, "WANDA KOWALSKA", xades.ReasonDigest},
		"changed value":          {form{by: p.pz, claims: epClaim}, changeValue, false, xades.Invalid, xades.TypeProfilZaufany, "WANDA KOWALSKA", xades.ReasonValue},
		"another certificate":    {form{by: p.pz, claims: epClaim}, swap(cut(p.pz.certPEM), cut(p.qualified.certPEM)), true, xades.Invalid, xades.TypeQualified, "Jan Łoś", xades.ReasonCertificate},
		"certificate damaged":    {form{by: p.pz, claims: epClaim}, swap(cut(p.pz.certPEM), "M="), false, xades.Invalid, xades.TypeProfilZaufany, "WANDA KOWALSKA", xades.ReasonStructure},
		"digest of another":      {form{by: p.pz, claims: epClaim, certDigest: "AAAA"}, nil, true, xades.Invalid, xades.TypeProfilZaufany, "WANDA KOWALSKA", xades.ReasonCertificate},
		"part only":              {form{by: p.qualified, uri: "#tresc", transform: `<ds:Transform Algorithm="` + excC14N + `"/>`}, nil, true, xades.Partial, xades.TypeQualified, "Jan Łoś", xades.ReasonUncovered},
		"filter of its own":      {form{by: p.qualified, transform: transformXPath("not(ancestor-or-self::ds:Signature or ancestor-or-self::w:Kwota)")}, swap("100,00", "900,00"), true, xades.Partial, xades.TypeQualified, "Jan Łoś", xades.ReasonAlgorithm},
		"properties not signed":  {form{by: p.pz, claims: epClaim, noProps: true}, swap("WANDA", "ADAMA"), true, xades.Partial, xades.TypeProfilZaufany, "ADAMA KOWALSKA", xades.ReasonUnsigned},
		"second properties":      {form{by: p.pz, claims: epClaim, object: fake}, nil, true, xades.Invalid, xades.TypeProfilZaufany, "WANDA KOWALSKA", xades.ReasonStructure},
		"first properties":       {form{by: p.pz, claims: epClaim}, swap(`<ds:Object>`, fake+`<ds:Object>`), true, xades.Invalid, xades.TypeProfilZaufany, "KTOS INNY", xades.ReasonStructure},
		"id twice":               {form{by: p.pz, claims: epClaim, object: `<ds:Object><x Id="props"/></ds:Object>`}, nil, true, xades.Invalid, xades.TypeProfilZaufany, "WANDA KOWALSKA", xades.ReasonAmbiguous},
		"wrapped": {form{by: p.qualified, uri: "#root", transform: enveloped}, func(s string) string {
			body := s[strings.Index(s, "<w:Dokument"):]
			return `<w:Dokument xmlns:w="urn:form"><w:TrescDokumentu><w:Tytul>Podstawione</w:Tytul></w:TrescDokumentu>` + body + `</w:Dokument>`
		}, true, xades.Partial, xades.TypeQualified, "Jan Łoś", xades.ReasonUncovered},
		"content in a signature": {form{by: p.pz, claims: epClaim}, swap("</ds:SignatureValue>", "</ds:SignatureValue><w:Tytul>x</w:Tytul>"), false, xades.Invalid, xades.TypeProfilZaufany, "WANDA KOWALSKA", xades.ReasonStructure},
	} {
		t.Run(name, func(t *testing.T) {
			doc := c.f.sign(t)
			if c.change != nil {
				if changed := c.change(doc); changed != doc {
					doc = changed
				} else {
					t.Fatal("nothing was changed")
				}
			}
			r := verify(t, doc, list)
			if len(r) != 1 {
				t.Fatalf("%d signatures", len(r))
			}
			if r[0].Verdict != c.verdict || r[0].Type != c.kind || r[0].Signer.Name != c.signer || r[0].Reason != c.reason {
				t.Errorf("%s %s by %q because of %q, want %s %s by %q because of %q\n%s", r[0].Type, r[0].Verdict, r[0].Signer.Name, r[0].Reason, c.kind, c.verdict, c.signer, c.reason, r[0].Text)
			}
			theirs := xmlsec1Accepts(t, doc, c.f.by)
			if theirs != c.numbers {
				t.Errorf("xmlsec1 accepts: %v, expected %v", theirs, c.numbers)
			}
			if r[0].Crypto && !theirs {
				t.Error("we accept numbers that xmlsec1 refuses")
			}
			if valid := strings.Contains(r[0].Text, ", ważn"); valid != (c.verdict == xades.Valid) || (r[0].Signer.Basis == "signature") != valid {
				t.Errorf("text %q, basis %q", r[0].Text, r[0].Signer.Basis)
			}
		})
	}
}

// changeValue turns one bit of the signature value.
func changeValue(doc string) string {
	at := strings.Index(doc, "<ds:SignatureValue>") + len("<ds:SignatureValue>") + 10
	c := byte('A')
	if doc[at] == 'A' {
		c = 'B'
	}
	return doc[:at] + string(c) + doc[at+1:]
}

func TestNoList(t *testing.T) {
	doc := form{by: thePKI().pz, claims: epClaim}.sign(t)
	r := verify(t, doc, nil)[0]
	if r.Verdict != xades.Untrusted || r.Reason != xades.ReasonNoList || !r.Crypto || !strings.Contains(r.Text, "nie ma listy") {
		t.Errorf("%+v", r)
	}
}

// TestTwoSignatures: parallel signatures, each of which leaves the other out.
func TestTwoSignatures(t *testing.T) {
	p := thePKI()
	first := form{by: p.pz, claims: epClaim}
	doc := first.sign(t)
	second := form{by: p.qualified}.template()
	second = second[strings.Index(second, "<ds:Signature"):]
	second = strings.NewReplacer(`"sig"`, `"sig2"`, `"#sig"`, `"#sig2"`, `"props"`, `"props2"`, `"#props"`, `"#props2"`).Replace(second)
	both := form{by: p.qualified}.signTemplate(t, strings.Replace(doc, "</w:Dokument>", second, 1))
	r := verify(t, both, p.list(t))
	if len(r) != 2 || r[0].Verdict != xades.Valid || r[1].Verdict != xades.Valid || r[0].Signer.Name != "WANDA KOWALSKA" || r[1].Signer.Name != "Jan Łoś" {
		t.Errorf("%+v", r)
	}
}

// TestCountersignature: a signature inside another is no signature of the letter.
func TestCountersignature(t *testing.T) {
	p := thePKI()
	inner := form{by: p.pz, claims: epClaim}.template()
	inner = inner[strings.Index(inner, "<ds:Signature"):strings.Index(inner, "</w:Dokument>")]
	doc := form{by: p.qualified, object: "<ds:Object>" + strings.NewReplacer(`"sig"`, `"in"`, `"props"`, `"pin"`).Replace(inner) + "</ds:Object>"}.sign(t)
	r := verify(t, doc, p.list(t))
	if len(r) != 1 || r[0].Verdict != xades.Valid || r[0].Type != xades.TypeQualified {
		t.Errorf("%+v", r)
	}
}

func FuzzVerify(f *testing.F) {
	p := thePKI()
	list := p.list(f)
	f.Add([]byte(form{by: p.pz, claims: epClaim}.sign(f)))
	f.Add([]byte(form{by: p.qualified, chain: true}.sign(f)))
	f.Fuzz(func(t *testing.T, doc []byte) {
		d, err := xmlsec.Parse(bytes.NewReader(doc), xmlsec.Limits{}, nil)
		if err != nil {
			return
		}
		open := func() (io.Reader, error) { return bytes.NewReader(doc), nil }
		results, err := xades.Verify(d, open, xmlsec.Limits{}, list, at)
		if err != nil {
			t.Fatalf("parsed, but not read again: %v", err)
		}
		for _, r := range results {
			if r.Text == "" || (r.Verdict == xades.Valid) != (r.Reason == "") || r.Verdict == xades.Valid && (!r.Crypto || !r.Covers) {
				t.Fatalf("%+v", r)
			}
		}
	})
}
