// Package password keeps passwords of people and devices as argon2id hashes in
// the PHC string format, and compares with them. It bounds the memory that
// guessing can cost us.
package password

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/crypto/argon2"
)

// Bounds of passwords: length is what helps (NIST SP 800-63B, 5.1.1); the upper
// one keeps a guesser from making us hash megabytes.
const (
	Min = 10  // characters
	Max = 256 // octets
)

// Cost of argon2id: the second recommended option of RFC 9106, section 4, needs
// 64 MiB; 19 MiB with two passes is as hard and fits a small machine beside
// everything else.
const (
	argonTime    = 2
	argonMemory  = 19 << 10 // KiB
	argonThreads = 1
	argonKey     = 32
	argonSalt    = 16
)

// hashing bounds how many passwords are hashed at once, and so the memory of
// sign-ins.
var hashing = make(chan struct{}, 2)

func argon(password string, salt []byte, time, memory uint32, threads uint8) []byte {
	hashing <- struct{}{}
	defer func() { <-hashing }()
	return argon2.IDKey([]byte(password), salt, time, memory, threads, argonKey)
}

// Hash returns the PHC string of a password.
func Hash(password string) string {
	salt := make([]byte, argonSalt)
	rand.Read(salt)
	k := argon(password, salt, argonTime, argonMemory, argonThreads)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(k))
}

// Nobody is the hash of no password: it is compared with when there is no such account, so that the time of
// the answer does not tell.
var Nobody = sync.OnceValue(func() string { return Hash("there is no such account") })

// Matches tells whether password belongs to the PHC string.
func Matches(phc, password string) bool {
	p, ok := parse(phc)
	return ok && len(password) <= Max &&
		subtle.ConstantTimeCompare(argon(password, p.salt, p.time, p.memory, p.threads), p.key) == 1
}

// Valid tells whether phc is a hash that Matches can compare with.
func Valid(phc string) bool {
	_, ok := parse(phc)
	return ok
}

// hashed is a PHC string taken apart.
type hashed struct {
	time, memory uint32
	threads      uint8
	salt, key    []byte
}

func parse(phc string) (hashed, bool) {
	f := strings.Split(phc, "$")
	if len(f) != 6 || f[1] != "argon2id" {
		return hashed{}, false
	}
	var p hashed
	if _, err := fmt.Sscanf(f[3], "m=%d,t=%d,p=%d", &p.memory, &p.time, &p.threads); err != nil ||
		p.memory > 1<<20 || p.time > 16 || p.time < 1 || p.threads < 1 {
		return hashed{}, false
	}
	var err1, err2 error
	p.salt, err1 = base64.RawStdEncoding.DecodeString(f[4])
	p.key, err2 = base64.RawStdEncoding.DecodeString(f[5])
	return p, err1 == nil && err2 == nil && len(p.key) == argonKey
}
