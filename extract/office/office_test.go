package office_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"sekretariat"
	"sekretariat/extract/archive/archivetest"
	"sekretariat/extract/office"
)

const limit = 1 << 16

// source is a document with what documents hold: Polish letters, a table, a
// heading.
const source = `{\rtf1\ansi\ansicpg1250\deff0{\fonttbl{\f0\fnil\fcharset238 Arial;}{\f1\fnil\fcharset0 Times;}}
{\info{\author Tajny Autor}}{\colortbl;\red0\green0\blue0;}
\pard\f0 Za\'bf\'f3\'b3\'e6 g\'ea\'9cl\'b9 ja\'9f\'f1\par
\pard Wnosz\u281?\~o zasi\u322?ek \{celowy\}\par
\trowd\cellx1000\cellx2000\pard\intbl Imi\u281?\cell Nazwisko\cell\row
\pard{\*\generator LibreOffice;}Koniec \u55357?\u56832?\par}`

// conversions are those made before: LibreOffice takes its time.
var conversions = map[string][]byte{}

// made has LibreOffice make the document in another format.
func made(t testing.TB, typ, to, text string) []byte {
	t.Helper()
	if out := conversions[typ+to]; out != nil {
		return out
	}
	var out []byte
	err := office.Convert(context.Background(), bytes.NewReader([]byte(text)), typ, to, t.TempDir(), func(b sekretariat.Body) (err error) {
		out, err = io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
		return err
	})
	if errors.Is(err, office.ErrTool) && strings.Contains(err.Error(), "install") {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	conversions[typ+to] = out
	return out
}

func textOf(t testing.TB, raw []byte, typ string) string {
	t.Helper()
	s, err := office.Text(t.Context(), bytes.NewReader(raw), typ, t.TempDir(), limit)
	if err != nil {
		t.Errorf("%s: %v", typ, err)
	}
	return s
}

func wantText(t *testing.T, what, got string, lines ...string) {
	t.Helper()
	for _, l := range lines {
		if !strings.Contains(got, l) {
			t.Errorf("%s: no %q in %q", what, l, got)
		}
	}
	for _, no := range []string{"Tajny", "LibreOffice;", "010203", "\ufffd"} {
		if strings.Contains(got, no) {
			t.Errorf("%s: %q in %q", what, no, got)
		}
	}
}

var lines = []string{"Zażółć gęślą jaźń\n", "Wnoszę\u00a0o zasiłek {celowy}\n", "Imię\tNazwisko", "Koniec 😀"}

func TestRTF(t *testing.T) {
	withPicture := strings.Replace(source, "Koniec", `{\pict\wmetafile8 010203}Koniec`, 1)
	wantText(t, "rtf", textOf(t, []byte(withPicture), office.TypeRTF), lines...)
}

// The formats as LibreOffice writes them; a doc goes through it again and is
// read as odt.
func TestTextDocuments(t *testing.T) {
	for _, c := range []struct{ to, typ string }{{"docx", office.TypeDOCX}, {"doc", office.TypeDOC}} {
		got := textOf(t, made(t, office.TypeRTF, c.to, source), c.typ)
		wantText(t, c.to, got, lines...)
	}
}

const sheetXML = `<?xml version="1.0" encoding="UTF-8"?>
<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" office:version="1.2"><office:body><office:spreadsheet>
<table:table table:name="A"><table:table-row><table:table-cell office:value-type="string"><text:p>Dochód</text:p></table:table-cell><table:table-cell office:value-type="float" office:value="1234.5"><text:p>1234,5</text:p></table:table-cell></table:table-row></table:table>
<table:table table:name="B"><table:table-row><table:table-cell office:value-type="string"><text:p>Żółw<text:s text:c="2"/>drugi<office:annotation><text:p>uwaga</text:p></office:annotation></text:p></table:table-cell></table:table-row></table:table>
</office:spreadsheet></office:body></office:document-content>`

func ods(t testing.TB) []byte {
	return archivetest.ZIP(t, archivetest.File{Name: "mimetype", Content: []byte(office.TypeODS)}, archivetest.File{Name: "content.xml", Content: []byte(sheetXML)},
		archivetest.File{Name: "META-INF/manifest.xml", Content: []byte(`<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"><manifest:file-entry manifest:full-path="/" manifest:media-type="` + office.TypeODS + `"/><manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml"/></manifest:manifest>`)})
}

func TestSpreadsheets(t *testing.T) {
	raw := ods(t)
	got := textOf(t, raw, office.TypeODS)
	wantText(t, "ods", got, "Dochód\t1234,5", "Żółw  drugi")
	if strings.Contains(got, "uwaga") {
		t.Errorf("a note of an editor is text: %q", got)
	}
	xlsx := archivetest.ZIP(t,
		archivetest.File{Name: "xl/worksheets/sheet1.xml", Content: []byte(`<worksheet><sheetData><row r="1"><c r="A1" t="s"><v>1</v></c><c r="B1"><v>1234.5</v></c></row><row><c t="inlineStr"><is><t>w wierszu</t></is></c><c t="s"><v>99</v></c></row></sheetData></worksheet>`)},
		archivetest.File{Name: "xl/sharedStrings.xml", Content: []byte(`<sst><si><t>obcy</t></si><si><r><t>Do</t></r><r><t>chód</t></r><rPh><t>czytanie</t></rPh></si></sst>`)})
	wantText(t, "xlsx", textOf(t, xlsx, office.TypeXLSX), "Dochód\t1234.5\t\nw wierszu\t\n")
	dir := t.TempDir()
	xls, err := office.Text(t.Context(), bytes.NewReader(made(t, office.TypeODS, "xls", string(raw))), office.TypeXLS, dir, limit)
	if err != nil {
		t.Error(err)
	}
	wantText(t, "xls", xls, "Dochód\t1234", "Żółw  drugi")
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("LibreOffice leaves %d files behind", len(left))
	}
}

