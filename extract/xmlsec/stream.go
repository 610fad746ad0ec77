package xmlsec

import (
	"bytes"
	"hash"
	"io"
)

// Signatures returns all ds:Signature elements of the document in document
// order, also those inside others (countersignatures).
func (d *Document) Signatures() (out []*Node) {
	d.Root.Walk(func(n *Node) bool {
		if n.Is(SpaceDSig, "Signature") {
			out = append(out, n)
		}
		return true
	})
	return out
}

// Stream checks references in one pass over the document, in memory that does
// not depend on its size: the tree may lack what was diverted from it. Add what
// is to be checked, then Run.
type Stream struct{ jobs []*job }

// job is one reference on its way.
type job struct {
	ref       Reference
	signature int // ordinal of its signature
	plan      plan
	err       error
	done      bool // its element was seen
	c14n      *Canonicalizer
	digest    hash.Hash
	depth     int // of its element while inside it, 0 outside
	skip      int // depth of a signature that is left out, 0 outside
}

// Add asks for the check of a reference of a signature, which is named by its
// place in Document.Signatures. The result is known after Run.
func (s *Stream) Add(signature int, r Reference) (result func() error) {
	j := &job{ref: r, signature: signature}
	s.jobs = append(s.jobs, j)
	j.prepare()
	return func() error { return j.err }
}

// prepare finds out what must be computed; what we do not do is an error of
// this reference alone.
func (j *job) prepare() {
	if j.plan, j.err = j.ref.plan(); j.err != nil {
		return
	}
	if _, j.err = fragment(j.ref.URI); j.err != nil {
		return
	}
	if j.digest, j.err = NewDigest(j.ref.Digest); j.err != nil {
		return
	}
	j.c14n, j.err = NewCanonicalizer(j.digest, j.plan.c14n)
}

// Run reads the document and checks everything that was added. The error is
// about the document; those of references are in their results.
func (s *Stream) Run(r io.Reader, lim Limits) error {
	sc, err := NewScanner(r, lim)
	if err != nil {
		return err
	}
	w := walk{s: sc}
	for {
		t, err := sc.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		w.token(t, s.jobs)
	}
	for _, j := range s.jobs {
		j.finish()
	}
	return nil
}

// walk is the place in the document.
type walk struct {
	s          *Scanner
	attrs      [][]Attr // of the open elements
	signatures int      // ds:Signature elements begun so far
	inside     int      // of them open
}

func (w *walk) token(t *Token, jobs []*job) {
	signature := t.Kind == Element && t.Name.Space == SpaceDSig && t.Name.Local == "Signature"
	if signature {
		w.inside++
	}
	for _, j := range jobs {
		if j.err == nil {
			j.token(w, t, signature)
		}
	}
	switch t.Kind {
	case Element:
		w.attrs = append(w.attrs, t.Attrs)
	case EndElement:
		w.attrs = w.attrs[:len(w.attrs)-1]
		if t.Name.Space == SpaceDSig && t.Name.Local == "Signature" {
			w.inside--
		}
	}
	if signature {
		w.signatures++
	}
}

// token takes one token of the document. depth is that of the element that
// begins or ends.
func (j *job) token(w *walk, t *Token, signature bool) {
	depth := len(w.attrs)
	if t.Kind == Element {
		depth++
		if j.ref.URI != "" && hasID(t.Attrs, j.ref.URI[1:]) {
			j.begin(w, depth)
		}
		if j.skip == 0 && j.leaves(w, t.Name, signature) {
			j.skip = depth
		}
		if o := j.plan.only; o != nil && j.depth == 0 && j.skip == 0 && t.Name.Local == o.Local && t.Name.Space == o.Space {
			j.enter(w, depth)
		}
	}
	if j.err != nil {
		return
	}
	if j.skip == 0 && (j.ref.URI == "" && j.plan.only == nil || j.depth > 0) {
		if err := j.c14n.Token(t); err != nil {
			j.err = err
			return
		}
	}
	if t.Kind == EndElement {
		if j.skip == depth {
			j.skip = 0
		}
		if j.depth == depth {
			j.depth = 0
		}
	}
}

// leaves tells whether the element that begins is left out.
func (j *job) leaves(w *walk, n Name, signature bool) bool {
	return signature && (j.plan.unsigned || j.plan.enveloped && j.signature == w.signatures) || j.plan.leaves(n)
}

// enter starts at an element that a filter selects; there may be several, whose
// canonical forms follow each other.
func (j *job) enter(w *walk, depth int) {
	if j.done {
		if j.err = j.c14n.Close(); j.err != nil {
			return
		}
		j.c14n, j.err = NewCanonicalizer(j.digest, j.plan.c14n)
	}
	if j.err == nil {
		j.within(w, depth)
	}
}

// within begins with one element and its context.
func (j *job) within(w *walk, depth int) {
	j.done, j.depth = true, depth
	var scope []Binding
	if n := len(w.s.open); n > 0 {
		scope = w.s.scope[:w.s.open[n-1].bindings]
	}
	j.err = j.c14n.Within(scope, w.attrs)
}

// begin starts at the element that the reference names.
func (j *job) begin(w *walk, depth int) {
	switch {
	case j.done:
		j.err = ErrAmbiguous
		return
	case j.plan.unsigned && w.inside > 0:
		j.err = structure("nothing is left of the reference")
		return
	}
	j.within(w, depth)
}

// finish compares the digest.
func (j *job) finish() {
	switch {
	case j.err != nil:
	case j.ref.URI != "" && !j.done:
		j.err = structure("reference to an id that does not exist")
	default:
		if j.err = j.c14n.Close(); j.err == nil && !bytes.Equal(j.digest.Sum(nil), j.ref.Value) {
			j.err = ErrDigest
		}
	}
}
