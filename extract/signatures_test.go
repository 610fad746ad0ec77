package extract_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sekretariat"
	"sekretariat/extract/archive/archivetest"
)

// openssl signs with a certificate of its own.
func openssl(t *testing.T, content []byte, args ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed (Debian package openssl)")
	}
	dir := t.TempDir()
	key, cert, in := filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "in")
	if err := os.WriteFile(in, content, 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) []byte {
		out, err := exec.Command("openssl", args...).Output()
		if err != nil {
			t.Fatalf("openssl %v: %v", args, err)
		}
		return out
	}
	run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "30", "-subj", "/CN=Anna Probna/C=PL")
	return run(append([]string{"cms", "-sign", "-binary", "-outform", "DER", "-in", in, "-signer", cert, "-inkey", key}, args...)...)
}

// detachedXAdES is a signature in an XML file of a file beside it.
func detachedXAdES(uri, algorithm string, digest []byte) []byte {
	return []byte(fmt.Sprintf(`<?xml version="1.0"?><ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:SignedInfo><ds:CanonicalizationMethod Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315"/><ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"/><ds:Reference URI="%s"><ds:DigestMethod Algorithm="%s"/><ds:DigestValue>%s</ds:DigestValue></ds:Reference></ds:SignedInfo><ds:SignatureValue>AAAA</ds:SignatureValue></ds:Signature>`,
		uri, algorithm, base64.StdEncoding.EncodeToString(digest)))
}

const (
	sha256URI = "http://www.w3.org/2001/04/xmlenc#sha256"
	sha512URI = "http://www.w3.org/2001/04/xmlenc#sha512"
)

func signatureOf(t *testing.T, r sekretariat.Reading, part string) sekretariat.Signature {
	t.Helper()
	for _, s := range r.Signatures {
		if s.Part == part {
			return s
		}
	}
	t.Fatalf("no signature of part %s: %+v, findings %v", part, r.Signatures, r.Findings)
	return sekretariat.Signature{}
}

var (
	contract = archivetest.File{Name: "umowa ąę.pdf", Content: []byte(onePage)}
	other    = archivetest.File{Name: "inne.txt", Content: []byte("Coś innego.")}
)

// A signature is paired with its file by the digest, whatever the names say.
func TestDetachedSignatures(t *testing.T) {
	for _, md := range []string{"sha256", "sha512"} {
		sig := openssl(t, contract.Content, "-md", md)
		for _, name := range []string{"umowa ąę.pdf.p7s", "podpis.sig", "inne.txt.sig"} {
			r := readMail(t, attached(other, contract, archivetest.File{Name: name, Content: sig}))
			if s := signatureOf(t, r, "4"); s.Type != "cades" || s.Of != "3" || s.Pairing != "digest" || s.Verdict != sekretariat.VerdictIntact || s.Signer == nil || s.Signer.Name != "Anna Probna" {
				t.Errorf("%s by %s: %+v", name, md, s)
			}
		}
	}
	sig := openssl(t, []byte("dawna treść"))
	r := readMail(t, attached(other, contract, archivetest.File{Name: "umowa ąę.pdf.sig", Content: sig}))
	if s := signatureOf(t, r, "4"); s.Of != "3" || s.Pairing != "name" || s.Verdict != sekretariat.VerdictBroken || !has(r, "signature-invalid", "4", "") {
		t.Errorf("a file that was changed: %+v, %v", s, r.Findings)
	}
	r = readMail(t, attached(other, archivetest.File{Name: "podpis.sig", Content: sig}))
	if s := signatureOf(t, r, "3"); s.Of != "" || s.Pairing != "" || s.Verdict != sekretariat.VerdictUnchecked {
		t.Errorf("a signature whose file is not there: %+v", s)
	}
}

func TestDetachedXAdES(t *testing.T) {
	sum, sum512 := sha256.Sum256(contract.Content), sha512.Sum512(contract.Content)
	for _, c := range []struct {
		name, uri, algorithm string
		digest               []byte
		pairing, verdict     string
	}{
		{"podpis.xades", "umowa%20%C4%85%C4%99.pdf", sha256URI, sum[:], "digest", sekretariat.VerdictUnchecked},
		{"umowa ąę.pdf.XAdES", "inna-nazwa.pdf", sha512URI, sum512[:], "digest", sekretariat.VerdictUnchecked},
		{"umowa ąę.pdf.xml", "umowa%20%C4%85%C4%99.pdf", sha256URI, make([]byte, 32), "name", sekretariat.VerdictBroken},
	} {
		r := readMail(t, attached(other, contract, archivetest.File{Name: c.name, Content: detachedXAdES(c.uri, c.algorithm, c.digest)}))
		if s := signatureOf(t, r, "4"); s.Type != "xades" || s.Of != "3" || s.Pairing != c.pairing || s.Verdict != c.verdict {
			t.Errorf("%s: %+v", c.name, s)
		}
	}
}

