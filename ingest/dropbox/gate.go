package dropbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/ingest"
)

// Device is one scanner or copier with the box that its scans belong to.
type Device struct {
	Centre sekretariat.CentreID
	Box    configs.Box
	configs.Device
}

// Emptied tells which emptying of a box a scan of that moment belongs to, and
// what that makes its day of receipt; ok is false when none is known.
type Emptied func(ctx context.Context, centre sekretariat.CentreID, box string, at time.Time) (arrived sekretariat.Arrival, emptying string, ok bool)

// GateOptions wire a gate.
type GateOptions struct {
	Devices  []Device
	Receiver ingest.Receiver
	Emptied  Emptied // nil: the day of the scan is the day of receipt
	// Folder holds the files that are coming. They have no name there, so a
	// crash leaves nothing behind.
	Folder    string
	Spool     int64         // octets of all files that are coming (default 8 GiB)
	Limit     int64         // octets of one file (default 2 GiB)
	PerDevice int           // connections of one device at once (default 8)
	Durable   time.Duration // how long a device waits for its success (default 90 s)
	Clock     sekretariat.Clock
	Logger    zerolog.Logger
}

// Gate is what the doors at which devices sign in have in common: who may come
// in, where a file grows until it is whole, when it counts as whole, and how it
// becomes durable. A device gets its success only after that. The doors are
// sub-packages, one for each protocol.
type Gate struct {
	o       GateOptions
	people  devices
	used    atomic.Int64 // octets of the spool
	refused memory

	mu   sync.Mutex
	open map[string]int // connections by user
}

// The answers of a gate that doors translate for their devices.
var (
	// ErrSignIn: unknown device, wrong password or key, not from there, not by
	// this door, or too many attempts. They all answer alike.
	ErrSignIn = errors.New("sign-in refused")
	// ErrCrowded: the device has too many connections.
	ErrCrowded = errors.New("too many connections of this device")
	// ErrSpoolFull: no room now; the device should come again later.
	ErrSpoolFull = errors.New("no room for more files now; send it again later")
	// ErrOverLimit: the file is over the limit of the office.
	ErrOverLimit = errors.New("the file is over the limit of this office")
	// ErrUnfinished: the file is not whole. Nothing of it is kept.
	ErrUnfinished = errors.New("the file is not complete; send it again")
	// ErrEmptyFile: there is nothing in it.
	ErrEmptyFile = errors.New("the file is empty")
	// ErrLater: our own trouble; nothing is kept, the device should repeat.
	ErrLater = errors.New("cannot take the file in now; send it again later")
)

// NewGate makes the gate. Files of an earlier process are gone with it.
func NewGate(o GateOptions) (*Gate, error) {
	if o.Receiver == nil || o.Folder == "" {
		return nil, errors.New("doors of scanners: Receiver and Folder are needed")
	}
	setDefault(&o.Durable, 90*time.Second)
	setDefault(&o.PerDevice, 8)
	if o.Spool == 0 {
		o.Spool = 8 << 30
	}
	if o.Limit == 0 {
		o.Limit = 2 << 30
	}
	if o.Clock == nil {
		o.Clock = sekretariat.SystemClock
	}
	if err := os.MkdirAll(o.Folder, 0o700); err != nil {
		return nil, fmt.Errorf("folder of the doors of scanners: %w", err)
	}
	g := &Gate{o: o, open: map[string]int{}}
	return g, g.people.know(o.Devices)
}

// Visit is one connection (or, by WebDAV, one request) of a device that is
// signed in.
type Visit struct {
	Device Device
	g      *Gate
	door   sekretariat.Door
	left   sync.Once
	log    zerolog.Logger
}

// enter counts a connection of a device.
func (g *Gate) enter(d Device, door sekretariat.Door) (*Visit, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open[d.User] >= g.o.PerDevice {
		return nil, ErrCrowded
	}
	g.open[d.User]++
	log := g.o.Logger.With().Str("centre", string(d.Centre)).Str("box", d.Box.ID).Str("device", d.User).Str("door", string(door)).Logger()
	return &Visit{Device: d, g: g, door: door, log: log}, nil
}

// Leave ends the connection. It may be called more than once.
func (v *Visit) Leave() {
	v.left.Do(func() {
		v.g.mu.Lock()
		defer v.g.mu.Unlock()
		if v.g.open[v.Device.User]--; v.g.open[v.Device.User] <= 0 {
			delete(v.g.open, v.Device.User)
		}
	})
}

// Temporary tells whether a name is one under which devices write before they
// rename: only the renaming says that the file is whole.
func Temporary(name string) bool { return ignored(name) }
