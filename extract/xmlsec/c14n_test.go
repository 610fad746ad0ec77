package xmlsec_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sekretariat/extract/xmlsec"
)

// tricky are documents whose canonical form is easy to get wrong.
var tricky = map[string]string{
	"literal and written white space": "<a b=' x\ty\nz&#9;&#10;&#13;&#32; '>p\tq\r\nr&#13;s\rt</a>",
	"cdata":                           "<a><![CDATA[<&>]]]]><![CDATA[>]]>\r\n<![CDATA[]]></a>",
	"instructions and comments":       "<?xml version='1.0'?>\n<!-- c --><?p q r?>\n<a><?t?><!--in--></a>\n<?last x ?><!--end-->\n",
	"namespaces undeclared":           `<a xmlns="urn:x"><b xmlns=""><c xmlns="urn:x"/></b><d xmlns="urn:x"/></a>`,
	"superfluous declarations":        `<p:a xmlns:p="urn:p" xmlns:q="urn:q"><p:b xmlns:p="urn:p" q:c="1" d="2"/></p:a>`,
	"prefix redefined":                `<p:a xmlns:p="urn:1"><p:a xmlns:p="urn:2"><p:a xmlns:p="urn:1"/></p:a></p:a>`,
	"attributes sorted by namespace":  `<a xmlns:b="urn:z" xmlns:c="urn:a" b:x="1" c:x="2" x="3" aa="4" xml:lang="pl"/>`,
	"default in and out":              `<a xmlns="urn:x" xmlns:p="urn:p"><p:b><c/></p:b></a>`,
	"polish":                          "<ż ą='ę'>Zażółć gęślą jaźń 😀</ż>",
	"quotes":                          `<a b='"' c="'" d="&lt;&gt;&amp;&quot;">"'&gt;</a>`,
	"xml attributes":                  `<a xml:space="preserve" xml:id="i" xml:base="http://x/"><b xml:lang="pl"/></a>`,
	"end tag with space":              "<a ><b\n/ ></a >",
}

func TestCanonicalTricky(t *testing.T) {
	need(t, "xmllint", "libxml2-utils")
	for name, doc := range tricky {
		for _, a := range algorithms {
			same(t, name, []byte(doc), a.ours, a.flag)
		}
	}
}

// same checks that we and xmllint agree: on the canonical form, or that there
// is none.
func same(t testing.TB, name string, doc []byte, ours, flag string) {
	t.Helper()
	if difference := compare(t, doc, ours, flag); difference != "" {
		t.Errorf("%s: %s", name, difference)
	}
}

func compare(t testing.TB, doc []byte, ours, flag string) string {
	got, err := canonical(t, doc, ours)
	want, lintErr := xmllint(t, doc, flag)
	switch {
	case err != nil && lintErr != nil:
	case lintErr != nil && strings.Contains(lintErr.Error(), "is not a valid URI"):
		// We compare namespace names as strings and do not judge them.
	case err != nil:
		return fmt.Sprintf("%s: we refuse (%v), xmllint accepts: %q", flag, err, doc)
	case lintErr != nil:
		return fmt.Sprintf("%s: we accept, xmllint refuses: %q", flag, doc)
	case !bytes.Equal(got, want):
		return fmt.Sprintf("%s:\n got %q\nwant %q", flag, got, want)
	}
	return ""
}

func TestCanonicalSamples(t *testing.T) {
	need(t, "xmllint", "libxml2-utils")
	files, err := filepath.Glob(filepath.Join(samples(t), "*.xml"))
	if err != nil || len(files) < 30 {
		t.Fatalf("samples: %d, %v", len(files), err)
	}
	for _, f := range files {
		if strings.HasPrefix(filepath.Base(f), "zle-") {
			continue
		}
		doc, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range algorithms {
			same(t, filepath.Base(f), doc, a.ours, a.flag)
		}
	}
}

