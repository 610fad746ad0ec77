package office

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"

	"golang.org/x/text/encoding/charmap"

	"sekretariat"
	"sekretariat/extract/cfb"
)

// Offsets in the file information block of Word 97 and later (MS-DOC 2.5).
const (
	fibMagic   = 0xa5ec
	fibFlags   = 0x0a
	fibClx     = 0x01a2
	fibSize    = 0x01aa
	encrypted  = 0x0100
	table1     = 0x0200
	maxClx     = 8 << 20
	maxPieces  = 200_000
	maxWord    = 32 << 20 // characters; pieces may overlap
	compressed = 1 << 30
)

// word97 reads the text of a .doc file: the pieces that its piece table lists
// (MS-DOC 2.8.35, 2.9.38), main text first, then notes, headers and footers.
// Older files are ErrDamaged: LibreOffice knows them.
func word97(body sekretariat.Body, out *text) error {
	f, err := cfb.Open(body, body.Size())
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	doc := f.Root().Stream("WordDocument")
	var fib [fibSize]byte
	if doc == nil {
		return ErrDamaged
	}
	if _, err := doc.ReadAt(fib[:], 0); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	le := binary.LittleEndian
	flags := le.Uint16(fib[fibFlags:])
	if le.Uint16(fib[:]) != fibMagic || le.Uint16(fib[2:]) < 0xc1 {
		return fmt.Errorf("%w: older than Word 97", ErrDamaged)
	}
	if flags&encrypted != 0 {
		return ErrPassword
	}
	name := "0Table"
	if flags&table1 != 0 {
		name = "1Table"
	}
	table := f.Root().Stream(name)
	at, size := int64(le.Uint32(fib[fibClx:])), int64(le.Uint32(fib[fibClx+4:]))
	if table == nil || size <= 0 || size > maxClx {
		return ErrDamaged
	}
	clx := make([]byte, size)
	if _, err := table.ReadAt(clx, at); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return pieces(doc, clx, out)
}

// pieces walks the table that says where the text lies.
func pieces(doc *io.SectionReader, clx []byte, out *text) error {
	le := binary.LittleEndian
	for len(clx) >= 3 && clx[0] == 1 { // formatting comes before the table
		n := 3 + int(le.Uint16(clx[1:]))
		if n > len(clx) {
			return ErrDamaged
		}
		clx = clx[n:]
	}
	if len(clx) < 5 || clx[0] != 2 {
		return ErrDamaged
	}
	plc := clx[5:]
	n := (len(plc) - 4) / 12
	if n < 1 || n > maxPieces {
		return ErrDamaged
	}
	w := &wordText{out: out, left: maxWord}
	for i := range n {
		from, to := le.Uint32(plc[4*i:]), le.Uint32(plc[4*i+4:])
		if to < from {
			return ErrDamaged
		}
		fc := le.Uint32(plc[4*(n+1)+8*i+2:])
		if err := w.piece(doc, int64(fc&^uint32(compressed)), int64(to-from), fc&compressed != 0); err != nil {
			return err
		}
	}
	return nil
}

// wordText turns the characters of a Word document into text.
type wordText struct {
	out   *text
	left  int64 // characters that may still be read
	field int   // fields open
	code  int   // of them, those whose instruction goes by
}

func (w *wordText) piece(doc *io.SectionReader, at, characters int64, narrow bool) error {
	const step = 16 << 10 // characters at once
	if w.left -= characters; w.left < 0 {
		return errFull
	}
	for characters > 0 {
		n := min(characters, step)
		var s string
		if narrow { // windows-1252, at half the offset (MS-DOC 2.9.73)
			b := make([]byte, n)
			k, _ := doc.ReadAt(b, at/2)
			d, err := charmap.Windows1252.NewDecoder().Bytes(b[:k])
			if err != nil || k == 0 {
				return ErrDamaged
			}
			s, at = string(d), at+2*n
		} else {
			b := make([]byte, 2*n)
			k, _ := doc.ReadAt(b, at)
			units := make([]uint16, k/2)
			for i := range units {
				units[i] = binary.LittleEndian.Uint16(b[2*i:])
			}
			if k == 0 {
				return ErrDamaged
			}
			s, at = string(utf16.Decode(units)), at+2*n
		}
		if err := w.write(s); err != nil {
			return err
		}
		characters -= n
	}
	return nil
}

// write handles the characters that mean something else (MS-DOC 2.4.1, 2.8.25).
func (w *wordText) write(s string) error {
	var run strings.Builder
	flush := func() error {
		err := w.out.add(run.String())
		run.Reset()
		return err
	}
	for _, c := range s {
		var err error
		switch {
		case c == 0x13: // a field begins with its instruction
			w.field++
			w.code = w.field
		case c == 0x14 && w.field > 0: // its result
			w.code = w.field - 1
		case c == 0x15 && w.field > 0:
			w.field--
			w.code = min(w.code, w.field)
		case w.code > 0:
		case c == '\r' || c == 0x0b || c == 0x0c:
			if err = flush(); err == nil {
				err = w.out.newline()
			}
		case c == 0x07:
			if err = flush(); err == nil {
				err = w.out.add("\t")
			}
		case c == 0x1e:
			run.WriteByte('-')
		case c < 0x20 && c != '\t', c == 0x1f:
		default:
			run.WriteRune(c)
		}
		if err != nil {
			return err
		}
	}
	return flush()
}
