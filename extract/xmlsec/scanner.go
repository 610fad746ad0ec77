package xmlsec

import (
	"bytes"
	"io"
	"unicode/utf8"
)

// Kind is what a token or node is.
type Kind uint8

// The kinds of tokens and nodes.
const (
	Element     Kind = iota + 1 // a start tag; as a node the element
	EndElement                  // tokens only; also follows an empty-element tag
	Text                        // character data, CDATA or not
	Comment                     //
	Instruction                 // processing instruction; Name.Local is the target
)

// Name is an expanded name together with the prefix it was written with.
type Name struct{ Prefix, Local, Space string }

// Attr is one attribute that is no namespace declaration. Value is normalised
// as XML 1.0 §3.3.3 says for CDATA: literal white space is a blank, character
// references are what they name. That is what canonicalisation starts from.
type Attr struct {
	Name  Name
	Value string
}

// Binding is one namespace declaration; Space "" un-declares the default.
type Binding struct{ Prefix, Space string }

// Token is one piece of a document. Attrs and Declared belong to the caller;
// Data is valid until the next call of Next.
type Token struct {
	Kind     Kind
	Name     Name
	Attrs    []Attr    // in document order
	Declared []Binding // in document order
	Data     []byte    // of Text (one piece of it), Comment, Instruction
}

// chunk is the size of the pieces in which text is returned.
const chunk = 32 << 10

// Scanner reads a document token by token in memory that does not depend on
// the document's size, and refuses what is not well-formed. Line ends are
// normalised, references resolved.
type Scanner struct {
	// Encoding is that of the document ("UTF-8", "windows-1250", …).
	Encoding string

	src  io.Reader
	lim  Limits
	buf  []byte
	pos  int // next octet in buf
	end  int // end of what is in buf
	base int64
	rerr error // of src, once buf is used up
	fail error

	open  []opened
	scope []Binding
	names map[string]string
	nodes int

	started  bool // XML declaration looked for
	rooted   bool // root element seen
	cdata    bool // inside a CDATA section
	pending  bool // an empty-element tag still owes its end
	data     []byte
	token    Token
	rawAttrs []rawAttr
}

type opened struct {
	name     Name
	raw      string // as written
	bindings int    // len(scope) before the element
}

type rawAttr struct{ prefix, local, value string }

// NewScanner starts to read a document: it finds out the encoding.
func NewScanner(r io.Reader, lim Limits) (*Scanner, error) {
	lim = lim.withDefaults()
	src, encoding, err := decode(r, lim.Octets)
	if err != nil {
		return nil, err
	}
	return &Scanner{Encoding: encoding, src: src, lim: lim, buf: make([]byte, 2*chunk), names: map[string]string{}}, nil
}

// Next returns the next token, io.EOF after the last one, or why the document
// is refused.
func (s *Scanner) Next() (*Token, error) {
	if s.fail != nil {
		return nil, s.fail
	}
	t, err := s.next()
	if err != nil {
		s.fail = err
		return nil, err
	}
	return t, nil
}

// Depth is the number of open elements.
func (s *Scanner) Depth() int { return len(s.open) }

// Scope returns the namespace bindings in scope, outermost first.
func (s *Scanner) Scope() []Binding { return append([]Binding(nil), s.scope...) }

func (s *Scanner) next() (*Token, error) {
	if !s.started {
		s.started = true
		if err := s.xmlDeclaration(); err != nil {
			return nil, err
		}
	}
	if s.pending {
		s.pending = false
		return s.closeElement(), nil
	}
	if s.cdata {
		if t, err := s.cdataText(); t != nil || err != nil {
			return t, err
		}
	}
	if len(s.open) == 0 {
		return s.outside()
	}
	for {
		b, err := s.peek(1)
		if err != nil {
			return nil, err
		}
		if len(b) == 0 {
			return nil, s.bad("the document ends inside an element")
		}
		if b[0] != '<' {
			return s.text()
		}
		t, err := s.markup()
		if t != nil || err != nil {
			return t, err
		}
	}
}

// outside reads prolog and epilog.
func (s *Scanner) outside() (*Token, error) {
	if err := s.skipSpace(); err != nil {
		return nil, err
	}
	b, err := s.peek(1)
	if err != nil {
		return nil, err
	}
	if len(b) == 0 {
		if !s.rooted {
			return nil, s.bad("no element")
		}
		return nil, io.EOF
	}
	if b[0] != '<' {
		return nil, s.bad("text outside the root element")
	}
	return s.markup()
}

// markup reads one construct that begins with "<". It returns nil for an empty
// CDATA section.
func (s *Scanner) markup() (*Token, error) {
	b, err := s.peek(9)
	if err != nil {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(b, []byte("</")):
		return s.endTag()
	case bytes.HasPrefix(b, []byte("<?")):
		return s.instruction()
	case bytes.HasPrefix(b, []byte("<!--")):
		return s.comment()
	case bytes.HasPrefix(b, []byte("<![CDATA[")) && len(s.open) > 0:
		s.pos += 9
		s.cdata = true
		return s.cdataText()
	case bytes.HasPrefix(b, []byte("<!DOCTYPE")):
		return nil, s.refuse(ErrDTD, "DOCTYPE")
	case bytes.HasPrefix(b, []byte("<!")):
		return nil, s.bad("unknown declaration")
	}
	return s.startTag()
}

