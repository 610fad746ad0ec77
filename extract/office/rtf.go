package office

import (
	"bufio"
	"errors"
	"io"
	"strconv"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"

	"sekretariat"
)

// maxRTF bounds what is read of an RTF file, octets: most of a large one is
// pictures in hexadecimal.
const maxRTF = 64 << 20

// rtfText reads the text of an RTF file (Rich Text Format Specification 1.9.1):
// groups, control words, octets in the code page of their font, Unicode with
// its fallback.
func rtfText(body sekretariat.Body, limit int) (string, error) {
	r := &rtf{in: bufio.NewReaderSize(io.NewSectionReader(body, 0, min(body.Size(), maxRTF)), 64<<10), out: text{limit: limit}, page: charmap.Windows1250, fonts: map[int]encoding.Encoding{}}
	r.state.fallback = 1
	err := r.run()
	if errors.Is(err, errFull) {
		err = nil
	}
	return r.out.String(), err
}

// rtfState is what a group restores at its end.
type rtfState struct {
	skip     bool // in a destination that is no text
	fonts    bool // in the font table
	font     int
	fallback int // octets that stand in for one Unicode character
}

const maxGroups = 1000

type rtf struct {
	in     *bufio.Reader
	out    text
	state  rtfState
	stack  []rtfState
	page   encoding.Encoding
	fonts  map[int]encoding.Encoding
	octets []byte // of the running text, not decoded yet
	pass   int    // octets that stand in for a character already written
	star   bool   // \* came before: an unknown destination is skipped
	high   rune   // first half of a surrogate pair
}

func (r *rtf) run() error {
	for {
		c, err := r.in.ReadByte()
		if err == io.EOF {
			return r.flush()
		}
		if err != nil {
			return err
		}
		switch c {
		case '{':
			if err := r.flush(); err != nil {
				return err
			}
			if len(r.stack) >= maxGroups {
				return ErrDamaged
			}
			r.stack, r.star = append(r.stack, r.state), false
		case '}':
			if err := r.flush(); err != nil {
				return err
			}
			if n := len(r.stack); n > 0 {
				r.state, r.stack = r.stack[n-1], r.stack[:n-1]
			}
		case '\\':
			err = r.control()
		case '\r', '\n', 0:
		default:
			r.octet(c)
		}
		if err != nil {
			return err
		}
	}
}

// octet takes one octet of text.
func (r *rtf) octet(c byte) {
	if r.pass > 0 {
		r.pass--
		return
	}
	if !r.state.skip && len(r.octets) < r.out.limit {
		r.octets = append(r.octets, c)
	}
}

// flush decodes the gathered octets in the code page of their font.
func (r *rtf) flush() error {
	if len(r.octets) == 0 {
		return nil
	}
	enc := r.page
	if f := r.fonts[r.state.font]; f != nil {
		enc = f
	}
	s, err := enc.NewDecoder().Bytes(r.octets)
	r.octets = r.octets[:0]
	if err != nil {
		return nil // cannot happen: single octets always decode
	}
	return r.out.add(string(s))
}

func (r *rtf) control() error {
	c, err := r.in.ReadByte()
	if err != nil {
		return nil // the end is met by the caller
	}
	switch {
	case c == '\'':
		var h [2]byte
		if _, err := io.ReadFull(r.in, h[:]); err != nil {
			return nil
		}
		if v, err := strconv.ParseUint(string(h[:]), 16, 8); err == nil {
			r.octet(byte(v))
		}
		return nil
	case c == '*':
		r.star = true
		return nil
	case c == '\\' || c == '{' || c == '}':
		r.octet(c)
		return nil
	case c == '~':
		return r.write("\u00a0")
	case c == '_':
		return r.write("-")
	case c == '\r' || c == '\n':
		return r.write("\n")
	case c < 'a' || c > 'z':
		return nil
	}
	word, n, has := r.word(c)
	return r.command(word, n, has)
}

