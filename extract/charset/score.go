package charset

import (
	"bytes"
	"unicode"

	"golang.org/x/text/encoding/charmap"
)

// class is what a decoded character means to the score.
type class uint8

const (
	asciiOther class = iota // space, digits, punctuation
	asciiLower
	asciiUpper
	home    // a letter of the language the encoding is meant for
	common  // another letter that its users often write
	foreign // any other letter beyond ASCII
	neutral // typographic quotes, dashes, section sign …
	symbol  // anything else: box drawing, superscripts
	reject  // C1 controls and unassigned positions
)

// candidate is one encoding that undeclared text may be in.
type candidate struct {
	name     string
	cyrillic bool
	rare     bool // hardly ever met: only clear text is taken for it
	classes  [256]class
	upper    [256]bool
	points   [256]int8
}

// The alphabets. Polish weighs most: that is where the mail comes from.
const (
	polish    = "ąćęłńóśźżĄĆĘŁŃÓŚŹŻ"
	central   = "áčďéěíňřšťúůýžäöüßőűôľĺÁČĎÉĚÍŇŘŠŤÚŮÝŽÄÖÜŐŰÔĽ"
	western   = "äöüßéèêëàâçîïôûùœæñáíóúåøÄÖÜÉÈÊÀÂÇÎÔÛŒÆÑÁÍÓÚÅØ"
	french    = "èà"
	ukrainian = "абвгґдеєжзиіїйклмнопрстуфхцчшщьюяёыэъАБВГҐДЕЄЖЗИІЇЙКЛМНОПРСТУФХЦЧШЩЬЮЯЁЫЭЪ"
	// neutrals say nothing about the language.
	neutrals = "\u00a0„”“‚‘’–—…«»‹›•§°€·©®™\u00ad¨´²"
)

// candidates in the order that decides ties.
var candidates = []*candidate{
	newCandidate("windows-1250", charmap.Windows1250, polish, central),
	newCandidate("iso-8859-2", charmap.ISO8859_2, polish, central),
	newCandidate("windows-1251", charmap.Windows1251, ukrainian, ""),
	newCandidate("koi8-u", charmap.KOI8U, ukrainian, ""),
	newCandidate("windows-1252", charmap.Windows1252, "", western),
	newCandidate("ibm852", charmap.CodePage852, polish, central),
}

// Points of the classes. A Polish letter outweighs a western one because the
// octet of ę is ê in windows-1252, of ć is æ.
const (
	pointsPolish   = 3
	pointsCyrillic = 2
	pointsCommon   = 1
	pointsFrench   = 2
	pointsForeign  = -1
	pointsSymbol   = -1
	pointsInWord   = -2 // a symbol or a capital inside a word
	pointsMixed    = -4 // Cyrillic touching Latin
	pointsRun      = -2 // Latin letters beyond ASCII in a long run
	longRun        = 4
)

func newCandidate(name string, m *charmap.Charmap, homeLetters, commonLetters string) *candidate {
	// DOS went out of use before e-mail came to these offices.
	c := &candidate{name: name, cyrillic: homeLetters == ukrainian, rare: name == "ibm852"}
	for i := range 256 {
		r := m.DecodeByte(byte(i))
		c.upper[i] = unicode.IsUpper(r)
		c.classes[i], c.points[i] = classify(r, homeLetters, commonLetters)
		if c.classes[i] == home && c.cyrillic {
			c.points[i] = pointsCyrillic
		}
	}
	return c
}

func classify(r rune, homeLetters, commonLetters string) (class, int8) {
	switch {
	case r >= 'a' && r <= 'z':
		return asciiLower, 0
	case r >= 'A' && r <= 'Z':
		return asciiUpper, 0
	case r < 0x80:
		return asciiOther, 0
	case r < 0xa0 || r == unicode.ReplacementChar:
		return reject, 0
	case contains(homeLetters, r):
		return home, pointsPolish
	case contains(commonLetters, r) && contains(french, r):
		return common, pointsFrench
	case contains(commonLetters, r):
		return common, pointsCommon
	case contains(neutrals, r):
		return neutral, 0
	case unicode.IsLetter(r) && r != 'ª' && r != 'º':
		return foreign, pointsForeign
	}
	return symbol, pointsSymbol
}

