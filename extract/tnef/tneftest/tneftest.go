// Package tneftest writes TNEF streams for tests.
package tneftest

import (
	"bytes"
	"encoding/binary"
	"unicode/utf16"

	"sekretariat/extract/mapi"
)

// Builder writes TNEF the way Outlook does (MS-OXTNEF §2.1).
type Builder struct{ bytes.Buffer }

// New returns the begin of a stream: signature and code page 1250.
func New() *Builder {
	b := &Builder{}
	b.u32(0x223e9f78)
	b.u16(1) // key
	b.Attribute(1, 0x00069007, Int(1250), Int(0))
	return b
}

func (b *Builder) u16(v int) { b.Write(binary.LittleEndian.AppendUint16(nil, uint16(v))) }
func (b *Builder) u32(v int) { b.Write(Int(v)) }

// Int writes 32 bits.
func Int(v int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(v)) }

// Attribute adds one attribute.
func (b *Builder) Attribute(level byte, id int, pieces ...[]byte) {
	data := bytes.Join(pieces, nil)
	sum := 0
	for _, c := range data {
		sum += int(c)
	}
	b.WriteByte(level)
	b.u32(id)
	b.u32(len(data))
	b.Write(data)
	b.u16(sum)
}

// Prop writes one property.
func Prop(id mapi.ID, typ int, value []byte) []byte {
	out := Int(int(id)<<16 | typ)
	switch typ {
	case mapi.TypeUnicode, mapi.TypeString8, mapi.TypeBinary, mapi.TypeObject:
		out = append(append(out, Int(1)...), Int(len(value))...)
		value = append(bytes.Clone(value), make([]byte, (4-len(value)%4)%4)...)
	}
	return append(out, value...)
}

// Props writes a list of properties.
func Props(all ...[]byte) []byte { return append(Int(len(all)), bytes.Join(all, nil)...) }

// Wide writes a Unicode string with its end mark.
func Wide(s string) []byte {
	var out []byte
	for _, u := range append(utf16.Encode([]rune(s)), 0) {
		out = binary.LittleEndian.AppendUint16(out, u)
	}
	return out
}

// Attach adds a file the usual way: title, octets, properties.
func (b *Builder) Attach(short, long string, data []byte) {
	b.Attribute(2, 0x00069002, make([]byte, 14))
	b.Attribute(2, 0x00018010, []byte(short+"\x00"))
	b.Attribute(2, 0x0006800f, data)
	b.Attribute(2, 0x00069005, Props(Prop(mapi.AttachLongName, mapi.TypeUnicode, Wide(long)), Prop(mapi.AttachMethod, mapi.TypeInt32, Int(mapi.ByValue))))
}
