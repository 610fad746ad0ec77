package email

import (
	"errors"
	"fmt"
	"io"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// bodies streams the contents of messages, one after the other.
type bodies struct {
	s    *session
	cmd  *imapclient.FetchCommand
	msg  *imapclient.FetchMessageData // the one after the last that was handed out
	over bool
	torn bool // a literal broke off
	err  error
}

// fetchBodies asks for whole messages without touching \Seen. Nothing else is
// asked for: each further item is one more that go-imap may stumble over. The
// caller must call close.
func (s *session) fetchBodies(uids []imap.UID) *bodies {
	s.wire.expect()
	b := &bodies{s: s}
	b.cmd = s.client.Fetch(imap.UIDSetNum(uids...), &imap.FetchOptions{
		UID: true, BodySection: []*imap.FetchItemBodySection{{Peek: true}},
	})
	b.step()
	return b
}

// step moves to the next message of the answer, or to its end.
func (b *bodies) step() {
	if b.over {
		return
	}
	if b.msg = b.cmd.Next(); b.msg == nil {
		b.over = true
		b.err = b.cmd.Close()
	}
}

// next returns the next message, or nil at the end of the answer, whole or
// broken off. A message without content is one whose body is nil.
func (b *bodies) next() (imap.UID, *body, error) {
	if b.over {
		return 0, nil, b.err
	}
	var uid imap.UID
	msg := b.msg
	for item := msg.Next(); item != nil; item = msg.Next() {
		switch v := item.(type) {
		case imapclient.FetchItemDataUID:
			uid = v.UID
		case imapclient.FetchItemDataBodySection:
			if v.Literal == nil { // NIL: the server has no content to give
				continue
			}
			if size := v.Literal.Size(); size < 0 || size > b.s.maxSize {
				b.abort()
				return uid, nil, trouble(codeProtocol, fmt.Errorf("the server announces %d octets", size))
			}
			return uid, &body{all: b, literal: v.Literal}, nil
		}
	}
	b.step()
	return uid, nil, b.err
}

// abort cuts the connection, because what is left of the answer may be long.
func (b *bodies) abort() {
	b.s.wire.Conn.Close()
}

// close ends the command. An answer that was not read to its end ends the
// connection with it (go-imap would wait for it for ever). A literal that broke
// off is not touched again: go-imap's reader has gone on by then, and would
// read from the same buffer at the same time.
func (b *bodies) close() {
	if !b.over {
		b.abort()
		b.over = true
		if !b.torn {
			_ = b.cmd.Close() // fails: the connection was cut
		}
	}
	b.s.wire.rest()
}

// errShort is a message that ended before it was whole. go-imap ends a literal
// without an error when the connection is cut inside it.
var errShort = errors.New("the connection broke off inside a message")

// body is the content of one message. It ends with io.EOF only when all octets
// that were announced have come and the server's answer went on, or ended, as
// it should: what a receiver has read to its end is whole.
type body struct {
	all     *bodies
	literal imap.LiteralReader
	n       int64
	err     error // once it ended
}

func (r *body) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.literal.Read(p)
	r.n += int64(n)
	if err == nil {
		return n, nil
	}
	if r.err = err; errors.Is(err, io.EOF) {
		r.err = r.finish()
	} else {
		r.all.torn = true
	}
	return n, r.err
}

// finish checks the size and goes on to the next message.
func (r *body) finish() error {
	if r.n != r.literal.Size() {
		r.all.torn = true
		return fmt.Errorf("%w: %d of %d octets", errShort, r.n, r.literal.Size())
	}
	r.all.step()
	if r.all.over && r.all.err != nil {
		return r.all.err
	}
	return io.EOF
}

// whole tells whether the body was read to its end and found good.
func (r *body) whole() bool { return errors.Is(r.err, io.EOF) }

// header fetches the beginning of a message's header, at most limit octets.
func (s *session) header(uid imap.UID, limit int64) ([]byte, error) {
	all := &bodies{s: s}
	s.wire.expect()
	defer all.close()
	all.cmd = s.client.Fetch(imap.UIDSetNum(uid), &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{{
		Specifier: imap.PartSpecifierHeader, Peek: true, Partial: &imap.SectionPartial{Size: limit},
	}}})
	all.step()
	_, body, err := all.next()
	if err == nil && body == nil {
		err = errors.New("the server gives none")
	}
	if err != nil {
		return nil, wrap(codeProtocol, "fetch a header", err)
	}
	header, err := io.ReadAll(io.LimitReader(body, limit))
	if err == nil && !body.whole() { // no more than was asked for
		_, err = body.Read(make([]byte, 1))
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, wrap(codeProtocol, "fetch a header", err)
	}
	return header, nil
}
