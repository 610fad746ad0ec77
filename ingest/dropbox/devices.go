package dropbox

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/configs/password"
)

// devices knows who may sign in and slows down whoever guesses.
type devices struct {
	byUser map[string]registered

	mu       sync.Mutex
	attempts map[netip.Addr]attempts
	proven   map[[32]byte]time.Time // salted digests of passwords that were right a moment ago
	salt     [32]byte
}

type registered struct {
	Device
	networks []netip.Prefix
}

// attempts are failures from one address.
type attempts struct {
	failed int
	until  time.Time // refused unheard until then
}

// Bounds of guessing. Devices sign in for each page of a feeder, so right
// passwords are remembered for a while; argon2 is made to be slow.
const (
	freeAttempts  = 5
	firstLock     = time.Second
	longestLock   = 15 * time.Minute
	maxAddresses  = 10_000
	rememberRight = 10 * time.Minute
)

func (d *devices) know(list []Device) error {
	d.byUser, d.attempts, d.proven = map[string]registered{}, map[netip.Addr]attempts{}, map[[32]byte]time.Time{}
	rand.Read(d.salt[:])
	for _, v := range list {
		n, err := v.Networks()
		if err != nil {
			return fmt.Errorf("device %s of box %s: %w", v.User, v.Box.ID, err)
		}
		if _, twice := d.byUser[v.User]; twice {
			return fmt.Errorf("device %s of box %s: another device has the same user", v.User, v.Box.ID)
		}
		d.byUser[v.User] = registered{v, n}
	}
	return nil
}

// AddressOf is the address of the other end of a connection.
func AddressOf(a net.Addr) netip.Addr {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// doorNames are the names of the doors in the configuration.
var doorNames = map[sekretariat.Door]string{
	sekretariat.DoorSFTP: configs.DoorSFTP, sekretariat.DoorWebDAV: configs.DoorWebDAV,
}

// Find returns the device of a user, if it may come from there by this door.
// It says nothing of whether it is that device: compare its Keys.
func (g *Gate) Find(door sekretariat.Door, user string, from netip.Addr) (Device, error) {
	if g.people.locked(from, g.o.Clock()) {
		return Device{}, ErrSignIn
	}
	return g.people.find(door, user, from)
}

func (d *devices) find(door sekretariat.Door, user string, from netip.Addr) (Device, error) {
	k, ok := d.byUser[user]
	if !ok || !k.Uses(doorNames[door]) {
		return Device{}, ErrSignIn
	}
	for _, n := range k.networks {
		if n.Contains(from) {
			return k.Device, nil
		}
	}
	return Device{}, ErrSignIn
}

// Enter opens a visit of a device that has proven who it is. Call Leave.
func (g *Gate) Enter(d Device, door sekretariat.Door) (*Visit, error) { return g.enter(d, door) }

// Failed notes a failed attempt by other means than SignIn.
func (g *Gate) Failed(door sekretariat.Door, from netip.Addr) {
	if n := g.people.failed(from, g.o.Clock()); n == freeAttempts {
		g.o.Logger.Warn().Str("door", string(door)).Str("from", from.String()).Int("attempts", n).Msg("many failed sign-ins of a device; its address has to wait")
	}
}

// Check tells whether a password is that of a user's device. Returns ErrSignIn.
func (g *Gate) Check(door sekretariat.Door, user, pass string, from netip.Addr) (Device, error) {
	now := g.o.Clock()
	if g.people.locked(from, now) {
		return Device{}, ErrSignIn
	}
	v, err := g.people.find(door, user, from)
	phc := v.Password
	if err != nil || phc == "" {
		phc = password.Nobody()
	}
	if !g.people.right(phc, user, pass, now) || err != nil || v.Password == "" {
		g.Failed(door, from)
		return Device{}, ErrSignIn
	}
	g.people.forgive(from)
	return v, nil
}

// right compares, or remembers that it compared a moment ago.
func (d *devices) right(phc, user, pass string, now time.Time) bool {
	sum := sha256.Sum256(fmt.Appendf(nil, "%x:%d:%s:%d:%s:%s", d.salt, len(phc), phc, len(user), user, pass))
	d.mu.Lock()
	until, ok := d.proven[sum]
	d.mu.Unlock()
	if ok && now.Before(until) {
		return true
	}
	if !password.Matches(phc, pass) {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.proven) > 4*len(d.byUser)+16 {
		clear(d.proven)
	}
	d.proven[sum] = now.Add(rememberRight)
	return true
}

func (d *devices) locked(from netip.Addr, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return now.Before(d.attempts[from].until)
}

func (d *devices) failed(from netip.Addr, now time.Time) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.attempts) >= maxAddresses {
		for a, t := range d.attempts {
			if now.After(t.until) {
				delete(d.attempts, a)
			}
		}
	}
	a := d.attempts[from]
	a.failed++
	if over := a.failed - freeAttempts; over >= 0 {
		a.until = now.Add(min(longestLock, firstLock<<min(over, 20)))
	}
	if len(d.attempts) < maxAddresses || a.failed > 1 {
		d.attempts[from] = a
	}
	return a.failed
}

func (d *devices) forgive(from netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.attempts, from)
}
