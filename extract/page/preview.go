package page

import (
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"

	"golang.org/x/image/draw"
)

// previewQuality of the JPEG of a preview.
const previewQuality = 80

// Preview writes a picture as JPEG with at most so many pixels on its longer
// side, and nothing of what the file said beside it. It returns the smaller
// picture, from which a still smaller one is made more quickly.
func Preview(img image.Image, edge int, w io.Writer) (image.Image, error) {
	small := fit(img, edge)
	if err := jpeg.Encode(w, small, &jpeg.Options{Quality: previewQuality}); err != nil {
		return nil, fmt.Errorf("compress a preview: %w", err)
	}
	return small, nil
}

func fit(img image.Image, edge int) image.Image {
	b := img.Bounds()
	longer := max(b.Dx(), b.Dy())
	w, h := b.Dx(), b.Dy()
	if longer > edge {
		w, h = max(1, w*edge/longer), max(1, h*edge/longer)
	}
	if g, ok := img.(*image.Gray); ok {
		return Shrink(g, w, h)
	}
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.Draw(out, out.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src)
	draw.ApproxBiLinear.Scale(out, out.Bounds(), img, b, draw.Over, nil)
	return out
}
