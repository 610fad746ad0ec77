package email

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// readConn is a connection of which only the reading side matters.
type readConn struct {
	net.Conn
	io.Reader
}

func (c readConn) Read(p []byte) (int, error) { return c.Reader.Read(p) }

func filtered(r io.Reader) (string, error) {
	b, err := io.ReadAll(newFilter(readConn{Reader: r}, ""))
	return string(b), err
}

func TestFilterLeavesOutWhatNobodyNeeds(t *testing.T) {
	for in, want := range map[string]string{
		"* OK ready\r\n": "* OK ready\r\n",
		"* FLAGS (\\Seen odd])\r\n* 3 EXISTS\r\n":                "* 3 EXISTS\r\n",
		"* ok [PermanentFlags (odd] \\*)] x\r\na OK {3}\r\n":     "a OK {3}\r\n",
		"* XNEW {4}\r\n\r\n* (x \"{2}\")\r\n+ go\r\n":            "+ go\r\n",
		"* 5 FETCH (FLAGS (odd]))\r\n":                           "",
		"* 5 FETCH (UID 4 FLAGS (\\Seen) RFC822.SIZE 3)\r\n":     "* 5 FETCH (UID 4 FLAGS (\\Seen) RFC822.SIZE 3)\r\n",
		"* 5 FETCH (UID 4 BODY[] {9}\r\n* X {3}\r\n)\r\n* X\r\n": "* 5 FETCH (UID 4 BODY[] {9}\r\n* X {3}\r\n)\r\n",
		"* 5 fetch (body[] {2+}\r\nab UID 4)\r\n* bye\r\n":       "* 5 fetch (body[] {2+}\r\nab UID 4)\r\n* bye\r\n",
		"* SEARCH\r\n* ESEARCH (TAG \"a\") UID ALL 1:3\r\n":      "* SEARCH\r\n* ESEARCH (TAG \"a\") UID ALL 1:3\r\n",
		"* LIST () \"/\" {3}\r\na{9\r\na NO no\r\n":              "* LIST () \"/\" {3}\r\na{9\r\na NO no\r\n",
		"* 1 EXPUNGE\r\n* RECENT 5\r\n* 5 RECENT\r\n*\r\n":       "* 1 EXPUNGE\r\n",
	} {
		for name, r := range map[string]io.Reader{"whole": strings.NewReader(in), "octet by octet": iotest.OneByteReader(strings.NewReader(in))} {
			if got, err := filtered(r); got != want || err != nil {
				t.Errorf("%s of %q:\n got %q, %v\nwant %q", name, in, got, err, want)
			}
		}
	}
}

func TestFilterBounds(t *testing.T) {
	endless := io.MultiReader(strings.NewReader("* SEARCH"), &repeater{b: []byte(" 1234567890")})
	if got, err := filtered(endless); err == nil || len(got) > maxResponse+1<<17 {
		t.Errorf("endless line: %d octets, %v", len(got), err)
	}
	for _, in := range []string{"* LIST () \"/\" {70000}\r\n", "* XNEW {70000}\r\n", "* 1 FETCH (ENVELOPE ({99999999999}\r\n"} {
		if _, err := filtered(strings.NewReader(in)); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%q: %v", in, err)
		}
	}
}

type repeater struct{ b []byte }

func (r *repeater) Read(p []byte) (int, error) { return copy(p, r.b), nil }

// TestFilterKeepsBodies: whatever a message contains, and in whatever pieces
// it arrives, the answer that holds it passes unchanged.
func TestFilterKeepsBodies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var in, want bytes.Buffer
		for range rapid.IntRange(1, 8).Draw(t, "responses") {
			body := rapid.SliceOfN(rapid.SampledFrom([]byte("* 1FETCHX{}\r\n]")), 0, 200).Draw(t, "body")
			fetch := fmt.Sprintf("* %d FETCH (UID %d BODY[] {%d}\r\n%s FLAGS (\\Seen))\r\n",
				rapid.Uint32Min(1).Draw(t, "seq"), rapid.Uint32Min(1).Draw(t, "uid"), len(body), body)
			in.WriteString(fetch)
			want.WriteString(fetch)
			in.WriteString(rapid.SampledFrom([]string{"", "* XUNKNOWN a\r\n", "* FLAGS ({)\r\n", "* 7 FETCH (FLAGS (a))\r\n"}).Draw(t, "noise"))
		}
		got, err := filtered(iotest.HalfReader(&in))
		if err != nil || got != want.String() {
			t.Fatalf("got %q, %v\nwant %q", got, err, want.String())
		}
	})
}

// FuzzFilter: no input makes it panic, hang, or hand out more than came in.
func FuzzFilter(f *testing.F) {
	f.Add([]byte("* OK hi\r\n* 1 FETCH (BODY[] {3}\r\nabc)\r\na OK\r\n"))
	f.Add([]byte("* X {5}\r\nab\r\n* LIST {99999999999999999999}\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		whole, err1 := filtered(bytes.NewReader(in))
		pieces, err2 := filtered(iotest.OneByteReader(bytes.NewReader(in)))
		if whole != pieces || (err1 == nil) != (err2 == nil) {
			t.Fatalf("in pieces %q (%v), whole %q (%v)", pieces, err2, whole, err1)
		}
		if len(whole) > len(in) {
			t.Fatalf("%d octets out of %d", len(whole), len(in))
		}
	})
}