// count adds one node.
func (s *Scanner) count() error {
	if s.nodes++; s.nodes > s.lim.Nodes {
		return s.refuse(ErrLimit, "too many nodes")
	}
	return nil
}

func (s *Scanner) emit(k Kind) *Token {
	s.token = Token{Kind: k, Data: s.data}
	return &s.token
}

func (s *Scanner) endTag() (*Token, error) {
	s.pos += 2
	raw, err := s.rawName(true)
	if err != nil {
		return nil, err
	}
	if err := s.skipSpace(); err != nil {
		return nil, err
	}
	if err := s.expect('>'); err != nil {
		return nil, err
	}
	if len(s.open) == 0 || s.open[len(s.open)-1].raw != raw {
		return nil, s.bad("end tag does not fit its start tag")
	}
	return s.closeElement(), nil
}

func (s *Scanner) closeElement() *Token {
	top := s.open[len(s.open)-1]
	s.open = s.open[:len(s.open)-1]
	s.scope = s.scope[:top.bindings]
	s.token = Token{Kind: EndElement, Name: top.name}
	return &s.token
}

func (s *Scanner) startTag() (*Token, error) {
	if len(s.open) == 0 && s.rooted {
		return nil, s.bad("second root element")
	}
	if len(s.open) >= s.lim.Depth {
		return nil, s.refuse(ErrLimit, "elements nested too deeply")
	}
	if err := s.count(); err != nil {
		return nil, err
	}
	s.pos++
	raw, err := s.rawName(true)
	if err != nil {
		return nil, err
	}
	declared, err := s.attributes()
	if err != nil {
		return nil, err
	}
	bindings := len(s.scope)
	s.scope = append(s.scope, declared...)
	if len(s.scope) > s.lim.Bindings {
		return nil, s.refuse(ErrLimit, "too many namespace declarations")
	}
	name, err := s.resolve(splitName(raw))
	if err != nil {
		return nil, err
	}
	attrs, err := s.resolveAttrs()
	if err != nil {
		return nil, err
	}
	s.rooted = true
	s.open = append(s.open, opened{name: name, raw: raw, bindings: bindings})
	s.token = Token{Kind: Element, Name: name, Attrs: attrs, Declared: declared}
	return &s.token, nil
}

// attributes reads up to the end of a start tag into rawAttrs and returns the
// namespace declarations.
func (s *Scanner) attributes() ([]Binding, error) {
	s.rawAttrs = s.rawAttrs[:0]
	var declared []Binding
	for total, n := 0, 0; ; n++ {
		spaced, err := s.skipSpaces()
		if err != nil {
			return nil, err
		}
		b, err := s.peek(2)
		switch {
		case err != nil:
			return nil, err
		case bytes.HasPrefix(b, []byte(">")):
			s.pos++
			return declared, nil
		case bytes.Equal(b, []byte("/>")):
			s.pos += 2
			s.pending = true
			return declared, nil
		case !spaced:
			return nil, s.bad("no white space before an attribute")
		case n >= s.lim.Attributes:
			return nil, s.refuse(ErrLimit, "too many attributes")
		}
		a, err := s.attribute(s.lim.Value - total)
		if err != nil {
			return nil, err
		}
		total += len(a.value)
		if a.prefix != "xmlns" && (a.prefix != "" || a.local != "xmlns") {
			s.rawAttrs = append(s.rawAttrs, a)
			continue
		}
		if declared, err = s.declare(declared, a); err != nil {
			return nil, err
		}
	}
}

func (s *Scanner) bad(message string) error { return s.refuse(ErrSyntax, message) }

func (s *Scanner) refuse(kind error, message string) error {
	return &Error{Kind: kind, Offset: s.base + int64(s.pos), Message: message}
}

// peek returns up to n octets without taking them; fewer only at the end of
// the document. n must be far smaller than the buffer.
func (s *Scanner) peek(n int) ([]byte, error) {
	for empty := 0; s.end-s.pos < n && s.rerr == nil; empty++ {
		if s.pos > 0 {
			copy(s.buf, s.buf[s.pos:s.end])
			s.base += int64(s.pos)
			s.end -= s.pos
			s.pos = 0
		}
		var got int
		got, s.rerr = s.src.Read(s.buf[s.end:])
		s.end += got
		if empty > 100 && s.rerr == nil { // a reader that never gives anything
			s.rerr = io.ErrNoProgress
		}
	}
	if s.rerr != nil && s.rerr != io.EOF && s.end-s.pos < n {
		return nil, s.rerr
	}
	return s.buf[s.pos:min(s.end, s.pos+n)], nil
}

// char takes one character, checked and with line ends normalised (XML 1.0
// §2.11). At the end of the document it refuses.
func (s *Scanner) char() (rune, error) {
	b, err := s.peek(utf8.UTFMax)
	if err != nil {
		return 0, err
	}
	if len(b) == 0 {
		return 0, s.bad("the document ends too early")
	}
	if b[0] == '\r' {
		s.pos++
		if len(b) > 1 && b[1] == '\n' {
			s.pos++
		}
		return '\n', nil
	}
	r, size := utf8.DecodeRune(b)
	if r == utf8.RuneError && size <= 1 {
		return 0, s.refuse(ErrEncoding, "not UTF-8")
	}
	if !isChar(r) {
		return 0, s.bad("character not allowed in XML")
	}
	s.pos += size
	return r, nil
}
