package extract_test

import (
	"bytes"
	"testing"

	"sekretariat"
	"sekretariat/extract"
)

// TestForeignDocument: what comes through ePUAP need be no XML; then it is read
// as what it is, and the account says who sent it.
func TestForeignDocument(t *testing.T) {
	source := map[string]string{"danePodmiotu.typOsoby": "P", "danePodmiotu.nazwiskoNazwa": "Urząd Gminy", "dataNadania": "2026-04-14T10:22:30.871+02:00", "nazwaPliku": "pismo.pdf"}
	r, err := extract.Direct{Temp: t.TempDir()}.Read(t.Context(), extract.Input{Kind: sekretariat.KindEPUAP, Source: source, Body: bytes.NewReader([]byte(onePage))})
	if err != nil || r.Format != "application/pdf" || r.Sender.Name != "Urząd Gminy" || r.Subject != "pismo.pdf" || r.Sent == nil || r.Text == "" {
		t.Errorf("%+v, %v", r, err)
	}
	r, err = extract.Direct{}.Read(t.Context(), extract.Input{Kind: sekretariat.KindEPUAP, Source: source, Body: bytes.NewReader([]byte("to nie jest XML"))})
	if err != nil || r.Outcome != sekretariat.ReadUnreadable || r.Sender.Name != "Urząd Gminy" {
		t.Errorf("%+v, %v", r, err)
	}
}
