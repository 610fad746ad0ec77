package clean

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestSplit(t *testing.T) {
	for name, c := range map[string]struct{ text, own, quoted, footer string }{
		"plain":         {"Proszę o opał.\nJan\n", "Proszę o opał.\nJan\n", "", ""},
		"marked":        {"Tak.\n> Czy pani przyjdzie?\nDziękuję.\n", "Tak.\nDziękuję.\n", "> Czy pani przyjdzie?\n", ""},
		"attribution":   {"Tak.\nW dniu 3 maja 2024 Jan Nowak napisał(a):\nCzy pani przyjdzie?\n", "Tak.\n", "W dniu 3 maja 2024 Jan Nowak napisał(a):\nCzy pani przyjdzie?\n", ""},
		"quote first":   {"Od: Dział\n> Zawiadamia się\nTata się zdenerwował.\n", "Tata się zdenerwował.\n", "Od: Dział\n> Zawiadamia się\n", ""},
		"outlook":       {"Proszę zobaczyć.\n\nFrom: a@b.example\nSent: Monday\nTo: c\nSubject: x\n\nStara treść\n", "Proszę zobaczyć.\n\n", "From: a@b.example\nSent: Monday\nTo: c\nSubject: x\n\nStara treść\n", ""},
		"thread mark":   {"Jak niżej.\n-----Original Message-----\nStare\n", "Jak niżej.\n", "-----Original Message-----\nStare\n", ""},
		"signature":     {"Proszę o kontakt.\n--\nFirma | Dział kadr | Praca od zaraz\n", "Proszę o kontakt.\n", "", "--\nFirma | Dział kadr | Praca od zaraz\n"},
		"phone":         {"Proszę.\nWysłano z iPhone'a\n", "Proszę.\n", "", "Wysłano z iPhone'a\n"},
		"clause":        {"Proszę.\nAdministratorem danych jest X.\nMa Pani prawo do Y.\n", "Proszę.\n", "", "Administratorem danych jest X.\nMa Pani prawo do Y.\n"},
		"directory":     {"Proszę.\nDział Pomocy Środowiskowej tel. 43 823 53 26\n", "Proszę.\n", "", "Dział Pomocy Środowiskowej tel. 43 823 53 26\n"},
		"no directory":  {"Zespół ds. Asysty nie odbiera telefonu, co robić?\n", "Zespół ds. Asysty nie odbiera telefonu, co robić?\n", "", ""},
		"a dash inside": {"- chleb\n- mleko\n", "- chleb\n- mleko\n", "", ""},
	} {
		p := Split(c.text)
		if p.Own != c.own || p.Quoted != c.quoted || p.Footer != c.footer {
			t.Errorf("%s:\nown    %q want %q\nquoted %q want %q\nfooter %q want %q", name, p.Own, c.own, p.Quoted, c.quoted, p.Footer, c.footer)
		}
	}
}

// The nearest older mail ends where the next one begins.
func TestNearest(t *testing.T) {
	first := "W dniu 3 maja 2024 Jan Nowak napisał(a):\n> Czy pani przyjdzie?\n"
	second := "\n-----Original Message-----\nFrom: a@b.example\nSent: Monday\n\nStara treść\n"
	p := Split("Jak niżej.\n" + first + second)
	if p.Nearest != first || p.Quoted != first+second[1:] || p.Own != "Jak niżej.\n\n" {
		t.Errorf("nearest %q, quoted %q, own %q", p.Nearest, p.Quoted, p.Own)
	}
	if p := Split("Jak niżej.\n" + first); p.Nearest != first {
		t.Errorf("nearest %q", p.Nearest)
	}
}

// Every line is in exactly one part, in order.
func TestNothingIsLostOrDoubled(t *testing.T) {
	lines := []string{"Proszę o pomoc", "> stare", "--", "Od: a", "Do: b", "W dniu 1 maja Jan napisał:", "", "Wysłano z telefonu", "Klauzula informacyjna", "-----Original Message-----"}
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(lines), 0, 30).Draw(t, "lines"), "\n")
		p := Split(text)
		if len(p.Own)+len(p.Quoted)+len(p.Footer) != len(text) {
			t.Fatalf("%d octets of %d", len(p.Own)+len(p.Quoted)+len(p.Footer), len(text))
		}
	})
}

func FuzzSplit(f *testing.F) {
	f.Add("Od: a\nDo: b\n> x\n--\n")
	f.Fuzz(func(t *testing.T, text string) {
		p := Split(text)
		if len(p.Own)+len(p.Quoted)+len(p.Footer) != len(text) {
			t.Fatal("lines were lost or doubled")
		}
	})
}
