// Package tnef reads winmail.dat, the wrapping that Outlook and Exchange put
// around a message for others of their kind (MS-OXTNEF): attachments with
// their names and octets, and the body when it is nowhere else. It reads one
// stream from begin to end; of the octets of attachments it keeps none.
package tnef

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"sekretariat/extract/charset"
	"sekretariat/extract/mapi"
)

// Limits of one TNEF stream. What is beyond is skipped and told.
const (
	maxAttachments = 500
	maxProperties  = 5000 // of one object
	maxAttribute   = mapi.MaxValue
	maxKept        = 16 << 20 // octets of all properties, with what keeping them costs
	maxRecipients  = 500
)

// The attributes that are read (MS-OXTNEF §2.1.3.2).
const (
	attFrom          = 0x8000
	attSubject       = 0x8004
	attMessageID     = 0x8009
	attBody          = 0x800c
	attAttachData    = 0x800f
	attAttachTitle   = 0x8010
	attAttachRend    = 0x9002
	attMsgProps      = 0x9003
	attRecipTable    = 0x9004
	attAttachment    = 0x9005
	attOemCodepage   = 0x9007
	levelAttachment  = 2
	signature        = 0x223e9f78
	attributeHeader  = 9
	checksumOfLength = 2
)

// errBroken says that the stream is not what it should be.
var errBroken = errors.New("malformed TNEF")

// Read reads one TNEF stream. sink is called for each attachment that has
// octets, with its ordinal, and gets them; it may return nil to skip them. An
// error is one of r or of a sink; a broken stream is a Message with Broken
// set.
func Read(r io.Reader, sink func(i int) io.Writer) (*mapi.Message, error) {
	p := &parser{r: bufio.NewReaderSize(r, 4<<10), sink: sink, msg: &mapi.Message{}, cur: -1}
	err := p.run()
	p.finish()
	switch {
	case p.failed != nil:
		return nil, fmt.Errorf("read TNEF: %w", p.failed)
	case errors.Is(err, errBroken), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		p.msg.Broken = err.Error()
	case err != nil:
		return nil, fmt.Errorf("read TNEF: %w", err)
	}
	return p.msg, nil
}

// Open returns the octets of attachment i of a TNEF stream, exactly those that
// Read gives to its sink.
func Open(r io.Reader, i int) io.Reader { return &opened{r: r, i: i} }

// opened reads the stream when it is first asked.
type opened struct {
	r    io.Reader
	i    int
	data io.Reader
}

// Read implements io.Reader.
func (o *opened) Read(b []byte) (int, error) {
	if o.data == nil {
		p := &parser{r: bufio.NewReaderSize(o.r, 4<<10), msg: &mapi.Message{}, cur: -1, want: o.i, seek: true}
		if err := p.run(); !errors.Is(err, errFound) {
			if p.failed != nil {
				return 0, p.failed
			}
			return 0, io.EOF // the attachment has no octets
		}
		o.data = io.LimitReader(p.r, p.left)
	}
	n, err := o.data.Read(b)
	return n, err
}

// errFound ends a search for one attachment.
var errFound = errors.New("found")

// parser reads attributes one after another.
type parser struct {
	r      *bufio.Reader
	sink   func(i int) io.Writer
	msg    *mapi.Message
	cur    int   // attachment that attributes belong to, -1 before the first
	left   int64 // octets of the current attribute
	failed error // of the stream or a sink

	kept  int64 // see maxKept
	code  int   // attOemCodepage
	seek  bool  // only to find attachment want
	want  int
	given bool // the current attachment's octets were handed out
	title []titled
}

// titled are strings whose code page may be told later.
type titled struct {
	attachment int // -1: subject
	raw        []byte
}

func (p *parser) run() error {
	head := make([]byte, 6)
	if err := p.full(head); err != nil {
		return err
	}
	if binary.LittleEndian.Uint32(head) != signature {
		return fmt.Errorf("%w: no signature", errBroken)
	}
	for {
		var h [attributeHeader]byte
		if _, err := io.ReadFull(p.r, h[:1]); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			p.failed = err
			return err
		}
		if h[0] != 1 && h[0] != levelAttachment {
			if h[0] == 0 || h[0] == '\r' || h[0] == '\n' {
				return nil // filled up
			}
			return fmt.Errorf("%w: level %d", errBroken, h[0])
		}
		if err := p.full(h[1:]); err != nil {
			return err
		}
		p.left = int64(binary.LittleEndian.Uint32(h[5:]))
		if err := p.attribute(int(binary.LittleEndian.Uint16(h[1:]))); err != nil {
			return err
		}
		if err := p.skip(p.left + checksumOfLength); err != nil {
			return err
		}
	}
}

// full reads len(b) octets of the stream.
func (p *parser) full(b []byte) error {
	_, err := io.ReadFull(p.r, b)
	return p.note(err)
}

// note tells a cut off stream from one that cannot be read.
func (p *parser) note(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		if errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		}
		return err
	}
	p.failed = err
	return err
}

func (p *parser) skip(n int64) error {
	p.left = 0
	return p.discard(n)
}

