// Package people knows who may sign in to the desk: accounts with roles and
// departments, their passwords, their sessions. Names and logins are personal
// data of the office's staff and lie sealed; everything else in the house
// knows a person by a pseudonymous id alone. What a person may see is decided
// by sekretariat.MaySee, from the Principal that this package makes.
package people

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"sekretariat"
	secret "sekretariat/configs/password"
	"sekretariat/storage"
)

// Role is what a person does in the office.
type Role string

// The roles. Clerk is the sekretariat: the whole register and every open
// letter. Department works on the letters of its departments. Supervisor sees
// what its departments have and the figures. Auditor reads the register and
// the trail of accesses, no closed content. Admin runs the installation and
// sees no content (rule P5).
const (
	Clerk      Role = "sekretariat"
	Department Role = "dzial"
	Supervisor Role = "kierownik"
	Auditor    Role = "audytor"
	Admin      Role = "administrator"
)

// Roles in the order in which they are offered.
var Roles = []Role{Clerk, Department, Supervisor, Auditor, Admin}

// Person is one account.
type Person struct {
	ID          string                     `json:"id"` // pseudonymous, for events and the audit trail
	Login       string                     `json:"login"`
	Name        string                     `json:"name"`
	Roles       []Role                     `json:"roles"`
	Departments []sekretariat.DepartmentID `json:"departments,omitempty"`
	Password    string                     `json:"password"` // argon2id, PHC string format
	Disabled    bool                       `json:"disabled,omitempty"`
	Epoch       int                        `json:"epoch"` // sessions of an earlier epoch have ended
	Created     time.Time                  `json:"created"`
	Changed     time.Time                  `json:"changed"`
}

// Has tells whether the person has a role.
func (p Person) Has(r Role) bool { return slices.Contains(p.Roles, r) }

// Principal is what the person may see in a centre.
func (p Person) Principal(c sekretariat.CentreID) sekretariat.Principal {
	who := sekretariat.Principal{ID: p.ID, Centre: c, Admin: p.Has(Admin), Register: p.Has(Clerk) || p.Has(Auditor), Looks: !p.Has(Clerk),
		Quarantine: p.Has(Clerk) || p.Has(Supervisor)}
	if p.Has(Department) || p.Has(Supervisor) {
		who.Departments = slices.Clone(p.Departments)
	}
	if p.Has(Clerk) && !slices.Contains(who.Departments, sekretariat.Sekretariat) {
		who.Departments = append(who.Departments, sekretariat.Sekretariat)
	}
	return who
}

// The errors of accounts.
var (
	// ErrNobody: no such account.
	ErrNobody = errors.New("no such account")
	// ErrTaken: another account has the login.
	ErrTaken = errors.New("the login is taken")
	// ErrInvalid: a field is not valid; the message says which.
	ErrInvalid = errors.New("account is not valid")
)

// Book is the accounts and sessions of one centre. It holds no state but a
// guard against guessing, so that every desk of an installation knows the same.
type Book struct {
	centre sekretariat.CentreID
	vault  *storage.Vault
	clock  sekretariat.Clock
	guard  *guard
	sealed sekretariat.SubmissionID // whose data key seals the accounts
}

// NewBook opens the accounts of a centre.
func NewBook(centre sekretariat.CentreID, vault *storage.Vault, clock sekretariat.Clock) *Book {
	return &Book{
		centre: centre, vault: vault, clock: clock, guard: newGuard(clock),
		sealed: sekretariat.NewSubmissionID(centre, "people", "people"),
	}
}

func (b *Book) key(id string) string { return storage.ConfigKey(b.centre, "people/"+id+".json") }

// Create makes an account. Returns ErrTaken and ErrInvalid.
func (b *Book) Create(ctx context.Context, p Person, password string) (Person, error) {
	if err := check(p, password); err != nil {
		return p, err
	}
	if _, err := b.ByLogin(ctx, p.Login); err == nil {
		return p, ErrTaken
	} else if !errors.Is(err, ErrNobody) {
		return p, err
	}
	var id [8]byte
	rand.Read(id[:])
	now := b.clock()
	p.ID, p.Created, p.Changed = "person:"+hex.EncodeToString(id[:]), now, now
	p.Password = secret.Hash(password)
	return p, b.put(ctx, p)
}

