package mail

import (
	"strings"
	"testing"

	"sekretariat"
)

// PGP is shown for what it is: signatures say that nobody checked them, and
// what is encrypted says so, wherever in a mail it stands.
func TestPGPIsShown(t *testing.T) {
	const signature = "-----BEGIN PGP SIGNATURE-----\r\n\r\niQEz\r\n-----END PGP SIGNATURE-----\r\n"
	attachment := func(name, content string) string {
		return "--b\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=\"" + name + "\"\r\n\r\n" + content + "\r\n"
	}
	for name, c := range map[string]struct {
		mail            string
		signed, secrets int
	}{
		"beside the content": {"Content-Type: multipart/signed; protocol=\"application/pgp-signature\"; boundary=b\r\n\r\n--b\r\n\r\nPismo.\r\n--b\r\n" +
			"Content-Type: application/pgp-signature; name=signature.asc\r\n\r\n" + signature + "--b--\r\n", 1, 0},
		"around the text":  {"\r\n-----BEGIN PGP SIGNED MESSAGE-----\r\nHash: SHA256\r\n\r\nPismo.\r\n" + signature, 1, 0},
		"as a file":        {"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + attachment("a.pdf", "%PDF-1.4") + attachment("a.pdf.asc", signature) + "--b--\r\n", 1, 0},
		"encrypted files":  {"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + attachment("a.pdf.gpg", "\x85\x01\x0c\x03") + attachment("b.asc", "-----BEGIN PGP MESSAGE-----\r\n") + "--b--\r\n", 0, 2},
		"encrypted":        {"Content-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\"; boundary=b\r\n\r\n--b\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n--b\r\nContent-Type: application/octet-stream; name=encrypted.asc\r\n\r\n-----BEGIN PGP MESSAGE-----\r\n\r\nx\r\n--b--\r\n", 0, 1},
		"encrypted inside": {"\r\n-----BEGIN PGP MESSAGE-----\r\n\r\nx\r\n-----END PGP MESSAGE-----\r\n", 0, 1},
	} {
		r, _ := mustRead(t, octets("From: a@b.example\r\nSubject: x\r\nMIME-Version: 1.0\r\n"+c.mail))
		signed, secrets := 0, 0
		for _, s := range r.Signatures {
			if s.Type == "pgp" && s.Verdict == sekretariat.VerdictUnchecked && strings.Contains(s.Text, "nie sprawdzono") {
				signed++
			}
		}
		for _, f := range r.Findings {
			if f.Code == FindingPGPEncrypted {
				secrets++
			}
		}
		if signed != c.signed || secrets < c.secrets || c.secrets == 0 && secrets > 0 {
			t.Errorf("%s: %d signatures shown, %d secrets; want %d, %d\n%+v", name, signed, secrets, c.signed, c.secrets, r)
		}
	}
}
