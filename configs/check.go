package configs

import (
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"sekretariat"
)

// oneOf records a problem when v is none of the allowed values.
func (d *document) oneOf(at path, v string, allowed ...string) {
	if !slices.Contains(allowed, v) {
		d.wrong(at, "%q is not allowed here: use %s", v, strings.Join(allowed, ", "))
	}
}

// slug records a problem when v cannot be part of keys and subjects.
func (d *document) slug(at path, v string) {
	switch {
	case v == "":
		d.wrong(at, "the id is missing")
	case !sekretariat.ValidSlug(v):
		d.wrong(at, "%q cannot be an id: use lower-case letters a-z, digits and hyphens, at most 40", v)
	}
}

// date checks a day written RRRR-MM-DD; "" is allowed.
func (d *document) date(at path, v string) {
	if v == "" {
		return
	}
	if _, err := time.Parse(time.DateOnly, v); err != nil {
		d.wrong(at, "%q is no day: write it like 2026-03-31", v)
	}
}

// span checks the keys "from" and "to" below a path.
func (d *document) span(at path, from, to string) {
	d.date(at.with("from"), from)
	d.date(at.with("to"), to)
	if from != "" && to != "" && to < from {
		d.wrong(at.with("to"), "the end %s lies before the beginning %s", to, from)
	}
}

// unique records a problem for every id that occurs again.
type unique map[string]bool

func (u unique) check(d *document, at path, id string) {
	if u[id] && id != "" {
		d.wrong(at, "the id %q is used twice", id)
	}
	u[id] = true
}

// hostPort checks "host:port" and returns the host.
func (d *document) hostPort(at path, v string) (host string) {
	host, port, err := net.SplitHostPort(v)
	if err != nil || host == "" || port == "" {
		d.wrong(at, "%q is no address: write host:port", v)
		return ""
	}
	if n, err := net.LookupPort("tcp", port); err != nil || n < 0 {
		d.wrong(at, "%q has no valid port", v)
	}
	return host
}

// loopback tells whether a host is this machine.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// webURL checks an address of a service: https, or http on this machine.
func (d *document) webURL(at path, v string) {
	u, err := url.Parse(v)
	switch {
	case err != nil || u.Host == "":
		d.wrong(at, "%q is no address: write https://host/path", v)
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
	default:
		d.wrong(at, "%q would go unencrypted over the network: use https", v)
	}
}

func (d *document) secret(at path, s Secret) {
	if s.File != "" && s.Env != "" {
		d.wrong(at, "give either \"file\" or \"env\", not both")
	}
}

func (d *document) checkInstallation(in *Installation) {
	if len(in.Centres) == 0 {
		d.wrong(path{"centres"}, "no centre: name at least one profile")
	}
	for key, v := range map[string]string{"desk": in.Listen.Desk, "scanners": in.Listen.Scanners, "callbacks": in.Listen.Callbacks, "health": in.Listen.Health} {
		if v != "" {
			d.hostPort(path{"listen", key}, v)
		}
	}
	if in.Listen.Desk != "" && in.Listen.Desk == in.Listen.Scanners {
		d.wrong(path{"listen", "scanners"}, "desk and scanners cannot share the address %s", in.Listen.Desk)
	}
	if h := in.Listen.Health; h != "" && (h == in.Listen.Desk || h == in.Listen.Scanners || h == in.Listen.Callbacks) {
		d.wrong(path{"listen", "health"}, "health needs an address of its own, %s is taken", h)
	}
	if c := in.Listen.Callbacks; c != "" && (c == in.Listen.Desk || c == in.Listen.Scanners) {
		d.wrong(path{"listen", "callbacks"}, "callbacks need an address of their own: it is open to the platforms, %s is not", c)
	}
	d.checkTrust(path{"trust"}, in.Trust)
	for key, v := range map[string]int64{
		"delivery": in.Limits.Delivery, "in_flight": in.Limits.InFlight,
		"read_time": int64(in.Limits.ReadTime), "read_parts": int64(in.Limits.ReadParts),
	} {
		if v < 0 {
			d.wrong(path{"limits", key}, "a limit cannot be negative")
		}
	}
	d.oneOf(path{"log", "level"}, in.Log.Level, "debug", "info", "warn", "error")
	d.checkMailDoor(in.MailDoor)
	d.checkDoors(in)
	d.checkNATS(in.NATS)
	if in.Storage.S3 != nil {
		d.checkS3(*in.Storage.S3)
	}
}

