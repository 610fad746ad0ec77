package polish

import (
	"os"
	"sort"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// readTestFamilies reads testdata/families.txt: one family of inflected forms
// a line.
func readTestFamilies(t testing.TB) [][]string {
	t.Helper()
	raw, err := os.ReadFile("testdata/families.txt")
	if err != nil {
		t.Fatal(err)
	}
	var fams [][]string
	for line := range strings.Lines(string(raw)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			fams = append(fams, strings.Fields(line))
		}
	}
	return fams
}

func TestStemBringsFamiliesTogetherAndKeepsThemApart(t *testing.T) {
	fams := readTestFamilies(t)
	pairs, same, collisions := 0, 0, 0
	owner := map[string]int{}
	for i, fam := range fams {
		stems := map[string][]string{}
		for _, w := range fam {
			s := Stem(Fold(w))
			stems[s] = append(stems[s], w)
			if j, taken := owner[s]; taken && j != i {
				collisions++
				t.Errorf("%q of family %q and family %q share the stem %q", w, fam[0], fams[j][0], s)
			}
			owner[s] = i
		}
		for a := range fam {
			for b := a + 1; b < len(fam); b++ {
				pairs++
				if Stem(Fold(fam[a])) == Stem(Fold(fam[b])) {
					same++
				}
			}
		}
		if len(stems) > 1 {
			keys := make([]string, 0, len(stems))
			for s := range stems {
				keys = append(keys, s+"="+strings.Join(stems[s], ","))
			}
			sort.Strings(keys)
			t.Logf("split: %s", strings.Join(keys, "  "))
		}
	}
	recall := float64(same) / float64(pairs)
	t.Logf("%d families, %d pairs, recall %.3f, collisions %d", len(fams), pairs, recall, collisions)
	if recall < 0.96 {
		t.Errorf("pair recall %.3f, want at least 0.96", recall)
	}
}

func TestFold(t *testing.T) {
	for in, want := range map[string]string{
		"Zażółć GĘŚLĄ jaźń":        "zazolc gesla jazn",
		"ŁÓDŹ":                     "lodz",
		"za\u00adsi\u200błek":      "zasilek",
		"zasił\u0065\u0328k":       "zasilek", // e + combining ogonek
		"o\u0301smy":               "osmy",
		"ﬁnanse":                   "finanse",
		"Мир":                      "мир",
		"Straße":                   "strasse",
		"\xff\xfe":                 "��",
		"＋４８":                      "+48",
		"already folded, no work.": "already folded, no work.",
	} {
		if got := Fold(in); got != want {
			t.Errorf("Fold(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestFoldIsIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		once := Fold(s)
		if !utf8.ValidString(once) {
			t.Fatalf("Fold(%q) is not UTF-8", s)
		}
		if twice := Fold(once); twice != once {
			t.Fatalf("Fold(Fold(%q)) = %q, Fold = %q", s, twice, once)
		}
	})
}

func TestWords(t *testing.T) {
	for in, want := range map[string]string{
		"Proszę o zasiłek-celowy.":        "prosze o zasilek celowy",
		"500+ i 500 plus, Senior+":        "500 plus i 500 plus senior plus",
		"tel. +48 600":                    "tel 48 600",
		"prze-\n  moc w domu":             "przemoc w domu",
		"lista:\n- pierwszy\n- drugi":     "lista pierwszy drugi",
		"zasi1ek na p0moc, w 1ist0padzie": "zasilek na pomoc w listopadzie",
		"N-9, SR-1, ul. Długa 13a":        "n 9 sr 1 ul dluga 13a",
		"":                                "",
	} {
		if got := strings.Join(Words(in), " "); got != want {
			t.Errorf("Words(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestStemNeverGrowsOrPanics(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := Fold(rapid.String().Draw(t, "w"))
		if s := Stem(w); w != "" && s == "" {
			t.Fatalf("Stem(%q) is empty", w)
		}
	})
}

func BenchmarkStem(b *testing.B) {
	ws := Words("proszę o przyznanie zasiłku celowego na opał ponieważ nie mam pieniędzy a dzieciom jest zimno w mieszkaniu")
	for b.Loop() {
		for _, w := range ws {
			Stem(w)
		}
	}
}
