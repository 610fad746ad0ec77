package mail

import (
	"bytes"
	"strings"
)

// Limits of one header. Fields that are read are kept even when
// they come after the thousandth.
const (
	maxField   = 64 << 10 // octets of one field
	maxFields  = 1000
	maxHeader  = 1 << 20 // octets of all fields
	maxKeyName = 200     // octets of a name that are kept
)

// field is one header field, unfolded, undecoded. Its name is lower case.
type field struct {
	name  string
	value []byte
}

// header collects the fields of one entity.
type header struct {
	fields  []field
	first   map[string]int // index of the first field of a name
	size    int
	open    bool // the last field may be continued
	skipped bool // lines that are no fields
	cut     bool
}

// wanted are the fields that this package reads; for these the limit on the
// number of fields does not hold, only their first occurrence counts then.
var wanted = map[string]bool{
	"from": true, "to": true, "cc": true, "reply-to": true, "sender": true, "subject": true, "date": true, "message-id": true,
	"in-reply-to": true, "references": true, "content-type": true, "content-transfer-encoding": true, "content-disposition": true,
	"content-id": true, "auto-submitted": true, "precedence": true, "list-id": true, "return-path": true,
}

// isWanted looks a name up without keeping it.
func isWanted(name []byte) bool {
	var lower [32]byte
	if len(name) > len(lower) {
		return false
	}
	for i, c := range name {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	return wanted[string(lower[:len(name)])]
}

// fieldName splits a line at its colon, nil if the line is no field. Any
// printable name passes, for odd ones are common; white space before the
// colon is tolerated (RFC 5322 §4.5), inside it is not.
func fieldName(line []byte) (name, value []byte) {
	i := bytes.IndexByte(line, ':')
	if i <= 0 {
		return nil, nil
	}
	name = bytes.TrimRight(line[:i], " \t")
	if len(name) == 0 {
		return nil, nil
	}
	for _, c := range name {
		if c <= ' ' || c == 0x7f {
			return nil, nil
		}
	}
	return name, line[i+1:]
}

// add takes one line without its end and tells whether it is part of a header.
func (h *header) add(line []byte) bool {
	if len(line) > 0 && (line[0] == ' ' || line[0] == '\t') && len(h.fields) > 0 {
		h.extend(line)
		return true
	}
	name, value := fieldName(bytes.TrimLeft(line, " \t"))
	if name == nil {
		h.open = false
		h.skipped = h.skipped || len(h.fields) > 0
		return false
	}
	h.open = true
	full := len(h.fields) >= maxFields || h.size >= maxHeader
	if full {
		h.cut = true
		if h.open = isWanted(name); !h.open {
			return true
		}
	}
	key := strings.ToLower(string(name[:min(len(name), maxKeyName)]))
	if full && h.has(key) {
		h.open = false
		return true
	}
	if !h.has(key) {
		if h.first == nil {
			h.first = map[string]int{}
		}
		h.first[key] = len(h.fields)
	}
	h.fields = append(h.fields, field{name: key})
	h.extend(value)
	return true
}

// extend appends to the current field: a folded line, or more of a long one.
func (h *header) extend(p []byte) {
	if !h.open {
		return
	}
	f := &h.fields[len(h.fields)-1]
	if room := maxField - len(f.value); len(p) > room {
		p, h.cut = p[:room], true
	}
	f.value = append(f.value, p...)
	h.size += len(p)
}

// get returns the first field of a name, nil if there is none or it is empty.
func (h *header) get(name string) []byte {
	i, ok := h.first[name]
	if !ok {
		return nil
	}
	return bytes.TrimSpace(h.fields[i].value)
}

// has tells whether a field is there, even an empty one.
func (h *header) has(name string) bool {
	_, ok := h.first[name]
	return ok
}

// all returns the values of every field of a name.
func (h *header) all(name string) [][]byte {
	var out [][]byte
	for i := range h.fields {
		if h.fields[i].name == name {
			out = append(out, bytes.TrimSpace(h.fields[i].value))
		}
	}
	return out
}
