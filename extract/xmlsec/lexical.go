package xmlsec

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// xmlDeclaration reads the XML declaration, if there is one (XML 1.0 §2.8).
// The encoding was found before.
func (s *Scanner) xmlDeclaration() error {
	b, err := s.peek(6)
	if err != nil {
		return err
	}
	if len(b) < 6 || !bytes.HasPrefix(b, []byte("<?xml")) || !isSpace(rune(b[5])) {
		return nil
	}
	s.pos += 5
	for i, name := range []string{"version", "encoding", "standalone"} {
		spaced, err := s.skipSpaces()
		if err != nil {
			return err
		}
		b, err := s.peek(len(name))
		if err != nil {
			return err
		}
		if string(b) != name {
			if i == 0 {
				return s.bad("XML declaration without version")
			}
			continue
		}
		if !spaced && i > 0 {
			return s.bad("malformed XML declaration")
		}
		a, err := s.attribute(64)
		if err != nil {
			return err
		}
		if !validDeclaration(a) {
			return s.bad("malformed XML declaration")
		}
	}
	if err := s.skipSpace(); err != nil {
		return err
	}
	if err := s.expect('?'); err != nil {
		return err
	}
	return s.expect('>')
}

func validDeclaration(a rawAttr) bool {
	switch a.local {
	case "version":
		// A later version of 1.x is read as 1.0 (§2.8).
		minor, ok := strings.CutPrefix(a.value, "1.")
		return a.prefix == "" && ok && minor != "" && len(minor) < 4 && strings.Trim(minor, "0123456789") == ""
	case "encoding":
		return a.prefix == "" && a.value != ""
	case "standalone":
		return a.prefix == "" && (a.value == "yes" || a.value == "no")
	}
	return false
}

func (s *Scanner) skipSpace() error {
	_, err := s.skipSpaces()
	return err
}

// skipSpaces skips white space and tells whether there was any.
func (s *Scanner) skipSpaces() (bool, error) {
	for any := false; ; any = true {
		b, err := s.peek(1)
		if err != nil || len(b) == 0 || !isSpace(rune(b[0])) {
			return any, err
		}
		s.pos++
	}
}

func (s *Scanner) expect(c byte) error {
	b, err := s.peek(1)
	if err != nil {
		return err
	}
	if len(b) == 0 || b[0] != c {
		return s.bad("expected " + strconv.QuoteRune(rune(c)))
	}
	s.pos++
	return nil
}

// rawName reads a name; a qualified one may have one colon inside.
func (s *Scanner) rawName(qualified bool) (string, error) {
	s.data = s.data[:0]
	start := true
	for {
		b, err := s.peek(utf8.UTFMax)
		if err != nil {
			return "", err
		}
		r, size := utf8.DecodeRune(b)
		switch {
		case r == utf8.RuneError && size <= 1:
			if len(b) > 0 {
				return "", s.refuse(ErrEncoding, "not UTF-8")
			}
		case start && isNameStart(r), !start && isNameChar(r):
			s.pos += size
			start = false
			s.data = utf8.AppendRune(s.data, r)
			if len(s.data) > s.lim.Name {
				return "", s.refuse(ErrLimit, "name too long")
			}
			continue
		case r == ':' && qualified && !start:
			s.pos++
			qualified, start = false, true
			s.data = append(s.data, ':')
			continue
		}
		if start {
			return "", s.bad("expected a name")
		}
		return s.internBytes(s.data), nil
	}
}

// attribute reads name = "value", the value at most limit octets.
func (s *Scanner) attribute(limit int) (rawAttr, error) {
	raw, err := s.rawName(true)
	if err != nil {
		return rawAttr{}, err
	}
	if err := s.skipSpace(); err != nil {
		return rawAttr{}, err
	}
	if err := s.expect('='); err != nil {
		return rawAttr{}, err
	}
	if err := s.skipSpace(); err != nil {
		return rawAttr{}, err
	}
	quote, err := s.char()
	if err != nil {
		return rawAttr{}, err
	}
	if quote != '"' && quote != '\'' {
		return rawAttr{}, s.bad("attribute value without quotes")
	}
	prefix, local := splitName(raw)
	value, err := s.value(quote, limit)
	return rawAttr{prefix, local, value}, err
}

// value reads an attribute value to its closing quote. White space that stands
// there literally becomes a blank, one that is written as a reference stays
// (XML 1.0 §3.3.3): the difference decides digests.
func (s *Scanner) value(quote rune, limit int) (string, error) {
	s.data = s.data[:0]
	for {
		if len(s.data) > limit {
			return "", s.refuse(ErrLimit, "attributes too long")
		}
		r, err := s.char()
		switch {
		case err != nil:
			return "", err
		case r == quote:
			return s.internBytes(s.data), nil
		case r == '<':
			return "", s.bad("< in an attribute value")
		case r == '&':
			if r, err = s.reference(); err != nil {
				return "", err
			}
		case r == '\t' || r == '\n':
			r = ' '
		}
		s.data = utf8.AppendRune(s.data, r)
	}
}

