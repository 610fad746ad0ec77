// Package pdf reads the text layer of PDF files. The work is done by pdftotext
// and pdfinfo of poppler, in processes of their own with limits on time and
// output: PDF is the format with the longest record of parser holes. A page
// without text is reported as such; recognising it is the business of the
// scan room.
package pdf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"sekretariat"
)

// Reader is the name and version written into readings.
const Reader = "pdf-1"

// Finding codes of this reader.
const (
	FindingEncrypted   = "encrypted"     // a password is needed
	FindingNoText      = "no-text-layer" // a scan: nothing to read without OCR
	FindingBroken      = "pdf-broken"    // poppler gave up
	FindingNoTool      = "pdf-tool-missing"
	FindingTextCut     = "text-cut"       // more text than MaxText
	FindingPagesCut    = "pages-cut"      // more pages than maxPages
	FindingPagesNoText = "pages-no-text"  // some pages have no text
	maxPages           = 300              // read; the original is always whole
	timeLimit          = 30 * time.Second // for one file
)

// Read reads the text layer. f must be an open regular file (it may be
// unlinked): the tools get it as an inherited descriptor, so no name ever
// appears on a command line. It returns an error only if ctx ended or a
// process could not be started.
func Read(ctx context.Context, f *os.File) (sekretariat.Reading, error) {
	r := sekretariat.Reading{Reader: Reader, Format: "application/pdf", Outcome: sekretariat.ReadOK}
	if _, err := exec.LookPath("pdftotext"); err != nil {
		return failed(r, FindingNoTool, "install poppler-utils"), nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeLimit)
	defer cancel()
	out, cut, _, err := run(ctx, f, "pdftotext", "-q", "-enc", "UTF-8", "-eol", "unix", "-l", strconv.Itoa(maxPages), "/dev/fd/3", "-")
	if err != nil {
		return classify(ctx, f, r, err)
	}
	pages(&r, out)
	if cut {
		r.Findings = append(r.Findings, sekretariat.Finding{Code: FindingTextCut})
		r.Outcome = sekretariat.ReadPartial
	}
	if len(r.Pages) >= maxPages {
		r.Findings = append(r.Findings, sekretariat.Finding{Code: FindingPagesCut})
		r.Outcome = sekretariat.ReadPartial
	}
	return r, nil
}

// pages splits pdftotext's output at its form feeds.
func pages(r *sekretariat.Reading, out []byte) {
	texts := strings.Split(strings.TrimSuffix(string(out), "\f"), "\f")
	blank := 0
	var all strings.Builder
	for i, t := range texts {
		t = strings.TrimSpace(t)
		r.Pages = append(r.Pages, sekretariat.Page{Number: i + 1})
		if t == "" {
			blank++
			continue
		}
		if all.Len() > 0 {
			all.WriteString("\n\n")
		}
		all.WriteString(t)
	}
	r.Text = strings.ToValidUTF8(all.String(), "\uFFFD")
	switch {
	case blank == len(texts):
		r.Outcome = sekretariat.ReadPartial
		r.Findings = append(r.Findings, sekretariat.Finding{Code: FindingNoText})
	case blank > 0:
		r.Findings = append(r.Findings, sekretariat.Finding{Code: FindingPagesNoText, Detail: strconv.Itoa(blank)})
	}
}

// classify turns a failed run into a reading, or into an error when it was not
// the file's fault.
func classify(ctx context.Context, f *os.File, r sekretariat.Reading, err error) (sekretariat.Reading, error) {
	var exit *exec.ExitError
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return failed(r, FindingBroken, "time limit"), nil
	case ctx.Err() != nil:
		return r, ctx.Err()
	case !errors.As(err, &exit):
		return r, fmt.Errorf("run pdftotext: %w", err)
	}
	// pdftotext was asked to be quiet, for a broken file makes it say a lot.
	if _, _, msg, _ := run(ctx, f, "pdfinfo", "/dev/fd/3"); strings.Contains(msg, "ncorrect password") || strings.Contains(msg, "ncrypted") {
		return failed(r, FindingEncrypted, ""), nil
	}
	return failed(r, FindingBroken, ""), nil
}

func failed(r sekretariat.Reading, code, detail string) sekretariat.Reading {
	r.Outcome = sekretariat.ReadUnreadable
	r.Findings = append(r.Findings, sekretariat.Finding{Code: code, Detail: detail})
	return r
}

// run starts a tool with f as descriptor 3 and returns at most MaxText octets
// of its output, whether there was more, and the beginning of its messages.
func run(ctx context.Context, f *os.File, tool string, args ...string) (out []byte, cut bool, msg string, err error) {
	cmd := exec.CommandContext(ctx, tool, args...)
	cmd.ExtraFiles = []*os.File{f}
	cmd.WaitDelay = time.Second
	var stdout, stderr capped
	stdout.limit, stderr.limit = sekretariat.MaxText, 4096
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	if stdout.cut && ctx.Err() == nil {
		err = nil // stopped by us: the pipe was closed on a file that never ends
	}
	return stdout.Bytes(), stdout.cut, stderr.String(), err
}

// capped keeps the first limit octets and stops the writer after them.
type capped struct {
	bytes.Buffer
	limit int
	cut   bool
}

func (c *capped) Write(p []byte) (int, error) {
	room := c.limit - c.Len()
	if len(p) <= room {
		return c.Buffer.Write(p)
	}
	c.cut = true
	c.Buffer.Write(p[:room])
	return room, io.ErrShortWrite
}
