package configs

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxFile bounds a configuration file, in octets.
const maxFile = 1 << 20

// unknownValue is what people write where the office has not said yet.
const unknownValue = "unknown"

// document is one parsed YAML file: the tree, its source for error messages,
// and what was found wrong so far.
type document struct {
	name     string
	lines    []string
	root     *ast.MappingNode
	problems Problems
	unknown  []path // where the file says "unknown"
	hidden   []int  // lines that hold a secret and are not shown
}

// parse reads YAML into a document. It returns Problems when the text is no
// YAML mapping.
func parse(data []byte, name string) (*document, error) {
	d := &document{name: name, lines: strings.Split(string(data), "\n")}
	if len(data) > maxFile {
		return nil, Problems{{File: name, Message: fmt.Sprintf("the file has %d octets, more than the limit of %d", len(data), maxFile)}}
	}
	file, err := parseYAML(data)
	if err != nil {
		return nil, d.syntaxError(err)
	}
	switch {
	case len(file.Docs) > 1:
		d.at(file.Docs[1].Start, "a second YAML document begins here: a configuration file is one document")
		return nil, d.problems
	case len(file.Docs) == 0 || file.Docs[0].Body == nil:
		return nil, Problems{{File: name, Message: "the file is empty"}}
	}
	root, ok := file.Docs[0].Body.(*ast.MappingNode)
	if !ok {
		d.at(file.Docs[0].Body.GetToken(), "expected keys and values (\"id: lublin\")")
		return nil, d.problems
	}
	d.root = root
	return d, nil
}

// parseYAML guards against panics of the parser, which is not ours: a bad file
// must give an error whatever it holds.
func parseYAML(data []byte) (file *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("this is not YAML: %v", r)
		}
	}()
	return parser.ParseBytes(data, 0)
}

func (d *document) syntaxError(err error) error {
	var at yaml.Error
	if errors.As(err, &at) && at.GetToken() != nil {
		d.at(at.GetToken(), "%s", at.GetMessage())
		return d.problems
	}
	return Problems{{File: d.name, Message: err.Error()}}
}

// at records a problem at a token.
func (d *document) at(t *token.Token, format string, args ...any) {
	p := Problem{File: d.name, Message: fmt.Sprintf(format, args...)}
	if t != nil && t.Position != nil {
		p.Line, p.Column = t.Position.Line, t.Position.Column
		p.source, p.before = d.line(p.Line), d.line(p.Line-1)
	}
	d.problems = append(d.problems, p)
}

// hide keeps the line of a token out of messages.
func (d *document) hide(t *token.Token) {
	if t != nil && t.Position != nil {
		d.hidden = append(d.hidden, t.Position.Line)
	}
}

func (d *document) line(n int) string {
	if n < 1 || n > len(d.lines) {
		return ""
	}
	if slices.Contains(d.hidden, n) {
		return "(not shown)"
	}
	return strings.TrimRight(d.lines[n-1], "\r")
}

// path is a place in the tree: keys (string) and list positions (int).
type path []any

// with returns the path extended by steps.
func (p path) with(steps ...any) path {
	return append(append(make(path, 0, len(p)+len(steps)), p...), steps...)
}

// String writes the path as people do: "mailboxes[0].server".
func (p path) String() string {
	var b strings.Builder
	for _, s := range p {
		switch s := s.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", s)
		default:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			fmt.Fprint(&b, s)
		}
	}
	return b.String()
}

// wrong records a problem with the value at a path; when the value is not
// there, at the nearest place above it.
func (d *document) wrong(p path, format string, args ...any) {
	d.at(d.find(p), format, args...)
}

// find returns the token of the value at p or of the nearest place above.
func (d *document) find(p path) *token.Token {
	var node ast.Node = d.root
	at := firstToken(d.root)
	for _, step := range p {
		switch s := step.(type) {
		case int:
			list, ok := node.(*ast.SequenceNode)
			if !ok || s >= len(list.Values) {
				return at
			}
			node = list.Values[s]
			at = firstToken(node)
		default:
			v := lookup(node, fmt.Sprint(s))
			if v == nil {
				return at
			}
			node = v.Value
			at = v.Key.GetToken()
			if isScalar(node) {
				at = node.GetToken()
			}
		}
	}
	return at
}

// firstToken is where a node begins for the reader: a mapping at its first key.
func firstToken(n ast.Node) *token.Token {
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 {
		return m.Values[0].Key.GetToken()
	}
	return n.GetToken()
}

func lookup(n ast.Node, key string) *ast.MappingValueNode {
	m, ok := n.(*ast.MappingNode)
	if !ok {
		return nil
	}
	for _, v := range m.Values {
		if keyText(v) == key {
			return v
		}
	}
	return nil
}

// keyText is the text of a key as the file has it, without quotes.
func keyText(v *ast.MappingValueNode) string {
	if t := v.Key.GetToken(); t != nil {
		return t.Value
	}
	return ""
}

func isScalar(n ast.Node) bool {
	_, ok := n.(ast.ScalarNode)
	return ok && n.Type() != ast.NullType
}
