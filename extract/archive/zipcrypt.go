package archive

import (
	"archive/zip"
	"compress/flate"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
	"hash"
	"hash/crc32"
	"io"
)

func inflate(r io.Reader) io.Reader { return flate.NewReader(r) }

// crypto is the traditional encryption of PKZIP (APPNOTE §6.1): weak, and what
// Windows understands.
type crypto struct {
	r    io.Reader
	keys [3]uint32
}

const headerCrypto = 12

func openCrypto(f *zip.File, raw io.Reader, password string) (io.Reader, error) {
	c := &crypto{r: raw, keys: [3]uint32{0x12345678, 0x23456789, 0x34567890}}
	for _, b := range []byte(password) {
		c.update(b)
	}
	var head [headerCrypto]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil, err
	}
	// The last octet is the high one of the checksum or, where that is not
	// known beforehand, of the time (APPNOTE §6.1.6).
	check := byte(f.CRC32 >> 24)
	if f.Flags&0x8 != 0 {
		check = byte(f.ModifiedTime >> 8)
	}
	if head[headerCrypto-1] != check {
		return nil, ErrPassword
	}
	return c, nil
}

func (c *crypto) update(b byte) {
	c.keys[0] = crc32.IEEETable[byte(c.keys[0])^b] ^ c.keys[0]>>8
	c.keys[1] = (c.keys[1]+c.keys[0]&0xff)*134775813 + 1
	c.keys[2] = crc32.IEEETable[byte(c.keys[2])^byte(c.keys[1]>>24)] ^ c.keys[2]>>8
}

// Read implements io.Reader.
func (c *crypto) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	for i := range p[:n] {
		t := c.keys[2] | 2
		p[i] ^= byte(t * (t ^ 1) >> 8)
		c.update(p[i])
	}
	return n, err
}

// extraAES is the field of WinZip's AES encryption (AE-1 and AE-2).
const extraAES = 0x9901

// The parts of a member encrypted by WinZip's AES.
const (
	aesVerify = 2  // octets that tell a wrong password
	aesMAC    = 10 // octets of HMAC-SHA1 at the end
	aesRounds = 1000
)

// openAES opens a member encrypted by WinZip's AES: AES in counter mode with a
// little-endian counter, key and HMAC key by PBKDF2. checked tells whether the
// CRC-32 counts (AE-1).
func openAES(f *zip.File, raw io.Reader, password string) (plain io.Reader, method uint16, checked bool, err error) {
	extra := extraField(f.Extra, extraAES)
	if len(extra) < 7 || extra[4] < 1 || extra[4] > 3 {
		return nil, 0, false, ErrMethod
	}
	version, method := binary.LittleEndian.Uint16(extra), binary.LittleEndian.Uint16(extra[5:])
	keyLen := 8 + 8*int(extra[4])
	salt := make([]byte, keyLen/2)
	var verify [aesVerify]byte
	for _, b := range [][]byte{salt, verify[:]} {
		if _, err := io.ReadFull(raw, b); err != nil {
			return nil, 0, false, err
		}
	}
	keys, err := pbkdf2.Key(sha1.New, password, salt, aesRounds, 2*keyLen+aesVerify)
	if err != nil {
		return nil, 0, false, err
	}
	if subtle.ConstantTimeCompare(keys[2*keyLen:], verify[:]) != 1 {
		return nil, 0, false, ErrPassword
	}
	block, err := aes.NewCipher(keys[:keyLen])
	if err != nil {
		return nil, 0, false, err
	}
	length := int64(f.CompressedSize64) - int64(len(salt)+aesVerify+aesMAC)
	if length < 0 {
		return nil, 0, false, ErrDamaged
	}
	r := &counter{r: io.LimitReader(raw, length), tail: raw, block: block, mac: hmac.New(sha1.New, keys[keyLen:2*keyLen]), used: aes.BlockSize}
	return r, method, version == 1, nil
}

// counter decrypts AES in counter mode and checks the HMAC at the end.
type counter struct {
	r     io.Reader // what is encrypted
	tail  io.Reader // the HMAC behind it
	block cipher.Block
	mac   hash.Hash
	count uint64
	pad   [aes.BlockSize]byte
	used  int
	done  bool
}

// Read implements io.Reader.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.mac.Write(p[:n])
	for i := range p[:n] {
		if c.used == len(c.pad) {
			c.count++
			var block [aes.BlockSize]byte
			binary.LittleEndian.PutUint64(block[:], c.count)
			c.block.Encrypt(c.pad[:], block[:])
			c.used = 0
		}
		p[i] ^= c.pad[c.used]
		c.used++
	}
	if err == io.EOF && !c.done {
		c.done = true
		var want [aesMAC]byte
		if _, e := io.ReadFull(c.tail, want[:]); e != nil || subtle.ConstantTimeCompare(c.mac.Sum(nil)[:aesMAC], want[:]) != 1 {
			return n, ErrDamaged
		}
	}
	return n, err
}