// Files inside signatures are listed and read like attachments, and come out
// again as they are.
func TestFilesInsideSignatures(t *testing.T) {
	p7m := archivetest.File{Name: "umowa.pdf.p7m", Content: openssl(t, contract.Content, "-nodetach")}
	object := archivetest.File{Name: "umowa.pdf.xades", Content: []byte(`<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:SignedInfo/><ds:Object Encoding="http://www.w3.org/2000/09/xmldsig#base64">` +
		base64.StdEncoding.EncodeToString(contract.Content) + `</ds:Object></ds:Signature>`)}
	raw := attached(p7m, object, archivetest.File{Name: "a.zip", Content: archivetest.ZIP(t, p7m)})
	r := readMail(t, raw)
	for _, path := range []string{"2.1", "3.1", "4.1.1"} {
		if p := partAt(t, r, path); p.Type != "application/pdf" || p.Name != "umowa.pdf" || p.SHA256 != sekretariat.DigestOf(contract.Content) || p.Text == "" {
			t.Errorf("part %s: %+v", path, p)
		}
	}
	if s := signatureOf(t, r, "2"); s.Type != "cades" || s.Of != "2.1" || s.Pairing != "content" || s.Verdict != sekretariat.VerdictIntact {
		t.Errorf("%+v", s)
	}
	if s := signatureOf(t, r, "3"); s.Type != "xades" || s.Pairing != "content" || s.Verdict == sekretariat.VerdictValid {
		t.Errorf("%+v", s)
	}
	deliverAll(t, raw, r)
}

// pades makes a PDF with a signature dictionary and signs it.
func pades(t *testing.T, sub string) []byte {
	t.Helper()
	const room = 8192
	head := "6 0 obj << /Type /Sig /Filter /Adobe.PPKLite /SubFilter /" + sub + " /ByteRange [0 %010d %010d %010d] /Contents <"
	const tail = "> >> endobj\n%%EOF\n"
	filled := onePage + fmt.Sprintf(head, 0, 0, 0)
	a := len(filled) - 1
	b := a + 2 + room
	filled = onePage + fmt.Sprintf(head, a, b, len(tail)-1)
	signed := []byte(filled[:a] + tail[1:])
	sig := hex.EncodeToString(openssl(t, signed))
	return []byte(filled + sig + strings.Repeat("0", room-len(sig)) + tail)
}

func TestPAdES(t *testing.T) {
	raw := pades(t, "ETSI.CAdES.detached")
	r := readMail(t, attached(archivetest.File{Name: "a.pdf", Content: raw}))
	if s := signatureOf(t, r, "2"); s.Type != "pades" || s.Of != "2" || s.Verdict != sekretariat.VerdictIntact || !s.Covers || s.Signer.Name != "Anna Probna" {
		t.Errorf("%+v", s)
	}
	changed := bytes.Replace(raw, []byte("(Wniosek o pomoc)"), []byte("(Wniosek o niemoc"), 1)
	r = readMail(t, attached(archivetest.File{Name: "a.pdf", Content: changed}))
	if s := signatureOf(t, r, "2"); s.Verdict != sekretariat.VerdictBroken {
		t.Errorf("a PDF changed after signing: %+v", s)
	}
	r = readMail(t, attached(archivetest.File{Name: "a.pdf", Content: append(bytes.Clone(raw), "% dopisek\n"...)}))
	if s := signatureOf(t, r, "2"); s.Verdict != sekretariat.VerdictIntact || s.Covers {
		t.Errorf("a PDF with something behind what was signed: %+v", s)
	}
	r = readMail(t, attached(archivetest.File{Name: "a.pdf", Content: pades(t, "ETSI.RFC3161")}))
	if len(r.Signatures) != 0 {
		t.Errorf("a timestamp is nobody's signature: %+v", r.Signatures)
	}
}

func TestASiC(t *testing.T) {
	sum := sha256.Sum256(contract.Content)
	manifest := []byte(fmt.Sprintf(`<asic:ASiCManifest xmlns:asic="http://uri.etsi.org/02918/v1.2.1#" xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><asic:SigReference URI="META-INF/signature.p7s"/><asic:DataObjectReference URI="umowa.pdf"><ds:DigestMethod Algorithm="%s"/><ds:DigestValue>%s</ds:DigestValue></asic:DataObjectReference></asic:ASiCManifest>`,
		sha256URI, base64.StdEncoding.EncodeToString(sum[:])))
	file := archivetest.File{Name: "umowa.pdf", Content: contract.Content}
	container := func(typ string, more ...archivetest.File) archivetest.File {
		return archivetest.File{Name: "pismo." + typ, Content: archivetest.Stored(t, append([]archivetest.File{{Name: "mimetype", Content: []byte("application/vnd.etsi." + typ + "+zip")}, file}, more...)...)}
	}
	for _, c := range []struct {
		typ, of, verdict string
		more             []archivetest.File
	}{
		{"asic-e", "2.2", sekretariat.VerdictUnchecked, []archivetest.File{{Name: "META-INF/signatures.xml", Content: detachedXAdES("umowa.pdf", sha256URI, sum[:])}}},
		{"asic-s", "2.2", sekretariat.VerdictIntact, []archivetest.File{{Name: "META-INF/signature.p7s", Content: openssl(t, contract.Content)}}},
		{"asic-e", "2.3 2.2", sekretariat.VerdictIntact, []archivetest.File{{Name: "META-INF/ASiCManifest.xml", Content: manifest}, {Name: "META-INF/signature.p7s", Content: openssl(t, manifest)}}},
	} {
		raw := attached(container(c.typ, c.more...))
		r := readMail(t, raw)
		last := r.Parts[len(r.Parts)-1].Path
		if s := signatureOf(t, r, last); s.Type != c.typ || s.Of != c.of || s.Pairing != "digest" || s.Verdict != c.verdict {
			t.Errorf("%s: %+v", c.typ, s)
		}
		if p := partAt(t, r, "2.2"); p.Text == "" {
			t.Errorf("the signed file is not read: %+v", p)
		}
		deliverAll(t, raw, r)
	}
}
