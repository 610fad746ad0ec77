// Package html turns the HTML of letters into the text that a reader would
// see. It is one loop over the tokens of golang.org/x/net/html, without a
// tree: no depth can hurt it, time is linear, memory is bounded by the output
// . It is for reading and routing, never for display:
// what it returns is plain text.
package html

import (
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"sekretariat"
)

// Result is the text of an HTML document.
type Result struct {
	Text   string
	Hidden bool // something that a reader would not see was left out
	Cut    bool // there was more than the limit
}

// Text returns the visible text of an HTML document, at most
// sekretariat.MaxText octets of it.
func Text(s string) string { return Convert(s, sekretariat.MaxText).Text }

// Convert returns the visible text of an HTML document that is already UTF-8,
// at most limit octets of it. It never fails: there is no text that is not
// HTML.
func Convert(s string, limit int) Result {
	c := converter{z: html.NewTokenizer(strings.NewReader(s)), limit: limit}
	c.z.SetMaxBuf(len(s) + 1)
	for !c.cut && c.next() {
	}
	return Result{Text: c.finish(), Hidden: c.hiddenText, Cut: c.cut}
}

// converter is the state of one conversion.
type converter struct {
	z     *html.Tokenizer
	out   strings.Builder
	limit int
	cut   bool

	// skip is the element whose content is being left out, with the count of
	// elements of the same name open inside it; "" when nothing is.
	skip       string
	skipDepth  int
	skipHidden bool // for being invisible, not for being a script
	headText   bool // inside an element of the head that holds text
	style      bool // inside a style element

	classes    map[string]bool // ".name", "#name" of rules that hide
	hiddenText bool

	pre      int  // open pre and textarea elements
	newlines int  // line ends owed before the next character
	space    bool // a blank owed
	tab      bool // a table cell ended
}

// blocks begin and end a line; the value is the number of line ends.
var blocks = map[atom.Atom]int{
	atom.P: 2, atom.H1: 2, atom.H2: 2, atom.H3: 2, atom.H4: 2, atom.H5: 2, atom.H6: 2, atom.Blockquote: 2, atom.Pre: 2, atom.Table: 2,
	atom.Div: 1, atom.Tr: 1, atom.Li: 1, atom.Ul: 1, atom.Ol: 1, atom.Dl: 1, atom.Dt: 1, atom.Dd: 1, atom.Section: 1,
	atom.Article: 1, atom.Header: 1, atom.Footer: 1, atom.Center: 1, atom.Form: 1, atom.Fieldset: 1, atom.Address: 1,
	atom.Hr: 1, atom.Body: 1, atom.Caption: 1, atom.Thead: 1, atom.Tbody: 1, atom.Tfoot: 1, atom.Option: 1, atom.Title: 1,
	atom.Main: 1, atom.Nav: 1, atom.Aside: 1, atom.Figure: 1, atom.Figcaption: 1, atom.Legend: 1,
}

// unread are elements whose content nobody reads.
var unread = map[atom.Atom]bool{
	atom.Script: true, atom.Style: true, atom.Head: true, atom.Template: true, atom.Iframe: true, atom.Object: true,
	atom.Noframes: true, atom.Noembed: true, atom.Noscript: true, atom.Svg: true, atom.Math: true, atom.Audio: true, atom.Video: true,
}

// inHead are the elements that a head may contain; any other start tag ends
// a head that nobody closed (HTML standard, "in head" insertion mode).
var inHead = map[atom.Atom]bool{
	atom.Meta: true, atom.Link: true, atom.Title: true, atom.Style: true, atom.Script: true, atom.Base: true,
	atom.Noscript: true, atom.Template: true, atom.Object: true, atom.Basefont: true, atom.Bgsound: true, atom.Head: true,
}

// void elements have no content and no end tag.
var void = map[atom.Atom]bool{
	atom.Br: true, atom.Hr: true, atom.Img: true, atom.Input: true, atom.Meta: true, atom.Link: true, atom.Base: true, atom.Col: true,
	atom.Area: true, atom.Embed: true, atom.Wbr: true, atom.Source: true, atom.Track: true, atom.Param: true,
}

// ownEnd are elements that another one of the same name closes: hidden ones
// cannot nest.
var ownEnd = map[atom.Atom]bool{atom.P: true, atom.Li: true, atom.Tr: true, atom.Td: true, atom.Th: true, atom.Option: true, atom.Dt: true, atom.Dd: true}

func (c *converter) next() bool {
	switch c.z.Next() {
	case html.ErrorToken:
		return false
	case html.TextToken:
		c.characters(string(c.z.Text()))
	case html.StartTagToken, html.SelfClosingTagToken:
		c.start()
	case html.EndTagToken:
		name, _ := c.z.TagName()
		c.end(string(name))
	}
	return true
}