// element draws a random element that is well-formed with namespaces.
// Namespace names have no "&": libxml2 2.9 forgets to escape it.
func element(t *rapid.T, depth int, scope map[string]bool) string {
	in := map[string]bool{}
	for p := range scope {
		in[p] = true
	}
	var decl strings.Builder
	for _, p := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"", "a", "b", "c"}), 0, 3, rapid.ID[string]).Draw(t, "declared") {
		uri := rapid.SampledFrom([]string{"urn:1", "urn:2", "http://x/z?a=1"}).Draw(t, "uri")
		if p == "" {
			uri = rapid.SampledFrom([]string{"", uri}).Draw(t, "default")
			fmt.Fprintf(&decl, " xmlns='%s'", uri)
			continue
		}
		in[p] = true
		fmt.Fprintf(&decl, " xmlns:%s='%s'", p, uri)
	}
	prefixes := []string{""}
	for _, p := range []string{"a", "b", "c"} {
		if in[p] {
			prefixes = append(prefixes, p)
		}
	}
	name := func(label string) string {
		p := rapid.SampledFrom(prefixes).Draw(t, label)
		l := rapid.SampledFrom([]string{"x", "y", "ż", "z.1"}).Draw(t, label)
		if p == "" {
			return l
		}
		return p + ":" + l
	}
	n := name("element")
	var attrs strings.Builder
	// Each local name once, so that no two attributes can be the same one.
	for i, local := range []string{"k", "l", "m"}[:rapid.IntRange(0, 3).Draw(t, "attributes")] {
		p := rapid.SampledFrom(prefixes).Draw(t, "attribute")
		if i == 2 {
			p = "xml"
			local = "lang"
		}
		if p != "" {
			p += ":"
		}
		fmt.Fprintf(&attrs, " %s%s=\"%s\"", p, local, pieces(t, `<"`))
	}
	if depth == 0 || rapid.Bool().Draw(t, "empty") {
		return "<" + n + decl.String() + attrs.String() + "/>"
	}
	var b strings.Builder
	for range rapid.IntRange(0, 4).Draw(t, "children") {
		switch rapid.IntRange(0, 4).Draw(t, "kind") {
		case 0:
			b.WriteString(element(t, depth-1, in))
		case 1:
			b.WriteString(pieces(t, "<"))
		case 2:
			b.WriteString("<!-- - " + rapid.SampledFrom([]string{"", "\r\n", "&amp;", "ą"}).Draw(t, "comment") + " -->")
		case 3:
			b.WriteString("<?t " + rapid.SampledFrom([]string{"", " x", "\r\n y ", "<&"}).Draw(t, "instruction") + "?>")
		case 4:
			b.WriteString("<![CDATA[" + rapid.SampledFrom([]string{"", "<&>", "\r", "]]", "ą"}).Draw(t, "cdata") + "]]>")
		}
	}
	return "<" + n + attrs.String() + decl.String() + ">" + b.String() + "</" + n + ">"
}

// pieces draws character data without the characters in not.
func pieces(t *rapid.T, not string) string {
	all := []string{"x", " ", "\t", "\n", "\r\n", "\r", "&#9;", "&#10;", "&#xD;", "&amp;", "&lt;", "&gt;", "&quot;", "&apos;", "'", `"`, ">", "ą", "😀", "]]"}
	var ok []string
	for _, p := range all {
		if !strings.ContainsAny(p, not) {
			ok = append(ok, p)
		}
	}
	return strings.ReplaceAll(strings.Join(rapid.SliceOfN(rapid.SampledFrom(ok), 0, 6).Draw(t, "text"), ""), "]]>", "]] >")
}

// TestCanonicalRandom compares random documents with xmllint.
func TestCanonicalRandom(t *testing.T) {
	need(t, "xmllint", "libxml2-utils")
	rapid.Check(t, func(rt *rapid.T) {
		doc := element(rt, 4, nil)
		if rapid.Bool().Draw(rt, "prolog") {
			doc = "<?xml version=\"1.0\"?>\r\n<?p  a ?><!--x-->" + doc + "\n<!--y--> <?q?>"
		}
		a := rapid.SampledFrom(algorithms).Draw(rt, "algorithm")
		if difference := compare(t, []byte(doc), a.ours, a.flag); difference != "" {
			rt.Fatal(difference)
		}
	})
}

// TestCanonicalStable: the canonical form of a canonical form is itself.
func TestCanonicalStable(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		doc := element(rt, 4, nil)
		for _, a := range algorithms {
			once, err := canonical(t, []byte(doc), a.ours)
			if err != nil {
				rt.Fatalf("%q: %v", doc, err)
			}
			twice, err := canonical(t, once, a.ours)
			if err != nil || !bytes.Equal(once, twice) {
				rt.Fatalf("%q: %q, then %q, %v", doc, once, twice, err)
			}
		}
	})
}

