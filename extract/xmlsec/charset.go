package xmlsec

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// declaration is how much of the start of a document is searched for the
// encoding of its XML declaration.
const declaration = 512

// decode finds the encoding as XML 1.0 appendix F and RFC 7303 §3 say (a byte
// order mark is authoritative, then the declaration, then UTF-8) and returns
// the text in UTF-8 without mark. UTF-8 itself is passed on unchecked: the
// scanner checks every octet.
func decode(r io.Reader, limit int64) (io.Reader, string, error) {
	br := bufio.NewReaderSize(&limited{r: r, left: limit}, 32<<10)
	head, err := br.Peek(declaration)
	if err != nil && err != io.EOF {
		return nil, "", err
	}
	switch {
	case bytes.HasPrefix(head, []byte("\xEF\xBB\xBF")):
		_, err = br.Discard(3)
		return br, "UTF-8", err
	case bytes.HasPrefix(head, []byte("\xFF\xFE")):
		_, err = br.Discard(2)
		return &utf16Reader{src: br}, "UTF-16LE", err
	case bytes.HasPrefix(head, []byte("\xFE\xFF")):
		_, err = br.Discard(2)
		return &utf16Reader{src: br, big: true}, "UTF-16BE", err
	case bytes.HasPrefix(head, []byte("<\x00")):
		return &utf16Reader{src: br}, "UTF-16LE", nil
	case bytes.HasPrefix(head, []byte("\x00<")):
		return &utf16Reader{src: br, big: true}, "UTF-16BE", nil
	}
	return byName(br, declared(head))
}

func byName(br *bufio.Reader, name string) (io.Reader, string, error) {
	switch strings.ToUpper(name) {
	case "", "UTF-8", "UTF8":
		return br, "UTF-8", nil
	case "US-ASCII", "ASCII":
		return &tableReader{src: br, table: asciiTable()}, "US-ASCII", nil
	case "ISO-8859-2", "LATIN2", "ISO_8859-2":
		return &tableReader{src: br, table: tableOf(charmap.ISO8859_2)}, "ISO-8859-2", nil
	case "WINDOWS-1250", "CP1250":
		return &tableReader{src: br, table: tableOf(charmap.Windows1250)}, "windows-1250", nil
	case "ISO-8859-1", "LATIN1", "ISO_8859-1":
		return &tableReader{src: br, table: tableOf(charmap.ISO8859_1)}, "ISO-8859-1", nil
	case "WINDOWS-1252", "CP1252":
		return &tableReader{src: br, table: tableOf(charmap.Windows1252)}, "windows-1252", nil
	case "ISO-8859-16":
		return &tableReader{src: br, table: tableOf(charmap.ISO8859_16)}, "ISO-8859-16", nil
	}
	return nil, "", &Error{Kind: ErrEncoding, Message: "unknown encoding in the XML declaration"}
}

// declared returns the encoding named in the XML declaration, "" if none.
func declared(head []byte) string {
	if !bytes.HasPrefix(head, []byte("<?xml")) {
		return ""
	}
	if i := bytes.Index(head, []byte("?>")); i >= 0 {
		head = head[:i]
	}
	_, after, ok := bytes.Cut(head, []byte("encoding"))
	if !ok {
		return ""
	}
	after = bytes.TrimLeft(after, " \t\r\n=")
	if len(after) == 0 || (after[0] != '"' && after[0] != '\'') {
		return ""
	}
	value, _, ok := bytes.Cut(after[1:], after[:1])
	if !ok {
		return ""
	}
	return string(value)
}

// limited reads at most left octets and then refuses, unlike io.LimitReader,
// which would make a document look truncated.
type limited struct {
	r    io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left < 0 {
		return 0, &Error{Kind: ErrLimit, Message: "document too large"}
	}
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.r.Read(p)
	l.left -= int64(n)
	if l.left < 0 {
		return n - 1, &Error{Kind: ErrLimit, Message: "document too large"}
	}
	return n, err
}

// table maps the octets of a one-octet encoding; -1 is not assigned.
type table [256]rune

func tableOf(m *charmap.Charmap) *table {
	var t table
	for i := range t {
		t[i] = m.DecodeByte(byte(i))
		if t[i] == utf8.RuneError {
			t[i] = -1
		}
	}
	return &t
}

func asciiTable() *table {
	var t table
	for i := range t {
		t[i] = rune(i)
		if i >= utf8.RuneSelf {
			t[i] = -1
		}
	}
	return &t
}

// tableReader turns a one-octet encoding into UTF-8.
type tableReader struct {
	src   io.Reader
	table *table
	in    [4096]byte
	buf   []byte
	out   []byte // of buf, not read yet
	err   error
}

func (t *tableReader) Read(p []byte) (int, error) {
	for len(t.out) == 0 {
		if t.err != nil {
			return 0, t.err
		}
		var n int
		n, t.err = t.src.Read(t.in[:])
		t.buf = t.buf[:0]
		for _, b := range t.in[:n] {
			r := t.table[b]
			if r < 0 {
				t.err = &Error{Kind: ErrEncoding, Message: "octet not assigned in the declared encoding"}
				break
			}
			t.buf = utf8.AppendRune(t.buf, r)
		}
		t.out = t.buf
	}
	n := copy(p, t.out)
	t.out = t.out[n:]
	return n, nil
}

// utf16Reader turns UTF-16 into UTF-8 and refuses lone surrogates.
type utf16Reader struct {
	src  *bufio.Reader
	big  bool
	out  []byte
	high rune // a high surrogate that waits for its low one
	err  error
}

func (u *utf16Reader) Read(p []byte) (int, error) {
	u.out = u.out[:0]
	for len(u.out)+4 <= len(p) && u.err == nil {
		u.unit()
		if u.src.Buffered() < 2 && len(u.out) > 0 {
			break
		}
	}
	if len(u.out) == 0 && u.err == nil { // p is too small for a character
		return 0, io.ErrShortBuffer
	}
	n := copy(p, u.out)
	if n == 0 {
		return 0, u.err
	}
	return n, nil
}

// unit reads one 16-bit unit.
func (u *utf16Reader) unit() {
	var b [2]byte
	n, err := io.ReadFull(u.src, b[:])
	if err != nil {
		if err == io.ErrUnexpectedEOF || n == 1 || (err == io.EOF && u.high != 0) {
			err = &Error{Kind: ErrEncoding, Message: "UTF-16 ends inside a character"}
		}
		u.err = err
		return
	}
	c := rune(b[1])<<8 | rune(b[0])
	if u.big {
		c = rune(b[0])<<8 | rune(b[1])
	}
	switch {
	case u.high != 0:
		r := utf16.DecodeRune(u.high, c)
		if r == utf8.RuneError {
			u.err = &Error{Kind: ErrEncoding, Message: "lone surrogate"}
			return
		}
		u.high, u.out = 0, utf8.AppendRune(u.out, r)
	case c >= 0xD800 && c < 0xDC00:
		u.high = c
	case c >= 0xDC00 && c < 0xE000:
		u.err = &Error{Kind: ErrEncoding, Message: "lone surrogate"}
	default:
		u.out = utf8.AppendRune(u.out, c)
	}
}
