// Package contact finds how the writer of a letter can be reached: telephone,
// e-mail, postal address, the centre's own case number; and what he forbids:
// who lives with a violent person may ask not to be called (safe contact). The
// letter's own words go before headers: people write from other people's
// accounts.
package contact

import (
	"regexp"
	"slices"
	"strings"

	"sekretariat"
	"sekretariat/extract/polish"
	"sekretariat/router/clean"
)

// Letter is what is searched.
type Letter struct {
	Subject string
	Parts   clean.Parts
	Sender  sekretariat.Party
	ReplyTo []sekretariat.Party
	Symbols []string // the centre's own case-number prefixes
	Phone   bool     // a clerk's note of a telephone call
}

// None tells whether no way to the writer is known: the clerk sees "nie podano
// kontaktu".
func None(c sekretariat.Contacts) bool { return c.Phone == "" && c.Email == "" && c.Address == "" }

// found gathers the contacts of one letter.
type found struct {
	sekretariat.Contacts
}

// Find searches a letter.
func Find(l Letter) sekretariat.Contacts {
	own := l.Subject + "\n" + l.Parts.Own
	c := found{sekretariat.Contacts{Wishes: wishes(own), Address: address(own), PESEL: pesel(own), Case: caseNumber(own+"\n"+l.Parts.Quoted, l.Symbols)}}
	c.phone(own, l)
	c.email(own, l)
	return c.Contacts
}

// number is a telephone number in a text and what stands around it, folded.
type number struct {
	digits        string
	before, after string
}

var (
	// polishNumber is nine digits in the groupings that people use, with or
	// without the country code. Text recognition reads O for 0, l and I for 1.
	polishNumber  = regexp.MustCompile(`(?:(?:\+|00)\s?48[ \-.]?)?\(?[0-9OolI]{2,3}\)?(?:[ \t.\-–/]{0,2}[0-9OolI]){6,7}`)
	foreignNumber = regexp.MustCompile(`(?:\+|00)(?:[1-35-79]\d{0,2}|4[0-79]\d?)(?:[ \-./]?\d){7,12}`)
	readDigits    = strings.NewReplacer("O", "0", "o", "0", "l", "1", "I", "1")
)

const around = 48 // octets of context on each side

// numbers lists the telephone numbers of a text.
func numbers(text string) []number {
	if digits(text)+strings.Count(text, "O")+strings.Count(text, "l") < 9 {
		return nil // the cheap look first
	}
	var out []number
	for _, m := range foreignNumber.FindAllStringIndex(text, 20) {
		out = append(out, number{"+" + strings.TrimPrefix(onlyDigits(text[m[0]:m[1]]), "00"), before(text, m[0]), after(text, m[1])})
	}
	for _, m := range polishNumber.FindAllStringIndex(text, 200) {
		d := onlyDigits(readDigits.Replace(text[m[0]:m[1]]))
		if len(d) == 13 {
			d = strings.TrimPrefix(d, "0048")
		}
		if len(d) == 11 {
			d = strings.TrimPrefix(d, "48")
		}
		n := number{d, before(text, m[0]), after(text, m[1])}
		if len(d) == 9 && d[0] != '0' && digits(text[m[0]:m[1]]) >= 6 && standsAlone(text, m[0], m[1]) && !n.other() {
			out = append(out, n)
		}
		if len(out) >= 20 {
			break
		}
	}
	return out
}

// standsAlone tells whether the digits are not a piece of something longer: an
// account, a PESEL, a case number ("DPŚ.4401.5.2025").
func standsAlone(text string, start, end int) bool {
	if start > 0 && strings.ContainsAny(text[start-1:start], "0123456789.-/") {
		return false
	}
	if start > 1 && text[start-1] == ' ' && '0' <= text[start-2] && text[start-2] <= '9' {
		return false
	}
	rest := text[end:]
	if len(rest) > 0 && ('0' <= rest[0] && rest[0] <= '9' || rest[0] == '/' && len(rest) > 1 && '0' <= rest[1] && rest[1] <= '9') {
		return false
	}
	if len(rest) > 1 && (rest[0] == ' ' || rest[0] == '-') && '0' <= rest[1] && rest[1] <= '9' && digits(rest[:min(4, len(rest))]) >= 2 {
		return false
	}
	return !yearLike.MatchString(text[start:end])
}

