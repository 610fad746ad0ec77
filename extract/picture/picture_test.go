package picture_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/hhrutter/tiff"

	"sekretariat/extract/picture"
)

// sample is 80 × 40, blue, with a red corner at the top left.
func sample() *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, 80, 40))
	for y := range 40 {
		for x := range 80 {
			c := color.RGBA{0, 0, 255, 255}
			if x < 20 && y < 20 {
				c = color.RGBA{255, 0, 0, 255}
			}
			img.Set(x, y, c)
		}
	}
	return img
}

// exif is an EXIF block: orientation, 300 dpi, a place.
func exif(order binary.AppendByteOrder, orientation uint16) []byte {
	b := []byte("II*\x00")
	if order == binary.AppendByteOrder(binary.BigEndian) {
		b = []byte("MM\x00*")
	}
	b = order.AppendUint32(b, 8)
	entry := func(tag, typ uint16, value []byte) {
		b = order.AppendUint16(b, tag)
		b = order.AppendUint16(b, typ)
		b = order.AppendUint32(b, 1)
		b = append(append(b, value...), make([]byte, 4-len(value))...)
	}
	b = order.AppendUint16(b, 3)
	entry(0x0112, 3, order.AppendUint16(nil, orientation))
	entry(0x011a, 5, order.AppendUint32(nil, 50))
	entry(0x8825, 4, order.AppendUint32(nil, 1000))
	b = order.AppendUint32(b, 0)
	b = order.AppendUint32(b, 300)
	return order.AppendUint32(b, 1)
}

func photo(t testing.TB, order binary.AppendByteOrder, orientation uint16) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, sample(), &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	data := append([]byte("Exif\x00\x00"), exif(order, orientation)...)
	app := binary.BigEndian.AppendUint16([]byte{0xff, 0xe1}, uint16(len(data)+2))
	raw := b.Bytes()
	return append(append(append([]byte{}, raw[:2]...), append(app, data...)...), raw[2:]...)
}

func withEXIF(t testing.TB, orientation uint16) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, sample()); err != nil {
		t.Fatal(err)
	}
	data := append([]byte("eXIf"), exif(binary.BigEndian, orientation)...)
	chunk := binary.BigEndian.AppendUint32(nil, uint32(len(data)-4))
	chunk = binary.BigEndian.AppendUint32(append(chunk, data...), crc32.ChecksumIEEE(data))
	raw := b.Bytes()
	const header = 8 + 25
	return append(append(append([]byte{}, raw[:header]...), chunk...), raw[header:]...)
}

// Every orientation stands upright in the preview, without the place.
func TestPreviewsStandUpright(t *testing.T) {
	// Where the red corner comes to stand, as seen: left, top.
	corner := map[uint16][2]bool{1: {true, true}, 2: {false, true}, 3: {false, false}, 4: {true, false}, 5: {true, true}, 6: {false, true}, 7: {false, false}, 8: {true, false}}
	for o, want := range corner {
		for _, c := range []struct {
			typ string
			raw []byte
		}{{"image/jpeg", photo(t, binary.LittleEndian, o)}, {"image/jpeg", photo(t, binary.BigEndian, o)}, {"image/png", withEXIF(t, o)}} {
			body := bytes.NewReader(c.raw)
			info := picture.Look(body, c.typ)
			if p := info.Pages[0]; p.Orientation != int(o) || p.Width != 80 || p.Height != 40 || p.DPI != 300 || !info.Place {
				t.Errorf("%s, orientation %d: %+v", c.typ, o, info)
			}
			var out bytes.Buffer
			if err := picture.Preview(t.Context(), body, c.typ, 1, t.TempDir(), &out); err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(out.Bytes(), []byte("Exif")) {
				t.Error("the preview says where the photo was taken")
			}
			img, err := jpeg.Decode(&out)
			if err != nil {
				t.Fatal(err)
			}
			w, h := img.Bounds().Dx(), img.Bounds().Dy()
			if tall := o >= 5; (h > w) != tall {
				t.Errorf("orientation %d gives %d × %d", o, w, h)
			}
			x, y := 5, 5
			if !want[0] {
				x = w - 6
			}
			if !want[1] {
				y = h - 6
			}
			if r, _, b, _ := img.At(x, y).RGBA(); r < b {
				t.Errorf("%s, orientation %d: no red corner at %d, %d of %d × %d", c.typ, o, x, y, w, h)
			}
		}
	}
}

