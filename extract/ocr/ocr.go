// Package ocr has Tesseract recognise the text of prepared pages: upright grey
// pictures with straight lines. Tesseract runs as a process of its own, one
// thread each, and gets pages through anonymous memory, several at a time: its
// start costs a tenth of a page. Nothing here decides what a page is; see
// packages page and scan.
package ocr

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Language is the model that is used.
const Language = "pol"

// ErrMissing: Tesseract or its Polish model is not installed.
var ErrMissing = errors.New("install tesseract-ocr and tesseract-ocr-pol")

// Available returns nil if text can be recognised on this machine, else
// ErrMissing.
func Available() error {
	if _, err := exec.LookPath(program); err != nil {
		return ErrMissing
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, "--list-langs").Output()
	for line := range strings.Lines(string(out)) {
		if err == nil && strings.TrimSpace(line) == Language {
			return nil
		}
	}
	return ErrMissing
}

const program = "tesseract"

// Image is one page to be read.
type Image struct {
	Gray *image.Gray
	DPI  int
}

// Word is one recognised word, its box in pixels of the page.
type Word struct {
	Text       string `json:"t"`
	Confidence int    `json:"c"` // 0 to 100
	X          int    `json:"x"`
	Y          int    `json:"y"`
	W          int    `json:"w"`
	H          int    `json:"h"`
	Line       int    `json:"l"` // words of one line have the same number; it grows down the page
	Paragraph  int    `json:"p"`
}

// Text is what was recognised on one page.
type Text struct {
	Words []Word
	// Confidence is the mean of the words, by their length; 0 for a page without words.
	Confidence int
}

// String is the text with its lines, paragraphs apart.
func (t Text) String() string {
	var b strings.Builder
	for i, w := range t.Words {
		switch {
		case i == 0:
		case w.Paragraph != t.Words[i-1].Paragraph:
			b.WriteString("\n\n")
		case w.Line != t.Words[i-1].Line:
			b.WriteByte('\n')
		default:
			b.WriteByte(' ')
		}
		b.WriteString(w.Text)
	}
	return b.String()
}

// Recognise reads pages of one resolution in one run and returns a Text for
// each. It needs about half a second of a processor for a letter.
func Recognise(ctx context.Context, pages []Image) ([]Text, error) {
	if len(pages) == 0 {
		return nil, nil
	}
	// Sauvola (method 2) is right for paper with folds and shadows; method 1
	// loses Polish letters. Page segmentation 3 finds columns by itself.
	out, err := run(ctx, pages, "--psm", "3", "-l", Language, "-c", "thresholding_method=2", "-c", "tessedit_create_tsv=1")
	if err != nil {
		return nil, err
	}
	return parse(out, len(pages))
}

// Orientation tells by how many degrees (0, 90, 180, 270) a page must be
// turned clockwise to stand upright, and how sure that is: from 5 on it has
// never been wrong on our pages.
func Orientation(ctx context.Context, p Image) (degrees int, confidence float64, err error) {
	out, err := run(ctx, []Image{p}, "--psm", "0", "-l", "osd")
	if err != nil {
		if ctx.Err() != nil || errors.Is(err, ErrMissing) {
			return 0, 0, err
		}
		return 0, 0, nil // too few letters to tell
	}
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(line, ":")
		switch key {
		case "Rotate":
			degrees, _ = strconv.Atoi(strings.TrimSpace(value))
		case "Orientation confidence":
			confidence, _ = strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	if degrees%90 != 0 || degrees < 0 || degrees > 270 {
		return 0, 0, nil
	}
	return degrees, confidence, nil
}

// maxOutput bounds what Tesseract says of a list of pages, in octets.
const maxOutput = 64 << 20

// run starts Tesseract on pages that it finds under the names of inherited
// descriptors; the list of them comes on its standard input.
func run(ctx context.Context, pages []Image, args ...string) ([]byte, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return nil, ErrMissing
	}
	var files []*os.File
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	var list strings.Builder
	for i, p := range pages {
		f, err := memory(p.Gray)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
		fmt.Fprintf(&list, "/proc/self/fd/%d\n", 3+i)
	}
	in := "stdin"
	if len(pages) == 1 { // the detector of orientation takes no list
		in = "/proc/self/fd/3"
	}
	cmd := exec.CommandContext(ctx, path, append([]string{in, "stdout", "--dpi", strconv.Itoa(pages[0].DPI)}, args...)...)
	cmd.ExtraFiles, cmd.Stdin = files, strings.NewReader(list.String())
	cmd.WaitDelay = time.Second
	// More threads than one make it six times slower, not quicker.
	cmd.Env = append(os.Environ(), "OMP_THREAD_LIMIT=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var out limited
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("tesseract: %w", err)
	}
	return out.Bytes(), nil
}

type limited struct{ bytes.Buffer }

// Write implements io.Writer.
func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > maxOutput {
		return 0, io.ErrShortWrite
	}
	return l.Buffer.Write(p)
}

// memory puts a picture as PGM into memory that has no name.
func memory(g *image.Gray) (*os.File, error) {
	fd, err := unix.MemfdCreate("page", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memory for a page: %w", err)
	}
	f := os.NewFile(uintptr(fd), "page")
	w := bufio.NewWriterSize(f, 1<<20)
	b := g.Bounds()
	fmt.Fprintf(w, "P5\n%d %d\n255\n", b.Dx(), b.Dy())
	for y := range b.Dy() {
		i := g.PixOffset(b.Min.X, b.Min.Y+y)
		_, _ = w.Write(g.Pix[i : i+b.Dx()])
	}
	if err := w.Flush(); err != nil {
		f.Close()
		return nil, fmt.Errorf("memory for a page: %w", err)
	}
	return f, nil
}
