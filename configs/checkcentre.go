package configs

import (
	"strings"
	"time"
	"unicode"

	"sekretariat"
)

// centreNames are the ids that a profile defines and other parts of it use.
type centreNames struct {
	units, departments, series, accounts, boxes, authorities, labels map[string]bool
}

func namesOf(c *Centre) centreNames {
	n := centreNames{
		units:       names(c.Units, func(u Unit) string { return u.ID }),
		departments: names(c.Departments, func(d Department) sekretariat.DepartmentID { return d.ID }),
		series:      names(c.Series, func(s Series) sekretariat.SeriesID { return s.ID }),
		accounts:    names(c.accounts(), func(a *Account) string { return a.ID }),
		boxes:       names(c.Boxes, func(b Box) string { return b.ID }),
		authorities: names(c.Authorities, func(a Authority) string { return a.ID }),
		labels:      names(Labels(), func(l string) string { return l }),
	}
	for l := range c.Labels {
		n.labels[l] = true
	}
	return n
}

// checkCentre finds contradictions in a profile.
func (d *document) checkCentre(c *Centre) {
	n := namesOf(c)
	d.slug(path{"id"}, string(c.ID))
	d.required(path{"name"}, "name", c.Name)
	if v := c.VirusScan; v != Off && !strings.HasPrefix(v, "unix:/") && !strings.HasPrefix(v, "/") {
		d.hostPort(path{"virus_scan"}, v)
	}
	d.checkUnits(c, n)
	d.checkSeries(c, n)
	d.checkDepartments(c, n)
	d.checkHours(c.Hours)
	d.oneOf(path{"proofs"}, c.Proofs, ProofsRegister, ProofsPark)
	for i, e := range c.EmailPolicy {
		at := path{"email_policy", i}
		d.span(at, e.From, e.To)
		d.oneOf(at.with("policy"), e.Policy, "accept", "call_to_sign", "inform_and_keep")
	}
	d.checkContacts(c, n)
	d.checkAccounts(c, n)
	d.checkParking(c, n)
	d.checkAcknowledgement(c, n)
	d.checkLabels(c, n)
	d.checkRules(c, n)
	d.checkLegalEffect(c)
	d.checkRouting(c, n)
	d.checkAlarms(c.Alarms)
	sets := unique{}
	for i, s := range c.RuleSets {
		d.slug(path{"rule_sets", i}, s)
		sets.check(d, path{"rule_sets", i}, s)
	}
}

func (d *document) checkUnits(c *Centre, n centreNames) {
	ids := unique{}
	for i, u := range c.Units {
		at := path{"units", i}
		d.slug(at.with("id"), u.ID)
		ids.check(d, at.with("id"), u.ID)
		d.required(at, "name", u.Name)
		d.known(at.with("parent"), "unit", u.Parent, n.units)
		up, steps := u.Parent, 0
		for ; up != "" && up != u.ID && steps <= len(c.Units); steps++ {
			up = c.parent(up)
		}
		if up == u.ID && u.ID != "" {
			d.wrong(at.with("parent"), "the unit %q is above itself", u.ID)
		}
	}
}

func (d *document) checkSeries(c *Centre, n centreNames) {
	ids, units, printed := unique{}, map[string]bool{}, map[string]sekretariat.SeriesID{}
	for i, s := range c.Series {
		at := path{"series", i}
		number := s.Print(sekretariat.Number{Series: s.ID, Year: 2026, N: 1})
		if other, taken := printed[number]; taken && other != s.ID {
			d.wrong(at.with("format"), "another series prints its numbers alike: two letters would be called %s", number)
		}
		printed[number] = s.ID
		d.slug(at.with("id"), string(s.ID))
		ids.check(d, at.with("id"), string(s.ID))
		d.date(at.with("from"), s.From)
		if s.Format != "" && !seriesFormat.MatchString(s.Format) {
			d.wrong(at.with("format"), "%q must contain {n} and then {year}, each once, as in RPW/{n}/{year}", s.Format)
		}
		for year, first := range s.First {
			if year < 2000 || year > 2200 || first < 1 {
				d.wrong(at.with("first", year), "the first number of a year is at least 1, and the year has four digits")
			}
		}
		for k, u := range s.Units {
			d.known(at.with("units", k), "unit", u, n.units)
			if units[u] {
				d.wrong(at.with("units", k), "the unit %q already feeds another series", u)
			}
			units[u] = true
		}
	}
}

func (d *document) checkDepartments(c *Centre, n centreNames) {
	if !n.departments[string(sekretariat.Sekretariat)] {
		d.wrong(path{"departments"}, "the department %q is missing: it takes everything that the router is not sure about", sekretariat.Sekretariat)
	}
	ids, symbols := unique{}, map[string]bool{}
	for i, dep := range c.Departments {
		at := path{"departments", i}
		d.slug(at.with("id"), string(dep.ID))
		ids.check(d, at.with("id"), string(dep.ID))
		d.required(at, "name", dep.Name)
		d.known(at.with("unit"), "unit", dep.Unit, n.units)
		for k, s := range dep.Symbol {
			if !validSymbol(s) {
				d.wrong(at.with("symbol", k), "%q is no symbol of a unit: use letters, digits and dots, as in DPS or MOPR.PS", s)
			}
			if folded := strings.ToUpper(s); symbols[folded] {
				d.wrong(at.with("symbol", k), "the symbol %q belongs to another department already", s)
			} else {
				symbols[folded] = true
			}
		}
		d.checkSuspensions(at, dep, n)
	}
}

