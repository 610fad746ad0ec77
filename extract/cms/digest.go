package cms

import (
	"crypto"
	_ "crypto/md5" // old signatures
	_ "crypto/sha1"
	_ "crypto/sha256"
	_ "crypto/sha3"
	_ "crypto/sha512"
	"hash"
	"strings"
)

// Hash names a digest algorithm.
type Hash string

// The digest algorithms of signatures that are met.
const (
	MD5     Hash = "md5"
	SHA1    Hash = "sha-1"
	SHA224  Hash = "sha-224"
	SHA256  Hash = "sha-256"
	SHA384  Hash = "sha-384"
	SHA512  Hash = "sha-512"
	SHA3256 Hash = "sha3-256"
	SHA3384 Hash = "sha3-384"
	SHA3512 Hash = "sha3-512"
)

var algorithms = map[Hash]crypto.Hash{
	MD5: crypto.MD5, SHA1: crypto.SHA1, SHA224: crypto.SHA224, SHA256: crypto.SHA256, SHA384: crypto.SHA384, SHA512: crypto.SHA512,
	SHA3256: crypto.SHA3_256, SHA3384: crypto.SHA3_384, SHA3512: crypto.SHA3_512,
}

// hashes by object identifier, of digest and of signature algorithms.
var hashes = map[string]Hash{
	"1.2.840.113549.2.5": MD5, "1.3.14.3.2.26": SHA1, "2.16.840.1.101.3.4.2.4": SHA224, "2.16.840.1.101.3.4.2.1": SHA256,
	"2.16.840.1.101.3.4.2.2": SHA384, "2.16.840.1.101.3.4.2.3": SHA512,
	"2.16.840.1.101.3.4.2.8": SHA3256, "2.16.840.1.101.3.4.2.9": SHA3384, "2.16.840.1.101.3.4.2.10": SHA3512,
	"1.2.840.113549.1.1.4": MD5, "1.2.840.113549.1.1.5": SHA1, "1.2.840.113549.1.1.14": SHA224, "1.2.840.113549.1.1.11": SHA256,
	"1.2.840.113549.1.1.12": SHA384, "1.2.840.113549.1.1.13": SHA512,
	"1.2.840.10045.4.1": SHA1, "1.2.840.10045.4.3.1": SHA224, "1.2.840.10045.4.3.2": SHA256, "1.2.840.10045.4.3.3": SHA384, "1.2.840.10045.4.3.4": SHA512,
}

// ParseMicalg returns the algorithms that a micalg parameter names (RFC 8551
// §3.5.3.2), however it writes them.
func ParseMicalg(s string) []Hash {
	const most = 4
	var out []Hash
	for name := range strings.FieldsFuncSeq(strings.ToLower(s), func(r rune) bool { return r == ',' || r == ' ' }) {
		name = strings.NewReplacer("-", "", "_", "").Replace(strings.TrimPrefix(name, "rsa-"))
		for h := range algorithms {
			if strings.ReplaceAll(string(h), "-", "") == name && len(out) < most {
				out = append(out, h)
			}
		}
	}
	return out
}

// Digests computes several digests of one content at once.
type Digests map[Hash]hash.Hash

// NewDigests returns a Digests for the algorithms named; unknown ones are left
// out.
func NewDigests(names ...Hash) Digests {
	d := Digests{}
	for _, n := range names {
		if a, ok := algorithms[n]; ok && d[n] == nil {
			d[n] = a.New()
		}
	}
	return d
}

// Write implements io.Writer; it never fails.
func (d Digests) Write(p []byte) (int, error) {
	d.write(p)
	return len(p), nil
}

func (d Digests) write(p []byte) {
	for _, h := range d {
		h.Write(p)
	}
}

// sum returns the digest by one algorithm, nil if it was not computed.
func (d Digests) sum(h Hash) []byte {
	if s, ok := d[h]; ok {
		return s.Sum(nil)
	}
	return nil
}
