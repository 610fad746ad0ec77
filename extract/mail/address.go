package mail

import (
	"bytes"
	"slices"
	"strings"

	"sekretariat"
)

// Limits of addresses.
const (
	maxRecipients = 500
	maxEmail      = 320  // octets, RFC 5321 §4.5.3.1: 64 + 1 + 255
	maxPartyName  = 1000 // octets
)

// addresses parses an address list (RFC 5322 §3.4) as far as it makes sense:
// it splits before it decodes, so that no encoded word can add an address.
// ok is false when something in it is no address.
func addresses(raw []byte, limit int) (list []sekretariat.Party, ok, cut bool) {
	ok = true
	var name []byte // "Nowak" of the unquoted "Nowak, Jan <jan@…>"
	rest := raw
	for len(rest) > 0 {
		var one []byte
		one, rest = mailbox(rest)
		if len(bytes.TrimSpace(one)) == 0 {
			continue
		}
		if !bytes.ContainsAny(one, "@<") && len(rest) > 0 && len(name) < maxPartyName && !bytes.HasPrefix(bytes.TrimSpace(one), []byte("=?")) {
			name = append(append(name, one...), ", "...)
			continue
		}
		if len(list) >= limit {
			return list, ok, true
		}
		p, good := party(append(name, one...))
		name = nil
		ok = ok && good
		if p.Email != "" || p.Name != "" {
			list = append(list, p)
		}
	}
	return list, ok, false
}

// mailbox cuts the first element off an address list. Quotes, comments, angle
// brackets and encoded words hide commas.
func mailbox(b []byte) (one, rest []byte) {
	var q quotes
	angle, group := false, true
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			i += q.end(b[i:]) - 1
		case '(':
			if !angle {
				i += shortComment(b[i:]) - 1
			}
		case '@':
			group = false
		case '<':
			angle, group = true, false
		case '>':
			angle = false
		case '=':
			if n := wordEnd(b[i:]); n > 0 {
				i += n - 1
			}
		case ',', ';':
			if !angle || bytes.IndexByte(b[i:min(len(b), i+maxEmail)], '>') < 0 {
				return b[:i], b[i+1:]
			}
		case ':':
			// "Group: a@b, c@d;" (RFC 5322 §3.4); a colon in an address is a
			// route or a mistake.
			if group {
				return nil, b[i+1:]
			}
		}
	}
	return b, nil
}

// quotes finds the ends of quoted strings. Once one has no end, no later one
// has: looking again and again would cost the square of the length.
type quotes struct{ none bool }

// end returns the length of the quoted string that b begins with; one that
// never ends is only its quote.
func (q *quotes) end(b []byte) int {
	for i := 1; i < len(b) && !q.none; i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	q.none = true
	return 1
}

// maxComment bounds a comment in an address, octets.
const maxComment = 300

// shortComment returns the length of the comment that b begins with; one
// without an end is only its parenthesis.
func shortComment(b []byte) int {
	b = b[:min(len(b), maxComment)]
	if n := commentEnd(b); b[n-1] == ')' {
		return n
	}
	return 1
}

// wordEnd returns the length of the encoded word that b begins with, 0 if it
// begins with none.
func wordEnd(b []byte) int {
	if !bytes.HasPrefix(b, []byte("=?")) {
		return 0
	}
	b = b[:min(len(b), maxPartyName)]
	q := 2
	for range 2 {
		j := bytes.IndexByte(b[q:], '?')
		if j < 0 {
			return 0
		}
		q += j + 1
	}
	end := bytes.Index(b[q:], []byte("?="))
	if end < 0 {
		return 0
	}
	return q + end + 2
}

// party reads one mailbox. ok is false if there is no address in it.
func party(b []byte) (p sekretariat.Party, ok bool) {
	b = bytes.TrimSpace(b)
	p.Basis = "header"
	name, addr := splitAngle(b)
	if addr == nil {
		name, addr = splitBare(b)
	}
	p.Name = cutString(displayName(name), maxPartyName)
	p.Email = cleanEmail(addr)
	if p.Email == "" && bytes.Contains(b, []byte("=?")) {
		// The whole mailbox in one encoded word.
		if decoded := []byte(oneLine(decodeWords(b))); bytes.IndexByte(decoded, '@') >= 0 && !bytes.Contains(decoded, []byte("=?")) {
			return party(decoded)
		}
	}
	return p, strings.Contains(p.Email, "@")
}

