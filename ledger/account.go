package ledger

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"sekretariat"
)

// Every department has an account of its own on the server. Permissions within
// one account would not do: whoever may fetch from a consumer names the subject
// to which the server sends the answer, and the server does not check that
// against the asker's permissions. An answer to $JS.API.STREAM.DELETE.X
// deletes X. Across accounts the server replaces that subject.

// departmentKey derives the key of a department's account from the operator's,
// so that there is nothing more to keep or to lose.
func departmentKey(operator nkeys.KeyPair, c sekretariat.CentreID, d sekretariat.DepartmentID) (nkeys.KeyPair, error) {
	seed, err := operator.Seed()
	if err != nil {
		return nil, err
	}
	_, raw, err := nkeys.DecodeSeed(seed)
	if err != nil {
		return nil, err
	}
	h := hmac.New(sha256.New, raw)
	fmt.Fprintf(h, "sekretariat/department/1 %s %s", c, d)
	return nkeys.FromRawSeed(nkeys.PrefixByteAccount, h.Sum(nil))
}

// consumerSubjects is all that a department's system may publish to.
func consumerSubjects(c sekretariat.CentreID, d sekretariat.DepartmentID) []string {
	var s []string
	for _, lane := range lanes {
		name := streamOf(c, Queue) + "." + QueueConsumer(d, lane)
		s = append(s, "$JS.API.CONSUMER.MSG.NEXT."+name, "$JS.API.CONSUMER.INFO."+name, "$JS.ACK."+name+".>")
	}
	return s
}

// apiInfo is imported by every department's account, though no user may ask it:
// an account without it gets the server's whole JetStream API by default, which
// then answers before ours does.
const apiInfo = "$JS.API.INFO"

// ledgerExports is what the account of the ledger offers to other accounts.
// Only the operator's key can make an account that takes it up.
func ledgerExports() jwt.Exports {
	var e jwt.Exports
	for name, subject := range map[string]jwt.Subject{
		"jetstream": apiInfo, "next": "$JS.API.CONSUMER.MSG.NEXT.*.*", "info": "$JS.API.CONSUMER.INFO.*.*", "ack": "$JS.ACK.*.*.>",
	} {
		e = append(e, &jwt.Export{Name: name, Subject: subject, Type: jwt.Service, ResponseType: jwt.ResponseTypeStream})
	}
	return e
}

// accountClaims builds a department's account from what is to hold now.
func (l *Ledger) accountClaims(ctx context.Context, pub string, c sekretariat.CentreID, d sekretariat.DepartmentID) (*jwt.AccountClaims, error) {
	s, err := readSecrets(l.secrets)
	if err != nil {
		return nil, err
	}
	a := jwt.NewAccountClaims(pub)
	a.Name = string(c) + "/" + string(d)
	a.Limits.LeafNodeConn = 0
	a.Limits.Conn = 100
	a.DefaultPermissions = nothing()
	for _, subject := range append(consumerSubjects(c, d), apiInfo) {
		a.Imports = append(a.Imports, &jwt.Import{Name: subject, Subject: jwt.Subject(subject), Account: s.accountPub, Type: jwt.Service})
	}
	revoked, err := l.revoked(ctx, c, d)
	if err != nil {
		return nil, err
	}
	for user, at := range revoked {
		a.RevokeAt(user, at)
	}
	return a, nil
}

// publishAccount brings a department's account on the server up to date. What
// is revoked stands in the ledger; of two processes that publish at once the
// one that was slower looks again, so that none of the two is forgotten.
func (l *Ledger) publishAccount(ctx context.Context, c sekretariat.CentreID, d sekretariat.DepartmentID) error {
	operator, err := readKey(l.secrets, fileOperatorSeed)
	if err != nil {
		return err
	}
	key, err := departmentKey(operator, c, d)
	if err != nil {
		return err
	}
	pub, err := key.PublicKey()
	if err != nil {
		return err
	}
	sys, err := l.system(ctx)
	if err != nil {
		return err
	}
	defer sys.nc.Close()
	for range 5 {
		want, err := l.accountClaims(ctx, pub, c, d)
		if err != nil {
			return err
		}
		have, err := lookupAccount(ctx, sys, pub)
		if err != nil {
			return err
		}
		if have != nil && sameAccount(have, want) {
			return nil
		}
		token, err := want.Encode(operator)
		if err != nil {
			return fmt.Errorf("signing account %s: %w", want.Name, err)
		}
		if err := updateAccount(ctx, sys, token); err != nil {
			return err
		}
	}
	return fmt.Errorf("account %s/%s: somebody else keeps changing it", c, d)
}