// word reads a control word and its number.
func (r *rtf) word(first byte) (word string, n int, has bool) {
	const longest = 32
	b := []byte{first}
	var num []byte
	for {
		c, err := r.in.ReadByte()
		switch {
		case err != nil:
			// the end of the word, too
		case len(num) == 0 && c >= 'a' && c <= 'z' && len(b) < longest:
			b = append(b, c)
			continue
		case (c == '-' && len(num) == 0 || c >= '0' && c <= '9') && len(num) < 11:
			num = append(num, c)
			continue
		case c != ' ':
			_ = r.in.UnreadByte() // the octet was read just now
		}
		break
	}
	n, err := strconv.Atoi(string(num))
	return string(b), n, err == nil
}

// rtfSkipped are destinations that hold no running text.
var rtfSkipped = map[string]bool{
	"colortbl": true, "stylesheet": true, "info": true, "pict": true, "object": true, "listtable": true, "listoverridetable": true,
	"rsidtbl": true, "generator": true, "themedata": true, "datastore": true, "xmlnstbl": true, "latentstyles": true, "filetbl": true,
	"revtbl": true, "fldinst": true, "bkmkstart": true, "bkmkend": true, "nonshppict": true, "annotation": true, "atnid": true, "atnauthor": true,
}

var rtfWritten = map[string]string{
	"par": "\n", "line": "\n", "row": "\n", "sect": "\n", "page": "\n", "tab": "\t", "cell": "\t", "nestcell": "\t", "emdash": "—", "endash": "–",
	"lquote": "‘", "rquote": "’", "ldblquote": "“", "rdblquote": "”", "bullet": "•", "emspace": " ", "enspace": " ",
}

func (r *rtf) command(word string, n int, has bool) error {
	star := r.star
	r.star = false
	if s := rtfWritten[word]; s != "" {
		return r.write(s)
	}
	switch word {
	case "u":
		return r.unicode(n)
	case "uc":
		r.state.fallback = max(0, min(n, 10))
	case "ansicpg":
		if e := codePage(n); e != nil {
			r.page = e
		}
	case "fonttbl":
		r.state.fonts, r.state.skip = true, true
	case "f":
		if err := r.flush(); err != nil {
			return err
		}
		r.state.font = n
	case "fcharset":
		if e := fontCharset(n); e != nil && r.state.fonts && len(r.fonts) < maxGroups {
			r.fonts[r.state.font] = e
		}
	case "plain":
		return r.flush()
	case "bin":
		if has && n > 0 {
			_, _ = r.in.Discard(n) // its end is met by the caller
		}
	default:
		if rtfSkipped[word] || star && !strings.HasPrefix(word, "shp") {
			r.state.skip = true
		}
	}
	return nil
}

func (r *rtf) write(s string) error {
	if r.state.skip {
		return nil
	}
	if err := r.flush(); err != nil {
		return err
	}
	if s == "\n" {
		return r.out.newline()
	}
	return r.out.add(s)
}

// unicode writes one character given as a signed 16-bit number; the octets
// behind it stand in for it in programs of old.
func (r *rtf) unicode(n int) error {
	r.pass = r.state.fallback
	c := rune(n & 0xffff)
	switch {
	case c >= 0xd800 && c < 0xdc00:
		r.high = c
		return nil
	case c >= 0xdc00 && c < 0xe000:
		if r.high == 0 {
			return nil
		}
		c = 0x10000 + (r.high-0xd800)<<10 + (c - 0xdc00)
	}
	r.high = 0
	return r.write(string(c))
}

func codePage(n int) encoding.Encoding {
	return map[int]encoding.Encoding{
		437: charmap.CodePage437, 850: charmap.CodePage850, 852: charmap.CodePage852, 1250: charmap.Windows1250, 1251: charmap.Windows1251,
		1252: charmap.Windows1252, 1253: charmap.Windows1253, 1254: charmap.Windows1254, 1257: charmap.Windows1257,
	}[n]
}

func fontCharset(n int) encoding.Encoding {
	return map[int]encoding.Encoding{
		0: charmap.Windows1252, 161: charmap.Windows1253, 162: charmap.Windows1254, 186: charmap.Windows1257, 204: charmap.Windows1251, 238: charmap.Windows1250,
	}[n]
}
