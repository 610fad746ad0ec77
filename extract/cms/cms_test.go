package cms

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sekretariat"
)

// openssl is the independent program that makes the objects of these tests.
func openssl(t testing.TB, args ...string) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed: apt-get install openssl")
	}
	if out, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
		t.Fatalf("openssl %v: %v\n%s", args, err, out)
	}
}

// signers of the tests, as a Polish qualified certificate looks.
func identity(t testing.TB, dir, name string, key crypto.Signer) {
	t.Helper()
	statement, err := asn1.Marshal([]struct{ ID asn1.ObjectIdentifier }{{asn1.ObjectIdentifier{0, 4, 0, 1862, 1, 1}}})
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(len(name)) + 0x7f00), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		Subject: pkix.Name{CommonName: "Żaneta Łęcka", SerialNumber: "PNOPL-80010112345", Country: []string{"PL"}, ExtraNames: []pkix.AttributeTypeAndValue{
			{Type: asn1.ObjectIdentifier{2, 5, 4, 42}, Value: "Żaneta"}, {Type: asn1.ObjectIdentifier{2, 5, 4, 4}, Value: "Łęcka"},
		}},
		EmailAddresses:  []string{"zaneta@poczta.example"},
		SubjectKeyId:    []byte{1, 2, 3, 4},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 3}, Value: statement}},
		KeyUsage:        x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	all := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})...)
	if err := os.WriteFile(filepath.Join(dir, name), all, 0o600); err != nil {
		t.Fatal(err)
	}
}

