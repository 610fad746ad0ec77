package configs

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"sekretariat"
)

var headerName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,63}$`)

func (d *document) checkSpamHeader(at path, h SpamHeader) {
	if !headerName.MatchString(h.Name) {
		d.wrong(at.with("name"), "%q is no name of a header field: write X-Spam-Flag", h.Name)
	}
	if (h.Contains == "") == (h.AtLeast == nil) {
		d.wrong(at, "give either \"contains\" or \"at_least\"")
	}
}

// junkKinds are what Parking.Off may name.
var junkKinds = []string{
	string(sekretariat.ParkAutoReply), string(sekretariat.ParkBounce), string(sekretariat.ParkReceipt),
	string(sekretariat.ParkList), string(sekretariat.ParkOwn), string(sekretariat.ParkSpam),
}

func (d *document) checkParking(c *Centre, n centreNames) {
	at, p := path{"parking"}, c.Parking
	for k, v := range p.Off {
		d.oneOf(at.with("off", k), v, junkKinds...)
	}
	for k, v := range p.Keep {
		d.senderTerm(at.with("keep", k), v)
	}
	if p.HoldUntil != "" && p.holdTime() < 0 {
		d.wrong(at.with("hold_until"), "%q is no hour: write 14:00", p.HoldUntil)
	}
	ids := unique{}
	for i, r := range p.Rules {
		d.checkNotRegistered(at.with("not_registered", i), r, p, n)
		ids.check(d, at.with("not_registered", i, "id"), r.ID)
	}
}

func (d *document) checkNotRegistered(at path, r NotRegistered, p Parking, n centreNames) {
	d.slug(at.with("id"), r.ID)
	d.oneOf(at.with("category"), r.Category, string(sekretariat.ParkWorking), string(sekretariat.ParkInternal), string(sekretariat.ParkInformational))
	for k, v := range r.Accounts {
		d.known(at.with("accounts", k), "account", v, n.accounts)
	}
	for k, v := range r.From {
		d.senderTerm(at.with("from", k), v)
	}
	d.known(at.with("department"), "department", string(r.Department), n.departments)
	if r.Hold && r.Department != "" {
		d.wrong(at.with("department"), "mail that is held \"do oceny\" has no department until somebody decides")
	}
	if len(r.Accounts)+len(r.From)+len(r.Subject) == 0 {
		d.wrong(at, "the rule has no condition: no mail at all would be registered")
	}
	if r.Hold && p.HoldUntil == "" {
		d.wrong(at.with("hold"), "\"hold\" needs \"parking.hold_until\": when does such mail register itself?")
	}
}

// senderTerm checks an address or an @domain.
func (d *document) senderTerm(at path, v string) {
	domain, isDomain := strings.CutPrefix(v, "@")
	if isDomain && !validMail("x@"+domain) || !isDomain && !validMail(v) {
		d.wrong(at, "%q is neither an address nor an @domain", v)
	}
}

// holdTime is the time of day of HoldUntil since midnight, -1 if it is none.
func (p Parking) holdTime() time.Duration {
	t, err := time.Parse("15:04", p.HoldUntil)
	if err != nil {
		return -1
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute
}

// HoldFrom returns when mail that is held from now on registers itself: the
// next time that the clock on the office's wall shows HoldUntil.
func (p Parking) HoldFrom(now time.Time) time.Time {
	at := max(p.holdTime(), 0)
	local := now.In(sekretariat.Warsaw())
	y, m, day := local.Date()
	until := time.Date(y, m, day, int(at/time.Hour), int(at%time.Hour/time.Minute), 0, 0, sekretariat.Warsaw())
	if !until.After(now) {
		until = time.Date(y, m, day+1, int(at/time.Hour), int(at%time.Hour/time.Minute), 0, 0, sekretariat.Warsaw())
	}
	return until.UTC()
}

func (d *document) checkAcknowledgement(c *Centre, n centreNames) {
	at, a := path{"acknowledgement"}, c.Acknowledgement
	host := ""
	if a.SMTP.Server != "" {
		host = d.hostPort(at.with("smtp", "server"), a.SMTP.Server)
	}
	d.oneOf(at.with("smtp", "tls"), a.SMTP.TLS, "starttls", "implicit", "none")
	if a.SMTP.TLS == "none" && host != "" && !loopback(host) {
		d.wrong(at.with("smtp", "tls"), "without TLS mail and password would cross the network in the clear: \"none\" is allowed to this machine only, not to %s", host)
	}
	d.secret(at.with("smtp", "password"), a.SMTP.Password)
	if a.From != "" && !validMail(a.From) {
		d.wrong(at.with("from"), "%q is no e-mail address", a.From)
	}
	for k, v := range a.Accounts {
		if !slices.ContainsFunc(c.Mailboxes, func(m Mailbox) bool { return m.ID == v }) {
			d.wrong(at.with("accounts", k), "there is no mailbox %q", v)
		}
	}
	d.atLeast(at.with("delay"), a.Delay, 0)
	for key, v := range map[string]int{"per_sender": a.PerSender, "per_day": a.PerDay} {
		if v < 1 || v > 10_000 {
			d.wrong(at.with(key), "%d is not possible: use 1 to 10000, or turn acknowledgements off", v)
		}
	}
	for k, v := range a.NotLabels {
		d.known(at.with("not_labels", k), "label", v, n.labels)
	}
	labels := unique{}
	for i, t := range a.Templates {
		at := at.with("templates", i)
		d.known(at.with("label"), "label", t.Label, n.labels)
		d.required(at, "text", t.Text)
		if labels["="+t.Label] {
			d.wrong(at.with("label"), "there is another template for %q", t.Label)
		}
		labels["="+t.Label] = true
	}
}

// turnOffAcknowledgement turns acknowledgements off when what they need is not
// known, and says so.
func (c *Centre) turnOffAcknowledgement() {
	a := &c.Acknowledgement
	if !a.On {
		return
	}
	var lacks []string
	if a.SMTP.Server == "" {
		lacks = append(lacks, "serwer (smtp.server)")
	}
	if a.SMTP.User != "" && a.SMTP.Password.IsZero() {
		lacks = append(lacks, "hasło (smtp.password)")
	}
	if a.From == "" && !slices.ContainsFunc(c.Mailboxes, func(m Mailbox) bool { return m.Address != "" }) {
		lacks = append(lacks, "nadawca (from)")
	}
	if len(lacks) > 0 {
		a.On = false
		c.Warnings = append(c.Warnings, "Nie działa: potwierdzenie wpływu. Brakuje: "+strings.Join(lacks, ", ")+".")
	}
}
