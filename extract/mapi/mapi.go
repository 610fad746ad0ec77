// Package mapi holds what Outlook's two file formats share, winmail.dat (TNEF)
// and .msg: messages as lists of numbered properties (MS-OXPROPS, MS-OXCDATA).
package mapi

import (
	"encoding/binary"
	"strings"
	"time"
	"unicode/utf16"

	"sekretariat/extract/charset"
)

// ID is the number of a property.
type ID uint16

// The properties that are read (MS-OXPROPS §2).
const (
	MessageClass      ID = 0x001a
	Subject           ID = 0x0037
	SubmitTime        ID = 0x0039
	RepresentingName  ID = 0x0042
	RepresentingType  ID = 0x0064
	RepresentingEmail ID = 0x0065
	TransportHeaders  ID = 0x007d
	RecipientType     ID = 0x0c15 // 1 To, 2 Cc, 3 Bcc
	SenderName        ID = 0x0c1a
	SenderType        ID = 0x0c1e
	SenderEmail       ID = 0x0c1f
	DisplayCc         ID = 0x0e03
	DisplayTo         ID = 0x0e04
	DeliveryTime      ID = 0x0e06
	SubjectPrefix     ID = 0x003d
	NormalizedSubject ID = 0x0e1d
	Body              ID = 0x1000
	RTFCompressed     ID = 0x1009
	HTML              ID = 0x1013
	MessageID         ID = 0x1035
	References        ID = 0x1039
	InReplyTo         ID = 0x1042
	DisplayName       ID = 0x3001
	AddressType       ID = 0x3002
	EmailAddress      ID = 0x3003
	SMTPAddress       ID = 0x39fe
	AttachData        ID = 0x3701 // octets, or an object
	AttachExtension   ID = 0x3703
	AttachFilename    ID = 0x3704 // 8.3
	AttachMethod      ID = 0x3705
	AttachLongName    ID = 0x3707
	AttachMIME        ID = 0x370e
	AttachContentID   ID = 0x3712
	InternetCodepage  ID = 0x3fde
	MessageCodepage   ID = 0x3ffd
	SenderSMTP        ID = 0x5d01
	RepresentingSMTP  ID = 0x5d02
)

// The types of properties (MS-OXCDATA §2.11.1).
const (
	TypeInt16   = 0x0002
	TypeInt32   = 0x0003
	TypeBool    = 0x000b
	TypeObject  = 0x000d
	TypeString8 = 0x001e
	TypeUnicode = 0x001f
	TypeTime    = 0x0040
	TypeBinary  = 0x0102
)

// AttachMethod says how an attachment is kept (MS-OXCMSG §2.2.2.9).
const (
	ByValue         = 1
	EmbeddedMessage = 5
	OLEObject       = 6
)

// MaxValue is the most octets of one property that a reader of these formats
// should keep.
const MaxValue = 4 << 20

// value is one property as it stands in the file.
type value struct {
	typ  uint16
	data []byte
}

// Props are the properties of one object. The zero value is empty.
type Props struct {
	values map[ID]value
	// Codepage is that of strings which are not Unicode, 0 if the file does
	// not say; Windows in Poland means 1250.
	Codepage int
}

// Set keeps a property; the first one of an id stays.
func (p *Props) Set(id ID, typ uint16, data []byte) {
	if _, known := p.values[id]; known {
		return
	}
	if p.values == nil {
		p.values = map[ID]value{}
	}
	p.values[id] = value{typ, data}
}

// Has tells whether a property is there.
func (p *Props) Has(id ID) bool {
	_, ok := p.values[id]
	return ok
}

// Type returns the type of a property, 0 if there is none.
func (p *Props) Type(id ID) uint16 { return p.values[id].typ }

// Binary returns the octets of a property, nil if there is none.
func (p *Props) Binary(id ID) []byte { return p.values[id].data }

// Int returns a number, 0 if there is none.
func (p *Props) Int(id ID) int {
	v := p.values[id]
	switch {
	case len(v.data) >= 4 && v.typ == TypeInt32:
		return int(int32(binary.LittleEndian.Uint32(v.data)))
	case len(v.data) >= 2:
		return int(int16(binary.LittleEndian.Uint16(v.data)))
	}
	return 0
}

// Text returns a string, "" if there is none.
func (p *Props) Text(id ID) string {
	v := p.values[id]
	switch v.typ {
	case TypeUnicode:
		return UTF16(v.data)
	case TypeString8, TypeBinary:
		return p.String8(v.data)
	}
	return ""
}

// First returns the first of several strings that is not empty.
func (p *Props) First(ids ...ID) string {
	for _, id := range ids {
		if s := strings.TrimSpace(p.Text(id)); s != "" {
			return s
		}
	}
	return ""
}

// String8 decodes a string that is not Unicode.
func (p *Props) String8(b []byte) string {
	if i := len(b) - 1; i >= 0 && b[i] == 0 {
		b = b[:i]
	}
	s, _ := charset.Decode(b, charset.Codepage(p.Codepage))
	return s
}

// UTF16 decodes a Unicode string (little endian) up to its end mark.
func UTF16(b []byte) string {
	units := make([]uint16, 0, len(b)/2)
	for ; len(b) >= 2; b = b[2:] {
		units = append(units, binary.LittleEndian.Uint16(b))
	}
	for len(units) > 0 && units[len(units)-1] == 0 {
		units = units[:len(units)-1]
	}
	return string(utf16.Decode(units))
}

// Time returns a time, zero if there is none.
func (p *Props) Time(id ID) time.Time {
	v := p.values[id]
	if v.typ != TypeTime || len(v.data) < 8 {
		return time.Time{}
	}
	return FileTime(binary.LittleEndian.Uint64(v.data))
}

// FileTime converts 100-nanosecond steps since 1601 (MS-DTYP §2.3.3).
func FileTime(n uint64) time.Time {
	const (
		second = 10_000_000
		epoch  = 11_644_473_600 // seconds from 1601 to 1970
		last   = 2200           // years after it are mistakes
	)
	t := time.Unix(int64(n/second)-epoch, int64(n%second)*100).UTC()
	if n == 0 || t.Year() < 1970 || t.Year() > last {
		return time.Time{}
	}
	return t
}

// Attachment is one attachment of a message.
type Attachment struct {
	Props    Props
	Title    string   // name outside the properties (TNEF)
	Embedded *Message // of .msg: a message within the message
	Message  bool     // its octets are a message in the format of the outer one (TNEF)
	Size     int64    // octets of its data, as far as known
}

// Name returns the declared name of an attachment, "" if it has none.
func (a *Attachment) Name() string {
	if s := a.Props.First(AttachLongName, AttachFilename); s != "" {
		return s
	}
	if a.Title != "" {
		return a.Title
	}
	return a.Props.First(DisplayName)
}

// Message is one message of Outlook.
type Message struct {
	Props       Props
	Recipients  []Props
	Attachments []Attachment
	Broken      string // why reading stopped early, "" if it did not
	Cut         bool   // more attachments, recipients or levels than are read
}
