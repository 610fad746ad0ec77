package epuapdoc

import (
	"strings"

	"sekretariat"
	"sekretariat/extract/xmlsec"
)

// letter is one parsed Dokument.
type letter struct {
	doc         *xmlsec.Document
	root        *xmlsec.Node
	space       string // of the root: the form
	path        string // of the part it was found in, "" for the outermost
	attachments []*attachment
}

// known tells whether a name may be that of a block: forms write the shared
// blocks in their own namespace, in that of the form, or in none (the official
// stylesheet of 1410 accepts all three).
func known(n xmlsec.Name, form string) bool {
	return n.Space == "" || n.Space == form || strings.HasPrefix(n.Space, spaceCommon)
}

// all returns the children of that local name.
func (l *letter) all(n *xmlsec.Node, local string) []*xmlsec.Node {
	if n == nil {
		return nil
	}
	var out []*xmlsec.Node
	for _, c := range n.Children {
		if c.Kind == xmlsec.Element && c.Name.Local == local && known(c.Name, l.space) {
			out = append(out, c)
		}
	}
	return out
}

// at follows local names down from n, nil if one is missing.
func (l *letter) at(n *xmlsec.Node, path ...string) *xmlsec.Node {
	for _, local := range path {
		c := l.all(n, local)
		if len(c) == 0 {
			return nil
		}
		n = c[0]
	}
	return n
}

// value is the one-line text at a path below n.
func (l *letter) value(n *xmlsec.Node, path ...string) string {
	return field(l.at(n, path...).Content())
}

// attr is an attribute without namespace or, as some programs write it, in that
// of a block.
func attr(n *xmlsec.Node, local string) (string, bool) {
	if v, ok := n.Attr("", local); ok || n == nil {
		return v, ok
	}
	for _, a := range n.Attrs {
		if a.Name.Local == local && strings.HasPrefix(a.Name.Space, spaceCommon) {
			return a.Value, true
		}
	}
	return "", false
}

// first finds a block anywhere outside signatures: local forms put them in
// places of their own.
func (l *letter) first(local string) *xmlsec.Node {
	var found *xmlsec.Node
	l.root.Walk(func(n *xmlsec.Node) bool {
		if found != nil || n.Name.Space == xmlsec.SpaceDSig {
			return false
		}
		if n.Kind == xmlsec.Element && n.Name.Local == local && known(n.Name, l.space) {
			found = n
		}
		return found == nil
	})
	return found
}

// either returns the first that is there.
func either(nodes ...*xmlsec.Node) *xmlsec.Node {
	for _, n := range nodes {
		if n != nil {
			return n
		}
	}
	return nil
}

// letter fills the reading from a general letter or any other form.
func (d *document) letter(l *letter) {
	d.r.Subject = l.subject()
	body := l.body()
	d.text(body)
	d.named = l.parties("Nadawcy")
	d.r.Recipients = l.parties("Adresaci")
	for _, p := range l.podmioty(l.first("DoWiadomosci")) {
		d.r.Recipients = append(d.r.Recipients, l.party(p)...)
	}
	data := l.at(l.root, "DaneDokumentu")
	d.r.Written = l.written(data)
	d.r.Reference = l.value(data, "Naglowek", "Identyfikator", "Wartosc")
	d.header("rodzaj", l.kind())
	d.header("cid", l.value(l.root, "OpisDokumentu", "CID"))
	d.header("miejscowosc", l.value(l.root, "TrescDokumentu", "MiejscowoscDokumentu"))
}

// subject is, in this order, title, document name, name of the form; the
// file name comes last and is the caller's.
func (l *letter) subject() string {
	for _, n := range []*xmlsec.Node{
		either(l.at(l.root, "TrescDokumentu", "Tytul"), l.first("Tytul")),
		either(l.at(l.root, "DaneDokumentu", "Naglowek", "NazwaDokumentu"), l.first("NazwaDokumentu")),
		l.at(l.root, "OpisDokumentu", "OpisDokumentu"),
	} {
		if s := field(n.Content()); s != "" {
			return s
		}
	}
	return ""
}

// body is what the writer wrote: the paragraphs of a general letter, else
// every field of the form.
func (l *letter) body() string {
	content := l.at(l.root, "TrescDokumentu")
	var b strings.Builder
	for _, block := range [][2]string{{"Informacje", "Informacja"}, {"InformacjeDodatkowe", "Informacja"}, {"Oswiadczenia", "Oswiadczenie"}} {
		for _, n := range l.all(l.at(content, block[0]), block[1]) {
			paragraph(&b, lines(n.Content()))
		}
	}
	if b.Len() > 0 {
		return b.String()
	}
	return l.rest(either(content, l.root))
}

// paragraph adds one paragraph.
func paragraph(b *strings.Builder, s string) {
	if s == "" {
		return
	}
	if b.Len() > 0 {
		b.WriteString("\n\n")
	}
	b.WriteString(s)
}

// lines trims each line and drops blank ones at begin and end; line breaks of
// the writer matter.
func lines(s string) string {
	ls := strings.Split(s, "\n")
	for i := range ls {
		ls[i] = strings.Join(strings.Fields(ls[i]), " ")
	}
	return strings.Trim(strings.Join(ls, "\n"), "\n")
}

