package xmlsec

import (
	"bytes"
	"strings"
)

// plan is what the transforms of a reference amount to.
type plan struct {
	c14n      Method
	enveloped bool // without this signature
	unsigned  bool // without any ds:Signature
	filter         // of its own
}

// plan accepts the transforms that ePUAP letters have: removal of signatures,
// then at most one canonicalisation, and filters that mean whole elements.
// Without a canonicalisation, Canonical XML 1.0 is implied (XML Signature
// §4.4.3.2).
func (r *Reference) plan() (plan, error) {
	p := plan{c14n: Method{Algorithm: C14N10}}
	for i, t := range r.Transforms {
		switch {
		case t.Algorithm == transformEnveloped:
			p.enveloped = true
		case t.Algorithm == transformXPath && withoutSignatures(t):
			p.unsigned = true
		case t.Method.valid() && i == len(r.Transforms)-1:
			p.c14n = t.Method
		case t.Algorithm == transformXPath && p.add(t, r.URI):
		default:
			return p, &Error{Kind: ErrTransform, Message: "not on our list"}
		}
	}
	// A same-document reference without an XPointer never has comments
	// (XML Signature §4.4.3.3).
	p.c14n.Algorithm = withoutComments(p.c14n.Algorithm)
	return p, nil
}

// add takes a filter into the plan; false if it cannot be.
func (p *plan) add(t Transform, uri string) bool {
	f, ok := filterOf(t)
	if !ok || f.only != nil && (p.only != nil || uri != "") {
		return false
	}
	p.without = append(p.without, f.without...)
	if f.only != nil {
		p.only = f.only
	}
	return true
}

// withoutComments is the twin of an algorithm that leaves comments out.
func withoutComments(algorithm string) string {
	if strings.HasPrefix(algorithm, spaceExcC14) {
		return ExcC14N
	}
	return strings.TrimSuffix(algorithm, "#WithComments")
}

// withoutSignatures tells whether the XPath is the one that ePUAP writes,
// not(ancestor-or-self::ds:Signature), with whatever prefix. No other
// expression is evaluated: XPath in a hostile document is a program.
func withoutSignatures(t Transform) bool {
	rest, ok := strings.CutPrefix(t.XPath, "not(ancestor-or-self::")
	if !ok {
		return false
	}
	prefix, ok := strings.CutSuffix(rest, ":Signature)")
	if !ok {
		return false
	}
	space, ok := lookup(append(t.node.scope(), t.node.Declared...), prefix)
	return ok && space == SpaceDSig
}

// Target returns what the reference is about: nil for the whole document.
// Returns ErrStructure for a reference to anything outside the document.
func (d *Document) Target(r Reference) (*Node, error) {
	id, err := fragment(r.URI)
	if err != nil || id == "" {
		return nil, err
	}
	return d.ByID(id)
}

// fragment is the id that a URI names within the document, "" for the whole.
func fragment(uri string) (string, error) {
	if uri == "" {
		return "", nil
	}
	id, ok := strings.CutPrefix(uri, "#")
	if !ok || id == "" || strings.HasPrefix(id, "xpointer(") {
		return "", &Error{Kind: ErrUnsupported, Message: "reference to something outside the document"}
	}
	return id, nil
}

// ByID finds the element with that id: an attribute Id, ID or id without
// namespace, wsu:Id or xml:id. Returns ErrStructure if there is none and
// ErrAmbiguous if there are several.
func (d *Document) ByID(id string) (*Node, error) {
	var found *Node
	var err error
	d.Root.Walk(func(n *Node) bool {
		if n.Kind == Element && hasID(n.Attrs, id) {
			if found != nil {
				err = ErrAmbiguous
			}
			found = n
		}
		return true
	})
	if err == nil && found == nil {
		err = structure("reference to an id that does not exist")
	}
	return found, err
}

func hasID(attrs []Attr, id string) bool {
	for _, a := range attrs {
		if a.Value == id && isID(a.Name) {
			return true
		}
	}
	return false
}

func isID(n Name) bool {
	switch n.Space {
	case "":
		return n.Local == "Id" || n.Local == "ID" || n.Local == "id"
	case SpaceWSU:
		return n.Local == "Id"
	case SpaceXML:
		return n.Local == "id"
	}
	return false
}

// CheckReference recomputes the digest of one reference of the signature.
// Returns ErrDigest if it does not fit, or why it could not be computed.
func (d *Document) CheckReference(s *Signature, r Reference) error {
	h, err := NewDigest(r.Digest)
	if err != nil {
		return err
	}
	p, err := r.plan()
	if err == nil && r.Filtered() {
		err = &Error{Kind: ErrTransform, Message: "filter of its own"} // only Stream applies them
	}
	if err != nil {
		return err
	}
	target, err := d.Target(r)
	if err != nil {
		return err
	}
	omit := func(n *Node) bool {
		return p.enveloped && n == s.Node || p.unsigned && n.Is(SpaceDSig, "Signature")
	}
	if target == nil {
		err = d.Canonical(h, p.c14n, omit)
	} else if p.unsigned && target.inside(SpaceDSig, "Signature") {
		err = structure("nothing is left of the reference")
	} else {
		err = target.Canonical(h, p.c14n, omit)
	}
	if err != nil {
		return err
	}
	if !bytes.Equal(h.Sum(nil), r.Value) {
		return ErrDigest
	}
	return nil
}

// inside tells whether n or an ancestor is such an element.
func (n *Node) inside(space, local string) bool {
	for ; n != nil; n = n.Parent {
		if n.Is(space, local) {
			return true
		}
	}
	return false
}
