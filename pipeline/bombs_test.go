package pipeline_test

import (
	"fmt"
	"strings"
	"testing"

	"sekretariat"
	"sekretariat/extract"
	"sekretariat/extract/archive/archivetest"
	"sekretariat/extract/mail"
	"sekretariat/pipeline"
)

// Bombs are registered like any letter, with the finding that says what was not
// read. What they cost is measured where they are read.
func TestBombsAreRegistered(t *testing.T) {
	o := open(t, nil)
	o.run()
	header := func(n int, more string) string {
		return fmt.Sprintf("From: a@poczta.example\r\nSubject: Bomba %d\r\nMIME-Version: 1.0\r\n%s", n, more)
	}
	var levels strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&levels, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	zip := archivetest.ZIP(t, archivetest.File{Name: "a.bin", Content: make([]byte, 64<<20)})
	for i, c := range []struct{ name, mail, finding string }{
		{"10,000 parts", header(1, "Content-Type: multipart/mixed; boundary=g\r\n\r\n") + strings.Repeat("--g\r\n\r\nx\r\n", 10_000) + "--g--\r\n", mail.FindingPartsLimit},
		{"depth 1,000", header(2, levels.String()+"\r\nDno.\r\n"), mail.FindingLevelsLimit},
		{"zip bomb", header(3, "Content-Type: multipart/mixed; boundary=g\r\n\r\n"+withFiles("w środku", archivetest.File{Name: "a.zip", Content: zip})), extract.FindingArchive},
		{"a field of 200 KB", header(4, "X-A: "+strings.Repeat("a", 200<<10)+"\r\n\r\ntekst\r\n"), mail.FindingHeaderCut},
		{"deep HTML", header(5, "Content-Type: text/html\r\n\r\n"+strings.Repeat("<div>", 200_000)+"nocleg"), ""},
	} {
		l := o.await(o.take("a", c.mail), "a decision on "+c.name, routed)
		if l.Number.N != i+1 {
			t.Errorf("%s has number %d", c.name, l.Number.N)
		}
		r, err := pipeline.LoadReading(t.Context(), o.house.Vault, o.cfg.ID, l.ID.Submission(), l.Reading)
		if err != nil {
			t.Fatal(err)
		}
		told := c.finding == ""
		for _, f := range r.Findings {
			told = told || f.Code == c.finding
		}
		if !told || !strings.HasPrefix(r.Subject, "Bomba") {
			t.Errorf("%s: %q, findings %v, want %s", c.name, r.Subject, r.Findings, c.finding)
		}
		if c.name == "deep HTML" && !strings.Contains(r.Text, "nocleg") {
			t.Errorf("deep HTML: %.80q %v", r.Text, r.Findings)
		}
		m, err := pipeline.Manifest(t.Context(), o.house.Vault, o.cfg.ID, l.ID.Submission())
		if err != nil || m.Original.SHA256 != sekretariat.DigestOf([]byte(c.mail)) {
			t.Errorf("%s: another original: %v", c.name, err)
		}
	}
}
