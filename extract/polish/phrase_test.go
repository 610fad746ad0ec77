package polish

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func mustParse(t testing.TB, list ...string) []Phrase {
	t.Helper()
	out := make([]Phrase, len(list))
	for i, s := range list {
		p, err := ParsePhrase(s)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = p
	}
	return out
}

func TestPhrasesMatch(t *testing.T) {
	for _, c := range []struct {
		phrase, text string
		want         bool
	}{
		{"zasiłek stały", "Wnoszę o przyznanie zasiłku stałego.", true},
		{"zasiłek stały", "WNIOSEK O ZASILEK STALY", true},
		{"zasiłek stały", "zasiłek okresowy, pobyt stały", false},
		{"bij*", "mąż mnie bijał", true},
		{"bij*", "zabija mnie ten hałas", false},
		{`"golfie"`, "chodzi w golfie latem", true},
		{`"golfie"`, "gram w golfa", false},
		{"nie ma ... opału", "nie ma już w ogóle opału", true},
		{"nie ma ... opału", "nie ma nikogo kto by przywiózł opału", false},
		{"… opał", "na opał", true},
		{"zamyka ... w pokoju", "zamyka mnie w pokoju", true},
		{"500+", "kiedy 500 plus?", true},
		{"SR-1", "druk SR-1 w załączeniu", true},
		{"niebiesk* kart*", "założono Niebieską Kartę", true},
		{"opieka wytchnieniowa", "opieki\nwytchnieniowej", true},
	} {
		found := false
		NewMatcher(mustParse(t, c.phrase)).Match(Prepare(c.text), func(h Hit) { found = true })
		if found != c.want {
			t.Errorf("phrase %q in %q: found %v, want %v", c.phrase, c.text, found, c.want)
		}
	}
}

func TestParsePhraseRefuses(t *testing.T) {
	for _, s := range []string{"", "...", "*", `""`, " - "} {
		if _, err := ParsePhrase(s); !errors.Is(err, ErrPhrase) {
			t.Errorf("ParsePhrase(%q) error = %v, want ErrPhrase", s, err)
		}
	}
	for _, s := range []string{strings.Repeat("a ... ", 5) + "a", strings.Repeat("słowo ", 17)} {
		if _, err := ParsePhrase(s); !errors.Is(err, ErrLongPhrase) {
			t.Errorf("ParsePhrase(%q) error = %v, want ErrLongPhrase", s, err)
		}
	}
	if _, err := ParsePhrase(`"golfie`); err == nil {
		t.Error("an open quotation mark was accepted")
	}
}

// Running many phrases together must find exactly what each finds alone, and
// what comparing word by word finds.
func TestMatcherAgreesWithTheSlowWay(t *testing.T) {
	vocabulary := []string{"zasiłek", "zasiłku", "stały", "stałego", "nie", "opał", "opału", "ma", "bije", "bijatyka", "golfie"}
	pieces := []string{"zasiłek", "stały", "nie", "opał", "ma", "bij*", `"golfie"`, "..."}
	rapid.Check(t, func(t *rapid.T) {
		text := Prepare(strings.Join(rapid.SliceOfN(rapid.SampledFrom(vocabulary), 0, 14).Draw(t, "text"), " "))
		var phrases []Phrase
		for i := range rapid.IntRange(1, 6).Draw(t, "n") {
			s := strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 1, 4).Draw(t, fmt.Sprint("phrase", i)), " ")
			if p, err := ParsePhrase(s); err == nil {
				phrases = append(phrases, p)
			}
		}
		var got, want []string
		NewMatcher(phrases).Match(text, func(h Hit) { got = append(got, fmt.Sprint(h.Phrase, h.Start)) })
		for i, p := range phrases {
			for start := range text.words {
				if slow(p.elements, text.words[start:]) {
					want = append(want, fmt.Sprint(i, start))
				}
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

// slow matches by trying every allowed gap.
func slow(es []element, ws []word) bool {
	if len(es) == 0 {
		return true
	}
	max := 0
	if es[0].gap {
		max = maxGap
	}
	for skip := 0; skip <= max && skip < len(ws); skip++ {
		if es[0].fits(&ws[skip]) && slow(es[1:], ws[skip+1:]) {
			return true
		}
	}
	return false
}

func TestCaseNumbers(t *testing.T) {
	for in, want := range map[string]string{
		"dot. sprawy DPŚ.5120.12.2026":                "DPŚ.5120.12.2026",
		"Znak: DPS . 5120 . 12 . 2026.":               "DPS.5120.12.2026",
		"MZ0N.8321.12O7.2O25":                         "MZON.8321.1207.2025",
		"DU0.4I20.18.2O22":                            "DUO.4120.18.2022",
		"ABC.123.78.2.2026 JK":                        "ABC.123.78.2.2026",
		"MOPR.PS.5120/12/2026 i mopr.ps.5120.12.2026": "MOPR.PS.5120.12.2026",
		"tel. 43.823.53.20, dnia 12.05.2024, 98-220":  "",
		"Km 331/25, III RNsm 231/19":                  "",
		"konto 12.3456.7890.2024":                     "",
		"ŚR.5211.402.20215":                           "",
	} {
		if got := strings.Join(CaseNumbers(in), " "); got != want {
			t.Errorf("CaseNumbers(%q) = %q, want %q", in, got, want)
		}
	}
	if got := CasePrefix("DPŚ.5120.12.2026"); got != "dps" {
		t.Errorf("CasePrefix = %q, want dps", got)
	}
}

func TestCaseNumbersAreBounded(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, "DPS.5120.%d.2026 ", i+1)
	}
	if got := len(CaseNumbers(b.String())); got != maxCaseNumbers {
		t.Errorf("%d case numbers, want the limit of %d", got, maxCaseNumbers)
	}
}

func FuzzText(f *testing.F) {
	f.Add("Zasiłek stały DPŚ.5120.12.2026 prze-\nmoc", "nie ma ... opał*")
	f.Add("\xff-\n\xc5", `"a" b*`)
	f.Fuzz(func(t *testing.T, text, phrase string) {
		for _, w := range Words(text) {
			if w == "" || Stem(w) == "" {
				t.Fatalf("empty word or stem in %q", text)
			}
		}
		for _, n := range CaseNumbers(text) {
			if CasePrefix(n) == "" {
				t.Fatalf("case number %q without a symbol", n)
			}
		}
		p, err := ParsePhrase(phrase)
		if err != nil {
			return
		}
		prepared := Prepare(text)
		NewMatcher([]Phrase{p}).Match(prepared, func(h Hit) {
			if h.Start < 0 || h.End > prepared.Len() || h.Start >= h.End {
				t.Fatalf("hit %+v outside a text of %d words", h, prepared.Len())
			}
		})
	})
}

// BenchmarkMatch500 is one letter of 100 words against 500 phrases.
func BenchmarkMatch500(b *testing.B) {
	var list []string
	for i := range 500 {
		switch i % 3 {
		case 0:
			list = append(list, fmt.Sprintf("zasiłek słowo%d", i))
		case 1:
			list = append(list, fmt.Sprintf("słowo%d*", i))
		default:
			list = append(list, fmt.Sprintf("nie mam ... słowo%d", i))
		}
	}
	m := NewMatcher(mustParse(b, list...))
	text := strings.Repeat("Proszę o przyznanie zasiłku celowego na opał, bo nie mam pieniędzy, a dzieciom jest zimno. ", 7)
	b.ReportAllocs()
	for b.Loop() {
		m.Match(Prepare(text), func(Hit) {})
	}
}
