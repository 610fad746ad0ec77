package cms

import (
	"errors"
	"strconv"
	"strings"
)

// The classes and universal tags of ASN.1 that are met here (X.690 §8.1.2).
const (
	classUniversal = 0
	classContext   = 2

	tagInteger   = 2
	tagOctets    = 4
	tagOID       = 6
	tagSequence  = 16
	tagSet       = 17
	tagUTCTime   = 23
	tagTime      = 24
	tagBMPString = 30
)

// element is the identifier and length of one element (X.690 §8.1).
type element struct {
	class       byte
	constructed bool
	tag         int
	length      int64 // -1 indefinite
	header      int   // octets of identifier and length
}

func (e element) is(class byte, tag int) bool { return e.class == class && e.tag == tag }

// end tells whether e is the end-of-contents mark (X.690 §8.1.5).
func (e element) end() bool {
	return e.class == classUniversal && e.tag == 0 && !e.constructed && e.length == 0
}

var (
	errMore   = errors.New("more octets needed")
	errBER    = errors.New("malformed element")
	errLevels = errors.New("too many elements or levels")
)

// parseElement reads the identifier and length that b begins with. It returns
// errMore if b ends before they do.
func parseElement(b []byte) (element, error) {
	if len(b) == 0 {
		return element{}, errMore
	}
	e := element{class: b[0] >> 6, constructed: b[0]&0x20 != 0, tag: int(b[0] & 0x1f)}
	i := 1
	if e.tag == 0x1f {
		for e.tag = 0; ; i++ {
			if i >= len(b) {
				return e, errMore
			}
			if i > 4 {
				return e, errBER
			}
			e.tag = e.tag<<7 | int(b[i]&0x7f)
			if b[i]&0x80 == 0 {
				i++
				break
			}
		}
	}
	if i >= len(b) {
		return e, errMore
	}
	n := b[i]
	i++
	switch {
	case n < 0x80:
		e.length = int64(n)
	case n == 0x80:
		if !e.constructed {
			return e, errBER
		}
		e.length = -1
	case n > 0x80+8:
		return e, errBER
	default:
		for range int(n & 0x7f) {
			if i >= len(b) {
				return e, errMore
			}
			if e.length >= 1<<47 {
				return e, errBER
			}
			e.length = e.length<<8 | int64(b[i])
			i++
		}
	}
	e.header = i
	return e, nil
}

// node is one element in memory with its children.
type node struct {
	element
	raw      []byte // all of it
	content  []byte // without identifier, length and end mark
	children []node // of a constructed one
}

// parseTree reads the element that b begins with and everything within it.
func parseTree(b []byte) (node, error) {
	p := treeParser{left: maxNodes}
	n, _, err := p.node(b, 0)
	return n, err
}

// treeParser counts the elements that may still be read: tiny ones cost a
// hundred times their size.
type treeParser struct{ left int }

func (p *treeParser) node(b []byte, level int) (node, []byte, error) {
	if p.left--; level > maxLevels || p.left < 0 {
		return node{}, nil, errLevels
	}
	e, err := parseElement(b)
	if err != nil {
		return node{}, nil, errBER
	}
	n := node{element: e}
	rest := b[e.header:]
	if e.length >= 0 {
		if e.length > int64(len(rest)) {
			return n, nil, errBER
		}
		n.content, rest = rest[:e.length], rest[e.length:]
		n.raw = b[:len(b)-len(rest)]
		if !e.constructed {
			return n, rest, nil
		}
		for inner := n.content; len(inner) > 0; {
			var c node
			if c, inner, err = p.node(inner, level+1); err != nil {
				return n, nil, err
			}
			n.children = append(n.children, c)
		}
		return n, rest, nil
	}
	start := rest
	for {
		c, after, err := p.node(rest, level+1)
		if err != nil {
			return n, nil, err
		}
		if c.end() {
			n.content = start[:len(start)-len(rest)]
			n.raw = b[:len(b)-len(after)]
			return n, after, nil
		}
		n.children = append(n.children, c)
		rest = after
	}
}

// child returns the i-th child, an empty node if there is none.
func (n node) child(i int) node {
	if i < 0 || i >= len(n.children) {
		return node{}
	}
	return n.children[i]
}

// octets returns the value of a string type, whose pieces BER may keep apart.
func (n node) octets() []byte {
	if !n.constructed {
		return n.content
	}
	var out []byte
	for _, c := range n.children {
		out = append(out, c.octets()...)
	}
	return out
}

// der returns the element with definite lengths, which is what digests are
// computed over.
func (n node) der() []byte {
	if !n.constructed {
		return n.raw
	}
	var inner []byte
	for _, c := range n.children {
		inner = append(inner, c.der()...)
	}
	if n.length >= 0 && len(inner) == len(n.content) {
		return n.raw // nothing inside was indefinite
	}
	return wrap(n.raw[:n.identifier()], inner)
}

// identifier returns how many octets the identifier has.
func (n node) identifier() int {
	if n.tag < 0x1f {
		return 1
	}
	i := 1
	for n.raw[i]&0x80 != 0 {
		i++
	}
	return i + 1
}

// wrap puts an identifier and a definite length before content.
func wrap(identifier, content []byte) []byte {
	out := append([]byte(nil), identifier...)
	if n := len(content); n < 0x80 {
		out = append(out, byte(n))
	} else {
		size := 1
		for n>>(8*size) > 0 {
			size++
		}
		out = append(out, 0x80|byte(size))
		for i := size - 1; i >= 0; i-- {
			out = append(out, byte(n>>(8*i)))
		}
	}
	return append(out, content...)
}

// oid returns an object identifier in dotted form, "" if it is none.
func (n node) oid() string {
	if !n.is(classUniversal, tagOID) || n.constructed {
		return ""
	}
	return dotted(n.content)
}

func dotted(b []byte) string {
	if len(b) == 0 || len(b) > 40 || b[len(b)-1]&0x80 != 0 {
		return ""
	}
	var parts []string
	v := 0
	for _, c := range b {
		if v >= 1<<40 {
			return ""
		}
		v = v<<7 | int(c&0x7f)
		if c&0x80 != 0 {
			continue
		}
		if parts == nil {
			first := min(v/40, 2)
			parts = append(parts, strconv.Itoa(first))
			v -= 40 * first
		}
		parts = append(parts, strconv.Itoa(v))
		v = 0
	}
	return strings.Join(parts, ".")
}
