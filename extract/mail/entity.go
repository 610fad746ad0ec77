package mail

import (
	"bytes"
	"strings"
)

// entity is one MIME entity: what its header says.
type entity struct {
	path    string
	message bool // the header of a message, not of a part
	digest  bool // child of a multipart/digest: a message unless declared otherwise

	ctype    string // declared media type, "" if none
	disp     string // disposition
	name     string
	charset  string
	encoding string
	cid      string
	flowed   bool
	delsp    bool
	protocol string // of multipart/signed and multipart/encrypted
	micalg   string // of multipart/signed: digest algorithms
	smime    string // smime-type
	limit    string // finding that made it opaque, "" normally
}

// frame is one open message or multipart.
type frame struct {
	message bool
	wrapped bool   // no message of its own: the MIME entity that a signature wraps
	sub     string // subtype of a multipart
	report  string // report-type of a multipart/report

	protocol, micalg string // of a multipart/signed
	seal             *seal  // digests its first part

	path  string
	next  int // children so far
	level int // messages around it

	boundary, alias string
	prev, prevAlias int  // frames that had these boundaries before, -1 if none
	seen            bool // a delimiter of it
	closed          bool // its end delimiter

	part    int    // of a message that is also a part, -1 otherwise
	tap     *leaf  // its octets
	spoke   bool   // a message that has shown some text of its own
	subject string // of a message that is a part
	pieces  []piece
}

func (s *scanner) beginHeader(e entity) {
	s.inHeader, s.midLine, s.lineStart, s.leaf = true, false, true, nil
	s.header = header{}
	s.ent = e
	if !e.message && !s.r.room() {
		s.startRest(e.path)
	}
}

// pushMessage opens a message; its header comes next.
func (s *scanner) pushMessage(f frame) {
	f.message, f.prev, f.prevAlias = true, -1, -1
	s.stack = append(s.stack, f)
	if f.wrapped {
		s.beginHeader(entity{path: s.stack[len(s.stack)-1].childPath()})
		return
	}
	s.beginHeader(entity{path: f.path, message: true})
}

// headerStep handles one header line, or a piece of a long one.
func (s *scanner) headerStep(final bool) bool {
	content, eol, ok := s.lineEnd()
	if !ok {
		content, eol = len(s.buf)-s.pos, 0
		if content == 0 || content < maxLine && !final {
			return false
		}
		if !final && s.buf[len(s.buf)-1] == '\r' {
			content--
		}
	}
	line := s.buf[s.pos : s.pos+content]
	s.r.work += int64(content)
	if s.midLine {
		s.header.extend(bytes.TrimRight(line, "\r"))
		s.midLine = !ok
		s.take(content, eol)
		return true
	}
	line = bytes.TrimRight(line, "\r")
	if idx, closing := s.match(bytes.TrimRight(line, " \t")); idx >= 0 {
		s.delimiter(idx, closing, content, eol)
		return true
	}
	switch s.headerLine(line, ok) {
	case lineTaken:
		s.midLine = !ok
		s.take(content, eol)
	case lineBlank:
		s.take(content, eol)
		s.beginBody()
	case lineBody:
		s.beginBody()
	}
	return true
}

type lineKind uint8

const (
	lineTaken lineKind = iota // part of the header, or skipped
	lineBlank                 // ends the header
	lineBody                  // the body has begun with it
)

// headerLine handles the content of a header line. whole is false for the
// first piece of a long one.
func (s *scanner) headerLine(line []byte, whole bool) lineKind {
	h := &s.header
	empty := len(h.fields) == 0
	if empty && s.ent.message {
		if s.here() == 0 {
			line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
		}
		// mbox separators, and blank lines in front of everything.
		if bytes.HasPrefix(line, []byte("From ")) || bytes.HasPrefix(line, []byte(">From ")) || len(bytes.TrimSpace(line)) == 0 && s.at == nil && len(s.stack) == 1 {
			return lineTaken
		}
	}
	switch {
	case len(line) == 0 && whole:
		return lineBlank
	case h.add(line):
		return lineTaken
	case empty:
		return lineBody
	case looksLikeParameter(line):
		h.open = true
		h.extend([]byte(" "))
		h.extend(line)
		return lineTaken
	case !s.ent.message:
		return lineBody
	}
	s.r.find(FindingHeaderLine, s.ent.path, "")
	return lineTaken
}