// sameAccount compares what we set.
func sameAccount(a, b *jwt.AccountClaims) bool {
	subjects := func(c *jwt.AccountClaims) []string {
		var s []string
		for _, i := range c.Imports {
			s = append(s, i.Account+" "+string(i.Subject))
		}
		slices.Sort(s)
		return s
	}
	return a.Name == b.Name && a.Limits.NatsLimits == b.Limits.NatsLimits && a.Limits.AccountLimits == b.Limits.AccountLimits && slices.Equal(subjects(a), subjects(b)) &&
		maps.Equal(a.Revocations, b.Revocations)
}

// system opens a connection to the server's own account.
func (l *Ledger) system(ctx context.Context) (*conn, error) {
	url, o := l.o.URL, l.external(filepath.Join(l.secrets, fileSystemCreds))
	if l.embedded != nil {
		url, o = "", append(o, nats.InProcessServer(l.embedded))
	}
	c, err := connect(l.life, url, "_INBOX.system", l.log, o...)
	if err != nil {
		return nil, fmt.Errorf("system account: %w", err)
	}
	if _, err := c.connected(ctx); err != nil {
		c.nc.Close()
		return nil, fmt.Errorf("system account: %w", err)
	}
	return c, nil
}

// lookupAccount reads an account from the server; nil if it has none.
func lookupAccount(ctx context.Context, sys *conn, pub string) (*jwt.AccountClaims, error) {
	m, err := sys.request(ctx, &nats.Msg{Subject: "$SYS.REQ.ACCOUNT." + pub + ".CLAIMS.LOOKUP"})
	if err != nil {
		return nil, fmt.Errorf("looking up account %s: %w", pub, err)
	}
	if len(m.Data) == 0 {
		return nil, nil
	}
	return jwt.DecodeAccountClaims(string(m.Data))
}

