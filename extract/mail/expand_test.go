package mail

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sekretariat"
	"sekretariat/extract/mapi"
	"sekretariat/extract/msg/msgtest"
	"sekretariat/extract/tnef/tneftest"
)

// attached makes a mail with a text and one file.
func attached(text, head string, data []byte) octets {
	return octets(crlfs("\nFrom: a@b.example\nSubject: Pismo\nDate: Mon, 4 May 2026 10:00:00 +0200\nMessage-ID: <1@b.example>\nContent-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: text/plain; charset=utf-8\n\n"+
		text+"\n--x\n"+head+"Content-Transfer-Encoding: base64\n\n") + b64(data) + "--x--\r\n")
}

func winmail() []byte {
	inner := tneftest.New()
	inner.Attach("g.txt", "głęboki.txt", []byte("głęboko"))
	b := tneftest.New()
	b.Attribute(1, 0x00069003, tneftest.Props(tneftest.Prop(mapi.Body, mapi.TypeUnicode, tneftest.Wide("Treść z Outlooka."))))
	b.Attach("PODANI~1.PDF", "Podanie – żłobek.pdf", []byte("%PDF-1.4 podanie"))
	b.Attribute(2, 0x00069002, make([]byte, 14))
	b.Attribute(2, 0x00069005, tneftest.Props(
		tneftest.Prop(mapi.AttachData, mapi.TypeObject, append([]byte("\x07\x03\x02\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x46"), inner.Bytes()...)),
		tneftest.Prop(mapi.DisplayName, mapi.TypeUnicode, tneftest.Wide("Przekazana")),
	))
	b.Attach("list.eml", "list.eml", []byte("From: ewa@poczta.example\r\nSubject: Stary list\r\n\r\nDawna treść.\r\n"))
	return b.Bytes()
}

func TestWinmail(t *testing.T) {
	head := "Content-Type: application/ms-tnef; name=winmail.dat\n"
	body := attached("", head, winmail())
	r, _ := mustRead(t, body)
	if r.Text != "Treść z Outlooka." || !has(r, FindingTNEF) || r.Outcome != sekretariat.ReadOK {
		t.Errorf("text %q, %v, %s", r.Text, r.Findings, r.Outcome)
	}
	for path, want := range map[string]struct{ name, typ, fate, content string }{
		"2.1":   {"Podanie – żłobek.pdf", "application/pdf", "listed", "%PDF-1.4 podanie"},
		"2.2":   {"Przekazana", "application/ms-tnef", "opened", ""},
		"2.2.1": {"głęboki.txt", "text/plain", "listed", "głęboko"},
		"2.3":   {"list.eml", "message/rfc822", "opened", ""},
		"2.3.1": {"", "text/plain", "read", "Dawna treść.\r\n"},
	} {
		p := part(t, r, path)
		if p.Name != want.name || p.Type != want.typ || p.Fate != want.fate || want.content != "" && content(t, body, p) != want.content {
			t.Errorf("%s: %+v", path, p)
		}
	}
	if r, _ := mustRead(t, attached("Tekst listu.", head, winmail())); r.Text != "Tekst listu." {
		t.Errorf("text %q", r.Text)
	}
	if r, _ := mustRead(t, attached("x", head, winmail()[:150])); !has(r, FindingTNEFBroken) || r.Outcome != sekretariat.ReadPartial {
		t.Errorf("cut off: %v, %s", r.Findings, r.Outcome)
	}
}

