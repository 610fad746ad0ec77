// Package picture says what photos and scans are, as far as that can be told
// without decoding them: pages, sizes, resolution, which way is up, and whether
// a photo says where it was taken. It also makes previews, which say no such
// thing. Recognising what is on a picture is the business of the scan room.
package picture

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"

	"sekretariat"
)

// Info is what a picture says of itself.
type Info struct {
	Pages []sekretariat.Page
	// Place: the picture says where it was taken (EXIF GPS). It is in the
	// original, not in previews.
	Place bool
}

// maxSegments bounds the walk through a JPEG file.
const maxSegments = 2000

// Look reads what the headers of a picture say. A picture that is broken or of
// a kind that is not known has one page without a size.
func Look(body sekretariat.Body, typ string) Info {
	switch typ {
	case "image/jpeg":
		return lookJPEG(body)
	case "image/tiff":
		return lookTIFF(body)
	case "image/png":
		return lookPNG(body)
	case "image/heic", "image/avif":
		return lookHEIC(body)
	}
	p := sekretariat.Page{Number: 1}
	if d, ok := decoders[typ]; ok {
		if c, err := d.config(io.NewSectionReader(body, 0, body.Size())); err == nil {
			p.Width, p.Height = c.Width, c.Height
		}
	}
	return Info{Pages: []sekretariat.Page{p}}
}

// lookJPEG walks the segments up to the picture itself (ITU-T T.81 annex B).
func lookJPEG(body sekretariat.Body) Info {
	p := sekretariat.Page{Number: 1}
	var place bool
	var h [20]byte
	at := int64(2)
	for range maxSegments {
		n, _ := body.ReadAt(h[:], at)
		if n < 4 || h[0] != 0xff {
			break
		}
		marker, size := h[1], int64(binary.BigEndian.Uint16(h[2:]))
		switch {
		case marker == 0xff: // fill octet
			at++
			continue
		case marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc && n >= 9:
			p.Height, p.Width = int(binary.BigEndian.Uint16(h[5:])), int(binary.BigEndian.Uint16(h[7:]))
		case marker == 0xe0 && n >= 16 && string(h[4:9]) == "JFIF\x00" && p.DPI == 0:
			p.DPI = jfifDPI(h[:])
		case marker == 0xe1 && n >= 10 && string(h[4:10]) == "Exif\x00\x00":
			place = exif(io.NewSectionReader(body, at+10, max(size-8, 0)), &p) || place
		case marker == 0xda || marker == 0xd9: // the picture, the end
			return Info{[]sekretariat.Page{p}, place}
		}
		at += 2 + size
	}
	return Info{[]sekretariat.Page{p}, place}
}

func jfifDPI(h []byte) int {
	density := int(binary.BigEndian.Uint16(h[12:]))
	switch h[11] {
	case 1:
		return density
	case 2:
		return int(math.Round(float64(density) * 2.54))
	}
	return 0
}

// exif takes what the first directory says of the main picture.
func exif(r io.ReaderAt, p *sekretariat.Page) (place bool) {
	list := directories(r, 1)
	if len(list) == 0 {
		return false
	}
	p.Orientation = list[0].orientation
	if p.DPI == 0 {
		p.DPI = list[0].dpi
	}
	return list[0].gps
}

func lookTIFF(body sekretariat.Body) Info {
	var out Info
	for i, d := range directories(body, maxImages) {
		out.Pages = append(out.Pages, sekretariat.Page{Number: i + 1, Width: d.width, Height: d.height, DPI: d.dpi, DPIY: differs(d), Orientation: d.orientation})
		out.Place = out.Place || d.gps
	}
	if len(out.Pages) == 0 {
		out.Pages = []sekretariat.Page{{Number: 1}}
	}
	return out
}

// differs is the resolution down the page where it is another one than across.
func differs(d directory) int {
	if d.dpiY == d.dpi {
		return 0
	}
	return d.dpiY
}

// lookPNG reads the chunks before the picture (PNG 3rd edition §§11.2.1,
// 11.3.4.3, 11.3.4.5 eXIf).
func lookPNG(body sekretariat.Body) Info {
	p := sekretariat.Page{Number: 1}
	var h [8]byte
	at := int64(8)
	for range maxSegments {
		if _, err := body.ReadAt(h[:], at); err != nil {
			break
		}
		size := int64(binary.BigEndian.Uint32(h[:]))
		data := io.NewSectionReader(body, at+8, size)
		var b [9]byte
		n, _ := data.ReadAt(b[:], 0)
		switch string(h[4:]) {
		case "IHDR":
			if n >= 8 {
				p.Width, p.Height = int(binary.BigEndian.Uint32(b[:])), int(binary.BigEndian.Uint32(b[4:]))
			}
		case "pHYs": // per metre
			if n == 9 && b[8] == 1 {
				p.DPI = int(math.Round(float64(binary.BigEndian.Uint32(b[:])) * 0.0254))
			}
		case "eXIf":
			return Info{Pages: []sekretariat.Page{p}, Place: exif(data, &p)}.with(p)
		case "IEND":
			return Info{Pages: []sekretariat.Page{p}}
		}
		at += 12 + size
	}
	return Info{Pages: []sekretariat.Page{p}}
}

func (i Info) with(p sekretariat.Page) Info {
	i.Pages = []sekretariat.Page{p}
	return i
}

// maxMeta is how much of an HEIF file is searched for its description, octets.
const maxMeta = 1 << 20

// lookHEIC finds size, turn and EXIF of the largest picture of an HEIF file
// (ISO/IEC 23008-12 §6.5: ispe, irot, imir). Decoders turn such pictures by
// themselves, and EXIF does not count.
func lookHEIC(body sekretariat.Body) Info {
	p := sekretariat.Page{Number: 1}
	raw := make([]byte, min(body.Size(), maxMeta))
	n, _ := body.ReadAt(raw, 0)
	raw = raw[:n]
	for rest := raw; ; {
		i := bytes.Index(rest, []byte("ispe"))
		if i < 0 || len(rest) < i+16 {
			break
		}
		w, h := int(binary.BigEndian.Uint32(rest[i+8:])), int(binary.BigEndian.Uint32(rest[i+12:]))
		if int64(w)*int64(h) > int64(p.Width)*int64(p.Height) && w < 1<<16 && h < 1<<16 {
			p.Width, p.Height = w, h
		}
		rest = rest[i+16:]
	}
	if i := bytes.Index(raw, []byte("irot")); i >= 0 && len(raw) > i+4 {
		p.Orientation = []int{1, 8, 3, 6}[raw[i+4]&3] // quarter turns against the clock
	}
	info := Info{Pages: []sekretariat.Page{p}}
	if i := bytes.Index(raw, []byte("Exif\x00\x00")); i >= 0 {
		var ignored sekretariat.Page
		info.Place = exif(io.NewSectionReader(body, int64(i+6), body.Size()), &ignored)
	}
	return info
}
