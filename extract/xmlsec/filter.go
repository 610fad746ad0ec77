package xmlsec

import (
	"regexp"
	"strings"
)

// filter is an XPath transform of the few forms that mean whole elements:
//
//	not(ancestor-or-self::a:X or ancestor-or-self::b:Y) and not(…)
//	ancestor-or-self::a:X
//
// The digest of such a reference can be computed, so that a changed letter is
// known as one. What the letter's signature protects is another question: only
// the one filter that ePUAP writes leaves the document whole (see
// withoutSignatures). Everything else is refused: XPath in a hostile document
// is a program.
type filter struct {
	without []Name // these elements are left out, with all that is in them
	only    *Name  // nothing but these elements
}

const step = `ancestor-or-self\s*::\s*(?:[\p{L}_][\w.\-]*:)?[\p{L}_][\w.\-]*`

var (
	oneStep   = regexp.MustCompile(`^` + step + `$`)
	oneNot    = `not\s*\(\s*` + step + `(?:\s+or\s+` + step + `)*\s*\)`
	onlyNots  = regexp.MustCompile(`^` + oneNot + `(?:\s+and\s+` + oneNot + `)*$`)
	everyStep = regexp.MustCompile(step)
)

// filterOf reads an XPath transform; ok is false for any other expression.
func filterOf(t Transform) (f filter, ok bool) {
	text := strings.TrimSpace(t.node.Content())
	if len(text) > 1000 || !oneStep.MatchString(text) && !onlyNots.MatchString(text) {
		return f, false
	}
	scope := append(t.node.scope(), t.node.Declared...)
	for _, s := range everyStep.FindAllString(text, -1) {
		_, name, _ := strings.Cut(s, "::")
		n := Name{Local: strings.TrimSpace(name)}
		if prefix, local, prefixed := strings.Cut(n.Local, ":"); prefixed {
			n.Local = local
			if n.Space, ok = lookup(scope, prefix); !ok {
				return f, false
			}
		}
		f.without = append(f.without, n)
	}
	if oneStep.MatchString(text) {
		f.only, f.without = &f.without[0], nil
	}
	return f, true
}

// leaves tells whether an element of that name is left out.
func (f *filter) leaves(n Name) bool {
	for _, w := range f.without {
		if w.Local == n.Local && w.Space == n.Space {
			return true
		}
	}
	return false
}

// Filtered tells whether a transform takes more away than signatures: what it
// leaves is not the whole document, whatever the reference names.
func (r *Reference) Filtered() bool {
	for _, t := range r.Transforms {
		if t.Algorithm == transformXPath && !withoutSignatures(t) {
			return true
		}
	}
	return false
}
