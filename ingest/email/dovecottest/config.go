package dovecottest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
	"time"
)

// configuration is what runs without privileges: no chroot, every service as
// the same user, mail_fsync off because a test server need not survive a power
// failure.
var configuration = template.Must(template.New("dovecot.conf").Parse(`base_dir = {{.D}}/run
state_dir = {{.D}}/state
log_path = {{.D}}/dovecot.log
protocols = imap
listen = 127.0.0.1
default_internal_user = {{.User}}
default_internal_group = {{.Group}}
default_login_user = {{.User}}
default_vsz_limit = 0
first_valid_uid = 1
first_valid_gid = 1
disable_plaintext_auth = no
ssl = yes
ssl_cert = <{{.D}}/cert.pem
ssl_key = <{{.D}}/key.pem
auth_mechanisms = plain login{{if .OAuth}} xoauth2 oauthbearer{{end}}
mail_location = maildir:{{.D}}/mail/%u:INBOX={{.D}}/mail/%u
mail_fsync = never
mail_max_userip_connections = {{.Max}}
auth_failure_delay = 0 secs
passdb {
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {{.D}}/passwd
}
{{if .OAuth}}passdb {
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {{.D}}/oauth2.conf
}
{{end}}userdb {
  driver = static
  args = uid={{.UID}} gid={{.GID}} home={{.D}}/mail/%u
}
namespace inbox {
  inbox = yes
  separator = {{.Separator}}
  prefix = {{.Prefix}}
{{if .Junk}}  mailbox {{.Junk}} {
    auto = subscribe
    special_use = \Junk
  }
{{end}}}
service anvil {
  chroot =
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service stats {
  chroot =
}
service imap-login {
  chroot =
  inet_listener imap {
    address = 127.0.0.1
    port = {{.Plain}}
  }
  inet_listener imaps {
    address = 127.0.0.1
    port = {{.TLS}}
    ssl = yes
  }
}
{{if .Capability}}protocol imap {
  imap_capability = {{.Capability}}
}
{{end}}`))

func (s *Server) writeConfig(plain, tls int) error {
	u, err := user.LookupId(strconv.Itoa(s.uid))
	if err != nil {
		return fmt.Errorf("user of dovecot: %w", err)
	}
	g, err := user.LookupGroupId(strconv.Itoa(s.gid))
	if err != nil {
		return fmt.Errorf("group of dovecot: %w", err)
	}
	var b strings.Builder
	err = configuration.Execute(&b, map[string]any{
		"D": s.dir, "User": u.Username, "Group": g.Name, "UID": s.uid, "GID": s.gid,
		"Max": s.opt.MaxConnections, "Separator": s.opt.Separator, "Prefix": s.opt.Prefix,
		"Plain": plain, "TLS": tls, "Capability": s.opt.CapabilityOverride, "OAuth": s.opt.Introspection != "", "Junk": s.opt.Junk,
	})
	if err != nil {
		return fmt.Errorf("configuration of dovecot: %w", err)
	}
	if err := s.write("dovecot.conf", b.String(), 0o644); err != nil {
		return err
	}
	if s.opt.Introspection != "" {
		// https://doc.dovecot.org/2.3/configuration_manual/authentication/oauth2/
		conf := "introspection_mode = post\nintrospection_url = " + s.opt.Introspection + "\nusername_attribute = username\nactive_attribute = active\nactive_value = true\nforce_introspection = yes\n"
		if err := s.write("oauth2.conf", conf, 0o600); err != nil {
			return err
		}
	}
	return s.SetPassword(Password)
}

// SetPassword changes the password of all users; connections go on.
func (s *Server) SetPassword(password string) error {
	var b strings.Builder
	for _, u := range s.opt.Users {
		fmt.Fprintf(&b, "%s:{PLAIN}%s\n", u, password)
	}
	return s.write("passwd", b.String(), 0o600)
}

// write replaces one of the server's files at once.
func (s *Server) write(name, content string, mode os.FileMode) error {
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path+".new", []byte(content), mode); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := s.own(path+".new", mode); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// writeCertificates makes a CA and a certificate for loopback, valid a year.
func (s *Server) writeCertificates() error {
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "dovecottest CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("certificate for dovecot: %w", err)
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("certificate for dovecot: %w", err)
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return fmt.Errorf("certificate for dovecot: %w", err)
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, leafKey.Public(), caKey)
	if err != nil {
		return fmt.Errorf("certificate for dovecot: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		return fmt.Errorf("certificate for dovecot: %w", err)
	}
	for name, block := range map[string]*pem.Block{
		"ca.pem":   {Type: "CERTIFICATE", Bytes: caDER},
		"cert.pem": {Type: "CERTIFICATE", Bytes: leafDER},
		"key.pem":  {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := s.write(name, string(pem.EncodeToMemory(block)), 0o644); err != nil {
			return err
		}
	}
	return nil
}
