package mail

import (
	"bytes"
	"strconv"
)

// Limits of lines.
const (
	probeSize   = 4096     // octets in which a line end must show
	maxLine     = 16 << 10 // a header line is handed on in pieces of about this size
	maxDash     = 2048     // a delimiter line is not longer
	maxBoundary = 1000     // octets; RFC 2046 §5.1.1 says 70
)

// place is where the octets that a scanner reads lie in the original, when
// they do not lie there as they are. See OpenPart.
type place struct {
	offset int64  // of the outermost encoded part in the original
	length int64  // of that part, 0 while it is still being read
	chain  string // encodings and ranges from the original to this stream
}

// scanner finds the structure of one message while its octets are pushed in.
// A message in a base64 part has a scanner of its own, fed by the decoder.
type scanner struct {
	r    *reader
	at   *place // nil for the original itself
	top  frame  // the message to be read
	base int    // frames open around it

	buf      []byte
	pos      int   // buf[:pos] is done
	off      int64 // of buf[0] in this stream
	searched int   // buf[pos:searched] holds no line end

	probed    bool
	nl        byte   // line end: LF, or CR when there is no LF
	needle    []byte // nl and "--"
	lineStart bool   // pos is at the begin of a line
	midLine   bool   // inside a header line handed on in pieces

	pend    [2]byte // a line end that a delimiter may claim
	pendLen int
	pendOff int64

	inHeader bool
	header   header
	ent      entity // whose header it is

	stack  []frame
	bounds map[string]int // boundary → innermost frame that has it
	guess  string         // an unknown delimiter in a preamble, perhaps the real one
	taps   []*leaf        // open messages that are also parts, outermost first
	seals  []*seal        // of open signed multiparts, outermost first
	leaf   *leaf          // the body being read, nil outside
	rest   *leaf          // everything beyond the parts limit
}

// newScanner returns a scanner of a message that is not part of another one.
func newScanner(r *reader) *scanner {
	return &scanner{r: r, top: frame{part: -1}, bounds: map[string]int{}, lineStart: true}
}

// here is the offset of the next octet in this stream.
func (s *scanner) here() int64 { return s.off + int64(s.pos) }

func (s *scanner) write(p []byte) {
	s.r.work += int64(len(p))
	s.buf = append(s.buf, p...)
	s.process(false)
	// Moving what is left only when it is the smaller half keeps tiny writes
	// linear.
	if s.pos > len(s.buf)/2 {
		n := copy(s.buf, s.buf[s.pos:])
		s.off += int64(s.pos)
		s.searched = max(0, s.searched-s.pos)
		s.buf, s.pos = s.buf[:n], 0
	}
}

// close ends the message.
func (s *scanner) close() {
	s.process(true)
	s.flushPend()
	s.endEntity(false)
	s.popTo(0)
	if s.rest != nil {
		s.rest.close()
	}
}

func (s *scanner) process(final bool) {
	if !s.probed && !s.probe(final) {
		return
	}
	for {
		progress := false
		if s.inHeader {
			progress = s.headerStep(final)
		} else {
			progress = s.bodyStep(final)
		}
		if !progress {
			return
		}
	}
}

// probe decides what ends a line: LF, unless the first octets have only CR.
func (s *scanner) probe(final bool) bool {
	data := s.buf[:min(len(s.buf), probeSize)]
	lf := bytes.IndexByte(data, '\n') >= 0
	if !lf && !final && len(data) < probeSize {
		return false
	}
	s.nl = '\n'
	if !lf && bytes.IndexByte(data, '\r') >= 0 {
		s.nl = '\r'
		s.r.find(FindingBareCR, "", "")
	}
	s.needle = []byte{s.nl, '-', '-'}
	s.probed = true
	s.pushMessage(s.top)
	return true
}

// deliver gives raw octets that begin at off to everything that is open.
func (s *scanner) deliver(p []byte) {
	if len(p) == 0 {
		return
	}
	for _, t := range s.taps {
		t.raw(p)
	}
	for _, t := range s.seals {
		t.raw(p)
	}
	if s.leaf != nil {
		s.leaf.raw(p)
	}
	if s.rest != nil {
		s.rest.raw(p)
	}
}

// flushPend gives out the line end that no delimiter claimed, to what was open
// when it came.
func (s *scanner) flushPend() {
	if s.pendLen == 0 {
		return
	}
	p := s.pend[:s.pendLen]
	s.pendLen = 0
	for _, t := range s.taps {
		if t.start <= s.pendOff {
			t.raw(p)
		}
	}
	for _, t := range s.seals {
		if t.start <= s.pendOff {
			t.raw(p)
		}
	}
	if s.leaf != nil && s.leaf.start <= s.pendOff {
		s.leaf.raw(p)
	}
	if s.rest != nil && s.rest.start <= s.pendOff {
		s.rest.raw(p)
	}
}

// take uses up content and the line end after it: the content is given out,
// the line end waits.
func (s *scanner) take(content, eol int) {
	s.flushPend()
	s.deliver(s.buf[s.pos : s.pos+content])
	s.pos += content
	s.pendOff = s.here()
	s.pendLen = copy(s.pend[:], s.buf[s.pos:s.pos+eol])
	s.pos += eol
	s.searched = max(s.searched, s.pos)
	s.lineStart = eol > 0
}

// lineEnd returns where the line at pos ends: the length of its content and of
// its end. ok is false if the end is not in the buffer.
func (s *scanner) lineEnd() (content, eol int, ok bool) {
	from := max(s.searched, s.pos)
	i := bytes.IndexByte(s.buf[from:], s.nl)
	if i < 0 {
		s.searched = len(s.buf)
		return 0, 0, false
	}
	s.searched = from
	content, eol = from+i-s.pos, 1
	if content > 0 && s.nl == '\n' && s.buf[s.pos+content-1] == '\r' {
		return content - 1, 2, true
	}
	return content, eol, true
}

