package mail

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// node is a generated MIME entity.
type node struct {
	head string
	body []byte // of a leaf
	path string
}

// TestGeneratedTrees builds well-formed messages and expects every leaf back,
// octet by octet, in order.
func TestGeneratedTrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		eol := rapid.SampledFrom([]string{"\r\n", "\n"}).Draw(t, "line end")
		g := generator{t: t, eol: eol}
		raw := g.message("", 0)
		body := octets(raw)
		r, _ := mustRead(t, body)
		for _, leaf := range g.leaves {
			found := false
			for _, p := range r.Parts {
				if p.Path != leaf.path {
					continue
				}
				b, err := io.ReadAll(OpenPart(body, p))
				if err != nil {
					t.Fatal(err)
				}
				if found = true; !bytes.Equal(b, leaf.body) {
					t.Fatalf("leaf %s: %q, want %q, in\n%s", leaf.path, b, leaf.body, raw)
				}
			}
			if !found {
				t.Fatalf("leaf %s is not listed, in\n%s", leaf.path, raw)
			}
		}
	})
}

type generator struct {
	t      *rapid.T
	eol    string
	count  int
	leaves []node
}

func (g *generator) lines(l ...string) string { return strings.Join(l, g.eol) + g.eol }

// message returns a whole message whose parts have paths below path.
func (g *generator) message(path string, depth int) []byte {
	head, body := g.entity(path, depth, true)
	return append([]byte(g.lines("From: a@b.example", "Subject: x")+head+g.eol), body...)
}

func join(path, child string) string {
	if path == "" {
		return child
	}
	return path + "." + child
}

// entity returns a header and a body.
func (g *generator) entity(path string, depth int, message bool) (string, []byte) {
	kind := rapid.IntRange(0, 3).Draw(g.t, "kind")
	own := path
	if message {
		own = join(path, "1")
	}
	switch {
	case kind == 1 && depth < 4:
		g.count++
		boundary := rapid.SampledFrom([]string{"b", "b--", "b c", "=_b", "'()+_,-./:=?"}).Draw(g.t, "boundary") + strings.Repeat("x", g.count)
		var body bytes.Buffer
		body.WriteString(rapid.SampledFrom([]string{"", "preambuła" + g.eol}).Draw(g.t, "preamble"))
		for i := range rapid.IntRange(1, 3).Draw(g.t, "children") {
			h, b := g.entity(join(path, string(rune('1'+i))), depth+1, false)
			body.WriteString("--" + boundary + g.eol + h + g.eol)
			body.Write(b)
			body.WriteString(g.eol)
		}
		body.WriteString("--" + boundary + "--" + rapid.SampledFrom([]string{"", g.eol, " " + g.eol}).Draw(g.t, "end"))
		return g.lines(`Content-Type: multipart/mixed; boundary="` + boundary + `"`), body.Bytes()
	case kind == 2 && depth < 4:
		m := g.message(own, depth+1)
		if rapid.Bool().Draw(g.t, "encoded") {
			return g.lines("Content-Type: message/rfc822", "Content-Transfer-Encoding: base64"), []byte(strings.ReplaceAll(b64(m), "\r\n", g.eol))
		}
		return g.lines("Content-Type: message/rfc822"), m
	}
	return g.leaf(own)
}

func (g *generator) leaf(path string) (string, []byte) {
	data := []byte(rapid.StringOf(rapid.SampledFrom([]rune("ab-=\n\r .żą\x00"))).Draw(g.t, "content"))
	encoding := rapid.SampledFrom([]string{"base64", "8bit", "BASE64", "x-nieznane"}).Draw(g.t, "encoding")
	raw := data
	if strings.EqualFold(encoding, "base64") {
		raw = []byte(strings.ReplaceAll(b64(data), "\r\n", g.eol))
	} else {
		data = bytes.TrimRight(data, "\r") // they would belong to the line end after them
		raw = data
	}
	g.leaves = append(g.leaves, node{path: path, body: data})
	return g.lines("Content-Type: application/octet-stream", "Content-Transfer-Encoding: "+encoding), raw
}