// elsewhere are blocks that are shown apart and do not belong to the text.
var elsewhere = map[string]bool{
	"Tytul": true, "MiejscowoscDokumentu": true, "Zalaczniki": true, "Zalacznik": true, "Nadawcy": true,
	"Adresaci": true, "DoWiadomosci": true, "OpisDokumentu": true,
}

// rest shows an unknown form: one line "name: text" for each field.
func (l *letter) rest(n *xmlsec.Node) string {
	var b strings.Builder
	n.Walk(func(e *xmlsec.Node) bool {
		if e.Kind != xmlsec.Element {
			return false
		}
		if e != n && (e.Name.Space == xmlsec.SpaceDSig || elsewhere[e.Name.Local]) || b.Len() > 2*sekretariat.MaxText {
			return false
		}
		for _, c := range e.Children {
			if s := lines(c.Text); c.Kind == xmlsec.Text && s != "" {
				if b.Len() > 0 {
					b.WriteByte('\n')
				}
				b.WriteString(e.Name.Local + ": " + s)
			}
		}
		return true
	})
	return b.String()
}

// written is the date on the letter, RRRR-MM-DD.
func (l *letter) written(data *xmlsec.Node) string {
	for _, n := range append(l.all(data, "Data"), l.all(l.at(l.root, "OpisDokumentu"), "Data")...) {
		kind, ok := attr(n, "typDaty")
		if ok && kind != "stworzony" {
			continue
		}
		if s := l.value(n, "Czas"); s != "" {
			date, _, _ := strings.Cut(s, "T")
			return date
		}
	}
	return ""
}

// kind is what the writer calls the letter. The attribute of an "inne pismo"
// is misspelled by some senders; otherwise it holds a hint of the form.
func (l *letter) kind() string {
	n := l.at(l.root, "TrescDokumentu", "RodzajWnioskuRozszerzony")
	kind, _ := attr(n, "rodzaj")
	if kind != "inne pismo" {
		return kind
	}
	for _, name := range []string{"jakiInny", "jakisInny"} {
		if other, _ := attr(n, name); strings.TrimSpace(other) != "" {
			return other
		}
	}
	return kind
}

// receipt reads an UPP, UPO or UPD and tells whether it was one. A receipt is no new
// matter: it belongs to the letter it speaks of (rule P11).
func (d *document) receipt(l *letter) bool {
	for _, kind := range []struct{ element, title string }{
		{"UPP", "Urzędowe poświadczenie przedłożenia (UPP)"},
		{"UPO", "Urzędowe poświadczenie odbioru (UPO)"},
		{"UPD", "Urzędowe poświadczenie doręczenia (UPD)"},
	} {
		n := l.at(l.root, kind.element)
		if n == nil {
			continue
		}
		id := l.value(n, "IdentyfikatorPoswiadczenia")
		d.r.Auto = "receipt"
		d.r.Subject = field(kind.title + " " + id)
		d.r.Reference = l.value(n, "IdentyfikatorSprawy")
		d.text(l.rest(n))
		d.header("poswiadczenie", kind.element)
		d.header("poswiadczenie.id", id)
		d.header("poswiadczenie.dokument", l.value(n, "IdentyfikatorDokumentu"))
		if about := l.about(n); about != "" {
			d.header("poswiadczenie.epuap", about)
			d.r.References = []string{about}
		}
		d.header("poswiadczenie.sprawa", l.value(n, "IdentyfikatorSprawy"))
		d.header("poswiadczenie.data", l.value(n, "DataDoreczenia")+l.value(n, "DataOdbioru"))
		if p := l.at(n, "Adresat"); p != nil && kind.element != "UPD" {
			d.r.Recipients = []sekretariat.Party{l.receiptParty(p)}
		}
		for _, issuer := range []string{"Nadawca", "Adresat"} {
			// A UPP confirms what its Nadawca sent; a UPD is signed by the
			// Adresat of our letter.
			if p := l.at(n, issuer); p != nil && (kind.element != "UPD") == (issuer == "Nadawca") {
				d.named = []sekretariat.Party{l.receiptParty(p)}
			}
		}
		return true
	}
	return false
}

// about is the platform's id of the document that a receipt speaks of; it stands
// among the further information.
func (l *letter) about(n *xmlsec.Node) string {
	for _, i := range l.all(n, "InformacjaUzupelniajaca") {
		for _, a := range i.Attrs {
			if a.Name.Local == "TypInformacjiUzupelniajacej" && strings.Contains(fold(a.Value), "identyfikator epuap dokumentu") {
				return field(i.Content())
			}
		}
	}
	return ""
}

func (l *letter) receiptParty(n *xmlsec.Node) sekretariat.Party {
	p := sekretariat.Party{Name: l.value(n, "Nazwa"), Basis: "document"}
	if id := l.value(n, "IdentyfikatorPodmiotu"); id != "" {
		p.IDs = map[string]string{"ePUAP": id}
	}
	return p
}
