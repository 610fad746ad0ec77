package xades_test

import (
	"strings"
	"testing"

	"sekretariat/extract/xades"
	"sekretariat/extract/xmlsec"
)

// mutant is a signed letter that was changed in one way.
type mutant struct {
	f      form
	change func(string) string
	// want is our verdict; harmless changes leave it valid.
	want   xades.Verdict
	reason xades.Reason
	// refused: the document is refused before anything is verified.
	refused bool
}

// mutants are the classes of changes that an attacker, or a careless program on
// the way, makes to a signed letter.
func mutants(p *pki) map[string]mutant {
	pz := form{by: p.pz, claims: epClaim}
	swap := func(from, to string) func(string) string {
		return func(doc string) string { return strings.Replace(doc, from, to, 1) }
	}
	body := pz
	body.body = `<w:Tytul b="2" a="1">Wniosek</w:Tytul><w:Kwota>100,00</w:Kwota><w:Pusty/>`
	inclusive := form{by: p.qualified, transform: `<ds:Transform Algorithm="` + dsig + `enveloped-signature"/><ds:Transform Algorithm="` + xmlsec.C14N10 + `"/>`, body: body.body}
	signature := func(doc string) string {
		return doc[strings.Index(doc, "<ds:Signature "):strings.Index(doc, "</w:Dokument>")]
	}
	filter := func(expression string) form { return form{by: p.qualified, transform: transformXPath(expression)} }
	unsigned := "not(ancestor-or-self::ds:Signature)"
	out := map[string]mutant{}
	for name, change := range map[string]func(string) string{
		"order of attributes":       swap(`b="2" a="1"`, `a="1" b="2"`),
		"other quotes":              swap(`b="2"`, `b='2'`),
		"white space in a tag":      swap(`<w:Kwota>`, "<w:Kwota\n\t>"),
		"white space in an end tag": swap(`</w:Kwota>`, "</w:Kwota \n>"),
		"comment in the content":    swap(`100,00`, `100<!-- 9 -->,00`),
		"comment at the end":        func(s string) string { return s + "<!-- x -->" },
		"CDATA":                     swap(`100,00`, `<![CDATA[100]]>,00`),
		"character reference":       swap(`100,00`, `&#49;0&#x30;,00`),
		"empty element in full":     swap(`<w:Pusty/>`, `<w:Pusty></w:Pusty>`),
		"namespace declared again":  swap(`<w:Kwota>`, `<w:Kwota xmlns:w="urn:form">`),
		"white space in a digest":   swap(`</ds:DigestValue>`, "\n  </ds:DigestValue>"),
		"signature in another place": func(s string) string {
			sig := signature(s)
			return strings.Replace(strings.Replace(s, sig, "", 1), "<w:TrescDokumentu", sig+"<w:TrescDokumentu", 1)
		},
	} {
		m := mutant{f: body, change: change, want: xades.Valid}
		if name == "white space in a digest" {
			m.want, m.reason = xades.Invalid, xades.ReasonValue // it stands in SignedInfo
		}
		out[name] = m
		if name != "white space in a digest" {
			m.f = inclusive
			out[name+" - inclusive"] = m
		}
	}
	for name, change := range map[string]func(string) string{
		"a character":            swap(`100,00`, `100,01`),
		"white space in content": swap(`<w:Kwota>`, ` <w:Kwota>`),
		"an attribute more":      swap(`<w:Kwota>`, `<w:Kwota x="1">`),
		"an attribute less":      swap(` b="2"`, ``),
		"another prefix": func(s string) string {
			return strings.NewReplacer("w:Kwota", "v:Kwota", "<w:TrescDokumentu", `<w:TrescDokumentu xmlns:v="urn:form"`).Replace(s)
		},
		"another namespace":         swap(`<w:Kwota>`, `<w:Kwota xmlns:w="urn:inny">`),
		"instruction in content":    swap(`<w:Kwota>`, `<?x y?><w:Kwota>`),
		"instruction at the end":    func(s string) string { return s + "<?x y?>" },
		"no stylesheet":             swap(`<?xml-stylesheet type="text/xsl" href="styl.xsl"?>`, ``),
		"element twice":             swap(`<w:Kwota>100,00</w:Kwota>`, `<w:Kwota>100,00</w:Kwota><w:Kwota>100,00</w:Kwota>`),
		"element gone":              swap(`<w:Kwota>100,00</w:Kwota>`, ``),
		"line feed by reference":    swap(`Wniosek`, `Wniosek&#13;`),
		"digest in another place":   func(s string) string { return swapDigests(s) },
		"time of signing":           swap(`2026-04-14T09:00:00Z`, `2025-04-14T09:00:00Z`),
		"certificate digest":        swap(`<xades:CertDigest>`, `<xades:CertDigest >x`),
		"properties of another one": swap(`Id="props">`, `Id="props"><xades:UnsignedSignatureProperties/>`),
	} {
		out[name] = mutant{f: body, change: change, want: xades.Invalid, reason: xades.ReasonDigest}
	}
	digest := func(to string) func(string) string {
		return swap(`<ds:DigestMethod Algorithm="`+sha256ID+`"/>`, `<ds:DigestMethod Algorithm="`+to+`"/>`)
	}
	for name, m := range map[string]mutant{
		"MD5":                {pz, digest("http://www.w3.org/2001/04/xmldsig-more#md5"), xades.Invalid, xades.ReasonAlgorithm, false},
		"other digest":       {pz, digest("http://www.w3.org/2001/04/xmlenc#sha512"), xades.Invalid, xades.ReasonDigest, false},
		"HMAC":               {pz, swap(rsa256, dsig+"hmac-sha1"), xades.Invalid, xades.ReasonAlgorithm, false},
		"HMAC of one bit":    {pz, swap(`<ds:SignatureMethod Algorithm="`+rsa256+`"/>`, `<ds:SignatureMethod Algorithm="`+dsig+`hmac-sha1"><ds:HMACOutputLength>1</ds:HMACOutputLength></ds:SignatureMethod>`), xades.Invalid, xades.ReasonAlgorithm, false},
		"method of another":  {pz, swap(rsa256, "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"), xades.Invalid, xades.ReasonValue, false},
		"no references":      {pz, func(s string) string { return cutOut(s, "<ds:Reference ", "</ds:SignedInfo>") }, xades.Invalid, xades.ReasonStructure, false},
		"one reference less": {pz, func(s string) string { return cutOut(s, `<ds:Reference Type=`, "</ds:SignedInfo>") }, xades.Invalid, xades.ReasonValue, false},
		"no value":           {pz, func(s string) string { return cutOut(s, "<ds:SignatureValue>", "<ds:KeyInfo>") }, xades.Invalid, xades.ReasonStructure, false},
		"empty value": {pz, func(s string) string {
			return strings.Replace(cutOut(s, "<ds:SignatureValue>", "<ds:KeyInfo>"), "<ds:KeyInfo>", "<ds:SignatureValue/><ds:KeyInfo>", 1)
		}, xades.Invalid, xades.ReasonValue, false},
		"no certificate":     {pz, func(s string) string { return cutOut(s, "<ds:KeyInfo>", "<ds:Object>") }, xades.Invalid, xades.ReasonCertificate, false},
		"file outside":       {pz, swap(`URI=""`, `URI="file:///etc/hostname"`), xades.Invalid, xades.ReasonAlgorithm, false},
		"web page":           {pz, swap(`URI=""`, `URI="http://127.0.0.1/"`), xades.Invalid, xades.ReasonAlgorithm, false},
		"no such id":         {form{by: p.qualified, uri: "#root"}, swap(`Id="root"`, `Id="inny"`), xades.Invalid, xades.ReasonStructure, false},
		"id of an attribute": {pz, swap(`<w:Kwota>`, `<w:Kwota Id="props">`), xades.Invalid, xades.ReasonDigest, false},
		"second signature": {pz, func(s string) string {
			return strings.Replace(s, "</w:Dokument>", `<ds:Signature xmlns:ds="`+dsig+`"><ds:Object><w:Kwota>9</w:Kwota></ds:Object></ds:Signature></w:Dokument>`, 1)
		}, xades.Valid, "", false},
		"DTD": {pz, swap(`<w:Dokument `, `<!DOCTYPE w:Dokument><w:Dokument `), "", "", true},
		"entity of one's own": {pz, func(s string) string {
			return strings.Replace(swap(`<w:Dokument `, `<!DOCTYPE w:Dokument [<!ENTITY k "100">]><w:Dokument `)(s), "100,00", "&k;,00", 1)
		}, "", "", true},
		"undeclared entity":    {pz, swap(`100,00`, `&k;100,00`), "", "", true},
		"undeclared prefix":    {pz, swap(`<w:Kwota>`, `<q:Kwota>`), "", "", true},
		"attribute twice":      {body, swap(`a="1"`, `a="1" a="1"`), "", "", true},
		"cut off":              {pz, func(s string) string { return s[:len(s)-20] }, "", "", true},
		"two roots":            {pz, func(s string) string { return s + "<x/>" }, "", "", true},
		"filter":               {filter("not(ancestor-or-self::ds:Signature or ancestor-or-self::w:Kwota)"), nil, xades.Partial, xades.ReasonAlgorithm, false},
		"filter - changed":     {filter("not(ancestor-or-self::ds:Signature or ancestor-or-self::w:Kwota)"), swap("Wniosek", "Skarga"), xades.Invalid, xades.ReasonDigest, false},
		"two filters":          {filter("not(ancestor-or-self::ds:Signature) and not(ancestor-or-self::w:Kwota)"), nil, xades.Partial, xades.ReasonAlgorithm, false},
		"one block":            {filter("ancestor-or-self::w:TrescDokumentu"), nil, xades.Partial, xades.ReasonAlgorithm, false},
		"one block - changed":  {filter("ancestor-or-self::w:TrescDokumentu"), swap("100,00", "900,00"), xades.Invalid, xades.ReasonDigest, false},
		"two blocks":           {form{by: p.qualified, body: "<w:Kwota>1</w:Kwota><w:Tytul/><w:Kwota xmlns:q='urn:q' q:x='1'><w:Kwota/></w:Kwota>", transform: transformXPath("ancestor-or-self::w:Kwota")}, nil, xades.Partial, xades.ReasonAlgorithm, false},
		"nothing at all":       {filter("false()"), swap("100,00", "900,00"), xades.Partial, xades.ReasonAlgorithm, false},
		"everything":           {filter("true()"), nil, xades.Partial, xades.ReasonAlgorithm, false},
		"count in a filter":    {filter("count(ancestor-or-self::ds:Signature)=0"), nil, xades.Partial, xades.ReasonAlgorithm, false},
		"filter with a number": {filter(unsigned + " and not(ancestor-or-self::w:Kwota[1])"), swap("100,00", "900,00"), xades.Partial, xades.ReasonAlgorithm, false},
		"other name":           {filter("not(ancestor-or-self::w:Signature)"), nil, xades.Invalid, xades.ReasonDigest, false},
		"white space":          {filter("\n not ( ancestor-or-self::ds:Signature )\n"), nil, xades.Valid, "", false},
	} {
		out[name] = m
	}
	return out
}