// TestCanonicalSubtree checks what a subtree takes along from its ancestors.
func TestCanonicalSubtree(t *testing.T) {
	const doc = `<a xmlns="urn:d" xmlns:p="urn:p" xmlns:q="urn:q" xml:lang="pl" xml:id="i" xml:space="default"><p:b xml:space="preserve" c="1"><d/></p:b></a>`
	for _, c := range []struct {
		m    xmlsec.Method
		want string
	}{
		{xmlsec.Method{Algorithm: xmlsec.C14N10}, `<p:b xmlns="urn:d" xmlns:p="urn:p" xmlns:q="urn:q" c="1" xml:id="i" xml:lang="pl" xml:space="preserve"><d></d></p:b>`},
		{xmlsec.Method{Algorithm: xmlsec.C14N11}, `<p:b xmlns="urn:d" xmlns:p="urn:p" xmlns:q="urn:q" c="1" xml:lang="pl" xml:space="preserve"><d></d></p:b>`},
		{xmlsec.Method{Algorithm: xmlsec.ExcC14N}, `<p:b xmlns:p="urn:p" c="1" xml:space="preserve"><d xmlns="urn:d"></d></p:b>`},
		{xmlsec.Method{Algorithm: xmlsec.ExcC14N, Prefixes: []string{"q", "#default", "none"}}, `<p:b xmlns="urn:d" xmlns:p="urn:p" xmlns:q="urn:q" c="1" xml:space="preserve"><d></d></p:b>`},
	} {
		d, err := xmlsec.Parse(strings.NewReader(doc), xmlsec.Limits{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := d.Root.Child("urn:p", "b").Canonical(&b, c.m, nil); err != nil {
			t.Fatal(err)
		}
		if b.String() != c.want {
			t.Errorf("%s %v:\n got %s\nwant %s", c.m.Algorithm, c.m.Prefixes, b.String(), c.want)
		}
	}
}

// TestStream: the canonical form of a stream of tokens is that of the tree.
func TestStream(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		doc := "<?p?>" + element(rt, 4, nil) + "<!--x-->"
		a := rapid.SampledFrom(algorithms).Draw(rt, "algorithm")
		want, err := canonical(t, []byte(doc), a.ours)
		if err != nil {
			rt.Fatal(err)
		}
		s, err := xmlsec.NewScanner(strings.NewReader(doc), xmlsec.Limits{})
		if err != nil {
			rt.Fatal(err)
		}
		var b bytes.Buffer
		c, err := xmlsec.NewCanonicalizer(&b, xmlsec.Method{Algorithm: a.ours})
		if err != nil {
			rt.Fatal(err)
		}
		for {
			tok, err := s.Next()
			if err == io.EOF {
				break
			}
			if err == nil {
				err = c.Token(tok)
			}
			if err != nil {
				rt.Fatal(err)
			}
		}
		if err := c.Close(); err != nil || !bytes.Equal(b.Bytes(), want) {
			rt.Fatalf("%q: %q, want %q", doc, b.Bytes(), want)
		}
	})
}

// TestMutations: what we accept of damaged documents, xmllint accepts too, with
// the same canonical form. (We refuse more: limits, DTDs, XML 1.1.)
func TestMutations(t *testing.T) {
	need(t, "xmllint", "libxml2-utils")
	rapid.Check(t, func(rt *rapid.T) {
		doc := []byte(element(rt, 3, nil))
		for range rapid.IntRange(1, 3).Draw(rt, "mutations") {
			at := rapid.IntRange(0, len(doc)-1).Draw(rt, "at")
			with := rapid.SampledFrom([]string{"", "<", ">", "&", ";", "'", "\"", "=", ":", "/", " ", "-", "!", "?", "]", "x", "\r", "\x00", "\xc4", "&#1;", "xmlns", "<a/>"}).Draw(rt, "with")
			doc = append(append(append([]byte(nil), doc[:at]...), with...), doc[at+1:]...)
			if len(doc) == 0 {
				return
			}
		}
		for _, a := range algorithms[:1] {
			if _, err := canonical(t, doc, a.ours); err != nil {
				continue
			}
			if difference := compare(t, doc, a.ours, a.flag); difference != "" {
				rt.Fatal(difference)
			}
		}
	})
}
