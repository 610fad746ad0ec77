package charset

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
)

// testdata returns the folder of the test data, or skips.
func testdata(t testing.TB) string {
	dir := os.Getenv("SEKRETARIAT_TESTDATA")
	if dir == "" {
		wd, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for ; ; wd = filepath.Dir(wd) {
			if _, err := os.Stat(filepath.Join(wd, "go.mod")); err == nil {
				break
			}
			if wd == filepath.Dir(wd) {
				t.Skip("no go.mod above the test: cannot find the test data")
			}
		}
		dir = filepath.Join(wd, "..", "shared", "testdata")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("test data not found at %s; set SEKRETARIAT_TESTDATA", dir)
	}
	return dir
}

// polishTexts returns the bodies of the routing corpus: 220 letters written
// for another purpose.
func polishTexts(t testing.TB) []string {
	f, err := os.Open(filepath.Join(testdata(t), "letters", "letters.jsonl"))
	if err != nil {
		t.Skip("letters not found: ", err)
	}
	defer f.Close()
	var texts []string
	for sc := bufio.NewScanner(f); sc.Scan(); {
		var l struct{ Body string }
		if err := json.Unmarshal(sc.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		texts = append(texts, l.Body)
	}
	return texts
}

// TestGuessPolish measures undeclared Polish text by encoding and length.
func TestGuessPolish(t *testing.T) {
	encodings := map[string]*charmap.Charmap{
		"iso-8859-2": charmap.ISO8859_2, "windows-1250": charmap.Windows1250, "ibm852": charmap.CodePage852,
	}
	texts := polishTexts(t)
	for name, enc := range encodings {
		for _, length := range []int{25, 80, 300} {
			right, all := 0, 0
			for _, text := range texts {
				for _, piece := range pieces(text, length) {
					raw, err := enc.NewEncoder().Bytes([]byte(piece))
					if err != nil || isASCII(piece) {
						continue
					}
					all++
					if got, _ := Decode(raw, ""); got == piece {
						right++
					}
				}
			}
			share := float64(right) / float64(all)
			t.Logf("%s, %d characters: %d of %d right, %.2f %%", name, length, right, all, 100*share)
			if share < 0.96 || length == 300 && share < 0.995 {
				t.Errorf("%s, %d characters: only %.2f %% right", name, length, 100*share)
			}
		}
	}
}

func pieces(s string, n int) []string {
	var out []string
	for r := []rune(s); len(r) >= n; r = r[n:] {
		out = append(out, string(r[:n]))
	}
	return out
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

// TestHonestDeclarations: whoever declares rightly is believed, whatever the
// language.
func TestHonestDeclarations(t *testing.T) {
	for _, c := range []struct {
		label string
		enc   encoding.Encoding
		text  string
	}{
		{"iso-8859-1", charmap.ISO8859_1, "Mañana por la mañana llega el señor Ibáñez con su niño"},
		{"iso-8859-1", charmap.ISO8859_1, "Où êtes-vous, mère? À bientôt, le garçon"},
		{"windows-1252", charmap.Windows1252, "Größe: 10 m², Preis „5 €“ – für Fräulein Müller"},
		{"iso-8859-1", charmap.ISO8859_1, "Det er blevet sagt på åen, hvor øllet er"},
		{"iso-8859-2", charmap.ISO8859_2, "Příliš žluťoučký kůň úpěl ďábelské ódy"},
		{"iso-8859-2", charmap.ISO8859_2, "Na štriku se suši šosić, našao je ćuk"},
		{"iso-8859-2", charmap.ISO8859_2, "Naša pošta: pišite nam, ćemo"},
		{"windows-1250", charmap.Windows1250, "Příliš žluťoučký kůň úpěl ďábelské ódy"},
		{"iso-8859-2", charmap.ISO8859_2, "Zażółć gęślą jaźń"},
		{"windows-1250", charmap.Windows1250, "„Zażółć” – gęślą jaźń…"},
		{"cp852", charmap.CodePage852, "Zażółć gęślą jaźń"},
		{"koi8-r", charmap.KOI8R, "Помощь семье"},
	} {
		raw, err := encoding.ReplaceUnsupported(c.enc.NewEncoder()).Bytes([]byte(c.text))
		if err != nil {
			t.Fatal(err)
		}
		got, r := Decode(raw, c.label)
		if got != c.text || r.Basis != Declared {
			t.Errorf("declared %s: got %q as %s (%s), want %q", c.label, got, r.Name, r.Basis, c.text)
		}
	}
}

// TestWrongDeclarations on the letters: overruled when clear.
func TestWrongDeclarations(t *testing.T) {
	for _, c := range []struct {
		label string
		enc   *charmap.Charmap
	}{
		{"iso-8859-2", charmap.Windows1250}, {"iso-8859-1", charmap.ISO8859_2}, {"iso-8859-1", charmap.Windows1250},
		{"windows-1252", charmap.Windows1250}, {"us-ascii", charmap.Windows1250}, {"utf-8", charmap.Windows1250},
		{"utf-8", charmap.ISO8859_2}, {"x-unknown", charmap.ISO8859_2}, {"windows-1250", charmap.ISO8859_2},
	} {
		right, all := 0, 0
		for _, text := range polishTexts(t) {
			raw, err := c.enc.NewEncoder().Bytes([]byte(text))
			if err != nil || isASCII(text) {
				continue
			}
			all++
			if got, _ := Decode(raw, c.label); got == text {
				right++
			}
		}
		t.Logf("%s declared as %s: %d of %d right", c.enc, c.label, right, all)
		if float64(right) < 0.98*float64(all) {
			t.Errorf("%s declared as %s: only %d of %d right", c.enc, c.label, right, all)
		}
	}
}

func TestUTF8AgainstDeclaration(t *testing.T) {
	for _, label := range []string{"", "us-ascii", "iso-8859-2", "windows-1250", "iso-8859-1", "koi8-r", "utf-8", "\"UTF-8\"", "unknown-8bit"} {
		got, r := Decode([]byte("Zażółć gęślą jaźń"), label)
		if got != "Zażółć gęślą jaźń" || r.Name != "utf-8" || r.Unknown || r.Lossy {
			t.Errorf("declared %q: got %q %+v", label, got, r)
		}
	}
}

func TestDouble(t *testing.T) {
	const text = "Źle znoszę chłód, a łączny dochód Żanety Śliwińskiej – Łódź"
	for _, m := range []*charmap.Charmap{charmap.Windows1252, charmap.Windows1250, charmap.ISO8859_1, charmap.ISO8859_2} {
		wrong := ""
		for _, c := range []byte(text) {
			r := m.DecodeByte(c)
			if r == utf8.RuneError {
				r = rune(c) // what programs do with octets that mean nothing
			}
			wrong += string(r)
		}
		if got, r := Decode([]byte(wrong), "utf-8"); got != text || !r.Double {
			t.Errorf("through %s: got %q, %+v", m, got, r)
		}
	}
	for _, honest := range []string{"Größe der Straße: 5 €", "Ångström, Äpfel – Ä", "Ő, Ű, Ł", text, "Ã", "ÃO"} {
		if got, r := Decode([]byte(honest), "utf-8"); got != honest || r.Double {
			t.Errorf("%q became %q", honest, got)
		}
	}
}

func TestOtherEncodings(t *testing.T) {
	for _, c := range []struct{ raw, label, want string }{
		{"Dzie+AUQ dobry, 2 +- 2, opa+AUI-u", "utf-7", "Dzień dobry, 2 + 2, opału"},
		{"a+b c+", "utf-7", "a+b c+"}, // no shift sequence worth the name
		{"\xff\xfeZ\x00|\x01", "iso-8859-2", "Zż"},
		{"\xfe\xff\x00Z\x01|", "", "Zż"},
		{"\x1b$B%F%9%H\x1b(B", "iso-2022-jp", "テスト"},
		{"\xb5\xe7\xd7\xd3", "gb2312", "电子"},
		{"Za\xc5", "utf-8", "Za\uFFFD"},
		{"za\xbf\xf3\xb3\xe6", "no-such-charset", "zażółć"},
	} {
		got, _ := Decode([]byte(c.raw), c.label)
		if got != c.want {
			t.Errorf("%q as %s: got %q, want %q", c.raw, c.label, got, c.want)
		}
	}
	if _, r := Decode([]byte("abc"), "no-such-charset"); !r.Unknown {
		t.Error("an unknown label is not reported")
	}
}

func TestUkrainianAndWestern(t *testing.T) {
	texts := []struct {
		enc  *charmap.Charmap
		text string
	}{
		{charmap.Windows1251, "Прошу надати допомогу на дитину, ми приїхали з Харкова"},
		{charmap.KOI8U, "Прошу надати допомогу на дитину, ми приїхали з Харкова"},
		{charmap.Windows1251, "Допомога на дитину"},
		{charmap.Windows1252, "Sehr geehrte Damen und Herren, für die Prüfung der Größe"},
		{charmap.Windows1252, "La mère est là, à côté de l'école"},
		{charmap.Windows1250, "Příliš žluťoučký kůň úpěl ďábelské ódy"},
	}
	for _, c := range texts {
		raw, err := c.enc.NewEncoder().Bytes([]byte(c.text))
		if err != nil {
			t.Fatal(err)
		}
		if got, r := Decode(raw, ""); got != c.text {
			t.Errorf("%s: got %q as %s", c.text, got, r.Name)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("Za\xbf\xf3\xb3\xe6"), "iso-8859-2")
	f.Add([]byte("+AUQ-"), "utf-7")
	f.Add([]byte("\x1b$B"), "iso-2022-jp")
	f.Add([]byte("~{<:Ky2;"), "hz-gb-2312")
	f.Fuzz(func(t *testing.T, raw []byte, label string) {
		text, r := Decode(raw, label)
		if !utf8.ValidString(text) {
			t.Fatalf("invalid UTF-8 from %q as %q", raw, label)
		}
		if r.Name == "" || r.Basis == "" {
			t.Fatalf("nothing said about %q", raw)
		}
		if len(text) > 4*len(raw)+4 {
			t.Fatalf("%d octets became %d", len(raw), len(text))
		}
	})
}

func BenchmarkGuess(b *testing.B) {
	raw, err := charmap.Windows1250.NewEncoder().Bytes([]byte(strings.Repeat("Proszę o zasiłek, źle znoszę chłód. ", 120)))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		Guess(raw)
	}
}

// TestGuessHard: what short Polish texts hold beside their letters, and little
// else to go by.
func TestGuessHard(t *testing.T) {
	for _, s := range []string{
		"art. 209 § 1a k.k.", "uwagi do § 6 i § 7", "ZESPÓŁ RATUNKOWY", "PROSIMY O ZABRANIE MĘŻA", "Łódź", "ł",
	} {
		for name, e := range map[string]encoding.Encoding{"windows-1250": charmap.Windows1250, "iso-8859-2": charmap.ISO8859_2} {
			b, err := e.NewEncoder().String(s)
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := Decode([]byte(b), ""); got != s {
				t.Errorf("%q in %s: got %q", s, name, got)
			}
		}
	}
	for _, s := range []string{"decyzja kasacyjna – akta", "harmonogram 15–21.08", "kara — koniec", "„Nowy” zasiłek"} {
		b, err := charmap.Windows1250.NewEncoder().String(s)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := Decode([]byte(b), ""); got != s {
			t.Errorf("%q: got %q", s, got)
		}
	}
	for s, e := range map[string]encoding.Encoding{"Привіт, і що?": charmap.Windows1251, "Україна": charmap.KOI8U} {
		b, err := e.NewEncoder().String(s)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := Decode([]byte(b), ""); got != s {
			t.Errorf("%q: got %q", s, got)
		}
	}
	// A name that could be either, beside a letter that is known.
	if got := DecodeNear([]byte("A\xb3a \xcfika"), "iso-8859-2"); got != "Ała Ďika" {
		t.Errorf("near: %q", got)
	}
}

func TestMacintosh(t *testing.T) {
	if n := len(macCETable); n != 128 {
		t.Fatalf("%d characters", n)
	}
	if got, r := Decode([]byte("Za\xfd\x97\xb8\x8d g\xabd"), "x-mac-ce"); got != "Zażółć gęd" || r.Lossy {
		t.Errorf("%q, %+v", got, r)
	}
}

// Programs that say ISO-8859-1 whatever they write, and UTF-7 that nobody
// declares: the letters decide. What is really western, or has a plus sign for
// another reason, stays.
func TestWesternDeclarationsAndUTF7(t *testing.T) {
	encode := func(m *charmap.Charmap, s string) []byte {
		b, err := m.NewEncoder().Bytes([]byte(s))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, text := range []string{"konto ośrodka", "tę rodzinę", "warsztaty pamięci, obiad", "stałego", "Dzień dobry, proszę o pomoc"} {
		for _, label := range []string{"iso-8859-1", "windows-1252"} {
			for name, m := range map[string]*charmap.Charmap{"windows-1250": charmap.Windows1250, "iso-8859-2": charmap.ISO8859_2} {
				if got, r := Decode(encode(m, text), label); got != text {
					t.Errorf("%s declared as %s: %q by %s, want %q", name, label, got, r.Name, text)
				}
			}
		}
	}
	for _, text := range []string{"Señor Iñaki Peña", "la forêt et le prêt", "Œuvre du cœur", "Søren Kjær og Æble", "Müller & Söhne", "être", "mañana por la mañana"} {
		if got, r := Decode(encode(charmap.Windows1252, text), "iso-8859-1"); got != text {
			t.Errorf("western %q became %q by %s", text, got, r.Name)
		}
	}
	for raw, want := range map[string]string{
		"Dzie+AUQ- dobry, prosz+ARk- o pomoc": "Dzień dobry, proszę o pomoc",
		"tel. +48 601 774 320":                "tel. +48 601 774 320",
		"tel. +48601774320 lub +48-601":       "tel. +48601774320 lub +48-601",
		"2+2=4, C++, a+b":                     "2+2=4, C++, a+b",
		"d+AUI-ugi +- +IB4-cytat+IB0-":        "długi + „cytat”",
		"https://x.example/?q=ala+ma+kota":    "https://x.example/?q=ala+ma+kota",
	} {
		for _, label := range []string{"", "us-ascii", "iso-8859-2", "utf-8"} {
			if got, r := Decode([]byte(raw), label); got != want {
				t.Errorf("%q declared as %q: %q by %s, want %q", raw, label, got, r.Name, want)
			}
		}
		if got := DecodeNear([]byte(raw), ""); got != want {
			t.Errorf("%q near nothing: %q, want %q", raw, got, want)
		}
	}
}
