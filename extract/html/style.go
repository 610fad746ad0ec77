package html

import "strings"

// maxClasses bounds the selectors that are remembered.
const maxClasses = 200

// rules reads a style sheet for rules that hide a class or an id. Rules inside
// @media are for other devices and are passed over; a selector with more than
// one part depends on where it is used, and we keep no tree.
func (c *converter) rules(css string) {
	css = stripComments(strings.NewReplacer("<!--", "", "-->", "").Replace(css))
	for len(css) > 0 {
		open := strings.IndexByte(css, '{')
		if open < 0 {
			return
		}
		selectors := css[:open]
		css = css[open+1:]
		if i := strings.LastIndexByte(selectors, ';'); i >= 0 { // "@import x;"
			selectors = selectors[i+1:]
		}
		if strings.HasPrefix(strings.TrimSpace(selectors), "@") {
			css = afterBlock(css)
			continue
		}
		end := strings.IndexByte(css, '}')
		if end < 0 {
			end = len(css)
		}
		if invisible(css[:end]) {
			for s := range strings.SplitSeq(selectors, ",") {
				c.hide(strings.TrimSpace(s))
			}
		}
		css = css[min(end+1, len(css)):]
	}
}

// hide remembers a selector of the form ".a", "p.a" or "#a".
func (c *converter) hide(selector string) {
	i := strings.IndexAny(selector, ".#")
	if i < 0 || len(selector) > 100 || len(c.classes) >= maxClasses || strings.ContainsAny(selector[i+1:], " .#>+~:[*\t\n") || strings.ContainsAny(selector[:i], " >+~:[\t\n") {
		return
	}
	if c.classes == nil {
		c.classes = map[string]bool{}
	}
	c.classes[selector[i:]] = true
}

// afterBlock returns what follows the block that css is inside of.
func afterBlock(css string) string {
	depth := 1
	for i := range len(css) {
		switch css[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return css[i+1:]
			}
		}
	}
	return ""
}

func stripComments(s string) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(s, "/*")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		_, s, _ = strings.Cut(rest, "*/")
	}
}

// invisible tells whether declarations hide their element.
func invisible(style string) bool {
	for decl := range strings.SplitSeq(strings.ToLower(style), ";") {
		property, value, _ := strings.Cut(decl, ":")
		value, _, _ = strings.Cut(value, "!")
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(property) {
		case "display":
			if value == "none" {
				return true
			}
		case "visibility":
			if value == "hidden" || value == "collapse" {
				return true
			}
		case "mso-hide":
			if value == "all" {
				return true
			}
		case "font-size", "opacity":
			if zero(value) {
				return true
			}
		}
	}
	return false
}

// zero tells whether a CSS length or number is nought: "0", "0px", "0.0em".
func zero(v string) bool {
	number := strings.TrimRight(v, "abcdefghijklmnopqrstuvwxyz%")
	return strings.Contains(number, "0") && strings.Trim(number, "0.") == ""
}
