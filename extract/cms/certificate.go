package cms

import (
	"encoding/hex"
	"net/mail"
	"slices"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"sekretariat"
)

// Certificate is what an X.509 certificate (RFC 5280) says. It is read here
// and not by crypto/x509, which refuses much that is in circulation.
type Certificate struct {
	Raw       []byte
	Subject   Name
	Issuer    Name
	Serial    string // hexadecimal
	NotBefore time.Time
	NotAfter  time.Time
	Emails    []string // of the subject and its alternative names
	Qualified bool     // calls itself qualified (ETSI EN 319 412-5 §4.2.1)

	issuer, serial, keyID []byte // as signers name it
	key                   []byte // SubjectPublicKeyInfo, DER
}

// Name is a distinguished name.
type Name struct {
	Common, Given, Family, Organisation, Unit, Country string
	Number                                             string // serialNumber: "PNOPL-…" holds a PESEL (ETSI EN 319 412-1 §5.1.3)
	OrganisationID                                     string // "VATPL-…" holds a NIP
	Email                                              string
}

// String returns the name for a page: common name and organisation.
func (n Name) String() string {
	name := n.Common
	if name == "" {
		name = strings.TrimSpace(n.Given + " " + n.Family)
	}
	if n.Organisation != "" && n.Organisation != name {
		name = strings.TrimPrefix(name+", "+n.Organisation, ", ")
	}
	return name
}

// Party returns the subject as a letter lists people.
func (c *Certificate) Party() sekretariat.Party {
	n := c.Subject
	p := sekretariat.Party{Name: n.Common, GivenName: n.Given, FamilyName: n.Family, Basis: "signature"}
	if p.Name == "" {
		p.Name = n.String()
	}
	if p.Organisation = n.Given == "" && n.Family == "" && n.Organisation != "" && (n.Common == "" || n.Common == n.Organisation || n.OrganisationID != ""); p.Organisation && p.Name == "" {
		p.Name = n.Organisation
	}
	if len(c.Emails) > 0 {
		p.Email = c.Emails[0]
	}
	for prefix, id := range map[string]string{"PNOPL-": "PESEL", "PESEL:": "PESEL", "TINPL-": "NIP", "VATPL-": "NIP", "NTRPL-": "KRS", "NIP:": "NIP"} {
		for _, v := range []string{n.Number, n.OrganisationID} {
			if rest, ok := strings.CutPrefix(strings.ReplaceAll(v, " ", ""), prefix); ok && rest != "" {
				if p.IDs == nil {
					p.IDs = map[string]string{}
				}
				p.IDs[id] = rest
			}
		}
	}
	return p
}

// certificates reads a CertificateSet (RFC 5652 §10.2.2).
func certificates(set node) []Certificate {
	var out []Certificate
	for _, n := range set.children {
		if !n.is(classUniversal, tagSequence) || len(out) == maxCerts {
			continue
		}
		if c, ok := certificate(n); ok {
			out = append(out, c)
		}
	}
	return out
}

// ParseCertificate reads one certificate in DER; ok is false if it is none.
func ParseCertificate(der []byte) (c Certificate, ok bool) {
	if len(der) > maxKept {
		return c, false
	}
	n, err := parseTree(der)
	if err != nil {
		return c, false
	}
	return certificate(n)
}

func certificate(n node) (Certificate, bool) {
	tbs := n.child(0)
	i := 0
	if tbs.child(0).is(classContext, 0) { // version
		i = 1
	}
	if len(tbs.children) < i+6 {
		return Certificate{}, false
	}
	issuer, validity, subject := tbs.child(i+2), tbs.child(i+3), tbs.child(i+4)
	c := Certificate{
		Raw: n.der(), Subject: name(subject), Issuer: name(issuer),
		issuer: issuer.der(), serial: tbs.child(i).content, key: tbs.child(i + 5).der(),
	}
	c.Serial = hex.EncodeToString(c.serial)
	c.NotBefore, _ = parseTime(validity.child(0))
	c.NotAfter, _ = parseTime(validity.child(1))
	c.addEmail(c.Subject.Email)
	for _, e := range tbs.children[i+6:] {
		if e.is(classContext, 3) {
			c.extensions(e.child(0))
		}
	}
	return c, true
}

func (c *Certificate) extensions(list node) {
	for _, e := range list.children {
		if len(e.children) < 2 {
			continue
		}
		value, err := parseTree(e.children[len(e.children)-1].octets())
		if err != nil {
			continue
		}
		switch e.child(0).oid() {
		case "2.5.29.14":
			c.keyID = value.octets()
		case "2.5.29.17":
			for _, alt := range value.children {
				if alt.is(classContext, 1) { // rfc822Name
					c.addEmail(string(alt.octets()))
				}
			}
		case "1.3.6.1.5.5.7.1.3":
			for _, statement := range value.children {
				c.Qualified = c.Qualified || statement.child(0).oid() == "0.4.0.1862.1.1"
			}
		}
	}
}

func (c *Certificate) addEmail(s string) {
	const most = 10
	if a, err := mail.ParseAddress(s); err == nil && len(c.Emails) < most && len(a.Address) <= 320 && !slices.Contains(c.Emails, a.Address) {
		c.Emails = append(c.Emails, a.Address)
	}
}

// name reads a distinguished name (RFC 5280 §4.1.2.4).
func name(n node) Name {
	var out Name
	fields := map[string]*string{
		"2.5.4.3": &out.Common, "2.5.4.4": &out.Family, "2.5.4.42": &out.Given, "2.5.4.10": &out.Organisation, "2.5.4.11": &out.Unit,
		"2.5.4.6": &out.Country, "2.5.4.5": &out.Number, "2.5.4.97": &out.OrganisationID, "1.2.840.113549.1.9.1": &out.Email,
	}
	for _, rdn := range n.children {
		for _, pair := range rdn.children {
			if f := fields[pair.child(0).oid()]; f != nil && *f == "" {
				*f = pair.child(1).text()
			}
		}
	}
	return out
}

// text returns a string type as one line of UTF-8.
func (n node) text() string {
	const most = 500 // octets
	b := n.octets()
	s := string(b)
	switch {
	case n.tag == tagBMPString:
		units := make([]uint16, len(b)/2)
		for i := range units {
			units[i] = uint16(b[2*i])<<8 | uint16(b[2*i+1])
		}
		s = string(utf16.Decode(units))
	case !utf8.Valid(b): // T61String and the like: as ISO-8859-1
		runes := make([]rune, len(b))
		for i, c := range b {
			runes[i] = rune(c)
		}
		s = string(runes)
	}
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r < ' ' || r == ' ' || r >= 0x7f && r < 0xa0 }), " ")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return s
}
