package configs

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"sekretariat/configs/password"
)

// Doors are the doors for scanners and copiers beside watched folder and upload.
// Who may come in, and into which box, stands with the boxes (devices).
type Doors struct {
	SFTP string `yaml:"sftp"` // host:port of the SFTP door; without it none
	// OldSSH also offers SHA-1 and small key exchange groups, which copiers of
	// before 2016 need; only in a network of their own.
	OldSSH bool   `yaml:"old_ssh"`
	WebDAV string `yaml:"webdav"` // host:port of the WebDAV and HTTP PUT door; without it none
	Cert   string `yaml:"cert"`   // certificate of the WebDAV door, PEM file; read anew when it changes
	Key    Secret `yaml:"key"`    // its private key, PEM

	Connections int           `yaml:"connections"` // at once by each door, default 64
	PerDevice   int           `yaml:"per_device"`  // at once by one device, default 8
	Spool       int64         `yaml:"spool"`       // disk for files that are still coming, all doors together, octets; default 8 GiB
	Idle        time.Duration `yaml:"idle"`        // a connection on which nothing moves ends after this, default 2m
	Session     time.Duration `yaml:"session"`     // longest connection, default 4h
}

// Used tells whether any door is configured.
func (d Doors) Used() bool { return d.SFTP != "" || d.WebDAV != "" }

// Device is one scanner or copier that may put files into a box, and do
// nothing else.
type Device struct {
	User     string   `yaml:"user"`     // sign-in name, unique in the installation
	Password string   `yaml:"password"` // argon2id hash of its password, by: sekretariat device password
	Keys     []string `yaml:"keys"`     // public keys for SFTP, "ssh-ed25519 AAAA…"
	Allow    []string `yaml:"allow"`    // networks that it signs in from, 192.0.2.0/24; without it none but this machine
	Doors    []string `yaml:"doors"`    // sftp, webdav; default all that are open
}

// The names of the doors in Device.Doors.
const (
	DoorSFTP   = "sftp"
	DoorWebDAV = "webdav"
)

func (d *Doors) setDefaults() {
	setDefault(&d.Connections, 64)
	setDefault(&d.PerDevice, 8)
	setDefault(&d.Spool, 8<<30)
	setDefault(&d.Idle, 2*time.Minute)
	setDefault(&d.Session, 4*time.Hour)
}

// Networks are the networks of Allow; without any, this machine.
func (d Device) Networks() ([]netip.Prefix, error) {
	if len(d.Allow) == 0 {
		return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}, nil
	}
	var out []netip.Prefix
	for _, n := range d.Allow {
		p, err := netip.ParsePrefix(n)
		if err != nil {
			return nil, fmt.Errorf("%q is no network: write 192.0.2.0/24, or 192.0.2.7/32 for one machine", n)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// Uses tells whether the device may come by this door.
func (d Device) Uses(door string) bool { return len(d.Doors) == 0 || slices.Contains(d.Doors, door) }

func (d *document) checkDoors(in *Installation) {
	at, o := path{"doors"}, in.Doors
	for key, addr := range map[string]string{"sftp": o.SFTP, "webdav": o.WebDAV} {
		if addr != "" {
			d.hostPort(at.with(key), addr)
		}
	}
	d.secret(at.with("key"), o.Key)
	if (o.Cert == "") != o.Key.IsZero() {
		d.wrong(at, "certificate and key belong together: give both \"cert\" and \"key\", or neither")
	}
	d.checkDoorLimits(at, o)
}

func (d *document) checkDoorLimits(at path, o Doors) {
	for key, v := range map[string]int64{"connections": int64(o.Connections), "per_device": int64(o.PerDevice), "spool": o.Spool} {
		if v < 1 {
			d.wrong(at.with(key), "%d is too small: use at least 1", v)
		}
	}
	d.atLeast(at.with("idle"), o.Idle, time.Second)
	d.atLeast(at.with("session"), o.Session, time.Minute)
}

// maxUser bounds a sign-in name; some devices have 16 characters, none more
// than 64.
const maxUser = 64

func (d *document) checkDevices(at path, list []Device) {
	for i, v := range list {
		p := at.with("devices", i)
		if v.User == "" || len(v.User) > maxUser || strings.ContainsFunc(v.User, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }) {
			d.wrong(p.with("user"), "%q is no sign-in name: use 1 to %d letters, digits and signs, without blanks and colons", v.User, maxUser)
		}
		if v.Password == "" && len(v.Keys) == 0 {
			d.wrong(p, "a device needs \"password\" (by: sekretariat device password) or \"keys\"")
		}
		if v.Password != "" && !password.Valid(v.Password) {
			d.wrong(p.with("password"), "this is no argon2id hash; make one with: sekretariat device password")
		}
		for k, line := range v.Keys {
			if _, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line)); err != nil {
				d.wrong(p.with("keys", k), "this is no public key: write it as in authorized_keys, \"ssh-ed25519 AAAA…\"")
			}
		}
		if _, err := v.Networks(); err != nil {
			d.wrong(p.with("allow"), "%v", err)
		}
		for k, door := range v.Doors {
			d.oneOf(p.with("doors", k), door, DoorSFTP, DoorWebDAV)
		}
	}
}

// checkUsers: two boxes cannot share a sign-in name, for the name says which
// box a scan belongs to.
func (in *Installation) checkUsers() error {
	seen := map[string]string{}
	for _, c := range in.Profiles {
		for _, b := range c.Boxes {
			for _, v := range b.Devices {
				here := string(c.ID) + "/" + b.ID
				if other, ok := seen[v.User]; ok {
					return fmt.Errorf("devices of boxes %s and %s have the same user %q: each device needs a name of its own", other, here, v.User)
				}
				seen[v.User] = here
			}
		}
	}
	return nil
}

// deviceWarnings tell, in Polish, what of the doors does not work or is weak.
func (in *Installation) deviceWarnings() []string {
	var out []string
	devices := 0
	for _, c := range in.Profiles {
		for _, b := range c.Boxes {
			if !b.Off {
				devices += len(b.Devices)
			}
		}
	}
	d := in.Doors
	switch {
	case devices > 0 && !d.Used():
		out = append(out, "Skanery mają konta (devices), ale żadne drzwi dla skanerów (doors) nie są włączone w pliku instalacji.")
	case devices == 0 && d.Used():
		out = append(out, "Drzwi dla skanerów (doors) są włączone, ale żaden skaner nie ma konta (devices).")
	}
	if d.OldSSH {
		out = append(out, "Włączone są stare szyfry SSH (old_ssh): tylko dla starych urządzeń w wydzielonej sieci.")
	}
	if d.WebDAV != "" && d.Cert == "" && !loopback(hostOf(d.WebDAV)) {
		out = append(out, "Drzwi WebDAV nie mają certyfikatu (doors.cert): hasła i skany idą przez sieć jawnie.")
	}
	return appendNonEmpty(out, d.Key.warning())
}

// reachable tells whether there is any way for scans into a box.
func (b *Box) reachable() bool {
	return b.Folder != "" || b.Upload || len(b.Devices) > 0
}

func hostOf(hostPort string) string {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		return hostPort
	}
	return host
}