// looksLikeParameter recognises a folded line that lost its indent:
// name="pismo.pdf".
func looksLikeParameter(line []byte) bool {
	name, _, ok := bytes.Cut(line[:min(len(line), 40)], []byte("="))
	switch string(bytes.ToLower(bytes.TrimRight(name, "* \t0123456789"))) {
	case "name", "filename", "charset", "boundary", "type", "format", "protocol", "micalg":
		return ok
	}
	return false
}

// beginBody reads the header that has ended and opens what it describes.
func (s *scanner) beginBody() {
	s.inHeader = false
	h := &s.header
	if h.cut {
		s.r.find(FindingHeaderCut, s.ent.path, "")
	}
	top := &s.stack[len(s.stack)-1]
	e := s.ent
	if e.message {
		s.r.messageHeader(top, h)
	}
	s.describe(&e, h)
	major, sub, _ := strings.Cut(e.ctype, "/")
	switch {
	case major == "multipart":
		s.openMultipart(e, h)
	case e.ctype == "message/rfc822" || e.ctype == "message/global" || e.ctype == "message/news":
		s.openMessage(e)
	default:
		if major == "message" {
			s.r.noteMessageType(sub, e.path)
		}
		s.openLeaf(e)
	}
	s.header = header{}
}

// describe fills in what the header says of the body.
func (s *scanner) describe(e *entity, h *header) {
	ctype, p := parseParams(h.get("content-type"))
	disp, dp := parseParams(h.get("content-disposition"))
	if p.cut || dp.cut {
		s.r.find(FindingParametersCut, e.path, "")
	}
	e.ctype, e.disp = mediaType(ctype, e.digest), disp
	e.name = dp.text("filename")
	if e.name == "" {
		e.name = p.text("name")
	}
	if e.name == "" {
		e.name = dp.text("name")
	}
	e.charset = cutString(p.token("charset"), 64)
	e.encoding = normalEncoding(string(h.get("content-transfer-encoding")))
	e.flowed = strings.EqualFold(p.token("format"), "flowed")
	e.delsp = strings.EqualFold(p.token("delsp"), "yes")
	e.protocol = strings.ToLower(p.token("protocol"))
	e.micalg = cutString(strings.ToLower(p.token("micalg")), 100)
	e.smime = strings.ToLower(p.token("smime-type"))
	e.cid = messageID(bytes.Trim(h.get("content-id"), "<> \t"))
}

// mediaType returns a declared type as major/sub, or the default (RFC 2045
// §5.2, RFC 2046 §5.1.5).
func mediaType(declared string, digest bool) string {
	major, sub, ok := strings.Cut(declared, "/")
	valid := ok && isToken(major) && isToken(sub) && len(declared) < 200
	switch {
	case valid:
		return declared
	case declared == "" && digest:
		return "message/rfc822"
	case declared == "" || declared == "text":
		return "text/plain"
	case declared == "html":
		return "text/html"
	}
	return "application/octet-stream"
}

