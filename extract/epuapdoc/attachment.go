package epuapdoc

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"sekretariat"
	"sekretariat/extract/sniff"
	"sekretariat/extract/xmlsec"
)

// attachment is one DaneZalacznika. Its octets are hashed as they pass and not
// kept.
type attachment struct {
	node   *xmlsec.Node // DaneZalacznika; its text is kept only for a link
	path   string
	coding string // lower case, "" if not given
	plain  *octets
	base64 *xmlsec.Base64Writer
	bad    error
}

// octets are the decoded octets going by.
type octets struct {
	sum  hash.Hash
	size int64
	head []byte
}

func (o *octets) Write(p []byte) (int, error) {
	o.sum.Write(p)
	o.size += int64(len(p))
	if room := sniff.HeadSize - len(o.head); room > 0 {
		o.head = append(o.head, p[:min(room, len(p))]...)
	}
	return len(p), nil
}

// Write decodes a piece of text. Bad base64 spoils this attachment only.
func (a *attachment) Write(p []byte) (int, error) {
	if a.bad == nil {
		_, a.bad = a.base64.Write(p)
	}
	return len(p), nil
}

// Close ends the attachment.
func (a *attachment) Close() error {
	if a.bad == nil {
		a.bad = a.base64.Close()
	}
	return nil
}

// isAttachment tells whether these two names are those of DaneZalacznika in a
// Zalacznik.
func isAttachment(name, parent xmlsec.Name, form string) bool {
	return name.Local == "DaneZalacznika" && parent.Local == "Zalacznik" && known(name, form) && known(parent, form)
}

// inSignature tells whether a node lies in a signature. What lies there is not
// part of what is signed, so nothing of a letter is taken from there.
func inSignature(n *xmlsec.Node) bool {
	for ; n != nil; n = n.Parent {
		if n.Is(xmlsec.SpaceDSig, "Signature") {
			return true
		}
	}
	return false
}

// divert takes the content of attachments out of the stream (xmlsec.Divert).
func (l *letter) divert(n *xmlsec.Node) io.Writer {
	if n.Parent == nil {
		l.space = n.Name.Space
		return nil
	}
	if !isAttachment(n.Name, n.Parent.Name, l.space) || inSignature(n) {
		return nil
	}
	coding, _ := attr(n.Parent, "kodowanie")
	a := &attachment{node: n, path: strconv.Itoa(len(l.attachments) + 1), coding: strings.ToLower(strings.TrimSpace(coding))}
	if l.path != "" {
		a.path = l.path + "." + a.path
	}
	l.attachments = append(l.attachments, a)
	if a.coding == "uri" {
		return nil
	}
	a.plain = &octets{sum: sha256.New()}
	a.base64 = xmlsec.NewBase64Writer(a.plain)
	return a
}

// attachment lists one attachment with its fate.
func (d *document) attachment(a *attachment) {
	holder := a.node.Parent
	name, _ := attr(holder, "nazwaPliku")
	format, _ := attr(holder, "format")
	p := sekretariat.Part{
		Path: a.path, Name: field(name), SafeName: safeName(name), Declared: field(format),
		Type: sniff.Unknown, Attachment: true, Fate: "listed", Encoding: a.coding,
	}
	if p.Name == "" {
		d.find(FindingNoName, a.path, "")
	}
	for _, n := range holder.Children {
		if n.Kind == xmlsec.Element && n.Name.Local == "OpisZalacznika" {
			p.Remark = field(n.Content())
			d.header("zalacznik."+a.path+".opis", n.Content())
		}
	}
	switch {
	case a.coding == "uri":
		d.remote(&p, a.node.Content())
	case a.coding != "" && a.coding != "base64":
		p.Fate = "unreadable"
		d.find(FindingCoding, a.path, a.coding)
		d.partial()
	case a.bad != nil:
		p.Fate = "unreadable"
		d.find(FindingBase64, a.path, "")
		d.partial()
	default:
		p.Size, p.SHA256 = a.plain.size, sekretariat.Digest(hex.EncodeToString(a.plain.sum.Sum(nil)))
		p.Type, p.Encoding = sniff.Type(a.plain.head, name), "base64"
	}
	d.r.Parts = append(d.r.Parts, p)
}

// announced finds attachments of a letter that have a name and no content: a
// clerk must ask for them.
func (d *document) announced(n *xmlsec.Node, form string) {
	for _, c := range n.Elements() {
		if c.Is(xmlsec.SpaceDSig, "Signature") {
			continue
		}
		if c.Name.Local != "Zalacznik" || !known(c.Name, form) {
			d.announced(c, form)
			continue
		}
		if !slices.ContainsFunc(c.Elements(), func(e *xmlsec.Node) bool { return isAttachment(e.Name, c.Name, form) }) {
			name, _ := attr(c, "nazwaPliku")
			d.find(FindingNoContent, "", name)
			d.partial()
		}
	}
}

// remote lists an attachment that lies in the platform's file repository. The
// link is never followed: only its id counts, and only if the link leads to
// ePUAP or is a bare id.
func (d *document) remote(p *sekretariat.Part, link string) {
	p.Fate = "remote"
	d.partial()
	id := fileID(strings.TrimSpace(link))
	if id == "" {
		d.find(FindingRemoteOdd, p.Path, link)
		return
	}
	p.ContentID = id
	d.find(FindingRemote, p.Path, id)
}

