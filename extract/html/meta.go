package html

import (
	"bytes"
)

// metaHead is how much of a document is searched for its declaration; the
// HTML standard says 1,024 octets, mail programs put styles first.
const metaHead = 8192

// MetaCharset returns the charset label that an HTML document declares in a
// meta element, "" if it declares none. raw is the undecoded document.
func MetaCharset(raw []byte) string {
	head := bytes.ToLower(raw[:min(len(raw), metaHead)])
	for {
		i := bytes.Index(head, []byte("<meta"))
		if i < 0 {
			return ""
		}
		head = head[i+len("<meta"):]
		tag := head
		if end := bytes.IndexByte(tag, '>'); end >= 0 {
			tag = tag[:end]
		}
		if label := charsetOf(tag); label != "" {
			return label
		}
	}
}

func charsetOf(tag []byte) string {
	_, rest, ok := bytes.Cut(tag, []byte("charset"))
	rest = bytes.TrimLeft(rest, " \t\r\n")
	if !ok || len(rest) == 0 || rest[0] != '=' {
		return ""
	}
	rest = bytes.TrimLeft(rest[1:], " \t\r\n\"'")
	if end := bytes.IndexAny(rest, " \t\r\n\"';/>"); end >= 0 {
		rest = rest[:end]
	}
	return string(rest)
}
