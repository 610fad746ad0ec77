package mail

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"sekretariat"
	"sekretariat/extract/charset"
	"sekretariat/extract/html"
	"sekretariat/extract/ical"
)

// piece is text of one part on its way to the message it belongs to.
type piece struct {
	part  int
	child int // ordinal of the part in the multipart that holds the piece
	html  bool
	text  string
}

// readText decodes the text of a part: the writer's words, or an attachment
// that can be read.
func (l *leaf) readText(p *sekretariat.Part) {
	r, e := l.s.r, &l.ent
	rich := isHTML(e.ctype)
	text := l.text(p, rich)
	msg := l.message()
	body := e.disp != "attachment" && (e.name == "" || msg != nil && !msg.spoke)
	if !body || msg == nil {
		p.Attachment = true
		if p.Type == "text/plain" || p.Type == "text/html" {
			if text = r.budget(text, e.path); text != "" {
				p.Text, p.Fate = text, "read"
			}
			msg = nil
		}
	}
	if msg == nil || !body {
		return
	}
	if strings.TrimSpace(text) != "" {
		msg.spoke = true
	}
	r.notePGP(text, e.path)
	if text = r.budget(text, e.path); text != "" {
		if msg.level == 0 {
			p.Fate = "text"
		}
		l.s.hand(piece{part: l.part, html: rich, text: text})
	}
}

// readEvent reads an invitation. It is the letter's text when that says
// nothing else.
func (l *leaf) readEvent(p *sekretariat.Part) {
	r, e := l.s.r, &l.ent
	r.work += int64(len(l.keep))
	label := e.charset
	if label == "" {
		label = "utf-8" // RFC 5545 §3.1.4
	}
	text, res := charset.Decode(l.keep, label)
	text = ical.Parse(text).Text()
	p.Attachment = e.disp == "attachment" || e.name != "" && e.disp != ""
	if text == "" {
		return
	}
	p.Charset = res.Name
	p.Text, p.Fate = r.budget(text, e.path), "read"
	r.find(FindingCalendar, e.path, "")
	if l.s.level() == 0 && r.event == "" {
		r.event = p.Text
	}
}

// message is the innermost open message.
func (l *leaf) message() *frame {
	for i := len(l.s.stack) - 1; i >= 0; i-- {
		if l.s.stack[i].message {
			return &l.s.stack[i]
		}
	}
	return nil
}

// text returns what was kept of a text part as UTF-8, at most MaxText.
func (l *leaf) text(p *sekretariat.Part, isHTML bool) string {
	r, e := l.s.r, &l.ent
	r.work += int64(len(l.keep))
	label := e.charset
	if isHTML && charset.Canonical(label) == "" {
		if meta := html.MetaCharset(l.keep); meta != "" {
			label = meta
		}
	}
	text, res := charset.Decode(l.keep, label)
	p.Charset = res.Name
	r.noteCharset(e.path, e.charset, res)
	cut := len(l.keep) >= l.limit && l.size > int64(l.limit)
	if isHTML {
		out := html.Convert(text, r.opts.MaxText)
		if out.Hidden {
			r.find(FindingHTMLHidden, e.path, "")
		}
		text, cut = out.Text, cut || out.Cut
	} else if e.flowed {
		text = unflow(text, e.delsp)
	}
	text, nul := plainText(text)
	if nul {
		r.find(FindingNUL, e.path, "")
	}
	if len(text) > r.opts.MaxText {
		text, cut = cutString(text, r.opts.MaxText), true
	}
	if cut {
		r.find(FindingTextCut, e.path, "")
	}
	return text
}

// plainText makes line ends LF, drops control characters but tabs, and tells
// whether there were NULs.
func plainText(s string) (string, bool) {
	nul := strings.IndexByte(s, 0) >= 0
	s = strings.ReplaceAll(s, "\r\n", "\n")
	s = strings.ReplaceAll(s, "\r", "\n")
	s = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		if r == '\f' || r == '\v' {
			return '\n'
		}
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, s)
	return strings.Trim(s, "\n"), nul
}

// unflow joins the lines of format=flowed (RFC 3676 §4): a line that ends in a
// blank goes on in the next one of the same quote depth; with DelSp the blank
// is only a mark.
func unflow(s string, delsp bool) string {
	var out strings.Builder
	out.Grow(len(s))
	open, depth, first := false, 0, true
	for line := range strings.SplitSeq(s, "\n") {
		line = strings.TrimSuffix(line, "\r")
		d := len(line) - len(strings.TrimLeft(line, ">"))
		content := strings.TrimPrefix(line[d:], " ") // space-stuffing, §4.4
		signature := content == "-- "
		if !open || d != depth || signature {
			if !first {
				out.WriteByte('\n')
			}
			if d > 0 {
				out.WriteString(line[:d] + " ")
			}
		}
		open = strings.HasSuffix(content, " ") && !signature
		if open && delsp {
			content = content[:len(content)-1]
		}
		out.WriteString(content)
		depth, first = d, false
	}
	return out.String()
}

// combine chooses between alternatives (RFC 2046 §5.1.4) and hands everything
// else on.
func (r *reader) combine(sub, path string, pieces []piece) []piece {
	if sub != "alternative" || len(pieces) < 2 {
		return pieces
	}
	plain, rich := -1, -1 // ordinals of the best plain and HTML alternative
	for _, p := range pieces {
		switch {
		case p.html:
			rich = p.child
		case plain < 0 && strings.TrimSpace(p.text) != "":
			plain = p.child
		}
	}
	switch {
	case plain < 0 && rich < 0:
		return pieces[:1]
	case rich < 0: // several plain ones are no alternatives anybody meant
		return distinct(pieces)
	case plain < 0 || plain == rich:
		return ofChild(pieces, rich)
	}
	chosen, other := ofChild(pieces, plain), ofChild(pieces, rich)
	r.work += int64(len(joined(chosen)) + len(joined(other)))
	if saysMore(joined(other), joined(chosen)) {
		r.find(FindingAlternativesDiff, path, "")
		return append(chosen, other...)
	}
	return chosen
}

// distinct drops pieces that repeat an earlier one.
func distinct(pieces []piece) []piece {
	known := map[string]bool{}
	var out []piece
	for _, p := range pieces {
		if t := strings.TrimSpace(p.text); t != "" && !known[t] {
			known[t] = true
			out = append(out, p)
		}
	}
	return out
}

func ofChild(pieces []piece, child int) []piece {
	var out []piece
	for _, p := range pieces {
		if p.child == child {
			out = append(out, p)
		}
	}
	return out
}

func joined(pieces []piece) string {
	var texts []string
	for _, p := range pieces {
		if t := strings.Trim(p.text, "\n"); strings.TrimSpace(t) != "" {
			texts = append(texts, t)
		}
	}
	return strings.Join(texts, "\n\n")
}

// saysMore tells whether much of what a says is not in b. Words of four letters
// and more count.
func saysMore(a, b string) bool {
	const (
		enough = 5    // words below which nothing can be said
		most   = 0.34 // share of words
	)
	known := map[string]bool{}
	for _, w := range words(b) {
		known[w] = true
	}
	all, lost := 0, 0
	for _, w := range words(a) {
		all++
		if !known[w] {
			lost++
		}
	}
	return lost >= enough && float64(lost) > most*float64(all)
}

func words(s string) []string {
	fields := strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) })
	out := fields[:0]
	for _, w := range fields {
		if utf8.RuneCountInString(w) >= 4 {
			out = append(out, w)
		}
	}
	return out
}
