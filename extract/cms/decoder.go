package cms

import (
	"errors"
	"fmt"
)

// Decoder reads a CMS object whose octets are pushed in, as DER, BER, PEM or
// bare base64.
type Decoder struct {
	content func([]byte)
	obj     Object
	err     error

	armour *armour
	begun  bool
	done   bool // the object has ended, or nothing more of it is wanted

	hdr   []byte // of an element whose length is not known yet
	left  int64  // of the primitive element that is being read
	off   int64  // octets of the object so far
	stack []open

	kept    []byte // the element being captured
	capture int    // level at which capturing began, 0 when not
	all     int    // octets captured so far
	streams bool   // the content has begun
}

// role is what an open element means.
type role uint8

const (
	roleSkip     role = iota // of no interest
	roleInfo                 // ContentInfo
	roleExplicit             // its [0]
	roleSigned               // SignedData
	roleEncap                // EncapsulatedContentInfo
	roleContent              // its [0]
	roleOctets               // an octet string of content
	roleOID                  // captured: contentType
	roleInnerOID             // captured: eContentType
	roleDigests              // captured: digestAlgorithms
	roleCerts                // captured: certificates
	roleSigners              // captured: signerInfos
)

// open is one element that has begun.
type open struct {
	role role
	end  int64 // offset after it, -1 if indefinite
	sets int   // of SignedData: SETs so far
}

// NewDecoder returns a Decoder that hands the signed content on.
func NewDecoder(content func([]byte)) *Decoder { return &Decoder{content: content} }

// Write takes the next octets. It never fails: what is broken is told by Close.
func (d *Decoder) Write(p []byte) (int, error) {
	n := len(p)
	if !d.begun {
		for len(p) > 0 && (p[0] == ' ' || p[0] == '\t' || p[0] == '\r' || p[0] == '\n') {
			p = p[1:]
		}
		if len(p) == 0 {
			return n, nil
		}
		d.begun = true
		if p[0] != 0x30 { // SEQUENCE
			d.armour = &armour{out: d.octets}
		}
	}
	if d.armour != nil {
		d.armour.write(p)
	} else {
		d.octets(p)
	}
	return n, nil
}

// Close ends the input and returns what was read.
func (d *Decoder) Close() *Object {
	if d.armour != nil {
		d.armour.close()
	}
	switch {
	case d.err == nil && !d.begun:
		d.err = errors.New("empty")
	case d.err == nil && !d.done:
		d.err = errors.New("cut off")
	}
	if d.err != nil {
		d.obj.Broken = d.err.Error()
	}
	if d.obj.Type == "" {
		d.obj.Type = TypeUnknown
	}
	d.obj.Detached = d.obj.Type == TypeSigned && !d.streams
	d.obj.link()
	return &d.obj
}

// octets takes octets of the object itself.
func (d *Decoder) octets(p []byte) {
	for len(p) > 0 && !d.done && d.err == nil {
		if d.left > 0 {
			n := int(min(d.left, int64(len(p))))
			d.primitive(p[:n])
			d.left -= int64(n)
			p = p[n:]
			if d.left == 0 {
				d.pop()
			}
			continue
		}
		d.hdr = append(d.hdr, p[0])
		p = p[1:]
		d.off++
		e, err := parseElement(d.hdr)
		if errors.Is(err, errMore) {
			continue
		}
		if err == nil {
			err = d.begin(e)
		}
		if err != nil && d.err == nil {
			d.err = fmt.Errorf("octet %d: %w", d.off, err)
		}
		d.hdr = d.hdr[:0]
	}
}

// primitive takes octets of the primitive element on top.
func (d *Decoder) primitive(p []byte) {
	d.off += int64(len(p))
	if d.capture > 0 {
		d.keep(p)
		return
	}
	if d.stack[len(d.stack)-1].role == roleOctets {
		d.obj.Size += int64(len(p))
		d.obj.digests.write(p)
		d.content(p)
	}
}

func (d *Decoder) keep(p []byte) {
	if d.all += len(p); d.all > maxKept {
		d.err = errors.New("too many certificates or signatures")
		return
	}
	d.kept = append(d.kept, p...)
}

