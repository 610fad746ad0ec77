package mail

import (
	"bytes"
)

// maxUULine bounds a line of uuencode (61 characters, a checksum, slack) and of
// yEnc (256 octets, each perhaps escaped).
const maxUULine = 600

// uuSplitter takes text apart into text proper and files that were put into
// it by uuencode (POSIX.1 uuencode), as old programs still do, or by yEnc
// (draft 1.3, 2002), as programs for news do.
type uuSplitter struct {
	text  func(p []byte)                  // text, line ends included
	begin func(name string, offset int64) // a file begins at offset
	data  func(p []byte)                  // decoded octets of the file
	end   func(offset int64, whole bool)  // the file ended before offset
	line  []byte
	off   int64  // of line
	first []byte // a "begin" line whose successor is not known yet
	state uuState
	long  bool // inside a line longer than maxUULine
	out   [64]byte
	yenc  bool // the file is in yEnc
}

type uuState uint8

const (
	uuText uuState = iota
	uuMaybe
	uuData
	uuTail // after the empty line of data, waiting for "end"
	yData
)

func (s *uuSplitter) write(p []byte) {
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		n := i + 1
		if i < 0 {
			n = len(p)
		}
		if len(s.line) == 0 && !s.long && s.state == uuText && i >= 0 && p[0] != 'b' && p[0] != '=' {
			s.text(p[:n]) // the common case
			s.off += int64(n)
			p = p[n:]
			continue
		}
		if !s.long && len(s.line)+n > maxUULine {
			s.flush(true)
			s.long = true
		}
		if s.long {
			s.text(p[:n])
			s.off += int64(n)
			s.long = i < 0
		} else {
			s.line = append(s.line, p[:n]...)
			if i >= 0 {
				s.flush(false)
			}
		}
		p = p[n:]
	}
}

// flush handles the line collected so far; plain means that it cannot be
// uuencode.
func (s *uuSplitter) flush(plain bool) {
	line := s.line
	s.line = s.line[:0]
	trimmed := bytes.TrimRight(line, "\r\n")
	if plain {
		trimmed = nil
	}
	s.step(line, trimmed, plain)
	s.off += int64(len(line))
}

func (s *uuSplitter) step(line, trimmed []byte, plain bool) {
	if s.state == uuMaybe {
		// An empty line after "begin" is prose; an empty file has "`".
		if out, ok := uuLine(s.out[:0], trimmed); ok && !plain && len(trimmed) > 0 {
			s.yenc = false
			s.begin(uuName(s.first), s.off-int64(len(s.first)))
			s.file(out)
			return
		}
		s.text(s.first)
		s.state = uuText
	}
	if s.state == yData {
		s.yLine(line, trimmed, plain)
		return
	}
	switch {
	case s.state == uuText:
		if !plain && uuName(trimmed) != "" {
			s.first = append(s.first[:0], line...)
			s.state = uuMaybe
			return
		}
		if name := yName(trimmed); name != "" && !plain {
			s.state, s.yenc = yData, true
			s.begin(name, s.off)
			return
		}
	case !plain && string(bytes.TrimRight(trimmed, " \t")) == "end":
		s.end(s.off+int64(len(line)), true)
		s.state = uuText
		return
	case s.state == uuTail && len(bytes.TrimSpace(trimmed)) == 0 && !plain:
		return
	default:
		if out, ok := uuLine(s.out[:0], trimmed); ok && !plain && s.state == uuData {
			s.file(out)
			return
		}
		s.end(s.off, false)
		s.state = uuText
	}
	s.text(line)
}

func (s *uuSplitter) file(out []byte) {
	s.state = uuData
	if len(out) == 0 {
		s.state = uuTail
		return
	}
	s.data(out)
}

func (s *uuSplitter) close() {
	if len(s.line) > 0 {
		s.flush(false)
	}
	switch s.state {
	case uuMaybe:
		s.text(s.first)
	case uuData, uuTail, yData:
		s.end(s.off, false)
	}
	s.state = uuText
}

// yLine handles a line of a file in yEnc.
func (s *uuSplitter) yLine(line, trimmed []byte, plain bool) {
	switch {
	case plain: // no line of yEnc is so long
		s.end(s.off, false)
		s.state = uuText
		s.text(line)
	case bytes.HasPrefix(trimmed, []byte("=yend")):
		s.end(s.off+int64(len(line)), true)
		s.state = uuText
	case bytes.HasPrefix(trimmed, []byte("=ypart ")):
	default:
		s.data(yDecode(trimmed))
	}
}

// yName returns the name of a "=ybegin" line, "" if it is none.
func yName(line []byte) string {
	rest, ok := bytes.CutPrefix(line, []byte("=ybegin "))
	if !ok || !bytes.Contains(rest, []byte("line=")) || !bytes.Contains(rest, []byte("size=")) {
		return ""
	}
	_, name, _ := bytes.Cut(rest, []byte("name="))
	return string(bytes.TrimSpace(name))
}

// yDecode decodes a line in place.
func yDecode(line []byte) []byte {
	out := line[:0]
	for i := 0; i < len(line); i++ {
		c := line[i]
		if c == '=' && i+1 < len(line) {
			i++
			c = line[i] - 64
		}
		out = append(out, c-42)
	}
	return out
}

// uuName returns the name of a "begin" line, "" if it is none.
func uuName(line []byte) string {
	rest, ok := bytes.CutPrefix(bytes.TrimRight(line, "\r\n"), []byte("begin "))
	if !ok {
		return ""
	}
	mode, name, _ := bytes.Cut(rest, []byte(" "))
	if len(mode) < 3 || len(mode) > 4 || len(bytes.Trim(mode, "01234567")) > 0 {
		return ""
	}
	return string(bytes.TrimSpace(name))
}

// uuLine decodes one line of data and appends the octets to out. An empty line
// is read as a line of no octets, whose blank was trimmed on the way.
func uuLine(out, line []byte) ([]byte, bool) {
	line = bytes.TrimRight(line, "\r\n")
	if len(line) == 0 {
		return out, true
	}
	for _, c := range line {
		if c < ' ' || c > '`' {
			return out, false
		}
	}
	n := int(line[0]-' ') & 63
	data := line[1:]
	need := (n + 2) / 3 * 4
	// Trailing blanks may be trimmed, a checksum may follow.
	if len(data) > need+2 || len(data) < (n*4+2)/3 {
		return out, false
	}
	at := func(i int) byte {
		if i >= len(data) {
			return 0
		}
		return (data[i] - ' ') & 63
	}
	for i := 0; len(out) < n; i += 4 {
		a, b, c, d := at(i), at(i+1), at(i+2), at(i+3)
		out = append(out, a<<2|b>>4, b<<4|c>>2, c<<6|d)
	}
	return out[:n], true
}

// uuStage decodes a body whose transfer encoding is x-uuencode: the files in
// it, without the text around them.
type uuStage struct {
	out    func([]byte)
	split  *uuSplitter
	broken bool
	files  int
}

func (s *uuStage) write(p []byte) {
	if s.split == nil {
		s.split = &uuSplitter{
			text: func([]byte) {}, begin: func(string, int64) { s.files++ }, data: s.out,
			end: func(_ int64, whole bool) { s.broken = s.broken || !whole },
		}
	}
	s.split.write(p)
}

func (s *uuStage) close() {
	if s.split != nil {
		s.split.close()
	}
	s.broken = s.broken || s.files == 0
}

func (s *uuStage) oddity() string {
	if s.broken {
		return FindingUUBroken
	}
	return ""
}
