package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/configs/password"
	"sekretariat/ingest/dropbox"
	"sekretariat/ingest/dropbox/davdoor"
	"sekretariat/ingest/dropbox/sftpdoor"
)

// folderDoors holds what scanners are sending, inside the temporary folder.
const folderDoors = "doors"

// devicesOf are the devices of all boxes that are in use.
func devicesOf(profiles []*configs.Centre) []dropbox.Device {
	var out []dropbox.Device
	for _, c := range profiles {
		for _, b := range c.Boxes {
			if b.Off {
				continue
			}
			for _, d := range b.Devices {
				out = append(out, dropbox.Device{Centre: c.ID, Box: b, Device: d})
			}
		}
	}
	return out
}

// openDoors opens the doors of the scanners that are configured.
func (s *service) openDoors(ctx context.Context, g *errgroup.Group) error {
	d := s.cfg.Doors
	if !d.Used() {
		return nil
	}
	var profiles []*configs.Centre
	for _, c := range s.centres {
		profiles = append(profiles, c.cfg)
	}
	log := s.log.With().Str("room", "scanner doors").Logger()
	gate, err := dropbox.NewGate(dropbox.GateOptions{
		Devices: devicesOf(profiles), Receiver: s.receiver, Folder: filepath.Join(s.folder(folderTemp), folderDoors), Emptied: s.emptied,
		Spool: d.Spool, Limit: s.cfg.Limits.Delivery, PerDevice: d.PerDevice, Clock: sekretariat.SystemClock, Logger: log,
	})
	if err != nil {
		return err
	}
	return errors.Join(s.openSFTP(ctx, g, gate), s.openWebDAV(ctx, g, gate))
}

func (s *service) openSFTP(ctx context.Context, g *errgroup.Group, gate *dropbox.Gate) error {
	d := s.cfg.Doors
	if d.SFTP == "" {
		return nil
	}
	keys, err := hostKeys(s.folder(folderSecrets))
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", d.SFTP)
	if err != nil {
		return fmt.Errorf("SFTP door: %w; set doors.sftp in the installation file", err)
	}
	door, err := sftpdoor.New(sftpdoor.Options{
		Gate: gate, Listener: l, HostKeys: keys, Old: d.OldSSH, Connections: d.Connections, Idle: d.Idle, Session: d.Session, Logger: s.log,
	})
	if err != nil {
		return errors.Join(err, l.Close())
	}
	s.log.Info().Str("listener", "sftp").Str("address", l.Addr().String()).Str("key", ssh.FingerprintSHA256(keys[0].PublicKey())).Msg("listening")
	g.Go(func() error { return door.Run(ctx) })
	return nil
}

func (s *service) openWebDAV(ctx context.Context, g *errgroup.Group, gate *dropbox.Gate) error {
	d := s.cfg.Doors
	if d.WebDAV == "" {
		return nil
	}
	door, err := davdoor.New(davdoor.Options{Gate: gate, Limit: s.cfg.Limits.Delivery, Idle: d.Idle, Clock: sekretariat.SystemClock, Logger: s.log})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", d.WebDAV)
	if err != nil {
		return fmt.Errorf("WebDAV door: %w; set doors.webdav in the installation file", err)
	}
	l = netutil.LimitListener(l, d.Connections)
	if d.Cert != "" {
		pair := &filePair{cert: d.Cert, key: d.Key}
		if _, err := pair.get(nil); err != nil {
			return errors.Join(err, l.Close())
		}
		l = tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: pair.get, NextProtos: []string{"http/1.1"}})
	}
	srv := &http.Server{Handler: door, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: d.Idle, MaxHeaderBytes: 16 << 10}
	s.log.Info().Str("listener", "webdav").Str("address", l.Addr().String()).Bool("tls", d.Cert != "").Msg("listening")
	g.Go(func() error { return door.Run(ctx) })
	g.Go(func() error {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("WebDAV door: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if err := srv.Shutdown(stop); err != nil {
			return srv.Close()
		}
		return nil
	})
	return nil
}

// filePair reads a certificate anew at each handshake: it is renewed without a
// restart, and scanners do not come by the thousand.
type filePair struct {
	cert string
	key  configs.Secret
}

func (p *filePair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	cert, err := os.ReadFile(p.cert)
	if err != nil {
		return nil, fmt.Errorf("certificate of the scanner doors (doors.cert): %w", err)
	}
	key, err := p.key.Load()
	if err != nil {
		return nil, fmt.Errorf("key of the scanner doors (doors.key): %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("certificate of the scanner doors does not fit its key: %w", err)
	}
	return &pair, nil
}

// hostKeys are the keys by which devices know the SFTP door. They are made once
// and kept: a device that meets another key refuses to send.
func hostKeys(folder string) ([]ssh.Signer, error) {
	var out []ssh.Signer
	for _, k := range []struct {
		file string
		make func() (any, error)
	}{
		{"sftp-host-ed25519.pem", func() (any, error) { _, k, err := ed25519.GenerateKey(rand.Reader); return k, err }},
		{"sftp-host-rsa.pem", func() (any, error) { return rsa.GenerateKey(rand.Reader, 3072) }}, // older devices know no other
	} {
		path := filepath.Join(folder, k.file)
		raw, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			raw, err = newHostKey(path, k.make)
		}
		if err != nil {
			return nil, fmt.Errorf("host key of the SFTP door: %w", err)
		}
		signer, err := ssh.ParsePrivateKey(raw)
		if err != nil {
			return nil, fmt.Errorf("host key of the SFTP door %s: %w", path, err)
		}
		out = append(out, signer)
	}
	return out, nil
}

func newHostKey(path string, generate func() (any, error)) ([]byte, error) {
	key, err := generate()
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	raw := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	return raw, newFile(path, raw)
}

// deviceCommand makes the hash of a device's password for the configuration.
func deviceCommand(_ context.Context, c *cli) error {
	if _, err := c.parse(c.flags("device " + c.sub)); err != nil {
		return err
	}
	if c.sub != "password" {
		return usagef("say: sekretariat device password")
	}
	word, err := readPassword(c)
	if err != nil {
		return err
	}
	if len(word) < password.Min || len(word) > password.Max {
		return usagef("a password has at least %d characters; make a long one, nobody has to type it again", password.Min)
	}
	fmt.Fprintln(c.stdout, password.Hash(word))
	return nil
}
