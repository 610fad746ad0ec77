package office

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"hash"
	"io"
	"unicode/utf16"

	"sekretariat"
	"sekretariat/extract/cfb"
)

// Limits of encrypted documents.
const (
	maxSpin    = 10_000_000 // rounds of the key derivation (MS-OFFCRYPTO 2.3.4.10 allows as many)
	maxInfo    = 1 << 20    // octets of the description of the encryption
	segment    = 4096       // octets encrypted in one piece
	infoAgile  = 0x00040004 // version 4.4
	maxPackage = 256 << 20
)

// Decrypt writes a document without its password. Returns ErrPassword for a
// wrong one and ErrDamaged for a document, or a kind of encryption, that is not
// understood.
func Decrypt(body sekretariat.Body, typ, password string, w io.Writer) error {
	if typ == TypeEncrypted {
		return decryptOOXML(body, password, w)
	}
	return decryptODF(body, password, w)
}

// agile is the description of agile encryption (MS-OFFCRYPTO 2.3.4.10).
type agile struct {
	KeyData agileKey `xml:"keyData"`
	Keys    []struct {
		Key encryptedKey `xml:"encryptedKey"`
	} `xml:"keyEncryptors>keyEncryptor"`
}

type agileKey struct {
	BlockSize     int    `xml:"blockSize,attr"`
	KeyBits       int    `xml:"keyBits,attr"`
	Cipher        string `xml:"cipherAlgorithm,attr"`
	Chaining      string `xml:"cipherChaining,attr"`
	HashAlgorithm string `xml:"hashAlgorithm,attr"`
	SaltValue     string `xml:"saltValue,attr"`
}

type encryptedKey struct {
	agileKey
	SpinCount int    `xml:"spinCount,attr"`
	Input     string `xml:"encryptedVerifierHashInput,attr"`
	Value     string `xml:"encryptedVerifierHashValue,attr"`
	KeyValue  string `xml:"encryptedKeyValue,attr"`
}

// The block keys of MS-OFFCRYPTO 2.3.4.13.
var (
	blockInput = []byte{0xfe, 0xa7, 0xd2, 0x76, 0x3b, 0x4b, 0x9e, 0x79}
	blockValue = []byte{0xd7, 0xaa, 0x0f, 0x6d, 0x30, 0x61, 0x34, 0x4e}
	blockKey   = []byte{0x14, 0x6e, 0x0b, 0xe7, 0xab, 0xac, 0xd0, 0xd6}
)

func decryptOOXML(body sekretariat.Body, password string, w io.Writer) error {
	info, pack, err := encryptedStreams(body)
	if err != nil {
		return err
	}
	if len(info) >= 8 && isStandard(info) {
		return decryptStandard(info, pack, password, w)
	}
	if len(info) < 8 || binary.LittleEndian.Uint32(info) != infoAgile {
		return fmt.Errorf("%w: encrypted in a way that is not known here", ErrDamaged)
	}
	var a agile
	if err := xml.Unmarshal(info[8:], &a); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	for _, k := range a.Keys {
		if k.Key.KeyValue == "" {
			continue
		}
		key, err := k.Key.open(password)
		if err != nil {
			return err
		}
		return a.KeyData.decrypt(key, pack, w)
	}
	return fmt.Errorf("%w: no password opens it", ErrDamaged)
}

// encryptedStreams returns the description of the encryption and the package.
func encryptedStreams(body sekretariat.Body) (info []byte, pack io.Reader, err error) {
	f, err := cfb.Open(body, body.Size())
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	described, content := f.Root().Stream("EncryptionInfo"), f.Root().Stream("EncryptedPackage")
	if described == nil || content == nil {
		return nil, nil, fmt.Errorf("%w: no package inside", ErrDamaged)
	}
	if info, err = io.ReadAll(io.LimitReader(described, maxInfo)); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return info, io.LimitReader(content, maxPackage), nil
}