// begin takes the head of an element.
func (d *Decoder) begin(e element) error {
	if len(d.stack) > maxLevels {
		return errLevels
	}
	if e.end() {
		if len(d.stack) == 0 || d.stack[len(d.stack)-1].end >= 0 {
			return errBER
		}
		if d.capture > 0 {
			d.keep(d.hdr)
		}
		d.stack[len(d.stack)-1].end = d.off
		d.pop()
		return nil
	}
	o := open{end: -1}
	if e.length >= 0 {
		o.end = d.off + e.length
		if parent := d.outer(); parent >= 0 && o.end > parent {
			return errBER
		}
	}
	if d.capture == 0 {
		if o.role = d.meaning(e); o.role >= roleOID {
			d.capture, d.kept = len(d.stack)+1, nil
		}
	}
	d.stack = append(d.stack, o)
	if d.capture > 0 {
		d.keep(d.hdr)
	}
	if o.role == roleOctets {
		d.stream()
	}
	if !e.constructed && e.length > 0 {
		d.left = e.length
		return nil
	}
	d.pop()
	return nil
}

// outer is the end of the innermost element of definite length, -1 if none.
func (d *Decoder) outer() int64 {
	for i := len(d.stack) - 1; i >= 0; i-- {
		if d.stack[i].end >= 0 {
			return d.stack[i].end
		}
	}
	return -1
}

// pop closes the elements that end here.
func (d *Decoder) pop() {
	for len(d.stack) > 0 && d.stack[len(d.stack)-1].end == d.off && !d.done {
		r := d.stack[len(d.stack)-1].role
		if d.capture == len(d.stack) {
			d.captured(r)
			d.capture = 0
		}
		d.stack = d.stack[:len(d.stack)-1]
		d.done = d.done || len(d.stack) == 0
	}
}

// meaning tells what an element is by where it stands (RFC 5652 §§3, 5.1, 5.2).
func (d *Decoder) meaning(e element) role {
	if len(d.stack) == 0 {
		return roleInfo
	}
	top := &d.stack[len(d.stack)-1]
	switch top.role {
	case roleInfo:
		if e.is(classUniversal, tagOID) {
			return roleOID
		}
		if e.is(classContext, 0) {
			return roleExplicit
		}
	case roleExplicit:
		if d.obj.Type == TypeSigned && e.is(classUniversal, tagSequence) {
			return roleSigned
		}
	case roleSigned:
		return top.signedChild(e)
	case roleEncap:
		if e.is(classUniversal, tagOID) {
			return roleInnerOID
		}
		if e.is(classContext, 0) {
			return roleContent
		}
	case roleContent, roleOctets:
		if e.is(classUniversal, tagOctets) {
			return roleOctets
		}
	}
	return roleSkip
}

func (o *open) signedChild(e element) role {
	switch {
	case e.is(classUniversal, tagSequence):
		return roleEncap
	case e.is(classContext, 0):
		return roleCerts
	case e.is(classUniversal, tagSet):
		if o.sets++; o.sets == 1 {
			return roleDigests
		}
		return roleSigners
	}
	return roleSkip
}

// captured handles an element that was kept whole.
func (d *Decoder) captured(r role) {
	n, err := parseTree(d.kept)
	if err != nil {
		d.err = err
		return
	}
	switch r {
	case roleOID:
		if d.obj.Type = types[n.oid()]; d.obj.Type == "" {
			d.obj.Type = TypeUnknown
		}
		d.done = d.obj.Type != TypeSigned
	case roleInnerOID:
		if d.obj.Inner = types[n.oid()]; d.obj.Inner == "" {
			d.obj.Inner = TypeUnknown
		}
	case roleDigests:
		var names []Hash
		for _, c := range n.children {
			names = append(names, hashes[c.child(0).oid()])
		}
		d.obj.digests = NewDigests(names...)
	case roleCerts:
		d.obj.Certificates = certificates(n)
	case roleSigners:
		d.obj.Signers = signers(n)
	}
}

// stream begins the content.
func (d *Decoder) stream() {
	if !d.streams {
		d.streams = true
		if len(d.obj.digests) == 0 {
			d.obj.digests = NewDigests(SHA1, SHA256, SHA384, SHA512)
		}
	}
}

// link finds the certificate of each signer.
func (o *Object) link() {
	for i := range o.Signers {
		s := &o.Signers[i]
		for j := range o.Certificates {
			if s.info.by(&o.Certificates[j]) {
				s.Certificate = &o.Certificates[j]
				break
			}
		}
	}
}
