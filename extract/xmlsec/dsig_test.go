package xmlsec_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sekretariat/extract/xmlsec"
)

// expected is what expected.json says of one sample.
type expected struct {
	Parse      string
	Signatures []struct {
		Crypto string
		Cert   string `json:"signer_cert"`
	}
	WSSec *struct {
		Crypto string
		Signed []string
		Cert   string `json:"signer_cert"`
	}
}

func expectations(t *testing.T) map[string]expected {
	t.Helper()
	var e map[string]expected
	if err := json.Unmarshal(read(t, "expected.json"), &e); err != nil {
		t.Fatal(err)
	}
	return e
}

func certificate(t *testing.T, name string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(read(t, filepath.Join("certs", name)))
	if block == nil {
		t.Fatalf("%s is no PEM file", name)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// signatures returns all signatures of a document, in order.
func signatures(d *xmlsec.Document) (out []*xmlsec.Node) {
	d.Root.Walk(func(n *xmlsec.Node) bool {
		if n.Is(xmlsec.SpaceDSig, "Signature") {
			out = append(out, n)
		}
		return true
	})
	return out
}

// TestSampleSignatures checks every signature of the samples against the
// result that xmlsec1 gave.
func TestSampleSignatures(t *testing.T) {
	checked := 0
	for name, e := range expectations(t) {
		if len(e.Signatures) == 0 {
			continue
		}
		d, err := xmlsec.Parse(bytes.NewReader(read(t, name)), xmlsec.Limits{}, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		nodes := signatures(d)
		if len(nodes) != len(e.Signatures) {
			t.Errorf("%s: %d signatures, want %d", name, len(nodes), len(e.Signatures))
			continue
		}
		for i, n := range nodes {
			err := check(t, d, n, e.Signatures[i].Cert)
			if (err == nil) != (e.Signatures[i].Crypto == "valid") {
				t.Errorf("%s, signature %d: got %v, want %s", name, i+1, err, e.Signatures[i].Crypto)
			}
			checked++
		}
	}
	if checked < 15 {
		t.Errorf("only %d signatures checked", checked)
	}
}

func check(t *testing.T, d *xmlsec.Document, n *xmlsec.Node, cert string) error {
	t.Helper()
	s, err := xmlsec.ParseSignature(n)
	if err != nil {
		return err
	}
	if len(s.Certificates) == 0 {
		return errors.New("no certificate")
	}
	c, err := x509.ParseCertificate(s.Certificates[0])
	if err != nil {
		return err
	}
	if cert != "" && !c.Equal(certificate(t, cert)) {
		t.Errorf("signed by another certificate than %s", cert)
	}
	return d.Check(s, c.PublicKey)
}

// TestChangedLetter changes one thing at a time in a signed letter; nothing
// may still verify.
func TestChangedLetter(t *testing.T) {
	letter := string(read(t, "doc-4566-podpis-pz.xml"))
	for what, change := range map[string][2]string{
		"text":              {"410,00", "140,00"},
		"attribute":         {`nazwaPliku="zasw`, `nazwaPliku="Zasw`},
		"instruction":       {`<?xml-stylesheet type="text/xsl"`, `<?xml-stylesheet type="text/xml"`},
		"claimed name":      {"<pz:FirstName>WANDA", "<pz:FirstName>WANDy"},
		"signing time":      {"<xades:SigningTime>2026-04-14T10:21:07", "<xades:SigningTime>2026-04-14T10:21:08"},
		"reference dropped": {`<ds:Reference Type="http://uri.etsi.org/01903#SignedProperties"`, `<ds:Reference Type="x"`},
		"white space":       {"<wnio:Informacje>\n", "<wnio:Informacje> \n"},
		"another transform": {"not(ancestor-or-self::ds:Signature)", "not(ancestor-or-self::ds:signature)"},
		"id twice":          {`<wnio:Informacje>`, `<wnio:Informacje Id="SignedProps-2add253d-9779-4602-adda-b53596e3dc83">`},
		"added element":     {"</wnio:Dokument>", "<wnio:Dopisek/></wnio:Dokument>"},
		"added instruction": {"</wnio:Dokument>", "</wnio:Dokument><?dopisek?>"},
	} {
		changed := strings.Replace(letter, change[0], change[1], 1)
		if changed == letter {
			t.Errorf("%s: not found in the sample", what)
			continue
		}
		d, err := xmlsec.Parse(strings.NewReader(changed), xmlsec.Limits{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := check(t, d, signatures(d)[0], ""); err == nil {
			t.Errorf("%s: still verifies", what)
		}
	}
	// What canonicalisation leaves out may change.
	for what, change := range map[string][2]string{
		"comment":    {"<wnio:Informacje>", "<wnio:Informacje><!-- x -->"},
		"line ends":  {"\n", "\r\n"},
		"empty tags": {`rodzaj="wniosek"/>`, `rodzaj='wniosek' ></wnio:RodzajWnioskuRozszerzony>`},
	} {
		d, err := xmlsec.Parse(strings.NewReader(strings.ReplaceAll(letter, change[0], change[1])), xmlsec.Limits{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := check(t, d, signatures(d)[0], ""); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestHostileSamples(t *testing.T) {
	for name, kind := range map[string]error{
		"zle-billion-laughs.xml": xmlsec.ErrDTD,
		"zle-dtd-niewinne.xml":   xmlsec.ErrDTD,
		"zle-uciety.xml":         xmlsec.ErrSyntax,
		"zle-xxe-plik.xml":       xmlsec.ErrDTD,
	} {
		if _, err := xmlsec.Parse(bytes.NewReader(read(t, name)), xmlsec.Limits{}, nil); !errors.Is(err, kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, doc := range tricky {
		f.Add([]byte(doc))
	}
	f.Add([]byte("\xff\xfe<\x00a\x00/\x00>\x00"))
	f.Add([]byte("<?xml version='1.0' encoding='windows-1250'?><a b='\x9c'>\x9c</a>"))
	if files, _ := filepath.Glob(filepath.Join(os.Getenv("SEKRETARIAT_TESTDATA"), "epuap", "*.xml")); len(files) > 0 {
		for _, name := range files {
			if doc, err := os.ReadFile(name); err == nil {
				f.Add(doc)
			}
		}
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		d, err := xmlsec.Parse(bytes.NewReader(doc), xmlsec.Limits{}, nil)
		if err != nil {
			return
		}
		for _, n := range signatures(d) {
			if s, err := xmlsec.ParseSignature(n); err == nil {
				for _, r := range s.References {
					_ = d.CheckReference(s, r)
				}
			}
		}
		var once, twice bytes.Buffer
		m := xmlsec.Method{Algorithm: xmlsec.C14N10WithComments}
		if err := d.Canonical(&once, m, nil); err != nil {
			return
		}
		again, err := xmlsec.Parse(bytes.NewReader(once.Bytes()), xmlsec.Limits{}, nil)
		if err != nil {
			t.Fatalf("canonical form is refused: %v: %q", err, once.Bytes())
		}
		if err := again.Canonical(&twice, m, nil); err != nil || !bytes.Equal(once.Bytes(), twice.Bytes()) {
			t.Fatalf("canonical form is not stable: %q, %q, %v", once.Bytes(), twice.Bytes(), err)
		}
	})
}
