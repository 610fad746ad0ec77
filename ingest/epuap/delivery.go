package epuap

import (
	"encoding/hex"
	"strings"
	"time"

	"sekretariat"
)

// The keys of Manifest.Source beside those of the service's own fields, which
// keep their names (danePodmiotu.identyfikator, nazwaPliku, adresOdpowiedzi …).
const (
	sourceID        = "identyfikatorDokumentu" // last one in daneDodatkowe
	sourceDate      = "http.date"
	sourceSignature = "odpowiedz.podpis"     // see the signed… constants
	sourceSigner    = "odpowiedz.certyfikat" // SHA-256 of the signer's certificate
)

// The notes about letters that could not be taken in, for a clerk.
const (
	noteDamaged = "Pismo w skrzynce ePUAP jest uszkodzone: jego treści nie można odczytać (nie jest poprawnym base64). Zostało na platformie ePUAP i wstrzymuje następne pisma w tej skrzynce. Proszę otworzyć je na portalu ePUAP, zarejestrować ręcznie i zgłosić sprawę w pomocy technicznej ePUAP."
	noteTooLong = "Pismo w skrzynce ePUAP przekracza dopuszczalny rozmiar i nie zostało pobrane. Zostało na platformie ePUAP i wstrzymuje następne pisma w tej skrzynce. Proszę pobrać je na portalu ePUAP i zarejestrować ręcznie; administrator może zwiększyć limit."
	noteEmpty   = "Platforma ePUAP przekazała pismo bez żadnej treści. Proszę sprawdzić na portalu ePUAP, czy nadawca wysłał dokument, i w razie potrzeby skontaktować się z nim."
)

// note completes a note with what a clerk needs to find the letter.
func (c *link) note(text string, r *reply) string {
	var b strings.Builder
	b.WriteString(text)
	for _, line := range [][2]string{
		{"Skrytka", c.o.Account.Address}, {"Data nadania", r.fields["dataNadania"]}, {"Identyfikator ePUAP", documentID(r.fields[pathExtra])},
		{"Nazwa pliku", r.fields["dokument.nazwaPliku"]}, {"Nadawca", r.fields["danePodmiotu.imieSkrot"] + " " + r.fields["danePodmiotu.nazwiskoNazwa"]},
	} {
		if value := strings.Join(strings.Fields(line[1]), " "); value != "" {
			b.WriteString("\n" + line[0] + ": " + value[:min(len(value), 500)])
		}
	}
	return strings.ToValidUTF8(b.String(), "")
}

// identity are the fields that make a letter the same letter, whatever way it
// comes (design §6): box, digest of the document, time of sending, platform's
// id.
func (c *link) identity(r *reply, digest sekretariat.Digest) []string {
	return []string{c.o.Account.Address, string(digest), instant(r.fields["dataNadania"]), documentID(r.fields[pathExtra])}
}

// key names the letter at the head of the queue within this process.
func (c *link) key(r *reply) string {
	digest := hexDigest(r.content.sha256)
	if r.cut || r.content.bad != nil {
		digest = "" // of a piece only
	}
	return strings.Join(c.identity(r, digest), "\x00")
}

// delivery says of a letter what the platform said of it.
func (c *link) delivery(r *reply) sekretariat.Delivery {
	a := c.o.Account
	d := sekretariat.Delivery{
		Centre: c.o.Centre, Kind: sekretariat.KindEPUAP, Door: sekretariat.DoorEPUAPPull, Account: a.ID,
		Unit: a.Unit, Department: a.Department, Series: a.Series,
		Test:   r.fields["czyTestowe"] == "true" || r.fields["czyTestowe"] == "1",
		Source: c.source(r), MediaType: mediaType(r.fields["dokument.typPliku"]),
		// Without a time of sending the day is that of the first sight of it
		// on the platform's server.
		Arrived: sekretariat.Arrival{At: c.o.Clock(), Basis: sekretariat.BasisServerArrival},
	}
	d.Identity = func(f sekretariat.BodyFacts) []string {
		if r.cut || r.content.bad != nil || r.content.size == 0 {
			return c.identity(r, "") // the body is a note
		}
		return c.identity(r, f.SHA256)
	}
	if t, ok := sentAt(r.fields["dataNadania"]); ok {
		d.Sent, d.Arrived = t, sekretariat.Arrival{At: t, Basis: sekretariat.BasisSent}
	}
	return d
}

// source lists everything that the answer said beside the document.
func (c *link) source(r *reply) map[string]string {
	s := map[string]string{}
	for path, value := range r.fields {
		if value == "" || strings.HasPrefix(path, "status.") {
			continue
		}
		value = value[:min(len(value), maxField)]
		s[strings.TrimPrefix(path, "dokument.")] = value
	}
	for key, value := range map[string]string{
		sourceID: documentID(r.fields[pathExtra]), sourceDate: r.date,
		sourceSignature: c.verdict(r.security), sourceSigner: signerDigest(r.security),
	} {
		if value != "" {
			s[key] = value
		}
	}
	return s
}

// mediaType maps the spellings of typPliku that were seen; everything else is
// left to the reader.
func mediaType(declared string) string {
	switch strings.ToLower(declared) {
	case "application/xml", "text/xml", "xml":
		return "application/xml"
	}
	return ""
}

// sentAt reads an xsd:dateTime; without a zone it is Polish time.
func sentAt(s string) (time.Time, bool) {
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t.UTC(), true
	}
	if t, err := time.ParseInLocation("2006-01-02T15:04:05.999999999", s, sekretariat.Warsaw()); err == nil {
		return t.UTC(), true
	}
	return time.Time{}, false
}

// instant is the form of a time in an identity: UTC with milliseconds, which
// is what an emergency download carries too.
func instant(s string) string {
	if t, ok := sentAt(s); ok {
		return t.Format("2006-01-02T15:04:05.000Z")
	}
	return s
}

func hexDigest(sum []byte) sekretariat.Digest { return sekretariat.Digest(hex.EncodeToString(sum)) }
