package people

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
	minPassword = 10  // characters
	maxPassword = 256 // octets
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

// hash returns the PHC string of a password.
func hash(password string) string {
	salt := make([]byte, argonSalt)
	rand.Read(salt)
	k := argon(password, salt, argonTime, argonMemory, argonThreads)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(k))
}

// nobody is compared with when there is no such account, so that the time of
// the answer does not tell.
var nobody = sync.OnceValue(func() string { return hash("there is no such account") })

// matches tells whether password belongs to the PHC string.
func matches(phc, password string) bool {
	f := strings.Split(phc, "$")
	if len(f) != 6 || f[1] != "argon2id" || len(password) > maxPassword {
		return false
	}
	var memory, time uint32
	var threads uint8
	if _, err := fmt.Sscanf(f[3], "m=%d,t=%d,p=%d", &memory, &time, &threads); err != nil || memory > 1<<20 || time > 16 || time < 1 || threads < 1 {
		return false
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(f[4])
	want, err2 := base64.RawStdEncoding.DecodeString(f[5])
	if err1 != nil || err2 != nil || len(want) != argonKey {
		return false
	}
	return subtle.ConstantTimeCompare(argon(password, salt, time, memory, threads), want) == 1
}
