// Package polish is what the house knows of the Polish language: folding
// (no case, no diacritics), words, stems of the vocabulary of social welfare,
// phrases found in one pass over a text, and case numbers (znaki spraw). People
// write without diacritics and scanners lose them, so everything works on
// folded text. It knows neither labels nor departments.
package polish

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Fold returns s in lower case without diacritics: "Żółć" and "zolc" fold
// alike. ł, which has no Unicode decomposition, becomes l; compatibility forms
// (ligatures, full-width letters) are taken apart (NFKD); soft hyphens and
// zero-width characters, which mail programs leave inside words, disappear.
func Fold(s string) string {
	if folded(s) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			b = append(b, lowerASCII(c))
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		b = appendFolded(b, r)
		i += n
	}
	return string(b)
}

// folded tells whether s is pure lower-case ASCII.
func folded(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= utf8.RuneSelf || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return true
}

func lowerASCII(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// appendFolded appends the folded form of one non-ASCII rune.
func appendFolded(b []byte, r rune) []byte {
	if c, ok := polishLetter(r); ok {
		return append(b, c)
	}
	switch {
	case r == '\u00ad' || r >= '\u200b' && r <= '\u200d' || r == '\u2060' || r == '\ufeff':
		return b // invisible inside words
	case r == '\u0131':
		return append(b, 'i')
	case r == 'ß':
		return append(b, "ss"...)
	case r == 'đ' || r == 'Đ':
		return append(b, 'd')
	case r == 'ø' || r == 'Ø':
		return append(b, 'o')
	}
	for _, d := range norm.NFKD.String(string(r)) {
		if unicode.Is(unicode.Mn, d) {
			continue
		}
		if c, ok := polishLetter(d); ok {
			b = append(b, c)
			continue
		}
		b = utf8.AppendRune(b, unicode.ToLower(d))
	}
	return b
}

// polishLetter folds the Polish letters, the common case.
func polishLetter(r rune) (byte, bool) {
	switch r {
	case 'ą', 'Ą':
		return 'a', true
	case 'ć', 'Ć':
		return 'c', true
	case 'ę', 'Ę':
		return 'e', true
	case 'ł', 'Ł':
		return 'l', true
	case 'ń', 'Ń':
		return 'n', true
	case 'ó', 'Ó':
		return 'o', true
	case 'ś', 'Ś':
		return 's', true
	case 'ź', 'Ź', 'ż', 'Ż':
		return 'z', true
	}
	return 0, false
}

// Words returns the folded words of text in order. A word is a run of letters
// and digits; a word broken over two lines ("prze-\nmoc") is one; a plus sign
// that ends a word is the word "plus", so that "500+" and "500 plus" are alike.
func Words(text string) []string {
	toks := tokens(Fold(text))
	out := make([]string, len(toks))
	for i, t := range toks {
		out[i] = t.word
	}
	return out
}

// token is one word of a folded text.
type token struct {
	word       string
	start, end int // octets in the folded text
}

// tokens splits folded text into words.
func tokens(folded string) []token {
	toks := make([]token, 0, len(folded)/6+1)
	for i := 0; i < len(folded); {
		n := wordAt(folded, i)
		if n == 0 {
			_, size := utf8.DecodeRuneInString(folded[i:])
			i += size
			continue
		}
		t := token{word: folded[i : i+n], start: i, end: i + n}
		i += n
		if rest := brokenWord(folded[i:]); rest > 0 {
			m := wordAt(folded, i+rest)
			t.word += folded[i+rest : i+rest+m]
			t.end = i + rest + m
			i = t.end
		}
		t.word = unscan(t.word)
		toks = append(toks, t)
		if i < len(folded) && folded[i] == '+' && wordAt(folded, i+1) == 0 {
			toks = append(toks, token{word: "plus", start: i, end: i + 1})
			i++
		}
	}
	return toks
}

// wordAt returns the length of the word that starts at i, 0 if none does.
func wordAt(s string, i int) int {
	j := i
	for j < len(s) {
		c := s[j]
		if c < utf8.RuneSelf {
			if 'a' <= c && c <= 'z' || '0' <= c && c <= '9' {
				j++
				continue
			}
			break
		}
		r, n := utf8.DecodeRuneInString(s[j:])
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			break
		}
		j += n
	}
	return j - i
}

// brokenWord returns how many octets lie between a word and its continuation
// on the next line ("-\n  "), 0 if the word is not broken.
func brokenWord(s string) int {
	if len(s) < 3 || s[0] != '-' || s[1] != '\n' && !strings.HasPrefix(s[1:], "\r\n") {
		return 0
	}
	i := 1
	for i < len(s) && (s[i] == '\r' || s[i] == '\n' || s[i] == ' ' || s[i] == '\t') {
		i++
	}
	if i < len(s) && 'a' <= s[i] && s[i] <= 'z' {
		return i
	}
	return 0
}

// unscan puts right the digits that text recognition puts into words: "zasi1ek",
// "p0moc". Words with fewer than three letters, or ending in their digits, are
// left alone: they are codes.
func unscan(w string) string {
	letters, digits := 0, 0
	for i := 0; i < len(w); i++ {
		switch {
		case '0' <= w[i] && w[i] <= '9':
			digits++
		default:
			letters++
		}
	}
	if digits == 0 || letters < 3 || digits > letters/2 {
		return w
	}
	b := []byte(w)
	for i, c := range b {
		switch c {
		case '0':
			b[i] = 'o'
		case '5':
			b[i] = 's'
		case '1':
			b[i] = 'l'
			if i > 0 && i+1 < len(b) && !vowel(b[i-1]) && !vowel(b[i+1]) {
				b[i] = 'i'
			}
		}
	}
	return string(b)
}

func vowel(c byte) bool { return strings.IndexByte("aeiouy", c) >= 0 }
