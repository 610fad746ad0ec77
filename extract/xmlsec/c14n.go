package xmlsec

import (
	"bufio"
	"io"
	"slices"
	"strings"
)

// The canonicalisation algorithms, as they are named in signatures.
const (
	C14N10             = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
	C14N10WithComments = C14N10 + "#WithComments"
	C14N11             = "http://www.w3.org/2006/12/xml-c14n11"
	C14N11WithComments = C14N11 + "#WithComments"
	ExcC14N            = spaceExcC14
	ExcC14NComments    = spaceExcC14 + "WithComments"
)

// Method is a canonicalisation algorithm with its parameter.
type Method struct {
	Algorithm string
	// Prefixes is the PrefixList of InclusiveNamespaces (Exclusive C14N §2.1);
	// "#default" is the default namespace.
	Prefixes []string
}

func (m Method) valid() bool {
	switch m.Algorithm {
	case C14N10, C14N10WithComments, C14N11, C14N11WithComments, ExcC14N, ExcC14NComments:
		return true
	}
	return false
}

// Canonicalizer writes the canonical form of a stream of tokens in memory that
// does not depend on its length. Feed it every token of the document, or of
// one element with its context.
type Canonicalizer struct {
	w        *bufio.Writer
	m        Method
	exc      bool
	comments bool

	scope    []Binding // in scope
	rendered []Binding // as the output's ancestors have them
	marks    []mark
	context  []Attr // xml: attributes of ancestors that the first element inherits
	after    bool   // the root element is behind us
	inner    bool   // one element of a document: nothing stands around it
}

type mark struct {
	name            Name
	scope, rendered int
}

// NewCanonicalizer starts the canonical form of a whole document on w.
// Returns ErrUnsupported for an unknown algorithm.
func NewCanonicalizer(w io.Writer, m Method) (*Canonicalizer, error) {
	if !m.valid() {
		return nil, &Error{Kind: ErrUnsupported, Message: "canonicalisation"}
	}
	return &Canonicalizer{
		w: bufio.NewWriterSize(w, 4<<10), m: m,
		exc:      strings.HasPrefix(m.Algorithm, spaceExcC14),
		comments: strings.HasSuffix(m.Algorithm, "WithComments"),
	}, nil
}

// Within says that what follows is one element whose ancestors give these
// namespace bindings (outermost first) and have these attributes.
func (c *Canonicalizer) Within(scope []Binding, ancestors [][]Attr) error {
	c.inner = true
	c.scope = append(c.scope, scope...)
	if c.exc {
		return nil
	}
	for _, attrs := range ancestors { // outermost first; the nearest wins
		for _, a := range attrs {
			if a.Name.Space != SpaceXML {
				continue
			}
			if strings.HasPrefix(c.m.Algorithm, C14N11) {
				if a.Name.Local == "base" {
					// The fix-up of C14N 1.1 §2.4 is refused rather than
					// guessed: no letter of ours has one.
					return &Error{Kind: ErrUnsupported, Message: "xml:base above a signed element"}
				}
				if a.Name.Local != "lang" && a.Name.Local != "space" {
					continue
				}
			}
			c.context = slices.DeleteFunc(c.context, func(b Attr) bool { return b.Name.Local == a.Name.Local })
			c.context = append(c.context, a)
		}
	}
	return nil
}

// Token writes one token.
func (c *Canonicalizer) Token(t *Token) error {
	switch t.Kind {
	case Element:
		return c.start(t.Name, t.Attrs, t.Declared)
	case EndElement:
		c.finish()
	case Text:
		if len(c.marks) > 0 {
			escapeText(c.w, t.Data)
		}
	case Comment:
		if c.comments {
			c.aside("<!--", string(t.Data), "-->")
		}
	case Instruction:
		data := string(t.Data)
		if data != "" {
			data = " " + data
		}
		c.aside("<?", t.Name.Local+data, "?>")
	}
	return nil
}

// Close flushes what was written and returns the first write error.
func (c *Canonicalizer) Close() error { return c.w.Flush() }

// aside writes a comment or instruction; outside the root element it is set
// apart by a line feed (C14N 1.0 §2.3).
func (c *Canonicalizer) aside(open, content, end string) {
	outside := len(c.marks) == 0 && !c.inner
	if outside && c.after {
		c.w.WriteByte('\n')
	}
	c.w.WriteString(open)
	for i := 0; i < len(content); i++ {
		if content[i] == '\r' {
			c.w.WriteString("&#xD;")
		} else {
			c.w.WriteByte(content[i])
		}
	}
	c.w.WriteString(end)
	if outside && !c.after {
		c.w.WriteByte('\n')
	}
}

func (c *Canonicalizer) start(name Name, attrs []Attr, declared []Binding) error {
	first := len(c.marks) == 0
	c.marks = append(c.marks, mark{name, len(c.scope), len(c.rendered)})
	for _, b := range declared {
		if b.Space != "" && !absolute(b.Space) { // C14N 1.0 §1.3 demands failure
			return &Error{Kind: ErrUnsupported, Message: "relative namespace name"}
		}
	}
	c.scope = append(c.scope, declared...)
	out := c.namespaces(name, attrs, declared, first)
	c.rendered = append(c.rendered, out...)

	if first && len(c.context) > 0 {
		attrs = inherit(attrs, c.context)
	}
	sorted := slices.Clone(attrs)
	slices.SortFunc(sorted, func(a, b Attr) int {
		if r := strings.Compare(a.Name.Space, b.Name.Space); r != 0 {
			return r
		}
		return strings.Compare(a.Name.Local, b.Name.Local)
	})
	c.w.WriteByte('<')
	writeName(c.w, name)
	for _, b := range out {
		c.w.WriteString(" xmlns")
		if b.Prefix != "" {
			c.w.WriteByte(':')
			c.w.WriteString(b.Prefix)
		}
		c.attrValue(b.Space)
	}
	for _, a := range sorted {
		c.w.WriteByte(' ')
		writeName(c.w, a.Name)
		c.attrValue(a.Value)
	}
	return c.w.WriteByte('>')
}

