package configs

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"time"
)

func (d *document) checkMailbox(at path, m Mailbox) {
	host := ""
	if m.Server != "" {
		host = d.hostPort(at.with("server"), m.Server)
	}
	d.oneOf(at.with("tls"), m.TLS, "implicit", "starttls", "none")
	if m.TLS == "none" && host != "" && !loopback(host) {
		d.wrong(at.with("tls"), "without TLS the password would cross the network in the clear: \"none\" is allowed to this machine only, not to %s", host)
	}
	d.pins(at, m.Pins)
	d.oneOf(at.with("auth"), m.Auth, "plain", "login", "xoauth2", "oauthbearer")
	d.oneOf(at.with("after"), m.After, "move", "keyword", "keep")
	d.date(at.with("since"), m.Since)
	d.secret(at.with("password"), m.Password)
	d.atLeast(at.with("poll"), m.Poll, time.Second)
	for i, a := range append([]string{m.Address}, m.Aliases...) {
		if where := at.with("address"); a != "" && !validMail(a) {
			if i > 0 {
				where = at.with("aliases", i-1)
			}
			d.wrong(where, "%q is no e-mail address", a)
		}
	}
	if m.After == "move" && (slices.Contains(m.Folders, m.Done) || m.Junk == m.Done) {
		d.wrong(at.with("done"), "the folder %q is read as well: taken mail would be read again", m.Done)
	}
	if slices.Contains(m.Folders, m.Junk) {
		d.wrong(at.with("junk"), "the folder %q is in \"folders\" as well", m.Junk)
	}
	d.checkDeletion(at, m)
	for k, h := range m.SpamHeaders {
		d.checkSpamHeader(at.with("spam_headers", k), h)
	}
	if m.OAuth != nil {
		d.checkOAuth(at.with("oauth"), m)
	}
}

// checkDeletion: a message that stays among those to be read is never deleted,
// for nothing would tell it from one that was not taken yet.
func (d *document) checkDeletion(at path, m Mailbox) {
	at = at.with("delete_after_days")
	if m.DeleteAfterDays < 0 {
		d.wrong(at, "the number of days cannot be negative; 0 means never")
	}
	if m.DeleteAfterDays > 0 && m.After != "move" {
		d.wrong(at, "only mail that was moved to \"done\" is deleted: set \"after: move\"")
	}
}

func (d *document) checkOAuth(at path, m Mailbox) {
	o := m.OAuth
	d.oneOf(at.with("provider"), o.Provider, "microsoft", "google", "other")
	d.oneOf(at.with("flow"), o.Flow, "refresh", "client")
	d.secret(at.with("client_secret"), o.ClientSecret)
	d.secret(at.with("service_account"), o.ServiceAccount)
	d.date(at.with("secret_expires"), o.SecretExpires)
	if !m.Password.IsZero() {
		d.wrong(at, "give either \"password\" or \"oauth\", not both")
	}
	if m.Auth != "xoauth2" && m.Auth != "oauthbearer" {
		d.wrong(at, "\"auth: %s\" uses a password: with \"oauth\" use xoauth2 or oauthbearer", m.Auth)
	}
	for key, v := range map[string]string{"token_url": o.TokenURL, "device_url": o.DeviceURL, "auth_url": o.AuthURL} {
		if v != "" {
			d.webURL(at.with(key), v)
		}
	}
	if strings.ContainsAny(o.Tenant, "/?#") {
		d.wrong(at.with("tenant"), "%q is neither an id nor a domain", o.Tenant)
	}
}

// pins checks digests of certificates; colons between the digits, as tools
// print them, are allowed.
func (d *document) pins(at path, pins []string) {
	for k, p := range pins {
		if b, err := hex.DecodeString(strings.ReplaceAll(p, ":", "")); err != nil || len(b) != 32 {
			d.wrong(at.with("pins", k), "%q is no SHA-256: 64 hexadecimal digits", p)
		}
	}
}

func (d *document) checkMailDoor(m MailDoor) {
	at := path{"mail_door"}
	if m.LMTP != "" && !strings.HasPrefix(m.LMTP, "unix:") {
		d.hostPort(at.with("lmtp"), m.LMTP)
	}
	if m.SMTP != "" {
		d.hostPort(at.with("smtp"), m.SMTP)
	}
	if m.SMTP != "" && m.SMTP == m.LMTP {
		d.wrong(at.with("smtp"), "LMTP and SMTP cannot share the address %s", m.SMTP)
	}
	for i, n := range m.Allow {
		if _, err := netip.ParsePrefix(n); err != nil {
			d.wrong(at.with("allow", i), "%q is no network: write 192.0.2.0/24, or 192.0.2.7/32 for one machine", n)
		}
	}
	d.secret(at.with("key"), m.Key)
	if (m.Cert == "") != m.Key.IsZero() {
		d.wrong(at, "certificate and key belong together: give both \"cert\" and \"key\", or neither")
	}
}