// fileID returns the id of a file in the repository, "" if the link is not one
// of ePUAP.
func fileID(link string) string {
	if isFileID(link) {
		return link
	}
	u, err := url.Parse(link)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
		return ""
	}
	host := strings.ToLower(u.Hostname())
	if host != "epuap.gov.pl" && !strings.HasSuffix(host, ".epuap.gov.pl") {
		return ""
	}
	id := ""
	for name, values := range u.Query() {
		if !strings.EqualFold(name, "fileId") {
			continue
		}
		if id != "" || len(values) != 1 || !isFileID(values[0]) {
			return "" // which of them is not to be guessed
		}
		id = values[0]
	}
	return id
}

func isFileID(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for _, c := range s {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// open looks into attachments that are letters themselves: the envelope
// podpisanyPlik holds the real letter, and letters get forwarded. What is
// inside is listed; if the outer one is a mere envelope, the first letter
// inside speaks.
func (d *document) open(outer *letter, path string, level int) error {
	for i := range d.r.Parts {
		p := &d.r.Parts[i]
		parent, _ := cutLast(p.Path)
		if parent != path || p.Type != "application/xml" || p.Fate != "listed" || level >= maxLevels || d.opened >= maxOpened || !mentions(outer, p.Path) {
			continue
		}
		d.opened++
		inner, err := d.parse(OpenPart(d.body, *p), p.Path)
		if err != nil && refusal(err) == "" {
			return err
		}
		if err != nil || inner.root.Name.Local != "Dokument" {
			continue // any XML file may be attached
		}
		p.Fate = "opened"
		text, cut := cutText(inner.body())
		if p.Text = text; cut {
			d.find(FindingTextCut, p.Path, "")
		}
		d.adopt(outer, inner)
		if err := d.list(inner); err != nil { // p is not used from here on: Parts may move
			return err
		}
		if err := d.open(inner, inner.path, level+1); err != nil {
			return err
		}
	}
	return nil
}

// mentions tells whether the head of an attachment looks like a Dokument.
func mentions(l *letter, path string) bool {
	for _, a := range l.attachments {
		if a.path == path {
			return a.plain != nil && bytes.Contains(bytes.ReplaceAll(a.plain.head, []byte{0}, nil), []byte("Dokument"))
		}
	}
	return false
}

// adopt lets the letter in an envelope speak for it.
func (d *document) adopt(outer, inner *letter) {
	if !strings.HasSuffix(outer.space, envelope) || d.r.Subject != "" || d.r.Text != "" {
		return
	}
	d.spoke = append(d.spoke, inner.path)
	if strings.HasPrefix(inner.space, spaceUPO) && d.receipt(inner) {
		return
	}
	named := d.named
	d.letter(inner)
	if len(d.named) == 0 {
		d.named = named
	}
}

// cutLast splits a path at its last dot.
func cutLast(path string) (parent, last string) {
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return "", path
}

// OpenPart returns the decoded octets of one listed attachment, read again
// from the original: exactly those whose size and digest the part lists.
// Memory is bounded; what goes wrong is the reader's error.
func OpenPart(body sekretariat.Body, p sekretariat.Part) io.Reader {
	var r io.Reader = io.NewSectionReader(body, 0, body.Size())
	for _, step := range strings.Split(p.Path, ".") {
		n, err := strconv.Atoi(step)
		if err != nil || n < 1 {
			return failed{fmt.Errorf("attachment %q: malformed path", p.Path)}
		}
		if r, err = nth(r, n); err != nil {
			return failed{fmt.Errorf("attachment %s: %w", p.Path, err)}
		}
	}
	return r
}

// failed is a reader of nothing but an error.
type failed struct{ err error }

func (f failed) Read([]byte) (int, error) { return 0, f.err }

// errNoAttachment: the document has fewer attachments than that.
var errNoAttachment = errors.New("no such attachment in the document")

// nth returns the decoded content of the n-th attachment of a document.
func nth(r io.Reader, n int) (io.Reader, error) {
	s, err := xmlsec.NewScanner(r, xmlsec.Limits{Octets: maxDocument})
	if err != nil {
		return nil, err
	}
	var open []xmlsec.Name
	for signatures := 0; ; {
		t, err := s.Next()
		switch {
		case err == io.EOF:
			return nil, errNoAttachment
		case err != nil:
			return nil, err
		case t.Kind == xmlsec.EndElement:
			if isSignature(open[len(open)-1]) {
				signatures--
			}
			open = open[:len(open)-1]
		case t.Kind == xmlsec.Element:
			if isSignature(t.Name) {
				signatures++
			}
			if signatures == 0 && len(open) > 0 && isAttachment(t.Name, open[len(open)-1], open[0].Space) {
				if n--; n == 0 {
					return xmlsec.NewBase64Reader(s.TextReader()), nil
				}
			}
			open = append(open, t.Name)
		}
	}
}

func isSignature(n xmlsec.Name) bool { return n.Local == "Signature" && n.Space == xmlsec.SpaceDSig }