func outlookMessage() []byte {
	inner := &msgtest.Message{
		Props:       msgtest.Props{mapi.Subject: "Wewnętrzna", mapi.Body: "W środku.", mapi.SenderName: "Ewa", mapi.SenderSMTP: "ewa@poczta.example"},
		Attachments: []msgtest.Attachment{{Props: msgtest.Props{mapi.AttachLongName: "głęboki.txt"}, Data: []byte("głęboko")}},
	}
	return msgtest.Bytes(&msgtest.Message{
		Props: msgtest.Props{
			mapi.Subject: "Wniosek", mapi.Body: "Proszę o zasiłek.\r\n", mapi.HTML: []byte("<p>Proszę o zasiłek.</p>"), mapi.InternetCodepage: 65001,
			mapi.SenderName: `Jan "Jaś" Nowak`, mapi.SenderEmail: "/O=EX/CN=JAN", mapi.SenderSMTP: "jan@poczta.example", mapi.MessageID: "<m1@poczta.example>",
			mapi.References: "<stary@mops.example>", mapi.SubmitTime: uint64(132_500_000_000_000_000),
		},
		Recipients: []msgtest.Props{
			{mapi.DisplayName: "Sekretariat", mapi.SMTPAddress: "sekretariat@mops.example", mapi.RecipientType: 1},
			{mapi.DisplayName: "Ukryty", mapi.SMTPAddress: "ukryty@mops.example", mapi.RecipientType: 3},
		},
		Attachments: []msgtest.Attachment{
			{Props: msgtest.Props{mapi.AttachLongName: "skan.pdf", mapi.AttachMIME: "application/pdf"}, Data: []byte("%PDF-1.4 skan")},
			{Props: msgtest.Props{mapi.DisplayName: "Wewnętrzna"}, Message: inner},
			{Props: msgtest.Props{mapi.AttachLongName: "winmail.dat"}, Data: winmail()},
		},
	})
}

// TestOutlookFile: a .msg that is the letter itself.
func TestOutlookFile(t *testing.T) {
	body := octets(outlookMessage())
	r, err := ReadOutlook(context.Background(), body, Options{})
	if err != nil {
		t.Fatal(err)
	}
	checkWrapped(t, body, r)
	if r.Subject != "Wniosek" || r.Text != "Proszę o zasiłek." || r.Sender.Name != "Jan 'Jaś' Nowak" || r.Sender.Email != "jan@poczta.example" ||
		r.MessageID != "m1@poczta.example" || len(r.References) != 1 || r.Sent == nil || r.Sent.Year() != 2020 || r.Outcome != sekretariat.ReadOK {
		t.Errorf("%+v", r)
	}
	if len(r.Recipients) != 1 || r.Recipients[0].Email != "sekretariat@mops.example" {
		t.Errorf("recipients %+v", r.Recipients)
	}
	for path, want := range map[string]struct{ name, typ, fate, content string }{
		"1":     {"", "text/plain", "text", ""},
		"2":     {"", "text/html", "text", "<p>Proszę o zasiłek.</p>"},
		"3":     {"skan.pdf", "application/pdf", "listed", "%PDF-1.4 skan"},
		"4":     {"Wewnętrzna", TypeOutlook, "opened", ""},
		"4.1":   {"", "text/plain", "read", ""},
		"4.2":   {"głęboki.txt", "text/plain", "listed", "głęboko"},
		"5":     {"winmail.dat", "application/ms-tnef", "opened", ""},
		"5.1":   {"Podanie – żłobek.pdf", "application/pdf", "listed", "%PDF-1.4 podanie"},
		"5.2.1": {"głęboki.txt", "text/plain", "listed", "głęboko"},
	} {
		p := part(t, r, path)
		if p.Name != want.name || p.Type != want.typ || p.Fate != want.fate || want.content != "" && content(t, body, p) != want.content {
			t.Errorf("%s: %+v", path, p)
		}
	}
	if p := part(t, r, "4"); p.Text != "Od: Ewa ewa@poczta.example\nTemat: Wewnętrzna" {
		t.Errorf("summary %q", p.Text)
	}
	if p := part(t, r, "4.1"); p.Text != "W środku." {
		t.Errorf("inner text %q", p.Text)
	}
}

