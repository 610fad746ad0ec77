package epuap

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"sekretariat"
	"sekretariat/configs"
)

const entry = `<Dokument><DanePodmiotu><Identyfikator>wkowalska</Identyfikator><TypOsoby>F</TypOsoby><ImieSkrot>Wanda</ImieSkrot><NazwiskoNazwa>Kowalska</NazwiskoNazwa><Nip/><Pesel>02041517880</Pesel><Regon/><Zgoda>true</Zgoda></DanePodmiotu>` +
	`<DaneNadawcy><Uzytkownik>wkowalska</Uzytkownik><System/></DaneNadawcy><DataNadania>14.04.2026T10:22:30.871</DataNadania><NazwaSkrytki>SkrytkaESP</NazwaSkrytki><AdresSkrytki>` + address + `</AdresSkrytki>` +
	`<AdresOdpowiedzi>/wkowalska/domyslna</AdresOdpowiedzi><DaneDodatkowe>@DANE@</DaneDodatkowe><NazwaPliku>Pismo ogólne.xml</NazwaPliku><SciezkaWArchiwum>@PLIK@</SciezkaWArchiwum></Dokument>`

func list(entries ...string) []byte {
	extra := base64.StdEncoding.EncodeToString([]byte(`<DaneDodatkowe><IdentyfikatorDokumentu>77000001</IdentyfikatorDokumentu></DaneDodatkowe>`))
	return []byte("<Dokumenty>" + strings.ReplaceAll(strings.Join(entries, ""), "@DANE@", extra) + "</Dokumenty>")
}

func file(name string) string { return strings.ReplaceAll(entry, "@PLIK@", name) }

// TestEmergency: by emergency download a letter is the same submission as by
// pull.
func TestEmergency(t *testing.T) {
	centre := &configs.Centre{ID: "przykladowo", EPUAP: []configs.EPUAP{{Account: configs.Account{ID: "esp", Unit: "mops", Off: true}, Address: address}}}
	got, err := Emergency(centre, configs.Account{ID: "pojemnik"}, sekretariat.SystemClock, list(file("1/Pismo ogólne.xml"), file("2\\INNE.XML")), []string{"2/inne.xml", "1/Pismo ogólne.xml"})
	if err != nil || len(got) != 2 || got[0].Member != 1 || got[1].Member != 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	d := got[0].Delivery
	letter := sample(t, "doc-4566-podpis-pz.xml")
	facts := sekretariat.BodyFacts{SHA256: sekretariat.DigestOf(letter), Size: int64(len(letter))}
	id := sekretariat.NewSubmissionID(d.Centre, d.Kind, d.Account, append([]string{""}, d.Identity(facts)...)...)
	want := sekretariat.NewSubmissionID("przykladowo", "epuap", "esp", "", address, "53b40f14fdb7b5655851e3ada82c32550d49697b67a16b4bf1fca6efcc84b63c", "2026-04-14T08:22:30.871Z", "77000001")
	if id != want || d.Door != sekretariat.DoorEPUAPFile || d.Unit != "mops" || !d.Sent.Equal(time.Date(2026, 4, 14, 8, 22, 30, 871_000_000, time.UTC)) || d.Arrived.Basis != sekretariat.BasisSent {
		t.Errorf("delivery %+v, %v", d, d.Identity(facts))
	}
	for k, v := range map[string]string{"danePodmiotu.pesel": "02041517880", "danePodmiotu.imieSkrot": "Wanda", "nazwaPliku": "Pismo ogólne.xml", "adresOdpowiedzi": "/wkowalska/domyslna", "odpowiedz.podpis": "unsigned"} {
		if d.Source[k] != v {
			t.Errorf("%s: %q, want %q", k, d.Source[k], v)
		}
	}
	// A skrytka that nobody configured: the box's own account.
	got, err = Emergency(&configs.Centre{ID: "x"}, configs.Account{ID: "pojemnik"}, sekretariat.SystemClock, list(file("a.xml")), []string{"a.xml"})
	if err != nil || got[0].Delivery.Account != "pojemnik" || got[0].Delivery.Kind != sekretariat.KindEPUAP {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestNoEmergency(t *testing.T) {
	for name, c := range map[string]struct {
		list  string
		files []string
	}{
		"no XML":        {"x", []string{"a"}},
		"other list":    {"<Pliki><Dokument/></Pliki>", []string{"a"}},
		"empty":         {"<Dokumenty/>", []string{"a"}},
		"DTD":           {"<!DOCTYPE a><Dokumenty><Dokument/></Dokumenty>", []string{"a"}},
		"file missing":  {string(list(file("a.xml"), file("b.xml"))), []string{"a.xml", "c.xml"}},
		"one file only": {string(list(file("a.xml"), file("a.xml"))), []string{"a.xml"}},
	} {
		if got, err := Emergency(&configs.Centre{}, configs.Account{}, sekretariat.SystemClock, []byte(c.list), c.files); !errors.Is(err, ErrDescriptor) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// TestSampleEmergency reads the list of a package with a real structure.
func TestSampleEmergency(t *testing.T) {
	raw := sample(t, "prawdziwa-struktura-awaryjne-pobranie-1.zip")
	z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	f, err := z.Open(Descriptor)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Emergency(&configs.Centre{}, configs.Account{ID: "p"}, sekretariat.SystemClock, b, []string{"Pismo ogolne (ePUAP).xml"})
	if err != nil || len(got) != 1 || got[0].Delivery.Source["danePodmiotu.nip"] != "Nip 1" || got[0].Delivery.Sent.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
}
