package extract

import (
	"context"
	"errors"
	"fmt"
	"image"
	_ "image/gif" // dimensions of pictures
	_ "image/jpeg"
	_ "image/png"
	"io"
	"os"
	"strings"

	"sekretariat"
	"sekretariat/extract/charset"
	"sekretariat/extract/epuapdoc"
	"sekretariat/extract/html"
	"sekretariat/extract/mail"
	"sekretariat/extract/pdf"
	"sekretariat/extract/polish"
	"sekretariat/extract/sniff"
)

// Findings of the dispatcher itself.
const (
	FindingNoReader = "no-reader"     // no reader for this format: listed, kept, not read
	FindingPicture  = "no-text-layer" // a picture: nothing to read without OCR
	FindingEmpty    = "empty"
	FindingKilled   = "reader-killed" // reading took too long or too much memory
)

// Limits of reading attachments: what is beyond is listed, not read.
const (
	maxReadParts = 20
	maxPartSize  = 64 << 20 // octets, decoded
)

// Direct reads in this process. It is what runs inside the child processes of
// Pool; call it yourself only for files you trust.
type Direct struct {
	// Temp is the folder for anonymous temporary files, "" for the system's.
	Temp string
}

// Read implements Reader.
func (d Direct) Read(ctx context.Context, in Input) (sekretariat.Reading, error) {
	head := make([]byte, sniff.HeadSize)
	n, err := in.Body.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return sekretariat.Reading{}, fmt.Errorf("read the head of the original: %w", err)
	}
	typ := sniff.Type(head[:n], in.Name)
	r, err := d.read(ctx, in, typ)
	if err != nil {
		return r, err
	}
	if r.Subject == "" && in.Kind != sekretariat.KindMail {
		r.Subject = firstLine(r.Text)
	}
	r.CaseNumbers = polish.CaseNumbers(r.Subject + "\n" + r.Text)
	return r, nil
}

func (d Direct) read(ctx context.Context, in Input, typ string) (sekretariat.Reading, error) {
	switch {
	case in.Kind == sekretariat.KindMail || typ == "message/rfc822":
		r, err := mail.Read(ctx, in.Body, mail.Options{})
		if err != nil {
			return r, err
		}
		return d.attachments(ctx, r, func(p sekretariat.Part) (io.Reader, error) { return mail.OpenPart(in.Body, p), nil })
	case in.Kind == sekretariat.KindEPUAP || typ == "application/xml" && d.isEPUAP(ctx, in):
		r, err := epuapdoc.Read(ctx, in.Body, in.Source)
		if err != nil {
			return r, err
		}
		return d.attachments(ctx, r, func(p sekretariat.Part) (io.Reader, error) { return epuapdoc.OpenPart(in.Body, p), nil })
	case typ == "application/pdf":
		return d.pdf(ctx, io.NewSectionReader(in.Body, 0, in.Body.Size()))
	}
	return d.simple(in, typ)
}

// isEPUAP tells whether an XML file from a box is an ePUAP document: those
// come out of emergency downloads and old exports.
func (d Direct) isEPUAP(ctx context.Context, in Input) bool {
	r, err := epuapdoc.Read(ctx, in.Body, in.Source)
	return err == nil && r.Form != "" && r.Outcome != sekretariat.ReadUnreadable
}

// simple reads what needs no parser of its own.
func (d Direct) simple(in Input, typ string) (sekretariat.Reading, error) {
	r := sekretariat.Reading{Reader: "plain-1", Format: typ, Outcome: sekretariat.ReadOK}
	body := io.NewSectionReader(in.Body, 0, in.Body.Size())
	switch {
	case typ == "text/plain" || typ == "text/html":
		raw, err := io.ReadAll(io.LimitReader(body, 4*sekretariat.MaxText))
		if err != nil {
			return r, fmt.Errorf("read text: %w", err)
		}
		text, _ := charset.Decode(raw, "")
		if typ == "text/html" {
			text = html.Text(text)
		}
		r.Text = cut(text)
	case strings.HasPrefix(typ, "image/"):
		r.Reader, r.Outcome = "image-1", sekretariat.ReadPartial
		if c, _, err := image.DecodeConfig(body); err == nil {
			r.Pages = []sekretariat.Page{{Number: 1, Width: c.Width, Height: c.Height}}
		}
		r.Findings = []sekretariat.Finding{{Code: FindingPicture}}
	case typ == "application/x-empty":
		r.Outcome, r.Findings = sekretariat.ReadUnreadable, []sekretariat.Finding{{Code: FindingEmpty}}
	default:
		r.Outcome, r.Findings = sekretariat.ReadUnreadable, []sekretariat.Finding{{Code: FindingNoReader, Detail: typ}}
	}
	return r, nil
}

// pdf copies a stream into an anonymous file, which is how poppler can read at
// random without our inventing a name, and reads it.
func (d Direct) pdf(ctx context.Context, body io.Reader) (sekretariat.Reading, error) {
	f, err := Anonymous(d.Temp)
	if err != nil {
		return sekretariat.Reading{}, err
	}
	defer f.Close()
	if _, err := io.Copy(f, body); err != nil {
		return sekretariat.Reading{}, fmt.Errorf("copy PDF for reading: %w", err)
	}
	return pdf.Read(ctx, f)
}

// attachments reads the text of those attachments that have any: it routes
// letters whose mail says only "w załączeniu".
func (d Direct) attachments(ctx context.Context, r sekretariat.Reading, open func(sekretariat.Part) (io.Reader, error)) (sekretariat.Reading, error) {
	read := 0
	for i := range r.Parts {
		p := &r.Parts[i]
		if !p.Attachment || p.Type != "application/pdf" || p.Fate != "listed" {
			continue
		}
		if read++; read > maxReadParts || p.Size > maxPartSize {
			p.Fate = "limit"
			continue
		}
		body, err := open(*p)
		if err != nil {
			p.Fate = "unreadable"
			continue
		}
		sub, err := d.pdf(ctx, body)
		if err != nil {
			return r, err
		}
		p.Text, p.Fate = sub.Text, "read"
		if sub.Outcome == sekretariat.ReadUnreadable {
			p.Fate = "unreadable"
		}
		for _, f := range sub.Findings {
			if len(r.Findings) < sekretariat.MaxFindings {
				f.Part = p.Path
				r.Findings = append(r.Findings, f)
			}
		}
	}
	return r, nil
}

func cut(s string) string {
	if len(s) > sekretariat.MaxText {
		s = s[:sekretariat.MaxText]
	}
	return strings.ToValidUTF8(s, "")
}

// firstLine is the title of a text that has none.
func firstLine(s string) string {
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			if r := []rune(line); len(r) > 120 {
				return string(r[:120]) + "…"
			}
			return line
		}
	}
	return ""
}

// Anonymous opens a temporary file without a name: it vanishes with its last
// descriptor, even if the process is killed.
func Anonymous(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "read-*")
	if err != nil {
		return nil, fmt.Errorf("open a temporary file for reading: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, fmt.Errorf("unlink temporary file: %w", err)
	}
	return f, nil
}
