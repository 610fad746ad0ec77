package charset

import (
	"encoding/base64"
	"strings"
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