func TestPagesOfTIFF(t *testing.T) {
	var b bytes.Buffer
	if err := tiff.EncodeAll(&b, []image.Image{sample(), image.NewGray(image.Rect(0, 0, 3000, 1500))}, nil); err != nil {
		t.Fatal(err)
	}
	body := bytes.NewReader(b.Bytes())
	info := picture.Look(body, "image/tiff")
	if len(info.Pages) != 2 || info.Pages[1].Number != 2 || info.Pages[1].Width != 3000 || info.Pages[0].Height != 40 {
		t.Fatalf("%+v", info)
	}
	for page, width := range map[int]int{1: 80, 2: 2000} {
		var out bytes.Buffer
		if err := picture.Preview(t.Context(), body, "image/tiff", page, "", &out); err != nil {
			t.Fatal(err)
		}
		if c, err := jpeg.DecodeConfig(&out); err != nil || c.Width != width {
			t.Errorf("page %d: %d pixels wide, %v, want %d", page, c.Width, err, width)
		}
	}
	if err := picture.Preview(t.Context(), body, "image/tiff", 3, "", &bytes.Buffer{}); !errors.Is(err, picture.ErrPage) {
		t.Errorf("page 3 of 2: %v", err)
	}
}

// A picture that claims to be huge is not decoded.
func TestHugePicture(t *testing.T) {
	raw := withEXIF(t, 1)
	binary.BigEndian.PutUint32(raw[16:], 1<<30)
	if err := picture.Preview(t.Context(), bytes.NewReader(raw), "image/png", 1, "", &bytes.Buffer{}); !errors.Is(err, picture.ErrPicture) {
		t.Errorf("%v", err)
	}
}

func TestHEIC(t *testing.T) {
	dir := os.Getenv("SEKRETARIAT_TESTDATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "testdata")
	}
	raw, err := os.ReadFile(filepath.Join(dir, "scans", "constructed", "l07-przemoc.heic"))
	if err != nil {
		t.Skip("test data not found; set SEKRETARIAT_TESTDATA")
	}
	info := picture.Look(bytes.NewReader(raw), "image/heic")
	if p := info.Pages[0]; p.Width != 1800 || p.Height != 2420 {
		t.Errorf("%+v", info)
	}
	var out bytes.Buffer
	if err := picture.Preview(t.Context(), bytes.NewReader(raw), "image/heic", 1, t.TempDir(), &out); err != nil {
		t.Fatal(err)
	}
	if c, err := jpeg.DecodeConfig(&out); err != nil || c.Height != 2000 {
		t.Errorf("%+v, %v", c, err)
	}
}

func FuzzLook(f *testing.F) {
	types := []string{"image/jpeg", "image/png", "image/tiff", "image/heic", "image/gif", "image/webp"}
	f.Add(uint8(0), photo(f, binary.LittleEndian, 6))
	f.Add(uint8(1), withEXIF(f, 3))
	f.Add(uint8(2), exif(binary.BigEndian, 8))
	f.Add(uint8(4), []byte("MM\x00*Y\xf9w\xe4\xf7")) // a TIFF that skips far, called a GIF
	f.Add(uint8(3), []byte("\x00\x00\x00\x18ftypheic\x00\x00\x00\x14ispe\x00\x00\x00\x00\x00\x00\x00\x40\x00\x00\x00\x40irot\x01Exif\x00\x00MM\x00*"))
	f.Fuzz(func(t *testing.T, which uint8, raw []byte) {
		info := picture.Look(bytes.NewReader(raw), types[int(which)%len(types)])
		if len(info.Pages) == 0 {
			t.Error("a picture without a page")
		}
	})
}