func (c *converter) characters(s string) {
	switch {
	case c.style:
		c.rules(s)
	case c.skip == "":
		c.text(s)
	case strings.TrimSpace(s) == "":
	case c.skip == "head" && !c.headText: // text ends a head that nobody closed
		c.skip = ""
		c.text(s)
	case c.skipHidden:
		c.hiddenText = true
	}
}

func (c *converter) start() {
	raw, hasAttr := c.z.TagName()
	name := string(raw)
	tag := atom.Lookup(raw)
	c.style = tag == atom.Style
	if c.skip == "head" {
		c.headText = !void[tag] // a title, style or script follows
		if !inHead[tag] {
			c.skip = ""
		}
	}
	if c.skip != "" {
		if name != c.skip {
			return
		}
		if !ownEnd[tag] || !c.skipHidden {
			c.skipDepth++
			return
		}
		c.skip = "" // <p hidden>… <p>: the first one has ended
	}
	if unread[tag] {
		c.skip, c.skipDepth, c.skipHidden = name, 1, false
		return
	}
	if hasAttr && !void[tag] && c.hidden() {
		c.skip, c.skipDepth, c.skipHidden = name, 1, true
		return
	}
	c.open(tag)
}

// open writes what the begin of a visible element means.
func (c *converter) open(tag atom.Atom) {
	switch tag {
	case atom.Br:
		c.newlines = min(c.newlines+1, 2)
		c.space = false
	case atom.Pre, atom.Textarea:
		c.pre++
	case atom.Td, atom.Th:
		c.space = true
	}
	c.lines(blocks[tag])
	if tag == atom.Li {
		c.write("- ")
		c.space = false
	}
}

func (c *converter) end(name string) {
	tag := atom.Lookup([]byte(name))
	c.style = false
	if c.skip != "" {
		c.headText = false
		if name != c.skip {
			return
		}
		if c.skipDepth--; c.skipDepth == 0 {
			c.skip = ""
			c.lines(blocks[tag])
		}
		return
	}
	switch tag {
	case atom.Pre, atom.Textarea:
		c.pre = max(0, c.pre-1)
	case atom.Td, atom.Th:
		c.tab = true
	case atom.Br: // "</br>" is read as <br>
		c.lines(1)
	}
	c.lines(blocks[tag])
}

// hidden tells whether the attributes of the current tag make it invisible.
func (c *converter) hidden() bool {
	for more := true; more; {
		var key, value []byte
		key, value, more = c.z.TagAttr()
		switch string(key) {
		case "hidden":
			if string(value) != "until-found" {
				return true
			}
		case "style":
			if invisible(string(value)) {
				return true
			}
		case "id":
			if c.classes["#"+string(value)] {
				return true
			}
		case "class":
			for name := range strings.FieldsSeq(string(value)) {
				if c.classes["."+name] {
					return true
				}
			}
		}
	}
	return false
}

func (c *converter) lines(n int) {
	if n > c.newlines {
		c.newlines = n
	}
	if n > 0 {
		c.space, c.tab = false, false
	}
}

// text writes character data: white space collapsed, invisible characters
// dropped.
func (c *converter) text(s string) {
	for i, r := range s {
		switch r {
		case '\r':
			if i+1 < len(s) && s[i+1] == '\n' {
				continue
			}
			r = '\n'
		case '\u00ad', '\u200b', '\u2060', '\ufeff', 0: // soft hyphen, zero width space, word joiner, BOM
			continue
		case '\u00a0':
			r = ' '
		}
		switch {
		case r == '\n' && c.pre > 0:
			c.newlines++
		case r == ' ' || r == '\t' || r == '\n' || r == '\f':
			if c.pre > 0 {
				c.write(string(r))
			} else {
				c.space = true
			}
		default:
			c.rune(r)
		}
		if c.cut {
			return
		}
	}
}

// maxNewlines bounds the empty lines between two paragraphs.
const maxNewlines = 3

func (c *converter) write(s string) {
	for _, r := range s {
		c.rune(r)
	}
}

// rune writes one visible character after the white space that is owed.
func (c *converter) rune(r rune) {
	owed := ""
	switch {
	case c.out.Len() == 0:
	case c.newlines > 0:
		owed = "\n\n\n"[:min(c.newlines, maxNewlines)]
	case c.tab:
		owed = "\t"
	case c.space:
		owed = " "
	}
	c.newlines, c.space, c.tab = 0, false, false
	if c.out.Len()+len(owed)+len(string(r)) > c.limit {
		c.cut = true
		return
	}
	c.out.WriteString(owed)
	c.out.WriteRune(r)
}

func (c *converter) finish() string { return strings.TrimRight(c.out.String(), " \t\n") }
