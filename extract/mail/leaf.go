package mail

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"strconv"
	"strings"

	"sekretariat"
	"sekretariat/extract/sniff"
)

// Limits of what is kept of one part while it streams by.
const (
	keepText   = 4 * sekretariat.MaxText // decoded octets of text, HTML is mostly tags
	keepReport = 64 << 10                // decoded octets of delivery reports
	keepEvent  = 128 << 10               // decoded octets of a calendar
)

type leafKind uint8

const (
	leafBody     leafKind = iota // a part
	leafMessage                  // the octets of a message that is also descended into
	leafPreamble                 // before the first delimiter: a part if there is none
	leafEpilogue                 // after the last one: a part if it says anything
	leafRest                     // all that is beyond the parts limit
)

// leaf is one body that streams by: decoded, hashed, looked at, forgotten.
type leaf struct {
	s      *scanner
	kind   leafKind
	ent    entity
	part   int // index in Parts, -1 while not listed
	start  int64
	length int64 // raw octets
	st     stage

	size  int64 // decoded octets
	sum   hash.Hash
	head  []byte
	keep  []byte
	limit int // of keep

	uu    *uuSplitter
	file  *uuFile
	child *scanner
}

// uuFile is a uuencoded file inside a text.
type uuFile struct {
	part  int
	start int64 // in the decoded text
	size  int64
	sum   hash.Hash
	head  []byte
}

func (s *scanner) newLeaf(kind leafKind, e entity, start int64, encoding string) *leaf {
	e.encoding = encoding
	l := &leaf{s: s, kind: kind, ent: e, part: -1, start: start, sum: sha256.New()}
	if kind == leafPreamble || kind == leafEpilogue {
		l.limit = keepText
	}
	l.st = newStage(encoding, l.decoded)
	return l
}

// openLeaf begins a part that is not descended into, or only behind its
// decoder.
func (s *scanner) openLeaf(e entity) {
	top := &s.stack[len(s.stack)-1]
	if e.message {
		e.path, e.message = top.childPath(), false
	}
	if !s.reserveOne(e.path) {
		s.leaf = nil
		return
	}
	l := s.newLeaf(leafBody, e, s.here(), e.encoding)
	l.list()
	s.leaf = l
	if !knownEncoding(e.encoding) {
		s.r.find(FindingEncodingUnknown, e.path, e.encoding)
	}
	switch {
	case e.limit != "":
		s.r.find(e.limit, e.path, "")
	case e.ctype == "message/rfc822" || e.ctype == "message/global" || e.ctype == "message/news":
		l.child = s.child(l, top)
	case e.ctype == "message/delivery-status" || e.ctype == "message/disposition-notification" || e.ctype == "text/rfc822-headers" ||
		e.ctype == "message/global-delivery-status" || e.ctype == "message/global-disposition-notification":
		l.limit = keepReport
	case l.detached():
		l.limit = keepSignature
	case e.ctype == "text/calendar" || e.ctype == "application/ics":
		l.limit = keepEvent
	case textual(e.ctype):
		l.limit = keepText
		if e.disp != "attachment" && e.ctype == "text/plain" {
			l.splitUU()
		}
	}
}

// child returns a scanner for the message that l decodes to.
func (s *scanner) child(l *leaf, parent *frame) *scanner {
	c := newScanner(s.r)
	c.top = frame{path: l.ent.path, level: parent.level + 1, part: l.part}
	c.base = s.base + len(s.stack)
	c.at = &place{offset: l.start, chain: l.ent.encoding}
	if s.at != nil {
		c.at = &place{offset: s.at.offset, length: s.at.length, chain: l.chain()}
	}
	return c
}

// chain is the way from the original to the decoded octets of l.
func (l *leaf) chain() string {
	if l.s.at == nil {
		return l.ent.encoding
	}
	return l.s.at.chain + "/" + strconv.FormatInt(l.start, 10) + "/" + l.ent.encoding
}

// textual tells whether a declared type is text that people read.
func textual(ctype string) bool {
	switch ctype {
	case "text/plain", "text/html", "text/enriched", "text/richtext", "text/x-html", "application/xhtml+xml", "text/markdown":
		return true
	}
	return false
}

func isHTML(ctype string) bool {
	return ctype == "text/html" || ctype == "text/x-html" || ctype == "application/xhtml+xml" || ctype == "text/enriched" || ctype == "text/richtext"
}