func check(p Person, password string) error {
	switch {
	case strings.TrimSpace(p.Login) == "" || len(p.Login) > 60 || strings.ContainsAny(p.Login, " \t\r\n"):
		return fmt.Errorf("%w: a login has no blanks and at most 60 characters", ErrInvalid)
	case strings.TrimSpace(p.Name) == "" || len(p.Name) > 200:
		return fmt.Errorf("%w: a name is needed", ErrInvalid)
	case len(p.Roles) == 0 || slices.ContainsFunc(p.Roles, func(r Role) bool { return !slices.Contains(Roles, r) }):
		return fmt.Errorf("%w: at least one role out of %v", ErrInvalid, Roles)
	case (p.Has(Department) || p.Has(Supervisor)) && len(p.Departments) == 0:
		return fmt.Errorf("%w: this role needs a department", ErrInvalid)
	case utf8.RuneCountInString(password) < secret.Min || len(password) > secret.Max:
		return fmt.Errorf("%w: a password has at least %d characters", ErrInvalid, secret.Min)
	}
	return nil
}

// SetPassword gives an account a new password and ends its sessions.
func (b *Book) SetPassword(ctx context.Context, login, password string) error {
	return b.change(ctx, login, func(p *Person) error {
		if err := check(*p, password); err != nil {
			return err
		}
		p.Password = secret.Hash(password)
		return nil
	})
}

// Disable closes an account, or opens it again; its sessions end at once.
func (b *Book) Disable(ctx context.Context, login string, disabled bool) error {
	return b.change(ctx, login, func(p *Person) error { p.Disabled = disabled; return nil })
}

func (b *Book) change(ctx context.Context, login string, f func(*Person) error) error {
	p, err := b.ByLogin(ctx, login)
	if err != nil {
		return err
	}
	if err := f(&p); err != nil {
		return err
	}
	p.Epoch++
	p.Changed = b.clock()
	return b.put(ctx, p)
}

func (b *Book) put(ctx context.Context, p Person) error {
	raw, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode account: %w", err)
	}
	if err := b.vault.Put(ctx, b.centre, b.sealed, b.key(p.ID), bytes.NewReader(raw)); err != nil {
		return fmt.Errorf("keep account %s: %w", p.ID, err)
	}
	return nil
}

// maxAccount bounds an account, octets.
const maxAccount = 64 << 10

// Get returns an account. Returns ErrNobody.
func (b *Book) Get(ctx context.Context, id string) (Person, error) { return b.load(ctx, b.key(id)) }

func (b *Book) load(ctx context.Context, key string) (Person, error) {
	var p Person
	raw, err := b.vault.ReadAll(ctx, b.centre, b.sealed, key, maxAccount)
	if errors.Is(err, storage.ErrNotFound) {
		return p, ErrNobody
	}
	if err != nil {
		return p, fmt.Errorf("read an account: %w", err)
	}
	if err := json.Unmarshal(raw, &p); err != nil {
		return p, fmt.Errorf("read an account: %w: %w", storage.ErrDamaged, err)
	}
	return p, nil
}

// List returns all accounts, sorted by name.
func (b *Book) List(ctx context.Context) ([]Person, error) {
	var out []Person
	err := b.vault.Objects().List(ctx, storage.ConfigKey(b.centre, "people/"), func(i storage.Info) error {
		p, err := b.load(ctx, i.Key)
		if err == nil {
			out = append(out, p)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list accounts: %w", err)
	}
	slices.SortFunc(out, func(a, b Person) int { return strings.Compare(a.Name+a.ID, b.Name+b.ID) })
	return out, nil
}

// ByLogin finds an account; letter case does not matter. Returns ErrNobody.
func (b *Book) ByLogin(ctx context.Context, login string) (Person, error) {
	all, err := b.List(ctx)
	if err != nil {
		return Person{}, err
	}
	for _, p := range all {
		if strings.EqualFold(p.Login, login) {
			return p, nil
		}
	}
	return Person{}, ErrNobody
}
