package epuaptest

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"strings"
	"time"

	"sekretariat"
	"sekretariat/extract/xmlsec"
)

// element is the Body's element, with the prefix that the platform uses.
func element(name, content string) string {
	return fmt.Sprintf(`<p140:%s xmlns:p140="%s">%s</p140:%s>`, name, spaceObjects, content, name)
}

func status(kod int, text string) string {
	return fmt.Sprintf(`<status><kod>%d</kod><komunikat>%s</komunikat></status>`, kod, escape(text))
}

func (e Empty) answer() string {
	switch e {
	case EmptyBody:
		return ""
	case EmptyElements:
		return element("OdpowiedzPullPobierz", status(0, "Brak dokumentów")+
			`<danePodmiotu/><daneNadawcy/><dataNadania/><nazwaSkrytki/><adresSkrytki/>`+
			`<adresOdpowiedzi xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:nil="true"/><czyTestowe>false</czyTestowe><daneDodatkowe/>`+
			`<dokument><nazwaPliku/><zawartosc/></dokument>`)
	}
	return element("OdpowiedzPullPobierz", status(0, "Brak dokumentów"))
}

// letter is the answer with one document (OdpowiedzPullPobierzTyp).
func letter(b *box, d Document, f Fault) string {
	var s strings.Builder
	s.WriteString(status(1, "OK"))
	kind := d.Sender.Kind
	if kind == "" {
		kind = "F"
	}
	s.WriteString("<danePodmiotu>")
	leaf(&s, "identyfikator", d.Sender.ID)
	leaf(&s, "typOsoby", kind)
	for _, o := range [][2]string{{"imieSkrot", d.Sender.FirstName}, {"nazwiskoNazwa", d.Sender.Name}, {"nip", d.Sender.NIP}, {"pesel", d.Sender.PESEL}, {"regon", d.Sender.REGON}} {
		if o[1] != "" {
			leaf(&s, o[0], o[1])
		}
	}
	s.WriteString("<zgoda>true</zgoda></danePodmiotu><daneNadawcy>")
	leaf(&s, "uzytkownik", d.User)
	s.WriteString("</daneNadawcy>")
	leaf(&s, "dataNadania", d.Sent.In(sekretariat.Warsaw()).Format("2006-01-02T15:04:05.000-07:00"))
	leaf(&s, "nazwaSkrytki", b.Name)
	leaf(&s, "adresSkrytki", b.Address)
	leaf(&s, "adresOdpowiedzi", d.ReplyTo)
	leaf(&s, "czyTestowe", fmt.Sprint(d.Test))
	extra := `<?xml version="1.0" encoding="UTF-8"?><DaneDodatkowe><IdentyfikatorDokumentu>` + escape(d.ID) + `</IdentyfikatorDokumentu></DaneDodatkowe>`
	leaf(&s, "daneDodatkowe", base64.StdEncoding.EncodeToString([]byte(extra)))
	s.WriteString("<dokument>")
	leaf(&s, "nazwaPliku", or(d.FileName, "pismo.xml"))
	leaf(&s, "typPliku", or(d.FileType, "application/xml"))
	content := or(d.Base64, base64.StdEncoding.EncodeToString(d.Content))
	if f.BadBase64 {
		content = content[:len(content)/2] + "!" + content[len(content)/2:]
	}
	leaf(&s, "zawartosc", content)
	s.WriteString("</dokument>")
	return s.String()
}

func leaf(s *strings.Builder, name, value string) {
	s.WriteString("<" + name + ">" + escape(value) + "</" + name + ">")
}

func or(v, def string) string {
	if v == "" {
		return def
	}
	return v
}

func escape(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a Buffer takes everything
	return b.String()
}

// envelope wraps an answer as the platform is told to sign.
func (p *Platform) envelope(content string, now time.Time) ([]byte, error) {
	p.mu.Lock()
	signing := p.o.Signing
	p.mu.Unlock()
	switch signing {
	case Unsigned:
		return plain(content), nil
	case OtherSigned:
		return p.keys.other.Message([]byte(content), now, tolerance)
	}
	msg, err := p.keys.signer.Message([]byte(content), now, tolerance)
	if err == nil && signing == WrongSigned {
		msg = bytes.Replace(msg, []byte("</soapenv:Body>"), []byte(" </soapenv:Body>"), 1)
	}
	return msg, err
}

// plain is an envelope without a signature, as the platform writes it.
func plain(content string) []byte {
	return []byte(`<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
		`<soapenv:Envelope xmlns:soapenc="http://schemas.xmlsoap.org/soap/encoding/" xmlns:soapenv="` + xmlsec.SpaceSOAP +
		`" xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Header/><soapenv:Body>` +
		content + `</soapenv:Body></soapenv:Envelope>`)
}

func soapFault(code, text, detail string) string {
	if detail != "" {
		detail = "<detail>" + detail + "</detail>"
	}
	return fmt.Sprintf(`<soapenv:Fault xmlns:wsse="%s" xmlns:wsu="%s"><faultcode>%s</faultcode><faultstring>%s</faultstring>%s</soapenv:Fault>`,
		xmlsec.SpaceWSSE, xmlsec.SpaceWSU, code, escape(text), detail)
}