// raw takes octets as they stand in the stream.
func (l *leaf) raw(p []byte) {
	l.length += int64(len(p))
	l.s.r.work += int64(len(p))
	l.st.write(p)
}

// decoded takes what the transfer encoding makes of them.
func (l *leaf) decoded(p []byte) {
	l.size += int64(len(p))
	l.s.r.work += int64(len(p))
	l.sum.Write(p)
	l.head = fill(l.head, p, sniff.HeadSize)
	switch {
	case l.child != nil:
		l.child.write(p)
	case l.uu != nil:
		l.uu.write(p)
	default:
		l.keep = fill(l.keep, p, l.limit)
	}
}

// fill appends p to b up to limit.
func fill(b, p []byte, limit int) []byte {
	if room := limit - len(b); room < len(p) {
		p = p[:max(0, room)]
	}
	return append(b, p...)
}

// visible returns how many octets of a tentative part are not blank.
func (l *leaf) visible() int { return len(bytes.TrimSpace(l.keep)) }

// list gives the part its place in the list and returns its index.
func (l *leaf) list() int {
	e := &l.ent
	l.part = l.s.r.addPart(sekretariat.Part{
		Path: e.path, Name: e.name, Declared: e.ctype, ContentID: e.cid, Encoding: e.encoding, Fate: "listed",
	}, l.s.level())
	return l.part
}

// close finishes the part: digest, type, fate, text.
func (l *leaf) close() {
	l.st.close()
	if l.child != nil {
		l.child.close()
	}
	if l.uu != nil {
		l.uu.close()
	}
	r, e := l.s.r, &l.ent
	if l.part < 0 {
		return
	}
	p := &r.out.Parts[l.part]
	l.locate(p)
	p.Size, p.SHA256 = l.size, digest(l.sum)
	p.Type = contentType(l.head, e)
	if p.SafeName == "" { // a message without a name is called by its subject
		p.SafeName = safeName(p.Name, p.Type, p.Path)
	}
	if code := l.st.oddity(); code != "" && l.size+l.length > 0 {
		r.find(code, e.path, "")
		if l.size == 0 {
			p.Fate = "unreadable"
		}
	}
	l.settle(p)
}

// locate says where the part lies, and corrects the parts inside it that were
// listed before its length was known.
func (l *leaf) locate(p *sekretariat.Part) {
	if l.s.at != nil {
		p.Offset, p.Length = l.s.at.offset, l.s.at.length
		p.Encoding = l.s.at.chain + "/" + strconv.FormatInt(l.start, 10) + "+" + strconv.FormatInt(l.length, 10) + "/" + l.ent.encoding
		return
	}
	p.Offset, p.Length = l.start, l.length
	parts := l.s.r.out.Parts
	for i := l.part + 1; i < len(parts) && (l.child != nil || l.uu != nil); i++ {
		if parts[i].Offset == l.start && strings.Contains(parts[i].Encoding, "/") {
			parts[i].Length = l.length
		}
	}
}

// settle decides what becomes of the part.
func (l *leaf) settle(p *sekretariat.Part) {
	r, e := l.s.r, &l.ent
	if oddName(p.Name) {
		r.find(FindingNameOdd, e.path, "")
	}
	switch {
	case l.kind == leafRest || e.limit != "":
		p.Fate, p.Attachment = "limit", true
		return
	case l.kind == leafMessage || l.child != nil:
		p.Fate, p.Attachment = "opened", true
		if f := l.parent(); f != nil && f.sub == "report" && e.disp != "attachment" {
			p.Attachment = false
		}
		return
	case l.kind == leafEpilogue:
		return
	case l.limit == keepReport:
		r.readReport(e.ctype, l.keep)
		p.Attachment = e.disp == "attachment"
		return
	}
	switch l.limit {
	case keepText:
		l.readText(p)
		return
	case keepEvent:
		l.readEvent(p)
		return
	case keepSignature:
		l.readSignature()
	}
	p.Attachment = !l.technical()
	r.notePart(p, l.head, e)
	if f := l.parent(); f != nil && f.sub == "encrypted" && p.Attachment && p.Fate == "listed" {
		p.Fate = fateSecret // RFC 3156 §4: the second part
	}
}

