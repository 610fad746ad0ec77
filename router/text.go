package router

import (
	"strings"

	"sekretariat"
	"sekretariat/extract/polish"
	"sekretariat/router/clean"
)

// maxText bounds what the router looks at, in octets: a letter that has not
// said by then what it wants is for a person.
const maxText = 256 << 10

// enoughWords is how many words of the writer's own are enough to leave a quoted
// thread aside. With fewer the writer may say "see below".
const enoughWords = 12

// content is the text of a letter, ready for matching.
type content struct {
	subject     polish.Text
	body        []polish.Text // the letter, then its attachments and pages
	subjectText string
	text        string // what body was made of
	quoted      string // older mails in it, which do not count
	ownWords    int    // how many words the writer wrote now, up to enoughWords
}

// empty tells whether there is nothing to read.
func (c content) empty() bool {
	return c.words() == 0
}

// words is how many words the letter has.
func (c content) words() int {
	n := c.subject.Len()
	for _, b := range c.body {
		n += b.Len()
	}
	return n
}

// lines lists the lines of texts that have words.
func lines(texts ...string) []string {
	var out []string
	for _, t := range texts {
		for l := range strings.Lines(t) {
			if strings.TrimSpace(l) != "" {
				out = append(out, l)
			}
		}
	}
	return out
}

// contentOf gathers what the letter says: subject, the writer's own words, text
// of attachments and of scanned pages when the letter itself has none. Older
// mails in it count only when asked for, or when there is nothing else.
func contentOf(r sekretariat.Reading, withQuoted bool) content {
	subject := cut(r.Subject, maxText)
	c := content{subject: polish.Prepare(subject), subjectText: subject}
	left := maxText
	var whole strings.Builder
	add := func(s string) {
		s = cut(s, left)
		left -= len(s)
		if s != "" {
			c.body = append(c.body, polish.Prepare(s))
			whole.WriteString(s)
			whole.WriteByte('\n')
		}
	}
	p := clean.Split(cut(r.Text, maxText))
	c.ownWords = countWords(p.Own, enoughWords)
	switch {
	case c.ownWords == 0 && p.Quoted == "":
		add(p.Footer)
	case withQuoted || c.ownWords == 0:
		add(p.Own + p.Nearest)
		c.quoted = strings.TrimPrefix(p.Quoted, p.Nearest)
		c.ownWords = enoughWords // nothing further to point at
	default:
		add(p.Own)
		c.quoted = p.Quoted
	}
	for _, p := range r.Parts {
		add(p.Text)
	}
	if strings.TrimSpace(r.Text) == "" {
		for _, p := range r.Pages {
			add(p.Text)
		}
	}
	c.text = whole.String()
	return c
}

// pointsBack tells whether the writer's own words are so few that they may point
// at the mail below them.
func (c content) pointsBack() bool { return c.ownWords < enoughWords && c.quoted != "" }

// cut returns at most n octets of s. Half a character at the end does no harm
// to matching.
func cut(s string, n int) string {
	if len(s) > n {
		return s[:max(n, 0)]
	}
	return s
}

// countWords counts words up to a limit.
func countWords(s string, limit int) (n int) {
	for range strings.FieldsSeq(s) {
		if n++; n >= limit {
			break
		}
	}
	return n
}

// negation tells whether a folded word turns the next one into its opposite.
func negation(word string) bool { return word == "nie" || word == "bez" || word == "ani" }
