package cms

import "bytes"

// armour takes PEM (RFC 7468) or bare base64 off.
type armour struct {
	out  func([]byte)
	line []byte // the begin of a line, until it is known whether it is a PEM mark
	mark bool   // inside a PEM mark or a header line
	mid  bool   // inside a line of base64
	acc  uint32
	n    int
	buf  []byte
}

func (a *armour) write(p []byte) {
	a.buf = a.buf[:0]
	for _, c := range p {
		switch {
		case c == '\n' || c == '\r':
			a.flushLine()
			a.mark, a.mid = false, false
		case a.mark:
		case a.mid:
			a.char(c)
		case len(a.line) == 0 && c == '-':
			a.mark = true
		default:
			// "Content-Type: …" and the like in front of base64 is dropped.
			a.line = append(a.line, c)
			if bytes.IndexByte(a.line, ':') >= 0 {
				a.line, a.mark = a.line[:0], true
			} else if len(a.line) > 64 {
				a.flushLine()
				a.mid = true
			}
		}
	}
	if len(a.buf) > 0 {
		a.out(a.buf)
	}
}

func (a *armour) flushLine() {
	for _, c := range a.line {
		a.char(c)
	}
	a.line = a.line[:0]
}

func (a *armour) char(c byte) {
	var v byte
	switch {
	case c >= 'A' && c <= 'Z':
		v = c - 'A'
	case c >= 'a' && c <= 'z':
		v = c - 'a' + 26
	case c >= '0' && c <= '9':
		v = c - '0' + 52
	case c == '+' || c == '-':
		v = 62
	case c == '/' || c == '_':
		v = 63
	case c == '=':
		a.tail()
		return
	default:
		return
	}
	a.acc = a.acc<<6 | uint32(v)
	if a.n++; a.n == 4 {
		a.buf = append(a.buf, byte(a.acc>>16), byte(a.acc>>8), byte(a.acc))
		a.acc, a.n = 0, 0
	}
}

func (a *armour) tail() {
	switch a.n {
	case 2:
		a.buf = append(a.buf, byte(a.acc>>4))
	case 3:
		a.buf = append(a.buf, byte(a.acc>>10), byte(a.acc>>2))
	}
	a.acc, a.n = 0, 0
}

func (a *armour) close() {
	a.buf = a.buf[:0]
	a.flushLine()
	a.tail()
	if len(a.buf) > 0 {
		a.out(a.buf)
	}
}
