// Package msgtest writes Outlook messages for tests.
package msgtest

import (
	"encoding/binary"
	"fmt"
	"unicode/utf16"

	"sekretariat/extract/cfb/cfbtest"
	"sekretariat/extract/mapi"
)

// Props are the properties of one object by id: string (written as Unicode),
// []byte (binary), Narrow (a string in a code page) or int.
type Props map[mapi.ID]any

// Narrow is a string that is not Unicode.
type Narrow []byte

// Message is a message to be written.
type Message struct {
	Props       Props
	Recipients  []Props
	Attachments []Attachment
}

// Attachment is one attachment: octets, or a message.
type Attachment struct {
	Props   Props
	Data    []byte
	Message *Message
}

// Bytes returns the file.
func Bytes(m *Message) []byte {
	root := cfbtest.New()
	fill(root, m, 32)
	return cfbtest.Bytes(root)
}

func fill(s *cfbtest.Storage, m *Message, header int) {
	props(s, m.Props, header)
	for i, r := range m.Recipients {
		props(s.Sub(fmt.Sprintf("__recip_version1.0_#%08X", i)), r, 8)
	}
	for i, a := range m.Attachments {
		sub := s.Sub(fmt.Sprintf("__attach_version1.0_#%08X", i))
		props(sub, a.Props, 8)
		if a.Message != nil {
			fill(sub.Sub("__substg1.0_3701000D"), a.Message, 24)
			continue
		}
		sub.Streams["__substg1.0_37010102"] = a.Data
	}
}

func props(s *cfbtest.Storage, p Props, header int) {
	list := make([]byte, header)
	entry := func(id mapi.ID, typ uint16, value uint64) {
		list = binary.LittleEndian.AppendUint16(list, typ)
		list = binary.LittleEndian.AppendUint16(list, uint16(id))
		list = binary.LittleEndian.AppendUint32(list, 6)
		list = binary.LittleEndian.AppendUint64(list, value)
	}
	for id, v := range p {
		switch v := v.(type) {
		case int:
			entry(id, mapi.TypeInt32, uint64(uint32(v)))
		case uint64:
			entry(id, mapi.TypeTime, v)
		case string:
			stream(s, id, mapi.TypeUnicode, wide(v))
			entry(id, mapi.TypeUnicode, uint64(len(v)))
		case Narrow:
			stream(s, id, mapi.TypeString8, v)
			entry(id, mapi.TypeString8, uint64(len(v)))
		case []byte:
			stream(s, id, mapi.TypeBinary, v)
			entry(id, mapi.TypeBinary, uint64(len(v)))
		}
	}
	s.Streams["__properties_version1.0"] = list
}

func stream(s *cfbtest.Storage, id mapi.ID, typ int, b []byte) {
	s.Streams[fmt.Sprintf("__substg1.0_%04X%04X", uint16(id), typ)] = b
}

func wide(s string) []byte {
	var out []byte
	for _, u := range utf16.Encode([]rune(s)) {
		out = binary.LittleEndian.AppendUint16(out, u)
	}
	return out
}
