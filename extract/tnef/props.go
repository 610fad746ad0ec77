package tnef

import (
	"encoding/binary"
	"fmt"

	"sekretariat/extract/mapi"
)

// embedded is the interface id of a message within a message, as its octets
// stand in the stream (MS-OXTNEF §2.1.3.4: IID_IMessage).
const embedded = "\x07\x03\x02\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x46"

// attachmentProperties reads the properties of the current attachment, and its
// octets where these are a property.
func (p *parser) attachmentProperties() error {
	if p.cur < 0 {
		return nil
	}
	if !p.seek {
		return p.properties(&p.msg.Attachments[p.cur].Props, true)
	}
	if p.cur != p.want || p.given {
		return nil
	}
	var unused mapi.Props
	return p.properties(&unused, true)
}

func (p *parser) recipients() error {
	n, err := p.number()
	if err != nil {
		return err
	}
	for range n {
		if len(p.msg.Recipients) >= maxRecipients {
			p.msg.Cut = true
			return nil
		}
		var one mapi.Props
		if err := p.properties(&one, false); err != nil {
			return err
		}
		p.msg.Recipients = append(p.msg.Recipients, one)
	}
	return nil
}

// number reads 32 bits of the current attribute.
func (p *parser) number() (int64, error) {
	b, err := p.take(4)
	if err != nil {
		return 0, err
	}
	return int64(binary.LittleEndian.Uint32(b)), nil
}

// properties reads a list of properties (MS-OXTNEF §2.1.3.4). A broken list
// ends the attribute, not the stream: lengths of attributes are told apart.
func (p *parser) properties(out *mapi.Props, attachment bool) error {
	n, err := p.number()
	if err != nil {
		return p.lenient(err)
	}
	for i := range n {
		if i >= maxProperties {
			p.msg.Cut = true
			return nil
		}
		if err := p.property(out, attachment); err != nil {
			return p.lenient(err)
		}
	}
	return nil
}

func (p *parser) lenient(err error) error {
	if err == errBroken { //nolint:errorlint // exactly this one, not a wrapped end of the stream
		p.msg.Cut = true
		return nil
	}
	return err
}

func (p *parser) property(out *mapi.Props, attachment bool) error {
	tag, err := p.number()
	if err != nil {
		return err
	}
	typ, id := uint16(tag), mapi.ID(tag>>16)
	named := id >= 0x8000
	if named {
		if err := p.name(); err != nil {
			return err
		}
	}
	multiple := typ&0x1000 != 0
	typ &^= 0x1000
	size, variable, known := width(typ)
	if !known {
		return errBroken
	}
	count := int64(1)
	if multiple || variable {
		if count, err = p.number(); err != nil {
			return err
		}
	}
	if count > p.left || count > 1 && size == 0 && !variable {
		return errBroken // every value has octets; a null has none and is never a list (MS-OXCDATA §2.11.1)
	}
	for range count {
		if err := p.value(out, id, typ, size, attachment && id == mapi.AttachData, named || multiple); err != nil {
			return err
		}
	}
	return nil
}

// name skips the name of a named property: a GUID, and a number or a string.
func (p *parser) name() error {
	b, err := p.take(20)
	if err != nil {
		return err
	}
	if binary.LittleEndian.Uint32(b[16:]) == 0 {
		_, err = p.take(4)
		return err
	}
	n, err := p.number()
	if err != nil {
		return err
	}
	return p.drop(padded(n))
}

func padded(n int64) int64 { return (n + 3) &^ 3 }

// drop skips octets of the current attribute.
func (p *parser) drop(n int64) error {
	if n < 0 || n > p.left {
		return errBroken
	}
	p.left -= n
	return p.discard(n)
}

// width returns the octets of a fixed type as TNEF writes them.
func width(typ uint16) (size int64, variable, known bool) {
	switch typ {
	case mapi.TypeInt16, mapi.TypeInt32, mapi.TypeBool, 0x0004, 0x000a: // float, error
		return 4, false, true
	case 0x0005, 0x0006, 0x0007, 0x0014, mapi.TypeTime: // double, currency, application time, 64 bits
		return 8, false, true
	case 0x0048: // GUID
		return 16, false, true
	case 0x0001: // null
		return 0, false, true
	case mapi.TypeObject, mapi.TypeString8, mapi.TypeUnicode, mapi.TypeBinary:
		return 0, true, true
	}
	return 0, false, false
}

// value reads one value; octets is set for the data of an attachment, ignored
// for what is of no use.
func (p *parser) value(out *mapi.Props, id mapi.ID, typ uint16, size int64, octets, ignored bool) error {
	if _, variable, _ := width(typ); variable {
		var err error
		if size, err = p.number(); err != nil {
			return err
		}
	}
	if size > p.left {
		return errBroken
	}
	if octets && (typ == mapi.TypeObject || typ == mapi.TypeBinary) {
		return p.object(typ, size)
	}
	const cost = 128 // of keeping one value
	if !ignored {
		p.kept += size + cost
	}
	if ignored || size > maxAttribute || p.kept > maxKept {
		p.msg.Cut = p.msg.Cut || !ignored
		return p.drop(min(padded(size), p.left))
	}
	b, err := p.take(size)
	if err != nil {
		return err
	}
	out.Set(id, typ, b)
	return p.drop(min(padded(size)-size, p.left))
}

// object hands out an attachment whose octets are a property: a file, a
// message in this same format, or an OLE object.
func (p *parser) object(typ uint16, size int64) error {
	total := p.left
	if typ == mapi.TypeObject {
		if size < 16 {
			return errBroken
		}
		iid, err := p.take(16)
		if err != nil {
			return fmt.Errorf("object: %w", err)
		}
		p.msg.Attachments[p.cur].Message = string(iid) == embedded
		size -= 16
		total -= 16
	}
	if p.given { // attAttachData had them: this is the same or a picture of it
		return p.drop(size + min(padded(size)-size, p.left-size))
	}
	p.left = size
	if p.seek {
		return errFound
	}
	err := p.hand()
	p.left = total - size
	if err != nil {
		return err
	}
	return p.drop(min(padded(size)-size, p.left))
}
