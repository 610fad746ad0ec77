package mail

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"sekretariat/extract/charset"
)

// encodedWord is one RFC 2047 encoded word, its octets still in its charset.
type encodedWord struct {
	label string
	raw   []byte
	end   int // of the word in the text it was found in
}

// decodeWords decodes the encoded words of a field and its raw octets.
// Adjacent words of one charset are joined before they are decoded, because
// programs split letters between them (against RFC 2047 §5).
func decodeWords(b []byte) string {
	d := wordDecoder{src: b, nextEnd: -1}
	return d.run()
}

type wordDecoder struct {
	src     []byte
	out     strings.Builder
	label   string // of held
	held    []byte // octets of words not yet decoded
	nextEnd int    // position of the next "?=" at or after the last search, len(src) if none, -1 unknown
}

func (d *wordDecoder) run() string {
	plain := 0 // d.src[plain:] is not written yet
	for i := 0; i < len(d.src); {
		j := bytes.Index(d.src[i:], []byte("=?"))
		if j < 0 {
			break
		}
		i += j
		w, ok := d.word(i)
		if !ok {
			i += 2
			continue
		}
		// White space between two words is not text (RFC 2047 §6.2).
		if between := d.src[plain:i]; d.label == "" || len(bytes.TrimSpace(between)) > 0 {
			d.flush()
			d.plain(between)
		}
		if d.label != w.label {
			d.flush()
		}
		d.label, d.held = w.label, append(d.held, w.raw...)
		i, plain = w.end, w.end
	}
	d.flush()
	d.plain(d.src[plain:])
	return d.out.String()
}

func (d *wordDecoder) flush() {
	if len(d.held) > 0 {
		text, _ := charset.Decode(d.held, d.label)
		d.out.WriteString(text)
	}
	d.label, d.held = "", d.held[:0]
}

func (d *wordDecoder) plain(b []byte) {
	text, _ := charset.Decode(b, "")
	d.out.WriteString(text)
}

// word parses the encoded word at i. Each octet is looked at a bounded number
// of times: the position of the next "?=" is kept.
func (d *wordDecoder) word(i int) (encodedWord, bool) {
	rest := d.src[i+2:]
	q := bytes.IndexByte(rest[:min(len(rest), 80)], '?')
	if q <= 0 || q+2 >= len(rest) || rest[q+2] != '?' || bytes.ContainsAny(rest[:q], " \t\"<>=") {
		return encodedWord{}, false
	}
	label, _, _ := strings.Cut(strings.ToLower(string(rest[:q])), "*") // RFC 2231 §5: a language after "*"
	text := i + 2 + q + 3
	end := d.endFrom(text)
	if end == len(d.src) {
		return encodedWord{}, false
	}
	w := encodedWord{label: label, end: end + 2}
	body := d.src[text:end]
	switch rest[q+1] {
	case 'B', 'b':
		if bytes.IndexByte(body, '?') >= 0 {
			return encodedWord{}, false
		}
		s := base64Stage{out: func(p []byte) { w.raw = append(w.raw, p...) }}
		s.write(body)
		s.close()
	case 'Q', 'q':
		if bytes.Contains(body, []byte("=?")) { // the next word has begun: this one has no end
			return encodedWord{}, false
		}
		w.raw = decodeQ(body)
	default:
		return encodedWord{}, false
	}
	return w, true
}

// endFrom returns the position of the first "?=" at or after from.
func (d *wordDecoder) endFrom(from int) int {
	if d.nextEnd >= from {
		return d.nextEnd
	}
	if j := bytes.Index(d.src[from:], []byte("?=")); j >= 0 {
		d.nextEnd = from + j
	} else {
		d.nextEnd = len(d.src)
	}
	return d.nextEnd
}

// decodeQ decodes the Q encoding (RFC 2047 §4.2).
func decodeQ(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		switch {
		case b[i] == '_':
			out = append(out, ' ')
		case b[i] == '=' && i+2 < len(b) && isHex(b[i+1]) && isHex(b[i+2]):
			out = append(out, unhex(b[i+1])<<4|unhex(b[i+2]))
			i += 2
		default:
			out = append(out, b[i])
		}
	}
	return out
}

// oneLine makes decoded header text fit for a page: one line, single blanks,
// no control characters.
func oneLine(s string) string {
	var out strings.Builder
	space := false
	for _, r := range s {
		if unicode.IsSpace(r) || unicode.IsControl(r) {
			space = true
			continue
		}
		if space && out.Len() > 0 {
			out.WriteByte(' ')
		}
		space = false
		out.WriteRune(r)
	}
	return out.String()
}

// cutString cuts s to at most n octets at a character.
func cutString(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// beyondASCII tells whether b has octets beyond ASCII.
func beyondASCII(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return true
		}
	}
	return false
}