// discard skips n octets of the stream; it allocates nothing.
func (p *parser) discard(n int64) error {
	for n > 0 {
		k, err := p.r.Discard(int(min(n, 1<<20)))
		if n -= int64(k); err != nil {
			return p.note(err)
		}
	}
	return nil
}

// take reads n octets of the current attribute.
func (p *parser) take(n int64) ([]byte, error) {
	if n < 0 || n > p.left || n > maxAttribute {
		return nil, errBroken
	}
	p.left -= n
	b := make([]byte, n)
	return b, p.full(b)
}

// attribute handles one attribute; what it leaves is skipped.
func (p *parser) attribute(id int) error {
	switch id {
	case attAttachRend:
		return p.begin()
	case attAttachData:
		return p.data()
	case attMsgProps:
		if p.seek {
			return nil
		}
		return p.properties(&p.msg.Props, false)
	case attAttachment:
		return p.attachmentProperties()
	case attRecipTable:
		if p.seek {
			return nil
		}
		return p.recipients()
	}
	if p.seek || p.left > maxAttribute || p.left == 0 {
		return nil
	}
	return p.simple(id)
}

// simple handles an attribute that is one small value.
func (p *parser) simple(id int) error {
	switch id {
	case attSubject, attBody, attMessageID, attAttachTitle, attOemCodepage, attFrom:
	default:
		return nil
	}
	b, err := p.take(p.left)
	if err != nil {
		return err
	}
	switch {
	case id == attOemCodepage && len(b) >= 4:
		p.code = int(binary.LittleEndian.Uint32(b))
	case id == attAttachTitle && p.cur >= 0 && len(p.title) < 2*maxAttachments:
		p.title = append(p.title, titled{p.cur, b})
	case id == attSubject:
		p.msg.Props.Set(mapi.Subject, mapi.TypeString8, b)
	case id == attBody:
		p.msg.Props.Set(mapi.Body, mapi.TypeString8, b)
	case id == attFrom:
		p.from(b)
	}
	return nil
}

// from reads a TRP structure (MS-OXTNEF §2.1.3.3.13): name and "SMTP:address".
func (p *parser) from(b []byte) {
	if len(b) < 8 {
		return
	}
	name, addr := int(binary.LittleEndian.Uint16(b[4:])), int(binary.LittleEndian.Uint16(b[6:]))
	if b = b[8:]; name+addr <= len(b) {
		p.msg.Props.Set(mapi.SenderName, mapi.TypeString8, b[:name])
		if a := b[name : name+addr]; len(a) > 5 && string(a[:5]) == "SMTP:" {
			p.msg.Props.Set(mapi.SenderSMTP, mapi.TypeString8, a[5:])
		}
	}
}

// begin begins an attachment.
func (p *parser) begin() error {
	p.given = false
	if len(p.msg.Attachments) >= maxAttachments {
		p.msg.Cut = true
		return fmt.Errorf("%w: too many attachments", errBroken)
	}
	p.msg.Attachments = append(p.msg.Attachments, mapi.Attachment{})
	p.cur = len(p.msg.Attachments) - 1
	return nil
}

// data hands out the octets of an attachment: all that is left of the
// attribute.
func (p *parser) data() error {
	if p.left == 0 {
		return nil
	}
	if p.cur < 0 {
		if err := p.begin(); err != nil {
			return err
		}
	}
	if p.given {
		return nil
	}
	if p.seek {
		if p.cur == p.want {
			return errFound
		}
		return nil
	}
	return p.hand()
}

// hand copies the rest of the attribute to the sink.
func (p *parser) hand() error {
	a := &p.msg.Attachments[p.cur]
	p.given = true
	w := io.Discard
	if p.sink != nil {
		if s := p.sink(p.cur); s != nil {
			w = s
		}
	}
	out := &guard{w: w}
	n, err := io.CopyN(out, p.r, p.left)
	a.Size, p.left = n, p.left-n
	if out.err != nil {
		p.failed = out.err
		return out.err
	}
	return p.note(err)
}

// guard tells errors of a sink from those of the stream.
type guard struct {
	w   io.Writer
	err error
}

// Write implements io.Writer.
func (g *guard) Write(b []byte) (int, error) {
	n, err := g.w.Write(b)
	g.err = err
	return n, err
}

// finish decodes what needed the code page.
func (p *parser) finish() {
	m := p.msg
	if m.Props.Codepage = p.code; p.code == 0 {
		m.Props.Codepage = m.Props.Int(mapi.InternetCodepage)
	}
	for i := range m.Attachments {
		m.Attachments[i].Props.Codepage = m.Props.Codepage
	}
	for i := range m.Recipients {
		m.Recipients[i].Codepage = m.Props.Codepage
	}
	for _, t := range p.title {
		raw := t.raw
		for len(raw) > 0 && raw[len(raw)-1] == 0 {
			raw = raw[:len(raw)-1]
		}
		m.Attachments[t.attachment].Title, _ = charset.Decode(raw, charset.Codepage(m.Props.Codepage))
	}
}
