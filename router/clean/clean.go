// Package clean takes a letter's text apart: what the writer wrote now, what he
// only quotes, and what a mail program or an office prints below every letter.
// Only the first may decide where a letter goes (boundary rule R0): a footer
// that lists departments, a disclaimer or an old thread must not.
package clean

import (
	"strings"

	"sekretariat/extract/polish"
)

// Parts are the three kinds of text in a letter, each with its line ends, in
// the order of the letter.
type Parts struct {
	Own    string // the writer's newest words
	Quoted string // older mails below or between them, forwarded headers
	// Nearest is the beginning of Quoted: the first of the older mails, which the
	// writer points at when he says nothing himself.
	Nearest string
	Footer  string // signatures below "--", disclaimers, clauses, lists of departments
}

// what a line is.
type what int

const (
	own what = iota
	quoted
	footer
)

// maxSignature is how many lines a signature below "--" may have: more is a
// letter that goes on.
const maxSignature = 25

// Split takes text apart. Every line is in exactly one of the parts.
func Split(text string) Parts {
	lines := splitLines(text)
	kinds := make([]what, len(lines))
	rest := own // what the rest of the text is, once a mark was met
	mails := 0  // older mails begun
	said := false
	second := len(lines) // where the second older mail begins
	for i := 0; i < len(lines); i++ {
		l := lines[i].folded
		mark := header(lines, i) || threadMark(l) || attribution(l)
		switch {
		case mark || rest == quoted || strings.HasPrefix(l, ">"):
			kinds[i] = quoted
			if mails == 0 || mark && said {
				if mails++; mails == 2 {
					second = i
				}
				said = false
			}
			said = said || !mark && l != ""
			if mark && rest == own && !quoteFollows(lines, i+1) {
				rest = quoted
			}
		case rest == footer:
			kinds[i] = footer
		case signatureMark(l) && len(lines)-i <= maxSignature:
			kinds[i], rest = footer, footer
		case hasPrefix(l, footerMarks) || directory(l):
			kinds[i] = footer
		case clause(l):
			kinds[i], rest = footer, footer
		}
	}
	p := join(lines, kinds)
	p.Nearest = join(lines[:second], kinds[:second]).Quoted
	return p
}

type line struct{ text, folded string }

func splitLines(text string) []line {
	var out []line
	for l := range strings.Lines(text) {
		out = append(out, line{l, strings.TrimSpace(polish.Fold(l))})
	}
	return out
}

func join(lines []line, kinds []what) Parts {
	var b [3]strings.Builder
	for i, l := range lines {
		b[kinds[i]].WriteString(l.text)
	}
	return Parts{Own: b[own].String(), Quoted: b[quoted].String(), Footer: b[footer].String()}
}

// quoteFollows tells whether the next line with text is marked as quoted: then
// only marked lines are.
func quoteFollows(lines []line, i int) bool {
	for ; i < len(lines); i++ {
		if lines[i].folded != "" {
			return strings.HasPrefix(lines[i].folded, ">")
		}
	}
	return false
}

// threadMarks stand in the line that a mail program puts above an older mail.
var threadMarks = []string{
	"wiadomosc oryginalna", "oryginalna wiadomosc", "original message", "wiadomosc przekazana", "przekazana wiadomosc", "forwarded message",
	"przekazana", "poczatek przekazanej wiadomosci", "begin forwarded message", "wiadomosc przekazywana dalej",
}

// threadMark recognises "-----Original Message-----" and its kin: known words
// between dashes, or the line that Apple's program writes.
func threadMark(folded string) bool {
	bare := strings.Trim(folded, "-_=* :")
	if !hasPrefix(bare, threadMarks) || len(bare) > 60 {
		return false
	}
	return strings.HasPrefix(folded, "--") || strings.HasPrefix(folded, "==") || strings.HasPrefix(folded, "__") || strings.HasSuffix(folded, "message:") ||
		strings.HasSuffix(folded, "wiadomosci:")
}

// attribution recognises the line that a mail program puts above a quotation:
// "W dniu 3 maja 2024 Jan Nowak napisał(a):".
func attribution(folded string) bool {
	if !strings.HasSuffix(folded, ":") || len(folded) > 200 {
		return false
	}
	wrote := strings.Contains(folded, "napisal") || strings.Contains(folded, "pisze:")
	return wrote && (strings.HasPrefix(folded, "w dniu ") || strings.HasPrefix(folded, "dnia ") || strings.HasPrefix(folded, "on ") ||
		strings.ContainsAny(folded, "@<") || weekday(folded)) ||
		strings.HasPrefix(folded, "on ") && strings.HasSuffix(folded, " wrote:")
}