// swapDigests exchanges the digests of the two references.
func swapDigests(s string) string {
	parts := strings.SplitN(s, "<ds:DigestValue>", 4)
	a, restA, _ := strings.Cut(parts[1], "<")
	b, restB, _ := strings.Cut(parts[2], "<")
	return parts[0] + "<ds:DigestValue>" + b + "<" + restA + "<ds:DigestValue>" + a + "<" + restB + "<ds:DigestValue>" + parts[3]
}

// cutOut removes what stands from one text to the next.
func cutOut(s, from, to string) string {
	i := strings.Index(s, from)
	return s[:i] + s[i+strings.Index(s[i:], to):]
}

// TestMutants: every class of change is judged as it must be, with its reason,
// and nothing that xmlsec1 refuses is ever called right.
func TestMutants(t *testing.T) {
	need(t)
	p := thePKI()
	list := p.list(t)
	for name, m := range mutants(p) {
		t.Run(name, func(t *testing.T) {
			doc := m.f.sign(t)
			if m.change != nil {
				changed := m.change(doc)
				if changed == doc {
					t.Fatal("nothing was changed")
				}
				doc = changed
			}
			theirs := xmlsec1Accepts(t, doc, m.f.by)
			if _, err := xmlsec.Parse(strings.NewReader(doc), xmlsec.Limits{}, nil); err != nil || m.refused {
				if err == nil || !m.refused {
					t.Fatalf("refused: %v, want %v", err, m.refused)
				}
				return
			}
			var r xades.Result
			for _, s := range verify(t, doc, list) { // a decoy may stand beside it
				if s.Crypto || r.Text == "" {
					r = s
				}
			}
			if r.Verdict != m.want || r.Reason != m.reason {
				t.Errorf("%s because of %q, want %s because of %q: %s", r.Verdict, r.Reason, m.want, m.reason, r.Text)
			}
			if r.Crypto && !theirs {
				t.Errorf("we accept, xmlsec1 refuses:\n%s", doc)
			}
			t.Logf("ours %v (%s), xmlsec1 %v", r.Crypto, r.Verdict, theirs)
		})
	}
}
