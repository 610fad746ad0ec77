package main

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"strings"
	"time"

	"golang.org/x/text/encoding/charmap"
)

// sampleLetters are invented letters, one JSON object per line.
//
//go:embed samples/letters.jsonl
var sampleLetters []byte

// sample is one invented letter of the demo and the benchmark.
type sample struct {
	ID      string `json:"id"`
	Channel string `json:"channel"` // email, epuap, edelivery, scan
	From    struct {
		Name  string `json:"name"`
		Email string `json:"email"`
		Phone string `json:"phone"`
	} `json:"from"`
	Subject string `json:"subject"`
	Body    string `json:"body"`
	Label   string `json:"label"`
}

func samples() ([]sample, error) {
	var out []sample
	s := bufio.NewScanner(bytes.NewReader(sampleLetters))
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		var v sample
		if err := json.Unmarshal(s.Bytes(), &v); err != nil {
			return nil, fmt.Errorf("sample letters: %w", err)
		}
		out = append(out, v)
	}
	return out, s.Err()
}

// mail makes an RFC 5322 message of the letter. Odd ones are written in
// ISO-8859-2 without saying so, as old programs do.
func (s sample) mail(to string, at time.Time, undeclared bool) []byte {
	from := s.From.Email
	if from == "" {
		from = "mieszkaniec@poczta.example"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "Return-Path: <%s>\r\nReceived: from poczta.example by mx.demo.example; %s\r\n", from, at.Format(time.RFC1123Z))
	fmt.Fprintf(&b, "From: %s <%s>\r\nTo: <%s>\r\nSubject: %s\r\n", mime.QEncoding.Encode("utf-8", s.From.Name), from, to, mime.QEncoding.Encode("utf-8", s.Subject))
	fmt.Fprintf(&b, "Date: %s\r\nMessage-ID: <%s.%d@poczta.example>\r\n", at.Format(time.RFC1123Z), s.ID, at.UnixNano())
	if undeclared {
		text, err := charmap.ISO8859_2.NewEncoder().String(crlf(s.Body))
		if err == nil {
			b.WriteString("\r\n" + text + "\r\n")
			return b.Bytes()
		}
	}
	b.WriteString("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	w := quotedprintable.NewWriter(&b)
	_, _ = w.Write([]byte(crlf(s.Body))) // a buffer does not fail
	_ = w.Close()
	b.WriteString("\r\n")
	return b.Bytes()
}

func crlf(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n")
}

// epuap makes a "pismo ogólne" (CRD form 4566) of the letter.
func (s sample) epuap(at time.Time) []byte {
	var b bytes.Buffer
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n")
	b.WriteString(`<wnio:Dokument xmlns:wnio="http://crd.gov.pl/wzor/2017/10/24/4566/" xmlns:str="http://crd.gov.pl/xml/schematy/struktura/2009/11/16/"` +
		` xmlns:meta="http://crd.gov.pl/xml/schematy/meta/2009/11/16/" xmlns:oso="http://crd.gov.pl/xml/schematy/osoba/2009/11/16/">` + "\n")
	fmt.Fprintf(&b, "<wnio:DaneDokumentu><meta:Data typDaty=\"stworzony\"><meta:Czas>%s</meta:Czas></meta:Data>", at.Format(time.DateOnly))
	given, family, _ := strings.Cut(s.From.Name, " ")
	fmt.Fprintf(&b, "<str:Nadawcy><meta:Podmiot><oso:Osoba><oso:Imie>%s</oso:Imie><oso:Nazwisko>%s</oso:Nazwisko></oso:Osoba></meta:Podmiot></str:Nadawcy></wnio:DaneDokumentu>\n", esc(given), esc(family))
	fmt.Fprintf(&b, "<wnio:TrescDokumentu><wnio:Tytul>%s</wnio:Tytul><wnio:Informacje>", esc(s.Subject))
	for line := range strings.Lines(s.Body) {
		fmt.Fprintf(&b, "<wnio:Informacja>%s</wnio:Informacja>", esc(strings.TrimRight(line, "\n")))
	}
	b.WriteString("</wnio:Informacje></wnio:TrescDokumentu>\n</wnio:Dokument>\n")
	return b.Bytes()
}

func esc(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a buffer does not fail
	return b.String()
}

// polishGlyphs are the letters that Helvetica's standard encoding lacks, by
// code and glyph name: a PDF with text needs no embedded font for them.
var polishGlyphs = []struct {
	letter rune
	glyph  string
}{
	{'ą', "aogonek"}, {'ć', "cacute"}, {'ę', "eogonek"}, {'ł', "lslash"}, {'ń', "nacute"}, {'ó', "oacute"}, {'ś', "sacute"}, {'ź', "zacute"}, {'ż', "zdotaccent"},
	{'Ą', "Aogonek"}, {'Ć', "Cacute"}, {'Ę', "Eogonek"}, {'Ł', "Lslash"}, {'Ń', "Nacute"}, {'Ó', "Oacute"}, {'Ś', "Sacute"}, {'Ź', "Zacute"}, {'Ż', "Zdotaccent"},
	{'„', "quotedblbase"}, {'”', "quotedblright"}, {'–', "endash"}, {'—', "emdash"}, {'’', "quoteright"},
}

// pdf makes a searchable one-page PDF of the letter, as many scanners do.
func (s sample) pdf() []byte {
	var text bytes.Buffer
	text.WriteString("BT /F1 11 Tf 50 790 Td 14 TL\n")
	for _, line := range wrap(s.Body, 90) {
		fmt.Fprintf(&text, "(%s) Tj T*\n", pdfText(line))
	}
	text.WriteString("ET")
	diffs := "128"
	for _, g := range polishGlyphs {
		diffs += " /" + g.glyph
	}
	return pdfFile([]string{
		"<< /Type /Catalog /Pages 2 0 R >>",
		"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
		fmt.Sprintf("<< /Length %d >>\nstream\n%s\nendstream", text.Len(), text.String()),
		"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding << /Type /Encoding /BaseEncoding /WinAnsiEncoding /Differences [" + diffs + "] >> >>",
	})
}

func pdfFile(objects []string) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.4\n")
	offsets := make([]int, len(objects))
	for i, o := range objects {
		offsets[i] = b.Len()
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	start := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, o := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&b, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, start)
	return b.Bytes()
}

func pdfText(s string) string {
	var b strings.Builder
next:
	for _, r := range s {
		for i, g := range polishGlyphs {
			if g.letter == r {
				fmt.Fprintf(&b, "\\%03o", 128+i)
				continue next
			}
		}
		switch {
		case r == '(' || r == ')' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r >= 0x20 && r < 0x7f:
			b.WriteRune(r)
		default:
			b.WriteByte('?')
		}
	}
	return b.String()
}

func wrap(s string, width int) []string {
	var out []string
	for line := range strings.Lines(s) {
		cur := ""
		for _, w := range strings.Fields(line) {
			if len(cur)+len(w) > width {
				out, cur = append(out, cur), ""
			}
			cur = strings.TrimSpace(cur + " " + w)
		}
		out = append(out, cur)
	}
	return out
}
