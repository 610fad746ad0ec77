package charset

import (
	"encoding/base64"
	"strings"
	"unicode"
	"unicode/utf16"
)

var utf7Base64 = base64.StdEncoding.WithPadding(base64.NoPadding)

// decodeUTF7 decodes UTF-7 (RFC 2152): a broken
// shift sequence stays as it is written.
func decodeUTF7(b []byte) string {
	var out strings.Builder
	out.Grow(len(b))
	for i := 0; i < len(b); {
		if b[i] != '+' {
			out.WriteByte(b[i])
			i++
			continue
		}
		end := i + 1
		for end < len(b) && isBase64(b[end]) {
			end++
		}
		switch text, ok := utf7Run(b[i+1 : end]); {
		case end == i+1: // "+-" is a plus sign, RFC 2152 rule 2
			out.WriteByte('+')
		case ok:
			out.WriteString(text)
		default:
			out.Write(b[i:end])
			i = end
			continue
		}
		i = end
		if i < len(b) && b[i] == '-' {
			i++
		}
	}
	return out.String()
}

func utf7Run(b []byte) (string, bool) {
	raw := make([]byte, utf7Base64.DecodedLen(len(b)))
	n, err := utf7Base64.Decode(raw, b)
	if err != nil || n < 2 {
		return "", false
	}
	units := make([]uint16, 0, n/2)
	for i := 0; i+1 < n; i += 2 {
		units = append(units, uint16(raw[i])<<8|uint16(raw[i+1]))
	}
	return string(utf16.Decode(units)), true
}

func isBase64(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '+' || c == '/'
}

// looksUTF7 tells whether ASCII text is Polish in UTF-7 that nobody declared:
// each of its plus signs begins a shift sequence of characters that mail from
// here has, or is written "+-", and one of them has a Polish letter. A telephone
// number or a sum is none.
func looksUTF7(b []byte) bool {
	letters := false
	for i := 0; i < len(b); i++ {
		if b[i] != '+' {
			continue
		}
		end := i + 1
		for end < len(b) && isBase64(b[end]) {
			end++
		}
		if end == i+1 {
			if end == len(b) || b[end] != '-' {
				return false
			}
			continue
		}
		text, ok := utf7Run(b[i+1 : end])
		if !ok {
			return false
		}
		for _, r := range text {
			if !unicode.IsPrint(r) || r >= 0x2e80 && r <= 0xffff { // by chance it is Chinese
				return false
			}
			letters = letters || contains(polish, r)
		}
		i = end - 1
	}
	return letters
}