func isToken(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>@,;:\"/[]?=`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

func (s *scanner) openMultipart(e entity, h *header) {
	_, p := parseParams(h.get("content-type"))
	path := e.path
	if s.base+len(s.stack) >= maxLevels {
		e.limit, e.ctype, e.encoding = FindingLevelsLimit, "application/octet-stream", ""
		s.openLeaf(e)
		return
	}
	f := frame{path: path, part: -1, prev: -1, prevAlias: -1, level: s.stack[len(s.stack)-1].level}
	_, f.sub, _ = strings.Cut(e.ctype, "/")
	f.protocol, f.micalg = e.protocol, e.micalg
	if f.sub == "report" {
		f.report = strings.ToLower(p.token("report-type"))
		s.r.noteReport(f.level, f.report)
	}
	s.r.noteSecure(f.sub, e)
	if f.boundary = strings.TrimRight(p.token("boundary"), " \t"); len(f.boundary) > maxBoundary {
		f.boundary = ""
	}
	if f.boundary != "" {
		f.prev = s.bind(f.boundary, len(s.stack))
	}
	s.stack = append(s.stack, f)
	pre := entity{path: path, ctype: "text/plain", encoding: e.encoding, charset: e.charset}
	s.r.reserved++ // it may turn out to be a part
	s.leaf = s.newLeaf(leafPreamble, pre, s.here(), "")
}

// openMessage lists a message within the message and descends into it.
func (s *scanner) openMessage(e entity) {
	top := &s.stack[len(s.stack)-1]
	if e.message { // a message whose body is a message
		e.path, e.message = top.childPath(), false
	}
	if top.level+1 > maxMessages || s.base+len(s.stack) >= maxLevels {
		e.limit = FindingMessagesLimit
		s.openLeaf(e)
		return
	}
	if !identityEncoding(e.encoding) {
		s.openLeaf(e) // opened by a scanner behind the decoder
		return
	}
	f := frame{path: e.path, level: top.level + 1, part: -1}
	if s.reserveOne(e.path) {
		f.tap = s.newLeaf(leafMessage, e, s.here(), e.encoding)
		f.part = f.tap.list()
		s.taps = append(s.taps, f.tap)
	}
	s.pushMessage(f)
}

// endEntity ends whatever is being read: a header that stops short, a body.
// own is true when the delimiter that ends it is the current multipart's own.
func (s *scanner) endEntity(own bool) {
	for s.inHeader {
		if len(s.header.fields) == 0 {
			s.inHeader = false
			if s.ent.message {
				s.r.messageHeader(&s.stack[len(s.stack)-1], &s.header)
			}
			break
		}
		s.beginBody()
		own = false
	}
	s.guess = ""
	l := s.leaf
	s.leaf = nil
	if l == nil {
		return
	}
	f := &s.stack[len(s.stack)-1]
	switch l.kind {
	case leafPreamble:
		s.r.reserved--
		if !own && !f.seen {
			s.boundaryMissing(f, l)
		} else if l.visible() > maxPreamble {
			s.r.find(FindingOutsideText, f.path, "")
		}
	case leafEpilogue:
		if l.visible() > 0 && s.reserveOne(f.path) {
			s.r.find(FindingOutsideText, f.path, "")
			l.ent.path = f.childPath()
			l.list()
			l.close()
		}
	default:
		l.close()
	}
}

// maxPreamble is how much text before the first part nobody will miss: "This
// is a multi-part message in MIME format".
const maxPreamble = 1000

// boundaryMissing makes a text part of a multipart without a delimiter.
func (s *scanner) boundaryMissing(f *frame, l *leaf) {
	f.seen, f.closed = true, true
	if l.visible() == 0 || !s.reserveOne(f.path) {
		return
	}
	s.r.find(FindingBoundaryMissing, f.path, "")
	l.ent.path = f.childPath()
	l.kind = leafBody
	l.list()
	l.close()
}

// popTo closes the frames from n on, innermost first.
func (s *scanner) popTo(n int) {
	for len(s.stack) > n {
		i := len(s.stack) - 1
		f := s.stack[i]
		s.closeSeal(&f)
		s.stack[i] = frame{}
		s.stack = s.stack[:i]
		s.r.work++
		if f.alias != "" {
			s.unbind(f.alias, f.prevAlias)
		}
		if f.boundary != "" {
			s.unbind(f.boundary, f.prev)
		}
		if f.message {
			s.endMessage(&f)
			continue
		}
		if !f.closed && f.seen {
			s.r.find(FindingBoundaryUnclosed, f.path, "")
		}
		s.hand(s.r.combine(f.sub, f.path, f.pieces)...)
	}
}

// hand gives text to the innermost open frame.
func (s *scanner) hand(pieces ...piece) {
	f := &s.stack[len(s.stack)-1]
	for _, p := range pieces {
		p.child = f.next
		f.pieces = append(f.pieces, p)
	}
}

func (s *scanner) endMessage(f *frame) {
	if f.tap != nil {
		s.taps = s.taps[:len(s.taps)-1]
		f.tap.close()
	}
	s.r.endMessage(f)
}