// yearLike are case and reference numbers: digits with dots that end in a year.
var yearLike = regexp.MustCompile(`^\d{3,4}\.\d{1,4}\.(19|20)?\d\d$`)

// otherNumbers introduce nine digits that are no telephone.
var otherNumbers = []string{"regon", "nip", "pesel", "krs", "konto ", "konta ", "rachun", "faktur", "polis", "nr sprawy", "sygn", "legitymacj", "dowod", "licznik", "ppe", "kwot"}

func (n number) other() bool {
	b := n.before[max(0, len(n.before)-22):]
	return containsAny(b, otherNumbers) && !strings.Contains(b[max(0, len(b)-8):], "tel")
}

// dead are words beside a number that say it is not to be used.
var dead = []string{
	"stary numer", "stary nr", "stary telefon", "na stary", "dawny numer", "poprzedni numer", "nieaktualn", "nie aktualn", "juz nie dziala", "nie dziala", "zgubil", "ukradl", "skradzion",
	"nie dzwonic na", "nie dzwonic pod", "prosze nie dzwonic", "nie oddzwaniac", "numer meza", "nr meza", "numer sasiad", "telefon dziadka", "tel. dziadka", "do taty", "zamiast",
	"dotychczasow", "nie uzywa", "odlaczyl", "wylaczyl", "zablokowan", "byl numer", "byl pod numerem", "zniknal",
}

// live are words beside a number that say it is the one.
var live = []string{
	"nowy", "aktualn", "tylko na", "tylko pod", "dzwonic", "prosze dzwon", "prosze o telefon", "prosze o kontakt", "kontakt", "moj numer", "moj nr", "moj tel", "najlepiej", "sms", "oddzwon", "obecn",
	"teraz", "zadzwon",
}

func (n number) score() int {
	s := 0
	if containsAny(n.before, []string{"tel", "kom", "nr", "numer", "fon"}) {
		s++
	}
	if containsAny(n.before, live) {
		s += 2
	}
	if strings.Contains(n.before+" "+n.after, "(nowy") || strings.Contains(n.before, "nowy") {
		s += 2
	}
	if containsAny(n.before, dead) || containsAny(n.after[:min(len(n.after), 34)], dead) {
		s -= 10
	}
	return s
}

// phone chooses the number that the writer wants used.
func (c *found) phone(own string, l Letter) {
	best, most := "", -5
	for _, n := range numbers(own) {
		if s := n.score(); s > most {
			best, most = n.digits, s
		}
		c.Phones = appendNew(c.Phones, n.digits)
	}
	if best == "" && !c.has(NoCalls) {
		for _, p := range l.Sender.Phone {
			if ns := numbers(p); len(ns) > 0 && (len(c.Phones) == 0 || !slices.Contains(c.Phones, ns[0].digits)) {
				best = ns[0].digits
				break
			}
		}
	}
	for _, p := range l.Sender.Phone {
		for _, n := range numbers(p) {
			c.Phones = appendNew(c.Phones, n.digits)
		}
	}
	c.Phone = best
}

var mailAddress = regexp.MustCompile(`[A-Za-z0-9._%+\-]{1,64}@[A-Za-z0-9\-]{1,63}(?:\.[A-Za-z0-9\-]{1,63}){1,6}`)

// email chooses the address that an answer should go to.
func (c *found) email(own string, l Letter) {
	if c.has(NoMail) {
		return
	}
	header := strings.ToLower(l.Sender.Email)
	if len(l.ReplyTo) > 0 && l.ReplyTo[0].Email != "" {
		header = strings.ToLower(l.ReplyTo[0].Email)
	}
	c.Email = header
	if !strings.Contains(own, "@") {
		return
	}
	for _, m := range mailAddress.FindAllStringIndex(own, 20) {
		found := strings.ToLower(strings.Trim(own[m[0]:m[1]], "."))
		b := before(own, m[0])
		if header == "" && !containsAny(b, dead) || containsAny(b, []string{"odpis", "odpowiedz", "pisac", "kontakt", "nowy", "tylko na", "adres", "moj mail", "mail:"}) && !containsAny(b, dead) {
			c.Email = found
			return
		}
	}
}

