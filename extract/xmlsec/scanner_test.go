package xmlsec_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"sekretariat/extract/xmlsec"
)

func parse(doc string, lim xmlsec.Limits) (*xmlsec.Document, error) {
	return xmlsec.Parse(strings.NewReader(doc), lim, nil)
}

// TestRefused lists what must not pass, with the reason.
func TestRefused(t *testing.T) {
	for doc, kind := range map[string]error{
		"":                             xmlsec.ErrSyntax,
		"   ":                          xmlsec.ErrSyntax,
		"text":                         xmlsec.ErrSyntax,
		"<a>":                          xmlsec.ErrSyntax,
		"<a></b>":                      xmlsec.ErrSyntax,
		"<a/><b/>":                     xmlsec.ErrSyntax,
		"<a/>x":                        xmlsec.ErrSyntax,
		"</a>":                         xmlsec.ErrSyntax,
		"<a b=1/>":                     xmlsec.ErrSyntax,
		"<a b='1'c='2'/>":              xmlsec.ErrSyntax,
		"<a b='1' b='2'/>":             xmlsec.ErrSyntax,
		"<a b='<'/>":                   xmlsec.ErrSyntax,
		"<a>&x;</a>":                   xmlsec.ErrSyntax,
		"<a>& </a>":                    xmlsec.ErrSyntax,
		"<a>&#0;</a>":                  xmlsec.ErrSyntax,
		"<a>&#xFFFE;</a>":              xmlsec.ErrSyntax,
		"<a>&#x110000;</a>":            xmlsec.ErrSyntax,
		"<a>&#xD800;</a>":              xmlsec.ErrSyntax,
		"<a>&#+65;</a>":                xmlsec.ErrSyntax,
		"<a>\x01</a>":                  xmlsec.ErrSyntax,
		"<a>]]></a>":                   xmlsec.ErrSyntax,
		"<a><!-- -- --></a>":           xmlsec.ErrSyntax,
		"<a><!-- --->":                 xmlsec.ErrSyntax,
		"<a><![CDATA[x</a>":            xmlsec.ErrSyntax,
		"<![CDATA[x]]><a/>":            xmlsec.ErrSyntax,
		"<?xml version='2.0'?><a/>":    xmlsec.ErrSyntax,
		"<?xml encoding='UTF-8'?><a/>": xmlsec.ErrSyntax,
		"<a/><?xml version='1.0'?>":    xmlsec.ErrSyntax,
		" <?xml version='1.0'?><a/>":   xmlsec.ErrSyntax,
		"<a p:b='1'/>":                 xmlsec.ErrSyntax,
		"<p:a/>":                       xmlsec.ErrSyntax,
		"<a xmlns:p=''/>":              xmlsec.ErrSyntax,
		"<a:b:c xmlns:a='urn:a'/>":     xmlsec.ErrSyntax,
		"<a xmlns:p='urn:p' xmlns:q='urn:p' p:b='' q:b=''/>": xmlsec.ErrSyntax,
		"<a xmlns:xml='urn:x'/>":                             xmlsec.ErrSyntax,
		"<a xmlns:xmlns='urn:x'/>":                           xmlsec.ErrSyntax,
		"<1/>":                                               xmlsec.ErrSyntax,
		"<a\xff/>":                                           xmlsec.ErrEncoding,
		"<a>\xc4</a>":                                        xmlsec.ErrEncoding,
		"<a>\xed\xa0\x80</a>":                                xmlsec.ErrEncoding,
		"<?xml version='1.0' encoding='KOI8-R'?><a/>":              xmlsec.ErrEncoding,
		"<?xml version='1.0' encoding='windows-1250'?><a>\x81</a>": xmlsec.ErrEncoding,
		"<?xml version='1.0' encoding='US-ASCII'?><a>ą</a>":        xmlsec.ErrEncoding,
		"<!DOCTYPE a><a/>": xmlsec.ErrDTD,
		"<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a/>": xmlsec.ErrDTD,
		"<!ELEMENT a ANY><a/>": xmlsec.ErrSyntax,
		"<a><!DOCTYPE a></a>":  xmlsec.ErrDTD,
		strings.Repeat("<a>", 257) + strings.Repeat("</a>", 257):        xmlsec.ErrLimit,
		"<a " + strings.Repeat("x", 2000) + "='1'/>":                    xmlsec.ErrLimit,
		"<a b='" + strings.Repeat("x", 2<<20) + "'/>":                   xmlsec.ErrLimit,
		"<a>" + strings.Repeat("<b/>", 200_001) + "</a>":                xmlsec.ErrLimit,
		"<a><!--" + strings.Repeat("x", 2<<20) + "--></a>":              xmlsec.ErrLimit,
		"<a" + strings.Repeat(" xmlns:p='urn:x'", 2) + "/>":             xmlsec.ErrSyntax,
		"<a><b xmlns:p='urn:p'/><p:c/></a>":                             xmlsec.ErrSyntax,
		"\xff\xfe<\x00a\x00/\x00":                                       xmlsec.ErrSyntax,
		"\xff\xfe<\x00a\x00>\x00\x00\xd8/\x00>\x00":                     xmlsec.ErrEncoding,
		"\xff\xfe<\x00a\x00/\x00>\x00x":                                 xmlsec.ErrEncoding,
		"<?xml version='1.0' encoding='UTF-8' standalone='maybe'?><a/>": xmlsec.ErrSyntax,
	} {
		_, err := parse(doc, xmlsec.Limits{})
		if !errors.Is(err, kind) {
			t.Errorf("%.60q: got %v, want %v", doc, err, kind)
		}
	}
}

