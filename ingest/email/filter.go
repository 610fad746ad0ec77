package email

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
)

// Bounds of what a server may say outside message bodies.
const (
	maxResponse     = 16 << 20 // octets of one response without literals: SEARCH of a million messages
	maxText         = 64 << 10 // one that ends in text for people
	maxSmallLiteral = 64 << 10 // a literal that is no message body
)

// filter hands the server's responses to go-imap, all but those that it cannot
// read and we do not need: one unknown response or one odd flag set by another
// client would end the connection, again and again. It also bounds lines and
// literals, which go-imap collects in memory.
type filter struct {
	net.Conn
	in *bufio.Reader

	out     []byte // rest of a piece to be handed out; lies in the buffer of in
	literal int64  // octets of a literal still to come
	within  bool   // a response has begun
	drop    bool   // it is left out
	text    bool   // it ends in free text and has no literals
	length  int
	tail    [40]byte // end of the response so far, where a literal is announced
	tailLen int
	err     error
}

// newFilter wraps conn. greeting, if any, is handed out before what the server
// says.
func newFilter(conn net.Conn, greeting string) *filter {
	return &filter{Conn: conn, in: bufio.NewReaderSize(conn, 64<<10), out: []byte(greeting)}
}

func (f *filter) Read(p []byte) (int, error) {
	for len(p) > 0 {
		switch {
		case len(f.out) > 0:
			n := copy(p, f.out)
			f.out = f.out[n:]
			return n, nil
		case f.err != nil:
			return 0, f.err
		case f.literal > 0 && f.drop:
			n, err := f.in.Discard(int(f.literal)) // bounded by maxSmallLiteral
			f.literal -= int64(n)
			f.err = err
		case f.literal > 0:
			n, err := f.in.Read(p[:min(int64(len(p)), f.literal)])
			f.literal -= int64(n)
			return n, err
		default:
			f.err = f.piece()
		}
	}
	return 0, nil
}

// piece reads up to the end of the line, or of the buffer if that comes first.
func (f *filter) piece() error {
	b, err := f.in.ReadSlice('\n')
	whole := err == nil
	if errors.Is(err, bufio.ErrBufferFull) {
		err = nil
	}
	if len(b) == 0 {
		return err
	}
	if !f.within {
		f.within, f.length, f.tailLen = true, 0, 0
		f.text = isText(b)
		f.drop = unwanted(b, whole)
	}
	f.length += len(b)
	if f.length > maxResponse || f.text && f.length > maxText {
		return fmt.Errorf("mail server sends a response of more than %d octets", f.length-len(b))
	}
	if !f.drop {
		f.out = b
	}
	f.keepTail(b)
	if !whole {
		return err
	}
	n, announced := f.announced()
	switch {
	case f.text || !announced:
		f.within = false
	case n > maxSmallLiteral && (f.drop || !bytes.Contains(bytes.ToUpper(f.tail[:f.tailLen]), []byte("BODY["))):
		return fmt.Errorf("mail server sends %d octets where no message is due", n)
	default:
		f.literal, f.tailLen = n, 0
	}
	return nil
}

func (f *filter) keepTail(b []byte) {
	if len(b) >= len(f.tail) {
		f.tailLen = copy(f.tail[:], b[len(b)-len(f.tail):])
		return
	}
	keep := min(f.tailLen, len(f.tail)-len(b))
	copy(f.tail[:], f.tail[f.tailLen-keep:f.tailLen])
	f.tailLen = keep + copy(f.tail[keep:], b)
}

// announced reads the size of the literal that the line ends with, "{123}".
func (f *filter) announced() (int64, bool) {
	b := bytes.TrimRight(f.tail[:f.tailLen], "\r\n")
	open := bytes.LastIndexByte(b, '{')
	if open < 0 || !bytes.HasSuffix(b, []byte("}")) {
		return 0, false
	}
	n, err := strconv.ParseInt(string(bytes.TrimSuffix(b[open+1:len(b)-1], []byte("+"))), 10, 64)
	return n, err == nil && n >= 0
}

// kind splits off the type of an untagged response; "" for others.
func kind(line []byte) (typ, rest []byte) {
	rest, untagged := bytes.CutPrefix(line, []byte("* "))
	if !untagged {
		return nil, nil
	}
	typ, rest, _ = bytes.Cut(rest, []byte(" "))
	if len(typ) > 0 && typ[0] >= '0' && typ[0] <= '9' { // "12 EXISTS"
		typ, rest, _ = bytes.Cut(rest, []byte(" "))
	}
	return bytes.ToUpper(bytes.TrimRight(typ, "\r\n")), rest
}

// isText tells whether a response ends in text for people, in which braces
// mean nothing: tagged ones, continuations, and the five status responses.
func isText(line []byte) bool {
	typ, _ := kind(line)
	switch string(typ) {
	case "", "OK", "NO", "BAD", "BYE", "PREAUTH":
		return true
	}
	return false
}

// unwanted tells whether a response can be left out: types that go-imap does
// not know, all about flags, and FETCH responses that we never asked for.
// Whether a FETCH is one can be seen only when the line is whole.
func unwanted(line []byte, whole bool) bool {
	typ, rest := kind(line)
	switch string(typ) {
	case "":
		return len(line) > 1 && line[0] == '*'
	case "OK":
		return bytes.HasPrefix(bytes.ToUpper(rest), []byte("[PERMANENTFLAGS"))
	case "NO", "BAD", "BYE", "PREAUTH", "CAPABILITY", "LIST", "STATUS", "NAMESPACE", "SEARCH", "ESEARCH", "QUOTA", "QUOTAROOT", "EXISTS", "EXPUNGE":
		return false
	case "FETCH":
		rest = bytes.ToUpper(rest)
		for _, item := range []string{"RFC822.SIZE", "INTERNALDATE", "BODY["} {
			if bytes.Contains(rest, []byte(item)) {
				return false
			}
		}
		return whole
	}
	return true
}