// bodyStep handles a run of body octets or one line that may be a delimiter.
func (s *scanner) bodyStep(final bool) bool {
	data := s.buf[s.pos:]
	if len(data) == 0 {
		return false
	}
	if s.lineStart {
		if s.guess != "" && !s.adopt(data, final) {
			return false
		}
		if s.inHeader {
			return true // adopted: the line is a header
		}
		if data[0] == '-' {
			if len(data) == 1 && !final {
				return false
			}
			if len(data) > 1 && data[1] == '-' {
				if done, wait := s.dashLine(final); done || wait {
					return done
				}
			}
		}
		s.lineStart = false
	}
	if i := bytes.Index(data, s.needle); i >= 0 {
		content, eol := i, 1
		if i > 0 && s.nl == '\n' && data[i-1] == '\r' {
			content, eol = i-1, 2
		}
		s.take(content, eol)
		return true
	}
	n := len(data)
	if !final {
		n -= s.heldBack(data)
	}
	if n == 0 {
		return false
	}
	s.take(n, 0)
	return true
}

// heldBack returns how many octets at the end of data may belong to a line
// end before a delimiter.
func (s *scanner) heldBack(data []byte) int {
	n := len(data)
	if n > 0 && data[n-1] == '-' {
		n--
	}
	if n > 0 && data[n-1] == s.nl {
		n--
		if n > 0 && s.nl == '\n' && data[n-1] == '\r' {
			n--
		}
		return len(data) - n
	}
	if data[len(data)-1] == '\r' {
		return 1
	}
	return 0
}

// dashLine handles a line that begins with two hyphens. done means that it was
// a delimiter and is used up, wait that more octets are needed.
func (s *scanner) dashLine(final bool) (done, wait bool) {
	content, eol, ok := s.lineEnd()
	if !ok {
		content = len(s.buf) - s.pos
		if content <= maxDash && !final {
			return false, true
		}
	}
	if content > maxDash {
		return false, false
	}
	line := bytes.TrimRight(s.buf[s.pos:s.pos+content], " \t\r")
	idx, closing := s.match(line)
	if idx < 0 {
		if s.leaf != nil && s.leaf.kind == leafPreamble && len(line) > 3 {
			s.guess = string(line[2:])
			s.take(content, eol) // so that the next line is looked at on its own
			return true, false
		}
		return false, false
	}
	s.delimiter(idx, closing, content, eol)
	return true, false
}

// match looks a delimiter line up. It must be the whole line, so that no
// boundary is taken for another that begins alike.
func (s *scanner) match(line []byte) (idx int, closing bool) {
	if len(line) < 2 || len(line) > maxBoundary+4 || line[0] != '-' || line[1] != '-' || len(s.bounds) == 0 {
		return -1, false
	}
	s.r.work++
	key := line[2:]
	if i, ok := s.bounds[string(key)]; ok {
		return i, false
	}
	if key, ok := bytes.CutSuffix(key, []byte("--")); ok {
		if i, ok := s.bounds[string(key)]; ok {
			return i, true
		}
	}
	return -1, false
}

// adopt takes an unknown delimiter in a preamble for the real one if a header
// field of a part follows it. It returns false if more octets are needed.
func (s *scanner) adopt(data []byte, final bool) bool {
	const field = "content-"
	if len(data) < len(field) && !final {
		return false
	}
	boundary := s.guess
	s.guess = ""
	if s.leaf == nil || s.leaf.kind != leafPreamble || !bytes.EqualFold(data[:min(len(data), len(field))], []byte(field)) {
		return true
	}
	top := len(s.stack) - 1
	f := &s.stack[top]
	f.alias, f.prevAlias = boundary, s.bind(boundary, top)
	s.r.find(FindingBoundaryGuessed, f.path, "")
	s.endEntity(true)
	f.seen = true
	s.beginHeader(entity{path: f.childPath(), digest: f.sub == "digest"})
	return true
}

// bind makes frame i the innermost one with a boundary and returns the one
// that was, -1 if none.
func (s *scanner) bind(boundary string, i int) int {
	prev, ok := s.bounds[boundary]
	if !ok {
		prev = -1
	}
	s.bounds[boundary] = i
	return prev
}

func (s *scanner) unbind(boundary string, prev int) {
	if prev >= 0 {
		s.bounds[boundary] = prev
	} else {
		delete(s.bounds, boundary)
	}
}

// delimiter handles the delimiter line at pos of frame idx.
func (s *scanner) delimiter(idx int, closing bool, content, eol int) {
	s.endEntity(idx == len(s.stack)-1)
	s.popTo(idx + 1)
	f := &s.stack[idx]
	s.closeSeal(f)
	s.take(content, eol)
	s.lineStart = true
	again := f.closed
	f.seen = true
	if closing {
		f.closed = true
		if f.prev >= 0 { // an outer multipart has the same boundary
			s.popTo(idx)
			return
		}
		s.leaf = s.newLeaf(leafEpilogue, entity{path: f.path, ctype: "text/plain"}, s.here(), "")
		return
	}
	if again {
		s.r.find(FindingPartAfterEnd, f.path, "")
	}
	f.closed = false
	s.openSeal(f)
	s.beginHeader(entity{path: f.childPath(), digest: f.sub == "digest"})
}

// childPath returns the path of the next child (RFC 9051 §6.4.5: "2.1").
func (f *frame) childPath() string {
	f.next++
	if f.path == "" {
		return strconv.Itoa(f.next)
	}
	return f.path + "." + strconv.Itoa(f.next)
}
