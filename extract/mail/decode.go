package mail

import (
	"bytes"
	"strings"

	"sekretariat/extract/cms"
)

// stage is one step of decoding: octets are pushed in and come out at the
// function given when it was made. A stage never fails; it remembers what it
// met.
type stage interface {
	write(p []byte)
	close()
	// oddity returns the code of what was wrong, "" if nothing; valid after
	// close.
	oddity() string
}

// normalEncoding returns the name of a content transfer encoding (RFC 2045
// §6) as it is kept in a Part: lower case, a plain token, "" for none.
func normalEncoding(declared string) string {
	e := strings.ToLower(strings.TrimSpace(declared))
	if i := strings.IndexAny(e, ";,(\"'"); i >= 0 {
		e = e[:i]
	}
	e = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return -1
	}, e)
	switch e {
	case "7-bit":
		return "7bit"
	case "8-bit":
		return "8bit"
	case "quotedprintable":
		return "quoted-printable"
	case "base-64":
		return "base64"
	case "uuencode", "x-uue", "uue":
		return "x-uuencode"
	case "yenc", "x-yencode":
		return stepYEnc
	}
	return e[:min(len(e), 40)]
}

// stepYEnc is the name of yEnc as an encoding.
const stepYEnc = "x-yenc"

// identityEncoding tells whether an encoding leaves octets as they are, which
// is also how unknown ones are treated.
func identityEncoding(e string) bool {
	return e != "base64" && e != "quoted-printable" && e != "x-uuencode" && e != stepYEnc
}

func knownEncoding(e string) bool {
	switch e {
	case "", "7bit", "8bit", "binary", "base64", "quoted-printable", "x-uuencode", stepYEnc:
		return true
	}
	return false
}

func newStage(encoding string, out func([]byte)) stage {
	switch encoding {
	case "base64":
		return &base64Stage{out: out}
	case "quoted-printable":
		return &qpStage{out: out}
	case "x-uuencode", stepYEnc:
		return &uuStage{out: out}
	case stepCMS:
		return &cmsStage{d: cms.NewDecoder(out)}
	}
	return identityStage{out}
}

// cmsStage takes the content out of signed data.
type cmsStage struct {
	d   *cms.Decoder
	obj *cms.Object // after close
}

func (s *cmsStage) write(p []byte) { _, _ = s.d.Write(p) }
func (s *cmsStage) close()         { s.obj = s.d.Close() }
func (s *cmsStage) oddity() string {
	if s.obj.Broken != "" {
		return FindingSMIMEBroken
	}
	return ""
}

type identityStage struct{ out func([]byte) }

func (s identityStage) write(p []byte) { s.out(p) }
func (identityStage) close()           {}
func (identityStage) oddity() string   { return "" }

// base64Stage decodes base64 (RFC 2045 §6.8): foreign octets are ignored, and
// after padding it starts afresh, for some programs join encoded pieces. Others
// put a footer in plain words under an encoded text (mailing lists, gateways
// that scan for viruses): after padding or a blank line, the first line with a
// foreign octet ends it all.
type base64Stage struct {
	out     func([]byte)
	buf     []byte
	acc     uint32
	n       int // characters in acc, 0 to 3
	foreign bool
	cut     bool
	seen    bool   // there was content
	newline bool   // at the begin of a line, behind content
	ended   bool   // it may be over: the next line tells
	over    bool   // nothing more is decoded
	line    []byte // that line so far, while ended
}

var base64Values = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/" {
		t[c] = byte(i)
	}
	return t
}()

func (s *base64Stage) write(p []byte) {
	s.buf = s.buf[:0]
	for len(p) > 0 && !s.over {
		if s.ended {
			p = s.hold(p)
		} else {
			p = p[s.decode(p):]
		}
	}
	if len(s.buf) > 0 {
		s.out(s.buf)
	}
}

// hold gathers the line that tells whether the content goes on, and returns
// what is behind it.
func (s *base64Stage) hold(p []byte) []byte {
	const most = 1024
	n := bytes.IndexByte(p, '\n') + 1
	whole := n > 0 || len(s.line)+len(p) > most
	if n == 0 {
		n = len(p)
	}
	s.line = append(s.line, p[:n]...)
	if whole {
		s.resume()
	}
	return p[n:]
}

// resume decides over the line that was held.
func (s *base64Stage) resume() {
	line := s.line
	s.line = nil
	if len(bytes.Trim(line, "= \t\r\n")) == 0 {
		return
	}
	for _, c := range bytes.TrimSpace(line) {
		if base64Values[c] == 0xff && c != '=' {
			s.over, s.foreign = true, true
			return
		}
	}
	s.newline = false
	for len(line) > 0 {
		s.ended = false
		line = line[s.decode(line):]
	}
}

