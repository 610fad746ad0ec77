package view_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sekretariat"
	"sekretariat/configs"
	"sekretariat/desk/view"
)

func letter() view.Letter {
	at := time.Date(2026, 4, 14, 8, 22, 30, 0, time.UTC)
	c := &configs.Centre{}
	return view.Letter{
		Centre: "Miejski Ośrodek Pomocy Społecznej", Printed: "RPW/7/2026", Arrived: at, Kind: sekretariat.KindEPUAP,
		Original: sekretariat.ObjectRef{SHA256: "53b40f14"}, Effects: c.LegalEffects(sekretariat.KindEPUAP, at), Fate: map[string]string{"2": "missing"},
		Reading: &sekretariat.Reading{
			Subject: "Wniosek o zasiłek <b>", Text: "Zażółć gęślą jaźń.\n\nDrugi akapit & <script>alert(1)</script>", Written: "2026-04-14", Sent: &at,
			Sender:  sekretariat.Party{Name: "Wanda Kowalska", Address: &sekretariat.Address{Street: "Lipowa", Building: "7", Flat: "12", Postcode: "00-999", Town: "Przykładowo"}},
			Senders: []sekretariat.Party{{Name: "WANDA KOWALSKA", Basis: "signature", IDs: map[string]string{"PESEL": "02041517880"}}, {Name: "Wanda Kowalska", Basis: "document"}},
			Parts: []sekretariat.Part{
				{Path: "1", SafeName: "zaświadczenie.pdf", Remark: "z urzędu pracy", Attachment: true, Size: 2048, Fate: "listed"}, {Path: "2", SafeName: "film.mp4", Attachment: true, Fate: "remote"},
			},
			Signatures: []sekretariat.Signature{{Text: "podpis zaufany: Wanda Kowalska, ważny", At: &at}},
			Findings:   []sekretariat.Finding{{Code: "sender-conflict", Detail: "A / B"}, {Code: "attachment-remote"}},
			Headers:    map[string]string{"rodzaj": "wniosek"},
		},
	}
}

// shown is what both forms must say.
var shown = []string{
	"Miejski Ośrodek Pomocy Społecznej", "Wniosek o zasiłek <b>", "RPW/7/2026", "14.04.2026", "Zażółć gęślą jaźń.", "Drugi akapit & <script>alert(1)</script>",
	"według podpisu", "Lipowa 7/12", "PESEL 02041517880", "zaświadczenie.pdf – opis: z urzędu pracy – 2 KB", "platforma ePUAP go nie wydała",
	"podpis zaufany: Wanda Kowalska, ważny", "wskazują różnych nadawców", "nieskuteczne (do weryfikacji)", "53b40f14",
}

func TestHTML(t *testing.T) {
	var b bytes.Buffer
	if err := view.HTML(&b, letter()); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	if strings.Contains(page, "<script") || strings.Contains(page, "zasiłek <b>") {
		t.Error("markup of the letter is markup of the page")
	}
	plain := strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(page)
	for _, want := range shown {
		if !strings.Contains(plain, want) {
			t.Errorf("%q is not shown", want)
		}
	}
	if !strings.Contains(view.Policy, "sha256-") || strings.Contains(view.Policy, "unsafe") {
		t.Errorf("policy %s", view.Policy)
	}
}

// TestPDF reads the PDF back with poppler.
func TestPDF(t *testing.T) {
	if _, err := exec.LookPath("pdftotext"); err != nil {
		t.Skip("pdftotext is missing: apt-get install poppler-utils")
	}
	l := letter()
	l.Reading.Text += strings.Repeat("\nAkapit, który jest długi i powtarza się wiele razy, aż zajmie kilka stron.", 200)
	var one, two bytes.Buffer
	if err := view.PDF(&one, l); err != nil {
		t.Fatal(err)
	}
	if err := view.PDF(&two, l); err != nil || !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Errorf("the same letter gives two files: %v", err)
	}
	name := filepath.Join(t.TempDir(), "a.pdf")
	if err := os.WriteFile(name, one.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("pdftotext", "-layout", name, "-").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text := strings.Join(strings.Fields(string(out)), " ")
	for _, want := range shown {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not shown", want)
		}
	}
	if strings.Count(string(out), "strona ") < 4 {
		t.Errorf("only %d pages", strings.Count(string(out), "strona "))
	}
}

// TestWhatever: any text makes a page and a PDF, in bounded time.
func TestWhatever(t *testing.T) {
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		l := letter()
		l.Reading.Text = rapid.String().Draw(t, "text")
		l.Reading.Subject = rapid.String().Draw(t, "subject")
		l.Reading.Findings = append(l.Reading.Findings, sekretariat.Finding{Code: "xml-dtd", Detail: rapid.String().Draw(t, "detail")})
		var b bytes.Buffer
		if err := view.HTML(&b, l); err != nil {
			t.Fatal(err)
		}
		if n%10 != 0 { // a PDF takes its time
			return
		}
		b.Reset()
		if err := view.PDF(&b, l); err != nil || !bytes.HasPrefix(b.Bytes(), []byte("%PDF-")) {
			t.Fatal(err)
		}
	})
	l := letter()
	l.Reading.Text = strings.Repeat("x", sekretariat.MaxText)
	l.Reading.Subject = strings.Repeat("ż", 1000)
	if err := view.PDF(&bytes.Buffer{}, l); err != nil {
		t.Error(err)
	}
}
