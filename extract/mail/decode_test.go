package mail

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime/quotedprintable"
	"os/exec"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sekretariat"
)

// decodeIn decodes in pieces of n octets.
func decodeIn(encoding string, raw []byte, n int) (string, string) {
	var out bytes.Buffer
	st := newStage(encoding, func(p []byte) { out.Write(p) })
	for len(raw) > 0 {
		k := min(n, len(raw))
		st.write(raw[:k])
		raw = raw[k:]
	}
	st.close()
	return out.String(), st.oddity()
}

func TestStages(t *testing.T) {
	for _, c := range []struct{ encoding, in, want, odd string }{
		{"base64", "emF6\r\nxbw=\r\n", "zazż", ""},
		{"base64", "ey*m!F6", "\x7b\x29\x85", FindingBase64Truncated},
		{"base64", "e!m@F#6", "zaz", FindingBase64Garbage},
		{"base64", "YWI=\r\n\r\n____\r\nLista mailing list\r\n", "ab", FindingBase64Garbage},
		{"base64", "YWJj\r\n\r\nTa wiadomosc jest wolna od wirusow.\r\n", "abc", FindingBase64Garbage},
		{"base64", "YWI=\r\nYWJj\r\n\r\nYWJj", "ababcabc", ""},
		{"base64", "YWI=YWJj", "ababc", ""},
		{"base64", "emE=emE=", "zaza", ""},                 // joined pieces
		{"base64", "emF6e", "zaz", FindingBase64Truncated}, // cut off
		{"base64", "emF6eg", "zazz", FindingBase64Truncated},
		{"base64", "====", "", ""},
		{"quoted-printable", "za=C5=BC=\r\n=c3=b3=\n\xc5\x82", "zażół", ""},
		{"quoted-printable", "a  \t\r\nb =\r\nc= \t\r\nd", "a\r\nb cd", ""},
		{"quoted-printable", "a=ZZ =4 =", "a=ZZ =4 ", FindingQuotedPrintable},
		{"quoted-printable", "2=2=4", "2=2=4", FindingQuotedPrintable},
		{"quoted-printable", "a=\rb=\r\nc", "abc", ""},
		{"quoted-printable", "koniec =", "koniec ", ""},
		{"x-uuencode", "śmieci\nbegin 644 a\n#86)C\n`\nend\nśmieci", "abc", ""},
		{"x-uuencode", "begin 644 a\n#86)C", "abc", FindingUUBroken},
		{"x-uuencode", "nic", "", FindingUUBroken},
		{"8bit", "za\xbf", "za\xbf", ""},
	} {
		for n := 1; n <= len(c.in); n++ {
			if got, odd := decodeIn(c.encoding, []byte(c.in), n); got != c.want || odd != c.odd {
				t.Errorf("%s of %q by %d: got %q (%s), want %q (%s)", c.encoding, c.in, n, got, odd, c.want, c.odd)
				break
			}
		}
	}
	for in, want := range map[string]string{
		" Base64 ": "base64", "8-bit": "8bit", "quoted-printable; x": "quoted-printable", "UUENCODE": "x-uuencode", "": "", "x/../y": "xy", "7 bit": "7bit",
	} {
		if got := normalEncoding(in); got != want {
			t.Errorf("%q: got %q", in, got)
		}
	}
}

// TestStagesAgainstStandard: what the standard library encodes comes back,
// whatever the pieces.
func TestStagesAgainstStandard(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		data := rapid.OneOf(rapid.SliceOf(rapid.Byte()), rapid.SliceOf(rapid.SampledFrom([]byte("a =\t.")))).Draw(t, "data")
		n := rapid.IntRange(1, 100).Draw(t, "piece")
		if got, odd := decodeIn("base64", []byte(base64.StdEncoding.EncodeToString(data)), n); got != string(data) || odd != "" {
			t.Fatalf("base64: got %q (%s), want %q", got, odd, data)
		}
		var qp bytes.Buffer
		w := quotedprintable.NewWriter(&qp)
		w.Binary = true
		w.Write(data)
		w.Close()
		if got, odd := decodeIn("quoted-printable", qp.Bytes(), n); got != string(data) || odd != "" {
			t.Fatalf("quoted-printable: got %q (%s), want %q", got, odd, data)
		}
	})
}

// TestUUAgainstTool: what the program writes comes back.
func TestUUAgainstTool(t *testing.T) {
	tool, err := exec.LookPath("uuencode")
	if err != nil {
		t.Skip("uuencode is not installed (package sharutils)")
	}
	for _, size := range []int{0, 1, 2, 3, 44, 45, 46, 1000} {
		data := bytes.Repeat([]byte("\x00ż\xff"), size)[:size]
		cmd := exec.Command(tool, "plik.bin")
		cmd.Stdin = bytes.NewReader(data)
		raw, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		if got, odd := decodeIn("x-uuencode", raw, 7); got != string(data) || odd != "" {
			t.Errorf("%d octets: got %q (%s)", size, got, odd)
		}
	}
}

// TestUULoss: text and files together are the whole input but for the lines
// around the files.
func TestUULoss(t *testing.T) {
	line := rapid.SampledFrom([]string{"begin 644 a\n", "#86)C\n", "`\n", "end\n", "\n", "tekst\n", "begin\n", "M\n", strings.Repeat("x", 300) + "\n", "#86)C\r\n", "begin 644 ", "e"})
	rapid.Check(t, func(t *rapid.T) {
		in := strings.Join(rapid.SliceOf(line).Draw(t, "lines"), "")
		n := rapid.IntRange(1, 50).Draw(t, "piece")
		var text strings.Builder
		var open int64 = -1
		inFiles := int64(0)
		s := &uuSplitter{
			text: func(p []byte) { text.Write(p) }, data: func([]byte) {},
			begin: func(name string, offset int64) {
				if open >= 0 || !strings.HasPrefix(in[offset:], "begin ") {
					t.Fatalf("file begins at %d in %q", offset, in)
				}
				open = offset
			},
			end: func(offset int64, whole bool) {
				if whole && !strings.HasPrefix(in[:offset][strings.LastIndex(in[:offset-1], "\n")+1:], "end") {
					t.Fatalf("file ends at %d in %q", offset, in)
				}
				inFiles += offset - open
				open = -1
			},
		}
		for rest := []byte(in); len(rest) > 0; {
			k := min(n, len(rest))
			s.write(rest[:k])
			rest = rest[k:]
		}
		s.close()
		if open >= 0 || int64(text.Len())+inFiles != int64(len(in)) {
			t.Fatalf("%q: %d octets of text, %d of files, %d in all", in, text.Len(), inFiles, len(in))
		}
	})
}

// TestOpenPartTolerant: a Part from elsewhere never makes OpenPart panic.
func TestOpenPartTolerant(t *testing.T) {
	body := octets("treść")
	for _, p := range []sekretariat.Part{
		{Encoding: "base64/x/y+z/"}, {Encoding: "/////", Length: 3}, {Offset: 99, Length: 5}, {Offset: 2, Length: 1 << 40}, {Encoding: "8bit/-5+-5/8bit", Length: 2},
	} {
		if _, err := io.Copy(io.Discard, OpenPart(body, p)); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
}
