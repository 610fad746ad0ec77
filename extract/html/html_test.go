package html

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestText(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"paragraphs":    {"<p>Dzień&nbsp;dobry,</p>\r\n<p>proszę o\r\n<b>po</b>moc.</p>", "Dzień dobry,\n\nproszę o pomoc."},
		"entities":      {"&lt;za&zdot;&oacute;&lstrok;&#263;&gt; &amp; &#x105;&bogus;", "<zażółć> & ą&bogus;"},
		"cells":         {"<table><tr><td>PESEL</td><td>nazwisko</td></tr><tr><td>1</td><td>Nowak</td></tr></table>koniec", "PESEL\tnazwisko\n1\tNowak\n\nkoniec"},
		"breaks":        {"a<br>b<br/><br>c<br><br><br><br>d</br>e", "a\nb\n\nc\n\nd\ne"},
		"list":          {"<ul><li>raz<li>dwa</ul>", "- raz\n- dwa"},
		"pre":           {"<pre>a\n  b\r\nc</pre>d", "a\n  b\nc\n\nd"},
		"script":        {"a<script>if(a<b)x('</p>')</script><style>p{}</style><noscript>n</noscript>b", "ab"},
		"head":          {"<html><head><title>tytuł</title><meta charset=utf-8></head><body>treść</body>", "treść"},
		"unclosed head": {"<head><style>x</style><p>treść</p>", "treść"},
		"text in head":  {"<head><meta charset=utf-8><title>t</title>\ntreść", "treść"},
		"comment":       {"a<!-- <p>b</p> -->c<![if !mso]>d<![endif]><!--[if mso]>e<![endif]-->f", "acdf"},
		"soft hyphen":   {"uzu\u00adpeł&shy;nie\u200bnie", "uzupełnienie"},
		"broken":        {"<p>a <b <i>b</p>< c <>", "a b\n\n< c <>"},
		"no html":       {"zwykły tekst\nw dwóch wierszach", "zwykły tekst w dwóch wierszach"},
		"nothing":       {"", ""},
	} {
		if got := Text(c.in); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestHidden(t *testing.T) {
	for _, hide := range []string{
		`<div style="color:red; DISPLAY : none">X<div>X</div>X</div>`, `<span style='visibility:hidden'>X</span>`,
		`<p style="font-size:0px!important">X`, `<span style="font-size: 0">X</span>`, `<div hidden>X</div>`,
		`<div style="mso-hide:all;">X<br>X</div>`, `<span style="opacity:0.0">X</span>`,
	} {
		r := Convert("<p>a "+hide+"<p>b", 100)
		if strings.Contains(r.Text, "X") || !r.Hidden || !strings.Contains(r.Text, "b") {
			t.Errorf("%s: got %q, hidden %v", hide, r.Text, r.Hidden)
		}
	}
	for _, show := range []string{
		`<span style="font-size:0.9em">X</span>`, `<span style="font-size:10px">X</span>`, `<span style="opacity:0.5;display:block">X</span>`,
		`<div hidden="until-found">X</div>`, `<img hidden>X`,
	} {
		if r := Convert(show, 100); r.Text != "X" || r.Hidden {
			t.Errorf("%s: got %q, hidden %v", show, r.Text, r.Hidden)
		}
	}
}

func TestHiddenByRule(t *testing.T) {
	const css = `<style><!-- @import "x"; /* .b{display:none} */ .k{display:none}, .c d { color:red }
		.h, td.i , #j { display : none !important } @media print { .m{display:none} .n{display:none} } .o:hover{display:none} --></style>`
	for element, want := range map[string]string{
		`<p class="x h">X</p>`: "", `<b class=i>X</b>`: "", `<div id="j">X</div>`: "", `<div class=j>X</div>`: "X", `<p class="hh">X</p>`: "X",
		`<p class=m>X</p>`: "X", `<p class=n>X</p>`: "X", `<p class=o>X</p>`: "X", `<p class=b>X</p>`: "X", `<p class=k>X</p>`: "",
	} {
		for _, doc := range []string{"<head>" + css + "</head><body>" + element, css + element} {
			if r := Convert(doc, 100); r.Text != want || r.Hidden != (want == "") {
				t.Errorf("%s: got %q, hidden %v", element, r.Text, r.Hidden)
			}
		}
	}
}

// TestDeep: depth costs nothing and loses nothing.
func TestDeep(t *testing.T) {
	const depth = 100_000
	got := Text(strings.Repeat("<div>", depth) + "treść" + strings.Repeat("</div>", depth))
	if got != "treść" {
		t.Fatalf("got %.40q", got)
	}
}

func TestLimit(t *testing.T) {
	r := Convert("<p>"+strings.Repeat("żółw ", 1000), 101)
	if !r.Cut || len(r.Text) > 101 || !utf8.ValidString(r.Text) || !strings.HasPrefix(r.Text, "żółw żółw") {
		t.Fatalf("got %d octets, cut %v", len(r.Text), r.Cut)
	}
}

func TestMetaCharset(t *testing.T) {
	for in, want := range map[string]string{
		`<meta http-equiv=Content-Type content="text/html; charset=iso-8859-2">`: "iso-8859-2",
		`<META CHARSET="Windows-1250" />`:                                        "windows-1250",
		`<meta name=x content=y><meta charset = utf-8>`:                          "utf-8",
		`<meta name="charset">`:                                                  "",
		`charset=utf-8`:                                                          "",
		``:                                                                       "",
	} {
		if got := MetaCharset([]byte(in)); got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
}

func FuzzConvert(f *testing.F) {
	f.Add("<p hidden>a<p>b<table><tr><td>c", 10)
	f.Add("<head><title>x", 100)
	f.Add("<style>.a{display:none}@media{ {</style><p class=a>x", 100)
	f.Add("<pre>\n\n\n\n<li></pre>&#0;&shy;", 5)
	f.Fuzz(func(t *testing.T, in string, limit int) {
		if limit < 0 || limit > 1<<20 || !utf8.ValidString(in) {
			return
		}
		r := Convert(in, limit)
		if len(r.Text) > limit || !utf8.ValidString(r.Text) {
			t.Fatalf("%d octets with limit %d", len(r.Text), limit)
		}
	})
}

func BenchmarkText(b *testing.B) {
	in := strings.Repeat(`<div class="x" style="color:red"><p>Proszę o <b>zasiłek</b>&nbsp;celowy</p></div>`, 10_000)
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		Text(in)
	}
}
