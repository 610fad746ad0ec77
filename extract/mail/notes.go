package mail

import (
	"bytes"
	"slices"
	"strings"

	"sekretariat"
)

// fateSecret is the fate of a part that only somebody's key opens.
const fateSecret = "secret"

// notePart notes what kind of part asks for a finding.
func (r *reader) notePart(p *sekretariat.Part, head []byte, e *entity) {
	switch {
	case p.Type == typeTNEF || p.Declared == typeTNEF:
		r.find(FindingTNEF, p.Path, "")
	case e.ctype == typeCMS || e.ctype == "application/x-pkcs7-mime":
		r.noteSMIME(p, head, e)
	case p.Type == "application/pgp-encrypted" && p.Attachment:
		r.find(FindingPGPEncrypted, p.Path, "")
		p.Fate = fateSecret
	}
	if p.Type == "application/pgp-signature" && p.Attachment {
		r.sign(p.Path, "pgp")
	}
	if declared := e.ctype; differs(declared, p.Type) {
		r.find(FindingTypeDiffers, p.Path, declared+" → "+p.Type)
	}
}

// The object identifiers of CMS content types (RFC 5652 §§5.1, 6.1), DER.
var (
	oidSigned    = []byte("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02")
	oidEnveloped = []byte("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03")
)

// noteSMIME notes encrypted S/MIME, by content first. Signed mail is told by
// its signature once it is opened.
func (r *reader) noteSMIME(p *sekretariat.Part, head []byte, e *entity) {
	head = head[:min(len(head), 40)]
	enveloped := bytes.Contains(head, oidEnveloped) || e.smime == "enveloped-data" || e.smime == "authenveloped-data"
	if enveloped && !bytes.Contains(head, oidSigned) {
		r.find(FindingSMIMEEncrypted, p.Path, "")
		p.Fate = fateSecret
	}
}

func (r *reader) sign(part, typ string) {
	const most = 100
	text := map[string]string{"pgp": "podpis PGP: nie sprawdzono", "smime": "podpis S/MIME: nie sprawdzono"}[typ]
	if len(r.out.Signatures) < most {
		r.out.Signatures = append(r.out.Signatures, sekretariat.Signature{Part: part, Type: typ, Verdict: sekretariat.VerdictUnchecked, Text: text})
	}
}

// signed lists what the signatures of a part or a multipart say, in place of
// what was listed of it before.
func (r *reader) signed(path string, all []sekretariat.Signature) {
	r.out.Signatures = slices.DeleteFunc(r.out.Signatures, func(s sekretariat.Signature) bool { return s.Part == path && s.Signer == nil })
	const most = 100
	for _, s := range all {
		s.Text = signatureText(s)
		if len(r.out.Signatures) < most {
			r.out.Signatures = append(r.out.Signatures, s)
		}
		if s.Verdict == sekretariat.VerdictBroken {
			r.find(FindingSignatureInvalid, path, "")
		}
	}
}

// signatureText says in Polish what a signature of a mail is worth.
func signatureText(s sekretariat.Signature) string {
	name := "nie podano, kto podpisał"
	if s.Signer != nil {
		name = strings.TrimSpace(s.Signer.Name + " " + s.Signer.Email)
	}
	switch s.Verdict {
	case sekretariat.VerdictIntact:
		text := "podpis S/MIME: " + name + "; treści nie zmieniono, certyfikatu nie porównano z listą zaufanych"
		if s.Issuer != "" {
			text += " (wystawca: " + s.Issuer + ")"
		}
		return text
	case sekretariat.VerdictBroken:
		return "podpis S/MIME – NIEWAŻNY: treść zmieniono po podpisaniu albo uszkodzono; jako podpisujący podany: " + name
	}
	return "podpis S/MIME, nie dało się go sprawdzić; jako podpisujący podany: " + name
}

// noteSecure notes signed and encrypted multiparts (RFC 1847). A signature is
// listed under the path of its multipart.
func (r *reader) noteSecure(sub string, e entity) {
	pgp := strings.Contains(e.protocol, "pgp")
	switch {
	case sub == "signed" && pgp:
		r.sign(e.path, "pgp")
	case sub == "signed":
		r.sign(e.path, "smime")
	case sub == "encrypted" && pgp:
		r.find(FindingPGPEncrypted, e.path, "")
	case sub == "encrypted":
		r.find(FindingSMIMEEncrypted, e.path, "")
	}
}

// notePGP notes PGP armour inside text.
func (r *reader) notePGP(text, path string) {
	if strings.Contains(text, "-----BEGIN PGP SIGNED MESSAGE-----") {
		r.sign(path, "pgp")
	}
	if strings.Contains(text, "-----BEGIN PGP MESSAGE-----") {
		r.find(FindingPGPEncrypted, path, "")
	}
}

func (r *reader) noteMessageType(sub, path string) {
	switch sub {
	case "partial":
		r.find(FindingPartialMessage, path, "")
	case "external-body":
		r.find(FindingExternalBody, path, "")
	}
}

// differs tells whether a declared type and the content disagree in a way
// that matters: a PDF called a picture, a program called anything.
func differs(declared, content string) bool {
	switch declared {
	case "application/octet-stream", "application/force-download", "application/x-download", "application/download",
		"application/unknown", "application/x-pdf", "application/acrobat", "binary/octet-stream":
		return content == "application/x-msdownload" || content == "application/x-executable"
	}
	switch content {
	case declared, "text/plain", "text/html", "application/xml", "application/octet-stream":
		return false
	case "application/pdf", "application/x-msdownload", "application/x-executable":
		return true
	}
	d, _, _ := strings.Cut(declared, "/")
	c, _, _ := strings.Cut(content, "/")
	return d != c
}
