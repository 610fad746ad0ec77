// Package charset turns octets into text when the declaration may be missing
// or wrong, as it often is in Polish mail: it trusts what can be proved (valid
// UTF-8), then the declaration, and overrules a declaration only between the
// encodings that Polish programs really confuse, and only when the letters
// prove it. It always says what it used and why.
package charset

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
)

// Basis says what the choice of an encoding rests on.
type Basis string

// The bases of a choice.
const (
	Declared  Basis = "declared"  // as declared, or plain ASCII
	Guessed   Basis = "guessed"   // nothing usable was declared
	Overruled Basis = "overruled" // the content contradicts the declaration
)

// Result says how text was decoded.
type Result struct {
	Name    string // the encoding used, lower case ("windows-1250", "utf-8")
	Basis   Basis
	Unknown bool // a label was given that nobody knows
	Lossy   bool // the text contains U+FFFD
	Double  bool // it was UTF-8 encoded twice, and is decoded twice
}

// aliases are labels seen in mail that the indexes of x/text do not know.
var aliases = map[string]string{
	"utf8": "utf-8", "utf-8-sig": "utf-8", "utf_8": "utf-8", "unicode-1-1-utf-8": "utf-8",
	"win-1250": "windows-1250", "windows1250": "windows-1250", "win1250": "windows-1250", "cp-1250": "windows-1250",
	"windows1252": "windows-1252", "cp-1252": "windows-1252", "ansi": "windows-1252",
	"iso8859_2": "iso-8859-2", "iso-8859-2:1987": "iso-8859-2", "latin-2": "iso-8859-2", "pl_pl.iso-8859-2": "iso-8859-2",
	"latin-1": "iso-8859-1", "iso8859_1": "iso-8859-1", "ansi_x3.110-1983": "iso-8859-1",
	"cp-852": "ibm852", "ibm-852": "ibm852", "dos-852": "ibm852", "latin2-dos": "ibm852",
	"shift-jis": "shift_jis", "jis": "iso-2022-jp", "cp932": "shift_jis", "ks_c_5601": "euc-kr", "cp949": "euc-kr",
	"gb2312_charset": "gb18030", "cp936": "gb18030", "cp950": "big5",
	"x-mac-ce": macCE, "macce": macCE, "mac-ce": macCE, "x-mac-centraleurroman": macCE, "maccentraleurope": macCE, "x-mac-latin2": macCE,
	"7bit": "us-ascii", "8bit": "", "ascii": "us-ascii",
}

// Decode returns b as valid UTF-8 with the encoding that was used. declared is
// the label of a Content-Type, "" for none. It never fails: what has no
// meaning in the chosen encoding becomes U+FFFD.
func Decode(b []byte, declared string) (string, Result) {
	if text, name, ok := byMark(b); ok {
		return finish(text, Result{Name: name, Basis: Declared})
	}
	label := Canonical(declared)
	unknown := label == "" && nonEmptyLabel(declared)
	if text, ok := decodeASCII(b, label); ok {
		if looksUTF7(b) {
			return finish(decodeUTF7(b), Result{Name: "utf-7", Basis: Overruled, Unknown: unknown})
		}
		return finish(text, Result{Name: "us-ascii", Basis: Declared, Unknown: unknown})
	}
	name, basis := choose(b, label)
	text, double := decodeAs(b, name), false
	if name == "utf-8" {
		if once, ok := undouble(text); ok {
			text, double = once, true
		}
	}
	return finish(text, Result{Name: name, Basis: basis, Unknown: unknown, Double: double})
}

