package mail

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"sekretariat"
)

func base64Of(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// crlfs writes a message with the line ends of the wire.
func crlfs(s string) string { return strings.ReplaceAll(strings.TrimPrefix(s, "\n"), "\n", "\r\n") }

// samples are messages with what goes wrong, by name.
var samples = map[string]string{
	"nothing":    "",
	"only blank": "\r\n\r\n",
	"no header":  "Zwykły tekst bez nagłówka.\nDrugi wiersz.\n",
	"plain":      crlfs("\nFrom: Jan Nowak <jan@poczta.example>\nTo: biuro@mops.example\nSubject: Pismo\nDate: Mon, 16 Nov 2020 09:12:44 +0100\nMessage-ID: <1@poczta.example>\n\nTreść.\n"),
	"mbox bom":   "\ufeffFrom jan Mon Nov 16\r\n\r\nFrom: jan@poczta.example\r\n\r\nx",
	"reopened": crlfs(`
From: a@b.example
Content-Type: multipart/mixed; boundary=x

--x

raz
--x--
--x
Content-Type: application/pdf; name="późno.pdf"

dwa
--x--
`),
	"same boundary": crlfs(`
From: a@b.example
Content-Type: multipart/mixed; boundary=x

--x
Content-Type: multipart/alternative; boundary=x

--x

raz
--x--
--x
Content-Type: application/octet-stream

dwa
--x--
`),
	"prefix boundary": crlfs(`
From: a@b.example
Content-Type: multipart/mixed; boundary=x

--x
Content-Type: multipart/mixed; boundary=x1

--x1

raz
--x11
--x-
--xy--
--x1--
--x
Content-Type: application/octet-stream

dwa
--x--
`),
	"no boundary": crlfs(`
From: a@b.example
Content-Type: multipart/mixed

To jest wiadomość.
--abc
Content-Type: text/plain; charset=utf-8

treść
--abc
Content-Type: application/octet-stream; name=a.bin

dane
--abc--
`),
	"false multipart": crlfs("\nFrom: a@b.example\nContent-Type: multipart/mixed; boundary=x\n\nPo prostu tekst.\n"),
	"cut off":         crlfs("\nFrom: a@b.example\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\nraz\n--x\nContent-Type: image/png; name=a.png\nContent-Transfer-Encoding: base64\n\niVBORw0KGgoAA"),
	"encoded message": crlfs("\nFrom: a@b.example\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\nzałączam\n--x\nContent-Type: message/rfc822; name=list.eml\nContent-Transfer-Encoding: base64\n\n") +
		b64([]byte(crlfs("\nFrom: Ewa <ewa@poczta.example>\nSubject: =?utf-8?Q?Wewn=C4=99trzny?=\nContent-Type: multipart/mixed; boundary=y\n\n--y\nContent-Transfer-Encoding: quoted-printable\nContent-Type: text/plain; charset=utf-8\n\nza=C5=BC\nbegin 644 plik.txt\n#86)C\n`\nend\n--y\nContent-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n")+
			b64([]byte("Subject: g\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC\r\n"))+"--y--\r\n")) + crlfs("--x--\n"),
	"uuencode":   "From: a@b.example\r\n\r\nprzed\r\nbegin 644 pismo.txt\r\n#86)C\r\n`\r\nend\r\npo\r\nbegin 644 urwany\r\n#86)C\r\nnie uu\r\nbegin 644 proza\r\n\r\n",
	"yenc":       "From: a@b.example\r\nContent-Type: text/plain; charset=iso-8859-2\r\n\r\nprzed\r\n=ybegin line=128 size=5 name=pi\xb6mo.bin\r\n\x8b\x8c=}=n\x29\r\n=yend size=5\r\npo\r\n=ybegin bez niczego\r\n",
	"deep param": "From: a@b.example\r\nContent-Type: text/plain;\r\nname=\"bez wcięcia.txt\"\r\nX: y\r\n\r\ntreść",
	"two from":   "From: a@b.example\nFrom: c@d.example\nSubject: raz\nSubject: dwa\nzly wiersz\n\nx",
	"signed": crlfs(`
From: a@b.example
Content-Type: multipart/signed; protocol="application/pkcs7-signature"; boundary=x

--x
Content-Type: text/plain

treść
--x
Content-Type: application/pkcs7-signature; name=smime.p7s
Content-Transfer-Encoding: base64

AAAA
--x--
`),
	"differ": crlfs(`
From: a@b.example
Content-Type: multipart/alternative; boundary=x

--x

Pismo w sprawie zasiłku celowego.
--x
Content-Type: text/html; charset=utf-8

<p>Wpłać natychmiast pieniądze podane rachunek bankowy</p><p hidden>ukryte</p>
--x--
`),
	"flowed": crlfs("\nFrom: a@b.example\nContent-Type: text/plain; format=flowed; delsp=yes; charset=utf-8\n\nsło \nwo\n> cyta \n> t\n>> inny\n-- \npodpis\n"),
}

func part(t *testing.T, r sekretariat.Reading, path string) sekretariat.Part {
	t.Helper()
	for _, p := range r.Parts {
		if p.Path == path {
			return p
		}
	}
	t.Fatalf("no part %s in %+v", path, r.Parts)
	return sekretariat.Part{}
}

func content(t *testing.T, body octets, p sekretariat.Part) string {
	t.Helper()
	b, err := io.ReadAll(OpenPart(body, p))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestStructure looks at what the samples are read as.
func TestStructure(t *testing.T) {
	type wants struct {
		text     string
		parts    map[string]string // path → decoded content
		findings []string
		outcome  sekretariat.Outcome
	}
	for name, w := range map[string]wants{
		"nothing":         {findings: []string{FindingEmpty, FindingFromMissing}, outcome: sekretariat.ReadUnreadable},
		"only blank":      {findings: []string{FindingEmpty}, outcome: sekretariat.ReadUnreadable},
		"no header":       {text: "Zwykły tekst bez nagłówka.\nDrugi wiersz.", findings: []string{FindingNoHeader}, outcome: sekretariat.ReadPartial},
		"plain":           {text: "Treść.", parts: map[string]string{"1": "Treść.\r\n"}, outcome: sekretariat.ReadOK},
		"mbox bom":        {text: "x", outcome: sekretariat.ReadOK},
		"reopened":        {text: "raz", parts: map[string]string{"1": "raz", "2": "dwa"}, findings: []string{FindingPartAfterEnd}, outcome: sekretariat.ReadOK},
		"same boundary":   {text: "raz", parts: map[string]string{"1.1": "raz", "2": "dwa"}, outcome: sekretariat.ReadOK},
		"prefix boundary": {text: "raz\n--x11\n--x-\n--xy--", parts: map[string]string{"1.1": "raz\r\n--x11\r\n--x-\r\n--xy--", "2": "dwa"}, outcome: sekretariat.ReadOK},
		"no boundary":     {text: "treść", parts: map[string]string{"1": "treść", "2": "dane"}, findings: []string{FindingBoundaryGuessed}, outcome: sekretariat.ReadOK},
		"false multipart": {text: "Po prostu tekst.", parts: map[string]string{"1": "Po prostu tekst.\r\n"}, findings: []string{FindingBoundaryMissing}, outcome: sekretariat.ReadPartial},
		"cut off":         {text: "raz", parts: map[string]string{"2": "\x89PNG\r\n\x1a\n\x00"}, findings: []string{FindingBoundaryUnclosed, FindingBase64Truncated}, outcome: sekretariat.ReadPartial},
		"encoded message": {text: "załączam", parts: map[string]string{"2.1.1": "abc", "2.2.1": "\x00\x01\x02", "2.1": "zaż\r\nbegin 644 plik.txt\r\n#86)C\r\n`\r\nend"}, outcome: sekretariat.ReadOK},
		"uuencode":        {text: "przed\npo\nnie uu\nbegin 644 proza", parts: map[string]string{"1.1": "abc", "1.2": "abc"}, findings: []string{FindingUUBroken}, outcome: sekretariat.ReadPartial},
		"yenc":            {text: "przed\npo\n=ybegin bez niczego", parts: map[string]string{"1.1": "ab\x13\x04\xff"}, outcome: sekretariat.ReadOK},
		"deep param":      {text: "treść", outcome: sekretariat.ReadOK},
		"two from":        {text: "x", findings: []string{FindingFromRepeated, FindingSubjectRepeat, FindingHeaderLine}, outcome: sekretariat.ReadOK},
		"signed":          {text: "treść", parts: map[string]string{"1": "treść"}, outcome: sekretariat.ReadOK},
		"differ": {text: "Pismo w sprawie zasiłku celowego.\n\nWpłać natychmiast pieniądze podane rachunek bankowy",
			findings: []string{FindingAlternativesDiff, FindingHTMLHidden}, outcome: sekretariat.ReadOK},
		"flowed": {text: "słowo\n> cytat\n>> inny\n-- \npodpis", outcome: sekretariat.ReadOK},
	} {
		body := octets(samples[name])
		r, _ := mustRead(t, body)
		if r.Text != w.text {
			t.Errorf("%s: text %q, want %q", name, r.Text, w.text)
		}
		for path, want := range w.parts {
			if got := content(t, body, part(t, r, path)); got != want {
				t.Errorf("%s: part %s is %q, want %q", name, path, got, want)
			}
		}
		for _, code := range w.findings {
			if !has(r, code) {
				t.Errorf("%s: no finding %s in %v", name, code, r.Findings)
			}
		}
		if r.Outcome != w.outcome {
			t.Errorf("%s: outcome %s, want %s (%v)", name, r.Outcome, w.outcome, r.Findings)
		}
	}
}

func TestEncodedMessageDetails(t *testing.T) {
	r, _ := mustRead(t, octets(samples["encoded message"]))
	outer := part(t, r, "2")
	if outer.Fate != "opened" || !outer.Attachment || outer.Text != "Od: Ewa ewa@poczta.example\nTemat: Wewnętrzny" || outer.Name != "list.eml" {
		t.Errorf("message part: %+v", outer)
	}
	if p := part(t, r, "2.1"); p.Fate != "read" || p.Text != "zaż" {
		t.Errorf("text inside: %+v", p)
	}
	if p := part(t, r, "2.2"); p.SafeName != "g.eml" {
		t.Errorf("name of a message without a name: %q", p.SafeName)
	}
	signed, _ := mustRead(t, octets(samples["signed"]))
	if len(signed.Signatures) != 1 || signed.Signatures[0].Type != "smime" || signed.Signatures[0].Verdict != sekretariat.VerdictUnchecked {
		t.Errorf("signatures %+v", signed.Signatures)
	}
	if p := part(t, signed, "2"); p.Attachment {
		t.Error("the signature passes for an attachment")
	}
}

// big is a message whose one attachment is made as it is read.
type big struct {
	head, foot string
	line       string
	lines      int64
}

func (b big) Size() int64 {
	return int64(len(b.head)) + b.lines*int64(len(b.line)) + int64(len(b.foot))
}

func (b big) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) && off < b.Size() {
		var src string
		at := off
		switch body := off - int64(len(b.head)); {
		case body < 0:
			src = b.head
		case body < b.lines*int64(len(b.line)):
			src, at = b.line, body%int64(len(b.line))
		default:
			src, at = b.foot, body-b.lines*int64(len(b.line))
		}
		c := copy(p[n:], src[at:])
		n += c
		off += int64(c)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// TestMemory: a mail of 40 MB is read with a few megabytes in all.
func TestMemory(t *testing.T) {
	line := base64Of(bytes.Repeat([]byte("x"), 57)) + "\r\n"
	for name, b := range map[string]big{
		"attachment": {
			head: crlfs("\nFrom: a@b.example\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\ntreść\n--x\nContent-Type: application/pdf; name=a.pdf\nContent-Transfer-Encoding: base64\n\n"),
			foot: "--x--\r\n", line: line, lines: 40 << 20 / int64(len(line)),
		},
		"text":        {head: "From: a@b.example\r\n\r\n", line: "wiersz tekstu\r\n", lines: 1 << 19},
		"header":      {head: "From: a@b.example\r\n", line: "X-Field: value\r\n", lines: 1 << 19},
		"no line end": {head: "From: a@b.example\r\n\r\n", line: "xxxxxxxxxxxxxxxx", lines: 1 << 19},
		"long field":  {head: "From: a@b.example\r\nX: ", line: "xxxxxxxxxxxxxxxx", lines: 1 << 19},
		"message in a message": {
			head: crlfs("\nFrom: a@b.example\nContent-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n") +
				base64Of([]byte("Content-Type: application/octet-stream\r\n\r\n.")) + "\r\n", line: line, lines: 1 << 19,
		},
	} {
		if testing.Short() {
			b.lines /= 16
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r, err := Read(context.Background(), b, Options{})
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Fatal(err)
		}
		used := after.TotalAlloc - before.TotalAlloc
		t.Logf("%s: %d MB, %d parts, %d kB allocated in all", name, b.Size()>>20, len(r.Parts), used>>10)
		if used > 16<<20 {
			t.Errorf("%s: %d kB allocated for %d MB", name, used>>10, b.Size()>>20)
		}
	}
}

// lying is a Body whose size is wrong or that fails.
type lying struct {
	octets
	size int64
	err  error
}

func (l lying) Size() int64 { return l.size }
func (l lying) ReadAt(p []byte, off int64) (int, error) {
	if l.err != nil {
		return 0, l.err
	}
	return l.octets.ReadAt(p, off)
}

func TestErrors(t *testing.T) {
	body := octets("From: a@b.example\r\n\r\ntreść")
	if _, err := Read(context.Background(), lying{octets: body, size: body.Size() + 1}, Options{}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("body shorter than it says: %v", err)
	}
	broken := errors.New("disk is gone")
	if _, err := Read(context.Background(), lying{octets: body, size: body.Size(), err: broken}, Options{}); !errors.Is(err, broken) {
		t.Errorf("body that fails: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Read(ctx, body, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestOptions(t *testing.T) {
	r, err := Read(context.Background(), octets(bombs[4].make(20)), Options{MaxParts: 5, MaxText: 3})
	if err != nil || len(r.Parts) != 5 || len(r.Text) > 3 || !has(r, FindingTextCut) {
		t.Fatalf("%d parts, text %q, %v", len(r.Parts), r.Text, err)
	}
}

func BenchmarkRead(b *testing.B) {
	line := base64Of(bytes.Repeat([]byte("x"), 57)) + "\r\n"
	m := octets(crlfs("\nFrom: a@b.example\nContent-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: text/html; charset=iso-8859-2\nContent-Transfer-Encoding: quoted-printable\n\n") +
		strings.Repeat("<p>Prosz=EA o zasi=B3ek</p>\r\n", 200) +
		crlfs("--x\nContent-Type: application/pdf; name=a.pdf\nContent-Transfer-Encoding: base64\n\n") + strings.Repeat(line, 10_000) + "--x--\r\n")
	b.SetBytes(m.Size())
	for b.Loop() {
		if _, err := Read(context.Background(), m, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCorpus reads all of the open set.
func BenchmarkCorpus(b *testing.B) {
	var all []octets
	size := int64(0)
	for file := range corpus(b) {
		m := load(b, file)
		all = append(all, m)
		size += m.Size()
	}
	b.SetBytes(size)
	for b.Loop() {
		for _, m := range all {
			if _, err := Read(context.Background(), m, Options{}); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// TestInvitation: a calendar is read, and speaks for a letter that says
// nothing else.
func TestInvitation(t *testing.T) {
	event := "BEGIN:VCALENDAR\nMETHOD:REQUEST\nBEGIN:VEVENT\nSUMMARY:Posiedzenie zespołu\nDTSTART:20260504T080000Z\nORGANIZER;CN=Sąd:mailto:sad@sad.example\nEND:VEVENT\nEND:VCALENDAR\n"
	want := "Zaproszenie: Posiedzenie zespołu\nTermin: 2026-05-04 10:00\nOrganizator: Sąd sad@sad.example"
	for text, said := range map[string]string{"Zapraszamy.": "Zapraszamy.", "": want} {
		r, _ := mustRead(t, octets(crlfs("\nFrom: a@b.example\nContent-Type: multipart/alternative; boundary=x\n\n--x\nContent-Type: text/plain; charset=utf-8\n\n"+text+
			"\n--x\nContent-Type: text/calendar; method=REQUEST; charset=utf-8\n\n"+event+"--x--\n")))
		if p := part(t, r, "2"); p.Text != want || p.Fate != "read" || p.Attachment || !has(r, FindingCalendar) {
			t.Errorf("%+v", p)
		}
		if r.Text != said || r.Outcome != sekretariat.ReadOK {
			t.Errorf("text %q, want %q", r.Text, said)
		}
	}
}
