// Package msg reads .msg, the file that Outlook makes of a message when it is
// saved, dragged to a folder or attached to another one (MS-OXMSG): a compound
// file whose streams are the properties of the message, its recipients and its
// attachments. Octets of attachments are not kept but opened when wanted.
package msg

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"sekretariat/extract/cfb"
	"sekretariat/extract/mapi"
)

// Limits of one file. What is beyond is not read and told.
const (
	maxAttachments = 500 // of a message
	maxRecipients  = 500
	maxMessages    = 100 // messages within messages
	maxLevels      = 8
	maxProperties  = 5000     // of one object
	maxKept        = 16 << 20 // octets of all properties
	// Octets of attachments, in times the file: broken chains may give the
	// same octets to many.
	maxOverlap = 2
)

// ErrFormat says that a file is no .msg.
var ErrFormat = errors.New("not an Outlook message")

// The names of streams and storages (MS-OXMSG §2.1, §2.2).
const (
	propertyStream = "__properties_version1.0"
	valuePrefix    = "__substg1.0_"
	attachPrefix   = "__attach_version1.0_"
	recipPrefix    = "__recip_version1.0_"
	objectStorage  = "__substg1.0_3701000D/"
)

// File is an open .msg.
type File struct {
	root  *cfb.Storage
	msg   *mapi.Message
	kept  int64
	total int64 // octets of attachments that may still be listed
	count int   // messages so far
	cut   bool
}

// Open reads the properties of a .msg of size octets, of whatever depth. It
// returns ErrFormat if it is none, other errors are r's.
func Open(r io.ReaderAt, size int64) (*File, error) {
	c, err := cfb.Open(r, size)
	switch {
	case errors.Is(err, cfb.ErrFormat):
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	case err != nil:
		return nil, err
	}
	f := &File{root: c.Root(), total: maxOverlap*size + 1<<20}
	if f.root.Stream(propertyStream) == nil {
		return nil, fmt.Errorf("%w: no properties", ErrFormat)
	}
	const header = 32 // octets before the properties of the outermost message (MS-OXMSG §2.4.1.1)
	f.msg, err = f.message(f.root, header, 0)
	if err != nil {
		return nil, err
	}
	f.msg.Cut = f.cut
	return f, nil
}

// Message returns what the file says.
func (f *File) Message() *mapi.Message { return f.msg }

func (f *File) message(s *cfb.Storage, header int, level int) (*mapi.Message, error) {
	m := &mapi.Message{}
	f.count++
	if err := f.properties(s, header, &m.Props); err != nil {
		return nil, err
	}
	if m.Props.Codepage = m.Props.Int(mapi.MessageCodepage); m.Props.Codepage == 0 {
		m.Props.Codepage = m.Props.Int(mapi.InternetCodepage)
	}
	for i, name := range members(s, recipPrefix) {
		if i >= maxRecipients {
			f.cut = true
			break
		}
		var p mapi.Props
		if err := f.properties(s.Storage(name), 8, &p); err != nil {
			return nil, err
		}
		p.Codepage = m.Props.Codepage
		m.Recipients = append(m.Recipients, p)
	}
	for i, name := range members(s, attachPrefix) {
		if i >= maxAttachments {
			f.cut = true
			break
		}
		a, err := f.attachment(s.Storage(name), m.Props.Codepage, level)
		if err != nil {
			return nil, err
		}
		m.Attachments = append(m.Attachments, a)
	}
	return m, nil
}

func (f *File) attachment(s *cfb.Storage, codepage, level int) (mapi.Attachment, error) {
	var a mapi.Attachment
	if err := f.properties(s, 8, &a.Props); err != nil {
		return a, err
	}
	a.Props.Codepage = codepage
	if data := dataStream(s); data != nil {
		if a.Size = data.Size(); a.Size > f.total {
			f.cut, a.Size = true, 0
		}
		f.total -= a.Size
		return a, nil
	}
	inner := s.Storage(objectStorage)
	if inner == nil || inner.Stream(propertyStream) == nil {
		return a, nil
	}
	if level >= maxLevels || f.count >= maxMessages {
		f.cut = true
		return a, nil
	}
	const header = 24
	m, err := f.message(inner, header, level+1)
	a.Embedded = m
	return a, err
}

