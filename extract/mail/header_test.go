package mail

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestWords(t *testing.T) {
	for in, want := range map[string]string{
		"zwykły": "zwykły",
		"=?utf-8?Q?za=C5=BC?= =?UTF-8?B?w7PFgsSH?=": "zażółć",
		"=?utf-8?B?xYE=?= =?utf-8?B?w7M=?=":         "Łó",
		"=?utf-8?Q?=C5?= =?utf-8?Q?=82a?=":          "ła", // a letter split between words
		"=?utf-8?Q?=C5?=\r\n =?UTF-8?B?gmE=?=":      "ła", // and between encodings
		"=?iso-8859-2?Q?=B3?= =?utf-8?Q?=C5=82?=":   "łł", // two charsets
		"a =?utf-8?Q?b?= c":                         "a b c",
		"a=?utf-8?Q?b?=c":                           "abc",
		"=?utf-8*pl?Q?b_c?=":                        "b c",
		"=?utf-8?Q?bez końca":                       "=?utf-8?Q?bez końca",
		"=?utf-8?X?b?=":                             "=?utf-8?X?b?=",
		"=?utf-8?Q?a?b?= c":                         "a?b c",
		"=?utf-8?Q?a b=ZZ?=":                        "a b=ZZ",
		"=?utf-8?B?xYI?=":                           "ł", // padding forgotten
		"=?nieznane?Q?=B3?=":                        "ł",
		"pro\xb6ba":                                 "prośba",
		"pro\x9cba":                                 "prośba",
		"=?=?utf-8?Q?a?=":                           "=?a",
		"=?":                                        "=?",
	} {
		if got := headerText([]byte(in)); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestParams(t *testing.T) {
	for in, want := range map[string]string{
		`attachment; filename="pismo.pdf"`:                            "pismo.pdf",
		`attachment; filename=pismo o zasiłek (1).pdf`:                "pismo o zasiłek (1).pdf",
		`attachment; filename*=UTF-8''za%C5%BC.pdf; filename=zaz.pdf`: "zaż.pdf",
		`attachment; filename*=iso-8859-2'pl'za%BF.pdf`:               "zaż.pdf",
		`attachment; filename*1*=%82.pdf; filename*0*=utf-8''a%C5`:    "ał.pdf",
		`attachment; filename*0="dwa"; filename*1=" kawałki.pdf"`:     "dwa kawałki.pdf",
		`attachment; filename="=?utf-8?B?xYI=?= =?utf-8?Q?.pdf?="`:    "ł.pdf",
		"attachment; filename=\"za\xbf\xf3\xb3\xe6.pdf\"":             "zażółć.pdf",
		"attachment; filename=\"z\u0307.pdf\"":                        "ż.pdf", // NFC
		`attachment; filename="C:\skany\pismo.pdf"`:                   `C:\skany\pismo.pdf`,
		`attachment; filename="a\"b.pdf"`:                             `a"b.pdf`,
		`attachment; filename="bez końca.pdf`:                         "bez końca.pdf",
		`attachment filename=a.pdf`:                                   "a.pdf",
		`attachment; (komentarz; filename=x) filename=a.pdf;;`:        "a.pdf",
		`attachment; filename=a.pdf; filename=b.pdf`:                  "a.pdf",
		`attachment`:    "",
		`; filename=""`: "",
		`attachment; filename*=bez%20zestawu.pdf`:                                                   "bez zestawu.pdf",
		`attachment; filename*x*=a; filename*99999999999999999999=b; filename=c.pdf; =; filename*=`: "c.pdf",
	} {
		_, p := parseParams([]byte(in))
		if got := p.text("filename"); got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"text/html; charset=utf-8": "text/html", "TEXT/Plain": "text/plain", `"text/plain"; x=y`: "text/plain", "": "text/plain", "text": "text/plain",
		"multipart/mixed boundary=x": "multipart/mixed", "pdf": "application/octet-stream", "a/b/c": "application/octet-stream", "charset=utf-8": "text/plain",
	} {
		value, _ := parseParams([]byte(in))
		if got := mediaType(value, false); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestAddresses(t *testing.T) {
	for in, want := range map[string]string{
		"jan@x.example":             "|jan@x.example",
		"Jan Nowak <jan@x.example>": "Jan Nowak|jan@x.example",
		`"Nowak, Jan" <jan@x.example>, Ewa <ewa@x.example>`:  "Nowak, Jan|jan@x.example; Ewa|ewa@x.example",
		"Nowak, Jan <jan@x.example>":                         "Nowak, Jan|jan@x.example",
		"jan@x.example (Jan Nowak)":                          "Jan Nowak|jan@x.example",
		`"=?utf-8?Q?=C5=81ukasz?=" <l@x.example>`:            "Łukasz|l@x.example",
		"=?utf-8?Q?Nowak, Jan?= <jan@x.example>":             "Nowak, Jan|jan@x.example",
		"=?utf-8?Q?Jan_<jan@x.example>?=":                    "Jan|jan@x.example",
		"\xa3ukasz \xaf\xf3\xb3\xe6 <l@x.example>":           "Łukasz Żółć|l@x.example",
		"Grupa: a@x.example, b@x.example;, c@x.example":      "|a@x.example; |b@x.example; |c@x.example",
		"undisclosed-recipients:;":                           "",
		"<@a,@b:jan@x.example>":                              "|jan@x.example",
		"Jan <<jan@x.example>>":                              "Jan|jan@x.example",
		"Jan <jan@x.example":                                 "Jan|jan@x.example",
		"Zaneta Sliwinska zaneta@poczta.example <":           "Zaneta Sliwinska|zaneta@poczta.example",
		"jan@x.example <jan@x.example>":                      "jan@x.example|jan@x.example",
		`"jan@y.example" <jan@x.example>`:                    "jan@y.example|jan@x.example",
		"MAILER-DAEMON":                                      "|MAILER-DAEMON",
		"Jan Nowak":                                          "Jan Nowak|",
		"'Jan' <jan@x.example>":                              "Jan|jan@x.example",
		"<mailto:jan@x.example>":                             "|jan@x.example",
		"Jan (szef) <jan@x.example>; Ewa <ewa@x.example>":    "Jan (szef)|jan@x.example; Ewa|ewa@x.example",
		"Jan (bez końca <jan@x.example>":                     "Jan (bez końca|jan@x.example",
		`"bez końca <jan@x.example>`:                         "bez końca|jan@x.example",
		"=?utf-8?B?amFuQHguZXhhbXBsZSwgZXdhQHguZXhhbXBsZQ?=": "ewa@x.example|jan@x.example", // one mailbox, whatever the word says
		"": "", ",;,": "",
	} {
		list, _, _ := addresses([]byte(in), 10)
		var got []string
		for _, p := range list {
			got = append(got, p.Name+"|"+p.Email)
			if p.Basis != "header" {
				t.Errorf("%q: basis %q", in, p.Basis)
			}
		}
		if s := strings.Join(got, "; "); s != want {
			t.Errorf("%q: got %q, want %q", in, s, want)
		}
	}
	if list, _, cut := addresses([]byte("a@x.example, b@x.example, c@x.example"), 2); len(list) != 2 || !cut {
		t.Errorf("limit: %v, cut %v", list, cut)
	}
}

func TestDates(t *testing.T) {
	const want = "2020-11-16T08:12:44Z"
	for _, in := range []string{
		"Mon, 16 Nov 2020 09:12:44 +0100", "Mon, 16 Nov 2020 09:12:44 +0100 (CET)", "16 Nov 2020 09:12:44 +01:00", "Mon, 16 Nov 20 9:12:44 CET",
		"pon., 16 lis 2020 09:12:44 +0100", "16 listopada 2020 09:12:44 +0100", "2020-11-16T08:12:44Z", "2020-11-16 09:12:44 +0100",
		"Mon Nov 16 08:12:44 2020", "Mon, 16-Nov-2020 08:12:44 GMT", "16.11.2020 08:12:44", "Nov 16, 2020 8:12:44 AM", "16 Nov 120 08:12:44 UT",
		"Mon, 16 Nov 2020 03:12:44 EST", "Mon, 16 Nov 2020 (komentarz) 09:12:44 +0100", "2020-11-16T09:12:44.123+01:00", "Mon, 16 Nov 2020 09:12:44 +0100 x y 7",
	} {
		got, ok := parseDate([]byte(in))
		if !ok || got.UTC().Format(time.RFC3339) != want {
			t.Errorf("%q: got %v, %v", in, got, ok)
		}
	}
	for in, want := range map[string]string{
		"16 Nov 2020 09:12 +0100": "2020-11-16T08:12:00Z", "16 Nov 2020": "2020-11-16T00:00:00Z", "Nov 16, 2020 12:30:00 AM": "2020-11-16T00:30:00Z",
		"16 paź 2020 12:00:00 PM +0000": "2020-10-16T12:00:00Z", "1 sty 70 0:0:0 +0000": "1970-01-01T00:00:00Z",
	} {
		if got, ok := parseDate([]byte(in)); !ok || got.UTC().Format(time.RFC3339) != want {
			t.Errorf("%q: got %v, %v", in, got, ok)
		}
	}
	for _, in := range []string{"", "wczoraj", "31 Feb 2020 09:12:44 +0100", "16 Nov 2020 25:12:44", "16 xyz 2020", "9+01:00", ":", "-", "1-", "1.2.", "(", "Mon, 16 Nov 99999 1:1:1"} {
		if got, ok := parseDate([]byte(in)); ok {
			t.Errorf("%q: got %v", in, got)
		}
	}
}

func TestSafeName(t *testing.T) {
	for _, c := range []struct{ name, typ, want string }{
		{"wniosek.pdf", "application/pdf", "wniosek.pdf"},
		{"../../../../etc/cron.d/wniosek.pdf", "application/pdf", "wniosek.pdf"},
		{`..\..\windows\wniosek.pdf`, "application/pdf", "wniosek.pdf"},
		{"..%2f..%2fwniosek.pdf", "application/pdf", "2f.._2fwniosek.pdf"},
		{"wniosek\u202efdp.exe", "application/pdf", "wniosekfdp.exe.pdf"},
		{"CON.pdf", "application/pdf", "_CON.pdf"}, {"nul", "text/plain", "_nul.txt"}, {"com1.tar.gz", "application/gzip", "_com1.tar.gz"},
		{"", "application/pdf", "zalacznik-1.2.pdf"}, {"", "message/rfc822", "wiadomosc-1.2.eml"}, {"...", "image/png", "zalacznik-1.2.png"},
		{"skan.jpg", "application/pdf", "skan.jpg.pdf"}, {"skan.JPEG", "image/jpeg", "skan.JPEG"},
		{"a\x00b\nc\td.txt", "text/plain", "ab c d.txt"}, {"z\u0307.pdf", "application/pdf", "ż.pdf"}, {" .ukryty", "text/plain", "ukryty.txt"},
		{"a/", "text/plain", "a.txt"}, {"Zażółć gęślą.docx", "application/zip", "Zażółć gęślą.docx"}, {"x:y|z?.txt", "text/plain", "x_y_z_.txt"},
		{strings.Repeat("ż", 404) + ".pdf", "application/pdf", strings.Repeat("ż", 58) + ".pdf"},
	} {
		if got := safeName(c.name, c.typ, "1.2"); got != c.want {
			t.Errorf("%q as %s: got %q, want %q", c.name, c.typ, got, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.OneOf(rapid.String(), rapid.StringOf(rapid.SampledFrom([]rune("./\\ con:\u202e\x00ż-_nul~1")))).Draw(t, "name")
		typ := rapid.SampledFrom([]string{"application/pdf", "text/plain", "application/octet-stream", "message/rfc822"}).Draw(t, "type")
		got := safeName(name, typ, "1")
		checkSafe(t, got)
		if again := safeName(got, typ, "1"); again != got {
			t.Fatalf("%q is made safe again: %q", got, again)
		}
	})
}

func FuzzHeader(f *testing.F) {
	for _, s := range []string{"=?utf-8?Q?a?= <a@b>", `a; b="c"; d*0*=e`, "Mon, 16 Nov 2020 09:12:44 +0100", `"(<,:;`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if s := headerText(b); !utf8.ValidString(s) || strings.ContainsAny(s, "\r\n\x00") {
			t.Fatalf("text %q", s)
		}
		list, _, _ := addresses(b, 10)
		for _, p := range list {
			if !utf8.ValidString(p.Name+p.Email) || strings.ContainsAny(p.Name+p.Email, "\r\n\x00") || len(p.Email) > maxEmail || len(list) > 10 {
				t.Fatalf("party %+v", p)
			}
		}
		_, params := parseParams(b)
		for name := range params.plain {
			if v := params.text(name); !utf8.ValidString(v) || len(v) > maxName {
				t.Fatalf("parameter %q: %q", name, v)
			}
		}
		if at, ok := parseDate(b); ok && (at.Year() < 1899 || at.Year() > 2200) {
			t.Fatalf("date %v", at)
		}
		messageIDs(b, 5)
	})
}
