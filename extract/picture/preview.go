package picture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/image/bmp"
	"golang.org/x/image/draw"
	"golang.org/x/image/webp"

	"sekretariat"
)

// The errors of a preview.
var (
	// ErrPicture: it cannot be decoded, or is too large to try.
	ErrPicture = errors.New("picture cannot be shown")
	// ErrPage: it has no such page.
	ErrPage = errors.New("picture has no such page")
)

// Limits of previews.
const (
	maxPixels   = 80_000_000 // of a picture that is decoded
	previewEdge = 2000       // pixels of the longer side
	quality     = 85
	heifTime    = 30 * time.Second
)

// Preview writes a JPEG of one page (from 1) that stands upright, has at most
// 2,000 pixels on its longer side, and nothing of what the file says beside the
// picture: no place, no camera, no thumbnail. Meant for a reading process.
func Preview(ctx context.Context, body sekretariat.Body, typ string, page int, temp string, w io.Writer) error {
	info := Look(body, typ)
	if page < 1 || page > len(info.Pages) {
		return ErrPage
	}
	p := info.Pages[page-1]
	if int64(p.Width)*int64(p.Height) > maxPixels {
		return fmt.Errorf("%w: %d × %d pixels", ErrPicture, p.Width, p.Height)
	}
	img, turn, err := Decode(ctx, body, typ, page, temp)
	if err != nil {
		return err
	}
	return jpeg.Encode(w, opaque(Turned(shrink(img), turn)), &jpeg.Options{Quality: quality})
}

// Decode returns the picture of one page (from 1) as stored, and how it must be
// turned to stand upright: an EXIF orientation, 1 = it stands. Meant for a
// reading process.
func Decode(ctx context.Context, body sekretariat.Body, typ string, page int, temp string) (image.Image, int, error) {
	info := Look(body, typ)
	if page < 1 || page > len(info.Pages) {
		return nil, 0, ErrPage
	}
	img, err := decode(ctx, body, typ, page, temp)
	turn := max(info.Pages[page-1].Orientation, 1)
	if typ == "image/heic" || typ == "image/avif" {
		turn = 1 // the decoder has turned it
	}
	return img, turn, err
}

func decode(ctx context.Context, body sekretariat.Body, typ string, page int, temp string) (image.Image, error) {
	switch typ {
	case "image/heic", "image/avif":
		return heif(ctx, body, temp)
	case "image/tiff":
		return tiffPage(ctx, body, page, temp)
	}
	d, ok := decoders[typ]
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrPicture, typ)
	}
	r := io.NewSectionReader(body, 0, body.Size())
	c, err := d.config(r)
	if err != nil || int64(c.Width)*int64(c.Height) > maxPixels {
		return nil, errors.Join(ErrPicture, err)
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	img, err := d.decode(r)
	return img, picture(err)
}

// decoders by type. The registry of package image would let the content choose
// another one, and some of them keep all that they are told to skip.
var decoders = map[string]struct {
	config func(io.Reader) (image.Config, error)
	decode func(io.Reader) (image.Image, error)
}{
	"image/jpeg": {jpeg.DecodeConfig, jpeg.Decode}, "image/png": {png.DecodeConfig, png.Decode}, "image/gif": {gif.DecodeConfig, gif.Decode},
	"image/bmp": {bmp.DecodeConfig, bmp.Decode}, "image/webp": {webp.DecodeConfig, webp.Decode},
}

func picture(err error) error {
	if err != nil {
		return fmt.Errorf("%w: %w", ErrPicture, err)
	}
	return nil
}

// heif has heif-convert of libheif decode a picture, in a folder of its own.
func heif(ctx context.Context, body sekretariat.Body, temp string) (image.Image, error) {
	if _, err := exec.LookPath("heif-convert"); err != nil {
		return nil, fmt.Errorf("%w: install libheif-examples", ErrPicture)
	}
	dir, err := os.MkdirTemp(temp, "heif-")
	if err != nil {
		return nil, fmt.Errorf("folder for heif-convert: %w", err)
	}
	defer os.RemoveAll(dir)
	in, out := filepath.Join(dir, "in.heic"), filepath.Join(dir, "out.jpg")
	f, err := os.OpenFile(in, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("folder for heif-convert: %w", err)
	}
	_, err = io.Copy(f, io.NewSectionReader(body, 0, body.Size()))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("folder for heif-convert: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, heifTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "heif-convert", "-q", strconv.Itoa(quality), in, out)
	cmd.Dir, cmd.WaitDelay = dir, time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		return nil, picture(err)
	}
	// Several pictures in one file get numbers; the first is the main one.
	raw, err := os.ReadFile(out)
	if errors.Is(err, os.ErrNotExist) {
		raw, err = os.ReadFile(filepath.Join(dir, "out-1.jpg"))
	}
	if err != nil {
		return nil, picture(err)
	}
	img, err := jpeg.Decode(bytes.NewReader(raw))
	return img, picture(err)
}

// shrink makes a picture small enough for a page.
func shrink(img image.Image) image.Image {
	b := img.Bounds()
	longer := max(b.Dx(), b.Dy())
	if longer <= previewEdge {
		return img
	}
	w, h := max(1, b.Dx()*previewEdge/longer), max(1, b.Dy()*previewEdge/longer)
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.Draw(out, out.Bounds(), image.White, image.Point{}, draw.Src)
	draw.ApproxBiLinear.Scale(out, out.Bounds(), img, b, draw.Over, nil)
	return out
}

// opaque puts a picture with transparency onto white: JPEG has none.
func opaque(img image.Image) image.Image {
	if o, ok := img.(interface{ Opaque() bool }); ok && o.Opaque() {
		return img
	}
	b := img.Bounds()
	out := image.NewRGBA(b)
	draw.Draw(out, b, image.NewUniform(color.White), image.Point{}, draw.Src)
	draw.Draw(out, b, img, b.Min, draw.Over)
	return out
}
