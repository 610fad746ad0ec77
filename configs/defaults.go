package configs

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"sekretariat"
)

// Off is what people write to turn a listener or the virus scanner off.
const Off = "off"

func (in *Installation) setDefaults() {
	setDefault(&in.Data, "data")
	setDefault(&in.Listen.Desk, "127.0.0.1:8300")
	setDefault(&in.Listen.Scanners, "127.0.0.1:8301")
	for _, l := range []*string{&in.Listen.Desk, &in.Listen.Scanners, &in.Listen.Callbacks, &in.Listen.Health} {
		if *l == Off {
			*l = ""
		}
	}
	setDefault(&in.Limits.Delivery, 2<<30)
	setDefault(&in.Limits.InFlight, 64<<20)
	setDefault(&in.Limits.ReadTime, 60*time.Second)
	setDefault(&in.Limits.ReadParts, sekretariat.MaxParts)
	in.Doors.setDefaults()
	setDefault(&in.Log.Level, "info")
	if in.NATS.URL == "" {
		in.NATS.Replicas = 1 // embedded: one server
	}
	setDefault(&in.NATS.Replicas, 3)
	if s := in.Storage.S3; s != nil {
		setDefault(&s.Region, "us-east-1") // what S3 servers without regions expect
	}
}

func (c *Centre) setDefaults() {
	if !slices.ContainsFunc(c.Series, func(s Series) bool { return s.ID == sekretariat.MainSeries }) {
		c.Series = append([]Series{{ID: sekretariat.MainSeries, Title: "Rejestr przesyłek wpływających"}}, c.Series...)
	}
	setDefault(&c.Proofs, ProofsRegister)
	if c.RuleSets == nil {
		c.RuleSets = []string{"common"}
	}
	setDefault(&c.VirusScan, "unix:/run/clamav/clamd.ctl")
	setDefault(&c.Routing.Model, "on")
	setDefault(&c.Routing.Learning, "on")
	c.defaultAlarms()
	setDefault(&c.Routing.Mode, string(sekretariat.ModeSuggest))
	if c.Routing.Closed.Words == nil {
		c.Routing.Closed.Words = slices.Clone(closedWords)
	}
	for i := range c.Streets {
		setDefault(&c.Streets[i].Side, "both")
	}
	for i := range c.Mailboxes {
		m := &c.Mailboxes[i]
		setDefault(&m.TLS, "implicit")
		m.setAuthDefaults()
		setDefault(&m.Junk, "auto")
		plainPins(m.Pins)
		setDefault(&m.After, "move")
		setDefault(&m.Done, "Sekretariat/Przyjete")
		setDefault(&m.Poll, time.Minute)
		if len(m.Folders) == 0 {
			m.Folders = []string{"INBOX"}
		}
		if m.Idle == nil {
			idle := true
			m.Idle = &idle
		}
	}
	a := &c.Acknowledgement
	setDefault(&a.SMTP.TLS, "starttls")
	setDefault(&a.Delay, 5*time.Minute)
	setDefault(&a.PerSender, 1)
	setDefault(&a.PerDay, 300)
	for i := range c.EPUAP {
		e := &c.EPUAP[i]
		plainPins(e.Pins)
		setDefault(&e.Skrot, "sha1")
		setDefault(&e.MaxFile, 500<<20)
		setDefault(&e.Settle, time.Minute)
		setDefault(&e.Poll, time.Minute)
		if e.VerifyResponse == "" {
			e.VerifyResponse = "warn"
			if len(e.Pins) > 0 {
				e.VerifyResponse = "require"
			}
		}
	}
	for i := range c.EDelivery {
		c.EDelivery[i].setDefaults()
	}
	for i := range c.Boxes {
		b := &c.Boxes[i]
		setDefault(&b.Quiet, 5*time.Second)
		setDefault(&b.Patience, 10*time.Minute)
		setDefault(&b.Poll, 15*time.Second)
		setDefault(&b.Keep, 7*24*time.Hour)
	}
}

func (m *Mailbox) setAuthDefaults() {
	if m.OAuth == nil {
		setDefault(&m.Auth, "plain")
		return
	}
	setDefault(&m.Auth, "xoauth2")
	setDefault(&m.OAuth.Flow, "refresh")
	setDefault(&m.OAuth.Provider, "other")
}

// plainPins writes digests as our own code does: tools print them with colons.
func plainPins(pins []string) {
	for i, p := range pins {
		pins[i] = strings.ToLower(strings.ReplaceAll(p, ":", ""))
	}
}

// Pulled tells whether mail is fetched from a server, and not only handed over
// at the mail door.
func (m *Mailbox) Pulled() bool { return m.Server != "" }

// Addresses are what the mail door knows the mailbox by.
func (m *Mailbox) Addresses() []string { return append([]string{m.Address}, m.Aliases...) }