// updateAccount gives the server a signed account; it takes effect at once,
// for connected clients too.
func updateAccount(ctx context.Context, sys *conn, token string) error {
	m, err := sys.request(ctx, &nats.Msg{Subject: "$SYS.REQ.CLAIMS.UPDATE", Data: []byte(token)})
	if err != nil {
		return fmt.Errorf("updating an account: %w", err)
	}
	var answer struct {
		Error *struct {
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return fmt.Errorf("updating an account: %w", err)
	}
	if answer.Error != nil {
		return fmt.Errorf("the server refuses the account: %s", answer.Error.Description)
	}
	return nil
}

// canSign tells whether the operator's key is here.
func (l *Ledger) canSign() bool {
	if l.secrets == "" {
		return false
	}
	_, err := os.Stat(filepath.Join(l.secrets, fileOperatorSeed))
	return err == nil
}

// Credential is what is known of a department's credentials. They themselves
// are not kept.
type Credential struct {
	User       string                   `json:"user"` // public key
	Centre     sekretariat.CentreID     `json:"centre"`
	Department sekretariat.DepartmentID `json:"department"`
	Name       string                   `json:"name"`
	Issued     time.Time                `json:"issued"`
	Expires    time.Time                `json:"expires,omitzero"`
	Revoked    time.Time                `json:"-"`
}

func credentialKey(user string) string { return "credential." + user }

func revokedKey(c sekretariat.CentreID, d sekretariat.DepartmentID, user string) string {
	return fmt.Sprintf("revoked.%s.%s.%s", c, d, user)
}

// revoked lists a department's revoked users and when they were.
func (l *Ledger) revoked(ctx context.Context, c sekretariat.CentreID, d sekretariat.DepartmentID) (map[string]time.Time, error) {
	users := map[string]time.Time{}
	err := l.kvEach(ctx, bucketClaims, revokedKey(c, d, "*"), func(key string, value []byte, _ uint64) error {
		at, err := time.Parse(time.RFC3339, string(value))
		if err != nil {
			return fmt.Errorf("revocation %s: %w", key, err)
		}
		users[key[strings.LastIndexByte(key, '.')+1:]] = at
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("revocations: %w", err)
	}
	return users, nil
}

func nothing() jwt.Permissions {
	deny := jwt.Permission{Deny: jwt.StringList{">"}}
	return jwt.Permissions{Pub: deny, Sub: deny}
}

// IssueDepartment makes credentials with which a department's system fetches
// its own events and nothing else. name is an id for the list of credentials
// ("system-x"), ttl 0 means that they do not expire. The returned credentials
// are a NATS creds file; the public key names them to Revoke.
func (l *Ledger) IssueDepartment(ctx context.Context, c sekretariat.CentreID, d sekretariat.DepartmentID, name string, ttl time.Duration) ([]byte, string, error) {
	if !l.canSign() {
		return nil, "", errNoKeys
	}
	if !sekretariat.ValidSlug(name) {
		return nil, "", fmt.Errorf("credentials for %s: the name %q may have small letters, digits and hyphens only", d, name)
	}
	if err := l.EnsureQueue(ctx, c, d); err != nil {
		return nil, "", err
	}
	operator, err := readKey(l.secrets, fileOperatorSeed)
	if err != nil {
		return nil, "", err
	}
	account, err := departmentKey(operator, c, d)
	if err != nil {
		return nil, "", err
	}
	creds, pub, err := userCreds(name, account, ttl, func(pub string) jwt.Permissions {
		return jwt.Permissions{
			Pub: jwt.Permission{Allow: jwt.StringList(consumerSubjects(c, d))},
			Sub: jwt.Permission{Allow: jwt.StringList{inboxOf(pub) + ".>"}},
		}
	})
	if err != nil {
		return nil, "", err
	}
	k := Credential{User: pub, Centre: c, Department: d, Name: name, Issued: time.Now().UTC().Truncate(time.Second)}
	if ttl > 0 {
		k.Expires = k.Issued.Add(ttl)
	}
	value, err := json.Marshal(k)
	if err != nil {
		return nil, "", err
	}
	if _, err := l.claim(ctx, credentialKey(pub), value); err != nil {
		return nil, "", fmt.Errorf("recording credentials for %s: %w", d, err)
	}
	return creds, pub, nil
}

// Revoke ends credentials for ever: connected clients are dropped at once, and
// a repeat or a restored server keeps them out. Returns ErrNotFound when they
// were not issued here.
func (l *Ledger) Revoke(ctx context.Context, user string) error {
	if !l.canSign() {
		return errNoKeys
	}
	if !nkeys.IsValidPublicUserKey(user) {
		return fmt.Errorf("%q is not the public key of a user: %w", user, ErrNotFound)
	}
	value, _, err := l.kvGet(ctx, bucketClaims, credentialKey(user))
	if err != nil {
		return fmt.Errorf("revoking %s: %w", user, err)
	}
	var k Credential
	if err := json.Unmarshal(value, &k); err != nil {
		return fmt.Errorf("revoking %s: %w", user, err)
	}
	now := []byte(time.Now().UTC().Add(time.Second).Format(time.RFC3339)) // not before what was issued in this second
	if _, err := l.claim(ctx, revokedKey(k.Centre, k.Department, user), now); err != nil {
		return fmt.Errorf("revoking %s: %w", user, err)
	}
	if err := l.publishAccount(ctx, k.Centre, k.Department); err != nil {
		return fmt.Errorf("revoking %s: it is recorded, but the server does not know it yet; repeat: %w", user, err)
	}
	return nil
}

// Credentials lists what was issued for a centre, revoked ones included.
func (l *Ledger) Credentials(ctx context.Context, c sekretariat.CentreID) ([]Credential, error) {
	var all []Credential
	err := l.kvEach(ctx, bucketClaims, credentialKey("*"), func(key string, value []byte, _ uint64) error {
		var k Credential
		if err := json.Unmarshal(value, &k); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		if k.Centre != c {
			return nil
		}
		at, _, err := l.kvGet(ctx, bucketClaims, revokedKey(k.Centre, k.Department, k.User))
		if err == nil {
			k.Revoked, err = time.Parse(time.RFC3339, string(at))
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		all = append(all, k)
		return nil
	})
	return all, err
}