func workshop(t testing.TB) (dir string, content []byte) {
	t.Helper()
	dir = t.TempDir()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	identity(t, dir, "rsa.pem", rsaKey)
	identity(t, dir, "ec.pem", ecKey)
	content = []byte(strings.Repeat("Treść pisma, które podpisano.\r\n", 3000))
	if err := os.WriteFile(filepath.Join(dir, "content"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, content
}

// sign makes one object.
func sign(t testing.TB, dir, key string, args ...string) []byte {
	t.Helper()
	out := filepath.Join(dir, "object")
	all := append([]string{"cms", "-sign", "-binary", "-in", filepath.Join(dir, "content"), "-signer", filepath.Join(dir, key), "-out", out}, args...)
	openssl(t, all...)
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSignedByOpenSSL(t *testing.T) {
	dir, content := workshop(t)
	for name, c := range map[string]struct {
		key      string
		args     []string
		detached bool
	}{
		"inside":        {"rsa.pem", []string{"-nodetach", "-outform", "DER"}, false},
		"indefinite":    {"rsa.pem", []string{"-nodetach", "-stream", "-outform", "DER"}, false},
		"PEM":           {"rsa.pem", []string{"-nodetach", "-outform", "PEM"}, false},
		"no attributes": {"rsa.pem", []string{"-nodetach", "-noattr", "-outform", "DER"}, false},
		"PSS":           {"rsa.pem", []string{"-nodetach", "-outform", "DER", "-md", "sha512", "-keyopt", "rsa_padding_mode:pss"}, false},
		"key id":        {"ec.pem", []string{"-nodetach", "-keyid", "-outform", "DER"}, false},
		"detached":      {"rsa.pem", []string{"-outform", "DER", "-md", "sha1"}, true},
		"detached ec":   {"ec.pem", []string{"-outform", "DER", "-md", "sha384"}, true},
		"two signers":   {"ec.pem", []string{"-nodetach", "-outform", "DER", "-signer", filepath.Join(dir, "rsa.pem")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			raw := sign(t, dir, c.key, c.args...)
			var got bytes.Buffer
			o, err := Read(iotest(raw), &got)
			if err != nil || o.Broken != "" || o.Type != TypeSigned || o.Inner != TypeData || o.Detached != c.detached || len(o.Signers) == 0 {
				t.Fatalf("%+v, %v", o, err)
			}
			if !c.detached && !bytes.Equal(got.Bytes(), content) {
				t.Fatalf("%d octets of content, want %d", got.Len(), len(content))
			}
			for i := range o.Signers {
				expect(t, o, i, content, sekretariat.VerdictIntact)
			}
			s := o.Signatures("smime", "1", nil)[0]
			if s.Signer == nil || s.Signer.Name != "Żaneta Łęcka" || s.Signer.FamilyName != "Łęcka" || s.Signer.IDs["PESEL"] != "80010112345" ||
				s.Signer.Email != "zaneta@poczta.example" || !s.Qualified || s.Issuer != "Żaneta Łęcka" {
				t.Fatalf("%+v, %+v", s, s.Signer)
			}
			if name != "no attributes" && (s.At == nil || time.Since(*s.At) > time.Hour) {
				t.Fatalf("signed at %v", s.At)
			}
			// One octet of the content changed.
			if c.detached {
				expect(t, o, 0, append([]byte("x"), content[1:]...), sekretariat.VerdictBroken)
			} else if at := bytes.Index(raw, content[:100]); at > 0 {
				bad := bytes.Clone(raw)
				bad[at] ^= 1
				o, _ := Read(bytes.NewReader(bad), nil)
				expect(t, o, 0, nil, sekretariat.VerdictBroken)
			}
		})
	}
}

func expect(t *testing.T, o *Object, i int, content []byte, want string) {
	t.Helper()
	d := o.Digests()
	d.write(content)
	if got := o.Verify(i, d); got != want {
		t.Fatalf("signer %d: %s, want %s (%+v)", i, got, want, o.Signers[i].Digest)
	}
}

// iotest returns a reader that gives one octet at a time, then more.
func iotest(b []byte) *stutter { return &stutter{b: b} }

type stutter struct {
	b []byte
	n int
}

func (s *stutter) Read(p []byte) (int, error) {
	s.n = s.n%7 + 1
	n := copy(p[:min(len(p), s.n)], s.b)
	s.b = s.b[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func TestArmour(t *testing.T) {
	dir, content := workshop(t)
	raw := sign(t, dir, "ec.pem", "-nodetach", "-outform", "DER")
	b64 := base64.StdEncoding.EncodeToString(raw)
	for name, text := range map[string]string{
		"one line": b64,
		"lines":    "\r\n" + wrapped(b64, "\r\n"),
		"PEM":      "-----BEGIN PKCS7-----\n" + wrapped(b64, "\n") + "-----END PKCS7-----\n",
		"header":   "Content-Type: application/pkcs7-mime\nContent-Transfer-Encoding: base64\n\n" + wrapped(b64, "\n"),
		"trailing": string(raw) + "\r\n\r\n",
	} {
		var got bytes.Buffer
		o, err := Read(iotest([]byte(text)), &got)
		if err != nil || o.Broken != "" || !bytes.Equal(got.Bytes(), content) || o.Verify(0, nil) != sekretariat.VerdictIntact {
			t.Errorf("%s: %+v, %v", name, o, err)
		}
	}
}

func wrapped(s, eol string) string {
	var out strings.Builder
	for len(s) > 0 {
		n := min(64, len(s))
		out.WriteString(s[:n] + eol)
		s = s[n:]
	}
	return out.String()
}

func TestEncrypted(t *testing.T) {
	dir, _ := workshop(t)
	out := filepath.Join(dir, "object")
	openssl(t, "cms", "-encrypt", "-aes256", "-binary", "-in", filepath.Join(dir, "content"), "-outform", "DER", "-out", out, filepath.Join(dir, "rsa.pem"))
	f, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if o, err := Read(f, nil); err != nil || o.Type != TypeEnveloped || !o.Type.Secret() || o.Broken != "" || o.Detached {
		t.Fatalf("%+v, %v", o, err)
	}
}

// TestBroken: whatever is cut off or changed is told, and never read further.
func TestBroken(t *testing.T) {
	dir, _ := workshop(t)
	raw := sign(t, dir, "ec.pem", "-nodetach", "-stream", "-outform", "DER")
	for _, n := range []int{0, 1, 2, 20, 60, len(raw) / 2, len(raw) - 1} {
		o, err := Read(bytes.NewReader(raw[:n]), nil)
		if err != nil || o.Broken == "" {
			t.Errorf("%d octets: %+v, %v", n, o, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		b := bytes.Clone(raw)
		for range rapid.IntRange(1, 5).Draw(t, "changes") {
			i := rapid.IntRange(0, 200).Draw(t, "head")
			if rapid.Bool().Draw(t, "tail") {
				i = len(b) - 1 - i*5
			}
			b[i] = rapid.Byte().Draw(t, "octet")
		}
		check(t, b)
	})
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// check reads anything and checks what must always hold.
func check(t fataler, b []byte) {
	t.Helper()
	var size int64
	d := NewDecoder(func(p []byte) { size += int64(len(p)) })
	_, _ = d.Write(b)
	o := d.Close()
	if size != o.Size || len(d.kept) > maxKept+16 {
		t.Fatalf("%d octets of content, %d told; %d kept", size, o.Size, len(d.kept))
	}
	for i, s := range o.Signatures("smime", "", nil) {
		if s.Verdict == "" || i >= maxSigners {
			t.Fatalf("signature %d: %+v", i, s)
		}
	}
}

// TestBombs: depth, width and announced sizes cost nothing.
func TestBombs(t *testing.T) {
	signed := "\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02\xa0\x80\x30\x80\x02\x01\x01"
	for name, s := range map[string]string{
		"levels":       strings.Repeat("\x30\x80", 100_000),
		"set of many":  signed + "\x31\x84\x00\x0f\x00\x00" + strings.Repeat("\x05\x00", 0x0f0000/2),
		"huge length":  signed + "\x31\x85\xff\xff\xff\xff\xff",
		"long kept":    signed + "\x31\x80" + strings.Repeat("\x04\x82\x10\x00"+strings.Repeat("x", 0x1000), 1000),
		"octet levels": signed + "\x31\x00\x30\x80\x06\x01\x2a\xa0\x80" + strings.Repeat("\x24\x80", 1000),
		"octet pieces": signed + "\x31\x00\x30\x80\x06\x01\x2a\xa0\x80\x24\x80" + strings.Repeat("\x04\x01x", 300_000),
	} {
		start := time.Now()
		check(t, []byte(s))
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s took %v", name, took)
		}
	}
}

func FuzzRead(f *testing.F) {
	if _, err := exec.LookPath("openssl"); err == nil {
		dir, _ := workshop(f)
		if err := os.WriteFile(filepath.Join(dir, "content"), []byte("treść"), 0o600); err != nil {
			f.Fatal(err)
		}
		f.Add(sign(f, dir, "ec.pem", "-nodetach", "-outform", "DER"))
		f.Add(sign(f, dir, "rsa.pem", "-stream", "-nodetach", "-outform", "DER"))
		f.Add(sign(f, dir, "ec.pem", "-outform", "PEM"))
	}
	f.Fuzz(func(t *testing.T, b []byte) { check(t, b) })
}