func weekday(folded string) bool {
	for _, d := range [...]string{"pon", "wt", "sr", "czw", "pt", "sob", "niedz", "nd"} {
		if strings.HasPrefix(folded, d) && strings.ContainsAny(folded, "0123456789") {
			return true
		}
	}
	return false
}

// headerNames begin the lines of a forwarded header.
var headerNames = []string{"od:", "from:", "do:", "to:", "dw:", "cc:", "wyslano:", "sent:", "data:", "date:", "temat:", "subject:"}

// header recognises a forwarded header: two of its lines in a row.
func header(lines []line, i int) bool {
	return hasPrefix(lines[i].folded, headerNames) &&
		(i+1 < len(lines) && hasPrefix(lines[i+1].folded, headerNames) || hasPrefix(lines[i].folded, headerNames[:2]) && quoteFollows(lines, i+1))
}

// signatureMark recognises the line between a mail and its signature.
func signatureMark(folded string) bool {
	return folded == "--" || folded == "---" || folded == "__" || folded == "—" || folded == "–" || len(folded) > 4 && strings.Trim(folded, "_-=*~") == ""
}

// footerMarks begin lines that nobody writes himself, folded.
var footerMarks = []string{
	"wyslano z ", "wyslane z ", "sent from my", "sent from ", "pobierz aplikacje outlook", "pobierz outlook", "get outlook for",
	"wiadomosc wyslana z", "wiadomosc zostala sprawdzona", "avast", "wolne od wirusow", "przed wydrukowaniem", "zanim wydrukujesz", "pomysl, zanim wydrukujesz",
}

// clauseMarks begin what the law or a lawyer has printed below a letter.
var clauseMarks = []string{
	"ta wiadomosc jest poufna", "tresc tej wiadomosci", "tresc niniejszej wiadomosci", "niniejsza wiadomosc", "niniejszy e-mail", "informacja o przetwarzaniu danych",
	"klauzula informacyjna", "klauzula rodo", "administratorem danych", "administratorem panstwa danych", "administratorem pani/pana danych",
	"administratorem pana/pani danych", "administratorem twoich danych", "wiadomosc zawiera informacje poufne", "uwaga: wiadomosc", "ta wiadomosc oraz", "wiadomosc ta oraz",
	"this message", "this e-mail", "zgodnie z art. 13 rodo", "zgodnie z art. 13 ust. 1", "informujemy, ze administratorem", "jezeli nie jestes adresatem", "jesli nie jestes adresatem",
}

func clause(folded string) bool { return hasPrefix(folded, clauseMarks) }

// unitWords begin the names of offices and departments in a footer, folded.
var unitWords = []string{
	"dzial ", "zespol ", "sekcja ", "wydzial ", "referat ", "punkt ", "swietlica", "klub ", "dom pomocy", "biuro ", "osrodek ", "mops", "gops", "ops ", "mzon", "sekretariat",
	"uslugi opiekuncze", "zasilki", "swiadczenia", "noclegownia", "telefon zaufania", "niebieska linia", "kasa ",
}

// directory recognises one line of a printed list of departments: two or more
// of them, or one with nothing but its telephone.
func directory(folded string) bool {
	if strings.ContainsAny(folded, "?!") || len(folded) > 400 {
		return false
	}
	parts := strings.FieldsFunc(folded, func(r rune) bool { return r == '|' || r == ';' || r == '•' || r == '·' })
	if len(parts) < 2 {
		return hasPrefix(folded, unitWords) && digits(folded) >= 7 && letters(folded) < 70 && strings.Contains(folded, "tel")
	}
	units := 0
	for _, p := range parts {
		if hasPrefix(strings.TrimSpace(p), unitWords) {
			units++
		}
	}
	return units >= 2 || strings.Count(folded, "|") >= 2
}

func digits(s string) (n int) {
	for i := 0; i < len(s); i++ {
		if '0' <= s[i] && s[i] <= '9' {
			n++
		}
	}
	return n
}

func letters(s string) (n int) {
	for i := 0; i < len(s); i++ {
		if 'a' <= s[i] && s[i] <= 'z' {
			n++
		}
	}
	return n
}

func hasPrefix(s string, list []string) bool {
	for _, p := range list {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}