// parent is the frame that holds the part; nil at the end of everything.
func (l *leaf) parent() *frame {
	if n := len(l.s.stack); n > 0 {
		return &l.s.stack[n-1]
	}
	return nil
}

// technical tells whether a part belongs to the machinery of a signed or
// encrypted mail rather than to the letter.
func (l *leaf) technical() bool {
	switch l.ent.ctype {
	case "application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature":
		f := l.parent()
		return f != nil && f.sub == "signed"
	case "application/pgp-encrypted":
		return true
	}
	return false
}

// contentType decides the type of a part by its content, and by the
// declaration where content says little.
func contentType(head []byte, e *entity) string {
	t := sniff.Type(head, e.name)
	major, _, _ := strings.Cut(e.ctype, "/")
	switch t {
	case "", sniff.Unknown, "application/x-empty":
		return e.ctype
	case "text/plain":
		if major == "text" || major == "message" || strings.HasPrefix(e.ctype, "application/pgp") || strings.Contains(e.ctype, "json") {
			return e.ctype
		}
	case "text/html", "application/xml", "message/rfc822":
		if major == "text" || major == "message" {
			return e.ctype
		}
	}
	return t
}

func digest(h hash.Hash) sekretariat.Digest {
	return sekretariat.Digest(hex.EncodeToString(h.Sum(nil)))
}

// splitUU makes the leaf look for uuencoded files in its text.
func (l *leaf) splitUU() {
	r := l.s.r
	files := 0
	l.uu = &uuSplitter{
		text: func(p []byte) { l.keep = fill(l.keep, p, l.limit) },
		begin: func(name string, offset int64) {
			l.file = nil
			files++
			path := l.ent.path + "." + strconv.Itoa(files)
			if !l.s.reserveOne(path) {
				return
			}
			l.file = &uuFile{start: offset, sum: sha256.New()}
			l.file.part = r.addPart(sekretariat.Part{Path: path, Name: cutString(decodeWords([]byte(name)), maxName), Fate: "listed", Attachment: true}, l.s.level())
		},
		data: func(p []byte) {
			if f := l.file; f != nil {
				f.size += int64(len(p))
				f.sum.Write(p)
				f.head = fill(f.head, p, sniff.HeadSize)
			}
		},
		end: func(offset int64, whole bool) {
			if l.file != nil {
				l.endFile(offset, whole)
			}
		},
	}
}

func (l *leaf) endFile(offset int64, whole bool) {
	f, r := l.file, l.s.r
	l.file = nil
	p := &r.out.Parts[f.part]
	p.Size, p.SHA256 = f.size, digest(f.sum)
	p.Type = sniff.Type(f.head, p.Name)
	p.SafeName = safeName(p.Name, p.Type, p.Path)
	encoding := "x-uuencode"
	if l.uu.yenc {
		encoding = stepYEnc
	}
	length := offset - f.start
	if l.s.at == nil && identityEncoding(l.ent.encoding) {
		p.Offset, p.Length, p.Encoding = l.start+f.start, length, encoding
	} else {
		p.Offset = l.start
		if l.s.at != nil {
			p.Offset, p.Length = l.s.at.offset, l.s.at.length
		}
		p.Encoding = l.chain() + "/" + strconv.FormatInt(f.start, 10) + "+" + strconv.FormatInt(length, 10) + "/" + encoding
	}
	if !whole {
		r.find(FindingUUBroken, p.Path, "")
	}
	if oddName(p.Name) {
		r.find(FindingNameOdd, p.Path, "")
	}
}

// reserveOne tells whether one more part may be listed; if not, all that
// comes is one opaque part.
func (s *scanner) reserveOne(path string) bool {
	if s.r.room() {
		return true
	}
	s.startRest(path)
	return false
}

// level is how many messages are open around the innermost one.
func (s *scanner) level() int {
	if n := len(s.stack); n > 0 {
		return s.stack[n-1].level
	}
	return s.top.level
}

// startRest begins the opaque part behind the parts limit. Inside an encoded
// message there is none: the message itself is listed.
func (s *scanner) startRest(path string) {
	s.r.find(FindingPartsLimit, "", "")
	if s.at != nil || s.rest != nil {
		return
	}
	s.rest = s.newLeaf(leafRest, entity{path: path, ctype: "application/octet-stream"}, s.here(), "")
	s.rest.list()
}
