package configs

import (
	"maps"
	"regexp"
	"slices"

	"sekretariat"
)

func (d *document) checkLabels(c *Centre, n centreNames) {
	ids := unique{}
	for i, a := range c.Authorities {
		at := path{"authorities", i}
		d.slug(at.with("id"), a.ID)
		ids.check(d, at.with("id"), a.ID)
		d.required(at, "name", a.Name)
	}
	used := names(c.Rules, func(r Rule) string { return r.Label })
	for _, l := range slices.Sorted(maps.Keys(c.Labels)) {
		at, to := path{"labels", l}, c.Labels[l]
		if !slices.Contains(Labels(), l) && !used[l] {
			d.wrong(at, "the router knows no label %q, and no rule gives it%s", l, didYouMean(l, Labels()))
		}
		if (to.Department == "") == (to.Forward == "") {
			d.wrong(at, "give either \"department\" or \"forward\"")
		}
		d.known(at.with("department"), "department", string(to.Department), n.departments)
		d.known(at.with("forward"), "authority", to.Forward, n.authorities)
		for k, dep := range to.Copies {
			d.known(at.with("copies", k), "department", string(dep), n.departments)
			if dep == to.Department && dep != "" {
				d.wrong(at.with("copies", k), "%q is the owner already: a copy to it makes no sense", dep)
			}
		}
		for _, unit := range slices.Sorted(maps.Keys(to.ByUnit)) {
			d.known(at.with("by_unit", unit), "unit", unit, n.units)
			d.known(at.with("by_unit", unit), "department", string(to.ByUnit[unit]), n.departments)
		}
	}
}

func (d *document) checkRules(c *Centre, n centreNames) {
	ids := unique{}
	for i, r := range c.Rules {
		at := path{"rules", i}
		d.slug(at.with("id"), r.ID)
		ids.check(d, at.with("id"), r.ID)
		d.required(at, "because", r.Because)
		if r.Weight < 0 || r.Weight > 1 {
			d.wrong(at.with("weight"), "a weight lies between 0 and 1")
		}
		d.checkRuleEffect(at, r, n)
		for k, v := range r.Kinds {
			d.oneOf(at.with("kinds", k), v, string(sekretariat.KindMail), string(sekretariat.KindEPUAP),
				string(sekretariat.KindEDelivery), string(sekretariat.KindBox), string(sekretariat.KindManual))
		}
		for k, v := range r.Boxes {
			d.known(at.with("boxes", k), "box", v, n.boxes)
		}
		for k, v := range r.Accounts {
			d.known(at.with("accounts", k), "account", v, n.accounts)
		}
		for k, v := range r.Labels {
			d.known(at.with("labels", k), "label", v, n.labels)
		}
	}
}

func (d *document) checkRuleEffect(at path, r Rule, n centreNames) {
	switch {
	case r.Label == "" && r.Department == "" && r.Urgency == "":
		d.wrong(at, "the rule does nothing: give \"label\", \"department\" or \"urgency\"")
	case r.Label != "" && r.Department != "":
		d.wrong(at.with("department"), "give either \"label\" or \"department\"")
	}
	d.known(at.with("label"), "label", r.Label, n.labels)
	d.known(at.with("department"), "department", string(r.Department), n.departments)
	if r.Urgency != "" { // a rule raises the urgency and never lowers it
		d.oneOf(at.with("urgency"), string(r.Urgency), string(sekretariat.Urgent), string(sekretariat.Danger))
	}
	conditions := len(r.Kinds) + len(r.Boxes) + len(r.Accounts) + len(r.To) + len(r.From) + len(r.Cases) +
		len(r.Forms) + len(r.Subject) + len(r.Text) + len(r.With) + len(r.Labels)
	if conditions == 0 {
		d.wrong(at, "the rule has no condition: it would hold for every letter")
	}
}

var letterKinds = []string{"wniosek", "odwolanie", "skarga", "zapytanie", "uzupelnienie", "zawiadomienie", "informacja", "inne"}

func (d *document) checkRouting(c *Centre, n centreNames) {
	at, r := path{"routing"}, c.Routing
	if !ModelVersion.MatchString(r.Model) {
		d.oneOf(at.with("model"), r.Model, "on", "off")
	}
	d.oneOf(at.with("learning"), r.Learning, "on", "off")
	d.oneOf(at.with("mode"), r.Mode, string(sekretariat.ModeSuggest), string(sekretariat.ModeAuto))
	if r.Threshold < 0 || r.Threshold > 1 {
		d.wrong(at.with("threshold"), "a threshold lies between 0 and 1")
	}
	for i, e := range r.Exceptions {
		at := at.with("exceptions", i)
		d.known(at.with("department"), "department", string(e.Department), n.departments)
		if e.Kind != "" {
			d.oneOf(at.with("kind"), e.Kind, letterKinds...)
		}
		d.required(at, "mode", e.Mode)
		d.oneOf(at.with("mode"), e.Mode, string(sekretariat.ModeSuggest), string(sekretariat.ModeAuto))
	}
	d.known(at.with("closed", "department"), "department", string(r.Closed.Department), n.departments)
	for i, s := range c.Streets {
		at := path{"streets", i}
		d.required(at, "street", s.Street)
		d.required(at, "unit", s.Unit)
		d.known(at.with("unit"), "unit", s.Unit, n.units)
		d.date(at.with("since"), s.Since)
		d.date(at.with("until"), s.Until)
		d.oneOf(at.with("side"), s.Side, "odd", "even", "both")
		if s.From < 0 || s.To < 0 || s.To > 0 && s.From > s.To {
			d.wrong(at.with("from"), "house numbers run from a lower to a higher one")
		}
	}
}

// ModelVersion is the form of a model's version in routing.model.
var ModelVersion = regexp.MustCompile(`^1-[0-9a-f]{12}$`)
