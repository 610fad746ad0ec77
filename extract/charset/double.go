package charset

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// undouble undoes UTF-8 that a program took for a single-byte encoding and
// encoded again ("zasiÅ‚ek" for "zasiłek"). It does so only when it is proved:
// every character beyond ASCII goes back to one octet, and all those octets
// together are valid UTF-8, which no text that people write is by chance.
func undouble(text string) (string, bool) {
	if !strings.ContainsAny(text, "ÃÄÅĂĹÐÑ") {
		return "", false
	}
	best, fewest := "", -1
	for _, m := range []*charmap.Charmap{charmap.Windows1252, charmap.Windows1250, charmap.ISO8859_2} {
		out, ok := backTo(text, m)
		if strange := strangers(out); ok && (fewest < 0 || strange < fewest) {
			best, fewest = out, strange
		}
	}
	return best, fewest >= 0
}

// strangers counts characters beyond ASCII that are neither Polish nor
// typography.
func strangers(s string) int {
	n := 0
	for _, r := range s {
		if r >= utf8.RuneSelf && !contains(polish, r) && !contains(neutrals, r) {
			n++
		}
	}
	return n
}

func backTo(text string, m *charmap.Charmap) (string, bool) {
	out := make([]byte, 0, len(text))
	for _, r := range text {
		if r < utf8.RuneSelf {
			out = append(out, byte(r))
			continue
		}
		c, ok := m.EncodeRune(r)
		if !ok && r >= 0x80 && r < 0xa0 { // Latin-1 keeps C1 controls
			c, ok = byte(r), true
		}
		if !ok || c < utf8.RuneSelf {
			return "", false
		}
		out = append(out, c)
	}
	return string(out), utf8.Valid(out)
}
