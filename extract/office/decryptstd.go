package office

import (
	"bytes"
	"crypto/aes"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"io"
	"unicode/utf16"
)

// Standard encryption, of Office 2007 and of programs that write like it
// (MS-OFFCRYPTO 2.3.4.5 to 2.3.4.9): AES in ECB mode, SHA-1.
const (
	stdRounds   = 50_000
	stdSalt     = 16
	stdVerifier = 16
	stdHash     = 32
)

// isStandard tells whether a version field means standard encryption: 2.2, 3.2
// and 4.2.
func isStandard(info []byte) bool {
	le := binary.LittleEndian
	return le.Uint16(info[2:]) == 2 && le.Uint16(info) >= 2 && le.Uint16(info) <= 4
}

func decryptStandard(info []byte, pack io.Reader, password string, w io.Writer) error {
	le := binary.LittleEndian
	if len(info) < 12 {
		return ErrDamaged
	}
	size := int(le.Uint32(info[8:]))
	if size < 20 || len(info) < 12+size+4+stdSalt+stdVerifier+4+stdHash {
		return ErrDamaged
	}
	bits := int(le.Uint32(info[12+16:]))
	v := info[12+size+4:] // behind the size of the salt, which is always 16
	salt, verifier, want := v[:stdSalt], v[stdSalt:stdSalt+stdVerifier], v[stdSalt+stdVerifier+4:][:stdHash]
	if bits != 128 && bits != 192 && bits != 256 {
		return fmt.Errorf("%w: a key of %d bits", ErrDamaged, bits)
	}
	block, err := aes.NewCipher(stdKey(salt, password, bits/8))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	ecb := func(raw []byte) {
		for i := 0; i+aes.BlockSize <= len(raw); i += aes.BlockSize {
			block.Decrypt(raw[i:], raw[i:])
		}
	}
	plain, digest := bytes.Clone(verifier), bytes.Clone(want)
	ecb(plain)
	ecb(digest)
	if sum := sha1.Sum(plain); subtle.ConstantTimeCompare(sum[:], digest[:sha1.Size]) != 1 {
		return ErrPassword
	}
	var head [8]byte
	if _, err := io.ReadFull(pack, head[:]); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	left := int64(min(le.Uint64(head[:]), maxPackage))
	for buf := make([]byte, segment); left > 0; {
		n, err := io.ReadFull(pack, buf)
		if n -= n % aes.BlockSize; n == 0 {
			return fmt.Errorf("%w: it breaks off: %w", ErrDamaged, err)
		}
		ecb(buf[:n])
		if _, err := w.Write(buf[:min(int64(n), left)]); err != nil {
			return err
		}
		left -= int64(n)
	}
	return nil
}

// stdKey derives the key (MS-OFFCRYPTO 2.3.4.7).
func stdKey(salt []byte, password string, size int) []byte {
	h := sha1.New()
	h.Write(salt)
	for _, u := range utf16.Encode([]rune(password)) {
		h.Write([]byte{byte(u), byte(u >> 8)})
	}
	digest := h.Sum(nil)
	var n [4]byte
	for i := range stdRounds {
		h.Reset()
		binary.LittleEndian.PutUint32(n[:], uint32(i))
		h.Write(n[:])
		h.Write(digest)
		digest = h.Sum(digest[:0])
	}
	h.Reset()
	h.Write(digest)
	h.Write(make([]byte, 4)) // block number 0
	digest = h.Sum(digest[:0])
	var key []byte
	for _, fill := range []byte{0x36, 0x5c} {
		var x [64]byte
		for i := range x {
			x[i] = fill
			if i < len(digest) {
				x[i] ^= digest[i]
			}
		}
		s := sha1.Sum(x[:])
		key = append(key, s[:]...)
	}
	return key[:size]
}
