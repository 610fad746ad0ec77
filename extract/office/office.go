// Package office reads the text of office documents: docx, xlsx, pptx, odt,
// ods, odp and RTF by readers of its own, which know nothing but text and are
// fast, and so is doc since Word 97; the other binary formats of old by
// LibreOffice, in a process of its own with limits. It also has LibreOffice make previews. All of it is meant to run in a
// reading process, for the files are foreign.
package office

import (
	"archive/zip"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"sekretariat"
	"sekretariat/extract/archive"
)

// The media types of office documents.
const (
	TypeDOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
	TypeXLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
	TypePPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
	TypeODT  = "application/vnd.oasis.opendocument.text"
	TypeODS  = "application/vnd.oasis.opendocument.spreadsheet"
	TypeODP  = "application/vnd.oasis.opendocument.presentation"
	TypeRTF  = "application/rtf"
	TypeDOC  = "application/msword"
	TypeXLS  = "application/vnd.ms-excel"
	TypePPT  = "application/vnd.ms-powerpoint"
)

// The errors of reading a document.
var (
	// ErrPassword: a password is needed, or this one is wrong.
	ErrPassword = errors.New("office: a password is needed, or this one is wrong")
	// ErrDamaged: the document cannot be understood.
	ErrDamaged = errors.New("office: damaged")
	// ErrTool: LibreOffice is not installed, or did not do its work in time.
	ErrTool = errors.New("office: LibreOffice did not convert it")
)

// maxMember bounds one XML file inside a document, octets unpacked.
const maxMember = 32 << 20

// extensions are what LibreOffice is told a document is.
var extensions = map[string]string{
	TypeDOCX: "docx", TypeXLSX: "xlsx", TypePPTX: "pptx", TypeODT: "odt", TypeODS: "ods", TypeODP: "odp", TypeRTF: "rtf",
	TypeDOC: "doc", TypeXLS: "xls", TypePPT: "ppt",
}

// Known tells whether a type is an office document.
func Known(typ string) bool { return extensions[typ] != "" }

// Text returns the text of a document, at most limit octets of it.
func Text(ctx context.Context, body sekretariat.Body, typ, temp string, limit int) (string, error) {
	switch typ {
	case TypeRTF:
		return rtfText(body, limit)
	case TypeDOC:
		out := &text{limit: limit}
		err := word97(body, out)
		if errors.Is(err, ErrDamaged) { // older, or written by a program of its own mind
			return throughLibreOffice(ctx, body, typ, "odt", TypeODT, temp, limit)
		}
		if errors.Is(err, errFull) {
			err = nil
		}
		return out.String(), err
	case TypePPT:
		return throughLibreOffice(ctx, body, typ, "odp", TypeODP, temp, limit)
	case TypeXLS:
		return throughLibreOffice(ctx, body, typ, "ods", TypeODS, temp, limit)
	}
	if !Known(typ) {
		return "", fmt.Errorf("%w: not an office document: %s", ErrDamaged, typ)
	}
	z, err := archive.OpenZIP(body)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	out := &text{limit: limit}
	switch typ {
	case TypeODT, TypeODS, TypeODP:
		err = odf(z, typ, out)
	case TypeXLSX:
		err = spreadsheet(z, out)
	default:
		err = ooxml(z, typ, out)
	}
	if errors.Is(err, errFull) {
		err = nil
	}
	return out.String(), err
}

func throughLibreOffice(ctx context.Context, body sekretariat.Body, typ, to, toType, temp string, limit int) (string, error) {
	var out string
	err := Convert(ctx, body, typ, to, temp, func(converted sekretariat.Body) (err error) {
		out, err = Text(ctx, converted, toType, temp, limit)
		return err
	})
	return out, err
}

// Refine returns the type of an office document that looks like a plain ZIP
// file from its first octets, "" if it is none.
func Refine(body sekretariat.Body) string {
	z, err := archive.OpenZIP(body)
	if err != nil || !slices.ContainsFunc(z.File, func(f *zip.File) bool { return f.Name == "[Content_Types].xml" }) {
		return ""
	}
	for _, f := range z.File {
		switch f.Name {
		case "word/document.xml":
			return TypeDOCX
		case "xl/workbook.xml", "xl/workbook.bin":
			return TypeXLSX
		case "ppt/presentation.xml":
			return TypePPTX
		}
	}
	return ""
}

// errFull: there is as much text as was asked for.
var errFull = errors.New("enough text")

// text gathers text up to a limit. Blank lines are not repeated.
type text struct {
	strings.Builder
	limit int
	ends  int  // line ends in a row
	gap   bool // a paragraph of a cell has ended: a blank before the next one
}

func (t *text) add(s string) error {
	if t.gap && s != "" && s != "\t" && s != "\n" {
		s = " " + s
	}
	t.gap = false
	if room := t.limit - t.Len(); len(s) > room {
		t.WriteString(strings.ToValidUTF8(s[:max(room, 0)], ""))
		return errFull
	}
	if s != "" {
		t.WriteString(s)
		t.ends = 0
	}
	return nil
}

// paragraph ends a paragraph; those of a cell stand in one line.
func (t *text) paragraph(cells int) error {
	if cells == 0 {
		return t.newline()
	}
	t.gap = true
	return nil
}

func (t *text) newline() error {
	t.gap = false
	if t.ends >= 2 || t.Len() == 0 {
		return nil
	}
	if err := t.add("\n"); err != nil {
		return err
	}
	t.ends++
	return nil
}

// xmlOf goes through one XML file of a document, element by element.
func xmlOf(z *zip.Reader, name string, start func(xml.StartElement) error, end func(xml.EndElement) error, chars func(string) error) error {
	f, err := z.Open(path.Clean(name))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	defer f.Close()
	d := xml.NewDecoder(io.LimitReader(f, maxMember))
	d.Strict = false
	for {
		tok, err := d.RawToken()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		switch x := tok.(type) {
		case xml.StartElement:
			err = start(x)
		case xml.EndElement:
			err = end(x)
		case xml.CharData:
			err = chars(string(x))
		}
		if err != nil {
			return err
		}
	}
}

func attribute(e xml.StartElement, local string) string {
	for _, a := range e.Attr {
		if a.Name.Local == local {
			return a.Value
		}
	}
	return ""
}