// reference reads what follows "&": one of the five entities that need no DTD,
// or a character reference.
func (s *Scanner) reference() (rune, error) {
	b, err := s.peek(12)
	if err != nil {
		return 0, err
	}
	end := bytes.IndexByte(b, ';')
	if end < 1 {
		return 0, s.bad("malformed reference")
	}
	name := string(b[:end])
	s.pos += end + 1
	if name[0] == '#' {
		return s.charReference(name[1:])
	}
	switch name {
	case "lt":
		return '<', nil
	case "gt":
		return '>', nil
	case "amp":
		return '&', nil
	case "apos":
		return '\'', nil
	case "quot":
		return '"', nil
	}
	return 0, s.bad("unknown entity")
}

func (s *Scanner) charReference(digits string) (rune, error) {
	base := 10
	if len(digits) > 0 && digits[0] == 'x' {
		base, digits = 16, digits[1:]
	}
	if len(digits) == 0 || digits[0] == '+' || digits[0] == '-' || bytes.IndexByte([]byte(digits), '_') >= 0 {
		return 0, s.bad("malformed character reference")
	}
	n, err := strconv.ParseUint(digits, base, 32)
	if err != nil || n > utf8.MaxRune || !isChar(rune(n)) {
		return 0, s.bad("reference to a character not allowed in XML")
	}
	return rune(n), nil
}

// text reads one piece of character data.
func (s *Scanner) text() (*Token, error) {
	if err := s.count(); err != nil {
		return nil, err
	}
	s.data = s.data[:0]
	for len(s.data) < chunk {
		b, err := s.peek(utf8.UTFMax)
		if err != nil {
			return nil, err
		}
		if len(b) == 0 {
			return nil, s.bad("the document ends inside an element")
		}
		switch {
		case b[0] == '<':
			return s.emit(Text), nil
		case plain[b[0]]:
			s.run()
			continue
		case bytes.HasPrefix(b, []byte("]]>")):
			return nil, s.bad("]]> in text")
		}
		r, err := s.char()
		if err == nil && r == '&' && b[0] == '&' {
			r, err = s.reference()
		}
		if err != nil {
			return nil, err
		}
		s.data = utf8.AppendRune(s.data, r)
	}
	return s.emit(Text), nil
}

// run takes the plain characters at hand.
func (s *Scanner) run() {
	stop := min(s.end, s.pos+chunk-len(s.data))
	i := s.pos
	for i < stop && plain[s.buf[i]] {
		i++
	}
	s.data = append(s.data, s.buf[s.pos:i]...)
	s.pos = i
}

// cdataText reads one piece of a CDATA section; nil when it ended without.
func (s *Scanner) cdataText() (*Token, error) {
	s.data = s.data[:0]
	for len(s.data) < chunk {
		b, err := s.peek(utf8.UTFMax)
		if err != nil {
			return nil, err
		}
		if bytes.HasPrefix(b, []byte("]]>")) {
			s.pos += 3
			s.cdata = false
			break
		}
		if len(b) > 0 && plain[b[0]] {
			s.run()
			continue
		}
		r, err := s.char()
		if err != nil {
			return nil, err
		}
		s.data = utf8.AppendRune(s.data, r)
	}
	if len(s.data) == 0 {
		return nil, nil
	}
	if err := s.count(); err != nil {
		return nil, err
	}
	return s.emit(Text), nil
}

// comment reads a comment; "--" is not allowed inside (XML 1.0 §2.5).
func (s *Scanner) comment() (*Token, error) {
	s.pos += 4
	if err := s.until("--"); err != nil {
		return nil, err
	}
	if err := s.expect('>'); err != nil {
		return nil, err
	}
	return s.emit(Comment), nil
}

// instruction reads a processing instruction.
func (s *Scanner) instruction() (*Token, error) {
	s.pos += 2
	target, err := s.rawName(false)
	if err != nil {
		return nil, err
	}
	if len(target) == 3 && bytes.EqualFold([]byte(target), []byte("xml")) {
		return nil, s.bad("XML declaration not at the beginning")
	}
	spaced, err := s.skipSpaces()
	if err != nil {
		return nil, err
	}
	b, err := s.peek(2)
	if err != nil {
		return nil, err
	}
	if !spaced && string(b) != "?>" {
		return nil, s.bad("malformed processing instruction")
	}
	if err := s.until("?>"); err != nil {
		return nil, err
	}
	t := s.emit(Instruction)
	t.Name.Local = target
	return t, nil
}

// until reads up to and over mark into data.
func (s *Scanner) until(mark string) error {
	if err := s.count(); err != nil {
		return err
	}
	s.data = s.data[:0]
	for {
		b, err := s.peek(len(mark))
		if err != nil {
			return err
		}
		if string(b) == mark {
			s.pos += len(mark)
			return nil
		}
		r, err := s.char()
		if err != nil {
			return err
		}
		s.data = utf8.AppendRune(s.data, r)
		if len(s.data) > s.lim.Value {
			return s.refuse(ErrLimit, "comment or instruction too long")
		}
	}
}