// splitAngle splits "name <address>"; addr is nil without a pair of brackets
// that holds something.
func splitAngle(b []byte) (name, addr []byte) {
	var q quotes
	open := 0
	for open < len(b) && b[open] != '<' {
		switch b[open] {
		case '"':
			open += q.end(b[open:])
		case '(':
			open += shortComment(b[open:])
		case '=':
			open += max(1, wordEnd(b[open:]))
		default:
			open++
		}
	}
	if open >= len(b) {
		return nil, nil
	}
	inner := bytes.TrimLeft(b[open:], "<")
	if end := bytes.IndexByte(inner, '>'); end >= 0 {
		inner = inner[:end]
	}
	inner = bytes.TrimSpace(inner)
	// A source route (RFC 5322 §4.4) comes before a colon.
	if len(inner) > 0 && inner[0] == '@' {
		if i := bytes.LastIndexByte(inner, ':'); i >= 0 {
			inner = inner[i+1:]
		}
	}
	if len(inner) == 0 {
		return nil, nil
	}
	return b[:open], inner
}

// splitBare finds the address in a mailbox without brackets.
func splitBare(b []byte) (name, addr []byte) {
	var q quotes
	var comment []byte
	var words [][]byte
	for rest := b; len(rest) > 0; {
		switch rest[0] {
		case ' ', '\t', '<', '>':
			rest = rest[1:]
			continue
		case '(':
			n := shortComment(rest)
			comment = bytes.Trim(rest[:n], "()")
			rest = rest[n:]
			continue
		}
		n := bytes.IndexAny(rest[1:], " \t(<>") + 1
		if n == 0 {
			n = len(rest)
		}
		if rest[0] == '"' {
			n = max(n, q.end(rest))
		}
		words = append(words, rest[:n])
		rest = rest[n:]
	}
	for i, w := range words {
		if at := bytes.LastIndexByte(w, '@'); at > 0 && at < len(w)-1 && w[0] != '=' {
			others := slices.Concat(words[:i], words[i+1:])
			if name = bytes.Join(others, []byte(" ")); len(name) == 0 {
				name = comment
			}
			return name, w
		}
	}
	if len(words) == 1 && len(comment) == 0 && !bytes.Contains(words[0], []byte("=?")) && words[0][0] != '"' {
		return nil, words[0] // "root", "MAILER-DAEMON"
	}
	return b, nil
}

// displayName decodes a phrase: quoted strings unquoted first, because many
// programs put encoded words into quotes (against RFC 2047 §5).
func displayName(b []byte) string {
	var q quotes
	var flat []byte
	for i := 0; i < len(b); {
		n := 1
		if b[i] != '"' {
			flat = append(flat, b[i])
		} else if n = q.end(b[i:]); n > 1 {
			v, _ := quotedString(b[i : i+n])
			flat = append(flat, v...)
		}
		i += n
	}
	name := oneLine(decodeWords(flat))
	for _, q := range []string{`"`, `'`} {
		if len(name) > 2 && strings.HasPrefix(name, q) && strings.HasSuffix(name, q) {
			name = strings.TrimSpace(name[1 : len(name)-1])
		}
	}
	return name
}

// cleanEmail returns an address without white space and control characters.
func cleanEmail(b []byte) string {
	b = bytes.Trim(b, " \t\"'<>,;")
	if bytes.HasPrefix(bytes.ToLower(b[:min(len(b), 7)]), []byte("mailto:")) {
		b = b[7:]
	}
	s := strings.Join(strings.Fields(oneLine(decodeWords(b))), "")
	if len(s) > maxEmail {
		return ""
	}
	return s
}

// messageIDs returns the message ids of a field without their brackets, at
// most limit of them.
func messageIDs(raw []byte, limit int) []string {
	var ids []string
	for len(raw) > 0 && len(ids) < limit {
		open := bytes.IndexByte(raw, '<')
		if open < 0 {
			break
		}
		raw = raw[open+1:]
		end := bytes.IndexByte(raw, '>')
		if end < 0 {
			break
		}
		if id := messageID(raw[:end]); id != "" {
			ids = append(ids, id)
		}
		raw = raw[end+1:]
	}
	return ids
}

// maxMessageID bounds one message id, octets (RFC 5322 §2.1.1: a line).
const maxMessageID = 998

// messageID cleans one id; folding may have left white space in it.
func messageID(raw []byte) string {
	id := strings.Join(strings.Fields(oneLine(strings.ToValidUTF8(string(raw), ""))), "")
	return cutString(id, maxMessageID)
}