func (k agileKey) hash() (func() hash.Hash, error) {
	switch k.HashAlgorithm {
	case "SHA1":
		return sha1.New, nil
	case "SHA256":
		return sha256.New, nil
	case "SHA384":
		return sha512.New384, nil
	case "SHA512":
		return sha512.New, nil
	}
	return nil, fmt.Errorf("%w: hash %.20q", ErrDamaged, k.HashAlgorithm)
}

// open finds the key of the package (MS-OFFCRYPTO 2.3.4.11 to 2.3.4.13).
func (k encryptedKey) open(password string) ([]byte, error) {
	sum, err := k.hash()
	if err != nil {
		return nil, err
	}
	salt, err := base64.StdEncoding.DecodeString(k.SaltValue)
	if err != nil || k.SpinCount < 0 || k.SpinCount > maxSpin {
		return nil, ErrDamaged
	}
	h := sum()
	h.Write(salt)
	for _, u := range utf16.Encode([]rune(password)) {
		h.Write([]byte{byte(u), byte(u >> 8)})
	}
	digest := h.Sum(nil)
	var n [4]byte
	for i := range k.SpinCount {
		h.Reset()
		binary.LittleEndian.PutUint32(n[:], uint32(i))
		h.Write(n[:])
		h.Write(digest)
		digest = h.Sum(digest[:0])
	}
	plain := func(block []byte, text string) ([]byte, error) {
		h.Reset()
		h.Write(digest)
		h.Write(block)
		return k.cbc(fit(h.Sum(nil), k.KeyBits/8), salt, text)
	}
	input, err1 := plain(blockInput, k.Input)
	value, err2 := plain(blockValue, k.Value)
	key, err3 := plain(blockKey, k.KeyValue)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	h.Reset()
	h.Write(input[:min(len(salt), len(input))])
	want := h.Sum(nil)
	if len(value) < len(want) || subtle.ConstantTimeCompare(value[:len(want)], want) != 1 {
		return nil, ErrPassword
	}
	return key[:min(len(key), k.KeyBits/8)], nil
}

// fit cuts or pads a key as MS-OFFCRYPTO 2.3.4.11 does.
func fit(b []byte, n int) []byte {
	if n < 0 || n > 64 {
		return nil
	}
	for len(b) < n {
		b = append(b, 0x36)
	}
	return b[:n]
}

func (k agileKey) cbc(key, iv []byte, text string) ([]byte, error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, ErrDamaged
	}
	return raw, k.decryptBlocks(key, iv, raw)
}

func (k agileKey) decryptBlocks(key, iv, raw []byte) error {
	block, err := aes.NewCipher(key)
	if err != nil || k.Cipher != "AES" || k.Chaining != "ChainingModeCBC" || len(raw)%aes.BlockSize != 0 {
		return fmt.Errorf("%w: cipher %.20q", ErrDamaged, k.Cipher)
	}
	cipher.NewCBCDecrypter(block, fit(iv, aes.BlockSize)).CryptBlocks(raw, raw)
	return nil
}

// decrypt writes the package, piece by piece (MS-OFFCRYPTO 2.3.4.15).
func (k agileKey) decrypt(key []byte, pack io.Reader, w io.Writer) error {
	sum, err := k.hash()
	if err != nil {
		return err
	}
	salt, err := base64.StdEncoding.DecodeString(k.SaltValue)
	if err != nil {
		return ErrDamaged
	}
	var size [8]byte
	if _, err := io.ReadFull(pack, size[:]); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	left := int64(min(binary.LittleEndian.Uint64(size[:]), maxPackage))
	buf, n := make([]byte, segment), [4]byte{}
	for i := uint32(0); left > 0; i++ {
		got, err := io.ReadFull(pack, buf)
		if got == 0 {
			return fmt.Errorf("%w: it breaks off: %w", ErrDamaged, err)
		}
		got -= got % aes.BlockSize
		h := sum()
		h.Write(salt)
		binary.LittleEndian.PutUint32(n[:], i)
		h.Write(n[:])
		if err := k.decryptBlocks(key, h.Sum(nil), buf[:got]); err != nil {
			return err
		}
		if _, err := w.Write(buf[:min(int64(got), left)]); err != nil {
			return err
		}
		left -= int64(got)
	}
	return nil
}
