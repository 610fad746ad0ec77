package epuapdoc

import (
	"slices"
	"strings"
	"time"

	"sekretariat"
	"sekretariat/extract/polish"
	"sekretariat/extract/xmlsec"
)

// parties reads the block Nadawcy or Adresaci.
func (l *letter) parties(block string) []sekretariat.Party {
	var out []sekretariat.Party
	for _, n := range l.podmioty(either(l.at(l.root, "DaneDokumentu", block), l.first(block))) {
		out = append(out, l.party(n)...)
	}
	return out[:min(len(out), maxParties)]
}

func (l *letter) podmioty(block *xmlsec.Node) []*xmlsec.Node {
	nodes := l.all(block, "Podmiot")
	return nodes[:min(len(nodes), maxParties)]
}

// party reads a Podmiot: persons and institutions, even both.
func (l *letter) party(n *xmlsec.Node) []sekretariat.Party {
	var out []sekretariat.Party
	for _, c := range l.all(n, "Osoba") {
		out = append(out, l.person(c))
	}
	for _, c := range l.all(n, "Instytucja") {
		out = append(out, l.institution(c))
	}
	kept := out[:0]
	for _, p := range out {
		if p.Name != "" || len(p.IDs) > 0 || p.Email != "" || len(p.Phone) > 0 || p.Address != nil {
			kept = append(kept, p)
		}
	}
	return kept
}

func (l *letter) person(n *xmlsec.Node) sekretariat.Party {
	p := sekretariat.Party{Basis: "document"}
	p.GivenName = field(l.value(n, "Imie") + " " + l.value(n, "ImieDrugie"))
	var family []string
	for _, f := range l.all(n, "Nazwisko") {
		if s := field(f.Content()); s != "" {
			family = append(family, s)
		}
	}
	p.FamilyName = field(strings.Join(family, "-")) // the parts of a double name
	p.Name = field(p.GivenName + " " + p.FamilyName)
	l.ids(&p, l.at(n, "IdOsoby"), "PESEL", "NIP")
	l.contact(&p, n)
	return p
}

func (l *letter) institution(n *xmlsec.Node) sekretariat.Party {
	p := sekretariat.Party{Basis: "document", Organisation: true, Name: l.value(n, "NazwaInstytucji")}
	unit := l.at(n, "Jednostka")
	for range 3 { // units within units
		if s := l.value(unit, "NazwaInstytucji"); s != "" {
			p.Unit = field(strings.TrimPrefix(p.Unit+", "+s, ", "))
		}
		unit = l.at(unit, "Jednostka")
	}
	l.ids(&p, l.at(n, "IdInstytucji"), "KRS", "NIP", "REGON")
	l.contact(&p, n)
	return p
}

func (l *letter) ids(p *sekretariat.Party, n *xmlsec.Node, names ...string) {
	for _, name := range names {
		setID(p, name, l.value(n, name))
	}
	for _, other := range l.all(n, "InnyIdentyfikator") {
		if len(p.IDs) < 10 {
			setID(p, l.value(other, "TypIdentyfikatora"), l.value(other, "WartoscIdentyfikatora"))
		}
	}
}

func setID(p *sekretariat.Party, name, value string) {
	if value = field(value); name == "" || value == "" {
		return
	}
	if p.IDs == nil {
		p.IDs = map[string]string{}
	}
	p.IDs[name] = value
}

func (l *letter) contact(p *sekretariat.Party, n *xmlsec.Node) {
	if a := l.at(n, "Adres"); a != nil {
		address := sekretariat.Address{
			Postcode: l.value(a, "KodPocztowy"), Town: l.value(a, "Miejscowosc"), Street: l.value(a, "Ulica"),
			Building: l.value(a, "Budynek"), Flat: l.value(a, "Lokal"), POBox: l.value(a, "SkrytkaPocztowa"), Country: l.value(a, "Kraj"),
		}
		if address.Town == "" {
			address.Town = l.value(a, "Poczta")
		}
		if address != (sekretariat.Address{}) {
			p.Address = &address
		}
	}
	k := l.at(n, "Kontakt")
	for _, t := range l.all(k, "Telefon") {
		if s := field(t.Content()); s != "" && len(p.Phone) < 10 {
			p.Phone = append(p.Phone, s)
		}
	}
	for _, e := range l.all(k, "Email") {
		if s := field(e.Content()); s != "" && p.Email == "" {
			p.Email = s
		}
	}
}

// Account is the sender as the platform knows it, for documents that are no
// XML. ok is false if the platform said nothing.
func Account(source map[string]string) (p sekretariat.Party, ok bool) { return account(source) }

// Sent is when the platform says that a document was sent, nil if it does not.
func Sent(source map[string]string) *time.Time { return sent(source) }

// account is the sender as the platform knows it (danePodmiotu, daneNadawcy):
// the owner of the account the letter was sent from. ok is false if the
// platform said nothing.
func account(source map[string]string) (p sekretariat.Party, ok bool) {
	get := func(name string) string { return field(source["danePodmiotu."+name]) }
	p = sekretariat.Party{Basis: "account"}
	if get("typOsoby") == "F" {
		p.GivenName, p.FamilyName = get("imieSkrot"), get("nazwiskoNazwa")
		p.Name = field(p.GivenName + " " + p.FamilyName)
	} else {
		p.Name = get("nazwiskoNazwa")
		if p.Name == "" {
			p.Name = get("imieSkrot")
		}
		p.Organisation = p.Name != ""
	}
	setID(&p, "ePUAP", get("identyfikator"))
	setID(&p, "PESEL", get("pesel"))
	setID(&p, "NIP", get("nip"))
	setID(&p, "REGON", get("regon"))
	for _, user := range []string{"daneNadawcy.system", "daneNadawcy.uzytkownik"} {
		if p.IDs["ePUAP"] == "" {
			setID(&p, "ePUAP", source[user])
		}
	}
	return p, p.Name != "" || len(p.IDs) > 0
}

// same tells whether two parties are the same: by the first number both have,
// else by name.
func same(a, b sekretariat.Party) bool {
	for _, id := range []string{"PESEL", "REGON", "NIP"} {
		if a.IDs[id] != "" && b.IDs[id] != "" {
			return digits(a.IDs[id]) == digits(b.IDs[id])
		}
	}
	return a.Name != "" && words(a.Name) == words(b.Name)
}

// words makes names comparable whatever the order: receipts write the family
// name first.
func words(s string) string {
	w := strings.Fields(polish.Fold(s))
	slices.Sort(w)
	return strings.Join(w, " ")
}

func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}

// fold makes names comparable.
func fold(s string) string { return strings.Join(strings.Fields(polish.Fold(s)), " ") }
