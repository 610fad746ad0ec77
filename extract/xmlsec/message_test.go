package xmlsec_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"sekretariat/extract/xmlsec"
)

// pair makes a self-signed certificate and key in PEM.
func pair(t testing.TB, key crypto.Signer) (cert, private []byte) {
	t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

func signer(t testing.TB) *xmlsec.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	s, err := xmlsec.NewSigner(pair(t, key))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const content = `<ob:ZapytaniePullPobierz xmlns:ob="http://wsdl.epuap.gov.pl/obiekty/"><podmiot>mops &amp; żółw</podmiot><nazwaSkrytki/></ob:ZapytaniePullPobierz>`

var created = time.Date(2026, 4, 14, 8, 30, 0, 0, time.UTC)

func TestSampleMessages(t *testing.T) {
	n := 0
	for name, e := range expectations(t) {
		if e.WSSec == nil {
			continue
		}
		n++
		sec, err := xmlsec.ReadMessage(iotest.HalfReader(bytes.NewReader(read(t, name))), xmlsec.Limits{}, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if (sec.Err == nil) != (e.WSSec.Crypto == "valid") {
			t.Errorf("%s: %v, want %s", name, sec.Err, e.WSSec.Crypto)
		}
		if e.WSSec.Cert != "" && !sec.Certificate.Equal(certificate(t, e.WSSec.Cert)) {
			t.Errorf("%s: another certificate", name)
		}
		for _, what := range e.WSSec.Signed {
			if what == "Timestamp" && (!sec.Timestamp || sec.Created.IsZero() || sec.Expires.IsZero()) || what == "Body" && !sec.Body {
				t.Errorf("%s: %s is not seen as signed", name, what)
			}
		}
	}
	if n < 6 {
		t.Errorf("only %d signed messages", n)
	}
	sec, err := xmlsec.ReadMessage(bytes.NewReader(read(t, "soap-potwierdz-odpowiedz.xml")), xmlsec.Limits{}, nil)
	if err != nil || !errors.Is(sec.Err, xmlsec.ErrUnsigned) {
		t.Errorf("unsigned: %v, %v", err, sec.Err)
	}
	sec, err = xmlsec.ReadMessage(bytes.NewReader(read(t, "soap-pobierz-zadanie-zly-podpis.xml")), xmlsec.Limits{}, nil)
	if err != nil || !errors.Is(sec.Err, xmlsec.ErrDigest) {
		t.Errorf("changed Body: %v, %v", err, sec.Err)
	}
}

// TestSignVerify signs with and without Timestamp; we and xmlsec1 verify.
func TestSignVerify(t *testing.T) {
	s := signer(t)
	for _, at := range []time.Time{{}, created} {
		msg, err := s.Message([]byte(content), at, 5*time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		sec, err := xmlsec.ReadMessage(bytes.NewReader(msg), xmlsec.Limits{}, func(tok *xmlsec.Token) error {
			if tok.Kind == xmlsec.Element {
				names = append(names, tok.Name.Local)
			}
			return nil
		})
		if err != nil || sec.Err != nil || !sec.Body || !sec.Certificate.Equal(s.Certificate) || sec.Weak {
			t.Fatalf("%v, %+v", err, sec)
		}
		if sec.Timestamp == at.IsZero() || !sec.Created.Equal(at) && !at.IsZero() {
			t.Errorf("Timestamp: %v, %v", sec.Timestamp, sec.Created)
		}
		if strings.Join(names, " ") != "ZapytaniePullPobierz podmiot nazwaSkrytki" {
			t.Errorf("tokens of the Body: %v", names)
		}
		t.Run("xmlsec1", func(t *testing.T) { verifyWithXmlsec1(t, msg, s) })
	}
}

func verifyWithXmlsec1(t *testing.T, msg []byte, s *xmlsec.Signer) {
	need(t, "xmlsec1", "xmlsec1")
	dir := t.TempDir()
	cert := filepath.Join(dir, "cert.pem")
	doc := filepath.Join(dir, "message.xml")
	if err := os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(doc, msg, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("xmlsec1", "--verify", "--pubkey-cert-pem", cert,
		"--id-attr:Id", xmlsec.SpaceSOAP+":Body", "--id-attr:Id", xmlsec.SpaceWSU+":Timestamp", doc).CombinedOutput()
	if err != nil {
		t.Errorf("xmlsec1 refuses our signature: %v\n%s", err, out)
	}
}

// TestChangedMessage: nothing of what is signed may change, and nothing may be
// moved away from where it is signed (signature wrapping).
func TestChangedMessage(t *testing.T) {
	s := signer(t)
	raw, err := s.Message([]byte(content), created, 5*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	msg := string(raw)
	body := msg[strings.Index(msg, "<soapenv:Body"):strings.Index(msg, "</soapenv:Envelope>")]
	id := body[strings.Index(body, `wsu:Id="`)+8:]
	id = id[:strings.Index(id, `"`)]
	other, err := signer(t).Message([]byte(content), created, 5*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	token := func(m string) string {
		return m[strings.Index(m, "<wsse:BinarySecurityToken"):strings.Index(m, "<ds:Signature ")]
	}
	value := func(m string) string {
		_, after, _ := strings.Cut(m, "Token>")
		return after[:0] + strings.SplitN(token(m), ">", 2)[1]
	}
	for what, c := range map[string]struct {
		msg  string
		kind error
	}{
		"body":            {strings.Replace(msg, "<podmiot>mops", "<podmiot>gops", 1), xmlsec.ErrDigest},
		"timestamp":       {strings.Replace(msg, "08:30:00", "09:30:00", 1), xmlsec.ErrDigest},
		"signature value": {strings.Replace(msg, "<ds:SignatureValue>", "<ds:SignatureValue>AAAA", 1), xmlsec.ErrSignature},
		"other token":     {strings.Replace(msg, value(msg), value(string(other)), 1), xmlsec.ErrSignature},
		"other body signed": {strings.Replace(strings.Replace(msg, body,
			strings.Replace(body, "id-", "xx-", 1), 1), "</soapenv:Header>", "<x>"+body+"</x></soapenv:Header>", 1), xmlsec.ErrStructure},
		"same id in the header": {strings.Replace(msg, "</soapenv:Header>", "<x>"+body+"</x></soapenv:Header>", 1), xmlsec.ErrAmbiguous},
		"same id in the body":   {strings.Replace(msg, "<podmiot>", `<podmiot Id="`+id+`">`, 1), xmlsec.ErrAmbiguous},
		"no reference to body":  {strings.Replace(msg, `URI="#`+id, `URI="#TS-`+id[3:], 1), xmlsec.ErrStructure},
		"two security headers":  {strings.Replace(msg, "</wsse:Security>", `</wsse:Security><wsse:Security xmlns:wsse="`+xmlsec.SpaceWSSE+`"/>`, 1), xmlsec.ErrStructure},
		"unsigned":              {msg[:strings.Index(msg, "<ds:Signature ")] + msg[strings.Index(msg, "<wsu:Timestamp"):], xmlsec.ErrUnsigned},
		"no token":              {strings.Replace(msg, token(msg), "", 1), xmlsec.ErrStructure},
		"unknown digest":        {strings.Replace(msg, "xmlenc#sha256", "xmlenc#ripemd160", 1), xmlsec.ErrUnsupported},
	} {
		if c.msg == msg {
			t.Errorf("%s: nothing was changed", what)
			continue
		}
		sec, err := xmlsec.ReadMessage(strings.NewReader(c.msg), xmlsec.Limits{}, nil)
		if err != nil || !errors.Is(sec.Err, c.kind) {
			t.Errorf("%s: %v, %v; want %v", what, err, sec.Err, c.kind)
		}
		if sec.Body || sec.Timestamp {
			t.Errorf("%s: something counts as signed", what)
		}
	}
	for what, m := range map[string]string{
		"cut off":         msg[:len(msg)-20],
		"second body":     strings.Replace(msg, body, body+body, 1),
		"no body":         strings.Replace(msg, body, "", 1),
		"header twice":    strings.Replace(msg, "</soapenv:Header>", "</soapenv:Header><soapenv:Header/>", 1),
		"SOAP 1.2":        strings.ReplaceAll(msg, xmlsec.SpaceSOAP, "http://www.w3.org/2003/05/soap-envelope"),
		"text in between": strings.Replace(msg, "</soapenv:Header>", "</soapenv:Header>x", 1),
		"HTML":            "<html><body/></html>",
	} {
		if _, err := xmlsec.ReadMessage(strings.NewReader(m), xmlsec.Limits{}, nil); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
}

func TestNewSigner(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert, key := pair(t, ec)
	if _, err := xmlsec.NewSigner(cert, key); err == nil {
		t.Error("an EC key is accepted")
	}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, foreign := pair(t, r)
	if _, err := xmlsec.NewSigner(cert, foreign); err == nil {
		t.Error("a key of another certificate is accepted")
	}
}

func FuzzMessage(f *testing.F) {
	msg, err := signer(f).Message([]byte(content), created, time.Minute)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(msg)
	want := bodyContent(f, msg) // every worker has its own signer, but all sign this
	f.Fuzz(func(t *testing.T, doc []byte) {
		sec, err := xmlsec.ReadMessage(bytes.NewReader(doc), xmlsec.Limits{}, nil)
		if err == nil && sec.Err == nil && bodyContent(t, doc) != want {
			t.Fatalf("another content passes as signed: %q", doc)
		}
	})
}

// bodyContent returns the canonical form of what is in the Body of a message.
func bodyContent(t testing.TB, doc []byte) string {
	t.Helper()
	var b strings.Builder
	for _, n := range mustParse(t, doc).Root.Child(xmlsec.SpaceSOAP, "Body").Elements() {
		if err := n.Canonical(&b, xmlsec.Method{Algorithm: xmlsec.ExcC14N}, nil); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}