// DecodeNear is Decode for undeclared octets that stand beside text in a known
// encoding, see GuessNear.
func DecodeNear(b []byte, near string) string {
	if text, _, ok := byMark(b); ok {
		return text
	}
	if text, ok := decodeASCII(b, ""); ok {
		if looksUTF7(b) {
			return decodeUTF7(b)
		}
		return text
	}
	name := GuessNear(b, near)
	text := decodeAs(b, name)
	if once, ok := undouble(text); ok && name == "utf-8" {
		text = once
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// choose picks the encoding for octets that are not plain ASCII.
func choose(b []byte, label string) (string, Basis) {
	single := label == "" || label == "us-ascii" || singleByte(label)
	if label == "utf-8" || single && looksUTF8(b) {
		return chooseUTF8(b, label)
	}
	switch label {
	case "", "us-ascii":
		basis := Guessed
		if label != "" {
			basis = Overruled
		}
		return Guess(b), basis
	case "windows-1250", "iso-8859-2", "windows-1252", "iso-8859-1":
		if better, ok := overrule(b, label); ok {
			return better, Overruled
		}
	}
	return label, Declared
}

func chooseUTF8(b []byte, label string) (string, Basis) {
	if looksUTF8(b) {
		switch label {
		case "utf-8":
			return label, Declared
		case "":
			return Guess(b), Guessed
		}
		return "utf-8", Overruled
	}
	if label == "utf-8" && looksUTF8(append([]byte("ż"), b...)) {
		return label, Declared // only the very end is cut off
	}
	// Declared UTF-8 but not valid: a damaged UTF-8 text stays UTF-8 with
	// marks where the damage is, anything else is taken as undeclared.
	good, bad := countUTF8(b)
	if good >= bad {
		return "utf-8", Declared
	}
	return Guess(b), Overruled
}

func finish(text string, r Result) (string, Result) {
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	r.Lossy = strings.ContainsRune(text, utf8.RuneError)
	return text, r
}

// byMark decodes text that begins with a byte order mark.
func byMark(b []byte) (text, name string, ok bool) {
	switch {
	case bytes.HasPrefix(b, []byte("\xef\xbb\xbf")) && looksUTF8(b[3:]):
		return string(b[3:]), "utf-8", true
	case bytes.HasPrefix(b, []byte("\xff\xfe")) && !bytes.HasPrefix(b, []byte("\xff\xfe\x00\x00")):
		return decodeWith(unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), b[2:]), "utf-16le", true
	case bytes.HasPrefix(b, []byte("\xfe\xff")):
		return decodeWith(unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM), b[2:]), "utf-16be", true
	}
	return "", "", false
}

// decodeASCII returns b if it is ASCII and the label leaves ASCII alone.
func decodeASCII(b []byte, label string) (string, bool) {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return "", false
		}
	}
	switch label {
	case "utf-7", "iso-2022-jp", "hz-gb-2312", "utf-16", "utf-16le", "utf-16be", "ibm037", "ibm1047", "ibm01140":
		return "", false
	}
	return string(b), true
}

// Canonical returns the canonical lower-case name of a charset label, "" if
// nobody knows it.
func Canonical(label string) string {
	label = cleanLabel(label)
	if a, ok := aliases[label]; ok {
		label = a
	}
	switch label {
	case "":
		return ""
	case "us-ascii", "utf-7", "hz-gb-2312", "iso-8859-1", macCE:
		// htmlindex takes ASCII and Latin-1 for windows-1252; we must know
		// what was declared.
		return label
	case "unicode-1-1-utf-7", "csunicode11utf7", "x-unicode-2-0-utf-7":
		return "utf-7"
	case "l1", "latin1", "iso8859-1", "iso_8859-1", "cp819", "ibm819", "iso88591", "iso_8859-1:1987", "csisolatin1", "iso-ir-100":
		return "iso-8859-1"
	case "ansi_x3.4-1968", "iso-ir-6", "iso646-us", "us", "cp367", "ibm367", "646", "csascii", "iso_646.irv:1991", "x-ansi":
		return "us-ascii"
	}
	if e, err := htmlindex.Get(label); err == nil && e != encoding.Replacement {
		if name, err := htmlindex.Name(e); err == nil && name != "replacement" {
			return name
		}
	}
	if e, err := ianaindex.MIME.Encoding(label); err == nil && e != nil {
		if name, err := ianaindex.MIME.Name(e); err == nil {
			return strings.ToLower(name)
		}
	}
	return ""
}

func cleanLabel(label string) string {
	if len(label) > 64 {
		label = label[:64]
	}
	if i := strings.IndexAny(label, ";,"); i >= 0 {
		label = label[:i]
	}
	return strings.ToLower(strings.Trim(label, " \t\r\n\"'<>="))
}