func checkWrapped(t *testing.T, body octets, r sekretariat.Reading) {
	t.Helper()
	checkLimits(t, r)
	checkRanges(t, body, r.Parts)
	for _, p := range r.Parts {
		if c := content(t, body, p); int64(len(c)) != p.Size || sekretariat.DigestOf([]byte(c)) != p.SHA256 {
			t.Errorf("part %s (%s): %d octets again, %d listed", p.Path, p.Encoding, len(c), p.Size)
		}
	}
}

func TestOutlookAttached(t *testing.T) {
	body := attached("Przesyłam.", "Content-Type: application/octet-stream; name=Wniosek.msg\n", outlookMessage())
	r, _ := mustRead(t, body)
	checkWrapped(t, body, r)
	p := part(t, r, "2")
	if p.Fate != "opened" || p.Type != TypeOutlook || !p.Attachment || !strings.HasPrefix(p.Text, "Od: Jan 'Jaś' Nowak jan@poczta.example\nTemat: Wniosek") {
		t.Errorf("%+v", p)
	}
	if r.Text != "Przesyłam." || part(t, r, "2.1").Text != "Proszę o zasiłek." || content(t, body, part(t, r, "2.4.2")) != "głęboko" ||
		content(t, body, part(t, r, "2.5.1")) != "%PDF-1.4 podanie" {
		t.Errorf("%+v", r)
	}
	broken := outlookMessage()[:900]
	if r, _ := mustRead(t, attached("x", "Content-Type: application/vnd.ms-outlook; name=a.msg\n", broken)); !has(r, FindingOutlookBroken) || r.Outcome != sekretariat.ReadPartial {
		t.Errorf("broken: %v, %s", r.Findings, r.Outcome)
	}
}

// TestOutlookWrittenElsewhere reads a message that an independent program
// wrote; its only body beside the plain one is compressed RTF.
func TestOutlookWrittenElsewhere(t *testing.T) {
	b, err := os.ReadFile("../msg/testdata/wniosek.msg")
	if err != nil {
		t.Fatal(err)
	}
	r, err := ReadOutlook(context.Background(), octets(b), Options{})
	if err != nil {
		t.Fatal(err)
	}
	checkWrapped(t, b, r)
	if r.Subject != "Wniosek o zasiłek celowy – Śliwińska" || !strings.Contains(r.Text, "zasiłku celowego na zakup opału") || r.Sender.Email != "zaneta@poczta.example" ||
		len(r.Recipients) != 2 || part(t, r, "3").Name != "Podanie – żłobek.pdf" || part(t, r, "4.1").Text != "tekst listu" {
		t.Errorf("%+v", r)
	}
}

