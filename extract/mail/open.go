package mail

import (
	"bytes"
	"io"
	"math"
	"strconv"
	"strings"

	"sekretariat"
	"sekretariat/extract/tnef"
)

// OpenPart returns the decoded octets of one listed part, read again from the
// original: exactly those whose size and digest the part lists. Memory is
// bounded; an error of body is the reader's error.
//
// Part.Encoding is the transfer encoding of the octets Offset…Offset+Length.
// For a part inside an encoded part (a message within a base64 message/rfc822,
// a uuencoded file in quoted-printable text) it is a path of encodings and
// ranges from the outside in, "base64/120/quoted-printable/33+44/x-uuencode":
// decode base64, drop 120 octets, decode quoted-printable, take 44 octets from
// the 33rd, decode x-uuencode. Steps that begin with "@" unwrap what is no
// transfer encoding: "@cms" takes the content out of an opaque signature,
// "@tnef.2" the third attachment out of a winmail.dat, "@msg.0.text" the text
// out of the first attachment, a message, of an Outlook message.
func OpenPart(body sekretariat.Body, p sekretariat.Part) io.Reader {
	steps := strings.Split(p.Encoding, "/")
	var r io.Reader = io.NewSectionReader(body, p.Offset, p.Length)
	for i, step := range steps {
		if i%2 == 0 {
			r = openStep(r, step)
			continue
		}
		from, length, ranged := strings.Cut(step, "+")
		r = &dropReader{r: r, drop: atoi(from)}
		if ranged {
			r = io.LimitReader(r, atoi(length))
		}
	}
	return r
}

// openStep returns what one step makes of r.
func openStep(r io.Reader, step string) io.Reader {
	kind, which, _ := strings.Cut(step, ".")
	switch {
	case kind == stepTNEF:
		return tnef.Open(r, int(min(atoi(which), math.MaxInt32)))
	case kind == stepMSG:
		return &memberReader{r: r, which: which}
	case step == stepCMS || !identityEncoding(step):
		return newDecoder(r, step)
	}
	return r
}

func atoi(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// decoder reads through a stage.
type decoder struct {
	r   io.Reader
	raw []byte
	out bytes.Buffer
	st  stage
	err error
}

func newDecoder(r io.Reader, encoding string) *decoder {
	d := &decoder{r: r, raw: make([]byte, 8<<10)}
	d.st = newStage(encoding, func(p []byte) { d.out.Write(p) })
	return d
}

// Read implements io.Reader.
func (d *decoder) Read(p []byte) (int, error) {
	for d.out.Len() == 0 {
		if d.err != nil {
			return 0, d.err
		}
		n, err := d.r.Read(d.raw)
		d.st.write(d.raw[:n])
		if d.err = err; err == io.EOF {
			d.st.close()
		}
	}
	return d.out.Read(p)
}

// dropReader drops octets before it reads.
type dropReader struct {
	r    io.Reader
	drop int64
}

// The kinds of steps that unwrap. No declared transfer encoding can be one of
// them: see normalEncoding.
const (
	stepCMS  = "@cms"
	stepTNEF = "@tnef"
	stepMSG  = "@msg"
)

// Read implements io.Reader.
func (d *dropReader) Read(p []byte) (int, error) {
	if s, ok := d.r.(io.Seeker); ok && d.drop > 0 {
		if _, err := s.Seek(d.drop, io.SeekCurrent); err != nil {
			return 0, err
		}
		d.drop = 0
	}
	if d.drop > 0 {
		n, err := io.CopyN(io.Discard, d.r, d.drop)
		d.drop -= n
		if err != nil {
			return 0, err
		}
	}
	return d.r.Read(p)
}