// nonEmptyLabel tells whether a label says anything at all; some programs
// write that they do not know.
func nonEmptyLabel(label string) bool {
	switch cleanLabel(label) {
	case "", "8bit", "default", "unknown", "x-unknown", "unknown-8bit", "x-user-defined", "_autodetect", "_autodetect_all":
		return false
	}
	return true
}

// byName returns the encoding of a canonical name, nil if there is none.
func byName(name string) encoding.Encoding {
	switch name {
	case "hz-gb-2312":
		return simplifiedchinese.HZGB2312
	case "ibm852":
		return charmap.CodePage852
	case "gbk", "gb2312":
		return simplifiedchinese.GB18030 // a superset that mail really uses
	}
	if e, err := htmlindex.Get(name); err == nil {
		return e
	}
	if e, err := ianaindex.MIME.Encoding(name); err == nil {
		return e
	}
	return nil
}

func singleByte(name string) bool {
	_, ok := byName(name).(*charmap.Charmap)
	return ok
}

func decodeAs(b []byte, name string) string {
	switch name {
	case "utf-8", "us-ascii":
		return strings.ToValidUTF8(string(b), "\uFFFD")
	case "utf-7":
		return decodeUTF7(b)
	case "iso-2022-jp":
		b = halfWidthKana(b)
	}
	if name == macCE {
		return decodeMacCE(b)
	}
	e := byName(name)
	if e == nil {
		return strings.ToValidUTF8(string(b), "\uFFFD")
	}
	return decodeWith(e, b)
}

func decodeWith(e encoding.Encoding, b []byte) string {
	out, err := e.NewDecoder().Bytes(b)
	if err != nil {
		return strings.ToValidUTF8(string(b), "\uFFFD")
	}
	return string(out)
}

// halfWidthKana maps the escape sequence of JIS X 0201 Roman, which some
// programs use for ASCII, to ASCII.
func halfWidthKana(b []byte) []byte {
	return bytes.ReplaceAll(b, []byte("\x1b(J"), []byte("\x1b(B"))
}

// looksUTF8 tells whether b is valid UTF-8 with at least one sequence beyond
// ASCII; a sequence cut off at the very end is forgiven, because callers cut.
func looksUTF8(b []byte) bool {
	seen := false
	for i := 0; i < len(b); {
		if b[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n <= 1 {
			return seen && !utf8.FullRune(b[i:])
		}
		seen = true
		i += n
	}
	return seen
}

// countUTF8 counts valid multi-octet sequences and stray octets.
func countUTF8(b []byte) (good, bad int) {
	for i := 0; i < len(b); {
		if b[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n <= 1 {
			bad++
		} else {
			good++
		}
		i += n
	}
	return good, bad
}

// As returns b decoded by the encoding of a label, without any guess: for
// formats whose declarations can be trusted more than the scorer on few
// letters. An unknown label counts as windows-1250.
func As(b []byte, label string) string {
	name := Canonical(label)
	if name == "" {
		name = "windows-1250"
	}
	return strings.ToValidUTF8(decodeAs(b, name), "\uFFFD")
}

// codepages are Windows code pages that are not called "windows-<number>".
var codepages = map[int]string{
	437: "ibm437", 850: "ibm850", 852: "ibm852", 855: "ibm855", 866: "ibm866", 874: "windows-874", 932: "shift_jis", 936: "gb18030", 949: "euc-kr", 950: "big5",
	1200: "utf-16le", 1201: "utf-16be", 10000: "macintosh", 20127: "us-ascii", 20866: "koi8-r", 21866: "koi8-u", 20932: "euc-jp",
	28591: "iso-8859-1", 28592: "iso-8859-2", 28595: "iso-8859-5", 28605: "iso-8859-15", 50220: "iso-2022-jp", 50221: "iso-2022-jp", 51932: "euc-jp",
	51949: "euc-kr", 54936: "gb18030", 65000: "utf-7", 65001: "utf-8",
}

// Codepage returns the label of a Windows code page, "" if it has none.
func Codepage(n int) string {
	if name, ok := codepages[n]; ok {
		return name
	}
	if n >= 1250 && n <= 1258 {
		return "windows-" + strconv.Itoa(n)
	}
	return ""
}