func validSymbol(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '.' })
}

func (d *document) checkSuspensions(at path, dep Department, n centreNames) {
	d.span(at, dep.From, dep.To)
	for k, s := range dep.Suspended {
		at := at.with("suspended", k)
		d.span(at, s.From, s.To)
		d.required(at, "from", s.From)
		switch {
		case dep.ID == sekretariat.Sekretariat:
			d.wrong(at, "the sekretariat cannot be suspended: it is everybody's substitute")
		case s.Substitute == "":
			d.wrong(at, "\"substitute\" is missing: who takes the letters meanwhile?")
		case s.Substitute == dep.ID:
			d.wrong(at.with("substitute"), "a department cannot stand in for itself")
		default:
			d.known(at.with("substitute"), "department", string(s.Substitute), n.departments)
		}
	}
}

func (d *document) checkContacts(c *Centre, n centreNames) {
	for i, k := range c.Contacts {
		at := path{"contacts", i}
		d.span(at, k.From, k.To)
		if k.Phone == "" && k.Email == "" {
			d.wrong(at, "a contact needs \"phone\" or \"email\"")
		}
		if k.Phone != "" && strings.Trim(k.Phone, "+0123456789 ") != "" {
			d.wrong(at.with("phone"), "%q is no telephone number: use digits and blanks", k.Phone)
		}
		if k.Email != "" && !validMail(k.Email) {
			d.wrong(at.with("email"), "%q is no e-mail address", k.Email)
		}
		for j, dep := range k.Departments {
			d.known(at.with("departments", j), "department", string(dep), n.departments)
		}
	}
}

func validMail(s string) bool {
	local, host, ok := strings.Cut(s, "@")
	return ok && local != "" && host != "" && !strings.ContainsAny(s, " \t,;<>") && !strings.Contains(host, "@")
}

func (d *document) checkAccounts(c *Centre, n centreNames) {
	ids := unique{}
	account := func(at path, a Account) {
		d.slug(at.with("id"), a.ID)
		ids.check(d, at.with("id"), a.ID)
		d.known(at.with("unit"), "unit", a.Unit, n.units)
		d.known(at.with("department"), "department", string(a.Department), n.departments)
		d.known(at.with("series"), "series", string(a.Series), n.series)
	}
	for i, m := range c.Mailboxes {
		account(path{"mailboxes", i}, m.Account)
		d.checkMailbox(path{"mailboxes", i}, m)
	}
	for i, e := range c.EPUAP {
		account(path{"epuap", i}, e.Account)
		d.checkEPUAP(path{"epuap", i}, e)
	}
	for i, e := range c.EDelivery {
		account(path{"edelivery", i}, e.Account)
		d.checkEDelivery(path{"edelivery", i}, e)
	}
	for i, b := range c.Boxes {
		account(path{"boxes", i}, b.Account)
		for key, v := range map[string]time.Duration{"quiet": b.Quiet, "patience": b.Patience, "poll": b.Poll, "keep": b.Keep} {
			d.atLeast(path{"boxes", i, key}, v, 0)
		}
		d.checkDevices(path{"boxes", i}, b.Devices)
	}
}

func (d *document) atLeast(at path, v, least time.Duration) {
	if v < least {
		d.wrong(at, "%s is too short: use at least %s", v, least)
	}
}

func (d *document) checkEPUAP(at path, e EPUAP) {
	if e.URL != "" {
		d.webURL(at.with("url"), e.URL)
	}
	if e.Repository != "" {
		d.webURL(at.with("repository"), e.Repository)
	}
	if e.MaxFile < 0 {
		d.wrong(at.with("max_file"), "a size cannot be negative")
	}
	if e.Push && len(e.Pins) == 0 {
		d.wrong(at.with("push"), "push needs \"pins\": the SHA-256 of the certificates by which the platform signs")
	}
	if e.Address != "" && (!strings.HasPrefix(e.Address, "/") || strings.Count(e.Address, "/") != 2) {
		d.wrong(at.with("address"), "%q is no address of a skrytka: write /podmiot/nazwa", e.Address)
	}
	d.oneOf(at.with("skrot"), e.Skrot, "sha1", "sha256")
	d.oneOf(at.with("verify_response"), e.VerifyResponse, "require", "warn", "off")
	if e.VerifyResponse == "require" && len(e.Pins) == 0 {
		d.wrong(at.with("verify_response"), "\"require\" needs \"pins\": the SHA-256 of the certificates that may sign")
	}
	d.pins(at, e.Pins)
	d.secret(at.with("key"), e.Key)
	d.atLeast(at.with("poll"), e.Poll, time.Second)
	d.atLeast(at.with("settle"), e.Settle, 0)
}
