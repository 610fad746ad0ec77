// Package rtf turns Rich Text Format into text: the bodies of Outlook's
// messages, which wrap HTML in RTF (MS-OXRTFEX), and letters written in it. It
// is one loop over the tokens with a bounded stack; formatting is dropped.
package rtf

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"sekretariat/extract/charset"
)

// maxGroups bounds nested groups; deeper ones are read as one.
const maxGroups = 200

// Convert returns what an RTF document says, at most limit octets. isHTML
// tells that the document wraps HTML, which is then what is returned.
func Convert(b []byte, limit int) (text string, isHTML bool) {
	c := converter{src: b, limit: limit, state: state{skip: 1, codepage: "windows-1250"}, ansi: "windows-1250", fonts: map[int]string{}}
	c.run()
	return c.out.String(), c.html
}

// state is what a group may change and its end restores.
type state struct {
	dead     bool // a destination that nobody reads
	table    bool // inside the font table
	tag      bool // inside a wrapped HTML tag
	rtfOnly  bool // formatting that stands for a tag: \htmlrtf
	star     bool // "\*" was just read
	codepage string
	skip     int // replacement characters after \u
}

type converter struct {
	src   []byte
	limit int
	out   strings.Builder
	state
	stack  []state
	deep   int // groups beyond maxGroups
	ansi   string
	html   bool
	fonts  map[int]string
	font   int
	raw    []byte // octets in the current code page, not yet decoded
	units  []uint16
	ignore int // replacement characters still to be dropped
}

func (c *converter) run() {
	for i := 0; i < len(c.src) && c.out.Len() < c.limit; {
		switch b := c.src[i]; b {
		case '{':
			c.open()
			i++
		case '}':
			c.close()
			i++
		case '\\':
			i += c.control(c.src[i+1:]) + 1
		case '\r', '\n':
			i++
		default:
			n := bytes.IndexAny(c.src[i:], "{}\\\r\n")
			if n < 0 {
				n = len(c.src) - i
			}
			c.characters(c.src[i : i+n])
			i += n
		}
	}
	c.flush()
}

func (c *converter) open() {
	c.flush()
	if len(c.stack) >= maxGroups {
		c.deep++
		return
	}
	c.stack = append(c.stack, c.state)
	c.star, c.ignore = false, 0
}

func (c *converter) close() {
	c.flush()
	c.ignore = 0
	if c.deep > 0 {
		c.deep--
		return
	}
	if n := len(c.stack); n > 0 {
		c.state = c.stack[n-1]
		c.stack = c.stack[:n-1]
	}
}

// control handles what follows a backslash and returns how many octets it
// used.
func (c *converter) control(b []byte) int {
	if len(b) == 0 {
		return 0
	}
	if b[0] < 'A' || b[0] > 'z' || b[0] > 'Z' && b[0] < 'a' {
		return c.symbol(b)
	}
	n := 0
	for n < len(b) && n < 32 && (b[n] >= 'a' && b[n] <= 'z' || b[n] >= 'A' && b[n] <= 'Z') {
		n++
	}
	word := string(b[:n])
	start := n
	if n < len(b) && b[n] == '-' {
		n++
	}
	for n < len(b) && n-start < 12 && b[n] >= '0' && b[n] <= '9' {
		n++
	}
	number, err := strconv.Atoi(string(b[start:n]))
	if n < len(b) && b[n] == ' ' {
		n++
	}
	c.word(word, number, err == nil)
	if word == "bin" && number > 0 {
		n = min(len(b), n+number)
	}
	return n
}

func (c *converter) symbol(b []byte) int {
	switch b[0] {
	case '\'':
		if len(b) < 3 {
			return len(b)
		}
		v, err := strconv.ParseUint(string(b[1:3]), 16, 8)
		if err != nil {
			return 1
		}
		c.octet(byte(v))
		return 3
	case '*':
		c.star = true
	case '~':
		c.write("\u00a0")
	case '_':
		c.write("-")
	case '{', '}', '\\':
		c.octet(b[0])
	case '\r', '\n':
		c.write("\n") // \par
	}
	return 1
}

func (c *converter) characters(b []byte) {
	for _, v := range b {
		c.octet(v)
	}
}

