package picture

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/hhrutter/tiff"

	"sekretariat"
)

// tiffTime bounds each run of a tool of libtiff.
const tiffTime = 20 * time.Second

// tiffPage decodes one page of a TIFF file.
func tiffPage(ctx context.Context, body sekretariat.Body, page int, temp string) (image.Image, error) {
	list := directories(body, maxImages)
	if page > len(list) {
		return nil, ErrPicture
	}
	d := list[page-1]
	img, err := tiff.DecodeAt(io.NewSectionReader(body, 0, body.Size()), d.at)
	if err != nil {
		return tiffByTool(ctx, body, page, temp)
	}
	if g, ok := img.(*image.Gray); ok && d.fax() && d.photometric == blackIsZero {
		// The decoder of fax codes gives white for a white run; a bit of such
		// a run is 0 (TIFF 6.0 §10), which this file calls black.
		for i, p := range g.Pix {
			g.Pix[i] = ^p
		}
	}
	return img, nil
}

// blackIsZero is a value of the tag PhotometricInterpretation.
const blackIsZero = 1

// fax tells whether a page is compressed as ITU-T T.4 or T.6 say (TIFF 6.0 §§10, 11).
func (d directory) fax() bool { return d.compression >= 2 && d.compression <= 4 }

// tiffByTool has the tools of libtiff decode one page that the library does not
// know: BigTIFF, old JPEG, LZMA, WebP, planes, palettes. They come with limits
// on memory, for their record is long.
func tiffByTool(ctx context.Context, body sekretariat.Body, page int, temp string) (image.Image, error) {
	if _, err := exec.LookPath("tiff2rgba"); err != nil {
		return nil, fmt.Errorf("%w: install libtiff-tools", ErrPicture)
	}
	dir, err := os.MkdirTemp(temp, "tiff-")
	if err != nil {
		return nil, fmt.Errorf("folder for tiff2rgba: %w", err)
	}
	defer os.RemoveAll(dir)
	in, one, out := filepath.Join(dir, "in.tif"), filepath.Join(dir, "one.tif"), filepath.Join(dir, "out.tif")
	f, err := os.OpenFile(in, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("folder for tiff2rgba: %w", err)
	}
	_, err = io.Copy(f, io.NewSectionReader(body, 0, body.Size()))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("folder for tiff2rgba: %w", err)
	}
	// tiff2rgba takes the whole file; tiffcp takes out the page, from 0.
	if err := tiffTool(ctx, dir, "tiffcp", "-m", "512", in+","+strconv.Itoa(page-1), one); err != nil {
		one = in // the page alone cannot be copied: the first one perhaps
		if page != 1 {
			return nil, picture(err)
		}
	}
	if err := tiffTool(ctx, dir, "tiff2rgba", "-c", "none", "-M", "512", one, out); err != nil {
		return nil, picture(err)
	}
	g, err := os.Open(out)
	if err != nil {
		return nil, picture(err)
	}
	defer g.Close()
	img, err := tiff.Decode(g)
	return img, picture(err)
}

func tiffTool(ctx context.Context, dir, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, tiffTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.WaitDelay = dir, time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
