package ledger

import (
	"fmt"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

// userCreds makes a user and returns its credentials file and public key. ttl
// 0 means that they do not expire.
func userCreds(name string, account nkeys.KeyPair, perm jwt.Permissions, ttl time.Duration) (creds []byte, pub string, err error) {
	user, err := nkeys.CreateUser()
	if err != nil {
		return nil, "", err
	}
	if pub, err = user.PublicKey(); err != nil {
		return nil, "", err
	}
	seed, err := user.Seed()
	if err != nil {
		return nil, "", err
	}
	c := jwt.NewUserClaims(pub)
	c.Name = name
	c.Permissions = perm
	if ttl > 0 {
		c.Expires = time.Now().Add(ttl).Unix()
	}
	token, err := c.Encode(account)
	if err != nil {
		return nil, "", fmt.Errorf("signing user %s: %w", name, err)
	}
	creds, err = jwt.FormatUserConfig(token, seed)
	return creds, pub, err
}
