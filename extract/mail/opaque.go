package mail

import (
	"bytes"
	"io"
	"strings"

	"sekretariat/extract/cms"
)

// cms opens an opaque signature (RFC 8551 §3.5.2). Content that is no MIME
// entity stays as it is: a signed file.
func (x *expander) cms(i int) error {
	p := x.r.out.Parts[i]
	e := entityFeed{x: x, part: i}
	d := cms.NewDecoder(e.write)
	if _, err := io.Copy(d, x.open(i)); err != nil {
		return err
	}
	obj := d.Close()
	e.close()
	switch {
	case obj.Type.Secret():
		x.r.find(FindingSMIMEEncrypted, p.Path, "")
		x.r.out.Parts[i].Fate = fateSecret
		return nil
	case e.inner == nil:
		if obj.Broken != "" && p.Declared == typeCMS {
			x.r.find(FindingSMIMEBroken, p.Path, obj.Broken)
		}
		return nil
	case obj.Broken != "":
		x.r.find(FindingSMIMEBroken, p.Path, obj.Broken)
	}
	x.r.signed(p.Path, obj.Signatures("smime", p.Path, nil))
	q := &x.r.out.Parts[i]
	q.Fate, q.Attachment = "opened", false
	return nil
}

// entityFeed hands signed content to a scanner once it is known to be a MIME
// entity.
type entityFeed struct {
	x     *expander
	part  int
	head  []byte
	inner *scanner
	file  bool // it is something else
}

func (e *entityFeed) write(p []byte) {
	const enough = 1024 // octets in which a header shows
	switch {
	case e.inner != nil:
		e.inner.write(p)
	case !e.file:
		if e.head = append(e.head, p...); len(e.head) >= enough {
			e.decide()
		}
	}
}

func (e *entityFeed) decide() {
	if e.file = !looksLikeEntity(e.head); !e.file {
		e.inner = e.x.scanner(e.part, stepCMS)
		e.inner.write(e.head)
	}
	e.head = nil
}

func (e *entityFeed) close() {
	if e.inner == nil && !e.file {
		e.decide()
	}
	if e.inner != nil {
		e.inner.close()
	}
}

// looksLikeEntity tells whether octets begin with a MIME header, or with the
// empty line that stands for none.
func looksLikeEntity(head []byte) bool {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	if line = bytes.TrimSuffix(line, []byte("\r")); len(line) == 0 {
		return len(head) > 0
	}
	name, _ := fieldName(line)
	lower := strings.ToLower(string(name[:min(len(name), maxKeyName)]))
	return strings.HasPrefix(lower, "content-") || lower == "mime-version" || lower != "" && wanted[lower]
}
