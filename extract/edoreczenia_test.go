package extract_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"sekretariat"
	"sekretariat/extract"
	"sekretariat/extract/archive/archivetest"
	"sekretariat/extract/edoreczenia"
)

// container makes a message of e-Doręczenia with attachments.
func container(t testing.TB, text string, files ...archivetest.File) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := edoreczenia.NewWriter(&b, edoreczenia.KindMessage, "AE:PL-00000-00013-AAAAA-06", "m")
	if err == nil {
		err = w.Message([]byte(`{"messageMetadata":{"subject":"Pismo","messageId":"m"},"textBody":"` + text + `"}`))
	}
	for _, f := range files {
		if err == nil {
			err = w.Add(edoreczenia.Entry{Role: edoreczenia.RoleAttachment, Name: f.Name}, bytes.NewReader(f.Content), nil)
		}
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A container is recognised by its content, and what hangs on the message is
// read as what hangs on a mail is: text, archives, case numbers.
func TestContainerOfEDoreczenia(t *testing.T) {
	inner := archivetest.ZIP(t, archivetest.File{Name: "w srodku.txt", Content: []byte("treść w archiwum")})
	raw := container(t, "W sprawie DPŚ.5120.12.2026", archivetest.File{Name: "a.txt", Content: []byte("treść załącznika")}, archivetest.File{Name: "b.zip", Content: inner})
	for _, kind := range []sekretariat.Kind{sekretariat.KindEDelivery, ""} {
		r, err := extract.Direct{Temp: t.TempDir()}.Read(t.Context(), extract.Input{Kind: kind, Body: bytes.NewReader(raw)})
		if err != nil {
			t.Fatal(err)
		}
		if r.Reader != edoreczenia.Name || r.Subject != "Pismo" || !slices.Equal(r.CaseNumbers, []string{"DPŚ.5120.12.2026"}) {
			t.Errorf("%q: read by %s, %q, cases %v", kind, r.Reader, r.Subject, r.CaseNumbers)
		}
		if p := partAt(t, r, "1"); p.Text != "treść załącznika" {
			t.Errorf("attachment %+v", p)
		}
		if p := partAt(t, r, "2.1"); !strings.Contains(p.Text, "treść w archiwum") {
			t.Errorf("member %+v", p)
		}
	}
}
