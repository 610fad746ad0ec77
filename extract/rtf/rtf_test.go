package rtf

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestConvert(t *testing.T) {
	for name, c := range map[string]struct {
		in, want string
		html     bool
	}{
		"code page":       {`{\rtf1\ansi\ansicpg1250 Za\'bf\'f3\'b3\'e6 g\'ea\'9cl\'b9\par ja\'9f\'f1}`, "Zażółć gęślą\njaźń", false},
		"fonts":           {`{\rtf1\ansi\ansicpg1252{\fonttbl{\f0\fcharset0 Arial;}{\f1\fcharset238 Arial CE;}}\f0 caf\'e9 \f1 \'b9\'ea\plain\'e9}`, "café ąęé", false},
		"unicode":         {`{\rtf1\uc1 \u380?\u243\'f3\u322?w \u-10179?\u-8704?}`, "żółw 😀", false},
		"unicode of two":  {`{\rtf1{\uc2 \u281ab}c}`, "ęc", false},
		"unread":          {`{\rtf1{\info{\title Tajne}}{\*\generator X;}{\pict 0102}{\field{\*\fldinst HYPERLINK "x"}{\fldrslt link}}tekst}`, "linktekst", false},
		"marks":           {`{\rtf1 a\tab b\line c\emdash d\~e\{f\}\\g}`, "a\tb\nc—d\u00a0e{f}\\g", false},
		"binary":          {"{\\rtf1 a\\bin3 }}}b}", "ab", false},
		"html":            {`{\rtf1\ansi\fromhtml1 {\*\htmltag64 <p>}\htmlrtf \par\htmlrtf0 Tre\'9c\'e6{\*\mhtmltag <x>}{\*\htmltag72 </p>}\htmlrtf {\b\htmlrtf0 !\htmlrtf }\htmlrtf0}`, "<p>Treść</p>!", true},
		"cut off":         {`{\rtf1 tekst{\b gruby\'b`, "tekstgruby", false},
		"too many closed": {`{\rtf1 a}}}b`, "ab", false},
		"nothing":         {``, "", false},
	} {
		got, isHTML := Convert([]byte(c.in), 1<<20)
		if got != c.want || isHTML != c.html {
			t.Errorf("%s: %q (%v), want %q", name, got, isHTML, c.want)
		}
	}
}

// TestBombs: depth and repetition cost what they weigh.
func TestBombs(t *testing.T) {
	for name, s := range map[string]string{
		"groups": strings.Repeat("{", 1<<20), "words": strings.Repeat(`\b`, 1<<20), "hex": strings.Repeat(`\'b9`, 1<<19), "bin": strings.Repeat(`\bin999999999 `, 1000),
	} {
		start := time.Now()
		if got, _ := Convert([]byte(s), 1<<20); len(got) > 2<<20 || time.Since(start) > 5*time.Second {
			t.Errorf("%s: %d octets in %v", name, len(got), time.Since(start))
		}
	}
}

// compress writes compressed RTF with back references to what was written.
func compress(s []byte) []byte {
	const window = 4096
	var body []byte
	whole := append([]byte(dictionary), s...)
	at := len(dictionary)
	for at < len(whole) {
		control, piece := byte(0), []byte(nil)
		for bit := range 8 {
			if at >= len(whole) {
				break
			}
			from, n := longest(whole, at)
			if n < 3 {
				piece = append(piece, whole[at])
				at++
				continue
			}
			control |= 1 << bit
			piece = append(piece, byte(from%window>>4), byte(from%window<<4)|byte(n-2))
			at += n
		}
		body = append(append(body, control), piece...)
	}
	body = append(body, 1, byte(at%window>>4), byte(at%window<<4))
	head := binary.LittleEndian.AppendUint32(nil, uint32(len(body)+12))
	head = binary.LittleEndian.AppendUint32(head, uint32(len(s)))
	return append(append(head, "LZFu\x00\x00\x00\x00"...), body...)
}

// longest finds the longest repetition of what is at whole[at:].
func longest(whole []byte, at int) (from, n int) {
	for i := max(0, at-2000); i < at; i++ {
		k := 0
		for k < 17 && at+k < len(whole) && i+k < at && whole[i+k] == whole[at+k] {
			k++
		}
		if k > n {
			from, n = i, k
		}
	}
	return from, n
}

func TestDecompress(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := []byte(strings.Repeat(rapid.StringN(0, 40, 60).Draw(rt, "text"), rapid.IntRange(1, 200).Draw(rt, "times")))
		got, err := Decompress(compress(s), 1<<20)
		if err != nil || !bytes.Equal(got, s) {
			rt.Fatalf("%d octets of %d, %v", len(got), len(s), err)
		}
	})
	if got, err := Decompress([]byte("\x13\x00\x00\x00\x03\x00\x00\x00MELA\x00\x00\x00\x00abc"), 100); err != nil || string(got) != "abc" {
		t.Errorf("not compressed: %q, %v", got, err)
	}
	// The example of MS-OXRTFCP §4.1.1.
	example := "\x2d\x00\x00\x00\x2b\x00\x00\x00\x4c\x5a\x46\x75\xf1\xc5\xc7\xa7\x03\x00\x0a\x00\x72\x63\x70\x67\x31\x32\x35\x42\x32\x0a\xf3\x20\x68\x65\x6c\x09\x00\x20\x62\x77\x05\xb0\x6c\x64\x7d\x0a\x80\x0f\xa0"
	if got, err := Decompress([]byte(example), 100); err != nil || string(got) != "{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func FuzzConvert(f *testing.F) {
	f.Add([]byte(`{\rtf1\ansi\ansicpg1250{\fonttbl{\f1\fcharset238 A;}}\f1 \'b9\u322?{\*\htmltag <p>}}`))
	f.Add(compress([]byte("{\\rtf1 abcabcabcabc}")))
	f.Fuzz(func(t *testing.T, b []byte) {
		if text, _ := Convert(b, 10_000); !utf8.ValidString(text) {
			t.Fatalf("%q", text)
		}
		if out, _ := Decompress(b, 10_000); len(out) > 10_000 {
			t.Fatalf("%d octets", len(out))
		}
	})
}
