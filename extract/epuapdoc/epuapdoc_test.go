package epuapdoc_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"sekretariat"
	"sekretariat/extract/epuapdoc"
)

func TestSamples(t *testing.T) {
	n := 0
	for name, e := range expectations(t) {
		if e.Parse == "" || !strings.HasSuffix(name, ".xml") {
			continue
		}
		n++
		t.Run(name, func(t *testing.T) {
			doc := sample(t, name)
			r := readTrusting(t, doc)
			if r.Reader != epuapdoc.Name || r.Format != "application/xml" {
				t.Errorf("reader %s, format %s", r.Reader, r.Format)
			}
			if e.Parse == "reject" {
				if r.Outcome != sekretariat.ReadUnreadable || !has(r, epuapdoc.FindingDTD, "") && !has(r, epuapdoc.FindingMalformed, "") || r.Text != "" {
					t.Errorf("not refused: %s, %v", r.Outcome, r.Findings)
				}
				return
			}
			if len(r.Signatures) != len(e.Signatures) {
				t.Errorf("%d signatures, want %d", len(r.Signatures), len(e.Signatures))
			}
			for i := range r.Signatures {
				compareSignature(t, r.Signatures[i], e.Signatures[i])
			}
			switch e.Kind {
			case "document":
				compare(t, doc, r, e)
			case "upp", "upd":
				compareReceipt(t, r, e)
			}
		})
	}
	if n < 25 {
		t.Errorf("only %d samples", n)
	}
}

func compare(t *testing.T, doc []byte, r sekretariat.Reading, e expected) {
	if e.Encoding != "" && r.Headers["kodowanie"] != e.Encoding {
		t.Errorf("encoding %q, want %q", r.Headers["kodowanie"], e.Encoding)
	}
	if r.Subject != e.Subject || r.Form != e.Space || r.Headers["rodzaj"] != e.LetterKind {
		t.Errorf("subject %q, form %q, kind %q; want %q, %q, %q", r.Subject, r.Form, r.Headers["rodzaj"], e.Subject, e.Space, e.LetterKind)
	}
	if want := strings.Join(e.Body, "\n\n"); e.Body != nil && !strings.HasPrefix(r.Text, want) {
		t.Errorf("text %q, want %q", r.Text, want)
	}
	var senders []sekretariat.Party
	for _, p := range r.Senders {
		if p.Basis == "document" {
			senders = append(senders, p)
		}
	}
	if len(r.Senders) == 0 && r.Sender.Basis == "document" {
		senders = []sekretariat.Party{r.Sender}
	}
	if len(senders) != len(e.Senders) {
		t.Fatalf("%d senders, want %d", len(senders), len(e.Senders))
	}
	for i, s := range e.Senders {
		compareSender(t, senders[i], s)
	}
	if len(r.Parts) != len(e.Attachments) {
		t.Fatalf("%d attachments, want %d", len(r.Parts), len(e.Attachments))
	}
	for i, a := range e.Attachments {
		p := r.Parts[i]
		if p.Name != a.Name || a.Format != "" && p.Declared != a.Format || !p.Attachment {
			t.Errorf("attachment %d: %+v, want %+v", i, p, a)
		}
		if a.Coding == "URI" {
			_, id, _ := strings.Cut(a.URI, "fileId=")
			if p.Fate != "remote" || p.ContentID != id || !has(r, epuapdoc.FindingRemote, p.Path) || r.Outcome != sekretariat.ReadPartial {
				t.Errorf("attachment %d by link: %+v", i, p)
			}
			continue
		}
		if p.Size != a.Size || string(p.SHA256) != a.SHA256_hex || p.Fate != "listed" {
			t.Errorf("attachment %d: %d octets %s, want %d %s", i, p.Size, p.SHA256, a.Size, a.SHA256_hex)
		}
		if d := r.Headers["zalacznik."+p.Path+".opis"]; d != a.Description || p.Remark != a.Description {
			t.Errorf("attachment %d: description %q, want %q", i, d, a.Description)
		}
		sameOctets(t, doc, p)
	}
}

// sameOctets checks that OpenPart gives what the part lists.
func sameOctets(t *testing.T, doc []byte, p sekretariat.Part) {
	t.Helper()
	content, err := io.ReadAll(epuapdoc.OpenPart(bytes.NewReader(doc), p))
	if err != nil || sekretariat.DigestOf(content) != p.SHA256 || int64(len(content)) != p.Size {
		t.Errorf("OpenPart %s: %d octets, %v", p.Path, len(content), err)
	}
}

