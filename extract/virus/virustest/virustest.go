// Package virustest runs a real clamd for tests, with a handful of signatures of
// its own, so that nothing is downloaded: EICAR and an invented virus.
package virustest

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"sekretariat/extract/virus"
)

// Eicar is the test file of all scanners, in two pieces so that none of them
// takes this file for it.
var Eicar = []byte(`X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-` + `STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`)

// Invented is a virus that only this package's signatures know.
var Invented = []byte("zmyslony wirus do prob sekretariatu")

// The names under which the signatures report them.
const (
	EicarName    = "Eicar-Test-Signature.UNOFFICIAL"
	InventedName = "Sekretariat.Proba.UNOFFICIAL"
)

// MaxStream is what this clamd takes at most, octets.
const MaxStream = 4 << 20

// Clamd is one daemon that can be stopped and started again.
type Clamd struct {
	Address string // for virus.New
	t       testing.TB
	config  string
	cmd     *exec.Cmd
}

// Start runs a clamd until the test ends. It skips the test if there is none.
func Start(t testing.TB) *Clamd {
	t.Helper()
	c := Prepare(t)
	c.Start()
	return c
}

// Prepare makes everything for a clamd and leaves it stopped.
func Prepare(t testing.TB) *Clamd {
	t.Helper()
	if _, err := exec.LookPath("clamd"); err != nil {
		t.Skip("clamd is not installed (Debian package clamav-daemon)")
	}
	dir, err := os.MkdirTemp("", "clamd") // short: it holds a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket, db := filepath.Join(dir, "s"), filepath.Join(dir, "db")
	if err := os.MkdirAll(db, 0o755); err != nil {
		t.Fatal(err)
	}
	sig := func(name string, b []byte) string { return name + ":0:*:" + hex.EncodeToString(b) + "\n" }
	signatures := sig("Eicar-Test-Signature", Eicar) + sig("Sekretariat.Proba", Invented)
	config := fmt.Sprintf("LocalSocket %s\nDatabaseDirectory %s\nForeground yes\nStreamMaxLength %d\nTemporaryDirectory %s\nUser root\n", socket, db, MaxStream, dir)
	if os.Getuid() != 0 {
		config = config[:len(config)-len("User root\n")]
	}
	c := &Clamd{Address: "unix:" + socket, t: t, config: filepath.Join(dir, "clamd.conf")}
	for name, content := range map[string]string{filepath.Join(db, "local.ndb"): signatures, c.config: config} {
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(c.Stop)
	return c
}

// Start starts the daemon and waits until it answers.
func (c *Clamd) Start() {
	c.t.Helper()
	c.cmd = exec.Command("clamd", "--config-file="+c.config)
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	s := virus.New(c.Address)
	for end := time.Now().Add(30 * time.Second); ; {
		if _, err := s.Ping(context.Background()); err == nil {
			return
		} else if time.Now().After(end) {
			c.t.Fatalf("clamd does not come up: %v", err)
		}
		time.Sleep(20 * time.Millisecond) // it tells nobody when it listens
	}
}

// Stop ends the daemon.
func (c *Clamd) Stop() {
	if c.cmd == nil {
		return
	}
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
	c.cmd = nil
}
