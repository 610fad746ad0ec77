package xmlsec

import (
	"io"
	"strings"
)

// Node is one element, text, comment or instruction of a tree.
type Node struct {
	Kind     Kind
	Name     Name      // of an element; target of an instruction
	Attrs    []Attr    // in document order
	Declared []Binding // in document order
	Text     string    // of text, comment, instruction
	Parent   *Node     // nil at the top
	Children []*Node
}

// Document is a parsed document.
type Document struct {
	Nodes    []*Node // what stands at the top, in order: instructions, comments, the root
	Root     *Node
	Encoding string
}

// Divert is asked at each start tag: if it returns a writer, the text that
// stands directly in that element goes there and is not kept in the tree, so
// that an attachment of 60 MB costs no memory. A writer that is an io.Closer
// is closed at the end tag; its errors end the parse. The node has its
// ancestors and their attributes, but no children yet.
type Divert func(n *Node) io.Writer

// Parse reads a whole document into a tree. divert may be nil.
func Parse(r io.Reader, lim Limits, divert Divert) (*Document, error) {
	s, err := NewScanner(r, lim)
	if err != nil {
		return nil, err
	}
	d := &Document{Encoding: s.Encoding}
	b := builder{s: s, divert: divert, left: s.lim.Text}
	for {
		t, err := s.Next()
		if err == io.EOF {
			return d, nil
		}
		if err != nil {
			return nil, err
		}
		n, err := b.node(t, nil)
		if err != nil {
			return nil, err
		}
		if n.Kind == Element {
			d.Root = n
		}
		d.Nodes = append(d.Nodes, n)
	}
}

// Tree reads the element whose start tag t was just returned by Next, up to its
// end tag, into a tree below parent (nil for none). parent does not get it as
// a child.
func (s *Scanner) Tree(t *Token, parent *Node) (*Node, error) {
	b := builder{s: s, left: s.lim.Text}
	return b.node(t, parent)
}

type builder struct {
	s      *Scanner
	divert Divert
	left   int64 // octets of text that may still be kept
}

// frame is an element that is being filled.
type frame struct {
	node *Node
	text []byte
	sink io.Writer
}

// node makes a node of t and, if it is an element, of everything in it.
func (b *builder) node(t *Token, parent *Node) (*Node, error) {
	top := b.leaf(t, parent)
	if top.Kind != Element {
		return top, b.keep(len(top.Text))
	}
	stack := []frame{b.frame(top)}
	for len(stack) > 0 {
		t, err := b.s.Next()
		if err == io.EOF {
			err = io.ErrUnexpectedEOF // Next is not at the start tag it was said to be
		}
		if err != nil {
			return nil, err
		}
		f := &stack[len(stack)-1]
		if t.Kind == Text {
			if err := b.text(f, t.Data); err != nil {
				return nil, err
			}
			continue
		}
		f.flush()
		if t.Kind == EndElement {
			if err := f.close(); err != nil {
				return nil, err
			}
			stack = stack[:len(stack)-1]
			continue
		}
		n := b.leaf(t, f.node)
		f.node.Children = append(f.node.Children, n)
		if err := b.keep(len(n.Text)); err != nil {
			return nil, err
		}
		if n.Kind == Element {
			stack = append(stack, b.frame(n))
		}
	}
	return top, nil
}

func (b *builder) leaf(t *Token, parent *Node) *Node {
	n := &Node{Kind: t.Kind, Name: t.Name, Attrs: t.Attrs, Declared: t.Declared, Parent: parent}
	if t.Kind != Element {
		n.Text = string(t.Data)
	}
	return n
}

func (b *builder) frame(n *Node) frame {
	f := frame{node: n}
	if b.divert != nil {
		f.sink = b.divert(n)
	}
	return f
}

func (b *builder) text(f *frame, data []byte) error {
	if f.sink != nil {
		_, err := f.sink.Write(data)
		return err
	}
	f.text = append(f.text, data...)
	return b.keep(len(data))
}

func (b *builder) keep(n int) error {
	if b.left -= int64(n); b.left < 0 {
		return b.s.refuse(ErrLimit, "too much text")
	}
	return nil
}

func (f *frame) flush() {
	if len(f.text) == 0 {
		return
	}
	f.node.Children = append(f.node.Children, &Node{Kind: Text, Text: string(f.text), Parent: f.node})
	f.text = f.text[:0]
}

func (f *frame) close() error {
	if c, ok := f.sink.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// Is tells whether the node is the element with this namespace and local name.
func (n *Node) Is(space, local string) bool {
	return n != nil && n.Kind == Element && n.Name.Local == local && n.Name.Space == space
}

// Elements returns the child elements.
func (n *Node) Elements() []*Node {
	if n == nil {
		return nil
	}
	var out []*Node
	for _, c := range n.Children {
		if c.Kind == Element {
			out = append(out, c)
		}
	}
	return out
}

// Child returns the first child element of that name, nil if there is none.
func (n *Node) Child(space, local string) *Node {
	if n == nil {
		return nil
	}
	for _, c := range n.Children {
		if c.Is(space, local) {
			return c
		}
	}
	return nil
}

// Attr returns the value of an attribute and whether it is there.
func (n *Node) Attr(space, local string) (string, bool) {
	if n == nil {
		return "", false
	}
	return attr(n.Attrs, space, local)
}

func attr(attrs []Attr, space, local string) (string, bool) {
	for _, a := range attrs {
		if a.Name.Local == local && a.Name.Space == space {
			return a.Value, true
		}
	}
	return "", false
}

// Content returns all text in the element and below, in order, as XPath's
// string() does.
func (n *Node) Content() string {
	if n == nil {
		return ""
	}
	var b strings.Builder
	n.content(&b)
	return b.String()
}

func (n *Node) content(b *strings.Builder) {
	if n.Kind == Text {
		b.WriteString(n.Text)
	}
	for _, c := range n.Children {
		c.content(b) // as deep as Limits.Depth
	}
}

// Walk calls f for n and everything below in document order; f returns false
// to leave out what is below a node.
func (n *Node) Walk(f func(*Node) bool) {
	if n == nil || !f(n) {
		return
	}
	for _, c := range n.Children {
		c.Walk(f)
	}
}

// scope returns the namespace bindings that the ancestors of n give, outermost
// first.
func (n *Node) scope() []Binding {
	if n.Parent == nil {
		return nil
	}
	return append(n.Parent.scope(), n.Parent.Declared...)
}

// TextReader returns a reader of the text of the element whose start tag Next
// returned last, without that of elements inside it, up to its end tag.
func (s *Scanner) TextReader() io.Reader { return &textReader{s: s, depth: s.Depth()} }

type textReader struct {
	s     *Scanner
	depth int
	rest  []byte
	done  bool
}

func (t *textReader) Read(p []byte) (int, error) {
	for len(t.rest) == 0 {
		if t.done {
			return 0, io.EOF
		}
		tok, err := t.s.Next()
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return 0, err
		}
		switch {
		case tok.Kind == Text && t.s.Depth() == t.depth:
			t.rest = tok.Data
		case t.s.Depth() < t.depth:
			t.done = true
		}
	}
	n := copy(p, t.rest)
	t.rest = t.rest[n:]
	return n, nil
}