var (
	street   = regexp.MustCompile(`(?i)\b(?:ul\.|al\.|os\.|pl\.|ulica|ulicy|aleja|alei|osiedle|osiedlu|plac|placu)\s*[\p{L}0-9][\p{L}0-9 .\-]{1,40}?\s\d{1,4}[a-zA-Z]?(?:\s?(?:/|m\.?|lok\.?)\s?\d{1,4})?\b`)
	bare     = regexp.MustCompile(`\b\p{Lu}[\p{L}\-]{2,24}(?: \p{Lu}[\p{L}\-]{2,24})? \d{1,3}[a-zA-Z]?\s?(?:/|m\.?)\s?\d{1,4}\b`)
	postcode = regexp.MustCompile(`\b\d{2}-\d{3}\s+\p{Lu}[\p{L}\-]+(?: \p{Lu}[\p{L}\-]+)?`)
)

// address finds a street with a number and a postcode with a town, as written.
func address(own string) string {
	if digits(own) == 0 {
		return ""
	}
	var out []string
	if m := street.FindString(own); m != "" {
		out = append(out, oneLine(m))
	} else if m := bare.FindString(own); m != "" {
		out = append(out, oneLine(m))
	}
	if m := postcode.FindString(own); m != "" {
		out = append(out, oneLine(m))
	}
	return strings.Join(out, ", ")
}

var peselNumber = regexp.MustCompile(`(?:^|[^\d])(\d{11})(?:[^\d]|$)`)

// pesel finds a PESEL and masks all but its last four digits. Eleven digits
// after "PESEL", or with a right date of birth in front.
func pesel(own string) string {
	if digits(own) < 11 {
		return ""
	}
	for _, m := range peselNumber.FindAllStringSubmatchIndex(own, 10) {
		d := own[m[2]:m[3]]
		month := (int(d[2]-'0')*10 + int(d[3]-'0')) % 20
		day := int(d[4]-'0')*10 + int(d[5]-'0')
		if strings.Contains(before(own, m[2]), "pesel") || month >= 1 && month <= 12 && day >= 1 && day <= 31 {
			return "*******" + d[7:]
		}
	}
	return ""
}

// caseNumber finds the centre's own case number, with the prefix as the centre
// writes it.
func caseNumber(text string, symbols []string) string {
	for _, n := range polish.CaseNumbers(text) {
		prefix, rest, _ := strings.Cut(n, ".")
		for _, s := range symbols {
			if polish.Fold(prefix) == polish.Fold(s) {
				return s + "." + rest
			}
		}
	}
	return ""
}

// sentenceStart is where a new sentence begins: what stands before it belongs
// to another number. "tel. 601" is none.
var sentenceStart = regexp.MustCompile(`[.!?;]\s+\p{Lu}|\n`)

// before is what stands before a place in the same sentence, folded.
func before(text string, at int) string {
	s := text[runeStart(text, at-around):at]
	if all := sentenceStart.FindAllStringIndex(s, -1); len(all) > 0 {
		s = s[all[len(all)-1][0]+1:]
	}
	return polish.Fold(s)
}

func after(text string, at int) string {
	return polish.Fold(text[at:runeStart(text, min(len(text), at+around))])
}

// runeStart moves a place back to the beginning of a character.
func runeStart(s string, i int) int {
	i = max(0, min(i, len(s)))
	for i > 0 && i < len(s) && s[i]&0xc0 == 0x80 {
		i--
	}
	return i
}

func onlyDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' {
			return r
		}
		return -1
	}, s)
}

func digits(s string) (n int) {
	for i := 0; i < len(s); i++ {
		if '0' <= s[i] && s[i] <= '9' {
			n++
		}
	}
	return n
}

func containsAny(s string, list []string) bool {
	for _, w := range list {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}

func appendNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