// decode decodes until the content may be over and returns how far it came.
func (s *base64Stage) decode(p []byte) int {
	for i := 0; i < len(p); i++ {
		if s.n == 0 {
			n := s.quads(p[i:])
			if i += n; n > 0 {
				s.newline, s.seen = false, true
			}
			if i >= len(p) {
				break
			}
		}
		switch v := base64Values[p[i]]; {
		case v != 0xff:
			s.newline, s.seen = false, true
			s.acc = s.acc<<6 | uint32(v)
			if s.n++; s.n == 4 {
				s.buf = append(s.buf, byte(s.acc>>16), byte(s.acc>>8), byte(s.acc))
				s.acc, s.n = 0, 0
			}
		case p[i] == '=':
			s.flush()
			s.ended = true
			return i + 1
		case p[i] == '\n':
			if s.newline && s.n == 0 {
				s.ended = true
				return i + 1
			}
			s.newline = s.seen
		case p[i] != '\r' && p[i] != ' ' && p[i] != '\t':
			s.foreign = true
		}
	}
	return len(p)
}

// quads decodes whole groups as long as nothing else comes and returns how
// many octets it used.
func (s *base64Stage) quads(p []byte) int {
	i := 0
	for ; i+4 <= len(p); i += 4 {
		a, b, c, d := base64Values[p[i]], base64Values[p[i+1]], base64Values[p[i+2]], base64Values[p[i+3]]
		if a|b|c|d == 0xff {
			break
		}
		s.buf = append(s.buf, a<<2|b>>4, b<<4|c>>2, c<<6|d)
	}
	return i
}

// flush writes what an incomplete group holds.
func (s *base64Stage) flush() {
	switch s.n {
	case 1:
		s.foreign = true
	case 2:
		s.buf = append(s.buf, byte(s.acc>>4))
	case 3:
		s.buf = append(s.buf, byte(s.acc>>10), byte(s.acc>>2))
	}
	s.acc, s.n = 0, 0
}

func (s *base64Stage) close() {
	s.buf = s.buf[:0]
	if len(s.line) > 0 {
		s.resume()
	}
	if s.n != 0 {
		s.cut = true
		s.flush()
	}
	if len(s.buf) > 0 {
		s.out(s.buf)
	}
}

func (s *base64Stage) oddity() string {
	switch {
	case s.cut:
		return FindingBase64Truncated
	case s.foreign:
		return FindingBase64Garbage
	}
	return ""
}

// maxHeld bounds the white space that qpStage holds back until it knows
// whether the line ends.
const maxHeld = 1024

// qpStage decodes quoted-printable (RFC 2045 §6.7): impossible escapes stay as
// written, white space at line ends is dropped (rule 3).
type qpStage struct {
	out   func([]byte)
	buf   []byte
	held  []byte // white space, or "=" with what follows, not yet decided
	state qpState
	odd   bool
}

type qpState uint8

const (
	qpText   qpState = iota
	qpEscape         // held begins with "="
	qpSoftCR         // a soft line break ended in CR: a LF belongs to it
)

func (s *qpStage) write(p []byte) {
	s.buf = s.buf[:0]
	for _, c := range p {
		s.octet(c)
	}
	if len(s.buf) > 0 {
		s.out(s.buf)
	}
}

func (s *qpStage) octet(c byte) {
	switch s.state {
	case qpSoftCR:
		s.state = qpText
		if c == '\n' {
			return
		}
	case qpEscape:
		if s.escape(c) {
			return
		}
	}
	switch c {
	case '=':
		s.release()
		s.held = append(s.held, c)
		s.state = qpEscape
	case ' ', '\t':
		s.held = append(s.held, c)
		if len(s.held) > maxHeld {
			s.release()
		}
	case '\r', '\n':
		s.held = s.held[:0]
		s.buf = append(s.buf, c)
	default:
		s.release()
		s.buf = append(s.buf, c)
	}
}

// escape takes an octet after "=" and tells whether it used it up.
func (s *qpStage) escape(c byte) bool {
	second := len(s.held) == 2 && isHex(s.held[1])
	switch {
	case second && isHex(c):
		s.buf = append(s.buf, unhex(s.held[1])<<4|unhex(c))
		s.held, s.state = s.held[:0], qpText
		return true
	case second:
	case c == '\n' || c == '\r': // "=" and perhaps blanks at the line end
		s.held, s.state = s.held[:0], qpText
		if c == '\r' {
			s.state = qpSoftCR
		}
		return true
	case (c == ' ' || c == '\t') && len(s.held) < maxHeld, len(s.held) == 1 && isHex(c):
		s.held = append(s.held, c)
		return true
	}
	s.odd = true
	s.state = qpText
	s.release()
	return false
}

func (s *qpStage) release() {
	s.buf = append(s.buf, s.held...)
	s.held = s.held[:0]
}

func (s *qpStage) close() {
	s.buf = s.buf[:0]
	if s.state == qpEscape && len(s.held) > 1 {
		s.odd = true
		s.release()
		s.out(s.buf)
	}
}

func (s *qpStage) oddity() string {
	if s.odd {
		return FindingQuotedPrintable
	}
	return ""
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'F' || c >= 'a' && c <= 'f'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}
