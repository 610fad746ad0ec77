package epuapdoc

import "sekretariat"

// senders decides who is shown as the sender: who signed, else whose account it
// came from, else whom the author typed. All of them are listed, each with
// what it was taken from; where they contradict each other, that is a finding.
func (d *document) senders() {
	signed, typed := d.signers(), d.named
	acc, ok := account(d.o.Source)
	var all []sekretariat.Party
	all = append(all, signed...)
	switch {
	case !ok:
		all = append(all, typed...)
	case acc.Name == "" && acc.IDs["PESEL"] == "":
		// An account without a name proves and contradicts nothing.
		all = append(append(all, typed...), acc)
	default:
		all = append(append(all, acc), typed...)
	}
	if len(all) == 0 {
		d.find(FindingNoSender, "", "")
		return
	}
	d.conflicts(signed, acc, typed)
	d.r.Sender = complete(all[0], all[1:])
	if len(all) > 1 {
		d.r.Senders = all
	}
}

// conflicts compares what was proven with what was said.
func (d *document) conflicts(signed []sekretariat.Party, acc sekretariat.Party, typed []sekretariat.Party) {
	tell := func(a, b sekretariat.Party) { d.find(FindingConflict, "", a.Name+" / "+b.Name) }
	known := acc.Name != "" || acc.IDs["PESEL"] != ""
	if known && len(typed) > 0 && !among(acc, typed) {
		tell(acc, typed[0])
	}
	for _, s := range signed {
		switch {
		case len(typed) > 0 && !among(s, typed):
			tell(s, typed[0])
		case known && len(signed) == 1 && !same(s, acc):
			tell(s, acc)
		}
	}
}

func among(p sekretariat.Party, list []sekretariat.Party) bool {
	for _, o := range list {
		if same(p, o) {
			return true
		}
	}
	return false
}

// complete adds to a sender what others say of the same person: how to reach
// it, and its numbers if a number tells that it is the same.
func complete(p sekretariat.Party, others []sekretariat.Party) sekretariat.Party {
	ids := map[string]string{}
	for k, v := range p.IDs {
		ids[k] = v
	}
	for _, o := range others {
		if !same(p, o) {
			continue
		}
		if p.Address == nil {
			p.Address = o.Address
		}
		if len(p.Phone) == 0 {
			p.Phone = o.Phone
		}
		if p.Email == "" {
			p.Email = o.Email
		}
		if fold(p.Name) == fold(o.Name) && o.Basis == "document" { // signatures shout
			p.Name, p.GivenName, p.FamilyName = o.Name, o.GivenName, o.FamilyName
		}
		for k, v := range o.IDs {
			if ids[k] == "" && sameNumber(p, o) {
				ids[k] = v
			}
		}
	}
	if len(ids) > 0 {
		p.IDs = ids
	}
	return p
}

// sameNumber tells whether a number says that two parties are the same.
func sameNumber(a, b sekretariat.Party) bool {
	for _, id := range []string{"PESEL", "REGON", "NIP"} {
		if a.IDs[id] != "" && b.IDs[id] != "" {
			return digits(a.IDs[id]) == digits(b.IDs[id])
		}
	}
	return false
}
