package copypdf

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// glyphWidth is the advance of every glyph, in thousandths of the size.
const glyphWidth = 500

// font writes a font whose only glyph shows nothing: every character maps to
// it, and a table says which character it was. It is embedded, as PDF/A asks
// of every font; glyph 0, which PDF/A forbids to show, is not used.
func (c *Writer) font() {
	c.object(objFont, fmt.Sprintf("<< /Type /Font /Subtype /Type0 /BaseFont /Sekretariat-Niewidoczny /Encoding /Identity-H /DescendantFonts [%d 0 R] /ToUnicode %d 0 R >>", objCID, objToUnicode))
	c.object(objCID, fmt.Sprintf("<< /Type /Font /Subtype /CIDFontType2 /BaseFont /Sekretariat-Niewidoczny /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> /FontDescriptor %d 0 R /DW %d /CIDToGIDMap %d 0 R >>",
		objDescriptor, glyphWidth, objMap))
	c.object(objDescriptor, fmt.Sprintf("<< /Type /FontDescriptor /FontName /Sekretariat-Niewidoczny /Flags 4 /FontBBox [0 0 %d 1000] /ItalicAngle 0 /Ascent 1000 /Descent 0 /CapHeight 1000 /StemV 80 /FontFile2 %d 0 R >>",
		glyphWidth, objFontFile))
	raw := trueType()
	c.stream(objFontFile, fmt.Sprintf("/Filter /FlateDecode /Length1 %d", len(raw)), deflate(raw))
	c.stream(objToUnicode, "/Filter /FlateDecode", deflate([]byte(toUnicode)))
	c.stream(objMap, "/Filter /FlateDecode", deflate(bytes.Repeat([]byte{0, 1}, 1<<16)))
}

// toUnicode says that codes are UTF-16 (ISO 32000-1 §9.10.3).
const toUnicode = `/CIDInit /ProcSet findresource begin
12 dict begin
begincmap
/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def
/CMapName /Adobe-Identity-UCS def
/CMapType 2 def
1 begincodespacerange
<0000> <FFFF>
endcodespacerange
1 beginbfrange
<0000> <FFFF> <0000>
endbfrange
endcmap
CMapName currentdict /CMap defineresource pop
end
end
`

// trueType makes a font of two empty glyphs (Apple TrueType Reference Manual,
// chapter 6): the tables that a CIDFontType2 needs (ISO 32000-1 §9.9).
func trueType() []byte {
	be := binary.BigEndian
	head := make([]byte, 54)
	be.PutUint32(head, 0x00010000)
	be.PutUint32(head[4:], 0x00010000)
	be.PutUint32(head[12:], 0x5f0f3cf5) // magic number
	be.PutUint16(head[16:], 3)          // baseline and left bearing at 0
	be.PutUint16(head[18:], 1000)       // units per em
	be.PutUint16(head[40:], glyphWidth) // xMax
	be.PutUint16(head[42:], 1000)       // yMax
	be.PutUint16(head[46:], 8)          // least readable size
	be.PutUint16(head[48:], 2)
	hhea := make([]byte, 36)
	be.PutUint32(hhea, 0x00010000)
	be.PutUint16(hhea[4:], 1000) // ascent
	be.PutUint16(hhea[10:], glyphWidth)
	be.PutUint16(hhea[18:], 1) // caret: upright
	be.PutUint16(hhea[34:], 2) // metrics
	maxp := make([]byte, 32)
	be.PutUint32(maxp, 0x00010000)
	be.PutUint16(maxp[4:], 2)  // glyphs
	be.PutUint16(maxp[14:], 1) // zones
	hmtx := make([]byte, 8)
	be.PutUint16(hmtx, glyphWidth)
	be.PutUint16(hmtx[4:], glyphWidth)
	tables := []struct {
		tag  string
		data []byte
	}{{"cvt ", make([]byte, 2)}, {"fpgm", make([]byte, 1)}, {"glyf", make([]byte, 4)}, {"head", head}, {"hhea", hhea}, {"hmtx", hmtx},
		{"loca", make([]byte, 6)}, {"maxp", maxp}, {"prep", make([]byte, 1)}}
	directory := make([]byte, 12+16*len(tables))
	be.PutUint32(directory, 0x00010000)
	be.PutUint16(directory[4:], uint16(len(tables)))
	be.PutUint16(directory[6:], 128) // search range for 9 tables: 8 × 16
	be.PutUint16(directory[8:], 3)
	be.PutUint16(directory[10:], uint16(16*len(tables)-128))
	out := directory
	for i, t := range tables {
		e := directory[12+16*i:]
		copy(e, t.tag)
		padded := append(bytes.Clone(t.data), make([]byte, (4-len(t.data)%4)%4)...)
		be.PutUint32(e[4:], checksum(padded))
		be.PutUint32(e[8:], uint32(len(out)))
		be.PutUint32(e[12:], uint32(len(t.data)))
		out = append(out, padded...)
		directory = out[:len(directory)]
	}
	be.PutUint32(out[offsetOf(out, "head")+8:], 0xb1b0afba-checksum(out))
	return out
}

func offsetOf(font []byte, tag string) int {
	for i := 12; i+16 <= len(font); i += 16 {
		if string(font[i:i+4]) == tag {
			return int(binary.BigEndian.Uint32(font[i+8:]))
		}
	}
	return 0
}

func checksum(b []byte) (sum uint32) {
	for i := 0; i+4 <= len(b); i += 4 {
		sum += binary.BigEndian.Uint32(b[i:])
	}
	return sum
}