func compareSender(t *testing.T, p sekretariat.Party, s expectedSender) {
	t.Helper()
	name := s.Name
	if s.Kind == "person" {
		name = s.First + " " + s.Last
	}
	phone := ""
	if len(p.Phone) > 0 {
		phone = p.Phone[0]
	}
	if p.Name != name || p.Organisation != (s.Kind == "institution") || p.Email != s.Email || phone != s.Phone || p.Basis != "document" {
		t.Errorf("sender %+v, want %+v", p, s)
	}
	for id, want := range map[string]string{"PESEL": s.PESEL, "NIP": s.NIP, "REGON": s.REGON, "KRS": s.KRS} {
		if p.IDs[id] != want {
			t.Errorf("%s %q, want %q", id, p.IDs[id], want)
		}
	}
}

func compareReceipt(t *testing.T, r sekretariat.Reading, e expected) {
	if r.Auto != "receipt" || r.Headers["poswiadczenie.id"] != e.UPPID+e.UPDID || r.Headers["poswiadczenie.dokument"] != e.DocID || r.Reference != e.CaseID {
		t.Errorf("receipt %+v, want %+v", r.Headers, e)
	}
	typed := r.Sender
	for _, p := range r.Senders {
		if p.Basis == "document" {
			typed = p
		}
	}
	if !strings.Contains(r.Subject, e.UPPID+e.UPDID) || typed.IDs["ePUAP"] != "wkowalska" || has(r, epuapdoc.FindingConflict, "") {
		t.Errorf("subject %q, sender %+v", r.Subject, typed)
	}
}

func TestDetails(t *testing.T) {
	r := read(t, string(sample(t, "doc-4566-osoba-bez-podpisu.xml")), nil)
	want := sekretariat.Address{Postcode: "00-999", Town: "Przykładowo", Street: "Lipowa", Building: "7", Flat: "12"}
	if r.Sender.Address == nil || *r.Sender.Address != want {
		t.Errorf("address %+v", r.Sender.Address)
	}
	if r.Written != "2026-04-14" || r.Headers["cid"] != "a1b2c3d4e5@pfe" || len(r.Recipients) != 1 || !r.Recipients[0].Organisation {
		t.Errorf("written %q, cid %q, recipients %+v", r.Written, r.Headers["cid"], r.Recipients)
	}
	r = read(t, string(sample(t, "doc-4566-instytucja-sad.xml")), nil)
	if r.Sender.Name != "SĄD REJONOWY W PRZYKŁADOWIE" || r.Sender.Unit != "III Wydział Rodzinny i Nieletnich" {
		t.Errorf("unit of an institution: %q", r.Sender.Name)
	}
	if r.Parts[0].Type != "application/pdf" || r.Parts[2].Type != "image/png" {
		t.Errorf("types %s, %s", r.Parts[0].Type, r.Parts[2].Type)
	}
}

// TestAbout: an UPP names the letter that it is about by the platform's id.
func TestAbout(t *testing.T) {
	r := read(t, string(sample(t, "upp-podpisane.xml")), map[string]string{"identyfikatorDokumentu": "77000009"})
	if len(r.References) != 1 || r.References[0] != "77000001" || r.MessageID != "77000009" || r.Headers["poswiadczenie.epuap"] != "77000001" {
		t.Errorf("references %q, id %q", r.References, r.MessageID)
	}
}

// kowalska is what ePUAP says of an account.
func kowalska(more map[string]string) map[string]string {
	source := map[string]string{
		"danePodmiotu.identyfikator": "wkowalska", "danePodmiotu.typOsoby": "F", "danePodmiotu.imieSkrot": "WANDA",
		"danePodmiotu.nazwiskoNazwa": "KOWALSKA", "danePodmiotu.pesel": "02041517880", "daneNadawcy.uzytkownik": "wkowalska",
		"dataNadania": "2026-04-14T10:22:30.871+02:00", "nazwaPliku": "Pismo ogolne.xml",
	}
	for k, v := range more {
		source[k] = v
	}
	return source
}