func TestAttributeLimit(t *testing.T) {
	var b strings.Builder
	b.WriteString("<a")
	for i := range 129 {
		b.WriteString(" x" + strings.Repeat("y", i) + "=''")
	}
	b.WriteString("/>")
	if _, err := parse(b.String(), xmlsec.Limits{}); !errors.Is(err, xmlsec.ErrLimit) {
		t.Errorf("got %v", err)
	}
	if _, err := parse(b.String(), xmlsec.Limits{Attributes: 129}); err != nil {
		t.Errorf("got %v", err)
	}
}

// TestOctetLimit: a document over the limit is refused as such, not taken for
// a truncated one; one exactly at the limit passes.
func TestOctetLimit(t *testing.T) {
	doc := "<a>" + strings.Repeat("x", 100_000) + "</a>"
	if _, err := parse(doc, xmlsec.Limits{Octets: int64(len(doc)) - 1}); !errors.Is(err, xmlsec.ErrLimit) {
		t.Errorf("one octet over: %v", err)
	}
	if _, err := parse(doc, xmlsec.Limits{Octets: int64(len(doc))}); err != nil {
		t.Errorf("at the limit: %v", err)
	}
}

func TestEncodings(t *testing.T) {
	const text = "Zażółć gęślą jaźń ŁÓDŹ"
	utf16le := func(s string) string {
		var b strings.Builder
		for _, u := range utf16.Encode([]rune(s)) {
			b.WriteByte(byte(u))
			b.WriteByte(byte(u >> 8))
		}
		return b.String()
	}
	for name, doc := range map[string]string{
		"UTF-8":        "<a>" + text + "</a>",
		"UTF-16LE":     "\xff\xfe" + utf16le("<?xml version='1.0' encoding='UTF-16'?><a>"+text+"</a>"),
		"windows-1250": "<?xml version='1.0' encoding='windows-1250'?><a>Za\xbf\xf3\xb3\xe6 g\xea\x9cl\xb9 ja\x9f\xf1 \xa3\xd3D\x8f</a>",
		"ISO-8859-2":   "<?xml version=\"1.0\" encoding=\"iso-8859-2\" ?><a>Za\xbf\xf3\xb3\xe6 g\xea\xb6l\xb1 ja\xbc\xf1 \xa3\xd3D\xac</a>",
		"ISO-8859-16":  "<?xml version=\"1.1\" encoding=\"ISO-8859-16\"?><a>Za\xbf\xf3\xb3\xe5 g\xfd\xf7l\xa2 ja\xae\xf1 \xa3\xd3D\xac</a>",
	} {
		d, err := parse(doc, xmlsec.Limits{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d.Root.Content() != text || d.Encoding != name {
			t.Errorf("%s: %q in %s", name, d.Root.Content(), d.Encoding)
		}
	}
	d, err := parse("\xef\xbb\xbf<?xml version='1.0' encoding='UTF-8'?><a>"+text+"</a>", xmlsec.Limits{})
	if err != nil || d.Root.Content() != text {
		t.Errorf("byte order mark: %v", err)
	}
	for _, name := range []string{"ISO-8859-1", "windows-1252"} {
		if d, err = parse("<?xml version='1.0' encoding='"+name+"'?><a>M\xfcller</a>", xmlsec.Limits{}); err != nil || d.Root.Content() != "Müller" || d.Encoding != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	d, err = parse("\xff\xfe"+utf16le("<a>😀</a>"), xmlsec.Limits{})
	if err != nil || d.Root.Content() != "😀" {
		t.Errorf("surrogate pair: %v", err)
	}
}

// TestOneByteReads: the result does not depend on how the input comes.
func TestOneByteReads(t *testing.T) {
	for name, doc := range tricky {
		whole, err := parse(doc, xmlsec.Limits{})
		if err != nil {
			if name == "end tag with space" {
				continue
			}
			t.Fatalf("%s: %v", name, err)
		}
		d, err := xmlsec.Parse(iotest.OneByteReader(strings.NewReader(doc)), xmlsec.Limits{}, nil)
		if err != nil || d.Root.Content() != whole.Root.Content() {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestReaderFails: an error of the source comes back as itself.
func TestReaderFails(t *testing.T) {
	broken := errors.New("disk gone")
	_, err := xmlsec.Parse(io.MultiReader(strings.NewReader("<a>x"), iotest.ErrReader(broken)), xmlsec.Limits{}, nil)
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	_, err = xmlsec.Parse(lazy{}, xmlsec.Limits{}, nil)
	if !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("reader that gives nothing: %v", err)
	}
}

type lazy struct{}

func (lazy) Read([]byte) (int, error) { return 0, nil }

func TestDivert(t *testing.T) {
	var got bytes.Buffer
	doc := "<a>keep<b>aGVs<!--x-->\n bG8=</b><b>keep</b></a>"
	n := 0
	d, err := xmlsec.Parse(strings.NewReader(doc), xmlsec.Limits{}, func(e *xmlsec.Node) io.Writer {
		if e.Name.Local != "b" || n > 0 {
			return nil
		}
		n++
		if e.Parent == nil || e.Parent.Name.Local != "a" {
			t.Error("the node has no ancestors")
		}
		return xmlsec.NewBase64Writer(&got)
	})
	if err != nil || got.String() != "hello" || d.Root.Content() != "keepkeep" {
		t.Errorf("%q, %v", got.String(), err)
	}
	_, err = xmlsec.Parse(strings.NewReader("<b>a!</b>"), xmlsec.Limits{}, func(*xmlsec.Node) io.Writer { return xmlsec.NewBase64Writer(&got) })
	if !errors.Is(err, xmlsec.ErrBase64) {
		t.Errorf("bad base64: %v", err)
	}
}

func TestTextReader(t *testing.T) {
	s, err := xmlsec.NewScanner(strings.NewReader("<a><b>one<c>no</c><![CDATA[two]]></b><d/></a>"), xmlsec.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for {
		tok, err := s.Next()
		if err != nil {
			t.Fatal(err)
		}
		if tok.Kind == xmlsec.Element && tok.Name.Local == "b" {
			break
		}
	}
	got, err := io.ReadAll(s.TextReader())
	if err != nil || string(got) != "onetwo" {
		t.Errorf("%q, %v", got, err)
	}
	tok, err := s.Next()
	if err != nil || tok.Name.Local != "d" {
		t.Errorf("the scanner goes on after the element: %v", err)
	}
}

func TestBase64(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "aGVsbG8=": "hello", "aGVsbG8": "hello", " aGV s\r\nbG8 =\t": "hello", "aGVsbA==": "hell", "aGVsbA": "hell", "aGVs": "hel",
	} {
		got, err := io.ReadAll(iotest.OneByteReader(xmlsec.NewBase64Reader(iotest.OneByteReader(strings.NewReader(text)))))
		if err != nil || string(got) != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
		var b bytes.Buffer
		w := xmlsec.NewBase64Writer(&b)
		if _, err := io.WriteString(w, text); err != nil || w.Close() != nil || b.String() != want {
			t.Errorf("%q written: %q, %v", text, b.String(), err)
		}
	}
	for _, text := range []string{"a", "aGVsb", "=", "a=", "aGVs=", "aGVsbA===", "aG=Vs", "aGVsbA==aGVs", "aGVs-_", "aGVsą"} {
		if got, err := io.ReadAll(xmlsec.NewBase64Reader(strings.NewReader(text))); !errors.Is(err, xmlsec.ErrBase64) {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}