func contains(set string, r rune) bool {
	for _, s := range set {
		if s == r {
			return true
		}
	}
	return false
}

func (c class) letter() bool {
	return c == asciiLower || c == asciiUpper || c == home || c == common || c == foreign
}

// score is what one candidate makes of a sample.
type score struct {
	points   int
	bad      int // symbols in words, capitals inside words
	home     int // letters of the home alphabet
	strange  int // letters and symbols that are neither home nor neutral
	joined   int // letters of the home alphabet beyond ASCII that touch one another
	ascii    int // ASCII letters
	rejected bool
}

// polish tells whether all that is beyond ASCII are Polish letters, and some.
func (s score) polish() bool { return !s.rejected && s.bad == 0 && s.strange == 0 && s.home > 0 }

// sampleSize bounds the octets that are looked at; only the neighbourhood of
// octets beyond ASCII counts.
const sampleSize = 4096

// sample returns the parts of b around octets beyond ASCII, separated by
// blanks, at most about sampleSize octets.
func sample(b []byte) []byte {
	if len(b) <= sampleSize {
		return b
	}
	const margin = 12
	out := make([]byte, 0, sampleSize+2*margin)
	done := 0 // b[:done] is looked at
	for i := 0; i < len(b) && len(out) < sampleSize; i++ {
		if b[i] < 0x80 {
			continue
		}
		if from := max(done, i-margin); from > done {
			out = append(append(out, ' '), b[from:i]...)
		} else {
			out = append(out, b[done:i]...)
		}
		end := i + 1
		for end < len(b) && end-i < margin && b[end] < 0x80 {
			end++
		}
		out = append(out, b[i:end]...)
		done, i = end, end-1
	}
	return out
}

func (c *candidate) score(b []byte) score {
	var s score
	prev, prevUpper, run := asciiOther, false, 0
	for i, o := range b {
		k := c.classes[o]
		switch k {
		case reject:
			s.rejected = true
			return s
		case asciiLower, asciiUpper:
			s.ascii++
		case home:
			s.home++
			if prev == home {
				s.joined++
			}
		case common, foreign, symbol:
			s.strange++
		}
		s.points += int(c.points[o])
		if k.letter() && prev.letter() {
			c.pair(&s, k, prev, c.upper[o], prevUpper)
		}
		next := asciiOther
		if i+1 < len(b) {
			next = c.classes[b[i+1]]
		}
		if k == symbol && (prev.letter() || next.letter()) {
			s.points += pointsInWord
			s.bad++
		}
		if c.rare && k.letter() && o >= 0x80 && !prev.letter() && !next.letter() {
			s.strange++ // a dash rather than a word of one letter
		}
		if run++; !k.letter() || o < 0x80 {
			run = 0
		}
		if run > longRun && !c.cyrillic {
			s.points += pointsRun
		}
		prev, prevUpper = k, c.upper[o]
	}
	// A lone "і" in Latin text is a "§" (art. 209 § 1a).
	s.rejected = c.rare && s.strange >= s.home || c.cyrillic && s.joined == 0 && s.ascii > 0
	return s
}

// pair scores two letters that touch.
func (c *candidate) pair(s *score, k, prev class, upper, prevUpper bool) {
	if upper && !prevUpper {
		// "MacDonald" is ASCII on both sides and none of our business.
		if k != asciiUpper || prev != asciiLower {
			s.points += pointsInWord
			s.bad++
		}
	}
	if c.cyrillic {
		ascii := k == asciiLower || k == asciiUpper
		prevASCII := prev == asciiLower || prev == asciiUpper
		if ascii != prevASCII {
			s.points += pointsMixed
		}
	}
}

// Guess returns the name of the encoding that undeclared octets are most
// likely in. Octets without any beyond ASCII are "us-ascii".
func Guess(b []byte) string { return GuessNear(b, "") }

