package office_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"sekretariat/extract/office"
)

// testdata/sealed.xlsx is our own: two cells, written and encrypted by excelize
// 2.9.1 (standard encryption, AES-128), password "tajne hasło".
func TestEncryptedOOXML(t *testing.T) {
	raw, err := os.ReadFile("testdata/sealed.xlsx")
	if err != nil {
		t.Fatal(err)
	}
	if got := office.OLE(bytes.NewReader(raw)); got != office.TypeEncrypted {
		t.Errorf("type %q", got)
	}
	var out bytes.Buffer
	if err := office.Decrypt(bytes.NewReader(raw), office.TypeEncrypted, "tajne hasło", &out); err != nil {
		t.Fatal(err)
	}
	wantText(t, "opened", textOf(t, out.Bytes(), office.TypeXLSX), "Dochód rodziny\tzażółć")
	for _, wrong := range []string{"", "tajne", "Tajne hasło"} {
		if err := office.Decrypt(bytes.NewReader(raw), office.TypeEncrypted, wrong, &bytes.Buffer{}); !errors.Is(err, office.ErrPassword) {
			t.Errorf("password %q: %v", wrong, err)
		}
	}
	for n := 0; n < len(raw)-1024; n += 509 {
		if err := office.Decrypt(bytes.NewReader(raw[:n]), office.TypeEncrypted, "tajne hasło", &bytes.Buffer{}); err == nil {
			t.Errorf("cut at %d it opens", n)
		}
	}
}

// Samples of others that are not ours to keep: OFFICE_SAMPLES names a folder
// of files encrypted with the password "password".
func TestForeignEncryptedOOXML(t *testing.T) {
	names, _ := filepath.Glob(filepath.Join(os.Getenv("OFFICE_SAMPLES"), "encrypt*.xlsx"))
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := office.Decrypt(bytes.NewReader(raw), office.TypeEncrypted, "password", &out); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// sealODF encrypts a document as LibreOffice does (ODF 1.2 part 3 §§4.4 to
// 4.16): each member deflated, AES-256 in CBC mode, PBKDF2.
func sealODF(t *testing.T, content, password string) []byte {
	t.Helper()
	var packed bytes.Buffer
	f, err := flate.NewWriter(&packed, 9)
	if err == nil {
		_, err = f.Write([]byte(content))
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	plain := packed.Bytes()
	sum := sha256.Sum256(plain[:min(len(plain), 1024)])
	salt, iv := []byte("0123456789abcdef"), []byte("fedcba9876543210")
	start := sha256.Sum256([]byte(password))
	key, err := pbkdf2.Key(sha1.New, string(start[:]), salt, 1000, 32)
	if err != nil {
		t.Fatal(err)
	}
	pad := aes.BlockSize - len(plain)%aes.BlockSize
	plain = append(plain, make([]byte, pad)...)
	plain[len(plain)-1] = byte(pad)
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(plain, plain)
	b64 := base64.StdEncoding.EncodeToString
	manifest := fmt.Sprintf(`<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"><manifest:file-entry manifest:full-path="content.xml" manifest:size="%d"><manifest:encryption-data manifest:checksum-type="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0#sha256-1k" manifest:checksum="%s"><manifest:algorithm manifest:algorithm-name="http://www.w3.org/2001/04/xmlenc#aes256-cbc" manifest:initialisation-vector="%s"/><manifest:start-key-generation manifest:start-key-generation-name="http://www.w3.org/2000/09/xmldsig#sha256" manifest:key-size="32"/><manifest:key-derivation manifest:key-derivation-name="PBKDF2" manifest:key-size="32" manifest:iteration-count="1000" manifest:salt="%s"/></manifest:encryption-data></manifest:file-entry></manifest:manifest>`,
		len(content), b64(sum[:]), b64(iv), b64(salt))
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, m := range []struct{ name, content string }{{"mimetype", office.TypeODT}, {"content.xml", string(plain)}, {"META-INF/manifest.xml", manifest}} {
		w, err := z.CreateHeader(&zip.FileHeader{Name: m.name})
		if err == nil {
			_, err = w.Write([]byte(m.content))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestEncryptedODF(t *testing.T) {
	raw := sealODF(t, `<office:text xmlns:office="o" xmlns:text="t"><text:p>Tajny wniosek</text:p></office:text>`, "tajne")
	if _, err := office.Text(t.Context(), bytes.NewReader(raw), office.TypeODT, "", limit); !errors.Is(err, office.ErrPassword) {
		t.Errorf("without a password: %v", err)
	}
	var out bytes.Buffer
	if err := office.Decrypt(bytes.NewReader(raw), office.TypeODT, "tajne", &out); err != nil {
		t.Fatal(err)
	}
	if got := textOf(t, out.Bytes(), office.TypeODT); got != "Tajny wniosek\n" {
		t.Errorf("text %q", got)
	}
	if err := office.Decrypt(bytes.NewReader(raw), office.TypeODT, "inne", &bytes.Buffer{}); !errors.Is(err, office.ErrPassword) {
		t.Errorf("wrong password: %v", err)
	}
}