func TestSenders(t *testing.T) {
	letter := string(sample(t, "doc-4566-osoba-bez-podpisu.xml"))
	anonymous := string(sample(t, "doc-4566-brak-nadawcy.xml"))

	r := read(t, letter, kowalska(nil))
	if r.Sender.Basis != "account" || r.Sender.Name != "Wanda Kowalska" || r.Sender.IDs["ePUAP"] != "wkowalska" || has(r, epuapdoc.FindingConflict, "") || len(r.Senders) != 2 || r.Senders[0].Name != "WANDA KOWALSKA" {
		t.Errorf("account and letter agree: %+v, %v", r.Sender, r.Findings)
	}
	if r.Sender.Address == nil || r.Sender.Email == "" {
		t.Errorf("the address of the letter is lost: %+v", r.Sender)
	}
	if r.Sent == nil || r.Sent.Format("15:04:05.000") != "08:22:30.871" {
		t.Errorf("sent %v", r.Sent)
	}

	r = read(t, letter, kowalska(map[string]string{"danePodmiotu.pesel": "05032214564", "danePodmiotu.imieSkrot": "Halina", "danePodmiotu.nazwiskoNazwa": "Zielińska"}))
	if !has(r, epuapdoc.FindingConflict, "") || r.Sender.Name != "Halina Zielińska" || len(r.Senders) != 2 || r.Senders[1].Name != "Wanda Kowalska" || r.Senders[1].Basis != "document" || r.Senders[0].Address != nil {
		t.Errorf("account and letter differ: %+v, %v", r.Senders, r.Findings)
	}

	r = read(t, letter, map[string]string{"danePodmiotu.identyfikator": "abc123"})
	if has(r, epuapdoc.FindingConflict, "") || r.Sender.Name != "Wanda Kowalska" || len(r.Senders) != 2 {
		t.Errorf("account without a name: %+v, %v", r.Senders, r.Findings)
	}

	r = read(t, anonymous, kowalska(nil))
	if r.Sender.Name != "WANDA KOWALSKA" || r.Sender.Basis != "account" || has(r, epuapdoc.FindingNoSender, "") {
		t.Errorf("sender from the account: %+v", r.Sender)
	}
	r = read(t, anonymous, nil)
	if !has(r, epuapdoc.FindingNoSender, "") || r.Sender.Name != "" {
		t.Errorf("no sender: %+v", r.Sender)
	}

	r = read(t, "<Dokument", kowalska(nil))
	if r.Outcome != sekretariat.ReadUnreadable || r.Sender.Name != "WANDA KOWALSKA" || r.Subject != "Pismo ogolne.xml" {
		t.Errorf("unreadable letter: %+v", r)
	}
	r = read(t, letter, map[string]string{"danePodmiotu.typOsoby": "P", "danePodmiotu.nazwiskoNazwa": "Kancelaria", "danePodmiotu.nip": "1112223332"})
	if !r.Sender.Organisation || r.Sender.Name != "Kancelaria" || r.Sender.IDs["NIP"] != "1112223332" || !has(r, epuapdoc.FindingConflict, "") {
		t.Errorf("institution's account: %+v", r.Sender)
	}
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func attachment(name, coding, content string) string {
	return fmt.Sprintf(`<Zalacznik nazwaPliku="%s" kodowanie="%s"><DaneZalacznika>%s</DaneZalacznika></Zalacznik>`, name, coding, content)
}

func letter(title, attachments string) string {
	return `<Dokument xmlns="urn:form"><TrescDokumentu><Tytul>` + title + `</Tytul><Informacje><Informacja>Treść</Informacja></Informacje><Zalaczniki>` + attachments + `</Zalaczniki></TrescDokumentu></Dokument>`
}

const envelopeSpace = "http://epuap.gov.pl/fe-model-web/wzor_lokalny/EPUAP-----/podpisanyPlik/"

func inEnvelope(name, content string) string {
	return `<x:Dokument xmlns:x="` + envelopeSpace + `"><x:TrescDokumentu><Zalaczniki>` + attachment(name, "base64", b64(content)) + `</Zalaczniki></x:TrescDokumentu></x:Dokument>`
}

// An attachment that is announced without content is told, and its neighbours
// are read all the same.
func TestAnnouncedAttachment(t *testing.T) {
	r := read(t, letter("x", `<Zalacznik nazwaPliku="umowa.pdf"><OpisZalacznika>umowa</OpisZalacznika></Zalacznik>`+attachment("a.pdf", "base64", b64("%PDF-1.4 x"))), nil)
	if len(r.Parts) != 1 || r.Parts[0].Name != "a.pdf" || r.Outcome != sekretariat.ReadPartial ||
		!slices.ContainsFunc(r.Findings, func(f sekretariat.Finding) bool {
			return f.Code == epuapdoc.FindingNoContent && f.Detail == "umowa.pdf"
		}) {
		t.Errorf("%+v", r)
	}
}

// TestEnvelope: a letter in an envelope in an envelope speaks for all.
func TestEnvelope(t *testing.T) {
	inner := letter("Wniosek wewnątrz", attachment("a.pdf", "base64", b64("%PDF-1.4 x"))+attachment("b", "URI", "12345"))
	doc := inEnvelope("koperta.xml", inEnvelope("pismo.xml", inner))
	r := read(t, doc, nil)
	if r.Form != envelopeSpace || r.Subject != "Wniosek wewnątrz" || r.Text != "Treść" {
		t.Errorf("form %q, subject %q, text %q", r.Form, r.Subject, r.Text)
	}
	want := map[string]string{"1": "opened", "1.1": "opened", "1.1.1": "listed", "1.1.2": "remote"}
	if len(r.Parts) != len(want) {
		t.Fatalf("parts %+v", r.Parts)
	}
	for _, p := range r.Parts {
		if want[p.Path] != p.Fate {
			t.Errorf("part %s: %s, want %s", p.Path, p.Fate, want[p.Path])
		}
		if p.Fate != "remote" {
			sameOctets(t, []byte(doc), p)
		}
	}
	if !has(r, epuapdoc.FindingRemote, "1.1.2") {
		t.Error("the remote attachment inside is not reported")
	}
}

// TestForwardedLetter: a letter attached to a letter is opened, but does not
// speak for it.
func TestForwardedLetter(t *testing.T) {
	doc := letter("Przekazanie", attachment("pismo.xml", "base64", b64(letter("Cudze pismo", "")))+attachment("inne.xml", "", b64("<faktura>Dokument</faktura>"))+attachment("zly.xml", "", b64("<Dokument>")))
	r := read(t, doc, nil)
	if r.Subject != "Przekazanie" || r.Parts[0].Fate != "opened" || r.Parts[0].Text != "Treść" {
		t.Errorf("subject %q, part %+v", r.Subject, r.Parts[0])
	}
	if r.Parts[1].Fate != "listed" || r.Parts[2].Fate != "listed" || r.Outcome != sekretariat.ReadOK {
		t.Errorf("other XML: %+v, %s", r.Parts[1:], r.Outcome)
	}
}

func TestAttachments(t *testing.T) {
	doc := letter("x",
		attachment(`C:\Pulpit\..\skan 1.pdf`, "base64", " JVBE\r\n Ri0x\t ")+
			attachment("bad", "base64", "to nie base64!")+
			attachment("", "BASE64", "<![CDATA[eA==]]>")+
			attachment("hex", "hex", "00ff")+
			attachment("evil", "URI", "http://169.254.169.254/latest?fileId=1")+
			attachment("evil2", "URI", "https://epuap.gov.pl.evil.example/x?fileId=1")+
			attachment("ok", "uri", " https://epuap.gov.pl/file-download-servlet/DownloadServlet?fileId=77 ")+
			attachment("x\u202egpj.exe", "base64", "TVo="))
	r := read(t, doc, nil)
	if len(r.Parts) != 8 {
		t.Fatalf("parts %+v", r.Parts)
	}
	for i, want := range []struct{ fate, name, finding string }{
		{"listed", "skan 1.pdf", ""},
		{"unreadable", "bad", epuapdoc.FindingBase64},
		{"listed", "zalacznik", epuapdoc.FindingNoName},
		{"unreadable", "hex", epuapdoc.FindingCoding},
		{"remote", "evil", epuapdoc.FindingRemoteOdd},
		{"remote", "evil2", epuapdoc.FindingRemoteOdd},
		{"remote", "ok", epuapdoc.FindingRemote},
		{"listed", "xgpj.exe", ""},
	} {
		p := r.Parts[i]
		if p.Fate != want.fate || p.SafeName != want.name || want.finding != "" && !has(r, want.finding, p.Path) {
			t.Errorf("part %d: %+v, want %+v; findings %v", i+1, p, want, r.Findings)
		}
		if p.Fate == "listed" {
			sameOctets(t, []byte(doc), p)
		}
	}
	if r.Parts[4].ContentID != "" || r.Parts[6].ContentID != "77" || r.Parts[7].Type != "application/x-msdownload" {
		t.Errorf("ids and types: %+v", r.Parts)
	}
	for _, path := range []string{"9", "0", "x", "", "1.1", "-1", "3.1.1"} {
		if _, err := io.ReadAll(epuapdoc.OpenPart(strings.NewReader(doc), sekretariat.Part{Path: path})); err == nil {
			t.Errorf("path %q opens something", path)
		}
	}
	if _, err := io.ReadAll(epuapdoc.OpenPart(strings.NewReader(doc), r.Parts[1])); err == nil {
		t.Error("a bad attachment opens without an error")
	}
}

func TestUnknownForm(t *testing.T) {
	doc := `<Dokument xmlns="http://crd.gov.pl/wzor/2030/01/01/9999/"><TrescDokumentu><DaneWniosku><ImieDziecka>Zofia</ImieDziecka><Uwagi>Pierwsza
 druga</Uwagi></DaneWniosku></TrescDokumentu></Dokument>`
	r := read(t, doc, map[string]string{"nazwaPliku": "wniosek.xml"})
	if r.Text != "ImieDziecka: Zofia\nUwagi: Pierwsza\ndruga" || r.Subject != "wniosek.xml" {
		t.Errorf("text %q, subject %q", r.Text, r.Subject)
	}
	r = read(t, `<faktura xmlns="urn:f"><kwota>10</kwota></faktura>`, nil)
	if !has(r, epuapdoc.FindingUnknown, "") || r.Text != "kwota: 10" || r.Form != "urn:f" {
		t.Errorf("not a Dokument: %+v", r)
	}
}

func TestSubject(t *testing.T) {
	for doc, want := range map[string]string{
		`<Dokument><TrescDokumentu><Tytul> Tytuł
 pisma </Tytul></TrescDokumentu><DaneDokumentu><Naglowek><NazwaDokumentu>Nazwa</NazwaDokumentu></Naglowek></DaneDokumentu></Dokument>`: "Tytuł pisma",
		`<Dokument><TrescDokumentu><Tytul> </Tytul></TrescDokumentu><DaneDokumentu><Naglowek><NazwaDokumentu>Nazwa</NazwaDokumentu></Naglowek></DaneDokumentu></Dokument>`: "Nazwa",
		`<Dokument><OpisDokumentu><OpisDokumentu>Wzór</OpisDokumentu></OpisDokumentu></Dokument>`:                                                                          "Wzór",
		`<Dokument/>`: "plik.xml",
	} {
		if r := read(t, doc, map[string]string{"nazwaPliku": "plik.xml"}); r.Subject != want {
			t.Errorf("%s: %q, want %q", doc, r.Subject, want)
		}
	}
	other := `<Dokument><TrescDokumentu><RodzajWnioskuRozszerzony rodzaj="inne pismo" jakisInny="Skarga"/></TrescDokumentu></Dokument>`
	if r := read(t, other, nil); r.Headers["rodzaj"] != "Skarga" {
		t.Errorf("misspelled attribute: %q", r.Headers["rodzaj"])
	}
}

// TestHostile: whatever comes, there is a bounded Reading.
func TestHostile(t *testing.T) {
	for name, doc := range map[string]string{
		"empty":            "",
		"pdf":              "%PDF-1.4",
		"deep":             strings.Repeat("<a>", 100_000),
		"many elements":    "<Dokument>" + strings.Repeat("<a/>", 300_000) + "</Dokument>",
		"long text":        "<Dokument><TrescDokumentu><x>" + strings.Repeat("ż", 9<<20) + "</x></TrescDokumentu></Dokument>",
		"many attachments": letter("x", strings.Repeat(attachment("a", "base64", "!"), 3000)),
		"many senders":     "<Dokument><Nadawcy>" + strings.Repeat("<Podmiot><Osoba><Imie>A</Imie></Osoba></Podmiot>", 3000) + "</Nadawcy></Dokument>",
		"many signatures":  "<Dokument>" + strings.Repeat(`<s:Signature xmlns:s="http://www.w3.org/2000/09/xmldsig#"/>`, 3000) + "</Dokument>",
	} {
		r := read(t, doc, nil)
		if len(r.Findings) == 0 && len(r.Senders) != 100 || len(r.Findings) > sekretariat.MaxFindings || len(r.Parts) > sekretariat.MaxParts || len(r.Text) > sekretariat.MaxText {
			t.Errorf("%s: %d findings, %d parts, %d octets of text", name, len(r.Findings), len(r.Parts), len(r.Text))
		}
	}
	long := read(t, "<Dokument><TrescDokumentu><x>"+strings.Repeat("ż ", 300_000)+"</x></TrescDokumentu></Dokument>", nil)
	if !has(long, epuapdoc.FindingTextCut, "") || long.Outcome != sekretariat.ReadPartial {
		t.Errorf("long text: %s, %v", long.Outcome, long.Findings)
	}
	nested := letter("0", "")
	for range 8 {
		nested = letter("x", attachment("n.xml", "base64", b64(nested)))
	}
	if r := read(t, nested, nil); len(r.Parts) > 4 {
		t.Errorf("%d levels were opened", len(r.Parts))
	}
}

// big is a letter with one large attachment that is made while it is read.
type big struct{ head, tail string }

const bigSize = 24 << 20

func (b big) Size() int64 { return int64(len(b.head)) + bigSize + int64(len(b.tail)) }

func (b big) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) && off < b.Size() {
		switch {
		case off < int64(len(b.head)):
			p[n] = b.head[off]
		case off < int64(len(b.head))+bigSize:
			p[n] = 'A'
		default:
			p[n] = b.tail[off-int64(len(b.head))-bigSize]
		}
		n, off = n+1, off+1
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// wholeSignature covers a whole document, and is wrong.
const wholeSignature = `<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:SignedInfo><ds:CanonicalizationMethod Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/>` +
	`<ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"/><ds:Reference URI=""><ds:Transforms><ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/></ds:Transforms>` +
	`<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><ds:DigestValue>AAAA</ds:DigestValue></ds:Reference></ds:SignedInfo><ds:SignatureValue>AAAA</ds:SignatureValue></ds:Signature>`

// TestSpellings: what programs write otherwise than the official stylesheets
// do.
func TestSpellings(t *testing.T) {
	const blocks = ` xmlns:str="http://crd.gov.pl/xml/schematy/struktura/2009/11/16/" xmlns:adr="http://crd.gov.pl/xml/schematy/adres/2009/11/09/"`
	doc := `<Dokument xmlns="urn:form"` + blocks + `><DaneDokumentu><Nadawcy><Podmiot><Osoba><Imie>Jan</Imie><Kontakt><adr:Email/><adr:Email>jan@example.pl</adr:Email></Kontakt></Osoba></Podmiot></Nadawcy></DaneDokumentu>` +
		`<TrescDokumentu><str:Zalaczniki><str:Zalacznik str:nazwaPliku="a.pdf" str:format="application/pdf" str:kodowanie="base64"><str:DaneZalacznika>` + b64("%PDF-1.4") + `</str:DaneZalacznika></str:Zalacznik>` +
		attachment("b.pdf", "URI", "https://ePUAP.gov.pl/file-download-servlet/DownloadServlet?FILEID=77") + attachment("c.pdf", "URI", "https://epuap.gov.pl/x?fileId=1&amp;FileId=2") + `</str:Zalaczniki></TrescDokumentu></Dokument>`
	r := read(t, doc, nil)
	if r.Sender.Email != "jan@example.pl" || len(r.Parts) != 3 {
		t.Fatalf("%+v", r)
	}
	if p := r.Parts[0]; p.Name != "a.pdf" || p.Declared != "application/pdf" || p.Size != 8 {
		t.Errorf("%+v", p)
	}
	if r.Parts[1].ContentID != "77" || r.Parts[2].ContentID != "" {
		t.Errorf("ids %q, %q", r.Parts[1].ContentID, r.Parts[2].ContentID)
	}
	const upo = `<Dokument xmlns="http://crd.gov.pl/xml/schematy/UPO/2014/01/01/"><UPO><IdentyfikatorPoswiadczenia>X1</IdentyfikatorPoswiadczenia><Nadawca><Nazwa>Jan</Nazwa></Nadawca></UPO></Dokument>`
	if r := read(t, upo, nil); r.Auto != "receipt" || r.Headers["poswiadczenie"] != "UPO" || r.Sender.Name != "Jan" {
		t.Errorf("%+v", r)
	}
}

// TestNothingFromSignatures: what stands in a signature is not signed by it, so
// nothing of the letter may be taken from there.
func TestNothingFromSignatures(t *testing.T) {
	hidden := `<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:Object><TrescDokumentu xmlns=""><Tytul>Podstawiony</Tytul><Nadawcy><Podmiot><Osoba><Imie>X</Imie></Osoba></Podmiot></Nadawcy>` +
		`<Zalaczniki>` + attachment("podstawiony.pdf", "base64", b64("%PDF-1.4 zly")) + `</Zalaczniki></TrescDokumentu></ds:Object></ds:Signature>`
	doc := `<Dokument>` + hidden + `<TrescDokumentu><Zalaczniki>` + attachment("prawdziwy.pdf", "base64", b64("%PDF-1.4 dobry")) + `</Zalaczniki></TrescDokumentu></Dokument>`
	r := read(t, doc, nil)
	if r.Subject != "" || r.Sender.Name != "" || len(r.Parts) != 1 || r.Parts[0].Name != "prawdziwy.pdf" || strings.Contains(r.Text, "Podstawiony") {
		t.Errorf("%+v", r)
	}
	sameOctets(t, []byte(doc), r.Parts[0])
}

// BenchmarkRead reads and verifies a signed letter of 8 KB.
func BenchmarkRead(b *testing.B) {
	doc := sample(b, "doc-4566-podpis-pz.xml")
	o := epuapdoc.Options{Trust: trusted(b), At: time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC)}
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		r, err := epuapdoc.Read(context.Background(), bytes.NewReader(doc), o)
		if err != nil || r.Signatures[0].Verdict != "valid" {
			b.Fatal(err, r.Signatures)
		}
	}
}

