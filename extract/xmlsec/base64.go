package xmlsec

import (
	"errors"
	"io"
)

// ErrBase64 is returned for text that is not xsd:base64Binary.
var ErrBase64 = errors.New("not base64")

// base64Value maps an octet to its six bits; 0xFF refused, 0xFE white space,
// 0xFD padding.
var base64Value = func() (t [256]byte) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range t {
		t[i] = 0xFF
	}
	for i := 0; i < len(alphabet); i++ {
		t[alphabet[i]] = byte(i)
	}
	for _, c := range " \t\r\n" {
		t[c] = 0xFE
	}
	t['='] = 0xFD
	return t
}()

// base64Decoder decodes xsd:base64Binary (XML Schema 2 §3.2.16) piece by
// piece: white space anywhere; missing padding at the end is forgiven, for
// some offices' software leaves it out; anything else is refused.
type base64Decoder struct {
	acc  uint32
	n    int // characters in acc
	pads int
}

func (d *base64Decoder) decode(dst, src []byte) ([]byte, error) {
	for _, c := range src {
		v := base64Value[c]
		switch {
		case v == 0xFE:
			continue
		case v == 0xFF:
			return dst, ErrBase64
		case v == 0xFD:
			if d.pads++; d.n < 2 || d.n+d.pads > 4 {
				return dst, ErrBase64
			}
			continue
		case d.pads > 0: // data after padding
			return dst, ErrBase64
		}
		d.acc = d.acc<<6 | uint32(v)
		if d.n++; d.n == 4 {
			dst = append(dst, byte(d.acc>>16), byte(d.acc>>8), byte(d.acc))
			d.acc, d.n = 0, 0
		}
	}
	return dst, nil
}

func (d *base64Decoder) finish(dst []byte) ([]byte, error) {
	switch d.n {
	case 0:
		return dst, nil
	case 2:
		return append(dst, byte(d.acc>>4)), nil
	case 3:
		return append(dst, byte(d.acc>>10), byte(d.acc>>2)), nil
	}
	return dst, ErrBase64
}

// Base64Writer decodes what is written to it. Close flushes the end; it does
// not close the writer below.
type Base64Writer struct {
	w   io.Writer
	d   base64Decoder
	buf []byte
	err error
}

// NewBase64Writer returns a decoder that writes the octets to w.
func NewBase64Writer(w io.Writer) *Base64Writer { return &Base64Writer{w: w} }

func (b *Base64Writer) Write(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	var bad error
	b.buf, bad = b.d.decode(b.buf[:0], p)
	_, b.err = b.w.Write(b.buf)
	if b.err == nil {
		b.err = bad
	}
	if b.err != nil {
		return 0, b.err
	}
	return len(p), nil
}

// Close writes the last octets. Returns ErrBase64 if the text ended inside a
// group of four in a way that gives none.
func (b *Base64Writer) Close() error {
	if b.err != nil {
		return b.err
	}
	end, err := b.d.finish(nil)
	if err != nil {
		return err
	}
	_, err = b.w.Write(end)
	return err
}

// NewBase64Reader returns a reader of the octets that the text of r stands for.
func NewBase64Reader(r io.Reader) io.Reader { return &base64Reader{r: r} }

type base64Reader struct {
	r   io.Reader
	d   base64Decoder
	in  [8 << 10]byte
	buf [6<<10 + 3]byte // what in decodes to
	out []byte          // of buf, not read yet
	err error
}

func (b *base64Reader) Read(p []byte) (int, error) {
	for len(b.out) == 0 {
		if b.err != nil {
			return 0, b.err
		}
		n, err := b.r.Read(b.in[:])
		b.out, b.err = b.d.decode(b.buf[:0], b.in[:n])
		if b.err != nil {
			continue
		}
		if b.err = err; err == io.EOF {
			var bad error
			if b.out, bad = b.d.finish(b.out); bad != nil {
				b.err = bad
			}
		}
	}
	n := copy(p, b.out)
	b.out = b.out[n:]
	return n, nil
}
