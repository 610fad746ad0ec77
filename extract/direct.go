package extract

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"sekretariat"
	"sekretariat/extract/charset"
	"sekretariat/extract/edoreczenia"
	"sekretariat/extract/epuapdoc"
	"sekretariat/extract/html"
	"sekretariat/extract/mail"
	"sekretariat/extract/note"
	"sekretariat/extract/polish"
	"sekretariat/extract/sniff"
	"sekretariat/extract/trust"
)

// Findings of the dispatcher itself.
const (
	FindingNoReader  = "no-reader"     // no reader for this format: listed, kept, not read
	FindingPicture   = "no-text-layer" // a picture: nothing to read without OCR
	FindingEmpty     = "empty"
	FindingKilled    = "reader-killed"     // reading took too long or too much memory
	FindingEncrypted = "encrypted"         // a password is needed: "podaj hasło"
	FindingLimit     = "attachments-limit" // more attachments than are read; Detail: "count", "size" or "time"
	FindingArchive   = "archive-limit"     // more in an archive than is unpacked; Detail: "count", "depth", "ratio", "size" or "memory"
	FindingBroken    = "part-broken"       // damaged: what it holds cannot be read, or not all of it
	FindingPlace     = "photo-place"       // a photo says where it was taken; previews do not
)

// Direct reads in this process. It is what runs inside the child processes of
// Pool; call it yourself only for files you trust.
type Direct struct {
	// Temp is the folder for anonymous temporary files, "" for the system's.
	Temp string
	// Trust is what the office trusts, for signatures; nil: nothing.
	Trust *trust.List
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
		r.Subject = FirstLine(r.Text)
	}
	for _, n := range polish.CaseNumbers(r.Subject + "\n" + r.Text) {
		if !slices.Contains(r.CaseNumbers, n) {
			r.CaseNumbers = append(r.CaseNumbers, n)
		}
	}
	return r, nil
}

// read reads the letter itself, then what hangs on it.
func (d Direct) read(ctx context.Context, in Input, typ string) (sekretariat.Reading, error) {
	switch {
	case in.Kind == sekretariat.KindMail || typ == "message/rfc822":
		r, err := mail.Read(ctx, in.Body, mail.Options{Temp: d.Temp, Headers: in.Headers})
		if err != nil || in.Glance {
			return r, err
		}
		return d.attachments(ctx, in, r)
	case mail.Outlook(in.Body, typ):
		r, err := mail.ReadOutlook(ctx, in.Body, mail.Options{Temp: d.Temp})
		if err != nil {
			return r, err
		}
		return d.attachments(ctx, in, r)
	case in.Kind == sekretariat.KindEPUAP && foreign(typ):
		return d.foreign(ctx, in, typ)
	case in.Kind == sekretariat.KindEPUAP || typ == "application/xml":
		// XML from a box: emergency downloads, old exports, forms of other systems.
		r, err := epuapdoc.Read(ctx, in.Body, epuapdoc.Options{Source: in.Source, Trust: d.Trust, At: in.At})
		if err != nil {
			return r, err
		}
		return d.attachments(ctx, in, r)
	case in.Kind == sekretariat.KindManual:
		return note.Read(in.Body)
	case typ == edoreczenia.MediaType:
		r, err := edoreczenia.Read(ctx, in.Body, edoreczenia.Options{Source: in.Source, Trust: d.Trust, At: in.At})
		if err != nil {
			return r, err
		}
		return d.attachments(ctx, in, r)
	case typ == "text/plain" || typ == "text/html" || typ == "application/x-empty":
		return d.simple(in, typ)
	}
	return d.file(ctx, in, typ)
}

// foreign tells whether a document that came through ePUAP is certainly no XML:
// the platform carries any file.
func foreign(typ string) bool {
	return typ != "application/xml" && typ != sniff.Unknown && !strings.HasPrefix(typ, "text/") && typ != "application/x-empty"
}

// foreign reads such a document like any file; who sent it, the account says.
func (d Direct) foreign(ctx context.Context, in Input, typ string) (sekretariat.Reading, error) {
	r, err := d.file(ctx, in, typ)
	if err != nil {
		return r, err
	}
	if p, ok := epuapdoc.Account(in.Source); ok {
		r.Sender = p
	}
	r.Sent, r.Subject, r.MessageID = epuapdoc.Sent(in.Source), in.Source["nazwaPliku"], in.Source["identyfikatorDokumentu"]
	return r, nil
}

// simple reads what needs no parser of its own.
func (d Direct) simple(in Input, typ string) (sekretariat.Reading, error) {
	r := sekretariat.Reading{Reader: "plain-1", Format: typ, Outcome: sekretariat.ReadOK}
	if typ == "application/x-empty" {
		r.Outcome, r.Findings = sekretariat.ReadUnreadable, []sekretariat.Finding{{Code: FindingEmpty}}
		return r, nil
	}
	text, err := plainText(io.NewSectionReader(in.Body, 0, in.Body.Size()), typ)
	if err != nil {
		return r, fmt.Errorf("read text: %w", err)
	}
	r.Text = text
	return r, nil
}

func plainText(body io.Reader, typ string) (string, error) {
	raw, err := io.ReadAll(io.LimitReader(body, 4*sekretariat.MaxText))
	if err != nil {
		return "", err
	}
	text, _ := charset.Decode(raw, "")
	if typ == "text/html" {
		text = html.Text(text)
	}
	return cut(text), nil
}

// file reads a file that came by itself: what it holds is the letter's text,
// pages and parts.
func (d Direct) file(ctx context.Context, in Input, typ string) (sekretariat.Reading, error) {
	r := sekretariat.Reading{Reader: "file-1", Format: typ, Outcome: sekretariat.ReadOK}
	t := d.newTree(ctx, in, &r)
	body, err := d.spool(io.NewSectionReader(in.Body, 0, in.Body.Size()))
	if err != nil {
		return r, fmt.Errorf("copy the original for reading: %w", err)
	}
	defer body.Close()
	self := sekretariat.Part{Type: typ, Name: in.Name, Fate: fateListed}
	if err := t.look(&self, body, 0); err != nil {
		return r, err
	}
	r.Format, r.Text, r.Parts = self.Type, self.Text, t.parts
	if err := t.pair(in); err != nil {
		return r, err
	}
	switch {
	case self.Fate == fateListed && len(r.Pages) == 0 && len(r.Signatures) == 0:
		r.Outcome = sekretariat.ReadUnreadable
		t.find(FindingNoReader, "", self.Type)
	case self.Fate == fateUnreadable || self.Fate == fateEncrypted || self.Fate == fateLimit:
		r.Outcome = sekretariat.ReadUnreadable
	case r.Text == "" && len(r.Parts) == 0, t.incomplete:
		r.Outcome = sekretariat.ReadPartial
	}
	if isPicture(r.Format) {
		t.find(FindingPicture, "", "")
	}
	return r, nil
}

func cut(s string) string {
	if len(s) > sekretariat.MaxText {
		s = s[:sekretariat.MaxText]
	}
	return strings.ToValidUTF8(s, "")
}

// FirstLine is the title of a text that has none.
func FirstLine(s string) string {
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
