package router

import (
	"strings"

	"sekretariat"
	"sekretariat/extract/polish"
)

// maxText bounds what the router looks at, in octets: a letter that has not
// said by then what it wants is for a person.
const maxText = 256 << 10

// enoughWords is how many words of the writer's own are enough to leave a quoted
// thread aside. With fewer the writer says "see below".
const enoughWords = 12

// content is the text of a letter, ready for matching.
type content struct {
	subject polish.Text
	body    []polish.Text // the letter, then its attachments and pages
}

// empty tells whether there is nothing to read.
func (c content) empty() bool {
	n := c.subject.Len()
	for _, b := range c.body {
		n += b.Len()
	}
	return n == 0
}

// contentOf gathers what the letter says: subject, the writer's own words, text
// of attachments and of scanned pages when the letter itself has none.
func contentOf(r sekretariat.Reading) content {
	c := content{subject: polish.Prepare(cut(r.Subject, maxText))}
	left := maxText
	add := func(s string) {
		s = cut(s, left)
		left -= len(s)
		if s != "" {
			c.body = append(c.body, polish.Prepare(s))
		}
	}
	add(ownWords(cut(r.Text, maxText)))
	for _, p := range r.Parts {
		add(p.Text)
	}
	if strings.TrimSpace(r.Text) == "" {
		for _, p := range r.Pages {
			add(p.Text)
		}
	}
	return c
}

// cut returns at most n octets of s. Half a character at the end does no harm
// to matching.
func cut(s string, n int) string {
	if len(s) > n {
		return s[:max(n, 0)]
	}
	return s
}

// threadMarks begin the quoted part of a mail, folded.
var threadMarks = []string{
	"-----wiadomosc oryginalna", "----- wiadomosc oryginalna", "-----original message", "---- wiadomosc przekazana", "---------- forwarded message",
	"---------- przekazana wiadomosc", "-------- forwarded message", "-------- wiadomosc oryginalna", "-----wiadomosc przekazana",
}

// footerMarks begin lines after which nobody writes anything of his own, folded.
var footerMarks = []string{
	"wyslano z ", "wyslane z ", "sent from my", "pobierz aplikacje outlook", "pobierz outlook",
	"ta wiadomosc jest poufna", "tresc tej wiadomosci", "niniejsza wiadomosc", "informacja o przetwarzaniu danych", "klauzula informacyjna",
	"administratorem danych", "administratorem panstwa danych", "administratorem pani/pana danych", "wiadomosc zawiera informacje poufne", "uwaga: wiadomosc",
}

// ownWords leaves out what the writer did not write now: quoted mails and
// footers (boundary rule R0). When hardly anything remains the writer points at
// the quotation, and all counts.
func ownWords(text string) string {
	var own strings.Builder
	for line := range strings.Lines(text) {
		folded := strings.TrimSpace(polish.Fold(line))
		if hasPrefix(folded, threadMarks) || attribution(folded) || folded == "--" || hasPrefix(folded, footerMarks) {
			break
		}
		if strings.HasPrefix(folded, ">") {
			continue
		}
		own.WriteString(line)
	}
	if countWords(own.String(), enoughWords) < enoughWords {
		return text
	}
	return own.String()
}

func hasPrefix(s string, list []string) bool {
	for _, p := range list {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

// attribution recognises the line that a mail program puts above a quotation:
// "W dniu 3 maja 2024 Jan Nowak napisał(a):".
func attribution(folded string) bool {
	if !strings.HasSuffix(folded, ":") {
		return false
	}
	return strings.Contains(folded, "napisal") && (strings.HasPrefix(folded, "w dniu ") || strings.HasPrefix(folded, "dnia ") || strings.Contains(folded, "@") || strings.Contains(folded, "<")) ||
		strings.HasPrefix(folded, "on ") && strings.HasSuffix(folded, " wrote:")
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