// dataStream returns the octets of an attachment, nil if it has none.
func dataStream(s *cfb.Storage) *io.SectionReader { return s.Stream(valuePrefix + "37010102") }

// members returns the storages of a prefix in their order.
func members(s *cfb.Storage, prefix string) []string {
	var out []string
	for _, name := range s.Names() {
		if strings.HasPrefix(name, prefix) && strings.HasSuffix(name, "/") {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// properties reads the properties of one object: fixed ones from their list,
// the others from a stream each.
func (f *File) properties(s *cfb.Storage, header int, out *mapi.Props) error {
	if list := s.Stream(propertyStream); list != nil {
		b, err := f.keep(list)
		if err != nil {
			return err
		}
		for i := header; i+16 <= len(b) && i < header+16*maxProperties; i += 16 {
			typ, id := binary.LittleEndian.Uint16(b[i:]), mapi.ID(binary.LittleEndian.Uint16(b[i+2:]))
			if fixed(typ) {
				out.Set(id, typ, b[i+8:i+16])
			}
		}
	}
	names := s.Names()
	slices.SortFunc(names, byPreference)
	for _, name := range names {
		id, typ, ok := valueName(name)
		if !ok || id == mapi.AttachData {
			continue
		}
		b, err := f.keep(s.Stream(name))
		if err != nil {
			return err
		}
		out.Set(id, typ, b)
	}
	return nil
}

// preferred are the types of a value that is there more than once, the best
// one first.
var preferred = []uint16{mapi.TypeUnicode, mapi.TypeString8, mapi.TypeBinary}

// byPreference orders the names of values so that the best one comes first.
func byPreference(a, b string) int {
	_, x, _ := valueName(a)
	_, y, _ := valueName(b)
	if i, j := slices.Index(preferred, x), slices.Index(preferred, y); i != j {
		return i - j
	}
	return strings.Compare(a, b)
}

func fixed(typ uint16) bool {
	return typ == mapi.TypeInt16 || typ == mapi.TypeInt32 || typ == mapi.TypeBool || typ == mapi.TypeTime
}

// valueName reads "__substg1.0_0037001F".
func valueName(name string) (id mapi.ID, typ uint16, ok bool) {
	hex, ok := strings.CutPrefix(name, valuePrefix)
	if !ok || len(hex) != 8 {
		return 0, 0, false
	}
	n, err := strconv.ParseUint(hex, 16, 32)
	typ = uint16(n)
	return mapi.ID(n >> 16), typ, err == nil && (typ == mapi.TypeString8 || typ == mapi.TypeUnicode || typ == mapi.TypeBinary)
}

// keep reads a stream whole as far as the limits allow; what a broken chain
// does not hold is missing.
func (f *File) keep(r *io.SectionReader) ([]byte, error) {
	const cost = 128 // of keeping one value
	n := min(r.Size(), mapi.MaxValue, max(0, maxKept-f.kept))
	f.cut = f.cut || n < r.Size()
	f.kept += n + cost
	b := make([]byte, n)
	got, err := r.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("read property: %w", err)
	}
	return b[:got], nil
}

// Attachment returns the octets of an attachment, nil if there are none. path
// leads to it: ordinals of the attachments that are messages, then its own.
func (f *File) Attachment(path ...int) *io.SectionReader {
	s := f.descend(path)
	if s == nil {
		return nil
	}
	return dataStream(s)
}

// Value returns the octets of a property of the message that path leads to,
// nil if there is none.
func (f *File) Value(id mapi.ID, path ...int) *io.SectionReader {
	s := f.root
	if len(path) > 0 {
		if s = f.descend(path); s != nil {
			s = s.Storage(objectStorage)
		}
	}
	if s == nil {
		return nil
	}
	for _, typ := range preferred {
		if r := s.Stream(fmt.Sprintf("%s%04X%04X", valuePrefix, uint16(id), typ)); r != nil {
			return r
		}
	}
	return nil
}

// descend returns the storage of the attachment that path leads to.
func (f *File) descend(path []int) *cfb.Storage {
	s := f.root
	for i, n := range path {
		if i > 0 {
			if s = s.Storage(objectStorage); s == nil {
				return nil
			}
		}
		names := members(s, attachPrefix)
		if n < 0 || n >= len(names) {
			return nil
		}
		s = s.Storage(names[n])
	}
	return s
}