// closedWords are what stands on envelopes that the sekretariat does not open
// (rule P13).
var closedWords = []string{
	"do rąk własnych", "nie otwierać", "oferta przetargowa", "zgłoszenie wewnętrzne sygnalisty", "zgłoszenie sygnalisty", "zgłoszenie naruszenia prawa",
	"zgłaszam jako sygnalista", "zgłaszam jako sygnalistka",
}

// setDefault fills v in when it has its zero value.
func setDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

// resolve makes the paths of an installation file absolute.
func (in *Installation) resolve(dir string) {
	for _, p := range []*string{&in.Data, &in.NATS.Credentials, &in.NATS.CA, &in.MailDoor.Cert, &in.MailDoor.Key.File,
		&in.Doors.Cert, &in.Doors.Key.File} {
		absolute(p, dir)
	}
	if s := in.Storage.S3; s != nil {
		for _, p := range []*string{&s.CA, &s.AccessKey.File, &s.SecretKey.File} {
			absolute(p, dir)
		}
	}
	for i := range in.Centres {
		absolute(&in.Centres[i], dir)
	}
	in.Trust.resolve(dir)
}

// resolve makes the paths of a profile absolute, so that a stored version of
// it means the same files wherever it is read.
func (c *Centre) resolve(dir string) {
	for i := range c.Mailboxes {
		absolute(&c.Mailboxes[i].CA, dir)
		absolute(&c.Mailboxes[i].Password.File, dir)
		if o := c.Mailboxes[i].OAuth; o != nil {
			for _, p := range []*string{&o.ClientSecret.File, &o.ServiceAccount.File, &o.Token, &o.CA} {
				absolute(p, dir)
			}
		}
	}
	for i := range c.EPUAP {
		for _, p := range []*string{&c.EPUAP[i].CA, &c.EPUAP[i].Cert, &c.EPUAP[i].Key.File, &c.EPUAP[i].PushWSDL} {
			absolute(p, dir)
		}
	}
	for i := range c.EDelivery {
		e := &c.EDelivery[i]
		for _, p := range []*string{&e.CA, &e.Cert, &e.Key.File, &e.CallbackSecret.File} {
			absolute(p, dir)
		}
	}
	for i := range c.Boxes {
		absolute(&c.Boxes[i].Folder, dir)
	}
	absolute(&c.Acknowledgement.SMTP.CA, dir)
	absolute(&c.Acknowledgement.SMTP.Password.File, dir)
}

// absolute resolves a relative path against the folder of its file. When the
// working directory cannot be found out, the path stays relative to it.
func absolute(p *string, dir string) {
	if *p == "" || filepath.IsAbs(*p) {
		return
	}
	joined := filepath.Join(dir, *p)
	if abs, err := filepath.Abs(joined); err == nil {
		joined = abs
	}
	*p = joined
}

// addUnknown notes a value that the file gives as "unknown", unless the
// profile already documents it.
func (c *Centre) addUnknown(field string) {
	if !slices.ContainsFunc(c.Unknown, func(u UnknownValue) bool { return u.Field == field }) {
		c.Unknown = append(c.Unknown, UnknownValue{Field: field})
	}
}

var channelField = regexp.MustCompile(`^(mailboxes|epuap|edelivery|boxes)\[`)

// turnOff turns off the channels that lack what they need, and says so.
func (c *Centre) turnOff() {
	c.Warnings = nil
	if c.VirusScan == Off {
		c.Warnings = append(c.Warnings, "Nie działa: sprawdzanie antywirusowe (virus_scan: off). Załączniki są wydawane niesprawdzone.")
	}
	for i := range c.Mailboxes {
		m := &c.Mailboxes[i]
		c.need(&m.Account, "skrzynka pocztowa", m.missing())
	}
	for i := range c.EPUAP {
		e := &c.EPUAP[i]
		asks := e.URL != "" || e.Repository != "" || !e.Push // not only called by the platform
		c.need(&e.Account, "skrytka ePUAP", missing{
			{"adres skrytki (address)", e.Address == ""}, {"nazwa skrytki (name)", e.Name == ""},
			{"podmiot (entity)", e.Entity == ""}, {"adres usługi (url)", e.URL == "" && !e.Push},
			{"certyfikat systemu (cert)", e.Cert == "" && asks}, {"klucz certyfikatu (key)", e.Key.IsZero() && asks},
		})
	}
	for i := range c.EDelivery {
		c.needEDelivery(&c.EDelivery[i])
	}
	for i := range c.Boxes {
		b := &c.Boxes[i]
		c.need(&b.Account, "pojemnik na korespondencję", missing{{"katalog (folder), zgoda na przesyłanie (upload: true) albo urządzenie (devices)", !b.reachable()}})
	}
	c.turnOffAcknowledgement()
	for _, u := range c.Unknown {
		if u.Why == "" && channelField.MatchString(u.Field) {
			continue // said above, with the channel
		}
		w := "Do uzupełnienia: " + u.Field
		if u.Why != "" {
			w += " – " + u.Why
		}
		c.Warnings = append(c.Warnings, w+".")
	}
}

