package office

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"sekretariat"
	"sekretariat/extract/archive"
)

// odfManifest is what the manifest says of the encryption of each file (ODF 1.2
// part 3 §§4.3 to 4.16).
type odfManifest struct {
	Files []odfEntry `xml:"file-entry"`
}

type odfEntry struct {
	Path  string `xml:"full-path,attr"`
	Crypt *struct {
		ChecksumType string `xml:"checksum-type,attr"`
		Checksum     string `xml:"checksum,attr"`
		Algorithm    struct {
			Name string `xml:"algorithm-name,attr"`
			IV   string `xml:"initialisation-vector,attr"`
		} `xml:"algorithm"`
		Start struct {
			Name string `xml:"start-key-generation-name,attr"`
		} `xml:"start-key-generation"`
		Derivation struct {
			Name  string `xml:"key-derivation-name,attr"`
			Size  int    `xml:"key-size,attr"`
			Count int    `xml:"iteration-count,attr"`
			Salt  string `xml:"salt,attr"`
		} `xml:"key-derivation"`
	} `xml:"encryption-data"`
}

const firstKB = 1024 // octets that the checksum covers (ODF 1.2 part 3 §4.8.3)

// decryptODF writes an OpenDocument file whose members are not encrypted: AES
// in CBC mode under PBKDF2, what LibreOffice has written since 3.5.
func decryptODF(body sekretariat.Body, password string, w io.Writer) error {
	z, err := archive.OpenZIP(body)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	entries, err := readManifest(z)
	if err != nil {
		return err
	}
	out := zip.NewWriter(w)
	for _, f := range z.File {
		if f.Name == "META-INF/manifest.xml" {
			continue // it would say that the rest is encrypted
		}
		if err := plainMember(out, f, entries[f.Name], password); err != nil {
			return err
		}
	}
	return out.Close()
}

func readManifest(z *zip.Reader) (map[string]odfEntry, error) {
	f, err := z.Open("META-INF/manifest.xml")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	defer f.Close()
	var m odfManifest
	if err := xml.NewDecoder(io.LimitReader(f, maxInfo)).Decode(&m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	out := map[string]odfEntry{}
	for _, e := range m.Files {
		out[e.Path] = e
	}
	return out, nil
}

func plainMember(out *zip.Writer, f *zip.File, e odfEntry, password string) error {
	r, err := f.Open()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	defer r.Close()
	raw, err := io.ReadAll(io.LimitReader(r, maxMember))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	var plain io.Reader = bytes.NewReader(raw)
	if e.Crypt != nil {
		packed, err := e.open(raw, password)
		if err != nil {
			return err
		}
		plain = flate.NewReader(bytes.NewReader(packed))
	}
	w, err := out.Create(f.Name)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, io.LimitReader(plain, maxMember)); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}

// open decrypts one member; what comes out is deflated.
func (e odfEntry) open(raw []byte, password string) ([]byte, error) {
	c := e.Crypt
	if !strings.HasSuffix(c.Algorithm.Name, "#aes256-cbc") && !strings.HasSuffix(c.Algorithm.Name, "#aes128-cbc") || c.Derivation.Count < 1 || c.Derivation.Count > maxSpin {
		return nil, fmt.Errorf("%w: encrypted in a way that is not known here", ErrDamaged)
	}
	salt, err1 := base64.StdEncoding.DecodeString(c.Derivation.Salt)
	iv, err2 := base64.StdEncoding.DecodeString(c.Algorithm.IV)
	sum, err3 := base64.StdEncoding.DecodeString(c.Checksum)
	if err := errors.Join(err1, err2, err3); err != nil || len(iv) != aes.BlockSize || len(raw) == 0 || len(raw)%aes.BlockSize != 0 {
		return nil, fmt.Errorf("%w: description of the encryption: %w", ErrDamaged, err)
	}
	start := sha1.Sum([]byte(password))
	secret := start[:]
	if strings.HasSuffix(c.Start.Name, "#sha256") {
		s := sha256.Sum256([]byte(password))
		secret = s[:]
	}
	size := c.Derivation.Size
	if size == 0 {
		size = 16
	}
	key, err := pbkdf2.Key(sha1.New, string(secret), salt, c.Derivation.Count, min(size, 32))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(raw, raw)
	pad := int(raw[len(raw)-1]) // W3C XML Encryption §5.2: the last octet counts the padding
	if pad < 1 || pad > aes.BlockSize {
		return nil, ErrPassword
	}
	plain := raw[:len(raw)-pad]
	head := plain[:min(len(plain), firstKB)]
	got := sha256.Sum256(head)
	check := got[:]
	if strings.HasSuffix(strings.ToLower(c.ChecksumType), "sha1/1k") || strings.HasSuffix(strings.ToLower(c.ChecksumType), "#sha1-1k") {
		s := sha1.Sum(head)
		check = s[:]
	}
	if subtle.ConstantTimeCompare(check, sum) != 1 {
		return nil, ErrPassword
	}
	return plain, nil
}