// GuessNear is Guess for octets that stand beside text in a known encoding,
// such as a header beside its letter: that one decides when the octets
// themselves hardly do.
func GuessNear(b []byte, near string) string {
	if looksUTF8(b) {
		if name, ok := chanceUTF8(b); ok {
			return name
		}
		return "utf-8"
	}
	if _, ok := decodeASCII(b, ""); ok {
		return "us-ascii"
	}
	return guessSingle(b, near)
}

// chanceUTF8 tells whether octets are valid UTF-8 by chance: two capitals of a
// Polish word ("MĘŻ") are, in a single-byte encoding, one letter of a phonetic
// alphabet.
func chanceUTF8(b []byte) (name string, ok bool) {
	const most = 3 // such letters in a text
	n := 0
	for _, r := range string(b) {
		switch {
		case r < 0x80:
		case r >= 0x180 && r < 0x300, r >= 0x460 && r < 0x530, r >= 0x530 && r < 0x590: // extended Latin and Cyrillic, phonetic, Armenian
			n++
		default:
			return "", false
		}
	}
	if n == 0 || n > most {
		return "", false
	}
	for _, c := range candidates[:2] {
		if s := c.score(b); !s.rejected && s.strange == 0 && s.bad == 0 && s.home >= 2*n {
			return c.name, true
		}
	}
	return "", false
}

// guessSingle chooses between the single-byte encodings.
func guessSingle(b []byte, near string) string {
	sampled := sample(b)
	best, bestPoints := "", 0
	for _, c := range candidates {
		s := c.score(sampled)
		if c.name == near && s.bad == 0 {
			s.points += pointsPolish
		}
		if !s.rejected && (best == "" || s.points > bestPoints) {
			best, bestPoints = c.name, s.points
		}
	}
	if best == "" {
		return "windows-1250" // binary junk; its only reader is a person
	}
	return best
}

// overrule tells whether text declared as one of the encodings that programs
// confuse is clearly in another of them.
func overrule(b []byte, declared string) (string, bool) {
	name := declared
	if name == "iso-8859-1" {
		name = "windows-1252" // its superset, RFC 1345 and WHATWG agree
	}
	sampled := sample(b)
	var now, best score
	var better, polish string
	for _, c := range candidates {
		switch c.name {
		case "windows-1250", "iso-8859-2", "windows-1252":
		default:
			continue
		}
		s := c.score(sampled)
		if name == "windows-1252" && c.name != name && polish == "" && s.polish() && spelledPolish(decodeAs(sampled, c.name)) {
			polish = c.name
		}
		if c.name == name {
			now = s
		} else if !s.rejected && (better == "" || s.points > best.points) {
			better, best = c.name, s
		}
	}
	switch {
	case better == "":
		return "", false
	case now.rejected:
		return better, true
	case polish != "":
		return polish, true // a program that always says ISO-8859-1
	case now.bad > 0: // "³¹czny" is no word
		return better, best.points >= now.points+pointsPolish && best.bad < now.bad
	}
	// Both readings are words: only a purely Polish text against one with
	// other letters decides between the two central European encodings;
	// "mañana" would pass for Polish otherwise.
	central := name != "windows-1252" && better != "windows-1252"
	if name == "iso-8859-2" && !plausibleA(sampled) {
		return "", false
	}
	return better, central && best.points > now.points && best.home >= 3 && best.strange == 0 && now.strange > 0
}

// plausibleA tells whether the octet B9 may be ą everywhere in b. It is š in
// ISO 8859-2, and the one letter that tells Polish windows-1250 from honest
// Czech, Slovak, Croatian or Slovenian ISO 8859-2. No Polish word begins with
// ą, and no vowel follows it.
func plausibleA(b []byte) bool {
	const a = 0xb9
	for i, o := range b {
		if o != a {
			continue
		}
		if i == 0 || !asciiLetter(b[i-1]) && b[i-1] < 0x80 {
			return false
		}
		if i+1 < len(b) && bytes.IndexByte([]byte("aeiouyAEIOUY\xea\xf3\xe1\xe9\xed\xfa"), b[i+1]) >= 0 {
			return false
		}
	}
	return true
}

func asciiLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