func (c *Canonicalizer) attrValue(v string) {
	c.w.WriteString(`="`)
	escapeAttr(c.w, v)
	c.w.WriteByte('"')
}

func (c *Canonicalizer) finish() {
	top := c.marks[len(c.marks)-1]
	c.marks = c.marks[:len(c.marks)-1]
	c.scope, c.rendered = c.scope[:top.scope], c.rendered[:top.rendered]
	c.w.WriteString("</")
	writeName(c.w, top.name)
	c.w.WriteByte('>')
	if len(c.marks) == 0 {
		c.after = true
	}
}

// namespaces returns the declarations that the element must carry, sorted by
// prefix: inclusive, those in scope that differ from the output's parent
// (C14N 1.0 §2.3); exclusive, those visibly utilised or listed that do so
// (Exclusive C14N §3).
func (c *Canonicalizer) namespaces(name Name, attrs []Attr, declared []Binding, first bool) []Binding {
	var out []Binding
	consider := func(prefix string) {
		if prefix == "xml" || slices.ContainsFunc(out, func(b Binding) bool { return b.Prefix == prefix }) {
			return
		}
		space, _ := lookup(c.scope, prefix)
		if have, _ := lookup(c.rendered, prefix); have != space {
			out = append(out, Binding{prefix, space})
		}
	}
	switch {
	case c.exc:
		consider(name.Prefix)
		for _, a := range attrs {
			if a.Name.Prefix != "" {
				consider(a.Name.Prefix)
			}
		}
		for _, p := range c.m.Prefixes {
			if p == "#default" {
				p = ""
			}
			if _, ok := lookup(c.scope, p); ok {
				consider(p)
			}
		}
	case first:
		for _, b := range c.scope {
			consider(b.Prefix)
		}
	default:
		for _, b := range declared {
			consider(b.Prefix)
		}
	}
	slices.SortFunc(out, func(a, b Binding) int { return strings.Compare(a.Prefix, b.Prefix) })
	return out
}

// inherit adds the ancestors' xml: attributes that the element has not itself.
func inherit(attrs, context []Attr) []Attr {
	out := slices.Clone(attrs)
	for _, a := range context {
		if _, ok := attr(attrs, SpaceXML, a.Name.Local); !ok {
			out = append(out, a)
		}
	}
	return out
}

// absolute tells whether a namespace name has a scheme (RFC 3986 §3.1).
func absolute(uri string) bool {
	for i := 0; i < len(uri); i++ {
		c := uri[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		case i > 0 && (c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.'):
		default:
			return i > 0 && c == ':'
		}
	}
	return false
}

func writeName(w *bufio.Writer, n Name) {
	if n.Prefix != "" {
		w.WriteString(n.Prefix)
		w.WriteByte(':')
	}
	w.WriteString(n.Local)
}

func escapeText(w *bufio.Writer, data []byte) {
	from := 0
	for i, b := range data {
		var to string
		switch b {
		case '&':
			to = "&amp;"
		case '<':
			to = "&lt;"
		case '>':
			to = "&gt;"
		case '\r':
			to = "&#xD;"
		default:
			continue
		}
		w.Write(data[from:i])
		w.WriteString(to)
		from = i + 1
	}
	w.Write(data[from:])
}

func escapeAttr(w *bufio.Writer, v string) {
	from := 0
	for i := 0; i < len(v); i++ {
		var to string
		switch v[i] {
		case '&':
			to = "&amp;"
		case '<':
			to = "&lt;"
		case '"':
			to = "&quot;"
		case '\t':
			to = "&#x9;"
		case '\n':
			to = "&#xA;"
		case '\r':
			to = "&#xD;"
		default:
			continue
		}
		w.WriteString(v[from:i])
		w.WriteString(to)
		from = i + 1
	}
	w.WriteString(v[from:])
}

// Canonical writes the canonical form of the whole document, without the
// subtrees that omit (may be nil) returns true for.
func (d *Document) Canonical(w io.Writer, m Method, omit func(*Node) bool) error {
	c, err := NewCanonicalizer(w, m)
	if err != nil {
		return err
	}
	for _, n := range d.Nodes {
		if err := c.node(n, omit); err != nil {
			return err
		}
	}
	return c.Close()
}

// Canonical writes the canonical form of the element and what is in it, in the
// context of its ancestors.
func (n *Node) Canonical(w io.Writer, m Method, omit func(*Node) bool) error {
	c, err := NewCanonicalizer(w, m)
	if err != nil {
		return err
	}
	var ancestors [][]Attr
	for p := n.Parent; p != nil; p = p.Parent {
		ancestors = append(ancestors, p.Attrs)
	}
	slices.Reverse(ancestors)
	if err := c.Within(n.scope(), ancestors); err != nil {
		return err
	}
	if err := c.node(n, omit); err != nil {
		return err
	}
	return c.Close()
}

func (c *Canonicalizer) node(n *Node, omit func(*Node) bool) error {
	if omit != nil && omit(n) {
		return nil
	}
	if n.Kind != Element {
		return c.Token(&Token{Kind: n.Kind, Name: n.Name, Data: []byte(n.Text)})
	}
	if err := c.start(n.Name, n.Attrs, n.Declared); err != nil {
		return err
	}
	for _, child := range n.Children {
		if err := c.node(child, omit); err != nil {
			return err
		}
	}
	c.finish()
	return nil
}
