package copypdf

import (
	"encoding/binary"
	"math"
)

// xmp says what the file is made to be (ISO 19005-2 §6.6.4).
const xmp = "<?xpacket begin=\"\ufeff\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n" + `<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/"><pdfaid:part>2</pdfaid:part><pdfaid:conformance>B</pdfaid:conformance></rdf:Description>
</rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>`

// sRGB makes the colour profile of the output intent: an ICC profile of
// version 2.1 with three primaries and a gamma curve (ICC.1:2001-04; the
// numbers are those of IEC 61966-2-1, adapted to D50).
func sRGB() []byte {
	be := binary.BigEndian
	fixed := func(f float64) uint32 { return uint32(int32(math.Round(f * 65536))) }
	xyz := func(x, y, z float64) []byte {
		b := append([]byte("XYZ \x00\x00\x00\x00"), make([]byte, 12)...)
		for i, v := range []float64{x, y, z} {
			be.PutUint32(b[8+4*i:], fixed(v))
		}
		return b
	}
	text := func(s string) []byte { return append([]byte("text\x00\x00\x00\x00"), s+"\x00"...) }
	name := "sRGB IEC61966-2.1"
	desc := append([]byte("desc\x00\x00\x00\x00\x00\x00\x00"), byte(len(name)+1))
	desc = append(append(desc, name...), make([]byte, 1+4+4+2+1+67)...)
	curve := append([]byte("curv\x00\x00\x00\x00"), make([]byte, 4+2*256)...)
	be.PutUint32(curve[8:], 256)
	for i := range 256 {
		v := float64(i) / 255
		if v <= 0.04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+0.055)/1.055, 2.4)
		}
		be.PutUint16(curve[12+2*i:], uint16(math.Round(v*65535)))
	}
	tags := []struct {
		sig  string
		data []byte
	}{{"cprt", text("public domain")}, {"desc", desc}, {"wtpt", xyz(0.9642, 1, 0.8249)}, {"rXYZ", xyz(0.43607, 0.22249, 0.01392)},
		{"gXYZ", xyz(0.38515, 0.71687, 0.09708)}, {"bXYZ", xyz(0.14307, 0.06061, 0.71410)}, {"rTRC", curve}, {"gTRC", nil}, {"bTRC", nil}}
	out := make([]byte, 128+4+12*len(tags))
	be.PutUint32(out[128:], uint32(len(tags)))
	var at, size uint32
	for i, t := range tags {
		if t.data != nil {
			at, size = uint32(len(out)), uint32(len(t.data))
			out = append(append(out, t.data...), make([]byte, (4-len(t.data)%4)%4)...)
		} // else it shares the curve before
		e := out[132+12*i:]
		copy(e, t.sig)
		be.PutUint32(e[4:], at)
		be.PutUint32(e[8:], size)
	}
	be.PutUint32(out, uint32(len(out)))
	be.PutUint32(out[8:], 0x02100000)
	copy(out[12:], "mntrRGB XYZ ")
	copy(out[24:], []byte{0x07, 0xe8, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0}) // 2024-01-01
	copy(out[36:], "acsp")
	be.PutUint32(out[68:], fixed(0.9642)) // the illuminant D50
	be.PutUint32(out[72:], fixed(1))
	be.PutUint32(out[76:], fixed(0.8249))
	return out
}