// smime signs content with openssl and returns what it writes: a mail or, with
// -outform, an object.
func smime(t *testing.T, content string, args ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed: apt-get install openssl")
	}
	dir := t.TempDir()
	in, key, out := filepath.Join(dir, "in"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "out")
	if err := os.WriteFile(in, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) {
		if msg, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
			t.Fatalf("openssl %v: %v\n%s", args, err, msg)
		}
	}
	run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", filepath.Join(dir, "cert.pem"), "-days", "2", "-utf8",
		"-subj", "/CN=Żaneta Śliwińska/emailAddress=zaneta@poczta.example")
	if args[0] == "-encrypt" {
		run(append(append([]string{"cms"}, args...), "-in", in, "-out", out, filepath.Join(dir, "cert.pem"))...)
	} else {
		run(append(append([]string{"cms"}, args...), "-in", in, "-out", out, "-signer", filepath.Join(dir, "cert.pem"), "-inkey", key)...)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const signedEntity = "Content-Type: multipart/mixed; boundary=in\r\n\r\n--in\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nPodpisana treść.\r\n" +
	"--in\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERi0xLjQgYQ==\r\n--in--\r\n"

// TestSigned: S/MIME beside the content and around it.
func TestSigned(t *testing.T) {
	head := "From: a@b.example\r\nSubject: Wniosek\r\nDate: Mon, 4 May 2026 10:00:00 +0200\r\nMessage-ID: <1@b.example>\r\n"
	for name, c := range map[string]struct {
		args  []string
		inner string // path of the PDF
		at    string // path that the signature is listed under
		crlf  bool
	}{
		"beside":             {[]string{"-sign", "-binary"}, "1.2", "", false},
		"beside, SHA-512":    {[]string{"-sign", "-binary", "-md", "sha512"}, "1.2", "", false},
		"around":             {[]string{"-sign", "-nodetach", "-binary"}, "1.1.2", "1", false},
		"around, indefinite": {[]string{"-sign", "-nodetach", "-binary", "-stream"}, "1.1.2", "1", false},
	} {
		t.Run(name, func(t *testing.T) {
			body := octets(head + string(smime(t, signedEntity, c.args...)))
			r, _ := mustRead(t, body)
			if r.Text != "Podpisana treść." || r.Outcome != sekretariat.ReadOK || len(r.Signatures) != 1 {
				t.Fatalf("%q, %s, %+v, %+v", r.Text, r.Outcome, r.Signatures, r.Findings)
			}
			s := r.Signatures[0]
			if s.Verdict != sekretariat.VerdictIntact || s.Part != c.at || s.Type != "smime" || s.Signer == nil || s.Signer.Name != "Żaneta Śliwińska" ||
				s.Signer.Email != "zaneta@poczta.example" || s.At == nil {
				t.Errorf("%+v, %+v", s, s.Signer)
			}
			if p := part(t, r, c.inner); p.Type != "application/pdf" || content(t, body, p) != "%PDF-1.4 a" {
				t.Errorf("%+v", p)
			}
			for _, p := range r.Parts {
				if p.Attachment && p.Path != c.inner {
					t.Errorf("%s passes for an attachment: %+v", p.Path, p)
				}
			}
		})
	}
	t.Run("changed", func(t *testing.T) {
		m := bytes.Replace(smime(t, signedEntity, "-sign", "-binary"), []byte("JVBERi0xLjQgYQ=="), []byte("JVBERi0xLjQgYg=="), 1)
		r, _ := mustRead(t, octets(head+string(m)))
		if len(r.Signatures) != 1 || r.Signatures[0].Verdict != sekretariat.VerdictBroken || !has(r, FindingSignatureInvalid) {
			t.Errorf("%+v, %v", r.Signatures, r.Findings)
		}
	})
	t.Run("line ends changed on the way", func(t *testing.T) {
		m := bytes.ReplaceAll(smime(t, signedEntity, "-sign", "-binary"), []byte("\r\n"), []byte("\n"))
		r, _ := mustRead(t, octets(head+string(m)))
		if len(r.Signatures) != 1 || r.Signatures[0].Verdict != sekretariat.VerdictIntact {
			t.Errorf("%+v, %v", r.Signatures, r.Findings)
		}
	})
	t.Run("cut off", func(t *testing.T) {
		m := smime(t, signedEntity, "-sign", "-nodetach", "-binary")
		r, _ := mustRead(t, octets(head+string(m[:len(m)/3])))
		if !has(r, FindingSMIMEBroken) || r.Outcome != sekretariat.ReadPartial {
			t.Errorf("%v, %s", r.Findings, r.Outcome)
		}
	})
	t.Run("encrypted", func(t *testing.T) {
		r, _ := mustRead(t, octets(head+string(smime(t, signedEntity, "-encrypt", "-aes256"))))
		if !has(r, FindingSMIMEEncrypted) || r.Outcome != sekretariat.ReadPartial || len(r.Signatures) != 0 || part(t, r, "1").Fate != fateSecret {
			t.Errorf("%v, %s, %v", r.Findings, r.Outcome, r.Signatures)
		}
	})
	t.Run("a signed file is no mail", func(t *testing.T) {
		p7m := smime(t, "%PDF-1.4 umowa", "-sign", "-nodetach", "-binary", "-outform", "DER")
		r, _ := mustRead(t, attached("w załączeniu", "Content-Type: application/octet-stream; name=umowa.pdf.p7m\n", p7m))
		if p := part(t, r, "2"); p.Fate != "listed" || !p.Attachment || p.Type != "application/pkcs7-mime" || len(r.Signatures) != 0 {
			t.Errorf("%+v, %+v", p, r.Signatures)
		}
	})
}

// TestWrappedAgainAndAgain: wrappings around one another are opened so far and
// no further, and cost what they are worth.
func TestWrappedAgainAndAgain(t *testing.T) {
	data := []byte("głęboko")
	for i := range 2 * maxUnwraps {
		b := tneftest.New()
		b.Attach("w.dat", fmt.Sprintf("winmail-%d.dat", i), data)
		data = b.Bytes()
	}
	r, _ := mustRead(t, attached("x", "Content-Type: application/ms-tnef; name=winmail.dat\n", data))
	if !has(r, FindingUnwrapLimit) || len(r.Parts) > maxUnwraps+3 {
		t.Errorf("%d parts, %v", len(r.Parts), r.Findings)
	}
	wide := tneftest.New()
	small := tneftest.New()
	small.Attach("a", "a", []byte("x"))
	for range 60 {
		wide.Attach("w.dat", "w.dat", small.Bytes())
	}
	r, _ = mustRead(t, attached("x", "Content-Type: application/ms-tnef; name=winmail.dat\n", wide.Bytes()))
	if n := len(r.Parts); n < 60 {
		t.Errorf("%d parts, %v", n, r.Findings)
	}
}

// FuzzOutlook: whatever an Outlook message holds, it is read within the limits
// and every part opens again to the octets that it lists.
func FuzzOutlook(f *testing.F) {
	f.Add(outlookMessage())
	if b, err := os.ReadFile("../msg/testdata/wniosek.msg"); err == nil {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ReadOutlook(context.Background(), octets(b), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if r.Outcome != sekretariat.ReadUnreadable {
			checkWrapped(t, octets(b), r)
		}
	})
}

// TestSignedInOutlook: Outlook keeps a signed mail as one attachment that is
// the whole MIME entity (IPM.Note.SMIME.MultipartSigned) or the opaque object.
func TestSignedInOutlook(t *testing.T) {
	beside, around := smime(t, signedEntity, "-sign", "-binary"), smime(t, signedEntity, "-sign", "-nodetach", "-binary", "-outform", "DER")
	for name, c := range map[string]struct {
		class, typ string
		data       []byte
	}{
		"beside": {"IPM.Note.SMIME.MultipartSigned", "multipart/signed", beside},
		"around": {"IPM.Note.SMIME", "application/pkcs7-mime", around},
	} {
		body := octets(msgtest.Bytes(&msgtest.Message{
			Props:       msgtest.Props{mapi.MessageClass: c.class, mapi.Subject: "Podpisane", mapi.SenderSMTP: "zaneta@poczta.example"},
			Attachments: []msgtest.Attachment{{Props: msgtest.Props{mapi.AttachLongName: "smime.p7m", mapi.AttachMIME: c.typ}, Data: c.data}},
		}))
		r, err := ReadOutlook(context.Background(), body, Options{})
		if err != nil {
			t.Fatal(err)
		}
		checkWrapped(t, body, r)
		if r.Text != "Podpisana treść." || len(r.Signatures) != 1 || r.Signatures[0].Verdict != sekretariat.VerdictIntact || r.Subject != "Podpisane" {
			t.Errorf("%s: text %q, %+v, %v", name, r.Text, r.Signatures, r.Findings)
		}
		if p := part(t, r, "1"); p.Fate != "opened" || p.Attachment {
			t.Errorf("%s: %+v", name, p)
		}
	}
}