func (d *document) checkNATS(n NATS) {
	if n.URL == "" {
		if n.Port < 0 || n.Port > 65535 {
			d.wrong(path{"nats", "port"}, "%d is no port", n.Port)
		}
		return
	}
	u, err := url.Parse(n.URL)
	if err != nil || u.Host == "" {
		d.wrong(path{"nats", "url"}, "%q is no address: write tls://host:4222", n.URL)
		return
	}
	d.oneOf(path{"nats", "url"}, u.Scheme, "tls", "nats", "wss", "ws")
	if !slices.Contains([]int{1, 3, 5}, n.Replicas) {
		d.wrong(path{"nats", "replicas"}, "%d replicas are not possible: use 1, 3 or 5", n.Replicas)
	}
}

func (d *document) checkS3(s S3) {
	at := path{"storage", "s3"}
	host := d.hostPort(at.with("endpoint"), s.Endpoint)
	if s.Insecure && host != "" && !loopback(host) {
		d.wrong(at.with("insecure"), "plain HTTP is allowed on this machine only, not to %s", host)
	}
	for key, v := range map[string]string{"bucket": s.Bucket, "key_bucket": s.KeyBucket} {
		if v == "" {
			d.wrong(at.with(key), "%s is missing", key)
		}
	}
	if s.Bucket != "" && s.Bucket == s.KeyBucket {
		d.wrong(at.with("key_bucket"), "keys must not lie in the bucket %q of what they lock", s.Bucket)
	}
	for key, v := range map[string]Secret{"access_key": s.AccessKey, "secret_key": s.SecretKey} {
		d.secret(at.with(key), v)
		if v.IsZero() {
			d.wrong(at.with(key), "%s is missing: give \"file\" or \"env\"", key)
		}
	}
}

var (
	periodForm = regexp.MustCompile(`^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-4]):[0-5]\d$`)
	dayNames   = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}
)

func (d *document) checkHours(list []Hours) {
	for i, h := range list {
		at := path{"hours", i}
		d.span(at, h.From, h.To)
		if !validDays(h.Days) {
			d.wrong(at.with("days"), "%q are no days: write mon-fri, sat or mon,wed,fri", h.Days)
		}
		last := ""
		for k, p := range h.Periods {
			begin, end, _ := strings.Cut(p, "-")
			switch {
			case !periodForm.MatchString(p):
				d.wrong(at.with("periods", k), "%q is no period: write 07:30-15:30", p)
			case end <= begin || begin < last:
				d.wrong(at.with("periods", k), "%q does not follow the time before it", p)
			}
			last = end
		}
	}
}

// validDays accepts "mon", "mon-fri" and comma-separated lists of both.
func validDays(s string) bool {
	for part := range strings.SplitSeq(s, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		a, b := slices.Index(dayNames, from), slices.Index(dayNames, to)
		if a < 0 || isRange && b < a {
			return false
		}
	}
	return true
}

// known records a problem when id is none of the given names.
func (d *document) known(at path, what, id string, names map[string]bool) {
	if id == "" || names[id] {
		return
	}
	var list []string
	for n := range names {
		list = append(list, n)
	}
	slices.Sort(list)
	d.wrong(at, "there is no %s %q%s", what, id, didYouMean(id, list))
}

// names collects the ids of a list.
func names[T any, S ~string](list []T, id func(T) S) map[string]bool {
	m := map[string]bool{}
	for _, v := range list {
		m[string(id(v))] = true
	}
	return m
}

var seriesFormat = regexp.MustCompile(`^[^{}]*\{n\}[^{}]*\{year\}[^{}]*$`)

// required records a problem when a required text is missing.
func (d *document) required(at path, key, v string) {
	if strings.TrimSpace(v) == "" {
		d.wrong(at, "%q is missing", key)
	}
}
