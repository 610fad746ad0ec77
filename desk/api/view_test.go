package api_test

import (
	"net/http"
	"strings"
	"testing"

	"sekretariat/desk/view"
)

// TestView: a letter as people read it, to those who may see it and to nobody
// else.
func TestView(t *testing.T) {
	o := open(t)
	o.run()
	id := o.routed("szukam noclegu <script>alert(1)</script>")
	token := o.department("bezdomnosc")
	resp, page := o.request("GET", path(id, "/view"), token, "")
	if resp.StatusCode != http.StatusOK || !strings.Contains(page, "szukam noclegu &lt;script&gt;") || !strings.Contains(page, "KP-1-") ||
		!strings.Contains(page, "nieskuteczne (do weryfikacji)") || resp.Header.Get("Content-Security-Policy") != view.Policy {
		t.Errorf("HTTP %d, %s", resp.StatusCode, page)
	}
	if resp, pdf := o.request("GET", path(id, "/view.pdf"), token, ""); resp.StatusCode != http.StatusOK || !strings.HasPrefix(pdf, "%PDF-") || resp.Header.Get("Content-Type") != "application/pdf" {
		t.Errorf("PDF: HTTP %d, %.20q", resp.StatusCode, pdf)
	}
	for _, what := range []string{"/view", "/view.pdf"} {
		if code, _ := o.get(path(id, what), o.department("przemoc")); code != http.StatusNotFound {
			t.Errorf("%s for another department: HTTP %d", what, code)
		}
	}
	l := o.letter(id, token)
	if len(l.Effects) != 7 || l.Effects[0].Effect != "ineffective" || l.Effects[0].Rule != "mail-podanie" || !l.Effects[0].Check {
		t.Errorf("effects %+v", l.Effects)
	}
}
