package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

// The files of a secrets folder. Seeds can sign; whoever has operator.seed owns
// the installation's NATS.
const (
	fileOperatorSeed = "operator.seed"
	fileOperatorJWT  = "operator.jwt"
	fileSystemSeed   = "system.seed"
	fileSystemJWT    = "system.jwt"
	fileSystemCreds  = "system.creds"
	fileAccountSeed  = "account.seed"
	fileAccountJWT   = "account.jwt"
	fileServiceCreds = "service.creds"
	fileServerConf   = "nats-server.conf"
)

// serviceInbox is where the services get answers. Departments have inboxes of
// their own elsewhere.
const serviceInbox = "_INBOX.service"

// secrets is what a secrets folder holds; seeds stay in their files until they
// are needed.
type secrets struct {
	operatorJWT, systemJWT, accountJWT string
	systemPub, accountPub              string
}

func (s secrets) accountJWTs() map[string]string {
	return map[string]string{s.systemPub: s.systemJWT, s.accountPub: s.accountJWT}
}

// InitSecrets fills the folder with the keys of an installation: operator,
// system account, the account of the ledger, credentials of the services, and
// a configuration snippet for an external server. What exists is kept, so that
// it can be run again after an interruption.
func InitSecrets(dir string) error {
	if err := initSecrets(dir); err != nil {
		return fmt.Errorf("secrets of NATS in %s: %w", dir, err)
	}
	return nil
}

func initSecrets(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	operator, err := keyFile(dir, fileOperatorSeed, nkeys.CreateOperator)
	if err != nil {
		return err
	}
	system, err := keyFile(dir, fileSystemSeed, nkeys.CreateAccount)
	if err != nil {
		return err
	}
	account, err := keyFile(dir, fileAccountSeed, nkeys.CreateAccount)
	if err != nil {
		return err
	}
	systemPub, err := system.PublicKey()
	if err != nil {
		return err
	}
	makers := []struct {
		file string
		make func() (string, error)
	}{
		{fileOperatorJWT, func() (string, error) { return operatorJWT(operator, systemPub) }},
		{fileSystemJWT, func() (string, error) { return systemJWT(systemPub, operator) }},
		{fileAccountJWT, func() (string, error) { return ledgerJWT(account, operator) }},
		{fileSystemCreds, func() (string, error) { return serviceCreds("sekretariat-system", system) }},
		{fileServiceCreds, func() (string, error) { return serviceCreds("sekretariat-service", account) }},
	}
	for _, m := range makers {
		if err := makeFile(dir, m.file, m.make); err != nil {
			return err
		}
	}
	return makeFile(dir, fileServerConf, func() (string, error) { return serverConf(dir) })
}

func operatorJWT(operator nkeys.KeyPair, systemPub string) (string, error) {
	pub, err := operator.PublicKey()
	if err != nil {
		return "", err
	}
	c := jwt.NewOperatorClaims(pub)
	c.Name = "sekretariat"
	c.SystemAccount = systemPub
	return c.Encode(operator)
}

// systemJWT is the server's own account with the usual exports for monitoring.
func systemJWT(pub string, operator nkeys.KeyPair) (string, error) {
	c := jwt.NewAccountClaims(pub)
	c.Name = "SYS"
	return c.Encode(operator)
}

func ledgerJWT(account, operator nkeys.KeyPair) (string, error) {
	pub, err := account.PublicKey()
	if err != nil {
		return "", err
	}
	c := jwt.NewAccountClaims(pub)
	c.Name = "SEKRETARIAT"
	c.Limits.JetStreamLimits = jwt.JetStreamLimits{
		MemoryStorage: jwt.NoLimit, DiskStorage: jwt.NoLimit, Streams: jwt.NoLimit, Consumer: jwt.NoLimit,
	}
	c.Exports = ledgerExports()
	// A user without permissions of its own may do nothing.
	c.DefaultPermissions = nothing()
	return c.Encode(operator)
}

// serviceCreds makes a user of the account that may do everything in it.
func serviceCreds(name string, account nkeys.KeyPair) (string, error) {
	creds, _, err := userCreds(name, account, 0, func(string) jwt.Permissions {
		all := jwt.Permission{Allow: jwt.StringList{">"}}
		return jwt.Permissions{Pub: all, Sub: all}
	})
	return string(creds), err
}

// keyFile reads a seed, or makes one.
func keyFile(dir, name string, create func() (nkeys.KeyPair, error)) (nkeys.KeyPair, error) {
	err := makeFile(dir, name, func() (string, error) {
		k, err := create()
		if err != nil {
			return "", err
		}
		seed, err := k.Seed()
		return string(seed), err
	})
	if err != nil {
		return nil, err
	}
	return readKey(dir, name)
}

func readKey(dir, name string) (nkeys.KeyPair, error) {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	k, err := nkeys.FromSeed([]byte(strings.TrimSpace(string(b))))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return k, nil
}

// makeFile writes a file that is not there yet, whole or not at all: of two
// processes that do so at once, one wins and both read the same.
func makeFile(dir, name string, content func() (string, error)) error {
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s, err := content()
	if err != nil {
		return fmt.Errorf("making %s: %w", name, err)
	}
	tmp, err := os.CreateTemp(dir, "."+name+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if _, err := tmp.WriteString(s); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func readSecrets(dir string) (secrets, error) {
	var s secrets
	for name, to := range map[string]*string{
		fileOperatorJWT: &s.operatorJWT, fileSystemJWT: &s.systemJWT, fileAccountJWT: &s.accountJWT,
	} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return s, fmt.Errorf("secrets of NATS: %w", err)
		}
		*to = strings.TrimSpace(string(b))
	}
	for token, pub := range map[string]*string{s.systemJWT: &s.systemPub, s.accountJWT: &s.accountPub} {
		c, err := jwt.DecodeAccountClaims(token)
		if err != nil {
			return s, fmt.Errorf("secrets of NATS in %s: %w", dir, err)
		}
		*pub = c.Subject
	}
	return s, nil
}

// serverConf is what an external nats-server needs to know of us.
func serverConf(dir string) (string, error) {
	s, err := readSecrets(dir)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf(`# Made by "sekretariat init". Include it in the nats-server's configuration and
# add listeners, TLS and, for several servers, the cluster section.
operator: %s
system_account: %s
resolver: { type: full, dir: "./accounts", allow_delete: false, interval: "2m" }
resolver_preload: {
  %s: %s
  %s: %s
}
max_payload: %d
jetstream: {
  store_dir: "." # makes ./jetstream
  # Acknowledged means: on the disk. The default is two minutes later.
  sync_interval: always
  max_memory_store: 256MB
  max_file_store: 1PB
}
`, s.operatorJWT, s.systemPub, s.systemPub, s.systemJWT, s.accountPub, s.accountJWT, maxPayload), nil
}

// inboxOf is where a department's user gets answers; nobody else may listen
// there.
func inboxOf(userPub string) string { return "_INBOX." + userPub }

// userCreds makes a user and returns its credentials file and public key. ttl
// 0 means that they do not expire.
func userCreds(name string, account nkeys.KeyPair, ttl time.Duration, perm func(pub string) jwt.Permissions) (creds []byte, pub string, err error) {
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
	c.Permissions = perm(pub)
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