// missing is what a mailbox lacks. One that the mail door feeds needs no server.
func (m *Mailbox) missing() missing {
	pulled := m.Pulled() || !m.Door
	list := missing{
		{"adres e-mail (address)", m.Address == ""}, {"serwer (server)", pulled && m.Server == ""},
		{"użytkownik (user)", pulled && m.User == ""}, {"hasło (password)", pulled && m.OAuth == nil && m.Password.IsZero()},
	}
	if o := m.OAuth; o != nil {
		list = append(list, missing{
			{"identyfikator aplikacji (oauth.client_id)", o.ClientID == "" && o.ServiceAccount.IsZero()},
			{"katalog firmy Microsoft (oauth.tenant)", o.Provider == "microsoft" && o.Tenant == ""},
			{"sekret aplikacji (oauth.client_secret)", o.Flow == "client" && o.Provider != "google" && o.ClientSecret.IsZero()},
			{"klucz konta usługi (oauth.service_account)", o.Flow == "client" && o.Provider == "google" && o.ServiceAccount.IsZero()},
			{"adres wydawania tokenów (oauth.token_url)", o.Provider == "other" && o.TokenURL == ""},
		}...)
	}
	return list
}

// missing lists what a channel needs, and whether it is not there.
type missing []struct {
	what string
	is   bool
}

func (c *Centre) need(a *Account, what string, list missing) {
	if a.Off {
		return
	}
	for _, m := range list {
		if m.is {
			a.Missing = append(a.Missing, m.what)
		}
	}
	if len(a.Missing) > 0 {
		a.Off = true
		c.Warnings = append(c.Warnings, fmt.Sprintf("Nie działa: %s „%s”. Brakuje: %s.", what, a.ID, strings.Join(a.Missing, ", ")))
	}
}

// accounts returns the accounts of all channels.
func (c *Centre) accounts() []*Account {
	var list []*Account
	for i := range c.Mailboxes {
		list = append(list, &c.Mailboxes[i].Account)
	}
	for i := range c.EPUAP {
		list = append(list, &c.EPUAP[i].Account)
	}
	for i := range c.EDelivery {
		list = append(list, &c.EDelivery[i].Account)
	}
	for i := range c.Boxes {
		list = append(list, &c.Boxes[i].Account)
	}
	return list
}

// collectWarnings gathers what the centres warn of, with the centre's name when
// there are several, and looks at the files of the secrets.
func (in *Installation) collectWarnings() {
	for _, c := range in.Profiles {
		for _, e := range c.EDelivery {
			if e.Callback != "" && !e.Off && in.Listen.Callbacks == "" {
				in.Warnings = append(in.Warnings, fmt.Sprintf("Skrzynka e-Doręczeń „%s” ma adres powiadomień (callback), ale listen.callbacks jest wyłączone: powiadomienia nie dotrą, skrzynka jest sprawdzana co %s.", e.ID, e.Poll))
			}
		}
		for _, w := range append(slices.Clone(c.Warnings), c.secretWarnings()...) {
			if len(in.Profiles) > 1 {
				w = c.Name + ": " + w
			}
			in.Warnings = append(in.Warnings, w)
		}
	}
	in.Warnings = appendNonEmpty(in.Warnings, in.MailDoor.Key.warning(), in.doorWarning())
	in.Warnings = append(in.Warnings, in.deviceWarnings()...)
	if s := in.Storage.S3; s != nil {
		in.Warnings = appendNonEmpty(in.Warnings, s.AccessKey.warning(), s.SecretKey.warning())
	}
}

// doorWarning tells of a mail door without mailboxes, or the other way round.
func (in *Installation) doorWarning() string {
	open, used := in.MailDoor.LMTP != "" || in.MailDoor.SMTP != "", false
	for _, c := range in.Profiles {
		for _, m := range c.Mailboxes {
			used = used || m.Door && !m.Off
		}
	}
	switch {
	case open && !used:
		return "Drzwi dla serwera pocztowego (mail_door) są włączone, ale żadna skrzynka ich nie używa (door: true)."
	case used && !open:
		return "Skrzynka z „door: true” czeka na pocztę od serwera, ale drzwi (mail_door) nie są włączone w pliku instalacji."
	}
	return ""
}

func (c *Centre) secretWarnings() (list []string) {
	for _, m := range c.Mailboxes {
		list = appendNonEmpty(list, m.Password.warning())
		if o := m.OAuth; o != nil {
			list = appendNonEmpty(list, o.ClientSecret.warning(), o.ServiceAccount.warning())
		}
	}
	for _, e := range c.EPUAP {
		list = appendNonEmpty(list, e.Key.warning())
	}
	for _, e := range c.EDelivery {
		list = appendNonEmpty(list, e.Key.warning(), e.CallbackSecret.warning())
	}
	if c.Acknowledgement.On {
		list = appendNonEmpty(list, c.Acknowledgement.SMTP.Password.warning())
	}
	return list
}

func appendNonEmpty(list []string, more ...string) []string {
	for _, s := range more {
		if s != "" {
			list = append(list, s)
		}
	}
	return list
}
