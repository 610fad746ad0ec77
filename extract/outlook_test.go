package extract_test

import (
	"bytes"
	"strings"
	"testing"

	"sekretariat"
	"sekretariat/extract"
	"sekretariat/extract/archive/archivetest"
	"sekretariat/extract/mail"
	"sekretariat/extract/mapi"
	"sekretariat/extract/msg/msgtest"
)

// outlook is an Outlook message that holds a PDF, a ZIP with one more such
// message, and a message within.
func outlook(t testing.TB) []byte {
	leaf := msgtest.Bytes(&msgtest.Message{
		Props:       msgtest.Props{mapi.Subject: "Najgłębszy", mapi.Body: "Treść najgłębsza."},
		Attachments: []msgtest.Attachment{{Props: msgtest.Props{mapi.AttachLongName: "a.pdf"}, Data: []byte(onePage)}},
	})
	return msgtest.Bytes(&msgtest.Message{
		Props: msgtest.Props{mapi.Subject: "Wniosek DPŚ.5120.12.2026", mapi.Body: "W załączeniu pismo.", mapi.SenderSMTP: "anna@poczta.example"},
		Attachments: []msgtest.Attachment{
			{Props: msgtest.Props{mapi.AttachLongName: "pismo.pdf"}, Data: []byte(onePage)},
			{Props: msgtest.Props{mapi.AttachLongName: "reszta.zip"}, Data: archivetest.ZIP(t, archivetest.File{Name: "dalej.msg", Content: leaf})},
			{Message: &msgtest.Message{Props: msgtest.Props{mapi.Subject: "W środku", mapi.Body: "Treść w środku."}}},
		},
	})
}

// A .msg from a box is read like a mail; inside it, PDFs and archives are read
// like attachments, and every part comes out of a child process again.
func TestOutlookFromABox(t *testing.T) {
	raw := outlook(t)
	for _, name := range []string{"wniosek.msg", "bez nazwy"} {
		r, err := extract.Direct{Temp: t.TempDir()}.Read(t.Context(), extract.Input{Kind: sekretariat.KindBox, Name: name, Body: bytes.NewReader(raw)})
		if err != nil {
			t.Fatal(err)
		}
		if r.Format != mail.TypeOutlook || r.Subject != "Wniosek DPŚ.5120.12.2026" || r.Text != "W załączeniu pismo." || r.Sender.Email != "anna@poczta.example" ||
			len(r.CaseNumbers) != 1 || r.Outcome != sekretariat.ReadOK {
			t.Errorf("%+v", r)
		}
		if p := partAt(t, r, "2"); p.Fate != "read" || p.Text == "" {
			t.Errorf("a PDF: %+v", p)
		}
		if p := partAt(t, r, "3.1"); p.Fate != "opened" || p.Type != mail.TypeOutlook || !strings.Contains(p.Text, "Treść najgłębsza.") {
			t.Errorf("a message in a ZIP: %+v", p)
		}
		if p := partAt(t, r, "3.1.2"); p.Fate != "read" || p.In != "3.1" {
			t.Errorf("a PDF in a message in a ZIP: %+v", p)
		}
		if p := partAt(t, r, "4.1"); p.Text != "Treść w środku." {
			t.Errorf("a message within: %+v", p)
		}
		if extract.Stream(&r, partAt(t, r, "2")) {
			t.Error("a part of a foreign format would be opened in the service")
		}
		deliverAll(t, raw, r)
	}
}

// The same, attached to a mail.
func TestOutlookAttached(t *testing.T) {
	raw := attached(archivetest.File{Name: "wniosek.msg", Content: outlook(t)})
	r := readMail(t, raw)
	if p := partAt(t, r, "2.2"); p.Fate != "read" || p.SafeName != "pismo.pdf" {
		t.Errorf("a PDF: %+v", p)
	}
	if p := partAt(t, r, "2.3.1.2"); p.Fate != "read" {
		t.Errorf("a PDF in a message in a ZIP in a message: %+v", p)
	}
	deliverAll(t, raw, r)
}