func TestTypesByContent(t *testing.T) {
	docx := archivetest.ZIP(t, archivetest.File{Name: "docProps/app.xml"}, archivetest.File{Name: "[Content_Types].xml"}, archivetest.File{Name: "word/document.xml"})
	if got := office.Refine(bytes.NewReader(docx)); got != office.TypeDOCX {
		t.Errorf("a docx whose first member tells nothing: %q", got)
	}
	if got := office.Refine(bytes.NewReader(archivetest.ZIP(t, archivetest.File{Name: "word/document.xml"}))); got != "" {
		t.Errorf("a ZIP with a folder word: %q", got)
	}
	for _, c := range []struct{ to, want string }{{"doc", office.TypeDOC}} {
		if got := office.OLE(bytes.NewReader(made(t, office.TypeRTF, c.to, source))); got != c.want {
			t.Errorf("%s: %q", c.to, got)
		}
	}
	if got := office.OLE(bytes.NewReader(make([]byte, 600))); got != "" {
		t.Errorf("zeros: %q", got)
	}
}

func TestDamagedDocuments(t *testing.T) {
	for typ, raw := range map[string][]byte{
		office.TypeDOCX: archivetest.ZIP(t, archivetest.File{Name: "a"}), office.TypeODT: []byte("PK"), office.TypeXLSX: {},
		office.TypeODS: archivetest.ZIP(t, archivetest.File{Name: "content.xml", Content: []byte("<a><b")}),
	} {
		if _, err := office.Text(t.Context(), bytes.NewReader(raw), typ, t.TempDir(), limit); !errors.Is(err, office.ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", typ, err)
		}
	}
	sealed := archivetest.ZIP(t, archivetest.File{Name: "META-INF/manifest.xml", Content: []byte("<m:manifest><m:file-entry><m:encryption-data/></m:file-entry></m:manifest>")}, archivetest.File{Name: "content.xml"})
	if _, err := office.Text(t.Context(), bytes.NewReader(sealed), office.TypeODT, t.TempDir(), limit); !errors.Is(err, office.ErrPassword) {
		t.Errorf("an odt under a password: %v", err)
	}
}

func TestTextIsBounded(t *testing.T) {
	long := `{\rtf1 ` + strings.Repeat(`Proszę o pomoc. \par `, 10_000) + "}"
	s, err := office.Text(t.Context(), bytes.NewReader([]byte(long)), office.TypeRTF, "", 1000)
	if err != nil || len(s) > 1000 || len(s) < 900 {
		t.Errorf("%d octets, %v", len(s), err)
	}
}

func FuzzText(f *testing.F) {
	types := []string{office.TypeRTF, office.TypeDOCX, office.TypeXLSX, office.TypeODT, office.TypePPTX}
	f.Add(uint8(0), []byte(source))
	f.Add(uint8(1), archivetest.ZIP(f, archivetest.File{Name: "word/document.xml", Content: []byte(`<w:p><w:r><w:t>a</w:t><w:tab/></w:r></w:p>`)}))
	f.Add(uint8(2), archivetest.ZIP(f, archivetest.File{Name: "xl/worksheets/sheet1.xml", Content: []byte(`<row><c t="s"><v>0</v></c></row>`)}, archivetest.File{Name: "xl/sharedStrings.xml", Content: []byte(`<si><t>x</t></si>`)}))
	f.Add(uint8(3), ods(f))
	f.Fuzz(func(t *testing.T, which uint8, raw []byte) {
		s, err := office.Text(t.Context(), bytes.NewReader(raw), types[int(which)%len(types)], "", 1000)
		if err == nil && len(s) > 1000 {
			t.Errorf("%d octets of text", len(s))
		}
		office.Refine(bytes.NewReader(raw))
		office.OLE(bytes.NewReader(raw))
	})
}

// A .doc since Word 97 is read without LibreOffice, field instructions left out.
func TestWord97(t *testing.T) {
	field := strings.Replace(source, "Koniec", `{\field{\*\fldinst HYPERLINK "http://obcy.example"}{\fldrslt odsylacz}} Koniec`, 1)
	raw := made(t, office.TypeRTF, "doc", source)
	got, err := office.Word97(bytes.NewReader(raw), limit)
	if err != nil {
		t.Fatal(err)
	}
	wantText(t, "doc", got, lines...)
	delete(conversions, office.TypeRTF+"doc")
	got, err = office.Word97(bytes.NewReader(made(t, office.TypeRTF, "doc", field)), limit)
	if err != nil || strings.Contains(got, "HYPERLINK") || !strings.Contains(got, "odsylacz Koniec") {
		t.Errorf("%q, %v", got, err)
	}
	for n := 0; n < len(raw); n += 997 {
		_, _ = office.Word97(bytes.NewReader(raw[:n]), limit) // must not panic
	}
}

func FuzzWord97(f *testing.F) {
	f.Add(made(f, office.TypeRTF, "doc", `{\rtf1 Wniosek\par}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if s, _ := office.Word97(bytes.NewReader(raw), 1000); len(s) > 1000 {
			t.Errorf("%d octets of text", len(s))
		}
	})
}