// TestMemory: a large attachment costs no memory.
func TestMemory(t *testing.T) {
	// With a signature it is read a second time, to check it.
	signed := strings.Replace(letter("Duże", attachment("duzy.bin", "base64", "@")), "</Dokument>", wholeSignature+"</Dokument>", 1)
	head, tail, _ := strings.Cut(signed, "@")
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	r, err := epuapdoc.Read(context.Background(), big{head, tail}, epuapdoc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if r.Subject != "Duże" || len(r.Parts) != 1 || r.Parts[0].Size != bigSize/4*3 {
		t.Fatalf("%+v", r)
	}
	if len(r.Signatures) != 1 || r.Signatures[0].Reason != "certificate" || !r.Signatures[0].Covers {
		t.Errorf("signature %+v", r.Signatures)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20 {
		t.Errorf("%d MiB were allocated", used>>20)
	}
}

type broken struct{ *bytes.Reader }

var errDisk = errors.New("disk gone")

func (b broken) ReadAt([]byte, int64) (int, error) { return 0, errDisk }

func TestErrors(t *testing.T) {
	if _, err := epuapdoc.Read(context.Background(), broken{bytes.NewReader([]byte("<a/>"))}, epuapdoc.Options{}); !errors.Is(err, errDisk) {
		t.Errorf("error of the body: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := epuapdoc.Read(ctx, strings.NewReader("<a/>"), epuapdoc.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(letter("x", attachment("a", "base64", b64(letter("y", attachment("b", "URI", "1")))))))
	f.Add([]byte(inEnvelope("a.xml", letter("x", ""))))
	if files, _ := filepath.Glob(filepath.Join(os.Getenv("SEKRETARIAT_TESTDATA"), "epuap", "*.xml")); len(files) > 0 {
		for _, name := range files {
			if doc, err := os.ReadFile(name); err == nil {
				f.Add(doc)
			}
		}
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		r, err := epuapdoc.Read(context.Background(), bytes.NewReader(doc), epuapdoc.Options{Source: kowalska(nil)})
		if err != nil {
			t.Fatal(err)
		}
		if r.Outcome == "" || r.Reader == "" || len(r.Text) > sekretariat.MaxText || len(r.Parts) > sekretariat.MaxParts {
			t.Fatalf("not a proper reading: %+v", r)
		}
		for _, p := range r.Parts {
			if p.Fate == "listed" || p.Fate == "opened" {
				sameOctets(t, doc, p)
			}
		}
	})
}
