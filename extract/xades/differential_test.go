package xades_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"sekretariat/extract/xades"
	"sekretariat/extract/xmlsec"
)

// TestAgainstXmlsec1 changes signed documents at random and compares with an
// independent checker: what xmlsec1 refuses, we never call right, and nothing
// that was changed where it matters is valid. SEKRETARIAT_DIFFERENTIAL sets the
// number of documents.
func TestAgainstXmlsec1(t *testing.T) {
	need(t)
	n := 40
	if v, err := strconv.Atoi(os.Getenv("SEKRETARIAT_DIFFERENTIAL")); err == nil {
		n = v
	}
	p := thePKI()
	list := p.list(t)
	forms := []form{
		{by: p.pz, claims: epClaim}, {by: p.qualified, transform: `<ds:Transform Algorithm="` + dsig + `enveloped-signature"/><ds:Transform Algorithm="` + excC14N + `"/>`},
		{by: p.personal, method: "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256", body: "<w:Tytul a='&#9;x' b=\"y\tz\">\r\n&#13;ąę <![CDATA[<x>]]></w:Tytul><!-- c --><w:Pusty xmlns:u='urn:u'/>"},
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a test that can be repeated
	var docs []string
	for _, f := range forms {
		docs = append(docs, f.sign(t))
	}
	agreed := 0
	for i := range n {
		k := r.IntN(len(docs))
		doc := mutate(r, docs[k])
		if i < len(docs) {
			k, doc = i, docs[i] // first as they are
		}
		d, err := xmlsec.Parse(strings.NewReader(doc), xmlsec.Limits{}, nil)
		if err != nil {
			continue // refused before anything is verified
		}
		if len(d.Signatures()) == 0 {
			continue
		}
		theirs := xmlsec1Accepts(t, doc, forms[k].by)
		for _, res := range verify(t, doc, list) {
			if res.Crypto && !theirs || res.Verdict == xades.Valid && !theirs {
				t.Errorf("we accept, xmlsec1 refuses (%s, %s):\n%s", res.Verdict, res.Text, doc)
			}
			if res.Crypto == theirs {
				agreed++
			}
		}
	}
	t.Logf("%d of %d agree", agreed, n)
	if agreed < n/4 {
		t.Errorf("only %d of %d comparisons were ones", agreed, n)
	}
}

// mutate makes one small change that may leave the document well-formed.
func mutate(r *rand.Rand, doc string) string {
	at := 40 + r.IntN(len(doc)-40)
	switch r.IntN(8) {
	case 0: // a letter
		return doc[:at] + string(rune('a'+r.IntN(26))) + doc[at+1:]
	case 1: // a comment
		if i := strings.IndexByte(doc[at:], '<'); i >= 0 {
			return doc[:at+i] + "<!-- x -->" + doc[at+i:]
		}
	case 2: // white space between tags
		if i := strings.Index(doc[at:], "><"); i >= 0 {
			return doc[:at+i+1] + " " + doc[at+i+1:]
		}
	case 3: // white space in a tag, which means nothing
		if i := strings.Index(doc[at:], " "); i >= 0 {
			return doc[:at+i] + "\n " + doc[at+i:]
		}
	case 4: // an attribute
		if i := strings.Index(doc[at:], "<w:"); i >= 0 {
			if j := strings.IndexAny(doc[at+i:], " >"); j >= 0 {
				return doc[:at+i+j] + ` nowy="1"` + doc[at+i+j:]
			}
		}
	case 5: // other line ends
		return strings.ReplaceAll(doc, "\n", "\r\n")
	case 6: // an element less
		if i := strings.Index(doc[at:], "<"); i >= 0 {
			if j := strings.Index(doc[at+i:], "/>"); j >= 0 && !strings.Contains(doc[at+i+1:at+i+j], "<") {
				return doc[:at+i] + doc[at+i+j+2:]
			}
		}
	}
	return strings.Replace(doc, "UTF-8", "utf-8", 1)
}
