package mail

import (
	"bytes"
	"sort"
	"strconv"
	"strings"

	"golang.org/x/text/unicode/norm"

	"sekretariat/extract/charset"
)

// maxSections bounds the RFC 2231 sections that are read of one field.
const maxSections = 100

// maxName bounds a declared file name, octets.
const maxName = 1000

// params are the parameters of a Content-Type or Content-Disposition field.
type params struct {
	plain    map[string][]byte // first value of each name, undecoded
	sections map[string][]section
	count    int
	cut      bool
}

// section is one RFC 2231 section: name*1*=value.
type section struct {
	number   int
	extended bool // percent-encoded
	value    []byte
}

// parseParams splits a structured field into its value and its parameters.
// Missing semicolons, blanks and quotes do not stop it.
func parseParams(raw []byte) (value string, p params) {
	p.plain = map[string][]byte{}
	rest := skipBlank(raw)
	i := bytes.IndexAny(rest, "; \t(,")
	if i < 0 {
		i = len(rest)
	}
	if eq := bytes.IndexByte(rest[:i], '='); eq < 0 {
		value = strings.ToLower(string(bytes.Trim(rest[:i], "\"'")))
		rest = rest[i:]
	}
	for len(rest) > 0 {
		rest = skipBlank(rest)
		eq := bytes.IndexAny(rest, "=;")
		if eq < 0 {
			return value, p
		}
		if rest[eq] == ';' {
			rest = rest[eq+1:]
			continue
		}
		name := strings.ToLower(string(bytes.TrimSpace(rest[:min(eq, maxKeyName)])))
		if j := strings.LastIndexAny(name, " \t"); j >= 0 { // "text/plain format=flowed charset=x"
			name = name[j+1:]
		}
		var v []byte
		v, rest = paramValue(rest[eq+1:], name)
		p.add(name, v)
	}
	return value, p
}

// skipBlank drops white space, separators and comments.
func skipBlank(b []byte) []byte {
	for len(b) > 0 {
		switch b[0] {
		case ' ', '\t', '\r', '\n', ';', ',':
			b = b[1:]
		case '(':
			b = b[commentEnd(b):]
		default:
			return b
		}
	}
	return b
}

// commentEnd returns the length of the comment that b begins with.
func commentEnd(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(b)
}

// paramValue reads one value and returns what follows it.
func paramValue(b []byte, name string) (value, rest []byte) {
	b = bytes.TrimLeft(b, " \t")
	if len(b) > 0 && b[0] == '"' {
		return quotedString(b)
	}
	end := bytes.IndexByte(b, ';')
	if end < 0 {
		end = len(b)
	}
	// File names with blanks are often not quoted; other values have none.
	if !strings.HasPrefix(name, "name") && !strings.HasPrefix(name, "filename") {
		if sp := bytes.IndexAny(b[:end], " \t"); sp >= 0 {
			end = sp
		}
	}
	return bytes.TrimSpace(b[:end]), b[end:]
}

// quotedString reads a quoted string. A backslash escapes only quotes and
// backslashes: C:\skany\pismo.pdf is more common than any other quoted pair.
func quotedString(b []byte) (value, rest []byte) {
	for i := 1; i < len(b); i++ {
		switch {
		case b[i] == '"':
			return value, b[i+1:]
		case b[i] == '\\' && i+1 < len(b) && (b[i+1] == '"' || b[i+1] == '\\'):
			i++
		}
		value = append(value, b[i])
	}
	return value, nil
}

func (p *params) add(name string, v []byte) {
	base, tail, starred := strings.Cut(name, "*")
	if !starred {
		if _, ok := p.plain[name]; !ok && len(p.plain) < maxSections {
			p.plain[name] = v
		}
		return
	}
	if p.count++; p.count > maxSections {
		p.cut = true
		return
	}
	s := section{value: v, extended: tail == "" || strings.HasSuffix(tail, "*")}
	if number := strings.TrimSuffix(tail, "*"); number != "" {
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 {
			return
		}
		s.number = n
	}
	if p.sections == nil {
		p.sections = map[string][]section{}
	}
	p.sections[base] = append(p.sections[base], s)
}

// token returns a parameter that is not text for people: a charset, a
// boundary.
func (p *params) token(name string) string {
	if v, ok := p.plain[name]; ok {
		return strings.TrimSpace(string(v))
	}
	raw, _ := p.joined(name)
	return strings.TrimSpace(string(raw))
}

// text returns a parameter meant for people, decoded to UTF-8, NFC: RFC 2231
// in any charset first, then plain with RFC 2047 words or raw octets.
func (p *params) text(name string) string {
	raw, label := p.joined(name)
	out := ""
	if len(raw) > 0 {
		if label == "" && bytes.Contains(raw, []byte("=?")) {
			out = decodeWords(raw)
		} else {
			out, _ = charset.Decode(raw, label)
		}
	} else if v := p.plain[name]; len(v) > 0 {
		out = decodeWords(v)
	}
	out = norm.NFC.String(strings.TrimSpace(out))
	return cutString(out, maxName)
}

// joined puts the RFC 2231 sections of a name together and returns the octets
// and their charset.
func (p *params) joined(name string) (raw []byte, label string) {
	s := p.sections[name]
	sort.SliceStable(s, func(i, j int) bool { return s[i].number < s[j].number })
	for i, part := range s {
		if i > 0 && part.number == s[i-1].number {
			continue // repeated: the first one counts
		}
		v := part.value
		if part.extended {
			if i == 0 {
				if cs, rest, ok := bytes.Cut(v, []byte("'")); ok {
					if _, text, ok := bytes.Cut(rest, []byte("'")); ok {
						label, v = string(cs), text
					}
				}
			}
			v = percentDecode(v)
		}
		raw = append(raw, v...)
	}
	return raw, label
}

func percentDecode(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '%' && i+2 < len(b) && isHex(b[i+1]) && isHex(b[i+2]) {
			out = append(out, unhex(b[i+1])<<4|unhex(b[i+2]))
			i += 2
			continue
		}
		out = append(out, b[i])
	}
	return out
}
