package epuap

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/url"
	"strings"

	"sekretariat/extract/xmlsec"
)

// spaceXOP is the namespace of the placeholder for a part (XOP §2.1).
const spaceXOP = "http://www.w3.org/2004/08/xop/include"

// Bounds of an answer in several parts.
const (
	maxRoot  = 1 << 20 // octets of the first part, which holds no file
	maxParts = 16
)

// errParts: an answer in several parts that is not MTOM as we know it.
var errParts = errors.New("the answer in several parts cannot be put together")

// inline turns an MTOM answer into the message that it stands for (XOP §3.2):
// the part that the placeholder names takes its place, as base64. So it is
// read, and its signature checked, like any other answer, as a stream. The
// message must be the first part (RFC 2387 §3.2 lets a "start" parameter say
// otherwise; nobody who streams does that).
func inline(body io.Reader, boundary string) (io.Reader, error) {
	if boundary == "" {
		return nil, fmt.Errorf("%w: no boundary", errParts)
	}
	parts := multipart.NewReader(body, boundary)
	first, err := parts.NextRawPart()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errParts, err)
	}
	root, err := io.ReadAll(io.LimitReader(transfer(first), maxRoot+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errParts, err)
	case len(root) > maxRoot:
		return nil, fmt.Errorf("%w: the first part is too long", errParts)
	}
	begin, end, id, err := placeholder(root)
	if err != nil || id == "" { // no placeholder: the file is in it, or it is a fault
		return bytes.NewReader(root), err
	}
	for range maxParts {
		part, err := parts.NextRawPart()
		if err != nil {
			return nil, fmt.Errorf("%w: the part with the file is missing: %w", errParts, err)
		}
		if strings.Trim(part.Header.Get("Content-ID"), "<> ") == id {
			return io.MultiReader(bytes.NewReader(root[:begin]), &encoder{r: transfer(part)}, bytes.NewReader(root[end:])), nil
		}
	}
	return nil, fmt.Errorf("%w: too many parts", errParts)
}

// transfer undoes the transfer encoding of a part.
func transfer(p *multipart.Part) io.Reader {
	if strings.EqualFold(p.Header.Get("Content-Transfer-Encoding"), "base64") {
		return xmlsec.NewBase64Reader(p)
	}
	return p
}

// placeholder finds the one xop:Include of a message: where it stands, and the
// Content-ID that it names, "" if there is none.
func placeholder(root []byte) (begin, end int, id string, err error) {
	doc, err := xmlsec.Parse(bytes.NewReader(root), xmlsec.Limits{Octets: maxRoot, Nodes: 10_000}, nil)
	if err != nil {
		return 0, 0, "", fmt.Errorf("%w: %w", errParts, err)
	}
	var include *xmlsec.Node
	found := 0
	doc.Root.Walk(func(n *xmlsec.Node) bool {
		if n.Is(spaceXOP, "Include") {
			include, found = n, found+1
		}
		return true
	})
	switch {
	case found == 0:
		return 0, 0, "", nil
	case found > 1 || len(include.Children) > 0 || doc.Encoding != "UTF-8":
		return 0, 0, "", fmt.Errorf("%w: placeholders", errParts)
	}
	href, _ := include.Attr("", "href")
	cid, ok := strings.CutPrefix(href, "cid:")
	if cid, err = url.PathUnescape(cid); !ok || err != nil || cid == "" {
		return 0, 0, "", fmt.Errorf("%w: the placeholder names no part", errParts)
	}
	// The parser says that there is one such element; its tag is found as text.
	tag := "<Include"
	if include.Name.Prefix != "" {
		tag = "<" + include.Name.Prefix + ":Include"
	}
	begin = bytes.Index(root, []byte(tag))
	if begin < 0 || bytes.Count(root, []byte(tag)) != 1 {
		return 0, 0, "", fmt.Errorf("%w: placeholders", errParts)
	}
	length := bytes.IndexByte(root[begin:], '>') + 1
	end = begin + length
	if length > 1 && root[end-2] != '/' { // <Include …></Include>
		length = bytes.IndexByte(root[end:], '>') + 1
		end += length
	}
	if length < 1 {
		return 0, 0, "", fmt.Errorf("%w: placeholders", errParts)
	}
	return begin, end, cid, nil
}

// encoder reads base64 of what it reads.
type encoder struct {
	r   io.Reader
	in  [24 << 10]byte // a multiple of three
	buf [32 << 10]byte
	out []byte // of buf, not read yet
	err error
}

func (e *encoder) Read(p []byte) (int, error) {
	for len(e.out) == 0 {
		if e.err != nil {
			return 0, e.err
		}
		n := 0
		// Only io.EOF is the end: a part that broke off must not look complete.
		for n < len(e.in) && e.err == nil {
			var m int
			m, e.err = e.r.Read(e.in[n:])
			n += m
		}
		if e.err != nil && e.err != io.EOF {
			return 0, e.err
		}
		base64.StdEncoding.Encode(e.buf[:], e.in[:n])
		e.out = e.buf[:base64.StdEncoding.EncodedLen(n)]
	}
	n := copy(p, e.out)
	e.out = e.out[n:]
	return n, nil
}