// octet takes one character in the current code page.
func (c *converter) octet(v byte) {
	if c.ignore > 0 {
		c.ignore--
		return
	}
	if c.silent() {
		return
	}
	c.flushUnits()
	c.raw = append(c.raw, v)
}

// silent tells whether what comes is not read.
func (c *converter) silent() bool { return c.dead || c.table || c.rtfOnly && !c.tag }

func (c *converter) flush() {
	c.flushUnits()
	if len(c.raw) > 0 {
		c.out.WriteString(charset.As(c.raw, c.codepage))
		c.raw = c.raw[:0]
	}
}

func (c *converter) flushUnits() {
	if len(c.units) == 0 {
		return
	}
	for _, r := range utf16.Decode(c.units) {
		if utf8.ValidRune(r) {
			c.out.WriteRune(r)
		}
	}
	c.units = c.units[:0]
}

func (c *converter) write(s string) {
	if c.silent() {
		return
	}
	c.flush()
	c.out.WriteString(s)
}

// unread are destinations that hold no text of the writer.
var unread = map[string]bool{
	"colortbl": true, "stylesheet": true, "info": true, "pict": true, "object": true, "objdata": true, "header": true, "footer": true,
	"headerl": true, "headerr": true, "headerf": true, "footerl": true, "footerr": true, "footerf": true, "fldinst": true, "themedata": true,
	"listtable": true, "listoverridetable": true, "rsidtbl": true, "generator": true, "xmlnstbl": true, "latentstyles": true, "datastore": true,
	"colorschememapping": true, "pgdsctbl": true, "revtbl": true, "filetbl": true, "mhtmltag": true, "template": true, "nonshppict": true,
}

// word handles a control word.
func (c *converter) word(word string, n int, given bool) {
	star := c.star
	c.star = false
	switch word {
	case "fonttbl":
		c.table = true
	case "htmltag":
		c.flush()
		c.tag = star
	case "htmlrtf":
		c.flush()
		c.rtfOnly = !given || n != 0
	case "fromhtml":
		c.html = len(c.stack) <= 1
	case "ansicpg":
		if name := charset.Codepage(n); name != "" {
			c.ansi = name
		}
		c.codepage = c.ansi
	case "f":
		c.useFont(n)
	case "fcharset":
		if c.table {
			c.fonts[c.font] = fontCharset[n]
		}
	case "plain":
		c.flush()
		c.codepage = c.ansi
	case "uc":
		c.skip = max(0, min(n, 10))
	case "u":
		c.unicode(n)
	case "bin":
	default:
		c.mark(word, star)
	}
}

func (c *converter) useFont(n int) {
	if c.table {
		c.font = n
		return
	}
	c.flush()
	if c.codepage = c.fonts[n]; c.codepage == "" {
		c.codepage = c.ansi
	}
}

func (c *converter) unicode(n int) {
	if !c.silent() {
		if len(c.raw) > 0 {
			c.flush()
		}
		c.units = append(c.units, uint16(n))
	}
	c.ignore = c.skip
}

// marks are control words that stand for characters.
var marks = map[string]string{
	"par": "\n", "line": "\n", "row": "\n", "sect": "\n", "page": "\n", "tab": "\t", "cell": "\t", "nestcell": "\t", "nestrow": "\n",
	"emdash": "—", "endash": "–", "lquote": "‘", "rquote": "’", "ldblquote": "“", "rdblquote": "”", "bullet": "•", "emspace": " ", "enspace": " ",
}

func (c *converter) mark(word string, star bool) {
	if s, ok := marks[word]; ok {
		c.write(s)
		return
	}
	if star || unread[word] {
		c.flush()
		c.dead = true
	}
}

// fontCharset are the code pages of \fcharset (RTF 1.9.1, font table). 0 and 1
// are the document's own.
var fontCharset = map[int]string{
	77: "macintosh", 128: "shift_jis", 129: "euc-kr", 134: "gb18030", 136: "big5", 161: "windows-1253", 162: "windows-1254", 163: "windows-1258",
	177: "windows-1255", 178: "windows-1256", 186: "windows-1257", 204: "windows-1251", 222: "windows-874", 238: "windows-1250", 254: "ibm437", 255: "ibm850",
}
